//! Our SQL92 filters against the original's filter library, from Maven Central: a fixed table and random expressions.
//!
//! ```text
//! table, generator ──> lines ──┬─> testkit --bin selector ──> verdicts ─┐
//!                              └─> e2e/sql-oracle (Java)  ──> verdicts ─┴─> disagreements
//! ```
//! A verdict is true, false, unknown, incomparable or refused. Clients see three things: a message, no message, a
//! refused subscription; two verdicts that look the same to a client agree.

mod generate;
mod table;

use crate::process::run_openly;
use crate::{SqlOptions, clients, paths, server_under_test};
use anyhow::{Context, Result, bail};
use generate::Generator;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, ExitCode, Stdio};

const SHOWN_MAX: usize = 30;

/// An expression, the properties of a message, and what is expected of them.
struct Question {
    expression: String,
    properties: Vec<(String, String)>,
    origin: Origin,
}

enum Origin {
    /// Of the table: our verdict, and the original's.
    Table { ours: String, theirs: String },
    /// Random, and right by the grammar.
    Whole,
    /// Random, with something amiss.
    Damaged,
}

/// What both said.
struct Said {
    question: Question,
    ours: String,
    theirs: String,
}

pub(crate) fn run(options: &SqlOptions) -> Result<ExitCode> {
    clients::SQL_ORACLE.install()?;
    run_openly(
        Command::new("cargo")
            .args(["build", "--quiet", "-p", "testkit", "--bin", "selector"])
            .current_dir(paths::repository()),
    )?;
    let mut questions = table::read()?;
    let fixed = questions.len();
    let mut generator = Generator::new(options.seed);
    questions.extend((0..options.random).map(|number| generator.question(number)));
    let lines: Vec<String> = questions.iter().map(line).collect();
    let home = tempfile::tempdir()?;
    let ours = ask(&mut Command::new(server_under_test::built("dev", "selector")), &lines)?;
    let theirs = ask(&mut clients::SQL_ORACLE.command(home.path()), &lines)?;
    let said: Vec<Said> = questions
        .into_iter()
        .zip(ours.into_iter().zip(theirs))
        .map(|(question, (ours, theirs))| Said { question, ours, theirs })
        .collect();
    let wrong: Vec<&Said> = said.iter().filter(|said| !said.is_right()).collect();
    for said in wrong.iter().take(SHOWN_MAX) {
        println!("ours {:12} theirs {:12} {}", said.ours, said.theirs, line(&said.question));
    }
    let count = |is: &dyn Fn(&Said) -> bool| said.iter().filter(|said| is(said)).count();
    println!(
        "{fixed} of the table and {} random questions (seed {}): {} matched, {} refused by both, {} refused by us alone, \
         {} known differences, {} disagreements",
        options.random,
        options.seed,
        count(&|said| said.ours == "true"),
        count(&|said| said.ours == "refused" && said.theirs == "refused"),
        count(&|said| said.ours == "refused" && said.theirs != "refused"),
        count(&|said| said.is_right() && seen(&said.ours) != seen(&said.theirs)),
        wrong.len(),
    );
    Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Said {
    fn is_right(&self) -> bool {
        let agree = seen(&self.ours) == seen(&self.theirs);
        match &self.question.origin {
            Origin::Table { ours, theirs } => *ours == self.ours && *theirs == self.theirs,
            Origin::Whole => agree || self.is_known(),
            // Theirs reads the longest right beginning and forgets the rest; ours takes all or nothing. Theirs cannot
            // compare a truth with the property on its right, which damage makes of `a = b = c`.
            Origin::Damaged => agree || self.ours == "refused" || self.theirs == "incomparable",
        }
    }

    /// Integers have 32 bits there, unless the literal beside them is longer: larger properties are incomparable.
    fn is_known(&self) -> bool {
        let is_long = |text: &str| text.parse::<i64>().is_ok_and(|number| i32::try_from(number).is_err());
        self.theirs == "incomparable" && self.question.properties.iter().any(|(_, value)| is_long(value))
    }
}

/// What a client sees of a verdict.
fn seen(verdict: &str) -> &str {
    match verdict {
        "true" | "refused" => verdict,
        _ => "no message",
    }
}

fn line(question: &Question) -> String {
    let mut line = escaped(&question.expression);
    for (name, value) in &question.properties {
        line.push('\t');
        line.push_str(&escaped(&format!("{name}={value}")));
    }
    line
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\t', "\\t").replace('\n', "\\n").replace('\r', "\\r")
}

/// Feeds the lines to a program; as many come back.
fn ask(command: &mut Command, lines: &[String]) -> Result<Vec<String>> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn()?;
    let mut input = child.stdin.take().context("the input is piped")?;
    let output = child.stdout.take().context("the output is piped")?;
    let answers: Vec<String> = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that ends early is noticed by the count of its answers.
            let _ = lines.iter().try_for_each(|line| writeln!(input, "{line}"));
        });
        BufReader::new(output).lines().collect::<std::io::Result<_>>()
    })?;
    let status = child.wait()?;
    if !status.success() || answers.len() != lines.len() {
        bail!(
            "{command:?} gave {} answers to {} questions and ended with {status}",
            answers.len(),
            lines.len()
        );
    }
    Ok(answers)
}
