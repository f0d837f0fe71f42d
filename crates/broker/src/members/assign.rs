//! Which member reads which queue, when the server balances (4.x `QUERY_ASSIGNMENT`).
//!
//! Pure: from the sorted lists of clients and queues every client is answered its own share, so the
//! shares of one moment cover every queue exactly once. They are those that RocketMQ's strategies of
//! the same names give, client by client, so that servers of both kinds can serve one group.
//!
//! A strategy that is not known here (`CONFIG`, machine rooms: they need facts that only the client
//! has) is an error, upon which a client balances itself.

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use model::membership::{ConsumeModel, MemberError, RequestMode};
use model::{QueueId, TopicName};

/// Points of each client on the ring of `CONSISTENT_HASH`.
const POINTS_PER_CLIENT: u32 = 10;

/// A client's question with all that the answer depends on.
#[derive(Debug, Clone)]
pub struct Question<'a> {
    pub topic: &'a TopicName,
    pub client_id: &'a str,
    /// Members of the group in any order. The client itself counts whether or not it is listed: its
    /// first beat may be on its way.
    pub clients: Vec<String>,
    /// Broker names and readable queues, in any order.
    pub queues: Vec<(String, QueueId)>,
    pub strategy: &'a str,
    pub model: ConsumeModel,
    pub mode: RequestMode,
    pub pop_share_queues: i32,
}

/// Queues by broker name; in pop mode with shared queues once per broker and without number.
pub type Share = Vec<(String, Option<QueueId>)>;

/// The client's share.
///
/// # Errors
/// If the strategy is not known.
pub fn assign(mut question: Question<'_>) -> Result<Share, MemberError> {
    question.queues.sort();
    question.queues.dedup();
    question.clients.push(question.client_id.to_owned());
    // As Java orders strings.
    question.clients.sort_by(|a, b| a.encode_utf16().cmp(b.encode_utf16()));
    question.clients.dedup();
    let named = |(broker, queue): &(String, QueueId)| (broker.clone(), Some(*queue));
    if question.model == ConsumeModel::Broadcasting {
        return Ok(question.queues.iter().map(named).collect());
    }
    let strategy = Strategy::named(question.strategy)?;
    let indexes = match question.mode {
        RequestMode::Pull => question.allocate(strategy, question.own_index()),
        RequestMode::Pop if question.all_share() => return Ok(question.brokers()),
        RequestMode::Pop => question.allocate_shared(strategy),
    };
    Ok(indexes.into_iter().filter_map(|index| question.queues.get(index)).map(named).collect())
}

#[derive(Debug, Clone, Copy)]
enum Strategy {
    Average,
    Circle,
    ConsistentHash,
}

impl Strategy {
    fn named(name: &str) -> Result<Self, MemberError> {
        match name {
            "AVG" => Ok(Self::Average),
            "AVG_BY_CIRCLE" => Ok(Self::Circle),
            "CONSISTENT_HASH" => Ok(Self::ConsistentHash),
            _ => Err(MemberError::Unavailable(format!(
                "the server does not know the strategy `{}`: balance in the client",
                name.chars().take(64).collect::<String>()
            ))),
        }
    }
}

impl Question<'_> {
    fn own_index(&self) -> usize {
        self.clients.iter().position(|id| id == self.client_id).unwrap_or_default()
    }

    /// So many neighbours share their queues that everybody reads everything.
    fn all_share(&self) -> bool {
        let share = usize::try_from(self.pop_share_queues).unwrap_or(0);
        share == 0 || share + 1 >= self.clients.len()
    }

    fn brokers(&self) -> Share {
        let mut brokers: Vec<_> = self.queues.iter().map(|(broker, _)| (broker.clone(), None)).collect();
        brokers.dedup();
        brokers
    }

    /// One's own queues and those of the next `pop_share_queues` clients; or, if there are more
    /// clients than queues, one queue each, from the first again when they run out.
    fn allocate_shared(&self, strategy: Strategy) -> Vec<usize> {
        let (clients, own) = (self.clients.len(), self.own_index());
        if clients > self.queues.len() {
            return own.checked_rem(self.queues.len()).into_iter().collect();
        }
        let share = usize::try_from(self.pop_share_queues).unwrap_or(0);
        let sharing = (own..=own + share).map(|index| index % clients);
        let mut queues: Vec<usize> = sharing.flat_map(|index| self.allocate(strategy, index)).collect();
        queues.sort_unstable();
        queues.dedup();
        queues
    }

    /// Queues of the client at `index`.
    fn allocate(&self, strategy: Strategy, index: usize) -> Vec<usize> {
        let (queues, clients) = (self.queues.len(), self.clients.len());
        match strategy {
            Strategy::Average => average(queues, clients, index).collect(),
            Strategy::Circle => (index..queues).step_by(clients.max(1)).collect(),
            Strategy::ConsistentHash => {
                let ring = self.ring();
                (0..queues).filter(|queue| self.owner_on(&ring, *queue) == Some(index)).collect()
            }
        }
    }

    /// Points in order, each with the index of its client; of equal points the last counts.
    fn ring(&self) -> BTreeMap<u32, usize> {
        let points =
            |(index, id)| (0..POINTS_PER_CLIENT).map(move |point| (hash(&format!("{id}-{point}")), index));
        self.clients.iter().enumerate().flat_map(points).collect()
    }

    /// The client at the first point from the queue's own on, round the ring.
    fn owner_on(&self, ring: &BTreeMap<u32, usize>, queue: usize) -> Option<usize> {
        let (broker, queue) = self.queues.get(queue)?;
        let point =
            hash(&format!("MessageQueue [topic={}, brokerName={broker}, queueId={queue}]", self.topic));
        ring.range(point..).next().or_else(|| ring.first_key_value()).map(|(_, index)| *index)
    }
}

/// Neighbouring queues, the first clients one more.
fn average(queues: usize, clients: usize, index: usize) -> std::ops::Range<usize> {
    let (each, more) = (queues / clients.max(1), queues % clients.max(1));
    let first = index * each + index.min(more);
    first..first + each + usize::from(index < more)
}

/// The first four bytes of the MD5.
fn hash(text: &str) -> u32 {
    Md5::digest(text).iter().take(4).fold(0, |hash, byte| hash << 8 | u32::from(*byte))
}

/// Queues of `0..queues` that the member at `index` of `members` reads; every strategy but
/// `AVG_BY_CIRCLE` is taken for `AVG`.
#[must_use]
pub fn assign_queues(strategy: &str, queues: u32, members: u32, index: u32) -> Vec<u32> {
    if index >= members {
        return Vec::new();
    }
    if strategy == "AVG_BY_CIRCLE" {
        return (index..queues).step_by(members as usize).collect();
    }
    let range = average(queues as usize, members as usize, index as usize);
    range.filter_map(|queue| u32::try_from(queue).ok()).collect()
}

#[cfg(test)]
mod tests;
