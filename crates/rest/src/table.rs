//! Which operations also stand at a path of their own, and how a request's parts become theirs.
//!
//! An operation of the catalogue that has no row is still at `/api/v1/operations/{name}`.

use model::admin::OperationInfo;

/// An operation as a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Resource {
    pub(crate) operation: &'static str,
    pub(crate) verb: Verb,
    pub(crate) path: &'static str,
    /// Name in the path and the field that it becomes; `config.name` is a field in an object.
    pub(crate) names: &'static [(&'static str, &'static str)],
    /// The field that the request's body becomes.
    pub(crate) body: Option<&'static str>,
    /// Parameters in the query, which become fields of the same name.
    pub(crate) query: &'static [Parameter],
}

/// The method of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verb {
    Get,
    Put,
    Delete,
}

/// A field that comes in the query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parameter {
    Text(&'static str),
    Number(&'static str),
    /// With what it is if it is left out.
    Flag(&'static str, bool),
}

const LIST: &[Parameter] = &[Parameter::Text("contains"), Parameter::Flag("all", false)];
const TIMERS: &[Parameter] = &[
    Parameter::Number("from_ms"),
    Parameter::Number("to_ms"),
    Parameter::Number("max"),
    Parameter::Text("after"),
];
const UPDATE: &[Parameter] = &[Parameter::Flag("update", true)];

const TABLE: &[Resource] = &[
    Resource { query: LIST, ..Resource::get("topic.list", "/api/v1/topics", &[]) },
    Resource::get("topic.get", "/api/v1/topics/{topic}", &[("topic", "topic")]),
    Resource {
        query: UPDATE,
        ..Resource::put("topic.put", "/api/v1/topics/{topic}", &[("topic", "config.name")], "config")
    },
    Resource::delete("topic.delete", "/api/v1/topics/{topic}", &[("topic", "topic")]),
    Resource {
        query: TIMERS,
        ..Resource::get("timer.list", "/api/v1/topics/{topic}/timers", &[("topic", "topic")])
    },
    Resource::delete(
        "timer.delete",
        "/api/v1/topics/{topic}/timers/{message_id}",
        &[("topic", "topic"), ("message_id", "message_id")],
    ),
    Resource { query: LIST, ..Resource::get("group.list", "/api/v1/groups", &[]) },
    Resource::get("group.get", "/api/v1/groups/{group}", &[("group", "group")]),
    Resource {
        query: UPDATE,
        ..Resource::put("group.put", "/api/v1/groups/{group}", &[("group", "config.name")], "config")
    },
    Resource {
        query: &[Parameter::Flag("clean_offsets", false)],
        ..Resource::delete("group.delete", "/api/v1/groups/{group}", &[("group", "group")])
    },
    Resource::get("kv.list", "/api/v1/kv/{namespace}", &[("namespace", "namespace")]),
    Resource::get("kv.get", "/api/v1/kv/{namespace}/{key}", &[("namespace", "namespace"), ("key", "key")]),
    Resource::put(
        "kv.put",
        "/api/v1/kv/{namespace}/{key}",
        &[("namespace", "namespace"), ("key", "key")],
        "value",
    ),
    Resource {
        query: &[Parameter::Text("topic"), Parameter::Text("group")],
        ..Resource::get("transaction.list", "/api/v1/transactions", &[])
    },
    Resource::get("node.info", "/api/v1/node", &[]),
];

type Names = &'static [(&'static str, &'static str)];

impl Resource {
    const fn new(operation: &'static str, verb: Verb, path: &'static str, names: Names) -> Self {
        Self { operation, verb, path, names, body: None, query: &[] }
    }

    const fn get(operation: &'static str, path: &'static str, names: Names) -> Self {
        Self::new(operation, Verb::Get, path, names)
    }

    const fn delete(operation: &'static str, path: &'static str, names: Names) -> Self {
        Self::new(operation, Verb::Delete, path, names)
    }

    const fn put(operation: &'static str, path: &'static str, names: Names, body: &'static str) -> Self {
        Self { body: Some(body), ..Self::new(operation, Verb::Put, path, names) }
    }
}

/// The rows whose operations the engine has.
pub(crate) fn of(catalogue: &[OperationInfo]) -> impl Iterator<Item = Resource> {
    TABLE.iter().filter(|row| catalogue.iter().any(|op| op.name == row.operation)).copied()
}
