//! Limits of membership, each with its reason.

/// A client that has not been heard for this long is gone (RocketMQ's channel expiry; clients
/// beat every 10 to 30 s).
pub const CLIENT_SILENCE_MS_MAX: i64 = 120_000;
/// The most that time can go on between two events: a clock that jumps forward must not end every
/// membership and lease at once. More than the time between two scans.
pub const CLOCK_STEP_MS_MAX: i64 = 30_000;
/// How long the subscriptions of a client are kept that lost its connection: one that beats without
/// them does so again when it is back.
pub const REMEMBER_MS: i64 = 600_000;
/// Clients of one node: about 1 KiB each.
pub const CLIENTS_MAX: usize = 200_000;
/// Sessions that use one client id: a client and its lost connections, or processes that were given
/// the same id by mistake.
pub const SESSIONS_PER_CLIENT_MAX: usize = 64;
/// Bytes of a client id: address, process and instance fit several times.
pub const CLIENT_ID_BYTES_MAX: usize = 1_024;
/// Groups that one client may name in a beat.
pub const GROUPS_PER_CLIENT_MAX: usize = 1_024;
/// Topics that one consumer may subscribe to.
pub const SUBSCRIPTIONS_PER_GROUP_MAX: usize = 4_096;
/// How long a queue stays locked without renewal (RocketMQ's `REBALANCE_LOCK_MAX_LIVE_TIME`).
pub const LOCK_LEASE_MS: i64 = 60_000;
/// Queues in one lock call: those of the largest topic.
pub const LOCKS_PER_CALL_MAX: usize = 65_536;
/// Leases of one node, some 200 bytes each.
pub const LOCKS_MAX: usize = 1_000_000;
/// Request modes of one node: set by people, one by one.
pub const MODES_MAX: usize = 100_000;
