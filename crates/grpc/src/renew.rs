//! Keeps messages hidden that a client works on longer than their invisible time.
//!
//! A pure machine, one per client: events in, effects out, no clock. The client knows only the
//! receipt that it was handed; each renewal makes a new one and voids the old. So the table maps
//! what the client knows to what is newest, and a client's ack is done with the newest:
//!
//! ```text
//! delivered ---> held --scan, little time left--> renewing --renewed--> held (newer receipt)
//!                 |  \--scan, held too long--> released        \--stale or failed too often--> gone
//!                 \--client settles--> gone, settled with the newest
//!                    (while renewing: waits for the outcome first)
//! ```
//! Facts: `DefaultReceiptHandleManager`, `RenewStrategyPolicy` of RocketMQ 5.5.

use std::collections::HashMap;

use model::{DeliveryKey, Receipt};

pub(crate) mod driver;
#[cfg(test)]
mod tests;

/// Failed renewals in a row before a message is given up.
const FAILURES_MAX: u32 = 3;
const MINUTE_MS: i64 = 60_000;
/// For how long the n-th renewal hides a message; the last repeats.
const SCHEDULE_MS: [i64; 6] =
    [MINUTE_MS, 3 * MINUTE_MS, 5 * MINUTE_MS, 10 * MINUTE_MS, 30 * MINUTE_MS, 60 * MINUTE_MS];

#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) ahead_ms: i64,
    pub(crate) total_ms: i64,
    pub(crate) lost_invisible_ms: i64,
    pub(crate) held_max: usize,
}

/// A message handed out, to be renewed until it is settled.
#[derive(Debug, Clone)]
pub(crate) struct HandedOut {
    pub(crate) receipt: Receipt,
    /// For how long it is hidden when it has been held for too long.
    pub(crate) retry_ms: i64,
}

#[derive(Debug)]
pub(crate) enum Event {
    Delivered(Vec<HandedOut>),
    /// It is time to look through the table.
    Scan,
    Renewed {
        key: DeliveryKey,
        receipt: Receipt,
    },
    /// `for_good`: the receipt is void, trying again is of no use.
    NotRenewed {
        key: DeliveryKey,
        for_good: bool,
    },
    /// The client is gone.
    Lost,
}

/// `W` is whoever waits for a renewal to end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Effect<W> {
    Renew {
        key: DeliveryKey,
        receipt: Receipt,
        invisible_ms: i64,
    },
    /// Give the message back to the group after a while.
    Release {
        receipt: Receipt,
        invisible_ms: i64,
    },
    /// Tell the waiter the newest receipt; none: there is none but its own.
    Resume {
        waiter: W,
        newest: Option<Receipt>,
    },
}

/// Answer to a client that settles a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Settle with this.
    Newest(Receipt),
    /// Not renewed here: settle with what you have.
    Unknown,
    /// A renewal is under way: the waiter is resumed with its outcome.
    Wait,
}

#[derive(Debug)]
struct Held<W> {
    newest: Receipt,
    since_ms: i64,
    retry_ms: i64,
    renewals: usize,
    failures: u32,
    renewing: bool,
    waiters: Vec<W>,
}

#[derive(Debug)]
pub(crate) struct Renewals<W> {
    policy: Policy,
    held: HashMap<DeliveryKey, Held<W>>,
}

