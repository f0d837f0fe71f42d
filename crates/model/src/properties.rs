//! Properties of a message, kept in the encoded form in which records hold them.
//!
//! Encoding: `key \u{1} value \u{2}` repeated; the last `\u{2}` may be missing in what clients
//! send. Keys with a meaning are the constants below (names of RocketMQ's `MessageConst`).

use smallvec::SmallVec;

/// Separates key and value.
pub const KEY_END: char = '\u{1}';
/// Ends a pair.
pub const VALUE_END: char = '\u{2}';

pub const KEYS: &str = "KEYS";
pub const TAGS: &str = "TAGS";
pub const WAIT: &str = "WAIT";
pub const DELAY: &str = "DELAY";
pub const RETRY_TOPIC: &str = "RETRY_TOPIC";
pub const ORIGIN_MESSAGE_ID: &str = "ORIGIN_MESSAGE_ID";
pub const REAL_TOPIC: &str = "REAL_TOPIC";
pub const REAL_QUEUE_ID: &str = "REAL_QID";
pub const TRANSACTION_PREPARED: &str = "TRAN_MSG";
pub const PRODUCER_GROUP: &str = "PGROUP";
pub const MIN_OFFSET: &str = "MIN_OFFSET";
pub const MAX_OFFSET: &str = "MAX_OFFSET";
pub const UNIQUE_ID: &str = "UNIQ_KEY";
pub const MSG_REGION: &str = "MSG_REGION";
pub const TRACE_ON: &str = "TRACE_ON";
pub const CLUSTER: &str = "CLUSTER";
pub const RECONSUME_TIME: &str = "RECONSUME_TIME";
pub const MAX_RECONSUME_TIMES: &str = "MAX_RECONSUME_TIMES";
pub const CONSUME_START_TIME: &str = "CONSUME_START_TIME";
pub const CORRELATION_ID: &str = "CORRELATION_ID";
pub const REPLY_TO_CLIENT: &str = "REPLY_TO_CLIENT";
pub const TTL: &str = "TTL";
pub const MSG_TYPE: &str = "MSG_TYPE";
pub const POP_CHECK_POINT: &str = "POP_CK";
pub const FIRST_POP_TIME: &str = "1ST_POP_TIME";
pub const SHARDING_KEY: &str = "__SHARDINGKEY";
pub const LITE_TOPIC: &str = "__LITE_TOPIC";
pub const PRIORITY: &str = "_SYS_MSG_PRIORITY_";
pub const INNER_NUM: &str = "INNER_NUM";
pub const TIMER_DELAY_SEC: &str = "TIMER_DELAY_SEC";
pub const TIMER_DELAY_MS: &str = "TIMER_DELAY_MS";
pub const TIMER_DELIVER_MS: &str = "TIMER_DELIVER_MS";
pub const TIMER_OUT_MS: &str = "TIMER_OUT_MS";
/// Cancels the timed message with this unique id (4.x).
pub const TIMER_DELETE_UNIQUE_ID: &str = "TIMER_DEL_UNIQKEY";
pub const TRANSACTION_ID: &str = "__transactionId__";
pub const CHECK_IMMUNITY_SECONDS: &str = "CHECK_IMMUNITY_TIME_IN_SECONDS";
/// How often a producer was asked about a half message.
pub const TRANSACTION_CHECK_TIMES: &str = "TRANSACTION_CHECK_TIMES";
pub const TRANSFER_FLAG: &str = "TRANSFER_FLAG";
pub const TRACE_CONTEXT: &str = "TRACE_CONTEXT";
/// The producer's own name for its host (5.x).
pub const BORN_HOST: &str = "__BORNHOST";
pub const BORN_TIMESTAMP: &str = "BORN_TIMESTAMP";
pub const DLQ_ORIGIN_TOPIC: &str = "DLQ_ORIGIN_TOPIC";
pub const DLQ_ORIGIN_MESSAGE_ID: &str = "DLQ_ORIGIN_MESSAGE_ID";

/// Where a message comes from, as the W3C's Trace Context says it. Users, or what instruments them, set it.
pub const TRACEPARENT: &str = "traceparent";
/// What goes with it.
pub const TRACESTATE: &str = "tracestate";
/// A producer's name of its own, for deduplication by sequence. Users set it.
pub const DEDUP_PRODUCER: &str = "APOGEE_PRODUCER_ID";
/// A number that the producer gives each message once.
pub const DEDUP_SEQUENCE: &str = "APOGEE_SEQUENCE";
/// Ours: the message recurs by this cron expression (5 fields, or 6 with seconds first; UTC).
pub const CRON: &str = "APOGEE_CRON";
/// Ours: a recurring message is not fired after this time (Unix milliseconds).
pub const CRON_UNTIL_MS: &str = "APOGEE_CRON_UNTIL_MS";
/// Ours: a recurring message is fired so many times at most.
pub const CRON_TIMES: &str = "APOGEE_CRON_TIMES";

