//! `AckMessage`: deliveries are done.
//!
//! The newest receipt known here is used, because the client's own may have been renewed since.

use model::{GroupName, Receipt};

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::limits::ACK_ENTRIES_MAX;
use crate::proto::{
    AckMessageEntry, AckMessageRequest, AckMessageResponse, AckMessageResultEntry, Code, Status,
};
use crate::renew::driver;
use crate::validate;

pub(crate) async fn ack(call: Call, request: AckMessageRequest) -> Result<AckMessageResponse, Refusal> {
    validate::topic(request.topic.as_ref())?;
    let group = validate::group(request.group.as_ref())?;
    let count = request.entries.len();
    if count == 0 || count > ACK_ENTRIES_MAX {
        let text = format!("{count} entries to acknowledge, allowed are 1 to {ACK_ENTRIES_MAX}");
        return Err(Refusal::new(Code::BadRequest, text));
    }
    let mut statuses: Vec<Option<Status>> = Vec::with_capacity(count);
    let mut receipts = Vec::with_capacity(count);
    for entry in &request.entries {
        match receipt(&group, &entry.receipt_handle) {
            Ok(receipt) => {
                receipts.push(driver::newest(call.client.as_ref(), receipt).await);
                statuses.push(None);
            }
            Err(refusal) => statuses.push(Some(refusal.into())),
        }
    }
    let mut results = match receipts.is_empty() {
        true => Vec::new(),
        false => call.node.engine.ack(&call.session, receipts).await,
    }
    .into_iter();
    let mut next = || match results.next() {
        Some(Ok(())) => answer::ok(),
        Some(Err(error)) => Refusal::from(error).into(),
        None => answer::status_of(Code::InternalServerError),
    };
    let statuses: Vec<Status> = statuses.into_iter().map(|status| status.unwrap_or_else(&mut next)).collect();
    Ok(encode(request.entries, statuses))
}

/// A receipt of this group. One of another group is as good as none.
pub(crate) fn receipt(group: &GroupName, handle: &str) -> Result<Receipt, Refusal> {
    let receipt = Receipt::decode(handle)?;
    if receipt.group == *group {
        Ok(receipt)
    } else {
        let text = format!("the receipt handle belongs to group {}, not to {group}", receipt.group);
        Err(Refusal::new(Code::InvalidReceiptHandle, text))
    }
}

fn encode(entries: Vec<AckMessageEntry>, statuses: Vec<Status>) -> AckMessageResponse {
    let status = answer::overall(statuses.iter().map(|status| status.code));
    let entries = entries
        .into_iter()
        .zip(statuses)
        .map(|(entry, status)| AckMessageResultEntry {
            message_id: entry.message_id,
            receipt_handle: entry.receipt_handle,
            status: Some(status),
        })
        .collect();
    AckMessageResponse { status: Some(status), entries }
}
