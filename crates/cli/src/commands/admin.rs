//! `apogee admin`: every operation of the catalogue as a command, made of its schema.
//!
//! A field of the request is an option, `--config.read_queues 4` one in an object; what is neither text,
//! number nor truth is written as JSON. `--request` takes a whole request, over which options are laid.

use anyhow::{Result, bail};
use clap::builder::PossibleValuesParser;
use clap::{Arg, ArgAction, ArgMatches, Command, FromArgMatches, Subcommand};
use model::admin::{CATALOGUE, OperationInfo};
use serde_json::{Map, Value, json};

use super::again;
use crate::http::Server;
use crate::output::{self, Format};

/// An option that takes a whole request. No field can be called so: names have no dash.
const REQUEST: &str = "-request";

/// An operation to run.
#[derive(Debug, Clone)]
pub struct Call {
    operation: &'static OperationInfo,
    request: Value,
}

/// A field of a request, also of an object in it.
struct Field {
    /// `config.read_queues`
    path: String,
    schema: Value,
    is_required: bool,
}

fn fields_of(schema: &Value, prefix: &str, is_required: bool, out: &mut Vec<Field>) {
    let required = schema.get("required").and_then(Value::as_array);
    for (name, field) in schema.get("properties").and_then(Value::as_object).into_iter().flatten() {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let is_required = is_required && required.is_some_and(|all| all.iter().any(|one| one == name));
        if field.get("properties").is_some() {
            fields_of(field, &path, is_required, out);
        } else {
            out.push(Field { path, schema: field.clone(), is_required });
        }
    }
}

fn fields(operation: &OperationInfo) -> Vec<Field> {
    let mut out = Vec::new();
    fields_of(&(operation.request)(), "", true, &mut out);
    out
}

impl Field {
    fn is(&self, kind: &str) -> bool {
        match self.schema.get("type") {
            Some(Value::String(one)) => one == kind,
            Some(Value::Array(several)) => several.iter().all(|one| one == kind || one == "null"),
            _ => self.texts().is_some() && kind == "string",
        }
    }

    /// The texts that it may be, if it is one of a few.
    fn texts(&self) -> Option<Vec<String>> {
        let of_case = |case: &Value| case.get("const")?.as_str().map(str::to_owned);
        if let Some(cases) = self.schema.get("oneOf").and_then(Value::as_array) {
            return cases.iter().map(of_case).collect();
        }
        let values = self.schema.get("enum").and_then(Value::as_array)?;
        values.iter().map(|value| value.as_str().map(str::to_owned)).collect()
    }

    fn option(&self) -> Arg {
        let text = self.schema.get("description").and_then(Value::as_str).unwrap_or_default();
        let default = self.schema.get("default").filter(|value| !value.is_null());
        let default = default.map(|value| format!(" [default: {value}]")).unwrap_or_default();
        let help = format!("{}{default}", text.replace('\n', " "));
        let arg = Arg::new(self.path.clone()).long(self.path.clone()).help(help.trim().to_owned());
        let arg = if self.is_required { arg.required_unless_present(REQUEST) } else { arg };
        match self.texts() {
            Some(texts) => arg.value_name("WORD").value_parser(PossibleValuesParser::new(texts)),
            None if self.is("boolean") => {
                let arg = arg.value_name("true|false").num_args(0..=1).default_missing_value("true");
                arg.value_parser(["true", "false"])
            }
            None if self.is("integer") || self.is("number") => {
                arg.value_name("NUMBER").allow_negative_numbers(true)
            }
            None if self.is("string") => arg.value_name("TEXT"),
            None => arg.value_name("JSON"),
        }
    }

    /// What is typed, as a value. A text that is no JSON stays a text; the server has the last word.
    fn value(&self, typed: &str) -> Value {
        if self.is("string") {
            return typed.into();
        }
        serde_json::from_str(typed).unwrap_or_else(|_| typed.into())
    }
}

fn command(operation: &OperationInfo) -> Command {
    let whole =
        Arg::new(REQUEST).long("request").value_name("JSON").help("The whole request, instead of its fields");
    let options = fields(operation).into_iter().map(|field| field.option());
    Command::new(operation.name).about(operation.summary).args(options).arg(whole.action(ArgAction::Set))
}

impl Subcommand for Call {
    fn augment_subcommands(cmd: Command) -> Command {
        cmd.subcommands(CATALOGUE.iter().map(command)).subcommand_required(true)
    }

    fn augment_subcommands_for_update(cmd: Command) -> Command {
        Self::augment_subcommands(cmd)
    }

    fn has_subcommand(name: &str) -> bool {
        CATALOGUE.iter().any(|operation| operation.name == name)
    }
}

impl FromArgMatches for Call {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let missing = || clap::Error::new(clap::error::ErrorKind::MissingSubcommand);
        let (name, matches) = matches.subcommand().ok_or_else(missing)?;
        let operation = CATALOGUE.iter().find(|operation| operation.name == name).ok_or_else(missing)?;
        let mut request = match matches.get_one::<String>(REQUEST) {
            None => json!({}),
            Some(text) => serde_json::from_str(text).map_err(|error| {
                clap::Error::raw(
                    clap::error::ErrorKind::InvalidValue,
                    format!("--request is no JSON: {error}\n"),
                )
            })?,
        };
        for field in fields(operation) {
            if let Some(typed) = matches.get_one::<String>(&field.path) {
                put(&mut request, &field.path, field.value(typed));
            }
        }
        Ok(Self { operation, request })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

fn put(request: &mut Value, path: &str, value: Value) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    if !request.is_object() {
        *request = json!({});
    }
    let Value::Object(fields) = request else { return };
    match rest {
        None => drop(fields.insert(first.to_owned(), value)),
        Some(rest) => put(fields.entry(first).or_insert_with(|| json!({})), rest, value),
    }
}

