//! The interface's description, derived from the catalogue.

use std::sync::Arc;

use axum::{Extension, Json};
use model::admin::{CATALOGUE, OperationInfo};
use serde_json::{Map, Value, json};

use crate::schema;
use crate::table::{self, Parameter, Resource};

pub(crate) async fn serve(Extension(document): Extension<Arc<Value>>) -> Json<Value> {
    Json(document.as_ref().clone())
}

/// What a node with the whole catalogue serves.
#[must_use]
pub fn description() -> Value {
    document(CATALOGUE)
}

/// The whole document (OpenAPI 3.1).
pub(crate) fn document(catalogue: &[OperationInfo]) -> Value {
    let mut paths = Map::new();
    for op in catalogue {
        let body = Some((op.request)());
        let what =
            What { id: op.name, tag: "operations", summary: op.summary, body, response: (op.response)() };
        add(&mut paths, &format!("/api/v1/operations/{}", op.name), "post", what.describe(&[]));
    }
    for (op, row) in catalogue.iter().zip(table::of(catalogue)) {
        resource(&mut paths, &row, (op.response)());
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
        let what = What { id, tag: "messages", summary, body: Some(request), response };
        let name = if path.contains("{topic}") { "topic" } else { "group" };
        add(&mut paths, path, "post", what.describe(&[path_parameter(name, &json!({ "type": "string" }))]));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Apogee",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": env!("CARGO_PKG_LICENSE"), "identifier": env!("CARGO_PKG_LICENSE") },
        },
        "servers": [{ "url": "/" }],
        "tags": [
            { "name": "operations", "description": "Every operation of the catalogue, by its name" },
            { "name": "resources", "description": "The same, as resources of their own" },
            { "name": "messages", "description": "Sending and receiving, for tools" },
        ],
        "paths": paths,
        "components": { "schemas": { "Problem": schema::of_problem() } },
    })
}

struct What<'a> {
    id: &'a str,
    tag: &'a str,
    summary: &'a str,
    body: Option<Value>,
    response: Value,
}

impl What<'_> {
    fn describe(&self, parameters: &[Value]) -> Value {
        let mut out = json!({
            "operationId": self.id,
            "tags": [self.tag],
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
        if let Some(body) = &self.body {
            out["requestBody"] = json!({ "content": content("application/json", body) });
        }
        out
    }
}

fn content(kind: &str, schema: &Value) -> Value {
    json!({ kind: { "schema": schema } })
}

fn path_parameter(name: &str, schema: &Value) -> Value {
    let mut schema = schema.clone();
    if schema.get("type").and_then(Value::as_str) == Some("string") {
        schema["minLength"] = 1.into();
    }
    json!({ "name": name, "in": "path", "required": true, "schema": schema })
}

fn query_parameter(parameter: &Parameter) -> Value {
    let Parameter { name, is_required, schema, .. } = parameter;
    json!({ "name": name, "in": "query", "required": is_required, "schema": schema })
}

fn resource(paths: &mut Map<String, Value>, row: &Resource, response: Value) {
    let mut parameters: Vec<Value> =
        row.names.iter().map(|name| path_parameter(name.name, &name.schema)).collect();
    parameters.extend(row.query.iter().map(query_parameter));
    let method = row.method.name().to_ascii_lowercase();
    let body = row.body.as_ref().map(|body| body.schema.clone());
    let id = format!("{}.resource", row.operation);
    let what = What { id: &id, tag: "resources", summary: row.summary, body, response };
    add(paths, &row.path, &method, what.describe(&parameters));
}

fn add(paths: &mut Map<String, Value>, path: &str, method: &str, description: Value) {
    let entry = paths.entry(path).or_insert_with(|| json!({}));
    if let Value::Object(methods) = entry {
        methods.insert(method.to_owned(), description);
    }
}
