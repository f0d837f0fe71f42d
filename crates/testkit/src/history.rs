//! What clients did and what they were told, judged against the invariants of consumption.
//!
//! The history knows nothing of how the engine works. It records each send, delivery, ack and
//! expiry with what the client was told, `Ok`, `Failed` or `Unknown` (no answer came, or one that
//! leaves the outcome open), and objects when something cannot be explained:
//!
//! - (3, 5) what was acknowledged is there at the end; (17) once; what was refused is not there;
//! - (16) offsets of a queue are dense, positions and times do not go back;
//! - (18) a message that is held is not handed out; (19) what was sent is settled or comes again;
//! - (20) nothing overtakes in an ordered queue; (21) attempts do not decrease;
//! - (22) an old receipt changes nothing; (23) nothing comes before its time.
//!
//! A delivery is answered before it is durable, so a power cut may take it back: what was held
//! then is *uncertain*, and proves nothing until it is handed out again.

use std::collections::BTreeMap;

use crate::sim::{Checked, must};

/// What a client was told of something it asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    Ok,
    Failed,
    Unknown,
}

/// A place in a queue. Queues have numbers of the caller's choice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub queue: u64,
    pub offset: u64,
}

/// One message as a reader of a queue saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What the message says of itself: its unique number.
    pub id: u64,
    pub offset: u64,
    /// Offsets that it takes: more than one for a batch.
    pub count: u64,
    pub lsn: u64,
    pub stored_ms: i64,
}

/// Reads whole queues: the store reads its streams, the broker answers fetches.
pub trait Queues {
    /// Everything in a queue, from its first message.
    ///
    /// # Errors
    /// If it cannot be read.
    fn read_queue(&mut self, queue: u64) -> Checked<Vec<Seen>>;
}

#[derive(Debug, Clone)]
struct Sent {
    /// What it must stay in order with.
    key: u64,
    queue: Option<u64>,
    told: Told,
    place: Option<Place>,
    not_before_ms: i64,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    nonce: u64,
    call: u64,
    deadline_ms: i64,
    /// Wall time was at most this since the delivery.
    wall_max_ms: i64,
    is_durable: bool,
    is_uncertain: bool,
}

#[derive(Debug, Clone, Default)]
struct Progress {
    held: Option<Held>,
    /// What the newest claim replaced.
    replaced: Option<Held>,
    /// Settled for good, as far as the client was told.
    end: Option<Told>,
    attempt: u32,
    durable_attempt: u32,
    deliveries: u32,
    place: Option<Place>,
}

/// One delivery, as the client got it.
#[derive(Debug, Clone, Copy)]
pub struct Delivered {
    pub id: u64,
    pub place: Place,
    pub nonce: u64,
    pub attempt: u32,
    pub deadline_ms: i64,
    /// Which receive call it answers, 0 if that had no name: a call of one name, asked again, may get
    /// again what it got.
    pub call: u64,
}

/// What a group is promised of the order of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    None,
    /// Of those with one key.
    Key,
    /// Of the whole queue.
    Queue,
}

/// A receipt as the client keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    pub id: u64,
    pub nonce: u64,
}

/// The answer to an ack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acked {
    Ok,
    Stale,
    Unknown,
}

/// All that happened.
#[derive(Debug, Default)]
pub struct History {
    sent: BTreeMap<u64, Sent>,
    groups: BTreeMap<u64, BTreeMap<u64, Progress>>,
    wall_max_ms: i64,
}

impl History {
    /// The wall clock shows this now.
    pub fn at(&mut self, now_ms: i64) {
        self.wall_max_ms = self.wall_max_ms.max(now_ms);
        for progress in self.groups.values_mut().flat_map(|g| g.values_mut()) {
            if let Some(held) = &mut progress.held {
                held.wall_max_ms = held.wall_max_ms.max(now_ms);
            }
        }
    }

    // ---- sending

    /// A message is on its way. `queue` where the sender chose it.
    pub fn sending(&mut self, id: u64, queue: Option<u64>, not_before_ms: i64) {
        self.sending_keyed(id, 0, queue, not_before_ms);
    }

    /// As [`Self::sending`], for a message that must stay in order with others of `key`.
    pub fn sending_keyed(&mut self, id: u64, key: u64, queue: Option<u64>, not_before_ms: i64) {
        let sent = Sent { key, queue, told: Told::Unknown, place: None, not_before_ms };
        self.sent.insert(id, sent);
    }

