//! Limits of connections, each with its reason.

/// First bytes that protocols are shown: the longest that any needs to tell (HTTP/2's preface has 24).
pub const SNIFF_BYTES_MAX: usize = 64;
/// The longest PROXY v1 line, by its specification.
pub const PROXY_V1_BYTES_MAX: usize = 107;
/// A PROXY v2 header with its extensions: they carry certificates' names, not bodies.
pub const PROXY_V2_BYTES_MAX: usize = 4_096;
/// A file with certificates or a key: a bundle of all public authorities has a fifth of that.
pub const PEM_BYTES_MAX: u64 = 1 << 20;
/// The part of a client's name in its certificate that is kept: what the standard allows a common name.
pub const CERTIFICATE_NAME_BYTES_MAX: usize = 256;
/// Lines about clients coming and going in one second; more are told as a number.
pub const CLIENT_LINES_PER_SECOND: u32 = 10;
/// Pause after the system refused to accept (no file descriptors, no memory): others must end first.
pub const ACCEPT_PAUSE_MS: u64 = 100;
