//! Receipts: the right to settle one delivery.

use thiserror::Error;

use crate::decimal::decimal;
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

/// Tells one delivery from all others. (A group need not be told apart: a record that delivers is of one group.)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct DeliveryKey {
    nonce: Lsn,
    queue: QueueId,
    offset: Offset,
    topic: TopicName,
}

impl DeliveryKey {
    #[must_use]
    pub fn of(receipt: &Receipt) -> Self {
        let Receipt { nonce, queue, offset, topic, .. } = receipt;
        Self { nonce: *nonce, queue: *queue, offset: *offset, topic: topic.clone() }
    }
}

/// A text that is no receipt of ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the receipt handle is malformed: use the one that came with the message")]
pub struct ReceiptError;

impl Receipt {
    /// An opaque text: fields joined by spaces, group and topic last (names have no spaces).
    #[must_use]
    pub fn encode(&self) -> String {
        let names = self.topic.as_str().len() + self.group.as_str().len();
        let mut text = String::with_capacity(names + NUMBERS_BYTES);
        text.push_str("1 ");
        // Made for each message that is handed out: several times quicker than the formatter.
        put_number(self.nonce.get(), &mut text);
        put_signed(self.delivered_ms, &mut text);
        put_signed(self.invisible_ms, &mut text);
        put_number(u64::from(self.queue.get()), &mut text);
        put_number(self.offset.get(), &mut text);
        text.push_str(self.topic.as_str());
        text.push(' ');
        text.push_str(self.group.as_str());
        text
    }

    /// # Errors
    /// If the text was not made by [`Self::encode`].
    pub fn decode(text: &str) -> Result<Self, ReceiptError> {
        let mut rest = text;
        let mut next = || {
            let end = rest.bytes().position(|byte| byte == b' ').ok_or(ReceiptError)?;
            let part = rest.get(..end).ok_or(ReceiptError)?;
            rest = rest.get(end + 1..).ok_or(ReceiptError)?;
            Ok(part)
        };
        if next()? != "1" {
            return Err(ReceiptError);
        }
        Ok(Self {
            nonce: Lsn(parse(next()?)?),
            delivered_ms: parse(next()?)?,
            invisible_ms: parse(next()?)?,
            queue: QueueId(parse(next()?)?),
            offset: Offset(parse(next()?)?),
            topic: TopicName::new(next()?).map_err(|_| ReceiptError)?,
            // A name has no spaces: nothing may follow.
            group: GroupName::new(rest).map_err(|_| ReceiptError)?,
        })
    }
}

/// Room for the five numbers and what stands between them.
const NUMBERS_BYTES: usize = 5 * 20 + 8;

fn put_signed(number: i64, out: &mut String) {
    if number < 0 {
        out.push('-');
    }
    put_number(number.unsigned_abs(), out);
}

/// The digits of a number, and a space.
fn put_number(number: u64, out: &mut String) {
    decimal(number, |digits| out.push_str(digits));
    out.push(' ');
}

fn parse<T: std::str::FromStr>(text: &str) -> Result<T, ReceiptError> {
    text.parse().map_err(|_| ReceiptError)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

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

    proptest! {
        #[test]
        fn a_receipt_is_written_as_the_formatter_would(
            numbers in any::<(u64, i64, i64, u32, u64)>(), topic in "[a-z%_]{1,9}", group in "[a-z-]{1,9}",
        ) {
            let (nonce, delivered_ms, invisible_ms, queue, offset) = numbers;
            let expected = format!("1 {nonce} {delivered_ms} {invisible_ms} {queue} {offset} {topic} {group}");
            let receipt = Receipt {
                group: GroupName::new(&group).expect("legal"),
                topic: TopicName::new(&topic).expect("legal"),
                queue: QueueId(queue),
                offset: Offset(offset),
                nonce: Lsn(nonce),
                delivered_ms,
                invisible_ms,
            };
            prop_assert_eq!(receipt.encode(), expected.as_str());
            prop_assert_eq!(Receipt::decode(&expected), Ok(receipt));
        }
    }

    #[test]
    fn garbage_is_no_receipt() {
        for text in ["", "1", "2 1 1 1 1 1 t g", "1 x 1 1 1 1 t g", "1 1 1 1 1 1 t g more", "1 1 1 1 1 1 t !"]
        {
            assert_eq!(Receipt::decode(text), Err(ReceiptError), "{text}");
        }
    }
}
