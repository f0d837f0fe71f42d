//! All limits of the model, each with its reason. Sizes in bytes.

/// Body of one message (and of a whole batch): what every official client allows by default.
pub const BODY_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Encoded properties: the record stores their length in an i16.
pub const PROPERTIES_BYTES_MAX: usize = 32_767;
/// A topic name: the first record layout stores its length in one signed byte.
pub const TOPIC_NAME_BYTES_MAX: usize = 127;
/// A derived (retry, dead letter) topic name.
pub const DERIVED_TOPIC_NAME_BYTES_MAX: usize = 255;
/// A group name, so that `%RETRY%` and `%DLQ%` fit before it.
pub const GROUP_NAME_BYTES_MAX: usize = 120;
/// A lite topic's name inside its parent, as RocketMQ's `maxLiteTopicSize`.
pub const LITE_TOPIC_BYTES_MAX: usize = 64;
/// Queues of one topic.
pub const QUEUES_PER_TOPIC_MAX: u32 = 65_536;
/// Messages of one receive call.
pub const RECEIVE_MESSAGES_MAX: u32 = 32;
/// Messages of one fetch, whatever the client asks for.
pub const FETCH_MESSAGES_MAX: u32 = 1_024;
/// Messages of one publish call: bounds the work of one frame.
pub const PUBLISH_MESSAGES_MAX: usize = 4_096;
/// In-flight messages per (group, queue); more are not handed out until some are settled.
pub const IN_FLIGHT_PER_QUEUE_MAX: usize = 10_000;
/// Shortest and longest time a received message stays hidden, in milliseconds.
pub const INVISIBLE_MS_MIN: i64 = 10_000;
pub const INVISIBLE_MS_MAX: i64 = 12 * 3_600_000;
/// Results of one query by key.
pub const QUERY_MESSAGES_MAX: usize = 256;
/// Longest window of deduplication, in milliseconds: what is remembered is kept in memory.
pub const DEDUP_WINDOW_MS_MAX: i64 = 7 * 86_400_000;
/// Quotas of the catalogue: every one is in memory, and looked up before every call.
pub const QUOTAS_MAX: usize = 10_000;
/// Longest name that a quota is for: no user, topic or namespace has a longer one.
pub const QUOTA_NAME_BYTES_MAX: usize = 255;
/// Highest quota in a second; more is no quota.
pub const QUOTA_PER_S_MAX: u64 = 1_000_000_000_000;
/// A user's name: it travels in the headers of every request.
pub const USER_NAME_BYTES_MAX: usize = 128;
/// A password: it is the key of an HMAC, and no longer key is any better.
pub const PASSWORD_BYTES_MAX: usize = 512;
/// Users: all are kept in memory.
pub const USERS_MAX: usize = 10_000;
/// A resource of a policy: a topic's name, its kind and room for derived names.
pub const RESOURCE_BYTES_MAX: usize = 300;
/// Entries of one user's policies: they are one record.
pub const POLICY_ENTRIES_PER_USER_MAX: usize = 2_000;
/// Actions of an entry: there are fewer.
pub const ACTIONS_PER_ENTRY_MAX: usize = 16;
/// Addresses of an entry: each may be looked at in a decision.
pub const SOURCE_IPS_PER_ENTRY_MAX: usize = 100;
/// Sessions and topics whose refused sends are told apart between two looks of the health watch.
pub const THROTTLED_MAX: usize = 1_024;
