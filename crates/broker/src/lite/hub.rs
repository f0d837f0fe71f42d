//! Who wants which lite topics, and what has news for whom. Soft; pure but for its lock.
//!
//! A lite topic is known here by its stream alone, which is a hash of its name: 16 bytes per
//! subscription in the table, 8 in the client's own list, nothing per lite topic. Names are kept only
//! of lite topics that do not exist yet.
//!
//! Each client has a short list of lite topics with news, first come first served. If it overflows, or
//! after a new subscription, the client looks once through all it wants. What a call has taken off the
//! list and did not finish comes back when the call is dropped: no news is lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use model::lite::LiteSubscriber;
use model::{GroupName, Notice, Session, StreamId, TopicName};
use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use tokio::sync::Notify;

use crate::machine::Touch;
use crate::streams;

/// Number of a client in the table.
type Slot = u32;

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) client_id: String,
    pub(crate) group: GroupName,
    pub(crate) parent: TopicName,
    pub(crate) parent_id: u32,
    /// Every lite topic of the parent is wanted.
    pub(crate) wildcard: bool,
    /// Lite topics with news that are remembered.
    pub(crate) events_max: usize,
    pub(crate) session: Session,
}

/// A look through everything that a client wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scan {
    Over,
    From(StreamId),
}

#[derive(Debug)]
struct Client {
    caller: Caller,
    /// Wanted, sorted.
    streams: Vec<StreamId>,
    ready: VecDeque<StreamId>,
    is_ready: BTreeSet<StreamId>,
    scan: Scan,
    notify: Arc<Notify>,
    version: i64,
    seen_ms: i64,
    received_ms: i64,
}

impl Client {
    fn wants(&self, stream: StreamId) -> bool {
        self.caller.wildcard || self.streams.binary_search(&stream).is_ok()
    }

    fn want(&mut self, stream: StreamId) -> bool {
        match self.streams.binary_search(&stream) {
            Ok(_) => false,
            Err(at) => {
                self.streams.insert(at, stream);
                true
            }
        }
    }

    fn unwant(&mut self, stream: StreamId) -> bool {
        let Ok(at) = self.streams.binary_search(&stream) else { return false };
        self.streams.remove(at);
        if self.is_ready.remove(&stream) {
            self.ready.retain(|ready| *ready != stream);
        }
        true
    }

    /// Something is new there. `false`: the list was full.
    fn news(&mut self, stream: StreamId) -> bool {
        self.notify.notify_one();
        if self.is_ready.contains(&stream) {
            return true;
        }
        if self.ready.len() >= self.caller.events_max {
            self.look_at_all();
            return false;
        }
        self.is_ready.insert(stream);
        self.ready.push_back(stream);
        true
    }

    fn look_at_all(&mut self) {
        self.scan = Scan::From(StreamId(0));
        self.notify.notify_one();
    }

    fn has_news(&self) -> bool {
        !self.ready.is_empty() || self.scan != Scan::Over
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self.caller.client_id.len()
            + self.streams.capacity() * size_of::<StreamId>()
            + self.ready.capacity() * size_of::<StreamId>()
            + self.is_ready.len() * 24
    }
}

#[derive(Debug, Default)]
struct Table {
    clients: Vec<Option<Client>>,
    vacant: Vec<Slot>,
    slots: BTreeMap<(GroupName, String), Slot>,
    subscribers: BTreeSet<(StreamId, Slot)>,
    wildcards: BTreeSet<Slot>,
    /// Names of wanted lite topics that do not exist.
    unborn: BTreeMap<StreamId, Box<str>>,
}

impl Table {
    fn client(&self, slot: Slot) -> Option<&Client> {
        self.clients.get(slot as usize)?.as_ref()
    }

    fn client_mut(&mut self, slot: Slot) -> Option<&mut Client> {
        self.clients.get_mut(slot as usize)?.as_mut()
    }

    fn slot_of(&self, group: &GroupName, client_id: &str) -> Option<Slot> {
        self.slots.get(&(group.clone(), client_id.to_owned())).copied()
    }

