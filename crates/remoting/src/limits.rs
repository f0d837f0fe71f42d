//! All limits of this crate, each with its reason.

/// A frame, counted after its length field: what every official client and broker allows
/// (`com.rocketmq.remoting.frameMaxLength`). A longer one closes the connection.
pub const FRAME_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A frame's header. The largest honest one carries 32 KiB of properties, escaped.
pub const HEADER_BYTES_MAX: usize = 1024 * 1024;
/// Requests of one connection that are being worked on; reading stops above.
pub(crate) const REQUESTS_IN_FLIGHT_MAX: usize = 1_024;
/// Requests of one connection that only wait for messages; more are answered "busy". A client
/// holds one per queue that it reads.
pub(crate) const REQUESTS_HELD_MAX: usize = 8_192;
/// Bytes of bodies of one connection's requests in work; reading stops above.
pub(crate) const REQUEST_BYTES_IN_FLIGHT_MAX: usize = 32 * 1024 * 1024;
/// While memory has no room for the rest of a large frame, a connection looks again so often.
pub(crate) const ROOM_LOOK_MS: u64 = 10;
/// Answers that wait for one client to read them, from where on they are copied: a part of a frame
/// that waits for long would keep all of the frame in memory.
pub(crate) const ANSWER_BYTES_SHARED_MAX: usize = 1024 * 1024;
/// Answers that wait for one client to read them; above, its requests wait too.
pub(crate) const ANSWER_BYTES_WAITING_MAX: usize = 8 * 1024 * 1024;
/// Notices that wait to be written to one client; more are dropped.
pub(crate) const NOTICES_WAITING_MAX: usize = 256;
/// Requests of ours that one client has not answered.
pub(crate) const CALLS_WAITING_MAX: usize = 256;
/// How long we wait for a client's answer (`callClient`).
pub(crate) const CALL_TIMEOUT_MS: u64 = 10_000;
/// Longest time a request is held, whatever the client asks for: below its own RPC timeout (30 s).
pub(crate) const HOLD_MS_MAX: i64 = 30_000;
/// Bytes of one pull answer when the client does not say (`maxTransferBytesOnMessageInMemory`).
pub(crate) const PULL_BYTES_DEFAULT: usize = 256 * 1024;
/// Bytes of one pull answer whatever the client says: answers must fit into a frame.
pub(crate) const PULL_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Groups whose subscriptions one connection remembers.
pub(crate) const GROUPS_PER_CONNECTION_MAX: usize = 4_096;
/// Clients that share one connection.
pub(crate) const CLIENTS_PER_CONNECTION_MAX: usize = 256;
/// Groups whose last queue lock is remembered.
pub(crate) const LOCKING_GROUPS_MAX: usize = 16_384;
/// How long a queue lock counts as held (`REBALANCE_LOCK_MAX_LIVE_TIME`).
pub(crate) const LOCK_LEASE_MS: u64 = 60_000;
/// Receipts in one batch of acknowledgements.
pub(crate) const BATCH_ACK_MAX: usize = 4_096;
/// How often a held notification request looks again for messages.
pub(crate) const NOTIFICATION_LOOK_MS: i64 = 500;
/// Users that sign requests of one connection: a client has one, a gateway a few.
pub(crate) const USERS_PER_CONNECTION_MAX: usize = 8;
