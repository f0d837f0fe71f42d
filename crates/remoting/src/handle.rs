//! Receipt handles of pop: how a [`Receipt`] travels in the eight numbers and names that 4.x
//! clients carry for us (`ExtraInfoUtil`).
//!
//! ```text
//! startOffset popTime invisibleTime reviveQid t brokerName queueId queueOffset
//! ```
//! A client builds this text itself, in two ways, so the nonce must survive both:
//!
//! - **after pop** (`MQClientAPIImpl.processPopResponse`): `startOffset` is one number per
//!   (t, queue) of the answer, `reviveQid` and the times are one for the whole answer, the rest
//!   comes from the message. `popTime` is also compared with the client's clock, and batches of
//!   acknowledgements carry `(int) (queueOffset - startOffset)` as bit numbers. So:
//!
//!   ```text
//!   startOffset  0 | 1 mark | 1 page before | 29 low bits of nonce | 32 low bits of the first offset
//!   reviveQid    31 high bits of the nonce ("page"); one more than those of a nonce with "page before"
//!   ```
//! - **after change-invisible** (`changeInvisibleTimeAsync`): `startOffset` is the queue offset
//!   itself (never so large that it has the mark), the times and `reviveQid` are what we answer. So:
//!   `popTime` = nonce and `invisibleTime` = visible time - nonce, whose sum is what it should be.
//!
//! A message whose nonce fits into neither (a second nonce of one queue in one answer, or more
//! than a page away), and each retried one, carries its whole handle as property `POP_CK`, which
//! clients prefer to what they would build.
//!
//! `t` says where the message stands: 0 in its topic, 1 in the group's retry topic for
//! receivers (`%RETRY%group_topic`), 2 in the group's retry topic of pulling clients, whose
//! name clients then build wrongly, but it is not read from there.

use model::{GroupName, Lsn, Offset, QueueId, Receipt, TopicName};

use crate::error::Failure;

const MARK: u64 = 1 << 62;
const PAGE_BEFORE: u64 = 1 << 61;
const LOW_BITS: u32 = 29;
const LOW_MASK: u64 = (1 << LOW_BITS) - 1;
const OFFSET_MASK: u64 = 0xFFFF_FFFF;

/// Where a popped message stands, relative to the topic that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Home {
    Topic,
    ReceiveRetry,
    PullRetry,
}

impl Home {
    pub(crate) const fn digit(self) -> u8 {
        match self {
            Self::Topic => 0,
            Self::ReceiveRetry => 1,
            Self::PullRetry => 2,
        }
    }

    fn of_digit(text: &str) -> Result<Self, Failure> {
        match text {
            "0" => Ok(Self::Topic),
            "1" => Ok(Self::ReceiveRetry),
            "2" => Ok(Self::PullRetry),
            other => Err(Failure::malformed("extraInfo", other)),
        }
    }

    /// How the topic of a receipt relates to the topic that was asked for.
    pub(crate) fn of(asked: &TopicName, held: &TopicName, group: &GroupName) -> Self {
        if asked == held {
            Self::Topic
        } else if *held == TopicName::retry_of(group) {
            Self::PullRetry
        } else {
            Self::ReceiveRetry
        }
    }
}

/// The page of a nonce: what `reviveQid` carries.
pub(crate) const fn page(nonce: Lsn) -> u64 {
    nonce.0 >> LOW_BITS
}

/// `startOffset` for messages from `first` on with this nonce, in an answer with this
/// `reviveQid`; `None` if the nonce is not of that page or the one before.
pub(crate) fn start_offset(nonce: Lsn, first: Offset, answer_page: u64) -> Option<u64> {
    let before = match answer_page.checked_sub(page(nonce))? {
        0 => 0,
        1 => PAGE_BEFORE,
        _ => return None,
    };
    Some(MARK | before | (nonce.0 & LOW_MASK) << 32 | (first.0 & OFFSET_MASK))
}

/// The whole handle of one message, for its property `POP_CK`.
pub(crate) fn check_point(receipt: &Receipt, home: Home, broker_name: &str) -> String {
    let page = page(receipt.nonce);
    let start = start_offset(receipt.nonce, receipt.offset, page).unwrap_or_default();
    format!(
        "{start} {} {} {page} {} {broker_name} {} {}",
        receipt.delivered_ms,
        receipt.invisible_ms,
        home.digit(),
        receipt.queue,
        receipt.offset
    )
}

/// `popTime` and `invisibleTime` of the answer to a change of the invisible time.
pub(crate) fn changed_times(receipt: &Receipt) -> (i64, i64) {
    let nonce = i64::try_from(receipt.nonce.0).unwrap_or(i64::MAX);
    (nonce, receipt.delivered_ms.saturating_add(receipt.invisible_ms).saturating_sub(nonce))
}

/// What an acknowledgement tells of the delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Delivered {
    pub(crate) nonce: Lsn,
    pub(crate) delivered_ms: i64,
    pub(crate) invisible_ms: i64,
    pub(crate) home: Home,
    /// Low 32 bits of the first offset, of handles made by pop.
    pub(crate) first_low: Option<u32>,
}

