//! Expiry: lite topics that were idle for too long are ended, and at once those whose parent was deleted; clients
//! that fell silent are forgotten. Looks through one of 256 parts of a parent at a time.

use std::sync::Arc;
use std::time::Duration;

use model::StreamId;

use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::LITE_CLIENT_SILENT_MS;
use crate::machine::command::{Command, Outcome, Refusal};
use crate::machine::lite::{ENDED_PER_RECORD_MAX, LiteEnd};

/// Parts that a parent's lite topics are looked through by.
pub(super) const PARTS: usize = 256;

/// Which lite topics of a parent end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Doomed {
    All,
    IdleSince(i64),
}

impl Broker {
    pub(crate) fn start_lite_sweep(self: &Arc<Self>) {
        let broker = Arc::downgrade(self);
        let clock = Arc::clone(&self.doors.clock);
        let every = Duration::from_millis(self.config.lite_sweep_interval_ms.max(1));
        let asked = Arc::clone(&self.lite_sweep);
        let sweep = async move {
            loop {
                tokio::select! {
                    biased;
                    () = asked.notified() => {}
                    () = clock.sleep(every) => {}
                }
                let Some(broker) = broker.upgrade() else { return };
                if let Err(error) = broker.sweep_lite().await {
                    tracing::warn!(error, "idle lite topics could not be looked for; trying again later");
                }
            }
        };
        self.doors.spawn.spawn("broker-lite-sweep", Box::pin(sweep));
    }

    /// Ends what is over by now. Answers how many lite topics ended.
    ///
    /// # Errors
    /// If they cannot be read, or not be ended now.
    pub async fn sweep_lite(&self) -> Result<u64, String> {
        let now_ms = self.now_ms();
        self.lite.expire(now_ms - LITE_CLIENT_SILENT_MS);
        let mut ended = 0;
        for (parent_id, _) in self.state.lite_counts() {
            let doomed = match self.state.topic_by_id(parent_id) {
                None => Doomed::All,
                Some(parent) => match parent.config.lite_expiration_minutes() {
                    Some(minutes) => Doomed::IdleSince(now_ms.saturating_sub(minutes.saturating_mul(60_000))),
                    None => continue,
                },
            };
            for part in 0..=u8::MAX {
                ended += self.sweep_part(parent_id, part, doomed).await?;
            }
        }
        self.lite_metrics.expired.inc_by(ended);
        self.count_lite();
        Ok(ended)
    }

    async fn sweep_part(&self, parent_id: u32, part: u8, doomed: Doomed) -> Result<u64, String> {
        let mut over = Vec::new();
        for stream in self.lite_streams(parent_id, part)? {
            let is_over = match doomed {
                Doomed::All => true,
                Doomed::IdleSince(since_ms) => {
                    let last = self.last_stored_in(stream).map_err(|error| error.to_string())?;
                    // No entry is visible: it was made just now, or retention has taken all.
                    last.is_none_or(|last_ms| last_ms <= since_ms)
                }
            };
            if is_over {
                over.push(stream);
            }
        }
        let mut ended = 0;
        for some in over.chunks(ENDED_PER_RECORD_MAX) {
            let idle_since_ms = match doomed {
                Doomed::All => None,
                Doomed::IdleSince(since_ms) => Some(since_ms),
            };
            ended += self.end_lite(parent_id, some.to_vec(), idle_since_ms).await?;
        }
        Ok(ended)
    }

    /// Ends lite topics, and forgets who wanted them.
    pub(super) async fn end_lite(
        &self,
        parent_id: u32,
        streams: Vec<StreamId>,
        idle_since_ms: Option<i64>,
    ) -> Result<u64, String> {
        let bytes = streams.len() * 8;
        let end = LiteEnd { parent_id, streams, idle_since_ms };
        match self.propose(Command::EndLite(end), bytes).await {
            Ok(Outcome::LiteEnded(ended)) => {
                self.lite.forget(&ended);
                Ok(ended.len() as u64)
            }
            Ok(Outcome::Refused(Refusal::Unreadable)) => Err("a cursor cannot be read".to_owned()),
            Ok(other) => Err(Failed::unexpected(&other).to_string()),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Store time of the newest visible message of a stream.
    pub(super) fn last_stored_in(&self, stream: StreamId) -> Result<Option<i64>, Failed> {
        let bounds = self.blocking_bounds(stream)?;
        let mut last = Vec::with_capacity(1);
        if let Some(offset) = bounds.max.checked_sub(1) {
            self.blocking_entries(stream, offset, 1, &mut last)?;
        }
        Ok(last.first().map(|entry: &store::Entry| entry.time_ms))
    }
}