    /// The answer came. `place` where it tells one.
    pub fn sent(&mut self, id: u64, told: Told, place: Option<Place>) {
        if let Some(sent) = self.sent.get_mut(&id) {
            sent.told = told;
            sent.place = place;
            sent.queue = place.map(|p| p.queue).or(sent.queue);
        }
    }

    /// The message will come to this queue, at a place that is not known yet.
    pub fn in_queue(&mut self, id: u64, queue: u64) {
        if let Some(sent) = self.sent.get_mut(&id) {
            sent.queue = Some(queue);
        }
    }

    // ---- receiving

    /// A batch was handed out. Where order is promised, nothing earlier may be missing from it that is
    /// not settled, and what comes together comes in order.
    ///
    /// # Errors
    /// If an invariant does not hold.
    pub fn delivered(&mut self, group: u64, batch: &[Delivered], order: Order) -> Checked {
        for delivery in batch {
            self.check_sent(group, delivery)?;
            self.check_delivery(group, delivery)?;
        }
        if order != Order::None {
            self.check_order(group, batch, order)?;
        }
        Ok(())
    }

    fn check_sent(&self, group: u64, delivery: &Delivered) -> Checked {
        let id = delivery.id;
        let sent = self.sent.get(&id);
        must(sent.is_some(), 17, || format!("group {group} got message {id}, which nobody sent"))?;
        let Some(sent) = sent else { return Ok(()) };
        must(sent.told != Told::Failed, 5, || format!("group {group} got message {id}, which was refused"))?;
        let due = sent.not_before_ms;
        must(self.wall_max_ms >= due, 23, || {
            format!("group {group} got message {id} at {} at the latest, due at {due}", self.wall_max_ms)
        })
    }

    fn check_delivery(&mut self, group: u64, delivery: &Delivered) -> Checked {
        let Delivered { id, nonce, attempt, deadline_ms, place, call } = *delivery;
        let wall_max_ms = self.wall_max_ms;
        let progress = self.groups.entry(group).or_default().entry(id).or_default();
        must(progress.end != Some(Told::Ok), 19, || {
            format!("group {group} got message {id}, which is settled")
        })?;
        if let Some(held) = progress.held.filter(|h| !h.is_uncertain) {
            let is_repeated = call != 0 && held.call == call;
            must(is_repeated || held.deadline_ms <= held.wall_max_ms, 18, || {
                format!("group {group} got message {id}, which is held until {}", held.deadline_ms)
            })?;
            must(nonce != held.nonce, 22, || {
                format!("two deliveries of message {id} have the nonce {nonce}")
            })?;
        }
        let was_uncertain = progress.held.is_some_and(|h| h.is_uncertain);
        let least = if was_uncertain { progress.durable_attempt } else { progress.attempt };
        must(attempt >= least, 21, || {
            format!("group {group} got message {id} in attempt {attempt} after attempt {least}")
        })?;
        progress.attempt = attempt;
        progress.deliveries += 1;
        progress.end = None;
        progress.place = Some(place);
        progress.replaced = progress.held;
        progress.held =
            Some(Held { nonce, call, deadline_ms, wall_max_ms, is_durable: false, is_uncertain: false });
        Ok(())
    }

    fn check_order(&self, group: u64, batch: &[Delivered], order: Order) -> Checked {
        let known = self.groups.get(&group);
        let key_of = |id: &u64| self.sent.get(id).map_or(0, |sent| sent.key);
        for (at, delivery) in batch.iter().enumerate() {
            let earlier_here = batch.get(..at).unwrap_or_default();
            let (key, here) = (key_of(&delivery.id), delivery.place);
            for (id, sent) in &self.sent {
                if order == Order::Key && sent.key != key {
                    continue;
                }
                let progress = known.and_then(|g| g.get(id));
                let place = sent.place.or_else(|| progress.and_then(|p| p.place));
                let is_before = place.is_some_and(|p| p.queue == here.queue && p.offset < here.offset);
                let is_settled = progress.is_some_and(|p| p.end.is_some());
                let is_here = earlier_here.iter().any(|d| d.id == *id);
                must(!is_before || is_settled || is_here, 20, || {
                    format!(
                        "group {group} got message {} (key {key}, offset {}) before message {id} was settled",
                        delivery.id, here.offset
                    )
                })?;
            }
        }
        Ok(())
    }

