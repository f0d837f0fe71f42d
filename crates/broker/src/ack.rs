//! `ack` and `extend`: receipts against cursors.

use model::verbs::{AckError, Hide};
use model::{Receipt, Session, StreamId};

use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::EXTEND_MS_MIN;
use crate::machine::command::{AckItem, Command, Outcome};
use crate::machine::state::{CursorCell, CursorKey};
use model::limits::INVISIBLE_MS_MAX;
use smallvec::SmallVec;

impl Broker {
    pub(crate) async fn do_ack(
        &self,
        _session: &Session,
        receipts: Vec<Receipt>,
    ) -> Vec<Result<(), AckError>> {
        let mut items: SmallVec<[AckItem; 1]> = SmallVec::with_capacity(receipts.len());
        let mut results: Vec<Result<(), AckError>> =
            receipts.iter().map(|receipt| self.item_to_ack(receipt).map(|item| items.push(item))).collect();
        if items.is_empty() {
            return results;
        }
        let bytes = size_of_val(items.as_slice());
        let error: AckError = match self.propose(Command::Ack(items), bytes).await {
            Ok(Outcome::Acked(held)) => {
                let asked = results.iter_mut().filter(|result| result.is_ok());
                for (result, _) in asked.zip(held).filter(|(_, held)| !held) {
                    *result = Err(AckError::Stale);
                }
                return results;
            }
            Ok(other) => Failed::unexpected(&other).into(),
            Err(error) => error.into(),
        };
        results.fill(Err(error));
        results
    }

    pub(crate) async fn do_extend(&self, receipt: Receipt, hide: Hide) -> Result<Receipt, AckError> {
        let invisible_ms = hide.for_ms;
        if !(EXTEND_MS_MIN..=INVISIBLE_MS_MAX).contains(&invisible_ms) {
            return Err(AckError::InvisibleTime {
                asked: invisible_ms,
                min: EXTEND_MS_MIN,
                max: INVISIBLE_MS_MAX,
            });
        }
        let item = self.item_of(&receipt)?;
        match self.propose(Command::Extend { item, hide }, 64).await? {
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

    /// What a receipt names in the machine. What a group holds is in the queue: no need to look.
    fn item_to_ack(&self, receipt: &Receipt) -> Result<AckItem, AckError> {
        let item = self.item_named(receipt)?;
        let is_held = |cell: &CursorCell| cell.cursor.lock().holds(item.offset, item.nonce);
        if self.state.cursor(item.key).is_some_and(|cell| is_held(&cell)) {
            return Ok(item);
        }
        self.check_offset(receipt, item)
    }

    /// What a receipt names in the machine, if the queue has it.
    pub(crate) fn item_of(&self, receipt: &Receipt) -> Result<AckItem, AckError> {
        self.check_offset(receipt, self.item_named(receipt)?)
    }

    fn item_named(&self, receipt: &Receipt) -> Result<AckItem, AckError> {
        let group =
            self.state.group(&receipt.group).ok_or_else(|| AckError::GroupNotFound(receipt.group.clone()))?;
        let stream =
            self.stream_of_receipt(receipt).ok_or_else(|| AckError::TopicNotFound(receipt.topic.clone()))?;
        let key = CursorKey { group_id: group.id, stream };
        Ok(AckItem { key, offset: receipt.offset.get(), nonce: receipt.nonce })
    }

    fn check_offset(&self, receipt: &Receipt, item: AckItem) -> Result<AckItem, AckError> {
        // What was delivered was looked at shortly before: its queue's bounds are in memory.
        let bounds = self.blocking_bounds(item.key.stream)?;
        if item.offset >= bounds.max {
            let (min, max) = (bounds.min.into(), bounds.max.into());
            return Err(AckError::OffsetOutOfRange { offset: receipt.offset, min, max });
        }
        Ok(item)
    }

    fn stream_of_receipt(&self, receipt: &Receipt) -> Option<StreamId> {
        if receipt.topic.as_lite().is_some() {
            return self.lite_of(&receipt.topic);
        }
        Some(self.state.topic(&receipt.topic)?.stream(receipt.queue))
    }
}
