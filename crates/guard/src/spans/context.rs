//! Which trace a message belongs to, and whether that trace is sampled.
//!
//! ```text
//! `traceparent` of the message ── sampled ──────> that trace; the sender's span is the parent
//!                               └ not sampled ──> none
//! none, or malformed ── unique id ── ratio ─────> a trace named after the unique id
//! ```
//! All of it follows from the message's properties, so that what hands a message out finds the same trace and
//! the same producer's span as what took it in, without remembering anything.

use std::fmt;

use model::properties as keys;

use crate::limits::TRACE_STATE_BYTES_MAX;

/// Version, trace, span and flags with a hyphen between two.
const TRACEPARENT_BYTES: usize = 55;
const SAMPLED: u8 = 1;
/// Ratios are told by so many low bits of a trace's id, as OpenTelemetry's samplers do.
const RATIO_BITS: u32 = 56;

/// Names a trace; not all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; 16]);

/// Names a span inside its trace; not all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId(pub [u8; 8]);

impl SpanId {
    pub(crate) fn of(number: u64) -> Self {
        Self(number.max(1).to_be_bytes())
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a `traceparent` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Traceparent {
    pub trace: TraceId,
    pub span: SpanId,
    pub is_sampled: bool,
}

impl Traceparent {
    /// Reads a `traceparent` as strictly as the W3C asks for; `None` if it is malformed. Of later versions, what
    /// version 00 has is read.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let [version] = hex::<1>(text.get(..2)?)?;
        let is_long_enough = match version {
            0 => text.len() == TRACEPARENT_BYTES,
            0xff => false,
            _ => text.len() == TRACEPARENT_BYTES || text.as_bytes().get(TRACEPARENT_BYTES) == Some(&b'-'),
        };
        let hyphens = [2, 35, 52].iter().all(|at| text.as_bytes().get(*at) == Some(&b'-'));
        if !is_long_enough || !hyphens {
            return None;
        }
        let trace = hex::<16>(text.get(3..35)?).filter(|id| *id != [0; 16])?;
        let span = hex::<8>(text.get(36..52)?).filter(|id| *id != [0; 8])?;
        let [flags] = hex::<1>(text.get(53..TRACEPARENT_BYTES)?)?;
        Some(Self { trace: TraceId(trace), span: SpanId(span), is_sampled: flags & SAMPLED != 0 })
    }
}

/// Bytes in lower case hex: upper case is not allowed there.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let mut out = [0; N];
    if pairs.len() != N {
        return None;
    }
    for (byte, [high, low]) in out.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(out)
}

/// Which traces of messages without a `traceparent` are told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sampler {
    /// Low bits of a trace's id below this.
    below: u64,
}

impl Sampler {
    /// `ratio` is from 0 (none) to 1 (all).
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and 2^56")]
    pub(crate) fn new(ratio: f64) -> Self {
        let all = 1_u64 << RATIO_BITS;
        Self { below: (ratio.clamp(0.0, 1.0) * all as f64) as u64 }
    }

    pub(crate) const fn at(below: u64) -> Self {
        Self { below }
    }

    pub(crate) const fn below(self) -> u64 {
        self.below
    }

    pub(crate) fn ratio(self) -> f64 {
        self.below as f64 / (1_u64 << RATIO_BITS) as f64
    }

    const fn takes(self, low: u64) -> bool {
        low & ((1 << RATIO_BITS) - 1) < self.below
    }
}

/// A sampled message's place in its trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Context {
    pub(crate) trace: TraceId,
    /// The span that the sender was in.
    pub(crate) parent: Option<SpanId>,
    /// The `tracestate` that came with it.
    pub(crate) state: String,
    /// The span of its producer: parent of all that happens to the message.
    pub(crate) producer: SpanId,
}

impl Context {
    /// The context of a message by its encoded properties; `None` if it is not sampled.
    pub(crate) fn of(properties: &str, sampler: Sampler) -> Option<Self> {
        // 5.x clients have a field of its own for the third.
        let wanted = [keys::TRACEPARENT, keys::TRACESTATE, keys::TRACE_CONTEXT, keys::UNIQUE_ID];
        let [traceparent, tracestate, context, unique_id] = keys::get_each(properties, wanted);
        let came = traceparent.and_then(Traceparent::parse);
        if let Some(came) = came.or_else(|| context.and_then(Traceparent::parse)) {
            let seed = mixed(unique_id.unwrap_or_default(), u64::from_be_bytes(came.span.0));
            let state = tracestate.filter(|state| state.len() <= TRACE_STATE_BYTES_MAX);
            return came.is_sampled.then(|| Self {
                trace: came.trace,
                parent: Some(came.span),
                state: state.unwrap_or_default().to_owned(),
                producer: SpanId::of(seed),
            });
        }
        let low = mixed(unique_id?, 0);
        sampler.takes(low).then(|| {
            let trace = u128::from(finished(low ^ HIGH_HALF)) << 64 | u128::from(low.max(1));
            let producer = SpanId::of(finished(low ^ PRODUCER));
            Self { trace: TraceId(trace.to_be_bytes()), parent: None, state: String::new(), producer }
        })
    }
}

/// Odd numbers without a pattern; what is made of them must stay the same on every node.
const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
const HIGH_HALF: u64 = 0xd1b5_4a32_d192_ed03;
const PRODUCER: u64 = 0x8cb9_2ba7_2f3d_8dd7;