    /// Everything that was handed out so far is durable.
    pub fn flushed(&mut self) {
        for progress in self.groups.values_mut().flat_map(|g| g.values_mut()) {
            if let Some(held) = &mut progress.held {
                held.is_durable = true;
                progress.durable_attempt = progress.durable_attempt.max(progress.attempt);
            }
        }
    }

    /// The power was cut: deliveries that were not durable may be gone.
    pub fn power_cut(&mut self) {
        for progress in self.groups.values_mut().flat_map(|g| g.values_mut()) {
            if let Some(held) = &mut progress.held {
                held.is_uncertain |= !held.is_durable;
            }
        }
    }

    /// It is not known what became of a claim: whether it was prolonged, say.
    pub fn uncertain(&mut self, group: u64, id: u64) {
        if let Some(held) = self.progress(group, id).and_then(|p| p.held.as_mut()) {
            held.is_uncertain = true;
        }
    }

    fn progress(&mut self, group: u64, id: u64) -> Option<&mut Progress> {
        self.groups.get_mut(&group)?.get_mut(&id)
    }

    // ---- settling

    /// A claim was settled, by an ack or as a dead letter.
    ///
    /// # Errors
    /// If an invariant does not hold.
    pub fn acked(&mut self, group: u64, claim: Claim, answer: Acked) -> Checked {
        let Some(progress) = self.progress(group, claim.id) else { return Ok(()) };
        let id = claim.id;
        let newest = progress.held.filter(|h| h.nonce == claim.nonce);
        match answer {
            Acked::Ok => {
                // An extension that a power cut took back leaves the receipt before it in force.
                let may_be = newest.is_some() || progress.held.is_some_and(|h| h.is_uncertain);
                must(may_be, 22, || format!("an old receipt of message {id} was taken by group {group}"))?;
                let is_settled = progress.end == Some(Told::Ok);
                must(!is_settled, 22, || format!("message {id} was settled twice by group {group}"))?;
                progress.end = Some(Told::Ok);
            }
            Acked::Stale => {
                let is_valid = newest.is_some_and(|h| !h.is_uncertain && h.deadline_ms > h.wall_max_ms);
                must(!is_valid || progress.end.is_some(), 22, || {
                    format!("a valid receipt of message {id} was refused to group {group}")
                })?;
            }
            Acked::Unknown => {
                if newest.is_some() && progress.end.is_none() {
                    progress.end = Some(Told::Unknown);
                }
            }
        }
        Ok(())
    }

    /// A claim now lasts until `deadline_ms` and goes by another nonce.
    ///
    /// # Errors
    /// If an invariant does not hold.
    pub fn extended(&mut self, group: u64, claim: Claim, nonce: u64, deadline_ms: i64) -> Checked {
        let wall_max_ms = self.wall_max_ms;
        let Some(progress) = self.progress(group, claim.id) else { return Ok(()) };
        let held = progress.held.filter(|held| !held.is_uncertain);
        if let Some(held) = held.filter(|held| held.nonce > nonce) {
            // The log says what was first: a delivery came after this extension, and its answer before.
            let before = progress.replaced.filter(|before| before.nonce == claim.nonce);
            must(before.is_some(), 22, || {
                format!("an old receipt of message {} was extended for group {group}", claim.id)
            })?;
            let is_repeated = held.call != 0 && before.is_some_and(|before| before.call == held.call);
            return must(is_repeated || deadline_ms <= wall_max_ms, 18, || {
                format!("group {group} got message {}, which an extension hid", claim.id)
            });
        }
        let is_newest = progress.held.is_some_and(|h| h.nonce == claim.nonce || h.is_uncertain);
        must(is_newest && progress.end != Some(Told::Ok), 22, || {
            format!("an old receipt of message {} was extended for group {group}", claim.id)
        })?;
        let call = progress.held.map_or(0, |h| h.call);
        progress.replaced = progress.held;
        progress.held =
            Some(Held { nonce, call, deadline_ms, wall_max_ms, is_durable: false, is_uncertain: false });
        Ok(())
    }

    // ---- the end

    /// Every message that was acknowledged and belongs to the group's queues is settled.
    ///
    /// # Errors
    /// If one is not.
    pub fn check_settled(&self, group: u64, queues: &[u64]) -> Checked {
        for (id, sent) in self.sent.iter().filter(|(_, s)| s.told == Told::Ok) {
            let is_theirs = sent.queue.is_some_and(|q| queues.contains(&q));
            let progress = self.groups.get(&group).and_then(|g| g.get(id));
            must(!is_theirs || progress.is_some_and(|p| p.end.is_some()), 19, || {
                let deliveries = progress.map_or(0, |p| p.deliveries);
                format!(
                    "message {id} is lost for group {group}: sent, delivered {deliveries} times, never settled"
                )
            })?;
        }
        Ok(())
    }

