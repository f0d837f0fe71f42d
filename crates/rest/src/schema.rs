//! JSON schemas, read off sample values: what a type serialises to is what it looks like.

use std::collections::BTreeMap;

use model::admin::{
    DeadLettersResendRequest, DeadLettersResent, Done, GroupDeleteRequest, GroupDescription, GroupPutRequest,
    GroupRequest, KeyValueListRequest, KeyValuePutRequest, KeyValueRequest, ListRequest, MemberDescription,
    NodeDescription, QueueProgress, QueueState, TimerDeleteRequest, TimerDeleted, TimerDescription,
    TimerListRequest, TimerPage, TopicDescription, TopicPutRequest, TopicRequest,
};
use model::{GroupConfig, GroupName, TopicConfig, TopicName};
use serde::Serialize;
use serde_json::{Value, json};

use crate::consume::{AckRequest, AckResponse, AckResult, ReceiveRequest, ReceiveResponse};
use crate::message::{MessageIn, MessageOut};
use crate::send::{SendRequest, SendResponse, Sent};

/// The schema of values like `sample`. A list is shown by its first item, a map by its first value.
pub(crate) fn of(sample: &impl Serialize) -> Value {
    serde_json::to_value(sample).map_or_else(|_| json!({}), |value| schema(&value))
}

fn schema(value: &Value) -> Value {
    match value {
        Value::Null => json!({}),
        Value::Bool(_) => json!({ "type": "boolean" }),
        Value::Number(_) => json!({ "type": "integer" }),
        Value::String(_) => json!({ "type": "string" }),
        Value::Array(items) => {
            json!({ "type": "array", "items": items.first().map_or_else(|| json!({}), schema) })
        }
        Value::Object(fields) if fields.contains_key(ANY_KEY) => {
            json!({ "type": "object", "additionalProperties": fields.get(ANY_KEY).map(schema) })
        }
        Value::Object(fields) => {
            let properties: BTreeMap<&String, Value> = fields.iter().map(|(k, v)| (k, schema(v))).collect();
            json!({ "type": "object", "properties": properties })
        }
    }
}

/// Stands for any key in a sample of a map.
const ANY_KEY: &str = "*";

fn map() -> BTreeMap<String, String> {
    BTreeMap::from([(ANY_KEY.to_owned(), String::new())])
}

fn topic() -> TopicName {
    TopicName::new("orders").expect("a legal name")
}

fn group() -> GroupName {
    GroupName::new("billing").expect("a legal name")
}

fn topic_config() -> TopicConfig {
    TopicConfig { attributes: map(), ..TopicConfig::new(topic(), 8) }
}

fn group_config() -> GroupConfig {
    GroupConfig { attributes: map(), ..GroupConfig::new(group()) }
}

fn topic_description() -> TopicDescription {
    let queue = QueueState { queue: 0, min_offset: 0, max_offset: 0, last_stored_ms: 0 };
    TopicDescription { config: topic_config(), queues: vec![queue], groups: vec![group()] }
}

fn group_description() -> GroupDescription {
    let member = MemberDescription {
        client_id: String::new(),
        address: String::new(),
        language: String::new(),
        protocol: String::new(),
        topics: vec![String::new()],
    };
    let progress = QueueProgress {
        topic: topic(),
        queue: 0,
        min_offset: 0,
        max_offset: 0,
        next_offset: 0,
        committed_offset: 0,
        in_flight: 0,
        waiting: 0,
        lag: 0,
    };
    GroupDescription { config: group_config(), members: vec![member], progress: vec![progress] }
}

