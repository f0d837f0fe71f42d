//! Publishing messages that are stored once within their topic's window, and batches that are
//! stored as they came.

use model::record::Stamp;
use model::{Offset, StreamId};
use replica::{Decision, Proposal};
use smallvec::SmallVec;
use store::{NewEntry, RecordRef, Views};

use super::command::{Outcome, PlacedMessage, PlacedOnce, PublishOnce, Refusal};
use super::dedup::{First, Once};
use super::records::{BatchPrefix, Cause, ENTRY_BATCH, EncodedBatch, MessagePrefix, kind};
use super::{BrokerMachine, Touch};

impl BrokerMachine {
    /// A message whose identity was seen in the window is not placed: the first one stands for it.
    pub(super) fn publish_once(
        &mut self,
        request: PublishOnce,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        if let Some(used_percent) = proposal.refuse_messages {
            return Decision::Now(Outcome::Refused(Refusal::DiskFull { used_percent }));
        }
        let PublishOnce { topic_id, window_ms, stream, messages } = request;
        let mut placed = Vec::with_capacity(messages.len());
        for (message, identity) in messages {
            let seen = identity.and_then(|identity| self.dedup.find(topic_id, identity, proposal.now_ms));
            if let Some(First { stream, offset, lsn, stored_ms }) = seen {
                let first = PlacedMessage { offset: Offset(offset), lsn, stored_ms };
                self.state.dedup_metrics.repeated();
                placed.push(PlacedOnce { placed: first, stream, repeats: true });
                continue;
            }
            let now = self.place_message(stream, &message, Cause::None, proposal);
            if let Some(identity) = identity {
                let PlacedMessage { offset, lsn, stored_ms } = now;
                let first = First { stream, offset: offset.get(), lsn, stored_ms };
                let expires_ms = stored_ms.saturating_add(window_ms);
                let once = Once { topic_id, identity, expires_ms, first };
                proposal.push(kind::ONCE, |_, out| once.encode(out));
                self.apply_placed(proposal);
            }
            placed.push(PlacedOnce { placed: now, stream, repeats: false });
        }
        // Committed, also if nothing was placed: the first message may still be on its way.
        Decision::Committed(Outcome::PublishedOnce(placed))
    }

    pub(super) fn publish_batch(
        &mut self,
        stream: StreamId,
        batch: EncodedBatch,
        proposal: &mut Proposal<'_>,
    ) -> Decision<Outcome> {
        if let Some(used_percent) = proposal.refuse_messages {
            return Decision::Now(Outcome::Refused(Refusal::DiskFull { used_percent }));
        }
        let EncodedBatch { message, count, tags } = batch;
        let offset = Offset(proposal.views.next_offset(stream));
        let stored_ms = proposal.now_ms.max(proposal.views.last_time_ms(stream));
        let prefix =
            MessagePrefix { cause: Cause::None, stream, tag: message.tag, stored_ms, keys: message.keys };
        let prefix = BatchPrefix { message: prefix, count, tags };
        let placed = proposal.push(kind::BATCH, |lsn, out| {
            prefix.encode(out);
            let at = out.len();
            out.extend_from_slice(&message.bytes);
            let record = out.get_mut(at..).expect("the batch was just appended");
            Stamp { offset, lsn, stored_ms }.put(record).expect("callers hand in whole encoded batches");
        });
        self.apply_placed(proposal);
        let placed = PlacedMessage { offset, lsn: placed.lsn, stored_ms };
        Decision::Committed(Outcome::Published(SmallVec::from_elem(placed, 1)))
    }

    /// One entry that takes as many offsets as the batch has messages.
    pub(super) fn apply_batch(&mut self, views: &mut Views, record: &RecordRef<'_>, batch: &BatchPrefix) {
        let MessagePrefix { stream, tag, stored_ms, keys, .. } = &batch.message;
        let (stream, tag, stored_ms, count) = (*stream, *tag, *stored_ms, batch.count);
        let flags = ENTRY_BATCH;
        let entry = NewEntry { lsn: record.lsn, len: record.len, tag, time_ms: stored_ms, count, flags };
        views.append(stream, entry);
        for hash in keys {
            views.index_key(*hash, record.lsn, stored_ms);
        }
        if batch.tags.is_empty() {
            self.touched.push((stream, Touch::Many));
        }
        let entries = batch.tags.iter().map(|tag| (stream, Touch::Entry { tag: *tag }));
        self.touched.extend(entries);
    }
}
