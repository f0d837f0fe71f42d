//! The course of one program's cases, of which several may be under way; each end is one line of output.
use super::Board;
use super::sitting::Sitting;
use super::times::Course;
use crate::report::Outcome;
use crate::{ServerKind, deviations};
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Fits the longest name of a client, so that the lines of programs side by side stay in columns.
const NAME_WIDTH: usize = 19;

pub(super) struct Performance<'a> {
    kind: ServerKind,
    client: &'static str,
    sitting: Sitting,
    board: &'a Mutex<Board>,
    under_way: BTreeMap<String, Instant>,
    seen: Vec<String>,
    cases: Vec<(String, Duration)>,
}

impl<'a> Performance<'a> {
    pub(super) fn begin(
        kind: ServerKind,
        client: &'static str,
        sitting: Sitting,
        board: &'a Mutex<Board>,
    ) -> Self {
        let (seen, cases) = (Vec::new(), Vec::new());
        Self { kind, client, sitting, board, under_way: BTreeMap::new(), seen, cases }
    }

    pub(super) fn began(&mut self, case: String) {
        let case = self.sitting.name_of(&case);
        self.seen.push(case.clone());
        self.under_way.insert(case, Instant::now());
    }

    pub(super) fn ended(&mut self, case: &str, outcome: Outcome) {
        self.finished(&self.sitting.name_of(case), outcome);
    }

    fn finished(&mut self, case: &str, outcome: Outcome) {
        let took = self.under_way.remove(case).map_or(Duration::ZERO, |start| start.elapsed());
        let client = self.client;
        let is_known = outcome.is_err() && deviations::reason(self.kind, client, case).is_some();
        let seconds = took.as_secs_f32();
        match &outcome {
            _ if is_known => println!("  {client:NAME_WIDTH$}  known deviation {case} ({seconds:.1} s)"),
            Ok(()) => println!("  {client:NAME_WIDTH$}  pass {case} ({seconds:.1} s)"),
            Err(reason) => println!("  {client:NAME_WIDTH$}  FAIL {case} ({seconds:.1} s): {reason}"),
        }
        self.cases.push((case.to_owned(), took));
        let mut board = self.board.lock().unwrap_or_else(PoisonError::into_inner);
        board.report.add(client, case, outcome, is_known);
    }

    /// The program is lost, and with it every case under way.
    pub(super) fn broke_off(&mut self, reason: &str) {
        let mut lost: Vec<String> = self.under_way.keys().cloned().collect();
        if lost.is_empty() {
            lost.push(self.sitting.name_of("program"));
        }
        for case in lost {
            self.finished(&case, Err(reason.to_owned()));
        }
    }

    /// The cases that were begun, and how long everything took.
    pub(super) fn end(self, took: Duration) -> (Vec<String>, Course) {
        (self.seen, Course { client: self.client, took, cases: self.cases })
    }
}
