//! Access control as a matrix: who is let through with what, and with which code everybody else is refused, asked
//! of Apogee and of the real RocketMQ by the same calls of the original's own clients.
//!
//! ```text
//! e2e/access/setup.txt        topics, groups, users, policies: made by the operator
//! e2e/access/cases.txt        protocol user call target
//! e2e/outcomes/access.jsonl   what each case was answered by both; `--record` writes it, and `docs/access-matrix.md`
//! ```
//! Without `--record` a run fails where an answer is not the recorded one.

mod differences;
mod outcomes;
mod page;

use crate::clients::{ACCESS_GRPC, ACCESS_REMOTING, Client};
use crate::e2e::{ROOT, memory_folder};
use crate::operator::Operator;
use crate::oracle::{ProxyMode, Tuning};
use crate::process::{Output, Process};
use crate::server_under_test::{ServerUnderTest, Stop, access_control, build};
use crate::{ServerKind, paths};
use anyhow::{Context, Result, bail};
use outcomes::{Answer, Case, Outcomes};
use std::io::Write;
use std::path::Path;
use std::process::{ChildStdin, ExitCode};
use std::sync::mpsc::Receiver;
use std::time::Duration;

/// A call waits 20 s at most, and up to two are made for a question.
const PATIENCE: Duration = Duration::from_secs(60);
const END_PATIENCE: Duration = Duration::from_secs(20);

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    /// The servers to ask.
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [ServerKind::Apogee])]
    against: Vec<ServerKind>,
    /// Write the answers to `e2e/outcomes`, and `docs/access-matrix.md` anew.
    #[arg(long)]
    record: bool,
    #[arg(long, default_value = "dev")]
    profile: String,
}

impl Options {
    /// Our own answers against those recorded.
    pub(crate) fn ours(profile: &str) -> Self {
        Self { against: vec![ServerKind::Apogee], record: false, profile: profile.to_owned() }
    }
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    for client in [ACCESS_REMOTING, ACCESS_GRPC] {
        client.install().with_context(|| format!("cannot install {}", client.name))?;
    }
    let folder = memory_folder()?;
    println!("logs are in {}", folder.display());
    let cases = Case::all()?;
    let mut recorded = Outcomes::read()?;
    let mut other = 0;
    for kind in &options.against {
        let home = folder.join(format!("{kind:?}").to_lowercase());
        std::fs::create_dir_all(&home)?;
        let answers = ask_all(*kind, &options.profile, &cases, &home)?;
        let refused = cases.iter().zip(&answers).filter(|(_, answer)| answer.is_refusal()).count();
        println!("{kind:?}: {} cases, {refused} refused", cases.len());
        other += recorded.replace(*kind, &cases, answers, options.record);
    }
    if options.record {
        recorded.write()?;
        page::write(&recorded)?;
    }
    println!("{}", page::summary(&recorded));
    if other > 0 && !options.record {
        println!("FAILED: {other} answers are not those recorded; --record writes them down");
        return Ok(ExitCode::FAILURE);
    }
    std::fs::remove_dir_all(folder)?;
    Ok(ExitCode::SUCCESS)
}

fn ask_all(kind: ServerKind, profile: &str, cases: &[Case], folder: &Path) -> Result<Vec<Answer>> {
    let mut server = match kind {
        ServerKind::Apogee => {
            ServerUnderTest::apogee(&build(profile)?, access_control(ROOT).to_vec(), folder)?
        }
        ServerKind::Rocketmq => {
            let tuning = Tuning { proxy: ProxyMode::Local, ..Tuning::proof().with_access_control(ROOT) };
            ServerUnderTest::rocketmq(tuning, folder)?
        }
    };
    server.launch()?;
    let mut operator = Operator::start(&server, Some(ROOT), folder)?;
    for line in lines_of("setup.txt")? {
        let answer = operator.ask(&line)?;
        if answer != "OPERATED" {
            bail!("{line}: {answer}");
        }
    }
    // The name server of the original asks nobody; its proxy does, and clients may take it for one.
    let routes = match kind {
        ServerKind::Apogee => server.namesrv(),
        ServerKind::Rocketmq => server.http(),
    };
    let mut answers = Vec::new();
    for (protocol, client) in [("remoting", ACCESS_REMOTING), ("grpc", ACCESS_GRPC)] {
        let mut desk = Desk::open(&client, &server, &routes, folder)?;
        for case in cases.iter().filter(|case| case.protocol == protocol) {
            answers.push(desk.ask(case)?);
        }
        desk.close()?;
    }
    server.stop(Stop::Kill)?;
    Ok(answers)
}

/// Lines of a file of `e2e/access`, without comments.
fn lines_of(file: &str) -> Result<Vec<String>> {
    let path = paths::e2e().join("access").join(file);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let is_meant = |line: &&str| !line.is_empty() && !line.starts_with('#');
    Ok(text.lines().filter(is_meant).map(str::to_owned).collect())
}

/// A client program that makes one call for each line.
struct Desk {
    process: Process,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Desk {
    fn open(client: &Client, server: &ServerUnderTest, routes: &str, folder: &Path) -> Result<Self> {
        let home = folder.join(client.name);
        std::fs::create_dir_all(&home)?;
        let mut command = client.command(&home);
        command.env("BROKER", server.broker()).env("ROUTES", routes).env("ENDPOINT", server.endpoint());
        let mut process =
            Process::start(client.name, &mut command, &home.join("program.log"), Output::Piped)?;
        let (input, answers) = (process.stdin()?, process.lines()?);
        Ok(Self { process, input, answers })
    }

    fn ask(&mut self, case: &Case) -> Result<Answer> {
        let question = case.question();
        writeln!(self.input, "{question}").context("the client is gone")?;
        self.input.flush()?;
        loop {
            let line =
                self.answers.recv_timeout(PATIENCE).with_context(|| format!("no answer: {question}"))?;
            if let Some((code, text)) = line.strip_prefix("ANSWER ").and_then(|said| said.split_once(' ')) {
                return Ok(Answer { code: code.to_owned(), text: text.to_owned() });
            }
        }
    }

    fn close(self) -> Result<()> {
        let Self { mut process, input, .. } = self;
        drop(input);
        if process.wait(END_PATIENCE).is_none() {
            bail!("the client did not end");
        }
        Ok(())
    }
}
