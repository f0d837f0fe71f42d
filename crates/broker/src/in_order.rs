//! What a receiver gets from a queue in order: the choice, made on the caller's thread.
//!
//! ```text
//! below next   waits, or its delivery is over and its key is free      taken first
//! from next    key free: taken; key blocked: waits from now on         up to the look-ahead limit
//! ```
//! A call with an attempt id comes from a client that works through its batch one by one. It gets
//! messages of one key only, so that a slow key holds up no other; a call without one settles as it
//! likes, and gets whatever is free.

use model::StoredMessage;
use model::group::OrderBy;
use model::limits::IN_FLIGHT_PER_QUEUE_MAX;
use model::properties;
use model::verbs::ReceiveError;
use prometheus_client::metrics::counter::Counter;
use store::Entry;

use crate::broker::Broker;
use crate::limits::{ANSWER_BYTES_MAX, ENTRIES_PER_LOOK, ENTRIES_PER_STEP, ORDERED_LOOK_AHEAD_MAX};
use crate::machine::order::{Blocked, OrderKey, Standing, attempt_of};
use crate::machine::records::DeliverPart;
use crate::receive::{Call, Choice, Claimed, Source, Unfinished};
use crate::resolve::{ResolveError, RetryView, read_entries};

/// What ordered consumption counts.
#[derive(Debug, Clone, Default)]
pub(crate) struct OrderMetrics {
    /// Looks that ended at the look-ahead limit: so many messages wait for blocked keys.
    pub(crate) look_ahead_full: Counter,
    /// Messages passed over because an earlier one of their key was not settled.
    pub(crate) passed_over: Counter,
}

impl OrderMetrics {
    pub(crate) fn register(&self, registry: &mut prometheus_client::registry::Registry) {
        registry.register(
            "ordered_look_ahead_full",
            "Looks at ordered queues that ended because too many messages wait for blocked keys",
            self.look_ahead_full.clone(),
        );
        registry.register(
            "ordered_passed_over",
            "Messages of ordered queues passed over because an earlier one of their key is not settled",
            self.passed_over.clone(),
        );
    }
}

/// How much a call may still take from a queue, and what it has.
struct Picking {
    left: usize,
    bytes: usize,
    /// One key only: the first that is taken.
    single: bool,
    key: Option<OrderKey>,
    blocked: Blocked,
    part: DeliverPart,
    messages: Vec<StoredMessage>,
    /// Something that is free was left behind.
    more: bool,
}

/// What becomes of a message that is looked at.
enum Fate {
    Taken,
    /// Its key is blocked.
    Waits,
    /// It is free, and not taken now.
    Left,
}

impl Picking {
    /// A message behind all of its key that is not settled.
    fn judge(&mut self, offset: u64, key: OrderKey, message: StoredMessage) -> Fate {
        if self.blocked.blocks(key) { Fate::Waits } else { self.take(offset, key, message) }
    }

    /// A message whose key is free.
    fn take(&mut self, offset: u64, key: OrderKey, message: StoredMessage) -> Fate {
        let is_other = self.single && self.key.is_some_and(|own| own != key);
        let bytes = self.bytes + message.bytes().len();
        let is_too_much = self.bytes > 0 && bytes > ANSWER_BYTES_MAX;
        if is_other || is_too_much || self.left == 0 {
            self.more = true;
            return Fate::Left;
        }
        self.left -= 1;
        self.bytes = bytes;
        self.key = Some(key);
        self.part.offsets.push(offset);
        self.part.keys.push(key);
        self.messages.push(message);
        Fate::Taken
    }
}

impl Broker {
    /// Chooses in order from a claimed queue.
    pub(crate) async fn choose_in_order(
        &self,
        call: &Call<'_>,
        source: &Source,
        claimed: Claimed,
        by: OrderBy,
        unfinished: &mut Unfinished,
    ) -> Result<Option<Choice>, ReceiveError> {
        let attempt = attempt_of(call.request.attempt_id.as_deref().unwrap_or_default());
        let (expected, room, window, standing) = {
            let cursor = claimed.cell.cursor.lock();
            let room = IN_FLIGHT_PER_QUEUE_MAX.saturating_sub(cursor.in_flight.len());
            let window = ORDERED_LOOK_AHEAD_MAX.saturating_sub(cursor.waiting.len());
            (cursor.next, room, window, cursor.standing(self.now_ms(), attempt, by))
        };
        let (again, free, blocked) = match standing {
            Standing::Again(theirs) => (true, theirs, Blocked::default()),
            Standing::Open { free, blocked, until_ms } => {
                unfinished.wake_at(until_ms);
                (false, free, blocked)
            }
        };
        let mut picking = Picking {
            left: unfinished.left.min(if again { unfinished.left } else { room }),
            bytes: 0,
            single: attempt != 0 && by == OrderBy::Key && !again,
            key: None,
            blocked,
            part: DeliverPart { stream: source.stream, next: expected, ..DeliverPart::default() },
            messages: Vec::new(),
            more: false,
        };
        self.pick_behind(call, source, &free, again, &mut picking).await?;
        if !again && picking.left > 0 && !picking.more {
            self.pick_ahead(call, source, by, window, &mut picking).await?;
        }
        unfinished.more |= picking.more;
        let Picking { part, messages, .. } = picking;
        if part.next == expected && messages.is_empty() && part.passed.is_empty() {
            return Ok(None);
        }
        Ok(Some(Choice::new(source, expected, part, messages, claimed)))
    }

