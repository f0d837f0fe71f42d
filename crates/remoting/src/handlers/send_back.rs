//! `CONSUMER_SEND_MSG_BACK`: a pulled message comes back to its group later, or goes to its
//! dead letters (`AbstractSendMessageProcessor.consumerSendMsgBack`).

use std::sync::Arc;

use model::verbs::{SendBack, SendBackDelay, Settle};
use model::{GroupName, Lsn};

use crate::error::Failure;
use crate::frame::Command;
use crate::link::Link;

use super::{Answer, done};

pub(super) async fn send_back(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let position: i64 = fields.parse("offset")?;
    let level: i32 = fields.parse("delayLevel")?;
    let most: Option<i64> = fields.parse_opt("maxReconsumeTimes")?;
    let back = SendBack {
        group: GroupName::new(fields.required("group")?)?,
        lsn: Lsn(u64::try_from(position).map_err(|_| Failure::malformed("offset", &position.to_string()))?),
        delay: match u32::try_from(level) {
            Ok(0) => SendBackDelay::Schedule,
            Ok(level) => SendBackDelay::Level(level),
            Err(_) => SendBackDelay::DeadLetter,
        },
        max_retries: most.and_then(|most| u32::try_from(most).ok()),
        origin_message_id: fields.get("originMsgId").filter(|id| !id.is_empty()).map(str::to_owned),
    };
    link.engine().settle(&link.session, Settle::SendBack(back)).await?;
    Ok(done())
}
