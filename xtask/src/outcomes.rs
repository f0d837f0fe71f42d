//! What became of every case, on Apogee and on the real RocketMQ: lines of JSON that runs with `--record` write, and
//! the page that is made of them.
//!
//! ```text
//! e2e/outcomes/{apogee,rocketmq}.jsonl    {"case":"retry","client":"go-grpc","outcome":"pass"}   sorted
//! docs/outcomes.md                        `cargo xtask outcomes` writes it, a test compares it
//! ```
//! A run of all cases of a client replaces that client's lines; a run of some cases replaces those.

mod page;

use crate::report::Report;
use crate::{E2eOptions, ServerKind, paths};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    case: String,
    client: String,
    outcome: Outcome,
}

#[derive(Serialize, Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
#[serde(rename_all = "lowercase")]
enum Outcome {
    Pass,
    Fail,
}

/// By case, then client.
type Outcomes = BTreeMap<(String, String), Outcome>;

/// Writes the page.
pub(crate) fn write_page() -> Result<()> {
    let page = page::render(&read(ServerKind::Apogee)?, &read(ServerKind::Rocketmq)?);
    std::fs::write(page_path(), page).context("cannot write the page of outcomes")
}

/// With `--record`, what came of the run is written down; else what differs from what is written is told.
pub(crate) fn compare_or_record(options: &E2eOptions, report: &Report) -> Result<()> {
    let known = read(options.against)?;
    let mut new = known.clone();
    if options.case.is_empty() {
        let clients: BTreeSet<&str> = report.outcomes().map(|(client, _, _)| client).collect();
        new.retain(|(_, client), _| !clients.contains(client.as_str()));
    }
    for (client, case, has_passed) in report.outcomes() {
        let outcome = if has_passed { Outcome::Pass } else { Outcome::Fail };
        new.insert((case.to_owned(), client.to_owned()), outcome);
    }
    if options.record {
        write(options.against, &new)?;
        return write_page();
    }
    let keys: BTreeSet<_> = known.keys().chain(new.keys()).collect();
    let changed = keys.into_iter().filter(|key| known.get(*key) != new.get(*key)).count();
    if changed > 0 {
        let file = path(options.against);
        println!("{changed} outcomes differ from {}; --record writes them down", file.display());
    }
    Ok(())
}

fn path(kind: ServerKind) -> PathBuf {
    let name = match kind {
        ServerKind::Apogee => "apogee.jsonl",
        ServerKind::Rocketmq => "rocketmq.jsonl",
    };
    paths::e2e().join("outcomes").join(name)
}

fn page_path() -> PathBuf {
    paths::repository().join("docs/outcomes.md")
}

fn read(kind: ServerKind) -> Result<Outcomes> {
    let path = path(kind);
    let text = match std::fs::read_to_string(&path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        text => text?,
    };
    let parse = |line: &str| -> Result<_> {
        let line: Line = serde_json::from_str(line)?;
        Ok(((line.case, line.client), line.outcome))
    };
    text.lines().map(parse).collect::<Result<_>>().with_context(|| format!("{} is damaged", path.display()))
}

fn write(kind: ServerKind, outcomes: &Outcomes) -> Result<()> {
    let mut text = String::new();
    for ((case, client), outcome) in outcomes {
        let line = Line { case: case.clone(), client: client.clone(), outcome: *outcome };
        text.push_str(&serde_json::to_string(&line)?);
        text.push('\n');
    }
    let path = path(kind);
    std::fs::create_dir_all(path.parent().context("the file stands in a folder")?)?;
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deviations;

    #[test]
    fn the_page_shows_the_files() {
        let (ours, theirs) = (read(ServerKind::Apogee).unwrap(), read(ServerKind::Rocketmq).unwrap());
        let written = std::fs::read_to_string(page_path()).unwrap();
        assert!(written == page::render(&ours, &theirs), "stale page; run `cargo xtask outcomes`");
    }

    #[test]
    fn what_fails_has_a_reason() {
        for kind in [ServerKind::Apogee, ServerKind::Rocketmq] {
            for ((case, client), outcome) in read(kind).unwrap() {
                let has_reason = deviations::reason(kind, &client, &case).is_some();
                assert!(outcome == Outcome::Pass || has_reason, "{kind:?} fails {client} {case}: why?");
            }
        }
    }
}
