//! The protocol of RocketMQ 4.x: send to any queue, pull each queue, commit offsets.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::Result;
use futures::FutureExt;
use futures::future::BoxFuture;
use model::StoredMessage;
use model::properties::{KEY_END, TIMER_DELIVER_MS, UNIQUE_ID, VALUE_END, WAIT};
use parking_lot::Mutex;
use remoting::client::{Client, Outgoing, Pull};

use super::wire::{Claim, Parcel, Taken, Wire};
use super::{Mode, Run};

const FOUND: i32 = 0;
/// How long a pull waits for messages.
const WAIT_MS: u64 = 1_000;
const PULL_MESSAGES: u32 = 32;

pub(crate) struct RemotingWire {
    client: Client,
    topic: String,
    group: String,
    queues: u32,
    /// Where each queue is read on. A worker has its queues to itself.
    offsets: Mutex<HashMap<u32, i64>>,
    ids: AtomicU64,
    id_prefix: u64,
}

pub(crate) async fn connect(run: &Run) -> Result<RemotingWire> {
    let client = Client::connect(&run.doors, run.args.broker).await?;
    let topic = run.args.topic.0.to_string();
    let mut offsets = HashMap::new();
    if matches!(run.args.mode, Mode::Endtoend | Mode::Timers) {
        // Before anything is sent: who looked for the end later would miss what came meanwhile.
        for queue in 0..run.args.queues() {
            offsets.insert(queue, client.max_offset(&topic, queue).await?);
        }
    }
    Ok(RemotingWire {
        client,
        topic,
        group: run.args.group.0.to_string(),
        queues: run.args.queues(),
        offsets: Mutex::new(offsets),
        ids: AtomicU64::new(0),
        id_prefix: run.doors.chance.next_u64(),
    })
}

impl RemotingWire {
    fn outgoing(&self, parcel: Parcel) -> Outgoing {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let prefix = self.id_prefix;
        let mut properties =
            format!("{UNIQUE_ID}{KEY_END}{prefix:016X}{id:016X}{VALUE_END}{WAIT}{KEY_END}true{VALUE_END}");
        if let Some(due_ms) = parcel.due_ms {
            properties += &format!("{TIMER_DELIVER_MS}{KEY_END}{due_ms}{VALUE_END}");
        }
        Outgoing { body: parcel.body, properties }
    }

    async fn offset(&self, queue: u32) -> Result<i64> {
        let known = self.offsets.lock().get(&queue).copied();
        if let Some(offset) = known {
            return Ok(offset);
        }
        let offset = self.client.query_offset(&self.group, &self.topic, queue).await?.unwrap_or(0);
        self.offsets.lock().insert(queue, offset);
        Ok(offset)
    }

    /// Messages of one queue. Moves on past what is not there any more.
    async fn pull(&self, queue: u32, wait_ms: u64) -> Result<Vec<Taken>> {
        let offset = self.offset(queue).await?;
        let pull = Pull {
            group: &self.group,
            topic: &self.topic,
            queue,
            offset,
            max_messages: PULL_MESSAGES,
            expression: "*",
            wait_ms,
        };
        let pulled = self.client.pull(&pull).await?;
        self.offsets.lock().insert(queue, pulled.next);
        if pulled.code != FOUND {
            return Ok(Vec::new());
        }
        let taken = |message: &StoredMessage| Taken {
            body: message.body(),
            stored_ms: message.stored_ms(),
            claim: Claim::Offset { queue, next: pulled.next },
        };
        Ok(pulled.messages.iter().map(taken).collect())
    }
}

impl Wire for RemotingWire {
    fn send(&self, parcels: Vec<Parcel>) -> BoxFuture<'_, Result<()>> {
        async move {
            let mut messages: Vec<Outgoing> =
                parcels.into_iter().map(|parcel| self.outgoing(parcel)).collect();
            if messages.len() == 1
                && let Some(message) = messages.pop()
            {
                self.client.send(&self.topic, -1, message).await?;
            } else {
                self.client.send_batch(&self.topic, -1, &messages).await?;
            }
            Ok(())
        }
        .boxed()
    }

    fn receive(&self, worker: usize, workers: usize) -> BoxFuture<'_, Result<Vec<Taken>>> {
        async move {
            let mine: Vec<u32> =
                (0..self.queues).filter(|queue| *queue as usize % workers == worker).collect();
            if let [queue] = mine.as_slice() {
                return self.pull(*queue, WAIT_MS).await;
            }
            // Several queues: a wait in one would hold up the others, so only a last look waits.
            for wait_ms in [0, WAIT_MS / 4] {
                let mut taken = Vec::new();
                for queue in &mine {
                    taken.extend(self.pull(*queue, if taken.is_empty() { wait_ms } else { 0 }).await?);
                }
                if !taken.is_empty() {
                    return Ok(taken);
                }
            }
            Ok(Vec::new())
        }
        .boxed()
    }

    fn settle(&self, taken: Vec<Taken>) -> BoxFuture<'_, Result<()>> {
        async move {
            let mut ends: HashMap<u32, i64> = HashMap::new();
            for message in taken {
                if let Claim::Offset { queue, next } = message.claim {
                    ends.entry(queue).and_modify(|end| *end = next.max(*end)).or_insert(next);
                }
            }
            for (queue, end) in ends {
                self.client.update_offset(&self.group, &self.topic, queue, end).await?;
            }
            Ok(())
        }
        .boxed()
    }
}
