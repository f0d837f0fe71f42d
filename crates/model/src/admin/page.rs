//! The page `docs/operations.md`, made of the catalogue: any change of an operation shows there.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{CATALOGUE, HttpBody, OperationInfo};

const HEAD: &str = "# Operations

Made from the catalogue in `crates/model/src/admin.rs`; do not edit.

Every operation can be run over HTTP, as a resource at the path below it (described in `/api/v1/openapi.json`) or by
name (`POST /api/v1/operations/<name>` with its whole request as the body), and by `apogee admin <name> --<field>
<value>`. A field with a `*` must be given; at a path, what is neither in it nor in the body is a parameter of the
query. Operations that write leave a line in the log under the target `audit`.

To add one: its line in `operations!` (name, permission, summary, types, method and path), its file in
`crates/broker/src/admin/` and its line in `catalogue!` there. Route, description, command, permission, audit and this
page follow.
";

/// The whole page, in Markdown.
#[must_use]
pub fn page() -> String {
    let mut out = HEAD.to_owned();
    for operation in CATALOGUE {
        describe(operation, &mut out);
    }
    out
}

fn describe(operation: &OperationInfo, out: &mut String) {
    let kind = if operation.writes() { "writes" } else { "reads" };
    let _ = write!(out, "\n## `{}` ({kind})\n\n{}.\n\n", operation.name, operation.summary);
    let (method, path) = (operation.route.method.name(), operation.route.plain_path());
    let _ = write!(out, "`{method} /api/v1{path}`{}\n\n", body_of(operation.route.body));
    for (title, schema) in [("Request", (operation.request)()), ("Response", (operation.response)())] {
        let mut rows = Vec::new();
        rows_of("", &schema, &mut rows);
        if rows.is_empty() {
            let _ = writeln!(out, "{title}: {}.\n", type_of(&schema));
        } else {
            let _ =
                writeln!(out, "| {} | type | |\n|---|---|---|\n{}", title.to_lowercase(), rows.join("\n"));
            out.push('\n');
        }
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
}

fn body_of(body: HttpBody) -> String {
    match body {
        HttpBody::None => String::new(),
        HttpBody::Rest => ", its body has the other fields".to_owned(),
        HttpBody::Field(name) => format!(", its body is `{name}`"),
    }
}

/// One row for each field; those of objects inside stand behind their outer names.
fn rows_of(prefix: &str, schema: &Value, rows: &mut Vec<String>) {
    if let Some(items) = schema.get("items") {
        return rows_of(&format!("{prefix}[]"), items, rows);
    }
    let empty = Map::new();
    let fields = schema.get("properties").and_then(Value::as_object).unwrap_or(&empty);
    let required = schema.get("required").and_then(Value::as_array);
    for (name, field) in fields {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let star = if required.is_some_and(|all| all.iter().any(|one| one == name)) { "*" } else { "" };
        let text = field.get("description").and_then(Value::as_str).unwrap_or_default().replace('\n', " ");
        let default = field.get("default").filter(|value| !value.is_null() && !value.is_object());
        let default = default.map(|value| format!(" Default: `{value}`.")).unwrap_or_default();
        let row = format!("| `{path}`{star} | {} | {text}{default} |", type_of(field));
        rows.push(row.replace("  |", " |"));
        rows_of(&path, field, rows);
    }
}

/// A schema's type in a word or two.
fn type_of(schema: &Value) -> String {
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().map(|value| format!("`{value}`")).collect::<Vec<_>>().join(", ");
    }
    for either in ["anyOf", "oneOf"] {
        if let Some(cases) = schema.get(either).and_then(Value::as_array) {
            return cases.iter().map(type_of).collect::<Vec<_>>().join(" or ");
        }
    }
    if let Some(value) = schema.get("const") {
        return format!("`{value}`");
    }
    match schema.get("type") {
        Some(Value::String(name)) if name == "array" => {
            format!("list of {}", schema.get("items").map_or_else(|| "anything".to_owned(), type_of))
        }
        Some(Value::String(name)) => name.clone(),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or "),
        _ => "anything".to_owned(),
    }
}
