//! `docs/access-matrix.md`, made of the recorded answers.
use super::differences;
use super::outcomes::{Answer, Case, Outcomes};
use crate::paths;
use anyhow::{Context, Result};
use std::fmt::Write;
use std::path::PathBuf;

const HEAD: &str = "# Access control, case by case\n\n\
    The same calls of the original's own clients, with access control on, asked of Apogee and of Apache RocketMQ 5.5.0: the 4.x \
    client signs by `AclClientRPCHook`, the 5.x client by session credentials. `cargo xtask access --against \
    apogee,rocketmq --record` asks and writes this page. Topics, users and policies stand in \
    [setup.txt](../e2e/access/setup.txt), the cases in [cases.txt](../e2e/access/cases.txt).\n\n";
const KEY: &str = "User `-` signs nothing; `name/word` signs with that word in place of the user's secret. 16 (4.x) and 40100 \
    (5.x) refuse, and a telemetry stream that ends with INVALID_ARGUMENT; with any other code the call got past access control. \
    The number behind an answer is the reason of a difference, below.\n\n";

pub(super) fn write(outcomes: &Outcomes) -> Result<()> {
    std::fs::write(path(), render(outcomes)).context("cannot write the page of the access matrix")
}

fn path() -> PathBuf {
    paths::repository().join("docs/access-matrix.md")
}

pub(super) fn summary(outcomes: &Outcomes) -> String {
    let all: Vec<_> = outcomes.asked_of_both().collect();
    let same = all.iter().filter(|(_, ours, theirs)| ours.code == theirs.code).count();
    let alike = all.iter().filter(|(_, ours, theirs)| ours.is_refusal() == theirs.is_refusal()).count();
    let refusals = all.iter().filter(|(_, ours, theirs)| ours.is_refusal() && theirs.is_refusal());
    let words = refusals.clone().filter(|(_, ours, theirs)| ours.text == theirs.text).count();
    format!(
        "{} cases were asked of both: {same} have the same code, {alike} are decided alike. Of {} refusals of both, \
         {words} have the same words too.",
        all.len(),
        refusals.count()
    )
}

fn render(outcomes: &Outcomes) -> String {
    let mut page = format!("{HEAD}{}\n\n{KEY}", summary(outcomes));
    let mut reasons: Vec<&str> = Vec::new();
    for (title, protocol) in [("4.x", "remoting"), ("5.x", "grpc")] {
        let _ = writeln!(
            page,
            "## {title}\n\n| user | call | target | Apogee | RocketMQ | |\n|---|---|---|---|---|---|"
        );
        for (case, ours, theirs) in outcomes.asked_of_both().filter(|(case, ..)| case.protocol == protocol) {
            let note = if ours.code == theirs.code { String::new() } else { note(case, &mut reasons) };
            row(&mut page, case, ours, theirs, &note);
        }
        page.push('\n');
    }
    page.push_str("## Why they differ\n\n");
    for (index, reason) in reasons.iter().enumerate() {
        let _ = writeln!(page, "{}. {reason}", index + 1);
    }
    page
}

fn row(page: &mut String, case: &Case, ours: &Answer, theirs: &Answer, note: &str) {
    let Case { user, call, target, .. } = case;
    let _ = writeln!(page, "| `{user}` | {call} | `{target}` | {} | {} | {note} |", ours.code, theirs.code);
}

/// The number of the reason, in the order in which they are met.
fn note(case: &Case, reasons: &mut Vec<&'static str>) -> String {
    let Some(reason) = differences::reason(case) else { return "?".to_owned() };
    let index = reasons.iter().position(|known| *known == reason).unwrap_or_else(|| {
        reasons.push(reason);
        reasons.len() - 1
    });
    (index + 1).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_shows_the_file() {
        let written = std::fs::read_to_string(path()).unwrap();
        let outcomes = Outcomes::read().unwrap();
        assert!(written == render(&outcomes), "stale page; run `cargo xtask access --record`");
    }

    #[test]
    fn every_case_was_asked_of_both_and_every_difference_has_a_reason() {
        let outcomes = Outcomes::read().unwrap();
        let asked: Vec<&Case> = outcomes.asked_of_both().map(|(case, ..)| case).collect();
        for case in Case::all().unwrap() {
            assert!(asked.contains(&&case), "{case:?} was not asked of both");
        }
        for (case, ours, theirs) in outcomes.asked_of_both() {
            let has_reason = differences::reason(case).is_some();
            assert!(
                ours.code == theirs.code || has_reason,
                "{case:?}: {} and {}: why?",
                ours.code,
                theirs.code
            );
        }
    }

    #[test]
    fn who_proves_nothing_is_refused_by_us() {
        for (case, ours, _) in Outcomes::read().unwrap().asked_of_both() {
            let is_proven = case.user != "-" && !case.user.contains('/') && case.user != "nobody";
            assert!(is_proven || ours.is_refusal(), "{case:?}: {ours:?}");
        }
    }
}