    /// Takes from what is free below `next`.
    async fn pick_behind(
        &self,
        call: &Call<'_>,
        source: &Source,
        free: &[(u64, OrderKey)],
        again: bool,
        picking: &mut Picking,
    ) -> Result<(), ReceiveError> {
        // A key of which one was left is not free any more in this call.
        let mut left_keys = Blocked::default();
        for some in free.chunks(ENTRIES_PER_STEP) {
            if picking.left == 0 {
                picking.more = true;
                return Ok(());
            }
            let wanted = |key: OrderKey| !picking.single || picking.key.is_none_or(|own| own == key);
            let all = some.len();
            let some: Vec<_> = some.iter().filter(|(_, key)| wanted(*key)).copied().collect();
            picking.more |= some.len() < all;
            let offsets: Vec<u64> = some.iter().map(|(offset, _)| *offset).collect();
            let entries = self.entries_at(source.stream, &offsets).await?;
            let mut read = entries.iter().zip(self.read_in_order(call, &entries).await?).peekable();
            for (offset, key) in some {
                let found = read.next_if(|(entry, _)| entry.offset == offset);
                match found.and_then(|(_, message)| message) {
                    None if !again => picking.part.passed.push(offset),
                    None => {}
                    Some(message) => {
                        let is_free = !left_keys.blocks(key);
                        if !is_free || !matches!(picking.take(offset, key, message), Fate::Taken) {
                            left_keys.add(key);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Looks from `next` on: takes what is free, lets wait what is blocked.
    async fn pick_ahead(
        &self,
        call: &Call<'_>,
        source: &Source,
        by: OrderBy,
        mut window: usize,
        picking: &mut Picking,
    ) -> Result<(), ReceiveError> {
        let min = self.bounds(source.stream).await?.min;
        picking.part.next = picking.part.next.max(min);
        let mut looked = 0;
        while looked < ENTRIES_PER_LOOK {
            let entries = self.singles(source.stream, picking.part.next, ENTRIES_PER_STEP).await?;
            if entries.is_empty() {
                return Ok(());
            }
            looked += entries.len();
            for (entry, message) in entries.iter().zip(self.read_in_order(call, &entries).await?) {
                let after = entry.offset + u64::from(entry.count.max(1));
                if let Some(message) = message {
                    let key = OrderKey::of(message.property(properties::SHARDING_KEY), by);
                    match picking.judge(entry.offset, key, message) {
                        Fate::Taken => {}
                        Fate::Left => return Ok(()),
                        // Whoever works through its batch one by one has enough to do.
                        Fate::Waits if picking.single && picking.key.is_some() => {
                            picking.more = true;
                            return Ok(());
                        }
                        Fate::Waits if window == 0 => {
                            self.order_metrics.look_ahead_full.inc();
                            return Ok(());
                        }
                        Fate::Waits => {
                            window -= 1;
                            self.order_metrics.passed_over.inc();
                            picking.part.waiting.push((entry.offset, key));
                        }
                    }
                }
                picking.part.next = after;
            }
        }
        picking.more = true;
        Ok(())
    }

    /// The messages of entries; `None` for what is gone or not wanted.
    async fn read_in_order(
        &self,
        call: &Call<'_>,
        entries: &[Entry],
    ) -> Result<Vec<Option<StoredMessage>>, ReceiveError> {
        let wanted: Vec<Entry> =
            entries.iter().filter(|entry| call.selector.wants_tag(entry.tag)).copied().collect();
        let mut read = wanted
            .iter()
            .zip(read_entries(&self.log, &self.state, &wanted, RetryView::Original).await)
            .peekable();
        let mut messages = Vec::with_capacity(entries.len());
        for entry in entries {
            let message = match read.next_if(|(of, _)| of.offset == entry.offset) {
                None | Some((_, Err(ResolveError::Gone))) => None,
                Some((_, Err(ResolveError::Data(error)))) => return Err(ReceiveError::Data(error)),
                Some((_, Ok(message))) => {
                    Some(message).filter(|message| call.selector.matches(message.properties()))
                }
            };
            messages.push(message);
        }
        Ok(messages)
    }
}
