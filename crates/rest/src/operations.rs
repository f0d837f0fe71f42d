//! Runs operations of the catalogue, by name and as resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use bytes::Bytes;
use model::admin::OperationInfo;
use serde_json::{Map, Value, json};

use crate::app::{App, Caller};
use crate::error::Problem;
use crate::table::{self, Body, Name, Parameter, ParameterKind, Resource};

type Strings = BTreeMap<String, String>;

pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let line = |op: &OperationInfo| {
        json!({
            "name": op.name,
            "summary": op.summary,
            "writes": op.writes(),
            "method": op.route.method.name(),
            "path": table::path_of(op),
        })
    };
    Json(app.engine.operations().iter().map(line).collect())
}

pub(crate) async fn run(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Path(operation): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let request = json_of(&body?)?.unwrap_or_else(|| json!({}));
    Ok(Json(app.engine.run(&caller.session, &operation, request).await?))
}

pub(crate) async fn resource(
    State(app): State<Arc<App>>,
    Extension(caller): Extension<Caller>,
    Extension(row): Extension<Arc<Resource>>,
    Path(names): Path<Strings>,
    query: Result<Query<Strings>, QueryRejection>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Problem> {
    let request = request_of(&row, &names, query?.0, json_of(&body?)?)?;
    Ok(Json(app.engine.run(&caller.session, row.operation, request).await?))
}

fn json_of(body: &[u8]) -> Result<Option<Value>, Problem> {
    if body.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(body)
        .map(Some)
        .map_err(|error| Problem::invalid(format!("the body is no JSON: {error}")))
}

/// Puts an operation's request together from the parts of an HTTP request.
fn request_of(
    row: &Resource,
    names: &Strings,
    query: Strings,
    body: Option<Value>,
) -> Result<Value, Problem> {
    let mut request = fields_of(row, query)?;
    match (&row.body, body) {
        (Some(Body { field: Some(field), .. }), body) => {
            request.insert((*field).to_owned(), body.unwrap_or_else(|| json!({})));
        }
        (Some(Body { field: None, .. }), Some(Value::Object(fields))) => request.extend(fields),
        (Some(Body { field: None, .. }), None) => {}
        (Some(Body { field: None, .. }), Some(_)) => {
            return Err(Problem::invalid("the body must be a JSON object"));
        }
        (None, Some(_)) => return Err(Problem::invalid("this request takes no body")),
        (None, None) => {}
    }
    for Name { name, field, kind, .. } in &row.names {
        let value = value_of(name, *kind, names.get(*name).cloned().unwrap_or_default())?;
        put(&mut request, field, value)?;
    }
    Ok(Value::Object(request))
}

fn fields_of(row: &Resource, mut query: Strings) -> Result<Map<String, Value>, Problem> {
    let mut fields = Map::new();
    for Parameter { name, kind, .. } in &row.query {
        if let Some(text) = query.remove(name) {
            fields.insert(name.clone(), value_of(name, *kind, text)?);
        }
    }
    match query.into_keys().next() {
        Some(unknown) => Err(Problem::invalid(format!("there is no parameter `{unknown}` here"))),
        None => Ok(fields),
    }
}

fn value_of(name: &str, kind: ParameterKind, text: String) -> Result<Value, Problem> {
    match (kind, text.as_str()) {
        (ParameterKind::Text, _) => Ok(text.into()),
        (ParameterKind::Number, _) => match text.parse::<i64>() {
            Ok(number) => Ok(number.into()),
            Err(_) => Err(Problem::invalid(format!("`{name}` is `{text}`, it takes a whole number"))),
        },
        (ParameterKind::Flag, "true" | "1" | "") => Ok(true.into()),
        (ParameterKind::Flag, "false" | "0") => Ok(false.into()),
        (ParameterKind::Flag, _) => {
            Err(Problem::invalid(format!("`{name}` is `{text}`, it takes `true` or `false`")))
        }
    }
}

/// Sets `field`, or a field in an object (`config.name`), to what the path says. A body may repeat
/// it, but not say another thing.
fn put(request: &mut Map<String, Value>, field: &str, said: Value) -> Result<(), Problem> {
    let (object, field) = match field.split_once('.') {
        None => (request, field),
        Some((outer, inner)) => match request.get_mut(outer) {
            Some(Value::Object(object)) => (object, inner),
            _ => return Err(Problem::invalid("the body must be a JSON object")),
        },
    };
    match object.get(field) {
        Some(other) if *other != said => {
            Err(Problem::invalid(format!("the path says {said}, the body `{field}` says {other}")))
        }
        _ => {
            object.insert(field.to_owned(), said);
            Ok(())
        }
    }
}
