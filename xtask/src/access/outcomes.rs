//! The cases of the matrix, and what each was answered by either server.
use super::lines_of;
use crate::{ServerKind, paths};
use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What is not anybody's leave: the codes with which both protocols refuse, and a telemetry stream ends.
const REFUSALS: [&str; 3] = ["16", "40100", "INVALID_ARGUMENT"];

#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Case {
    pub(super) protocol: String,
    /// `-`: unsigned; `user/word`: signed with another secret than the user's.
    pub(super) user: String,
    pub(super) call: String,
    /// Topic or user name; `-` where the call has none.
    pub(super) target: String,
}

#[derive(Serialize, Deserialize, Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    /// The protocol's own, in words where it has words.
    pub(super) code: String,
    /// Of a refusal; what else is said is no matter of access.
    pub(super) text: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    case: Case,
    apogee: Option<Answer>,
    rocketmq: Option<Answer>,
}

/// Answers of Apogee and RocketMQ, in the order of the cases.
pub(super) struct Outcomes(Vec<Line>);

impl Case {
    pub(super) fn all() -> Result<Vec<Self>> {
        let mut cases: Vec<Self> = lines_of("cases.txt")?
            .iter()
            .map(|line| Self::parse(line).with_context(|| format!("no case: {line}")))
            .collect::<Result<_>>()?;
        // One program for each protocol, one after the other.
        cases.sort_by_key(|case| case.protocol != "remoting");
        Ok(cases)
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let &[protocol, user, call, target] = words.as_slice() else { return None };
        let [protocol, user, call, target] = [protocol, user, call, target].map(str::to_owned);
        Some(Self { protocol, user, call, target })
    }

    /// As the client programs read it.
    pub(super) fn question(&self) -> String {
        let Self { call, target, .. } = self;
        match self.user.split_once('/') {
            Some((user, word)) => format!("{user} {word} {call} {target}"),
            None => format!("{0} {0}-secret {call} {target}", self.user),
        }
    }
}

impl Answer {
    pub(super) fn is_refusal(&self) -> bool {
        REFUSALS.contains(&self.code.as_str())
    }

    /// Texts tell an address, and the number of an answer; neither is the same again.
    fn steady(mut self) -> Self {
        if !self.is_refusal() {
            self.text.clear();
        }
        self
    }
}

impl Outcomes {
    pub(super) fn read() -> Result<Self> {
        let path = path();
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        let lines: std::result::Result<_, _> = text.lines().map(serde_json::from_str).collect();
        Ok(Self(lines.with_context(|| format!("{} is damaged", path.display()))?))
    }

    pub(super) fn write(&self) -> Result<()> {
        let mut text = String::new();
        for line in &self.0 {
            text.push_str(&serde_json::to_string(line)?);
            text.push('\n');
        }
        std::fs::write(path(), text).with_context(|| format!("cannot write {}", path().display()))
    }

    /// Takes in the answers of one server; how many are others than those before, each of which is printed.
    pub(super) fn replace(
        &mut self,
        kind: ServerKind,
        cases: &[Case],
        answers: Vec<Answer>,
        quietly: bool,
    ) -> usize {
        let mut before: BTreeMap<Case, Line> =
            std::mem::take(&mut self.0).into_iter().map(|line| (line.case.clone(), line)).collect();
        let mut others = 0;
        for (case, answer) in cases.iter().zip(answers) {
            let answer = Some(answer.steady());
            let new = || Line { case: case.clone(), apogee: None, rocketmq: None };
            let mut line = before.remove(case).unwrap_or_else(new);
            let told = match kind {
                ServerKind::Apogee => &mut line.apogee,
                ServerKind::Rocketmq => &mut line.rocketmq,
            };
            if *told != answer {
                others += 1;
                if !quietly {
                    println!("  {}: was {told:?}, is {answer:?}", case.question());
                }
                *told = answer;
            }
            self.0.push(line);
        }
        others
    }

    /// Each case with the answers of Apogee and RocketMQ; those that were asked of one alone are left out.
    pub(super) fn asked_of_both(&self) -> impl Iterator<Item = (&Case, &Answer, &Answer)> {
        self.0.iter().filter_map(|line| Some((&line.case, line.apogee.as_ref()?, line.rocketmq.as_ref()?)))
    }
}

fn path() -> PathBuf {
    paths::e2e().join("outcomes/access.jsonl")
}
