//! Receipts: the right to settle one delivery.

use thiserror::Error;

use crate::ids::{Lsn, Offset, QueueId};
use crate::names::{GroupName, TopicName};

/// Names one delivery of one message to one group.
///
/// `nonce` is the position of the log record that delivered it: unique, ordered, and checkable
/// by every node. A receipt whose nonce is no longer the newest changes nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Receipt {
    pub group: GroupName,
    /// The topic whose queue holds the message: a retry topic for a retried one.
    pub topic: TopicName,
    pub queue: QueueId,
    pub offset: Offset,
    pub nonce: Lsn,
    /// When the delivery was made, Unix milliseconds.
    pub delivered_ms: i64,
    /// How long it hides the message from then on, milliseconds.
    pub invisible_ms: i64,
}

/// A text that is no receipt of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the receipt handle is malformed: use the one that came with the message")]
pub struct ReceiptError;

impl Receipt {
    /// An opaque text: fields joined by spaces, group and topic last (names have no spaces).
    #[must_use]
    pub fn encode(&self) -> String {
        format!(
            "1 {} {} {} {} {} {} {}",
            self.nonce, self.delivered_ms, self.invisible_ms, self.queue, self.offset, self.topic, self.group
        )
    }

    /// # Errors
    /// If the text was not made by [`Self::encode`].
    pub fn decode(text: &str) -> Result<Self, ReceiptError> {
        let mut parts = text.split(' ');
        let mut next = || parts.next().ok_or(ReceiptError);
        if next()? != "1" {
            return Err(ReceiptError);
        }
        let receipt = Self {
            nonce: Lsn(parse(next()?)?),
            delivered_ms: parse(next()?)?,
            invisible_ms: parse(next()?)?,
            queue: QueueId(parse(next()?)?),
            offset: Offset(parse(next()?)?),
            topic: TopicName::new(next()?).map_err(|_| ReceiptError)?,
            group: GroupName::new(next()?).map_err(|_| ReceiptError)?,
        };
        if parts.next().is_some() { Err(ReceiptError) } else { Ok(receipt) }
    }
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, ReceiptError> {
    text.parse().map_err(|_| ReceiptError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receipt_survives_its_text() {
        let receipt = Receipt {
            group: GroupName::new("g").expect("legal"),
            topic: TopicName::new("%RETRY%g_t").expect("legal"),
            queue: QueueId(3),
            offset: Offset(u64::MAX),
            nonce: Lsn(77),
            delivered_ms: 5,
            invisible_ms: 30_000,
        };
        assert_eq!(Receipt::decode(&receipt.encode()), Ok(receipt));
    }

    #[test]
    fn garbage_is_no_receipt() {
        for text in ["", "1", "2 1 1 1 1 1 t g", "1 x 1 1 1 1 t g", "1 1 1 1 1 1 t g more", "1 1 1 1 1 1 t !"]
        {
            assert_eq!(Receipt::decode(text), Err(ReceiptError), "{text}");
        }
    }
}