impl<W> Renewals<W> {
    pub(crate) fn new(policy: Policy) -> Self {
        Self { policy, held: HashMap::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.held.len()
    }

    pub(crate) fn step(&mut self, now_ms: i64, event: Event) -> Vec<Effect<W>> {
        match event {
            Event::Delivered(messages) => self.on_delivered(messages),
            Event::Scan => self.on_scan(now_ms),
            Event::Renewed { key, receipt } => self.on_renewed(&key, receipt),
            Event::NotRenewed { key, for_good } => self.on_not_renewed(&key, for_good),
            Event::Lost => self.on_lost(),
        }
    }

    /// The client settles what it calls `key`: the message is no longer renewed.
    pub(crate) fn take(&mut self, key: &DeliveryKey, waiter: impl FnOnce() -> W) -> Taken {
        match self.held.get_mut(key) {
            None => Taken::Unknown,
            Some(held) if held.renewing => {
                held.waiters.push(waiter());
                Taken::Wait
            }
            Some(_) => self.held.remove(key).map_or(Taken::Unknown, |held| Taken::Newest(held.newest)),
        }
    }

    fn on_delivered(&mut self, messages: Vec<HandedOut>) -> Vec<Effect<W>> {
        for HandedOut { receipt, retry_ms } in messages {
            if self.held.len() >= self.policy.held_max {
                break;
            }
            let held = Held {
                since_ms: receipt.delivered_ms,
                newest: receipt,
                retry_ms,
                renewals: 0,
                failures: 0,
                renewing: false,
                waiters: Vec::new(),
            };
            self.held.insert(DeliveryKey::of(&held.newest), held);
        }
        Vec::new()
    }

    fn on_scan(&mut self, now_ms: i64) -> Vec<Effect<W>> {
        let policy = self.policy;
        let mut effects = Vec::new();
        self.held.retain(|key, held| {
            let visible_ms = held.newest.delivered_ms.saturating_add(held.newest.invisible_ms);
            if held.renewing || visible_ms.saturating_sub(now_ms) > policy.ahead_ms {
                return true;
            }
            if now_ms.saturating_sub(held.since_ms) >= policy.total_ms {
                effects.push(Effect::Release { receipt: held.newest.clone(), invisible_ms: held.retry_ms });
                return false;
            }
            held.renewing = true;
            let invisible_ms =
                SCHEDULE_MS.get(held.renewals).or(SCHEDULE_MS.last()).copied().unwrap_or(MINUTE_MS);
            effects.push(Effect::Renew { key: key.clone(), receipt: held.newest.clone(), invisible_ms });
            true
        });
        effects
    }

    fn on_renewed(&mut self, key: &DeliveryKey, receipt: Receipt) -> Vec<Effect<W>> {
        let Some(held) = self.held.get_mut(key) else {
            // The client was lost meanwhile.
            return vec![Effect::Release { receipt, invisible_ms: self.policy.lost_invisible_ms }];
        };
        held.renewing = false;
        held.renewals += 1;
        held.failures = 0;
        held.newest = receipt;
        self.resume(key)
    }

    fn on_not_renewed(&mut self, key: &DeliveryKey, for_good: bool) -> Vec<Effect<W>> {
        let Some(held) = self.held.get_mut(key) else { return Vec::new() };
        held.renewing = false;
        held.failures += 1;
        let waiters = self.resume(key);
        if for_good || self.held.get(key).is_some_and(|held| held.failures > FAILURES_MAX) {
            self.held.remove(key);
        }
        waiters
    }

    /// Whoever waited gets the newest receipt; then the message is theirs to settle.
    fn resume(&mut self, key: &DeliveryKey) -> Vec<Effect<W>> {
        let waiting = self.held.get(key).is_some_and(|held| !held.waiters.is_empty());
        let Some(held) = waiting.then(|| self.held.remove(key)).flatten() else { return Vec::new() };
        let newest = held.newest;
        held.waiters
            .into_iter()
            .map(|waiter| Effect::Resume { waiter, newest: Some(newest.clone()) })
            .collect()
    }

    fn on_lost(&mut self) -> Vec<Effect<W>> {
        let invisible_ms = self.policy.lost_invisible_ms;
        let mut effects = Vec::new();
        for (_, held) in self.held.drain() {
            for waiter in held.waiters {
                effects.push(Effect::Resume { waiter, newest: None });
            }
            if !held.renewing {
                effects.push(Effect::Release { receipt: held.newest, invisible_ms });
            }
        }
        effects
    }
}
