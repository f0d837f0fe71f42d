//! A span: something that began and ended, with what is known of it. Names of attributes are those of
//! OpenTelemetry's conventions for messaging, as they stand for RocketMQ.

use model::properties as keys;
use model::{GroupName, MessageKind, Session, TopicName};

use crate::limits::{SPAN_KEYS_MAX, SPAN_TEXT_BYTES_MAX};
use crate::spans::context::{Context, SpanId, TraceId};

/// Who did it, as OpenTelemetry tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanKind {
    /// The client that sent the message.
    Producer,
    /// The client that works on the message.
    Consumer,
    /// This node, asked by a client.
    Server,
}

/// The value of an attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    Text(String),
    Number(i64),
    Texts(Vec<String>),
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(shortened(text))
    }
}

impl From<Vec<String>> for Value {
    fn from(texts: Vec<String>) -> Self {
        Self::Texts(texts)
    }
}

macro_rules! from_number {
    ($($number:ty),*) => { $(
        impl From<$number> for Value {
            fn from(number: $number) -> Self {
                Self::Number(i64::try_from(number).unwrap_or(i64::MAX))
            }
        }
    )* };
}
from_number!(i64, u64, u32, usize);

/// What a client set may be long; a span takes a bounded part of it.
fn shortened(text: &str) -> String {
    text.get(..text.floor_char_boundary(SPAN_TEXT_BYTES_MAX)).unwrap_or_default().to_owned()
}

/// Why something failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanError {
    /// One of a few words (`error.type`).
    pub kind: &'static str,
    pub text: String,
}

impl SpanError {
    pub(crate) fn new(kind: &'static str, text: &str) -> Self {
        Self { kind, text: shortened(text) }
    }
}

/// Something that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    pub trace: TraceId,
    pub id: SpanId,
    pub parent: Option<SpanId>,
    /// The `tracestate` of the message.
    pub state: String,
    /// What was done, as `send`; with the destination it is the span's name.
    pub operation: &'static str,
    pub destination: TopicName,
    pub kind: SpanKind,
    /// Nanoseconds since 1970-01-01 UTC.
    pub start_ns: u64,
    pub end_ns: u64,
    pub error: Option<SpanError>,
    pub attributes: Vec<(&'static str, Value)>,
}

impl Span {
    /// A span of which only the beginning is known. `operation` is its name and the type that the conventions
    /// give it.
    pub(crate) fn begin(
        context: &Context,
        id: SpanId,
        operation: (&'static str, &'static str),
        kind: SpanKind,
        destination: &TopicName,
    ) -> Self {
        let (operation, operation_type) = operation;
        let span = Self {
            trace: context.trace,
            id,
            parent: Some(context.producer),
            state: context.state.clone(),
            operation,
            destination: destination.clone(),
            kind,
            start_ns: 0,
            end_ns: 0,
            error: None,
            attributes: Vec::with_capacity(16),
        };
        span.with("messaging.system", "rocketmq")
            .with("messaging.operation.name", operation)
            .with("messaging.operation.type", operation_type)
            .with_destination()
    }

    fn with_destination(self) -> Self {
        let name = self.destination.clone();
        // A namespace stands before the name; the signs before a retry topic or a lite topic are none.
        let namespace = name.as_str().split_once('%').map_or("", |(namespace, _)| namespace);
        self.with("messaging.destination.name", name.as_str())
            .with_text("messaging.rocketmq.namespace", Some(namespace))
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.attributes.push((name, value.into()));
        self
    }

    /// What is empty or not known is left out.
    pub(crate) fn with_text(self, name: &'static str, text: Option<&str>) -> Self {
        match text.filter(|text| !text.is_empty()) {
            Some(text) => self.with(name, text),
            None => self,
        }
    }

    pub(crate) fn with_group(self, group: &GroupName) -> Self {
        self.with("messaging.consumer.group.name", group.as_str())
    }

    pub(crate) fn with_session(self, session: &Session) -> Self {
        self.with("network.protocol.name", session.protocol)
            .with("network.peer.address", session.peer.ip().to_canonical().to_string().as_str())
            .with("network.peer.port", u32::from(session.peer.port()))
    }

    /// What the message's properties say of it.
    pub(crate) fn with_message(mut self, properties: &keys::Pairs<'_>, body_bytes: usize) -> Self {
        self = self
            .with_text("messaging.message.id", properties.get(keys::UNIQUE_ID))
            .with("messaging.message.body.size", body_bytes)
            .with_text("messaging.rocketmq.message.tag", properties.get(keys::TAGS))
            .with_text("messaging.rocketmq.message.group", properties.get(keys::SHARDING_KEY));
        let kind = MessageKind::told_by(properties).name().to_lowercase();
        self = self.with("messaging.rocketmq.message.type", kind.as_str());
        let number = |key: &str| properties.get(key).and_then(|text| text.parse::<i64>().ok());
        if let Some(level) = number(keys::DELAY) {
            self = self.with("messaging.rocketmq.message.delay_time_level", level);
        }
        if let Some(at_ms) = number(keys::TIMER_DELIVER_MS) {
            self = self.with("messaging.rocketmq.message.delivery_timestamp", at_ms);
        }
        let words = properties.get(keys::KEYS).unwrap_or_default().split(' ').filter(|key| !key.is_empty());
        let words: Vec<String> = words.take(SPAN_KEYS_MAX).map(shortened).collect();
        if words.is_empty() { self } else { self.with("messaging.rocketmq.message.keys", words) }
    }

    /// Between two moments, and not of a negative length whatever the clocks say.
    pub(crate) fn lasting(self, start_ns: u64, end_ns: u64) -> Self {
        Self { start_ns: start_ns.min(end_ns), end_ns, ..self }
    }

    pub(crate) fn failed(self, error: Option<SpanError>) -> Self {
        match error {
            Some(error) => Self { error: Some(error.clone()), ..self.with("error.type", error.kind) },
            None => self,
        }
    }
}
