//! What came of a run: a table of cases by clients, the reasons of failures, and one line that counts.
use crate::clients::Client;
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;

/// The check of the server's log stands among the cases of each client.
const LOG: &str = "server-log";

pub(crate) struct Report {
    clients: Vec<&'static str>,
    results: BTreeMap<(String, &'static str), Result>,
}

pub(crate) type Outcome = std::result::Result<(), String>;

enum Result {
    Passed,
    /// Fails as it must: the reason is written down among the deviations.
    Deviated,
    Failed(String),
}

impl Report {
    pub(crate) fn of(clients: &[Client]) -> Self {
        Self { clients: clients.iter().map(|client| client.name).collect(), results: BTreeMap::new() }
    }

    pub(crate) fn add(&mut self, client: &'static str, case: &str, outcome: Outcome, is_known: bool) {
        let result = match outcome {
            Ok(()) => Result::Passed,
            Err(_) if is_known => Result::Deviated,
            Err(reason) => Result::Failed(reason),
        };
        self.results.insert((case.to_owned(), client), result);
    }

    pub(crate) fn add_log(&mut self, client: &'static str, outcome: Outcome) {
        self.add(client, LOG, outcome, false);
    }

    /// Client, case, and whether it passed, for each case that ran.
    pub(crate) fn outcomes(&self) -> impl Iterator<Item = (&'static str, &str, bool)> {
        let cases = self.results.iter().filter(|((case, _), _)| case != LOG);
        cases.map(|((case, client), result)| (*client, case.as_str(), matches!(result, Result::Passed)))
    }

    /// Prints everything; the last line is the count alone.
    pub(crate) fn conclude(&self) -> ExitCode {
        self.print_table();
        for ((case, client), result) in &self.results {
            if let Result::Failed(reason) = result {
                println!("FAILED {client} {case}: {reason}");
            }
        }
        let count = |is: fn(&Result) -> bool| self.results.values().filter(|result| is(result)).count();
        let passed = count(|result| matches!(result, Result::Passed));
        let failed = count(|result| matches!(result, Result::Failed(_)));
        let deviated = count(|result| matches!(result, Result::Deviated));
        let known = if deviated == 0 { String::new() } else { format!(", {deviated} known deviations") };
        println!("{passed} passed, {failed} failed{known}");
        if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn print_table(&self) {
        let cases: BTreeSet<&str> = self.results.keys().map(|(case, _)| case.as_str()).collect();
        let width = cases.iter().map(|case| case.len()).max().unwrap_or(0).max(4);
        println!();
        println!("{:width$}  {}", "case", self.clients.join("  "));
        for case in cases {
            let cells = self.clients.iter().map(|client| {
                let mark = match self.results.get(&(case.to_owned(), *client)) {
                    Some(Result::Passed) => "pass",
                    Some(Result::Deviated) => "known",
                    Some(Result::Failed(_)) => "FAIL",
                    None => "-",
                };
                format!("{mark:len$}", len = client.len())
            });
            println!("{case:width$}  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        println!();
    }
}
