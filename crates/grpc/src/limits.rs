//! All limits of the crate, each with its reason. What RocketMQ's proxy limits too has its number
//! (`ProxyConfig`); the rest bounds memory that clients can make us hold.

use model::limits::BODY_BYTES_MAX;

/// One request on the wire: a largest body, its properties and framing. Larger ones are refused by
/// the transport before they are read.
pub(crate) const REQUEST_BYTES_MAX: usize = BODY_BYTES_MAX + 128 * 1024;
/// Messages of one `SendMessage`.
pub(crate) const SEND_MESSAGES_MAX: usize = 1_024;
/// Entries of one `AckMessage`.
pub(crate) const ACK_ENTRIES_MAX: usize = 1_024;
/// User properties of one message.
pub(crate) const USER_PROPERTIES_MAX: usize = 128;
/// Bytes of user properties, tag and keys together.
pub(crate) const USER_PROPERTY_BYTES_MAX: usize = 16 * 1024;
/// A message group must be shorter than this.
pub(crate) const MESSAGE_GROUP_BYTES_END: usize = 64;
/// A lite topic's name.
pub(crate) use model::limits::LITE_TOPIC_BYTES_MAX;
/// A message id: 34 digits from official clients, 56 from old ones.
pub(crate) const MESSAGE_ID_BYTES_MAX: usize = 255;
/// A client id, kept per client.
pub(crate) const CLIENT_ID_BYTES_MAX: usize = 512;
/// First wait of an undecided transaction.
pub(crate) const TRANSACTION_RECOVERY_SECONDS_MAX: i64 = 3_600;
/// `client_properties` of the settings, in entries and bytes.
pub(crate) const CLIENT_PROPERTIES_MAX: usize = 32;
pub(crate) const CLIENT_PROPERTY_BYTES_MAX: usize = 4 * 1024;
/// Topics that one client publishes or subscribes.
pub(crate) const CLIENT_TOPICS_MAX: usize = 1_024;
/// Commands waiting for one telemetry stream; a client that lets more pile up is dropped.
pub(crate) const TELEMETRY_BUFFER: usize = 64;
/// Telemetry streams of one client: one per address that it knows of us.
pub(crate) const TELEMETRY_STREAMS_MAX: usize = 8;
/// Messages that are renewed for one client; more keep their first invisible time.
pub(crate) const RENEWED_PER_CLIENT_MAX: usize = 16_384;
/// Configurations of groups remembered at once.
pub(crate) const GROUPS_REMEMBERED_MAX: usize = 20_000;
/// Streams at once on one connection: beyond it the transport makes the client wait.
pub(crate) const STREAMS_PER_CONNECTION_MAX: u32 = 2_048;
/// Header bytes of one request.
pub(crate) const HEADER_BYTES_MAX: u32 = 16 * 1024;
/// Streams reset before we have answered them, per connection (rapid reset attacks).
pub(crate) const PENDING_RESETS_MAX: usize = 512;
/// Frames without content one after the other: a client has no use for them.
pub(crate) const EMPTY_FRAMES_MAX: usize = 1_000;
/// Bytes of the text of a refused call, of which each may be written as three.
pub(crate) const STATUS_TEXT_BYTES_MAX: usize = 4 * 1024;
/// Bytes that wait to be written to one client: while there are more, nothing is read from it.
pub(crate) const ANSWER_BYTES_WAITING_MAX: usize = 256 * 1024;
/// Bytes of one command of a client's telemetry: settings name at most [`CLIENT_TOPICS_MAX`] topics.
pub(crate) const TELEMETRY_BYTES_MAX: usize = 1024 * 1024;
/// Bytes of one report of what a client measures: a consumer of hundreds of topics has less.
pub(crate) const REPORT_BYTES_MAX: usize = 1024 * 1024;
/// Points of one report; more are refused.
pub(crate) const REPORT_POINTS_MAX: usize = 4_096;
/// Topics, and groups in topics, whose reports have series of their own; more are summed in `other`.
pub(crate) const REPORT_PLACES_MAX: usize = 1_000;
/// Series of one client whose last values are remembered; more are refused.
pub(crate) const REPORT_HISTORIES_PER_CLIENT_MAX: usize = 2_048;
/// Series of all clients whose last values are remembered, at about 300 bytes each; more are refused.
pub(crate) const REPORT_HISTORIES_MAX: usize = 100_000;
/// What a client holds is believed for so long: clients report each minute.
pub(crate) const REPORT_SILENT_MS: i64 = 150_000;
/// What a client said last is remembered for so long.
pub(crate) const REPORT_REMEMBERED_MS: i64 = 600_000;
