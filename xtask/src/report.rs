//! What came of a run: a table of cases by clients, the reasons of failures, and one line that counts.
use std::collections::BTreeMap;
use std::process::ExitCode;

#[derive(Default)]
pub(crate) struct Report {
    clients: Vec<&'static str>,
    /// In the order in which they were first met.
    cases: Vec<String>,
    results: BTreeMap<(String, &'static str), Outcome>,
}

pub(crate) type Outcome = Result<(), String>;

impl Report {
    pub(crate) fn add(&mut self, client: &'static str, case: &str, outcome: Outcome) {
        if !self.clients.contains(&client) {
            self.clients.push(client);
        }
        if !self.cases.iter().any(|known| known == case) {
            self.cases.push(case.to_owned());
        }
        self.results.insert((case.to_owned(), client), outcome);
    }

    /// Prints everything; the last line is the count alone.
    pub(crate) fn conclude(&self) -> ExitCode {
        self.print_table();
        for ((case, client), outcome) in &self.results {
            if let Err(reason) = outcome {
                println!("FAILED {client} {case}: {reason}");
            }
        }
        let failed = self.results.values().filter(|outcome| outcome.is_err()).count();
        let passed = self.results.len() - failed;
        println!("{passed} passed, {failed} failed");
        if failed == 0 && passed > 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn print_table(&self) {
        let width = self.cases.iter().map(String::len).max().unwrap_or(0).max(4);
        println!();
        println!("{:width$}  {}", "case", self.clients.join("  "));
        for case in &self.cases {
            let cells = self.clients.iter().map(|client| {
                let mark = match self.results.get(&(case.clone(), *client)) {
                    Some(Ok(())) => "pass",
                    Some(Err(_)) => "FAIL",
                    None => "-",
                };
                format!("{mark:len$}", len = client.len())
            });
            println!("{case:width$}  {}", cells.collect::<Vec<_>>().join("  ").trim_end());
        }
        println!();
    }
}
