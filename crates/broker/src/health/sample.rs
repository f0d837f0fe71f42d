//! What one look at the broker found: plain figures, from which [`super::judge`] tells trouble.

use model::{GroupName, TopicName};

/// All that was seen at one time.
#[derive(Debug, Clone, Default)]
pub(crate) struct Sample {
    pub(crate) now_ms: i64,
    pub(crate) groups: Vec<GroupSample>,
    pub(crate) topics: Vec<TopicSample>,
    pub(crate) producers: Vec<ProducerSample>,
    pub(crate) node: NodeSample,
}

#[derive(Debug, Clone)]
pub(crate) struct GroupSample {
    pub(crate) name: GroupName,
    pub(crate) topics: Vec<ProgressSample>,
    /// Deliveries that failed and were or will be repeated, since the start.
    pub(crate) failed: u64,
    /// What failed most often.
    pub(crate) worst: Option<Failing>,
    /// End of the queue of its dead letters.
    pub(crate) dead_letters: u64,
}

/// A message that fails.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Failing {
    /// Its unique id, else where it stands.
    pub(crate) message_id: String,
    pub(crate) topic: String,
    /// Deliveries that failed.
    pub(crate) attempts: u32,
    pub(crate) at_ms: i64,
}

/// A group in a topic.
#[derive(Debug, Clone)]
pub(crate) struct ProgressSample {
    pub(crate) topic: TopicName,
    /// Clients of the group that want the topic.
    pub(crate) subscribers: usize,
    /// Queues that each subscriber reads; empty where no client owns queues.
    pub(crate) readers: Vec<Reader>,
    pub(crate) queues: u32,
    /// Ends of all queues, summed: grows by what is sent.
    pub(crate) arrived: u64,
    /// Messages that consumers said they are done with, since the start.
    pub(crate) acked: u64,
    pub(crate) lag: u64,
    pub(crate) in_flight: u64,
    /// When the first message that waits was stored, in the queue that is most behind.
    pub(crate) oldest_ms: Option<i64>,
    /// Queues in which something waits.
    pub(crate) behind: Vec<QueueSample>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reader {
    pub(crate) client_id: String,
    pub(crate) queues: u32,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct QueueSample {
    pub(crate) queue: u32,
    pub(crate) in_flight: u64,
    /// Grows with every sign of life of its consumers.
    pub(crate) signs: u64,
}

/// A topic to which something was sent since the last look.
#[derive(Debug, Clone)]
pub(crate) struct TopicSample {
    pub(crate) name: TopicName,
    /// End of each queue.
    pub(crate) ends: Vec<u64>,
}

/// Refused sends since the last look.
#[derive(Debug, Clone)]
pub(crate) struct ProducerSample {
    pub(crate) name: String,
    pub(crate) topic: TopicName,
    pub(crate) why: String,
    pub(crate) calls: u64,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct NodeSample {
    pub(crate) name: String,
    pub(crate) disk_used_percent: Option<u64>,
    pub(crate) disk_refuse_percent: u64,
    /// Timed messages fired since the start, and their lateness, summed.
    pub(crate) fired: u64,
    pub(crate) late_ms: u64,
}
