//! What commands print: tables for people, JSON for programs.

use serde_json::Value;
use tabled::builder::Builder;
use tabled::settings::Style;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    Json,
}

/// Prints a line, or the rest of the program's output is of no interest to anybody (`| head`).
pub(crate) fn line(text: &str) {
    use std::io::Write;
    if writeln!(std::io::stdout(), "{text}").is_err() {
        std::process::exit(0);
    }
}

pub(crate) fn json(value: &Value) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Says that something is done; to programs, that nothing went wrong.
pub(crate) fn done(format: Format, text: &str) {
    match format {
        Format::Text => line(text),
        Format::Json => json(&Value::Object(serde_json::Map::new())),
    }
}

/// A table without frames, which also survives `grep` and `awk`.
pub(crate) fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut builder = Builder::default();
    builder.push_record(head.iter().copied());
    for row in rows {
        builder.push_record(row);
    }
    let text = builder.build().with(Style::blank()).to_string();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

/// Name and value, one pair a line.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    pairs.iter().map(|(name, value)| format!("{name:<width$}  {value}")).collect::<Vec<_>>().join("\n")
}
