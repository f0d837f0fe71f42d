//! Consumers that come and go, and the keys of what they consume.

use super::steps::receivers;
use super::{Sim, order_of};
use crate::history::Order;
use crate::rng::Rng;
use crate::sim::broker::calls::{Ask, Call};

/// Consumers of one group at most.
const CLIENTS_MAX: u64 = 20;
/// Message groups at most.
const KEYS_MAX: u64 = 200;

/// One consumer: who it is, and the name of its receive call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) group: usize,
    pub(super) number: u64,
    /// The same until the call was answered with messages.
    pub(super) call: u64,
    /// It names its calls, as push consumers do.
    names_calls: bool,
}

impl Client {
    /// The name of its call for the history; 0: it has none.
    pub(super) const fn call(&self) -> u64 {
        if self.names_calls { self.number * 1_000_000 + self.call } else { 0 }
    }

    pub(super) fn attempt_id(&self) -> Option<String> {
        self.names_calls.then(|| format!("call-{}-{}", self.number, self.call))
    }
}

/// All consumers, and what a run is about.
#[derive(Debug)]
pub(super) struct Clients {
    all: Vec<Client>,
    next_number: u64,
    most: u64,
    /// Message groups in this run.
    pub(super) keys: u64,
    /// Order is what this run is about.
    pub(super) is_ordered: bool,
}

impl Clients {
    pub(super) fn new(rng: &mut Rng) -> Self {
        let is_ordered = rng.percent(40);
        let (keys, most) = if is_ordered {
            (1 + rng.skewed(KEYS_MAX - 1), 1 + rng.below(CLIENTS_MAX))
        } else {
            (1 + rng.below(4), 1 + rng.below(3))
        };
        Self { all: Vec::new(), next_number: 1, most, keys, is_ordered }
    }

    fn of(&self, group: usize) -> impl Iterator<Item = &Client> {
        self.all.iter().filter(move |client| client.group == group)
    }

    pub(super) fn get_mut(&mut self, number: u64) -> Option<&mut Client> {
        self.all.iter_mut().find(|client| client.number == number)
    }
}

impl Sim {
    /// A consumer of the group, perhaps one that joins now. Who names its calls has one under way at
    /// most.
    pub(super) fn client_of(&mut self, group: usize) -> Client {
        let is_busy = |client: &Client| {
            let is_theirs =
                |call: &Call| matches!(call.ask, Ask::Receive { client: of } if of.number == client.number);
            client.names_calls && self.calls.iter().any(is_theirs)
        };
        let idle: Vec<Client> = self.clients.of(group).filter(|client| !is_busy(client)).copied().collect();
        let there = self.clients.of(group).count() as u64;
        if idle.is_empty() || (there < self.clients.most && self.rng.percent(30)) {
            let number = self.clients.next_number;
            self.clients.next_number += 1;
            let names_calls = order_of(group) != Order::None && self.rng.percent(70);
            let client = Client { group, number, call: 1, names_calls };
            self.clients.all.push(client);
            return client;
        }
        let at = self.rng.index(idle.len());
        *idle.get(at).expect("an index below the length")
    }

    /// The call was answered with messages: the next one has another name. `false`: the answer is lost
    /// on its way, and the client asks again.
    pub(super) fn hears(&mut self, client: &Client) -> bool {
        if client.names_calls && self.rng.percent(10) {
            self.note("lost answer", &[client.number]);
            return false;
        }
        if let Some(client) = self.clients.get_mut(client.number) {
            client.call += 1;
        }
        true
    }

    /// A consumer leaves without a word: what it held is not settled, what it asked is dropped.
    pub(super) fn leave(&mut self) {
        if self.clients.all.is_empty() {
            return;
        }
        let at = self.rng.index(self.clients.all.len());
        let gone = self.clients.all.swap_remove(at);
        self.note("leave", &[gone.number]);
        self.receipts.retain(|receipt| receipt.client != gone.number);
        self.calls
            .retain(|call| !matches!(call.ask, Ask::Receive { client } if client.number == gone.number));
    }

    /// The connection of a waiting receive call breaks.
    pub(super) fn hang_up(&mut self) {
        let is_receive = |call: &Call| matches!(call.ask, Ask::Receive { .. });
        let Some(at) = self.calls.iter().position(is_receive) else { return };
        self.note("hang up", &[]);
        drop(self.calls.remove(at));
    }

    /// A group that receives: in runs about order mostly an ordered one.
    pub(super) fn a_group(&mut self) -> usize {
        let ordered_only = self.clients.is_ordered && self.rng.percent(85);
        let groups: Vec<usize> = receivers()
            .map(|(group, _)| group)
            .filter(|g| !ordered_only || order_of(*g) != Order::None)
            .collect();
        groups.get(self.rng.index(groups.len())).copied().unwrap_or(0)
    }
}