    /// The caller's slot, made if need be.
    fn enter(&mut self, caller: &Caller, now_ms: i64) -> Slot {
        let key = (caller.group.clone(), caller.client_id.clone());
        if let Some(slot) = self.slots.get(&key).copied() {
            let is_same = self.client(slot).is_some_and(|c| {
                c.caller.parent_id == caller.parent_id && c.caller.wildcard == caller.wildcard
            });
            if is_same {
                if let Some(client) = self.client_mut(slot) {
                    client.caller = caller.clone();
                    client.seen_ms = now_ms;
                }
                return slot;
            }
            // The group is bound to something else now.
            self.leave(slot);
        }
        let client = Client {
            caller: caller.clone(),
            streams: Vec::new(),
            ready: VecDeque::new(),
            is_ready: BTreeSet::new(),
            scan: if caller.wildcard { Scan::From(StreamId(0)) } else { Scan::Over },
            notify: Arc::new(Notify::new()),
            version: 0,
            seen_ms: now_ms,
            received_ms: 0,
        };
        let slot = match self.vacant.pop() {
            Some(slot) => slot,
            None => {
                self.clients.push(None);
                Slot::try_from(self.clients.len() - 1).expect("clients are limited far below 2^32")
            }
        };
        if let Some(place) = self.clients.get_mut(slot as usize) {
            *place = Some(client);
        }
        self.slots.insert(key, slot);
        if caller.wildcard {
            self.wildcards.insert(slot);
        }
        slot
    }

    fn leave(&mut self, slot: Slot) {
        let Some(client) = self.clients.get_mut(slot as usize).and_then(Option::take) else { return };
        for stream in &client.streams {
            self.subscribers.remove(&(*stream, slot));
            self.forget_name(*stream);
        }
        self.wildcards.remove(&slot);
        self.slots.remove(&(client.caller.group, client.caller.client_id));
        self.vacant.push(slot);
        client.notify.notify_waiters();
    }

    fn slots_of(&self, stream: StreamId) -> Vec<Slot> {
        self.subscribers.range((stream, 0)..=(stream, Slot::MAX)).map(|(_, slot)| *slot).collect()
    }

    fn forget_name(&mut self, stream: StreamId) {
        if self.subscribers.range((stream, 0)..=(stream, Slot::MAX)).next().is_none() {
            self.unborn.remove(&stream);
        }
    }

    fn remove(&mut self, slot: Slot, stream: StreamId) -> bool {
        let wanted = self.client_mut(slot).is_some_and(|client| client.unwant(stream));
        if wanted {
            self.subscribers.remove(&(stream, slot));
            self.forget_name(stream);
        }
        wanted
    }

    fn memory_bytes(&self) -> usize {
        // A B-tree's nodes are two thirds full on average.
        let entry = size_of::<(StreamId, Slot)>() * 3 / 2;
        self.subscribers.len() * entry
            + self.clients.iter().flatten().map(Client::memory_bytes).sum::<usize>()
            + self.slots.len() * 96
            + self.unborn.values().map(|name| name.len() + 48).sum::<usize>()
    }
}

/// What a change did.
#[derive(Debug, Default)]
pub(crate) struct Synced {
    /// Clients that lost a lite topic, with its number in the request.
    pub(crate) taken: Vec<(Session, Notice)>,
    /// Lite topics that are wanted now and were not.
    pub(crate) added: Vec<StreamId>,
    pub(crate) removed: Vec<StreamId>,
}

/// Why a change was refused: nothing is changed then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Full {
    Client { max: usize },
    Node { max: usize },
}

/// A lite topic in a request.
pub(crate) struct Wish<'a> {
    pub(crate) stream: StreamId,
    pub(crate) name: &'a str,
    pub(crate) exists: bool,
}

/// The limits of a change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) client: usize,
    pub(crate) node: usize,
}

/// How a lite topic may have several clients of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sharing {
    Shared,
    /// The newest has it.
    Newest,
    /// Whoever has it keeps it.
    Owner,
}

/// All of it, behind one lock.
#[derive(Debug, Default)]
pub(crate) struct LiteHub {
    table: Mutex<Table>,
    overflowed: Counter,
}

