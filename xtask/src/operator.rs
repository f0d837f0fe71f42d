//! The operator: a process with the official admin client that makes topics and groups when a program asks.
use crate::clients;
use crate::e2e::User;
use crate::process::{Output, Process};
use crate::server_under_test::ServerUnderTest;
use anyhow::{Context, Result};
use std::io::Write;
use std::path::Path;
use std::process::ChildStdin;
use std::sync::mpsc::Receiver;
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Operator {
    _process: Process,
    input: ChildStdin,
    answers: Receiver<String>,
}

impl Operator {
    pub(crate) fn start(server: &ServerUnderTest, user: Option<User>, folder: &Path) -> Result<Self> {
        clients::OPERATOR.install()?;
        let home = folder.join("operator");
        std::fs::create_dir_all(&home)?;
        let mut command = clients::OPERATOR.command(&home);
        command.env("NAMESRV", server.namesrv());
        if let Some(user) = user {
            command.env("ACCESS_KEY", user.name).env("SECRET_KEY", user.secret);
        }
        let mut process = Process::start("operator", &mut command, &home.join("program.log"), Output::Piped)?;
        let input = process.stdin()?;
        let answers = process.lines()?;
        Ok(Self { _process: process, input, answers })
    }

    /// Carries out one command; the answer is the line that the asking program gets.
    pub(crate) fn ask(&mut self, command: &str) -> Result<String> {
        writeln!(self.input, "{command}").context("the operator is gone")?;
        self.input.flush()?;
        loop {
            let line = self
                .answers
                .recv_timeout(PATIENCE)
                .with_context(|| format!("the operator gave no answer to: {command}"))?;
            if line == "OPERATED" || line.starts_with("REFUSED ") {
                return Ok(line);
            }
        }
    }
}
