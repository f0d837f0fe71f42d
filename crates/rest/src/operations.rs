//! Runs operations of the catalogue, by name and as resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::{Extension, Json};
use bytes::Bytes;
use model::admin::{AdminPermission, OperationInfo};
use serde_json::{Map, Value, json};

use crate::app::{App, Caller};
use crate::error::Problem;
use crate::table::{Parameter, Resource};

type Strings = BTreeMap<String, String>;

pub(crate) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let line = |op: &OperationInfo| {
        let writes = op.permission == AdminPermission::Write;
        json!({ "name": op.name, "summary": op.summary, "writes": writes })
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
    Extension(row): Extension<Resource>,
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
    match (row.body, body) {
        (Some(field), body) => {
            request.insert(field.to_owned(), body.unwrap_or_else(|| json!({})));
        }
        (None, Some(_)) => return Err(Problem::invalid("this request takes no body")),
        (None, None) => {}
    }
    for (name, field) in row.names {
        let value = names.get(*name).cloned().unwrap_or_default();
        put(&mut request, field, value)?;
    }
    Ok(Value::Object(request))
}

fn fields_of(row: &Resource, mut query: Strings) -> Result<Map<String, Value>, Problem> {
    let mut fields = Map::new();
    for parameter in row.query {
        match *parameter {
            Parameter::Text(name) => {
                if let Some(text) = query.remove(name) {
                    fields.insert(name.to_owned(), text.into());
                }
            }
            Parameter::Number(name) => {
                if let Some(text) = query.remove(name) {
                    let number: i64 = text.parse().map_err(|_| {
                        Problem::invalid(format!("`{name}` is `{text}`, it takes a whole number"))
                    })?;
                    fields.insert(name.to_owned(), number.into());
                }
            }
            Parameter::Flag(name, default) => {
                let flag = match query.remove(name).as_deref() {
                    None => default,
                    Some("true" | "1" | "") => true,
                    Some("false" | "0") => false,
                    Some(other) => {
                        return Err(Problem::invalid(format!(
                            "`{name}` is `{other}`, it takes `true` or `false`"
                        )));
                    }
                };
                fields.insert(name.to_owned(), flag.into());
            }
        }
    }
    match query.into_keys().next() {
        Some(unknown) => Err(Problem::invalid(format!("there is no parameter `{unknown}` here"))),
        None => Ok(fields),
    }
}

/// Sets `field`, or a field in an object (`config.name`), to the name in the path. A body may
/// repeat the name, but not another one.
fn put(request: &mut Map<String, Value>, field: &str, name: String) -> Result<(), Problem> {
    let Some((outer, inner)) = field.split_once('.') else {
        request.insert(field.to_owned(), name.into());
        return Ok(());
    };
    let Some(Value::Object(object)) = request.get_mut(outer) else {
        return Err(Problem::invalid("the body must be a JSON object"));
    };
    let name = Value::String(name);
    match object.get(inner) {
        Some(other) if *other != name => {
            Err(Problem::invalid(format!("the path says {name}, the body `{inner}` says {other}")))
        }
        _ => {
            object.insert(inner.to_owned(), name);
            Ok(())
        }
    }
}