impl LiteHub {
    pub(crate) fn new(overflowed: Counter) -> Self {
        Self { table: Mutex::default(), overflowed }
    }

    // === what clients want ===

    /// Adds to what a client wants.
    pub(crate) fn add(
        &self,
        caller: &Caller,
        wishes: &[Wish<'_>],
        sharing: Sharing,
        limits: Limits,
        now_ms: i64,
    ) -> Result<Synced, Full> {
        let mut table = self.table.lock();
        let slot = table.enter(caller, now_ms);
        let wanted = table.client(slot).map_or(0, |client| client.streams.len());
        let new = wishes.iter().filter(|wish| !table.subscribers.contains(&(wish.stream, slot))).count();
        if new > 0 && wanted + new > limits.client {
            return Err(Full::Client { max: limits.client });
        }
        if new > 0 && table.subscribers.len() + new > limits.node {
            return Err(Full::Node { max: limits.node });
        }
        let mut synced = Synced::default();
        for wish in wishes {
            let others = match sharing {
                Sharing::Shared => Vec::new(),
                _ => others_of(&table, wish.stream, slot, &caller.group),
            };
            if !others.is_empty() && sharing == Sharing::Owner {
                synced.taken.push((caller.session.clone(), taken(caller, wish.name)));
                continue;
            }
            for other in others {
                table.remove(other, wish.stream);
                if let Some(client) = table.client(other) {
                    synced.taken.push((client.caller.session.clone(), taken(&client.caller, wish.name)));
                }
            }
            if table.subscribers.insert((wish.stream, slot)) {
                synced.added.push(wish.stream);
                if !wish.exists {
                    table.unborn.insert(wish.stream, wish.name.into());
                }
                if let Some(client) = table.client_mut(slot) {
                    client.want(wish.stream);
                    if wish.exists && !client.news(wish.stream) {
                        self.overflowed.inc();
                    }
                }
            }
        }
        Ok(synced)
    }

    /// Takes away from what a client wants.
    pub(crate) fn remove(&self, caller: &Caller, streams: &[StreamId], now_ms: i64) -> Synced {
        let mut table = self.table.lock();
        let slot = table.enter(caller, now_ms);
        let removed = streams.iter().filter(|stream| table.remove(slot, **stream)).copied().collect();
        Synced { removed, ..Synced::default() }
    }

    /// Says all that a client wants. `version` must not be older than what was said before.
    pub(crate) fn set(
        &self,
        caller: &Caller,
        wishes: &[Wish<'_>],
        sharing: Sharing,
        limits: Limits,
        (version, now_ms): (i64, i64),
    ) -> Result<Synced, Full> {
        if wishes.len() > limits.client {
            return Err(Full::Client { max: limits.client });
        }
        let mut removed = Vec::new();
        {
            let mut table = self.table.lock();
            let slot = table.enter(caller, now_ms);
            let Some(client) = table.client_mut(slot) else { return Ok(Synced::default()) };
            if version != 0 && version < client.version {
                return Ok(Synced::default());
            }
            client.version = version;
            let kept: BTreeSet<StreamId> = wishes.iter().map(|wish| wish.stream).collect();
            let gone: Vec<StreamId> =
                client.streams.iter().filter(|stream| !kept.contains(stream)).copied().collect();
            removed.extend(gone.into_iter().filter(|stream| table.remove(slot, *stream)));
        }
        let mut synced = self.add(caller, wishes, sharing, limits, now_ms)?;
        synced.removed = removed;
        Ok(synced)
    }

    /// A client wants nothing any more, of any group.
    pub(crate) fn leave(&self, client_id: &str, group: Option<&GroupName>) {
        let mut table = self.table.lock();
        let slots: Vec<Slot> = match group {
            Some(group) => table.slot_of(group, client_id).into_iter().collect(),
            None => {
                table.slots.iter().filter(|((_, id), _)| id == client_id).map(|(_, slot)| *slot).collect()
            }
        };
        slots.into_iter().for_each(|slot| table.leave(slot));
    }

    /// Clients that were not heard of since `before_ms` want nothing any more.
    pub(crate) fn expire(&self, before_ms: i64) -> usize {
        let mut table = self.table.lock();
        let silent: Vec<Slot> = table
            .slots
            .values()
            .filter(|slot| table.client(**slot).is_some_and(|client| client.seen_ms < before_ms))
            .copied()
            .collect();
        silent.iter().for_each(|slot| table.leave(*slot));
        silent.len()
    }

    /// Lite topics are gone, and with them the wishes for them.
    pub(crate) fn forget(&self, streams: &[StreamId]) {
        let mut table = self.table.lock();
        for stream in streams {
            for slot in table.slots_of(*stream) {
                table.remove(slot, *stream);
            }
        }
    }

    // === news ===

    /// Streams that changed: called on the group's thread.
    pub(crate) fn on_committed(&self, touched: &[(StreamId, Touch)]) {
        if !touched.iter().any(|(stream, _)| streams::is_lite(*stream)) {
            return;
        }
        let mut table = self.table.lock();
        let mut last = None;
        for (stream, _) in touched.iter().filter(|(stream, _)| streams::is_lite(*stream)) {
            if last == Some(*stream) {
                continue;
            }
            last = Some(*stream);
            table.unborn.remove(stream);
            let slots = table.slots_of(*stream).into_iter().chain(table.wildcards.iter().copied());
            for slot in slots.collect::<Vec<_>>() {
                if table.client_mut(slot).is_some_and(|client| !client.news(*stream)) {
                    self.overflowed.inc();
                }
            }
        }
    }

    /// Clients look at all they want again. Answers how many.
    pub(crate) fn dispatch(&self, group: &GroupName, client_id: Option<&str>) -> usize {
        let mut table = self.table.lock();
        let clients = table.clients.iter_mut().flatten().filter(|client| {
            client.caller.group == *group && client_id.is_none_or(|id| client.caller.client_id == id)
        });
        clients.map(Client::look_at_all).count()
    }

    /// A call of the client begins: it is there, and this wakes it.
    pub(crate) fn enter(&self, caller: &Caller, now_ms: i64) -> Arc<Notify> {
        let mut table = self.table.lock();
        let slot = table.enter(caller, now_ms);
        let Some(client) = table.client_mut(slot) else { return Arc::default() };
        client.received_ms = now_ms;
        Arc::clone(&client.notify)
    }

    /// Lite topics for a call to look at: those with news first, then the next of a look at all.
    /// Empty: there is no news. A wildcard client's look at all is the caller's: it says from where.
    pub(crate) fn take(self: &Arc<Self>, caller: &Caller, max: usize) -> Taken {
        let mut taken = Taken {
            hub: Arc::clone(self),
            group: caller.group.clone(),
            client_id: caller.client_id.clone(),
            streams: VecDeque::new(),
            look_on_from: None,
        };
        let mut table = self.table.lock();
        let Some(slot) = table.slot_of(&caller.group, &caller.client_id) else { return taken };
        let Some(client) = table.client_mut(slot) else { return taken };
        while taken.streams.len() < max
            && let Some(stream) = client.ready.pop_front()
        {
            client.is_ready.remove(&stream);
            if client.wants(stream) {
                taken.streams.push_back(stream);
            }
        }
        if !taken.streams.is_empty() {
            return taken;
        }
        let Scan::From(from) = client.scan else { return taken };
        if client.caller.wildcard {
            client.scan = Scan::Over;
            taken.look_on_from = Some(from);
            return taken;
        }
        let at = client.streams.partition_point(|stream| *stream < from);
        taken.streams.extend(client.streams.iter().skip(at).take(max));
        client.scan = match client.streams.get(at + max) {
            Some(next) => Scan::From(*next),
            None => Scan::Over,
        };
        taken
    }

    fn give_back(&self, taken: &mut Taken) {
        let mut table = self.table.lock();
        let Some(slot) = table.slot_of(&taken.group, &taken.client_id) else { return };
        let Some(client) = table.client_mut(slot) else { return };
        if let Some(from) = taken.look_on_from {
            let from = match client.scan {
                Scan::From(other) => other.min(from),
                Scan::Over => from,
            };
            client.scan = Scan::From(from);
        }
        while let Some(stream) = taken.streams.pop_back() {
            if client.wants(stream) && client.is_ready.insert(stream) {
                // First come, first served; and beyond the limit, because it was within before.
                client.ready.push_front(stream);
            }
        }
        if client.has_news() {
            client.notify.notify_one();
        }
    }

    // === questions ===

    /// Whether a call of the client would find something to look at.
    #[cfg(test)]
    fn has_news(&self, caller: &Caller) -> bool {
        let table = self.table.lock();
        let slot = table.slot_of(&caller.group, &caller.client_id);
        slot.and_then(|slot| table.client(slot)).is_some_and(Client::has_news)
    }

    /// Clients that want a lite topic.
    pub(crate) fn subscribers(&self, parent_id: u32, stream: StreamId) -> Vec<LiteSubscriber> {
        let table = self.table.lock();
        let mut all: Vec<LiteSubscriber> = table
            .slots_of(stream)
            .into_iter()
            .chain(table.wildcards.iter().copied())
            .filter_map(|slot| table.client(slot))
            .filter(|client| client.caller.parent_id == parent_id)
            .map(|client| LiteSubscriber {
                group: client.caller.group.clone(),
                client_id: client.caller.client_id.clone(),
            })
            .collect();
        all.sort_by(|a, b| (&a.group, &a.client_id).cmp(&(&b.group, &b.client_id)));
        all
    }

    /// What a client wants: how many, some of them with their names if they do not exist, when it
    /// was heard of and when it received.
    pub(crate) fn describe(&self, group: &GroupName, client_id: &str, max: usize) -> Option<Described> {
        let table = self.table.lock();
        let client = table.client(table.slot_of(group, client_id)?)?;
        let some = client.streams.iter().take(max);
        Some(Described {
            count: client.streams.len(),
            some: some.map(|stream| (*stream, table.unborn.get(stream).cloned())).collect(),
            seen_ms: client.seen_ms,
            received_ms: client.received_ms,
        })
    }

    pub(crate) fn counts(&self) -> Counts {
        let table = self.table.lock();
        Counts {
            subscriptions: table.subscribers.len(),
            clients: table.slots.len(),
            with_news: table.clients.iter().flatten().filter(|client| client.has_news()).count(),
            memory_bytes: table.memory_bytes(),
        }
    }
}

/// Other clients of the group that have the lite topic.
fn others_of(table: &Table, stream: StreamId, own: Slot, group: &GroupName) -> Vec<Slot> {
    let of_group = |slot: &Slot| table.client(*slot).is_some_and(|client| client.caller.group == *group);
    table.slots_of(stream).into_iter().filter(|slot| *slot != own).filter(of_group).collect()
}

fn taken(loser: &Caller, lite_topic: &str) -> Notice {
    Notice::LiteTaken {
        group: loser.group.clone(),
        topic: loser.parent.clone(),
        lite_topic: lite_topic.to_owned(),
        client_id: loser.client_id.clone(),
    }
}

/// What a client wants, for tools.
pub(crate) struct Described {
    pub(crate) count: usize,
    pub(crate) some: Vec<(StreamId, Option<Box<str>>)>,
    pub(crate) seen_ms: i64,
    pub(crate) received_ms: i64,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Counts {
    pub(crate) subscriptions: usize,
    pub(crate) clients: usize,
    pub(crate) with_news: usize,
    pub(crate) memory_bytes: usize,
}

/// Lite topics that a call looks at. What it has not looked at when it is dropped comes back.
#[derive(Debug)]
pub(crate) struct Taken {
    hub: Arc<LiteHub>,
    group: GroupName,
    client_id: String,
    pub(crate) streams: VecDeque<StreamId>,
    /// A wildcard client looks through all lite topics of the parent, from this one on.
    pub(crate) look_on_from: Option<StreamId>,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if !self.streams.is_empty() || self.look_on_from.is_some() {
            let hub = Arc::clone(&self.hub);
            hub.give_back(self);
        }
    }
}

#[cfg(test)]
#[path = "hub_tests.rs"]
mod tests;
