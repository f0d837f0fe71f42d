//! The interface's description, derived from the catalogue and the table of resources.

use std::sync::Arc;

use axum::{Extension, Json};
use model::admin::OperationInfo;
use serde_json::{Map, Value, json};

use crate::error::Problem;
use crate::schema;
use crate::table::{self, Parameter, Resource, Verb};

pub(crate) async fn serve(Extension(document): Extension<Arc<Value>>) -> Json<Value> {
    Json(document.as_ref().clone())
}

/// The whole document (OpenAPI 3.1).
pub(crate) fn document(catalogue: &[OperationInfo]) -> Value {
    let mut paths = Map::new();
    for op in catalogue {
        let (request, response) = schema::of_operation(op.name);
        let what = What { id: op.name, summary: op.summary, request: Some(request), response };
        add(&mut paths, &format!("/api/v1/operations/{}", op.name), "post", what.describe(&[]));
    }
    for row in table::of(catalogue) {
        let summary = catalogue.iter().find(|op| op.name == row.operation).map_or("", |op| op.summary);
        resource(&mut paths, &row, summary);
    }
    let messages = [
        (
            "/api/v1/topics/{topic}/messages",
            "message.send",
            "Send a message, or several at once",
            schema::of_send(),
        ),
        (
            "/api/v1/groups/{group}/receive",
            "message.receive",
            "Receive messages for a group",
            schema::of_receive(),
        ),
        ("/api/v1/groups/{group}/ack", "message.ack", "Acknowledge received messages", schema::of_ack()),
    ];
    for (path, id, summary, (request, response)) in messages {
        let what = What { id, summary, request: Some(request), response };
        let name = if path.contains("{topic}") { "topic" } else { "group" };
        add(&mut paths, path, "post", what.describe(&[path_parameter(name)]));
    }
    json!({
        "openapi": "3.1.0",
        "info": { "title": "Apogee", "version": env!("CARGO_PKG_VERSION") },
        "paths": paths,
        "components": { "schemas": { "Problem": schema::of(&Problem::invalid("what was wrong")) } },
    })
}

struct What<'a> {
    id: &'a str,
    summary: &'a str,
    request: Option<Value>,
    response: Value,
}

impl What<'_> {
    fn describe(&self, parameters: &[Value]) -> Value {
        let mut out = json!({
            "operationId": self.id,
            "summary": self.summary,
            "responses": {
                "200": { "description": "done", "content": content("application/json", &self.response) },
                "default": {
                    "description": "failed",
                    "content": content(
                        "application/problem+json",
                        &json!({ "$ref": "#/components/schemas/Problem" }),
                    ),
                },
            },
        });
        if !parameters.is_empty() {
            out["parameters"] = parameters.into();
        }
        if let Some(request) = &self.request {
            out["requestBody"] = json!({ "content": content("application/json", request) });
        }
        out
    }
}

fn content(kind: &str, schema: &Value) -> Value {
    json!({ kind: { "schema": schema } })
}

fn path_parameter(name: &str) -> Value {
    json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string" } })
}

fn resource(paths: &mut Map<String, Value>, row: &Resource, summary: &str) {
    let (request, response) = schema::of_operation(row.operation);
    let request = row.body.and_then(|field| request.pointer(&format!("/properties/{field}")).cloned());
    let mut parameters: Vec<Value> = row.names.iter().map(|(name, _)| path_parameter(name)).collect();
    for parameter in row.query {
        let (name, schema) = match *parameter {
            Parameter::Text(name) => (name, json!({ "type": "string" })),
            Parameter::Number(name) => (name, json!({ "type": "integer" })),
            Parameter::Flag(name, default) => (name, json!({ "type": "boolean", "default": default })),
        };
        parameters.push(json!({ "name": name, "in": "query", "schema": schema }));
    }
    let method = match row.verb {
        Verb::Get => "get",
        Verb::Put => "put",
        Verb::Delete => "delete",
    };
    let id = format!("{}.resource", row.operation);
    let what = What { id: &id, summary, request, response };
    add(paths, row.path, method, what.describe(&parameters));
}

fn add(paths: &mut Map<String, Value>, path: &str, method: &str, description: Value) {
    let entry = paths.entry(path).or_insert_with(|| json!({}));
    if let Value::Object(methods) = entry {
        methods.insert(method.to_owned(), description);
    }
}