/// Keys that users may not set (`MessageConst.STRING_HASH_SET`).
pub const RESERVED: &[&str] = &[
    KEYS,
    TAGS,
    WAIT,
    DELAY,
    RETRY_TOPIC,
    ORIGIN_MESSAGE_ID,
    REAL_TOPIC,
    REAL_QUEUE_ID,
    TRANSACTION_PREPARED,
    PRODUCER_GROUP,
    MIN_OFFSET,
    MAX_OFFSET,
    "BUYER_ID",
    UNIQUE_ID,
    MSG_REGION,
    TRACE_ON,
    CLUSTER,
    RECONSUME_TIME,
    MAX_RECONSUME_TIMES,
    CONSUME_START_TIME,
    "INSTANCE_ID",
    CORRELATION_ID,
    REPLY_TO_CLIENT,
    TTL,
    MSG_TYPE,
    "ARRIVE_TIME",
    "PUSH_REPLY_TIME",
    POP_CHECK_POINT,
    FIRST_POP_TIME,
    SHARDING_KEY,
    LITE_TOPIC,
    PRIORITY,
    INNER_NUM,
    "INNER_BASE",
    "INNER_MULTI_DISPATCH",
    "INNER_MULTI_QUEUE_OFFSET",
    TIMER_DELAY_SEC,
    TIMER_DELAY_MS,
    TIMER_DELIVER_MS,
    TIMER_OUT_MS,
    TIMER_DELETE_UNIQUE_ID,
    "TIMER_ROLL_TIMES",
    "TIMER_ENQUEUE_MS",
    "TIMER_DEQUEUE_MS",
    TRANSACTION_ID,
    TRANSACTION_CHECK_TIMES,
    CHECK_IMMUNITY_SECONDS,
    "TRAN_PREPARED_QUEUE_OFFSET",
    TRANSFER_FLAG,
    "DUP_INFO",
    TRACE_CONTEXT,
    "__CRC32#",
    DLQ_ORIGIN_TOPIC,
    DLQ_ORIGIN_MESSAGE_ID,
    BORN_HOST,
    BORN_TIMESTAMP,
];

/// An ordered multimap of strings in its encoded form. The first of equal keys counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Properties(String);

impl Properties {
    #[must_use]
    pub const fn new() -> Self {
        Self(String::new())
    }

    /// Takes the encoded form as it came.
    #[must_use]
    pub const fn from_encoded(encoded: String) -> Self {
        Self(encoded)
    }

    #[must_use]
    pub fn as_encoded(&self) -> &str {
        &self.0
    }

    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        get(&self.0, key)
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        iter(&self.0)
    }

    /// Takes the pairs apart once, for whoever has more than one question.
    #[must_use]
    pub fn pairs(&self) -> Pairs<'_> {
        Pairs::of(&self.0)
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Appends a pair without looking for an older one of the same key.
    pub fn push(&mut self, key: &str, value: &str) {
        if !self.0.is_empty() && !self.0.ends_with(VALUE_END) {
            self.0.push(VALUE_END);
        }
        self.0.push_str(key);
        self.0.push(KEY_END);
        self.0.push_str(value);
        self.0.push(VALUE_END);
    }

    /// Those of `pairs` that `keep` names, with room for `more_bytes` to be added.
    #[must_use]
    pub fn kept_of(pairs: &Pairs<'_>, more_bytes: usize, keep: impl Fn(&str) -> bool) -> Self {
        let bytes: usize = pairs.iter().map(|(key, value)| key.len() + value.len() + 2).sum();
        let mut kept = Self(String::with_capacity(bytes + more_bytes));
        pairs.iter().filter(|(key, _)| keep(key)).for_each(|(key, value)| kept.push(key, value));
        kept
    }

    /// Replaces all pairs of `key` by one.
    pub fn set(&mut self, key: &str, value: &str) {
        self.remove(key);
        self.push(key, value);
    }

    pub fn remove(&mut self, key: &str) {
        if self.get(key).is_none() {
            return;
        }
        let mut kept = Self::new();
        for (k, v) in self.iter().filter(|(k, _)| *k != key) {
            kept.push(k, v);
        }
        *self = kept;
    }
}

/// Pairs that need no allocation: what clients set by themselves, and a few of the user's.
const PAIRS_INLINE: usize = 8;

/// Properties that were taken apart: a question costs some comparisons of lengths.
#[derive(Debug, Clone)]
pub struct Pairs<'a>(SmallVec<[(&'a str, &'a str); PAIRS_INLINE]>);