/// Request and response of an operation; of one that is unknown here, nothing is told.
pub(crate) fn of_operation(name: &str) -> (Value, Value) {
    let list = || of(&ListRequest { contains: Some(String::new()), all: false });
    let (namespace, key) = (String::new, String::new);
    match name {
        "topic.put" => (of(&TopicPutRequest { config: topic_config(), update: true }), of(&topic_config())),
        "topic.get" => (of(&TopicRequest { topic: topic() }), of(&topic_description())),
        "topic.list" => (list(), of(&vec![topic_config()])),
        "topic.delete" => (of(&TopicRequest { topic: topic() }), of(&Done {})),
        "group.put" => (of(&GroupPutRequest { config: group_config(), update: true }), of(&group_config())),
        "group.get" => (of(&GroupRequest { group: group() }), of(&group_description())),
        "group.list" => (list(), of(&vec![group_config()])),
        "group.delete" => (of(&GroupDeleteRequest { group: group(), clean_offsets: false }), of(&Done {})),
        "group.resend" => {
            let message_id = Some(String::new());
            let (from_offset, to_offset, max) = (Some(0), Some(0), Some(0));
            let request =
                DeadLettersResendRequest { group: group(), message_id, from_offset, to_offset, max };
            (of(&request), of(&dead_letters_resent()))
        }
        "kv.get" => (of(&KeyValueRequest { namespace: namespace(), key: key() }), of(&String::new())),
        "kv.put" => {
            let value = Some(String::new());
            (of(&KeyValuePutRequest { namespace: namespace(), key: key(), value }), of(&Done {}))
        }
        "kv.list" => (of(&KeyValueListRequest { namespace: namespace() }), of(&map())),
        "timer.list" => {
            let (from_ms, to_ms, max, after) = (Some(0), Some(0), Some(0), Some(String::new()));
            (of(&TimerListRequest { topic: topic(), from_ms, to_ms, max, after }), of(&timer_page()))
        }
        "timer.delete" => {
            let message_id = String::new();
            (of(&TimerDeleteRequest { topic: topic(), message_id }), of(&TimerDeleted { cancelled: 0 }))
        }
        "node.info" => (json!({ "type": "object" }), of(&node())),
        _ => (json!({ "type": "object" }), json!({})),
    }
}

fn dead_letters_resent() -> DeadLettersResent {
    let error = Some(String::new());
    DeadLettersResent { resent: 0, skipped: 0, next_offset: 0, end_offset: 0, error }
}

fn timer_page() -> TimerPage {
    let timer = TimerDescription {
        message_id: String::new(),
        due_ms: 0,
        stored_ms: 0,
        queue: 0,
        keys: String::new(),
        tags: String::new(),
        body_bytes: 0,
        cron: Some(String::new()),
        fired_times: 0,
    };
    TimerPage { timers: vec![timer], next: Some(String::new()) }
}

fn node() -> NodeDescription {
    NodeDescription {
        cluster: String::new(),
        broker_name: String::new(),
        version: String::new(),
        log_start: 0,
        log_end: 0,
        log_committed: 0,
        topics: 0,
        groups: 0,
    }
}

/// Request and response of sending.
pub(crate) fn of_send() -> (Value, Value) {
    let message = MessageIn {
        body: Some(String::new()),
        body_base64: Some(String::new()),
        tag: Some(String::new()),
        keys: vec![String::new()],
        properties: map(),
        message_group: Some(String::new()),
        delay_ms: Some(0),
        deliver_at_ms: Some(0),
        priority: Some(0),
        lite_topic: Some(String::new()),
    };
    let many = SendRequest { queue: Some(0), messages: vec![message.clone()] };
    let sent = Sent { recall_handle: Some(String::new()), ..Sent::default() };
    (json!({ "oneOf": [of(&message), of(&many)] }), of(&SendResponse { messages: vec![sent] }))
}

/// Request and response of receiving.
pub(crate) fn of_receive() -> (Value, Value) {
    let request = ReceiveRequest {
        topic: topic(),
        queue: Some(0),
        max_messages: 1,
        wait_ms: 0,
        invisible_ms: 30_000,
        tags: Some(String::new()),
        sql: Some(String::new()),
    };
    let message = MessageOut {
        body: Some(String::new()),
        body_base64: Some(String::new()),
        tag: Some(String::new()),
        keys: vec![String::new()],
        properties: map(),
        message_group: Some(String::new()),
        ..MessageOut::default()
    };
    (of(&request), of(&ReceiveResponse { messages: vec![message] }))
}

/// Request and response of acknowledging.
pub(crate) fn of_ack() -> (Value, Value) {
    let problem = Some(crate::error::Problem::invalid(""));
    let result = AckResult { acknowledged: false, problem };
    (of(&AckRequest { receipts: vec![String::new()] }), of(&AckResponse { results: vec![result] }))
}
