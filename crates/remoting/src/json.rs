//! JSON bodies: shapes that official clients write and read.
//!
//! Two peculiarities of the Java side (fastjson), see `RemotingSerializable`:
//! - enums come as names (Java, Go) or as ordinals (C++), numbers sometimes as strings;
//! - a map whose key is an object is written with the raw object as its key:
//!   `{"offsetTable":{{"brokerName":"b","queueId":3,"topic":"T"}:1}}`. That is not JSON, but it
//!   is the only form that Java tools accept: see [`RawKeyed`].

use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use model::membership::{BeatStart, ConsumeHow, ConsumeModel};
use model::{Filter, FilterKind};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::error::Failure;
use crate::frame::Body;

/// Reads a body.
pub(crate) fn read<T: DeserializeOwned>(body: &Body) -> Result<T, Failure> {
    serde_json::from_slice(&body.bytes()).map_err(|error| Failure::body(&error))
}

/// Writes a body of our own shapes, all of whose keys are strings.
pub(crate) fn write<T: Serialize>(value: &T) -> Body {
    Bytes::from(serde_json::to_vec(value).expect("our bodies have string keys only")).into()
}

/// A queue as bodies name it. Members in the order of fastjson.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MessageQueue {
    pub(crate) broker_name: String,
    pub(crate) queue_id: i32,
    pub(crate) topic: String,
}

/// A table whose keys are queues, written with raw objects as keys.
#[derive(Debug)]
pub(crate) struct RawKeyed<V>(pub(crate) Vec<(MessageQueue, V)>);

impl<V: Serialize> RawKeyed<V> {
    /// `{{...}:value,{...}:value}`
    pub(crate) fn to_text(&self) -> String {
        let mut text = String::from("{");
        for (n, (queue, value)) in self.0.iter().enumerate() {
            let comma = if n == 0 { "" } else { "," };
            let _ = write!(text, "{comma}{}:{}", scalar(queue), scalar(value));
        }
        text.push('}');
        text
    }
}

fn scalar<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("our bodies have string keys only")
}

/// A number that some clients write as a string.
fn loose_number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::Number(number) => number.as_i64().unwrap_or_default(),
        Value::String(text) => text.parse().unwrap_or_default(),
        _ => 0,
    })
}

/// A list that some clients write as null.
fn loose_list<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::<Vec<T>>::deserialize(deserializer)?.unwrap_or_default())
}

/// A Java enum: its name, or its ordinal.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum JavaEnum {
    Ordinal(i64),
    Name(String),
}

impl JavaEnum {
    fn is(&self, name: &str, ordinal: i64) -> bool {
        match self {
            Self::Ordinal(n) => *n == ordinal,
            Self::Name(text) => text.eq_ignore_ascii_case(name),
        }
    }
}

