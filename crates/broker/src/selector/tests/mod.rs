//! Tests of filters. `sql.rs`: what expressions say of messages; `refused.rs`: what does not
//! compile; `fixed.rs`: the table that the original agrees with; `whole.rs`: tags, the cache, limits and garbage.

mod fixed;
mod refused;
mod sql;
mod whole;

use std::fmt::Write;

use super::Selector;
use model::{Filter, Properties};

/// Properties of a message written as `a=1 b=x`; `_` in a value stands for a blank.
fn properties(text: &str) -> String {
    let mut properties = Properties::new();
    for pair in text.split_whitespace() {
        let (key, value) = pair.split_once('=').expect("a pair");
        properties.push(key, &value.replace('_', " "));
    }
    properties.as_encoded().to_owned()
}

/// One line per expression: the verdict on each message, or why it does not compile. Control
/// characters are shown as `~`.
fn table(messages: &[&str], expressions: &[&str]) -> String {
    let mut lines = String::new();
    for expression in expressions {
        let verdicts = match super::sql::Sql::compile(expression) {
            Ok(sql) => messages.iter().map(|text| format!("{:?}", sql.verdict(&properties(text)))).collect(),
            Err(error) => vec![format!("! {error}")],
        };
        let expression = expression.replace(char::is_control, "~");
        writeln!(lines, "{expression} => {}", verdicts.join(", ")).expect("strings take everything");
    }
    lines
}

fn compile(filter: &Filter) -> Selector {
    Selector::compile(filter).expect("the filter is right")
}