impl<'a> Pairs<'a> {
    #[must_use]
    pub fn of(encoded: &'a str) -> Self {
        Self(iter(encoded).collect())
    }

    /// The value of a key; of equal keys, the first counts.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find(|(k, _)| *k == key).map(|(_, v)| *v)
    }

    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        self.0.iter().copied()
    }
}

/// The value of `key` in encoded properties.
///
/// A send asks for a dozen keys, most of which are not there: a pair is passed over by one look for its end.
#[must_use]
pub fn get<'a>(encoded: &'a str, key: &str) -> Option<&'a str> {
    let mut rest = encoded;
    loop {
        if let Some(value) = rest.strip_prefix(key).and_then(|tail| tail.strip_prefix(KEY_END))
            && !key.contains([KEY_END, VALUE_END])
        {
            return value.get(..end_of_pair(value).unwrap_or(value.len()));
        }
        rest = rest.get(end_of_pair(rest)? + 1..)?;
    }
}

/// The values of some keys, found in one pass; of equal keys the first counts.
///
/// Asked of every message where most have none of the keys: a pair whose key begins otherwise is passed over by one
/// look for its end.
#[must_use]
pub fn get_each<'a, const N: usize>(encoded: &'a str, keys: [&str; N]) -> [Option<&'a str>; N] {
    let mut found = [None; N];
    let mut rest = encoded;
    loop {
        let begin = rest.as_bytes().first();
        for (place, key) in found.iter_mut().zip(keys) {
            if place.is_none()
                && key.as_bytes().first().is_none_or(|first| Some(first) == begin)
                && let Some(value) = rest.strip_prefix(key).and_then(|tail| tail.strip_prefix(KEY_END))
            {
                *place = value.get(..end_of_pair(value).unwrap_or(value.len()));
            }
        }
        let Some(next) = end_of_pair(rest).and_then(|end| rest.get(end + 1..)) else { return found };
        rest = next;
    }
}

fn end_of_pair(text: &str) -> Option<usize> {
    memchr::memchr(VALUE_END as u8, text.as_bytes())
}

/// The pairs of encoded properties; pieces without a separator are passed over.
pub fn iter(encoded: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut rest = encoded;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let (piece, next) = match end_of_pair(rest) {
                Some(end) => (rest.get(..end)?, rest.get(end + 1..)?),
                None => (rest, ""),
            };
            rest = next;
            if let Some(end) = memchr::memchr(KEY_END as u8, piece.as_bytes()) {
                return Some((piece.get(..end)?, piece.get(end + 1..)?));
            }
        }
        None
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_of_equal_keys_counts_and_pieces_without_a_separator_do_not() {
        let encoded = "ab\u{2}a\u{1}1\u{2}ab\u{1}2\u{2}a\u{1}3\u{2}last\u{1}";
        assert_eq!(get(encoded, "a"), Some("1"));
        assert_eq!(get(encoded, "ab"), Some("2"));
        assert_eq!(get(encoded, "last"), Some(""));
        assert_eq!(get(encoded, "b"), None);
        assert_eq!(get(encoded, "a\u{1}1\u{2}ab"), None, "a key ends where its separator stands");
        assert_eq!(get_each(encoded, ["last", "b", "a", "ab"]), [Some(""), None, Some("1"), Some("2")]);
    }

    proptest! {
        #[test]
        fn pairs_are_what_stands_between_separators(encoded in "[ab\u{1}\u{2}é]{0,24}", key in "[ab\u{1}\u{2}é]{0,3}") {
            let split: Vec<_> = encoded.split(VALUE_END).filter_map(|pair| pair.split_once(KEY_END)).collect();
            let first = split.iter().find(|(k, _)| *k == key).map(|(_, v)| *v);
            prop_assert_eq!(iter(&encoded).collect::<Vec<_>>(), split);
            prop_assert_eq!(get(&encoded, &key), first);
            if !key.contains([KEY_END, VALUE_END]) {
                prop_assert_eq!(get_each(&encoded, ["a", &key]), [get(&encoded, "a"), first]);
            }
        }

        #[test]
        fn what_is_kept_is_what_is_left_when_the_rest_is_removed(encoded in "([a-c]{1,2}\u{1}[a-c]{0,2}\u{2}){0,6}") {
            let mut removed = Properties::from_encoded(encoded.clone());
            removed.remove("a");
            prop_assert_eq!(Properties::kept_of(&Pairs::of(&encoded), 0, |key| key != "a"), removed);
        }

        #[test]
        fn pairs_answer_as_the_encoded_form_does(encoded in "[a-c\u{1}\u{2}]{0,40}", key in "[a-c]{0,3}") {
            prop_assert_eq!(Pairs::of(&encoded).get(&key), get(&encoded, &key));
        }
    }
}