/// `HeartbeatData`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct HeartbeatData {
    #[serde(rename = "clientID")]
    pub(crate) client_id: String,
    #[serde(default, deserialize_with = "loose_number")]
    pub(crate) heartbeat_fingerprint: i64,
    #[serde(default, alias = "isWithoutSub")]
    pub(crate) without_sub: bool,
    #[serde(default, deserialize_with = "loose_list")]
    pub(crate) producer_data_set: Vec<ProducerData>,
    #[serde(default, deserialize_with = "loose_list")]
    pub(crate) consumer_data_set: Vec<ConsumerData>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ProducerData {
    pub(crate) group_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ConsumerData {
    pub(crate) group_name: String,
    #[serde(default)]
    consume_type: Option<JavaEnum>,
    #[serde(default)]
    message_model: Option<JavaEnum>,
    #[serde(default)]
    consume_from_where: Option<JavaEnum>,
    #[serde(default, deserialize_with = "loose_list")]
    pub(crate) subscription_data_set: Vec<SubscriptionData>,
}

impl ConsumerData {
    pub(crate) fn how(&self) -> ConsumeHow {
        match &self.consume_type {
            Some(how) if how.is("CONSUME_ACTIVELY", 0) => ConsumeHow::Pull,
            Some(how) if how.is("CONSUME_POP", 2) => ConsumeHow::Pop,
            _ => ConsumeHow::Push,
        }
    }

    pub(crate) fn model(&self) -> ConsumeModel {
        model_of(self.message_model.as_ref())
    }

    pub(crate) fn start(&self) -> BeatStart {
        match &self.consume_from_where {
            Some(start) if start.is("CONSUME_FROM_FIRST_OFFSET", 4) => BeatStart::First,
            Some(start) if start.is("CONSUME_FROM_TIMESTAMP", 5) => BeatStart::Time,
            _ => BeatStart::Last,
        }
    }
}

fn model_of(name: Option<&JavaEnum>) -> ConsumeModel {
    match name {
        Some(model) if model.is("BROADCASTING", 0) => ConsumeModel::Broadcasting,
        _ => ConsumeModel::Clustering,
    }
}

/// `SubscriptionData`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SubscriptionData {
    pub(crate) topic: String,
    #[serde(default)]
    pub(crate) sub_string: Option<String>,
    #[serde(default)]
    pub(crate) expression_type: Option<String>,
    #[serde(default, deserialize_with = "loose_number")]
    pub(crate) sub_version: i64,
}

impl SubscriptionData {
    pub(crate) fn filter(&self) -> Filter {
        filter(self.sub_string.as_deref(), self.expression_type.as_deref())
    }
}

/// A filter from its two texts: no type means tags, no expression means everything.
pub(crate) fn filter(expression: Option<&str>, kind: Option<&str>) -> Filter {
    match (kind, expression) {
        (None | Some("" | "TAG"), None | Some("")) => Filter::all(),
        (None | Some("" | "TAG"), Some(expression)) => Filter::tag(expression),
        (Some(_), expression) => Filter::sql92(expression.unwrap_or_default()),
    }
}

/// `expressionType` of a filter.
pub(crate) const fn filter_kind(filter: &Filter) -> &'static str {
    match filter.kind {
        FilterKind::Tag => "TAG",
        FilterKind::Sql92 => "SQL92",
    }
}

/// `LockBatchRequestBody`, `UnlockBatchRequestBody`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LockBatch {
    pub(crate) consumer_group: String,
    pub(crate) client_id: String,
    #[serde(default, deserialize_with = "loose_list")]
    pub(crate) mq_set: Vec<MessageQueue>,
}

/// `LockBatchResponseBody`
#[derive(Debug, Serialize)]
pub(crate) struct LockBatchAnswer {
    #[serde(rename = "lockOKMQSet")]
    pub(crate) locked: Vec<MessageQueue>,
}

/// `CheckClientRequestBody`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct CheckClient {
    #[serde(default)]
    pub(crate) subscription_data: Option<SubscriptionData>,
}

/// `QueryAssignmentRequestBody`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueryAssignment {
    pub(crate) topic: String,
    pub(crate) consumer_group: String,
    pub(crate) client_id: String,
    #[serde(default)]
    pub(crate) strategy_name: Option<String>,
    #[serde(default)]
    message_model: Option<JavaEnum>,
}

impl QueryAssignment {
    pub(crate) fn model(&self) -> ConsumeModel {
        model_of(self.message_model.as_ref())
    }
}