impl Delivered {
    /// From the four numbers that tell of the nonce.
    pub(crate) fn of(start_offset: i64, pop_time: i64, invisible: i64, revive: i64, home: Home) -> Self {
        let start = u64::try_from(start_offset).unwrap_or_default();
        if start & MARK == 0 {
            let nonce = Lsn(u64::try_from(pop_time).unwrap_or_default());
            let visible = pop_time.saturating_add(invisible);
            return Self { nonce, delivered_ms: visible, invisible_ms: 0, home, first_low: None };
        }
        let page = u64::try_from(revive).unwrap_or_default();
        let page = if start & PAGE_BEFORE == 0 { page } else { page.saturating_sub(1) };
        let nonce = Lsn(page.checked_shl(LOW_BITS).unwrap_or_default() | (start >> 32 & LOW_MASK));
        let first_low = u32::try_from(start & OFFSET_MASK).ok();
        Self { nonce, delivered_ms: pop_time, invisible_ms: invisible, home, first_low }
    }

    /// From the text that clients build.
    pub(crate) fn parse(extra_info: &str) -> Result<Self, Failure> {
        let malformed = || Failure::malformed("extraInfo", extra_info);
        let mut rest = extra_info;
        // One for each acknowledgement: quicker than the splits of the library.
        let mut next = || {
            let end = rest.bytes().position(|byte| byte == b' ').unwrap_or(rest.len());
            let part = rest.get(..end);
            rest = rest.get(end + 1..).unwrap_or_default();
            part.ok_or_else(malformed)
        };
        let mut number = || -> Result<i64, Failure> { next()?.parse().map_err(|_| malformed()) };
        let (start, pop_time, invisible, revive) = (number()?, number()?, number()?, number()?);
        let home = Home::of_digit(next()?)?;
        Ok(Self::of(start, pop_time, invisible, revive, home))
    }

    pub(crate) fn receipt(
        self,
        group: &GroupName,
        topic: TopicName,
        queue: QueueId,
        offset: Offset,
    ) -> Receipt {
        Receipt {
            group: group.clone(),
            topic,
            queue,
            offset,
            nonce: self.nonce,
            delivered_ms: self.delivered_ms,
            invisible_ms: self.invisible_ms,
        }
    }
}

/// The home that a batch of acknowledgements names; absent means the topic itself.
pub(crate) fn home_of_batch(retry: Option<&str>) -> Result<Home, Failure> {
    retry.map_or(Ok(Home::Topic), Home::of_digit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn receipt(nonce: u64, offset: u64) -> Receipt {
        Receipt {
            group: GroupName::new("g").expect("legal"),
            topic: TopicName::new("t").expect("legal"),
            queue: QueueId(3),
            offset: Offset(offset),
            nonce: Lsn(nonce),
            delivered_ms: 1_700_000_000_000,
            invisible_ms: 60_000,
        }
    }

    proptest! {
        #[test]
        fn a_nonce_survives_pop(nonce in 0..1_u64 << 60, back in 0..1_u64 << 29, offset in 0..1_u64 << 61) {
            let answer_page = page(Lsn(nonce));
            for nonce in [nonce, nonce.saturating_sub(back)] {
                let start = start_offset(Lsn(nonce), Offset(offset), answer_page).expect("near");
                let start = i64::try_from(start).expect("a Java long");
                let page = i64::try_from(answer_page).expect("small");
                let seen = Delivered::of(start, 5, 6, page, Home::Topic);
                prop_assert_eq!(seen.nonce, Lsn(nonce));
                prop_assert_eq!(u64::from(seen.first_low.expect("made by pop")), offset & OFFSET_MASK);
                prop_assert!(i32::try_from(page).is_ok(), "reviveQid is a Java int");
            }
        }

        #[test]
        fn a_nonce_survives_a_change(nonce in 0..1_u64 << 60, offset in 0..1_i64 << 61) {
            let receipt = receipt(nonce, 0);
            let (pop_time, invisible) = changed_times(&receipt);
            let seen = Delivered::of(offset, pop_time, invisible, 0, Home::Topic);
            prop_assert_eq!(seen.nonce, Lsn(nonce));
            prop_assert_eq!(seen.delivered_ms + seen.invisible_ms, 1_700_000_060_000);
        }

        #[test]
        fn a_check_point_survives(nonce in 0..1_u64 << 60, offset in 0..1_u64 << 61) {
            let text = check_point(&receipt(nonce, offset), Home::ReceiveRetry, "b");
            let seen = Delivered::parse(&text).expect("our own");
            prop_assert_eq!((seen.nonce, seen.home), (Lsn(nonce), Home::ReceiveRetry));
        }

        #[test]
        fn garbage_does_not_panic(text in ".*", numbers in proptest::array::uniform4(any::<i64>())) {
            let _ = Delivered::parse(&text);
            let [a, b, c, d] = numbers;
            let _ = Delivered::of(a, b, c, d, Home::Topic);
        }
    }

    #[test]
    fn bits_of_a_batch_count_from_the_first_offset() {
        let first = 7 + (5 << 32);
        let start = start_offset(Lsn(1 << 40), Offset(first), page(Lsn(1 << 40))).expect("near");
        #[expect(clippy::cast_possible_truncation, reason = "as Java's (int) does")]
        let bit = (first + 3).wrapping_sub(start) as u32;
        assert_eq!(bit, 3);
    }

    #[test]
    fn a_far_nonce_needs_its_own_handle() {
        assert_eq!(start_offset(Lsn(0), Offset(0), 2), None);
        assert_eq!(start_offset(Lsn(1 << 40), Offset(0), 2), None);
    }
}
