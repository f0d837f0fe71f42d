//! What our filters say of expressions and properties: `cargo xtask sql` compares it with the original's library.
//!
//! ```text
//! expression TAB name=value TAB name=value ...     one line in; \\ \t \n \r are escaped
//! true | false | unknown | incomparable | refused  one line out
//! ```

use std::io::{BufRead, BufWriter, Write, stdin, stdout};

use broker::selector::{Selector, Verdict};
use model::{Filter, Properties};

fn main() -> std::io::Result<()> {
    let mut answers = BufWriter::new(stdout().lock());
    for line in stdin().lock().lines() {
        writeln!(answers, "{}", answer(&line?))?;
    }
    answers.flush()
}

fn answer(line: &str) -> &'static str {
    let mut fields = line.split('\t').map(unescaped);
    let expression = fields.next().unwrap_or_default();
    let Ok(selector) = Selector::compile(&Filter::sql92(&expression)) else { return "refused" };
    let mut properties = Properties::new();
    for field in fields {
        let (name, value) = field.split_once('=').unwrap_or((&field, ""));
        properties.push(name, value);
    }
    match selector.verdict(properties.as_encoded()) {
        Verdict::True => "true",
        Verdict::False => "false",
        Verdict::Unknown => "unknown",
        Verdict::Incomparable => "incomparable",
    }
}

fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next() {
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some(other) => other,
                None => break,
            },
            other => other,
        });
    }
    plain
}
