//! Which operations also stand at a path of their own, and how a request's parts become theirs.
//!
//! Only the paths are written down. What a request's query takes follows from the operation's schema:
//! every field that is neither in the path nor in the body. An operation of the catalogue that has no
//! row is still at `/api/v1/operations/{name}`.

use model::admin::OperationInfo;
use serde_json::Value;

/// A path of an operation.
#[derive(Debug, Clone, Copy)]
struct Row {
    operation: &'static str,
    verb: Verb,
    path: &'static str,
    names: Names,
    body: Option<&'static str>,
}

/// An operation as a resource.
#[derive(Debug, Clone)]
pub(crate) struct Resource {
    pub(crate) operation: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    /// Name in the path and the field that it becomes; `config.name` is a field in an object.
    pub(crate) names: Names,
    /// The field that the request's body becomes, and its schema.
    pub(crate) body: Option<(&'static str, Value)>,
    /// Parameters in the query, which become fields of the same name.
    pub(crate) query: Vec<Parameter>,
}

/// The method of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Put,
    Post,
    Delete,
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

type Names = &'static [(&'static str, &'static str)];

const TOPIC: Names = &[("topic", "topic")];
const GROUP: Names = &[("group", "group")];
const KEY: Names = &[("namespace", "namespace"), ("key", "key")];
const TIMER: Names = &[("topic", "topic"), ("message_id", "message_id")];
const LITE: Names = &[("topic", "topic"), ("lite_topic", "lite_topic")];

const USER: Names = &[("user", "user")];

const TABLE: &[Row] = &[
    Row::new("topic.list", Verb::Get, "/api/v1/topics", &[]),
    Row::new("topic.get", Verb::Get, "/api/v1/topics/{topic}", TOPIC),
    Row::put("topic.put", "/api/v1/topics/{topic}", &[("topic", "config.name")], "config"),
    Row::new("topic.delete", Verb::Delete, "/api/v1/topics/{topic}", TOPIC),
    Row::new("timer.list", Verb::Get, "/api/v1/topics/{topic}/timers", TOPIC),
    Row::new("timer.delete", Verb::Delete, "/api/v1/topics/{topic}/timers/{message_id}", TIMER),
    Row::new("lite.list", Verb::Get, "/api/v1/topics/{topic}/lite", TOPIC),
    Row::new("lite.get", Verb::Get, "/api/v1/topics/{topic}/lite/{lite_topic}", LITE),
    Row::new("lite.delete", Verb::Delete, "/api/v1/topics/{topic}/lite/{lite_topic}", LITE),
    Row::new("group.list", Verb::Get, "/api/v1/groups", &[]),
    Row::new("group.get", Verb::Get, "/api/v1/groups/{group}", GROUP),
    Row::put("group.put", "/api/v1/groups/{group}", &[("group", "config.name")], "config"),
    Row::new("group.delete", Verb::Delete, "/api/v1/groups/{group}", GROUP),
    Row::new("group.resend", Verb::Post, "/api/v1/groups/{group}/resend", GROUP),
    Row::new("kv.list", Verb::Get, "/api/v1/kv/{namespace}", &[("namespace", "namespace")]),
    Row::new("kv.get", Verb::Get, "/api/v1/kv/{namespace}/{key}", KEY),
    Row::put("kv.put", "/api/v1/kv/{namespace}/{key}", KEY, "value"),
    Row::new("transaction.list", Verb::Get, "/api/v1/transactions", &[]),
    Row::new("client.list", Verb::Get, "/api/v1/clients", &[]),
    Row::new("config.get", Verb::Get, "/api/v1/config", &[]),
    Row { body: Some("settings"), ..Row::new("config.put", Verb::Put, "/api/v1/config", &[]) },
    Row::new("rates.get", Verb::Get, "/api/v1/rates", &[]),
    Row::new("rates.list", Verb::Get, "/api/v1/rates/busiest", &[]),
    Row::new("user.list", Verb::Get, "/api/v1/users", &[]),
    Row::new("user.get", Verb::Get, "/api/v1/users/{user}", USER),
    Row::new("user.delete", Verb::Delete, "/api/v1/users/{user}", USER),
    Row::new("acl.list", Verb::Get, "/api/v1/policies", &[]),
    Row::new("acl.get", Verb::Get, "/api/v1/users/{user}/policies", USER),
    Row::put("acl.put", "/api/v1/users/{user}/policies", USER, "policies"),
    Row::new("acl.delete", Verb::Delete, "/api/v1/users/{user}/policies", USER),
    Row::new("node.info", Verb::Get, "/api/v1/node", &[]),
];

impl Row {
    const fn new(operation: &'static str, verb: Verb, path: &'static str, names: Names) -> Self {
        Self { operation, verb, path, names, body: None }
    }

    const fn put(operation: &'static str, path: &'static str, names: Names, body: &'static str) -> Self {
        Self { body: Some(body), ..Self::new(operation, Verb::Put, path, names) }
    }

    fn resource(self, operation: &OperationInfo) -> Resource {
        let request = (operation.request)();
        let field = |name: &str| request.pointer(&format!("/properties/{name}")).cloned();
        Resource {
            operation: self.operation,
            summary: operation.summary,
            verb: self.verb,
            path: self.path,
            names: self.names,
            body: self.body.map(|name| (name, field(name).unwrap_or_default())),
            query: parameters(&request, self),
        }
    }
}

/// The fields that neither the path nor the body gives.
fn parameters(request: &Value, row: Row) -> Vec<Parameter> {
    let given = |name: &str| {
        row.body == Some(name) || row.names.iter().any(|(_, field)| field.split('.').next() == Some(name))
    };
    let required = request.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|all| all.iter().any(|one| one == name));
    let fields = request.get("properties").and_then(Value::as_object).into_iter().flatten();
    let asked = fields.filter(|(name, _)| !given(name));
    let parameter = |(name, schema): (&String, &Value)| {
        let kind = kind_of(schema)?;
        Some(Parameter { name: name.clone(), kind, is_required: is_required(name), schema: schema.clone() })
    };
    asked.filter_map(parameter).collect()
}

/// What a text in a query has to be read as; none for a field that no text can stand for.
fn kind_of(schema: &Value) -> Option<ParameterKind> {
    let is = |name: &str| match schema.get("type") {
        Some(Value::String(one)) => one == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => schema.get("anyOf").and_then(Value::as_array).is_some_and(|cases| {
            cases.iter().any(|case| case.get("type").and_then(Value::as_str) == Some(name))
        }),
    };
    match () {
        () if is("string") => Some(ParameterKind::Text),
        () if is("integer") => Some(ParameterKind::Number),
        () if is("boolean") => Some(ParameterKind::Flag),
        () => None,
    }
}

/// The rows whose operations the engine has.
pub(crate) fn of(catalogue: &[OperationInfo]) -> Vec<Resource> {
    let found = |row: &Row| catalogue.iter().find(|op| op.name == row.operation).map(|op| row.resource(op));
    TABLE.iter().filter_map(found).collect()
}

#[cfg(test)]
mod tests {
    use model::admin::CATALOGUE;

    use super::*;

    #[test]
    fn every_row_fits_its_operation() {
        let resources = of(CATALOGUE);
        assert_eq!(resources.len(), TABLE.len(), "a row names no operation");
        for resource in resources {
            for (name, _) in resource.names {
                assert!(resource.path.contains(&format!("{{{name}}}")), "{name} in {}", resource.path);
            }
            let required = resource.query.iter().filter(|parameter| parameter.is_required).count();
            assert_eq!(required, 0, "{}: what must be given stands in the path", resource.operation);
        }
    }
}