pub(crate) async fn run(server: &Server, format: Format, call: Call, watch: Option<u64>) -> Result<()> {
    let Call { operation, request } = call;
    let path = format!("/api/v1/operations/{}", operation.name);
    if watch.is_some() && operation.writes() {
        bail!("{} writes: it is run once, without --watch", operation.name);
    }
    again(watch, async || {
        let answer = server.post(&path, &request).await?;
        Ok(match format {
            Format::Json => serde_json::to_string_pretty(&answer)?,
            Format::Text => shown(&answer),
        })
    })
    .await
}

/// An answer as tables: a list of objects is one, an object has a line for each field, and lists in
/// it stand below.
fn shown(answer: &Value) -> String {
    match answer {
        Value::Array(items) if items.iter().any(Value::is_object) => table_of(items),
        Value::Array(items) => items.iter().map(cell).collect::<Vec<_>>().join("\n"),
        Value::Object(fields) if fields.is_empty() => "done".to_owned(),
        Value::Object(fields) => object(fields),
        other => cell(other),
    }
}

fn object(fields: &Map<String, Value>) -> String {
    let is_table = |value: &Value| value.as_array().is_some_and(|items| items.iter().any(Value::is_object));
    let mut flat = Vec::new();
    flatten("", fields, &mut flat);
    let rows = flat
        .iter()
        .filter(|(_, value)| !is_table(value))
        .map(|(name, value)| vec![name.clone(), cell(value)]);
    let mut out = output::table(&["FIELD", "VALUE"], rows);
    for (name, value) in flat.iter().filter(|(_, value)| is_table(value)) {
        if let Value::Array(items) = value {
            out += &format!("\n\n{name}\n{}", table_of(items));
        }
    }
    out
}

fn flatten(prefix: &str, fields: &Map<String, Value>, out: &mut Vec<(String, Value)>) {
    for (name, value) in fields {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            Value::Object(inner) if !inner.is_empty() => flatten(&name, inner, out),
            value => out.push((name, value.clone())),
        }
    }
}

fn table_of(items: &[Value]) -> String {
    let rows: Vec<Vec<(String, Value)>> = items
        .iter()
        .map(|item| {
            let mut flat = Vec::new();
            flatten("", item.as_object().unwrap_or(&Map::new()), &mut flat);
            flat
        })
        .collect();
    let mut head: Vec<&String> = Vec::new();
    for (name, _) in rows.iter().flatten() {
        if !head.contains(&name) {
            head.push(name);
        }
    }
    let value = |row: &[(String, Value)], name: &String| {
        row.iter().find(|(other, _)| other == name).map(|(_, value)| cell(value)).unwrap_or_default()
    };
    let cells = rows.iter().map(|row| head.iter().map(|name| value(row, name)).collect());
    let titles: Vec<String> = head.iter().map(|name| name.replace('_', " ").to_uppercase()).collect();
    output::table(&titles.iter().map(String::as_str).collect::<Vec<_>>(), cells)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        Value::Number(number) if number.is_f64() => format!("{:.2}", number.as_f64().unwrap_or_default()),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Call, clap::Error> {
        let cmd = Call::augment_subcommands(Command::new("admin"));
        let words = std::iter::once("admin").chain(line.split(' '));
        Call::from_arg_matches(&cmd.try_get_matches_from(words)?)
    }

    fn request(line: &str) -> Value {
        parsed(line).unwrap_or_else(|error| panic!("{line}: {error}")).request
    }

    #[test]
    fn every_operation_is_a_sound_command() {
        Call::augment_subcommands(Command::new("admin")).debug_assert();
    }

    #[test]
    fn options_become_fields() {
        assert_eq!(
            request("topic.put --config.name t --config.read_queues 4 --config.ordered --update false"),
            json!({ "config": { "name": "t", "read_queues": 4, "ordered": true }, "update": false })
        );
        assert_eq!(
            request("group.reset --group g --topic t --to {\"offset\":7}"),
            json!({ "group": "g", "topic": "t", "to": { "offset": 7 } })
        );
        assert_eq!(request("group.reset --group g --topic 7 --to last")["to"], "last");
        assert_eq!(request("group.reset --group g --topic 7 --to last")["topic"], "7");
        assert_eq!(request("timer.list --topic t --from_ms -5")["from_ms"], -5);
        assert_eq!(request("rates.get --of received"), json!({ "of": "received" }));
        assert_eq!(request("topic.get --request {\"topic\":\"a\"}"), json!({ "topic": "a" }));
        assert_eq!(
            request("topic.get --request {\"topic\":\"a\",\"x\":1} --topic b"),
            json!({ "topic": "b", "x": 1 })
        );
    }

    #[test]
    fn mistakes_are_told() {
        for line in [
            "topic.get",
            "topic.get --topics t",
            "rates.get --of sold",
            "topic.made",
            "topic.get --request x",
        ] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn answers_are_tables() {
        let shown =
            |value: &Value| shown(value).lines().map(|line| line.trim().to_owned()).collect::<Vec<_>>();
        let rows = json!([{ "name": "a", "of": { "x": 1.5 } }, { "name": "b", "more": [1] }]);
        assert_eq!(shown(&rows), ["NAME   OF.X   MORE", "a      1.50", "b             [1]"]);
        let fields = json!({ "config": { "a": null }, "queues": [{ "max_offset": 7, "queue": 0 }] });
        let lines =
            ["FIELD      VALUE", "config.a   -", "", "queues", "MAX OFFSET   QUEUE", "7            0"];
        assert_eq!(shown(&fields), lines);
        assert_eq!(shown(&json!({})), ["done"]);
    }
}
