//! One stream, as far as frames know it.

use bytes::BytesMut;

/// Streams' windows before the peer says otherwise.
pub(crate) const WINDOW_BYTES: i64 = 65_535;

/// `T` is what the owner of the session keeps with each stream.
pub(crate) struct Stream<T> {
    pub(crate) owner: T,
    /// Bytes that the client may still send.
    pub(crate) receive_window: i64,
    /// Bytes that came since the client was last given room.
    pub(crate) received: u32,
    /// The client has sent all.
    pub(crate) is_complete: bool,
    /// Bytes that the client still takes.
    pub(crate) send_window: i64,
    /// The head of the answer is sent.
    pub(crate) is_begun: bool,
    /// Data that waits for a window.
    pub(crate) waiting: BytesMut,
    /// The trailers that follow the data.
    pub(crate) trailers: Option<BytesMut>,
    /// In the list of those that wait for the connection's window.
    pub(crate) is_listed: bool,
}

impl<T> Stream<T> {
    pub(crate) fn new(owner: T, receive_window: i64, send_window: i64, is_complete: bool) -> Self {
        Self {
            owner,
            receive_window,
            received: 0,
            is_complete,
            send_window,
            is_begun: false,
            waiting: BytesMut::new(),
            trailers: None,
            is_listed: false,
        }
    }
}