    /// Every queue holds what was acknowledged once, nothing twice, and nothing that was refused.
    ///
    /// # Errors
    /// If an invariant does not hold.
    pub fn check_queues(&self, queues: &[u64], source: &mut dyn Queues) -> Checked {
        let mut found: BTreeMap<u64, Place> = BTreeMap::new();
        for queue in queues {
            let seen = source.read_queue(*queue)?;
            check_queue(*queue, &seen)?;
            for message in seen {
                let place = Place { queue: *queue, offset: message.offset };
                let before = found.insert(message.id, place);
                must(before.is_none(), 17, || {
                    format!("message {} is at {before:?} and at {place:?}", message.id)
                })?;
            }
        }
        for (id, place) in &found {
            let sent = self.sent.get(id);
            must(sent.is_some_and(|s| s.told != Told::Failed), 5, || {
                format!("message {id} is at {place:?}, but was refused or never sent")
            })?;
            let told = sent.and_then(|s| s.place);
            must(told.is_none_or(|told| told == *place), 16, || {
                format!("message {id} is at {place:?}, its sender was told {told:?}")
            })?;
        }
        for (id, sent) in self.sent.iter().filter(|(_, s)| s.told == Told::Ok) {
            let is_theirs = sent.queue.is_some_and(|q| queues.contains(&q));
            must(!is_theirs || found.contains_key(id), 3, || {
                format!("message {id} was acknowledged and is gone")
            })?;
        }
        Ok(())
    }

    /// How many messages were sent and acknowledged.
    #[must_use]
    pub fn acknowledged(&self) -> usize {
        self.sent.values().filter(|s| s.told == Told::Ok).count()
    }
}

