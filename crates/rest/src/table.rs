//! The operations as resources, and how the parts of a request become an operation's request.
//!
//! HttpMethod, path and body of each stand with the operation (`model::admin::HttpRoute`). What the query
//! takes follows from the request's schema: every field that is neither in the path nor in the body.

use model::admin::{HttpBody, HttpMethod, HttpRoute, OperationInfo};
use serde_json::Value;

/// Where the interface begins.
const ROOT: &str = "/api/v1";

/// An operation as a resource.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) operation: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) method: HttpMethod,
    pub(crate) path: String,
    pub(crate) names: Vec<Name>,
    pub(crate) body: Option<Body>,
    /// Parameters in the query, which become fields of the same name.
    pub(crate) query: Vec<Parameter>,
}

/// A name in the path and the field that it becomes; `config.name` is a field in an object.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    pub(crate) name: &'static str,
    pub(crate) field: &'static str,
    pub(crate) kind: ParameterKind,
    pub(crate) schema: Value,
}

/// What the body becomes: a field, or all fields that are not in the path. It may repeat what the
/// path says.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) field: Option<&'static str>,
    pub(crate) schema: Value,
}

/// A field that comes in the query.
#[derive(Debug, Clone)]
pub(crate) struct Parameter {
    pub(crate) name: String,
    pub(crate) kind: ParameterKind,
    pub(crate) is_required: bool,
    pub(crate) schema: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParameterKind {
    Text,
    Number,
    Flag,
}

impl Resource {
    fn of(operation: &OperationInfo) -> Self {
        let (route, request) = (operation.route, (operation.request)());
        let name = |(name, field): (&'static str, &'static str)| {
            let schema = schema_of(&request, field);
            Name { name, field, kind: kind_of(&schema).unwrap_or(ParameterKind::Text), schema }
        };
        Self {
            operation: operation.name,
            summary: operation.summary,
            method: route.method,
            path: path_of(operation),
            names: route.names().map(name).collect(),
            body: body_of(route, &request),
            query: parameters(&request, route),
        }
    }
}

/// An operation's path.
pub(crate) fn path_of(operation: &OperationInfo) -> String {
    format!("{ROOT}{}", operation.route.plain_path())
}

/// Of a field, or of a field in an object.
fn schema_of(request: &Value, field: &str) -> Value {
    let pointer = format!("/properties/{}", field.replace('.', "/properties/"));
    request.pointer(&pointer).cloned().unwrap_or_default()
}

/// The body's schema: it need not have what is in the path.
fn body_of(route: HttpRoute, request: &Value) -> Option<Body> {
    let (field, mut schema) = match route.body {
        HttpBody::None => return None,
        HttpBody::Rest => (None, request.clone()),
        HttpBody::Field(name) => (Some(name), schema_of(request, name)),
    };
    for (_, name) in route.names() {
        let inner = match field {
            None => Some(name),
            Some(field) => name.strip_prefix(field).and_then(|rest| rest.strip_prefix('.')),
        };
        if let (Some(inner), Some(Value::Array(required))) = (inner, schema.get_mut("required")) {
            required.retain(|one| one != inner);
        }
    }
    Some(Body { field, schema })
}

/// The fields that neither the path nor the body gives.
fn parameters(request: &Value, route: HttpRoute) -> Vec<Parameter> {
    let in_path = |name: &str| route.names().any(|(_, field)| field.split('.').next() == Some(name));
    let in_body = |name: &str| match route.body {
        HttpBody::None => false,
        HttpBody::Rest => true,
        HttpBody::Field(field) => field == name,
    };
    let required = request.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let fields = request.get("properties").and_then(Value::as_object).into_iter().flatten();
    let asked = fields.filter(|(name, _)| !in_path(name) && !in_body(name));
    let parameter = |(name, schema): (&String, &Value)| {
        let kind = kind_of(schema)?;
        Some(Parameter { name: name.clone(), kind, is_required: is_required(name), schema: schema.clone() })
    };
    asked.filter_map(parameter).collect()
}

/// What a text in a path or a query has to be read as; none for a field that no text can stand for.
fn kind_of(schema: &Value) -> Option<ParameterKind> {
    let is = |name: &str| match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => ["anyOf", "oneOf"]
            .into_iter()
            .filter_map(|either| schema.get(either)?.as_array())
            .any(|cases| cases.iter().any(|case| case.get("type").and_then(Value::as_str) == Some(name))),
    };
    match () {
        () if is("string") => Some(ParameterKind::Text),
        () if is("integer") => Some(ParameterKind::Number),
        () if is("boolean") => Some(ParameterKind::Flag),
        () => None,
    }
}

/// The operations that the engine has.
pub(crate) fn of(catalogue: &[OperationInfo]) -> Vec<Resource> {
    catalogue.iter().map(Resource::of).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::admin::CATALOGUE;

    use super::*;

    #[test]
    fn every_operation_is_a_resource_that_can_be_asked_for() {
        let mut seen = BTreeSet::new();
        for operation in CATALOGUE {
            let resource = Resource::of(operation);
            let name = resource.operation;
            assert!(seen.insert((resource.method, resource.path.clone())), "{name}: its path is taken");
            for part in &resource.names {
                assert!(!part.schema.is_null(), "{name}: the request has no field `{}`", part.field);
            }
            if let Some(body) = &resource.body {
                assert!(!body.schema.is_null(), "{name}: the body becomes a field that there is not");
            }
            let is_read = resource.method == HttpMethod::Get;
            assert!(!(is_read && operation.writes()), "{name} writes, so it is no GET");
            assert!(!(is_read && resource.body.is_some()), "{name}: a GET has no body");
            reaches_every_required_field(operation, &resource);
        }
    }

    fn reaches_every_required_field(operation: &OperationInfo, resource: &Resource) {
        let request = (operation.request)();
        let required = request.get("required").and_then(Value::as_array).into_iter().flatten();
        for field in required.filter_map(Value::as_str) {
            let in_path = resource.names.iter().any(|name| name.field.split('.').next() == Some(field));
            let in_query = resource.query.iter().any(|parameter| parameter.name == field);
            let in_body =
                resource.body.as_ref().is_some_and(|body| body.field.is_none_or(|name| name == field));
            assert!(
                in_path || in_query || in_body,
                "{}: no part of a request gives `{field}`",
                operation.name
            );
        }
    }
}
