//! `ack` and `extend`: receipts against cursors.

use model::verbs::AckError;
use model::{Receipt, Session, StreamId};

use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::EXTEND_MS_MIN;
use crate::machine::command::{AckItem, Command, Outcome};
use crate::machine::state::CursorKey;
use model::limits::INVISIBLE_MS_MAX;

impl Broker {
    pub(crate) async fn do_ack(
        &self,
        _session: &Session,
        receipts: Vec<Receipt>,
    ) -> Vec<Result<(), AckError>> {
        let items: Vec<Result<AckItem, AckError>> =
            receipts.iter().map(|receipt| self.item_of(receipt)).collect();
        let good: Vec<AckItem> = items.iter().filter_map(|item| item.as_ref().ok().copied()).collect();
        if good.is_empty() {
            return items.into_iter().map(|item| item.map(|_| ())).collect();
        }
        let outcome = self.propose(Command::Ack(good), receipts.len() * 16).await;
        let mut held = match outcome {
            Ok(Outcome::Acked(held)) => held.into_iter(),
            Ok(other) => return all_failed(&receipts, &Failed::unexpected(&other).into()),
            Err(error) => return all_failed(&receipts, &error.into()),
        };
        let settle = |item: Result<AckItem, AckError>| {
            item.and_then(|_| if held.next() == Some(true) { Ok(()) } else { Err(AckError::Stale) })
        };
        items.into_iter().map(settle).collect()
    }

    pub(crate) async fn do_extend(
        &self,
        _session: &Session,
        receipt: Receipt,
        invisible_ms: i64,
    ) -> Result<Receipt, AckError> {
        if !(EXTEND_MS_MIN..=INVISIBLE_MS_MAX).contains(&invisible_ms) {
            return Err(AckError::InvisibleTime {
                asked: invisible_ms,
                min: EXTEND_MS_MIN,
                max: INVISIBLE_MS_MAX,
            });
        }
        let AckItem { key, offset, nonce } = self.item_of(&receipt)?;
        match self.propose(Command::Extend { key, offset, nonce, invisible_ms }, 64).await? {
            Outcome::Extended(Some(extended)) => Ok(Receipt {
                nonce: extended.nonce,
                delivered_ms: extended.delivered_ms,
                invisible_ms,
                ..receipt
            }),
            Outcome::Extended(None) => Err(AckError::Stale),
            other => Err(Failed::unexpected(&other).into()),
        }
    }

    /// What a receipt names in the machine.
    pub(crate) fn item_of(&self, receipt: &Receipt) -> Result<AckItem, AckError> {
        let group =
            self.state.group(&receipt.group).ok_or_else(|| AckError::GroupNotFound(receipt.group.clone()))?;
        let stream =
            self.stream_of_receipt(receipt).ok_or_else(|| AckError::TopicNotFound(receipt.topic.clone()))?;
        let bounds = self.bounds(stream)?;
        if receipt.offset.get() >= bounds.max {
            let (min, max) = (bounds.min.into(), bounds.max.into());
            return Err(AckError::OffsetOutOfRange { offset: receipt.offset, min, max });
        }
        let key = CursorKey { group_id: group.id, stream };
        Ok(AckItem { key, offset: receipt.offset.get(), nonce: receipt.nonce })
    }
}

impl Broker {
    fn stream_of_receipt(&self, receipt: &Receipt) -> Option<StreamId> {
        if receipt.topic.as_lite().is_some() {
            return self.lite_of(&receipt.topic);
        }
        Some(self.state.topic(&receipt.topic)?.stream(receipt.queue))
    }
}

fn all_failed(receipts: &[Receipt], error: &AckError) -> Vec<Result<(), AckError>> {
    receipts.iter().map(|_| Err(error.clone())).collect()
}
