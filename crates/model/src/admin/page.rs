//! The page `docs/operations.md`, made of the catalogue: any change of an operation shows there.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::{CATALOGUE, OperationInfo};

const HEAD: &str = "# Operations

Made from the catalogue in `crates/model/src/admin.rs`; do not edit.

Every operation can be run over HTTP (`POST /api/v1/operations/<name>` with its request as the body; some also
stand at paths of their own, see `/api/v1/openapi.json`) and by `apogee admin <name> --<field> <value>`. Those that
write leave a line in the log under the target `audit`. A field with a `*` must be given.
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
