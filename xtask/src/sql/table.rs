//! The fixed table, which the unit tests of the broker read too: `expression | properties | verdict`, and, where the
//! original differs, `| its verdict: why`. Properties are `name=value name=value`; `_` in a value stands for a blank.
use super::{Origin, Question};
use crate::paths;
use anyhow::{Context, Result, bail};

const TABLE: &str = "crates/broker/src/selector/tests/table.txt";

pub(super) fn read() -> Result<Vec<Question>> {
    let text = std::fs::read_to_string(paths::repository().join(TABLE)).context(TABLE)?;
    text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).map(parse).collect()
}

fn parse(line: &str) -> Result<Question> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let (expression, properties, ours, theirs) = match cells.as_slice() {
        [expression, properties, ours] => (*expression, *properties, *ours, *ours),
        [expression, properties, ours, theirs] => {
            let (theirs, _why) = theirs.split_once(':').with_context(|| format!("no reason in: {line}"))?;
            (*expression, *properties, *ours, theirs)
        }
        _ => bail!("three or four cells are expected in: {line}"),
    };
    let pair = |text: &str| -> Result<(String, String)> {
        let (name, value) = text.split_once('=').with_context(|| format!("no property: {text}"))?;
        Ok((name.to_owned(), value.replace('_', " ")))
    };
    Ok(Question {
        expression: expression.to_owned(),
        properties: properties.split_whitespace().map(pair).collect::<Result<_>>()?,
        origin: Origin::Table { ours: ours.to_owned(), theirs: theirs.to_owned() },
    })
}