/// `QueryAssignmentResponseBody`
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Assignments {
    pub(crate) message_queue_assignments: Vec<QueueAssignment>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct QueueAssignment {
    pub(crate) message_queue: MessageQueue,
    pub(crate) mode: &'static str,
}

/// `SetMessageRequestModeRequestBody`
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RequestModeBody {
    pub(crate) topic: String,
    pub(crate) consumer_group: String,
    #[serde(default)]
    mode: Option<JavaEnum>,
    #[serde(default)]
    pub(crate) pop_share_queue_num: i32,
}

impl RequestModeBody {
    pub(crate) fn is_pop(&self) -> bool {
        self.mode.as_ref().is_some_and(|mode| mode.is("POP", 1))
    }
}

/// `BatchAckMessageRequestBody`
#[derive(Debug, Deserialize)]
pub(crate) struct BatchAckBody {
    #[serde(default, deserialize_with = "loose_list")]
    pub(crate) acks: Vec<BatchAck>,
}

/// `BatchAck`: all messages of one pop from one queue.
#[derive(Debug, Deserialize)]
pub(crate) struct BatchAck {
    #[serde(rename = "c", alias = "consumerGroup")]
    pub(crate) group: String,
    #[serde(rename = "t", alias = "topic")]
    pub(crate) topic: String,
    #[serde(rename = "r", alias = "retry", default)]
    pub(crate) retry: Option<String>,
    #[serde(rename = "so", alias = "startOffset")]
    pub(crate) start_offset: i64,
    #[serde(rename = "q", alias = "queueId")]
    pub(crate) queue: u32,
    #[serde(rename = "rq", alias = "reviveQueueId", default)]
    pub(crate) revive_queue: i64,
    #[serde(rename = "pt", alias = "popTime", default)]
    pub(crate) pop_time: i64,
    #[serde(rename = "it", alias = "invisibleTime", default)]
    pub(crate) invisible: i64,
    /// Base64 of a Java `BitSet`: little-endian bits, counted from the start offset.
    #[serde(rename = "b", alias = "bitSet", default)]
    pub(crate) bits: Option<String>,
}

/// `DataVersion`: nobody compares ours.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DataVersion {
    counter: i64,
    state_version: i64,
    timestamp: i64,
}

/// `KVTable`
#[derive(Debug, Serialize)]
pub(crate) struct KeyValueTable {
    pub(crate) table: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn tables_keyed_by_queues_have_raw_keys() {
        let queue = |n| MessageQueue { broker_name: "b1".into(), queue_id: n, topic: "T1".into() };
        let table = RawKeyed(vec![(queue(3), 7_i64), (queue(4), 8)]);
        expect![[r#"{{"brokerName":"b1","queueId":3,"topic":"T1"}:7,{"brokerName":"b1","queueId":4,"topic":"T1"}:8}"#]]
            .assert_eq(&table.to_text());
    }

    #[test]
    fn a_heartbeat_of_java_and_one_of_cpp_say_the_same() {
        let java = r#"{"clientID":"c","consumerDataSet":[{"consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET",
            "consumeType":"CONSUME_PASSIVELY","groupName":"g","messageModel":"BROADCASTING","subscriptionDataSet":[
            {"classFilterMode":false,"codeSet":[],"expressionType":"TAG","subString":"a || b","subVersion":17,
            "tagsSet":[],"topic":"t"}],"unitMode":false}],"heartbeatFingerprint":0,"producerDataSet":[],"withoutSub":false}"#;
        let cpp = r#"{"clientID":"c","consumerDataSet":[{"consumeFromWhere":4,"consumeType":1,"groupName":"g",
            "messageModel":0,"subscriptionDataSet":[{"codeSet":null,"subString":"a || b","subVersion":"17","topic":"t"}]}],
            "producerDataSet":null}"#;
        for text in [java, cpp] {
            let beat: HeartbeatData = read(&Body::from(text.to_owned())).expect("legal");
            let consumer = &beat.consumer_data_set[0];
            assert_eq!(consumer.how(), ConsumeHow::Push);
            assert_eq!(consumer.model(), ConsumeModel::Broadcasting);
            assert_eq!(consumer.start(), BeatStart::First);
            assert_eq!(consumer.subscription_data_set[0].sub_version, 17);
            assert_eq!(consumer.subscription_data_set[0].filter(), Filter::tag("a || b"));
        }
    }
}
