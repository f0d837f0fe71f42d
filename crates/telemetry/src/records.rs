//! Spans as OTLP carries them.

use guard::spans::span::Span;
use guard::spans::{SpanKind, Value};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind as Kind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span as Record, Status};

const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The W3C flag "sampled".
const SAMPLED: u32 = 1;

/// Who tells: this node.
pub(crate) fn resource(instance: &str) -> Resource {
    let attributes =
        [("service.name", "apogee"), ("service.instance.id", instance), ("service.version", VERSION)];
    let attributes = attributes.map(|(name, value)| attribute(name, text(value))).into();
    Resource { attributes, ..Resource::default() }
}

pub(crate) fn scope() -> InstrumentationScope {
    let (name, version) = ("apogee".to_owned(), VERSION.to_owned());
    InstrumentationScope { name, version, ..InstrumentationScope::default() }
}

pub(crate) fn attribute(name: &str, value: Any) -> KeyValue {
    KeyValue { key: name.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

pub(crate) fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

/// All spans in one request.
pub(crate) fn request(resource: &Resource, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let spans = spans.into_iter().map(record).collect();
    let scoped = ScopeSpans { scope: Some(scope()), spans, ..ScopeSpans::default() };
    let of_node = ResourceSpans {
        resource: Some(resource.clone()),
        scope_spans: vec![scoped],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: vec![of_node] }
}

fn record(span: Span) -> Record {
    let kind = match span.kind {
        SpanKind::Producer => Kind::Producer,
        SpanKind::Consumer => Kind::Consumer,
        SpanKind::Server => Kind::Server,
    };
    let status = span.error.map(|error| Status { message: error.text, code: StatusCode::Error.into() });
    Record {
        trace_id: span.trace.0.into(),
        span_id: span.id.0.into(),
        parent_span_id: span.parent.map(|id| id.0.into()).unwrap_or_default(),
        trace_state: span.state,
        flags: SAMPLED,
        name: format!("{} {}", span.operation, span.destination),
        kind: kind.into(),
        start_time_unix_nano: span.start_ns,
        end_time_unix_nano: span.end_ns,
        attributes: span.attributes.into_iter().map(|(name, value)| attribute(name, any(value))).collect(),
        status,
        ..Record::default()
    }
}

fn any(value: Value) -> Any {
    match value {
        Value::Text(text) => Any::StringValue(text),
        Value::Number(number) => Any::IntValue(number),
        Value::Texts(texts) => {
            let values =
                texts.into_iter().map(|text| AnyValue { value: Some(Any::StringValue(text)) }).collect();
            Any::ArrayValue(ArrayValue { values })
        }
    }
}

#[cfg(test)]
mod tests {
    use guard::spans::context::{SpanId, TraceId};
    use guard::spans::span::SpanError;

    use super::*;

    #[test]
    fn a_span_becomes_a_record() {
        let span = Span {
            trace: TraceId([1; 16]),
            id: SpanId([2; 8]),
            parent: None,
            state: "a=b".to_owned(),
            operation: "process",
            destination: "t".to_owned().try_into().expect("legal"),
            kind: SpanKind::Consumer,
            start_ns: 5,
            end_ns: 7,
            error: Some(SpanError { kind: "expired", text: "late".to_owned() }),
            attributes: vec![("a", Value::Number(1)), ("b", Value::Texts(vec!["x".to_owned()]))],
        };
        let request = request(&resource("node-1"), vec![span]);
        let of_node = &request.resource_spans[0];
        let named = |key: &str| {
            let attributes = &of_node.resource.as_ref().expect("a resource").attributes;
            attributes.iter().find(|it| it.key == key).and_then(|it| it.value.clone()?.value)
        };
        assert_eq!(named("service.name"), Some(text("apogee")));
        assert_eq!(named("service.instance.id"), Some(text("node-1")));
        let record = &of_node.scope_spans[0].spans[0];
        assert_eq!((record.trace_id.as_slice(), record.span_id.as_slice()), (&[1; 16][..], &[2; 8][..]));
        assert!(record.parent_span_id.is_empty());
        assert_eq!((record.name.as_str(), record.trace_state.as_str()), ("process t", "a=b"));
        assert_eq!(record.kind(), Kind::Consumer);
        assert_eq!((record.start_time_unix_nano, record.end_time_unix_nano), (5, 7));
        let status = record.status.as_ref().expect("it failed");
        assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "late"));
        assert_eq!(record.attributes[0], attribute("a", Any::IntValue(1)));
        let values = vec![AnyValue { value: Some(text("x")) }];
        assert_eq!(record.attributes[1], attribute("b", Any::ArrayValue(ArrayValue { values })));
    }
}
