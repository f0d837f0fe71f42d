//! Bodies that a client compressed, made readable.

use bytes::Bytes;
use model::StoredMessage;
use model::message::flags;

use crate::limits::PLAIN_BODY_BYTES_MAX;

/// The body as the application gave it; as it is stored, where that cannot be told.
pub(crate) fn plain(message: &StoredMessage) -> Bytes {
    let body = message.body();
    if message.system_flags() & flags::COMPRESSED == 0 {
        return body;
    }
    base::inflate(&body, PLAIN_BODY_BYTES_MAX).unwrap_or(body)
}