/// Offsets are dense; positions ascend and times do not go back.
///
/// # Errors
/// If they do not.
pub fn check_queue(queue: u64, seen: &[Seen]) -> Checked {
    for pair in seen.windows(2) {
        let [a, b] = pair else { continue };
        must(b.offset == a.offset + a.count, 16, || {
            format!("offset {} follows {} in queue {queue}", b.offset, a.offset)
        })?;
        must(b.lsn > a.lsn, 16, || format!("position {} follows {} in queue {queue}", b.lsn, a.lsn))?;
        must(b.stored_ms >= a.stored_ms, 16, || {
            format!("time {} follows {} in queue {queue}", b.stored_ms, a.stored_ms)
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: u64 = 1;

    fn delivery(id: u64, nonce: u64, deadline_ms: i64) -> Delivered {
        Delivered { id, place: Place { queue: 0, offset: id }, nonce, attempt: 1, deadline_ms, call: 0 }
    }

    fn history(ids: std::ops::Range<u64>) -> History {
        let mut history = History::default();
        history.at(100);
        for id in ids {
            history.sending(id, Some(0), 0);
            history.sent(id, Told::Ok, Some(Place { queue: 0, offset: id }));
        }
        history
    }

    fn broken(result: Checked) -> u8 {
        result.unwrap_err().invariant
    }

    #[test]
    fn an_extension_may_be_answered_after_the_delivery_that_followed_it() {
        let claim = Claim { id: 0, nonce: 10 };
        for (nonce, deadline_ms, expected) in [(11, 100, None), (11, 500, Some(18)), (13, 100, Some(22))] {
            let mut h = history(0..1);
            h.delivered(GROUP, &[delivery(0, 10, 100)], Order::None).unwrap();
            h.delivered(GROUP, &[delivery(0, 12, 400)], Order::None).unwrap();
            let told = h.extended(GROUP, claim, nonce, deadline_ms);
            assert_eq!(told.err().map(|broken| broken.invariant), expected, "{nonce} until {deadline_ms}");
        }
        let mut h = history(0..1);
        h.delivered(GROUP, &[delivery(0, 8, 100)], Order::None).unwrap();
        h.delivered(GROUP, &[delivery(0, 10, 100)], Order::None).unwrap();
        h.delivered(GROUP, &[delivery(0, 12, 400)], Order::None).unwrap();
        assert_eq!(broken(h.extended(GROUP, Claim { id: 0, nonce: 8 }, 11, 100)), 22);
    }

    #[test]
    fn a_held_message_is_not_handed_out() {
        let mut h = history(0..1);
        h.delivered(GROUP, &[delivery(0, 10, 200)], Order::None).unwrap();
        assert_eq!(broken(h.delivered(GROUP, &[delivery(0, 11, 300)], Order::None)), 18);
        h.at(200);
        h.delivered(GROUP, &[delivery(0, 12, 400)], Order::None).unwrap();
        h.power_cut();
        h.delivered(GROUP, &[delivery(0, 13, 400)], Order::None).unwrap();
        h.flushed();
        h.power_cut();
        assert_eq!(broken(h.delivered(GROUP, &[delivery(0, 14, 400)], Order::None)), 18);
    }

    #[test]
    fn old_receipts_and_settled_messages() {
        let mut h = history(0..1);
        h.delivered(GROUP, &[delivery(0, 10, 100)], Order::None).unwrap();
        h.delivered(GROUP, &[delivery(0, 11, 300)], Order::None).unwrap();
        h.acked(GROUP, Claim { id: 0, nonce: 10 }, Acked::Stale).unwrap();
        assert_eq!(broken(h.acked(GROUP, Claim { id: 0, nonce: 10 }, Acked::Ok)), 22);
        assert_eq!(broken(h.acked(GROUP, Claim { id: 0, nonce: 11 }, Acked::Stale)), 22);
        h.acked(GROUP, Claim { id: 0, nonce: 11 }, Acked::Ok).unwrap();
        assert_eq!(broken(h.delivered(GROUP, &[delivery(0, 12, 300)], Order::None)), 19);
    }

    #[test]
    fn nothing_overtakes() {
        let mut h = history(0..3);
        h.delivered(GROUP, &[delivery(0, 10, 200)], Order::Queue).unwrap();
        assert_eq!(broken(h.delivered(GROUP, &[delivery(1, 11, 200)], Order::Queue)), 20);
        h.acked(GROUP, Claim { id: 0, nonce: 10 }, Acked::Ok).unwrap();
        h.at(200);
        h.delivered(GROUP, &[delivery(1, 12, 400)], Order::Queue).unwrap();
    }

    #[test]
    fn nothing_overtakes_inside_its_key() {
        let mut h = history(0..0);
        for (id, key) in [(0, 7), (1, 8), (2, 7)] {
            h.sending_keyed(id, key, Some(0), 0);
            h.sent(id, Told::Ok, Some(Place { queue: 0, offset: id }));
        }
        h.delivered(GROUP, &[delivery(0, 10, 200)], Order::Key).unwrap();
        h.delivered(GROUP, &[delivery(1, 11, 200)], Order::Key).unwrap();
        assert_eq!(broken(h.delivered(GROUP, &[delivery(2, 12, 200)], Order::Key)), 20);
    }

    #[test]
    fn a_named_call_may_get_the_same_again() {
        let mut h = history(0..1);
        let to = |call, nonce| Delivered { call, ..delivery(0, nonce, 200) };
        h.delivered(GROUP, &[to(5, 10)], Order::Key).unwrap();
        h.delivered(GROUP, &[to(5, 11)], Order::Key).unwrap();
        assert_eq!(broken(h.delivered(GROUP, &[to(6, 12)], Order::Key)), 18);
    }

    #[test]
    fn what_was_sent_is_there_once() {
        struct Fixed(Vec<Seen>);
        impl Queues for Fixed {
            fn read_queue(&mut self, _: u64) -> Checked<Vec<Seen>> {
                Ok(self.0.clone())
            }
        }
        let seen = |id| Seen { id, offset: id, count: 1, lsn: id * 10, stored_ms: 5 };
        let mut h = history(0..2);
        h.check_queues(&[0], &mut Fixed(vec![seen(0), seen(1)])).unwrap();
        assert_eq!(broken(h.check_queues(&[0], &mut Fixed(vec![seen(0)]))), 3);
        assert_eq!(
            broken(h.check_queues(&[0], &mut Fixed(vec![seen(0), Seen { offset: 5, ..seen(1) }]))),
            16
        );
        h.sent(1, Told::Failed, None);
        assert_eq!(broken(h.check_queues(&[0], &mut Fixed(vec![seen(0), seen(1)]))), 5);
        assert_eq!(broken(h.check_settled(GROUP, &[0])), 19);
    }
}
