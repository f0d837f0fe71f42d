//! `docs/outcomes.md`: a summary per client, a table of cases by clients, and why the real server fails what it fails.
use super::{Outcome, Outcomes};
use crate::{ServerKind, deviations};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

const HEAD: &str = "# What official clients see: Apogee and Apache RocketMQ 5.5.0\n\n\
    Written by `cargo xtask outcomes` from `e2e/outcomes`, which `cargo xtask e2e --record` fills; do not edit. Every \
    case is a program of an unchanged official client (`e2e/README.md`) and runs the same against both servers.\n\n";
const KEY: &str = "\n## Cases\n\n\
    `=` passes on both. `A` passes on Apogee and fails on RocketMQ, for the reason with the number behind it; `R` the \
    other way round; `x` fails on both. `a` passes on Apogee and was not run on RocketMQ. An empty cell: the client \
    has no such case.\n\n";

/// Reasons, numbered in the order in which they are met.
#[derive(Default)]
struct Reasons(Vec<&'static str>);

impl Reasons {
    fn number(&mut self, reason: &'static str) -> usize {
        let known = self.0.iter().position(|known| *known == reason);
        1 + known.unwrap_or_else(|| {
            self.0.push(reason);
            self.0.len() - 1
        })
    }
}

pub(super) fn render(ours: &Outcomes, theirs: &Outcomes) -> String {
    let keys: BTreeSet<&(String, String)> = ours.keys().chain(theirs.keys()).collect();
    let clients: BTreeSet<&str> = keys.iter().map(|(_, client)| client.as_str()).collect();
    let cases: BTreeSet<&str> = keys.iter().map(|(case, _)| case.as_str()).collect();
    let mut page = HEAD.to_owned();
    summarise(&mut page, &clients, ours, theirs);
    page.push_str(KEY);
    row(&mut page, "case", clients.iter().map(|client| format!("`{client}`")));
    row(&mut page, "---", clients.iter().map(|_| ":---:".to_owned()));
    let mut reasons = Reasons::default();
    for case in cases {
        let cells = clients.iter().map(|client| {
            let key = (case.to_owned(), (*client).to_owned());
            let theirs = theirs.get(&key);
            let has_failed = theirs == Some(&Outcome::Fail);
            let reason = deviations::reason(ServerKind::Rocketmq, client, case).filter(|_| has_failed);
            cell(ours.get(&key), theirs, reason.map(|reason| reasons.number(reason)))
        });
        row(&mut page, &format!("`{case}`"), cells);
    }
    if !reasons.0.is_empty() {
        page.push_str("\n## Why RocketMQ differs\n\n");
    }
    for (index, reason) in reasons.0.iter().enumerate() {
        let _ = writeln!(page, "{}. {reason}", index + 1);
    }
    page
}

fn summarise(page: &mut String, clients: &BTreeSet<&str>, ours: &Outcomes, theirs: &Outcomes) {
    page.push_str("| client | cases | pass on Apogee | run on RocketMQ | pass on RocketMQ |\n");
    page.push_str("|---|---:|---:|---:|---:|\n");
    let count = |outcomes: &Outcomes, client: &str| -> (usize, usize) {
        let of_client: BTreeMap<_, _> = outcomes.iter().filter(|((_, name), _)| name == client).collect();
        (of_client.len(), of_client.values().filter(|outcome| ***outcome == Outcome::Pass).count())
    };
    for client in clients {
        let ((all, passed), (run, theirs_passed)) = (count(ours, client), count(theirs, client));
        let _ = writeln!(page, "| `{client}` | {all} | {passed} | {run} | {theirs_passed} |");
    }
}

fn row(page: &mut String, first: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.collect();
    let _ = writeln!(page, "| {first} | {} |", cells.join(" | "));
}

fn cell(ours: Option<&Outcome>, theirs: Option<&Outcome>, reason: Option<usize>) -> String {
    let number = reason.map(|number| format!(" {number}")).unwrap_or_default();
    match (ours, theirs) {
        (Some(Outcome::Pass), Some(Outcome::Pass)) => "=".to_owned(),
        (Some(Outcome::Pass), Some(Outcome::Fail)) => format!("A{number}"),
        (Some(Outcome::Pass), None) => "a".to_owned(),
        (Some(Outcome::Fail) | None, Some(Outcome::Pass)) => "R".to_owned(),
        (Some(Outcome::Fail), _) => "x".to_owned(),
        (None, Some(Outcome::Fail)) => format!("x{number}"),
        (None, None) => String::new(),
    }
}