/// A text as a number whose bits all look like chance. Asked of every message: eight bytes at a time.
fn mixed(text: &str, seed: u64) -> u64 {
    let (words, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [0; 8];
    last.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    let all = words.iter().chain(std::iter::once(&last)).map(|word| u64::from_le_bytes(*word));
    let mix = |sum: u64, word: u64| {
        let sum = (sum ^ word).wrapping_mul(FACTOR);
        sum ^ sum >> 32
    };
    finished(all.fold(seed ^ text.len() as u64, mix))
}

/// Spreads every bit over all others.
const fn finished(mut sum: u64) -> u64 {
    sum = (sum ^ sum >> 33).wrapping_mul(0xff51_afd7_ed55_8ccd);
    sum = (sum ^ sum >> 33).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    sum ^ sum >> 33
}

#[cfg(test)]
mod tests {
    use model::Properties;

    use super::*;

    const SOUND: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    fn properties(pairs: &[(&str, &str)]) -> String {
        let mut properties = Properties::new();
        pairs.iter().for_each(|(key, value)| properties.push(key, value));
        properties.as_encoded().to_owned()
    }

    fn context(pairs: &[(&str, &str)], ratio: f64) -> Option<Context> {
        Context::of(&properties(pairs), Sampler::new(ratio))
    }

    #[test]
    fn a_traceparent_is_read() {
        let read = Traceparent::parse(SOUND).expect("sound");
        assert_eq!(read.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!(read.span.0, [0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31]);
        assert!(read.is_sampled);
        for (flags, is_sampled) in [("00", false), ("02", false), ("03", true), ("ff", true)] {
            let text = SOUND[..53].to_owned() + flags;
            assert_eq!(Traceparent::parse(&text).map(|read| read.is_sampled), Some(is_sampled), "{text}");
        }
        for later in ["cc".to_owned() + &SOUND[2..], "01".to_owned() + &SOUND[2..] + "-more"] {
            assert_eq!(Traceparent::parse(&later), Some(read), "{later}");
        }
    }

    #[test]
    fn a_malformed_traceparent_is_none() {
        for (right, wrong) in [
            ("00-", "ff-"),
            ("00-", "0-"),
            ("00-", "0x-"),
            ("-01", "-01-more"),
            ("-01", "-1"),
            ("-01", ""),
            ("-01", "-0g"),
            ("0af7", "0AF7"),
            ("0af7", "0af"),
            ("0af7", "0a-7"),
            ("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            ("b7ad6b7169203331", "0000000000000000"),
            ("b7ad6b7169203331", "b7ad6b716920333é"),
            ("9c-b7", "9c_b7"),
        ] {
            let text = SOUND.replacen(right, wrong, 1);
            assert_eq!(Traceparent::parse(&text), None, "{text}");
        }
        for text in ["", "00", "01-0af7", &("01".to_owned() + &SOUND[2..] + "more"), "é"] {
            assert_eq!(Traceparent::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_sampled_traceparent_is_followed_and_another_never() {
        let followed = context(&[("traceparent", SOUND), ("tracestate", "a=b"), ("UNIQ_KEY", "id")], 0.0);
        let followed = followed.expect("sampled");
        assert_eq!(followed.trace.to_string(), "0af7651916cd43dd8448eb211c80319c");
        assert_eq!((followed.parent.is_some(), followed.state.as_str()), (true, "a=b"));
        assert_eq!(
            context(&[("TRACE_CONTEXT", SOUND), ("tracestate", "a=b"), ("UNIQ_KEY", "id")], 0.0),
            Some(followed)
        );
        let unsampled = SOUND.replace("-01", "-00");
        assert_eq!(context(&[("traceparent", &unsampled), ("UNIQ_KEY", "id")], 1.0), None);
        let own = context(&[("traceparent", "nonsense"), ("UNIQ_KEY", "id")], 1.0).expect("by the ratio");
        assert_eq!(own.parent, None, "what is malformed is as if it were not there");
        assert_eq!(context(&[("UNIQ_KEY", "id")], 0.0), None);
        assert_eq!(context(&[("KEYS", "k")], 1.0), None, "a message without an id has no trace");
    }

    #[test]
    fn messages_with_one_traceparent_have_producers_of_their_own() {
        let producer = |id: &str| {
            context(&[("traceparent", SOUND), ("UNIQ_KEY", id)], 0.0).map(|context| context.producer)
        };
        assert_ne!(producer("a"), producer("b"));
        assert_eq!(producer("a"), producer("a"));
    }

    #[test]
    fn the_ratio_is_kept_for_ids_that_hardly_differ() {
        const ALL: u32 = 100_000;
        for (ratio, expected) in [(0.0, 0), (0.01, ALL / 100), (0.5, ALL / 2), (1.0, ALL)] {
            let id = |n: u32| format!("7F0000010D2A18B4AAC2{n:012X}");
            let sampled = (0..ALL).filter(|n| context(&[("UNIQ_KEY", &id(*n))], ratio).is_some()).count();
            let off = sampled.abs_diff(expected as usize);
            assert!(off <= expected as usize / 5, "{sampled} of {ALL} at {ratio}");
        }
    }

    #[test]
    fn a_trace_is_the_same_on_every_node() {
        let context = context(&[("UNIQ_KEY", "7F0000010D2A18B4AAC2000000000001")], 1.0).expect("all");
        let id = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let expected = "f878643ef6b865459a9f850b6f72521b-6bbfb23800355684";
        assert_eq!(format!("{}-{}", id(&context.trace.0), id(&context.producer.0)), expected);
    }
}
