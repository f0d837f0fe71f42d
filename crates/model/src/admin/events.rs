//! Shapes of `event.list`: what happened to the node, as CloudEvents 1.0.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// An event in the structured JSON form of CloudEvents 1.0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct CloudEvent {
    /// `1.0`
    pub specversion: String,
    /// Grows along the node's events: `<start of the node, ms>-<number>`, both with leading zeros.
    pub id: String,
    /// `/apogee/<cluster>/<broker name>`
    pub source: String,
    /// `io.apogee.topic.created`, ...; `docs/events.md` lists them.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is about: a topic, a group, a client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// RFC 3339, UTC.
    pub time: String,
    /// `application/json`
    pub datacontenttype: String,
    pub data: Value,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct EventListRequest {
    /// Only types that are one of these, or begin with one of them and a dot; separated by commas.
    #[serde(default)]
    pub types: Option<String>,
    /// Only what came after the event of this id.
    #[serde(default)]
    pub after: Option<String>,
    /// Most events of one answer; the node has a limit of its own. Default 100.
    #[serde(default)]
    pub max: Option<usize>,
    /// If there is none, waits so long for the next one; the node has a limit of its own.
    #[serde(default)]
    pub wait_ms: Option<u64>,
}

/// Recent events.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct EventPage {
    /// Oldest first: those after `after`, or the newest.
    pub events: Vec<CloudEvent>,
    /// The id of the newest event that the node knows, whatever its type: to ask on from there.
    pub last_id: Option<String>,
    /// There are more after the last one.
    pub more: bool,
    /// How many the node has dropped since its start because too many came at once.
    pub dropped: u64,
}
