//! Child processes whose end is certain: each is the leader of a process group of its own, and the group is killed
//! when the handle is dropped.
use crate::interrupt;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

pub(crate) struct Process {
    name: String,
    child: Child,
}

impl Process {
    /// Starts `command` with its error stream appended to `log`, and its output there too unless it is piped.
    pub(crate) fn start(name: &str, command: &mut Command, log: &Path, output: Output) -> Result<Self> {
        let file = append(log)?;
        match output {
            Output::ToLog => command.stdout(file.try_clone()?).stdin(Stdio::null()),
            Output::Piped => command.stdout(Stdio::piped()).stdin(Stdio::piped()),
        };
        let child = command
            .stderr(file)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start {name}: is {:?} installed?", command.get_program()))?;
        let process = Self { name: name.to_owned(), child };
        if let Some(group) = process.group() {
            interrupt::remember(group);
        }
        Ok(process)
    }

    pub(crate) fn stdin(&mut self) -> Result<std::process::ChildStdin> {
        self.child.stdin.take().with_context(|| format!("{} has no piped input left", self.name))
    }

    /// Lines of the piped output; the channel closes when the process closes its output.
    pub(crate) fn lines(&mut self) -> Result<Receiver<String>> {
        let output =
            self.child.stdout.take().with_context(|| format!("{} has no piped output", self.name))?;
        let (sender, receiver) = sync_channel(1024);
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Ok(receiver)
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Takes the processor away from the process until it is resumed.
    pub(crate) fn pause(&self) {
        self.signal(Signal::STOP);
    }

    pub(crate) fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Tells the process that its terminal is gone: servers look at their files anew.
    pub(crate) fn hang_up(&self) {
        self.signal(Signal::HUP);
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.signal(Signal::KILL);
        self.child.wait()?;
        Ok(())
    }

    /// Asks the process to end and waits for it.
    pub(crate) fn terminate(&mut self, patience: Duration) -> Result<()> {
        self.signal(Signal::TERM);
        if self.wait(patience).is_none() {
            self.kill()?;
            bail!("{} did not end within {patience:?} of SIGTERM", self.name);
        }
        Ok(())
    }

    pub(crate) fn wait(&mut self, patience: Duration) -> Option<std::process::ExitStatus> {
        let deadline = Instant::now() + patience;
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Some(status);
            }
            if Instant::now() >= deadline {
                return None;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group() {
            // A process that is already gone is what we want.
            let _ = kill_process_group(group, signal);
        }
    }

    fn group(&self) -> Option<Pid> {
        i32::try_from(self.child.id()).ok().and_then(Pid::from_raw)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = self.kill();
        }
        if let Some(group) = self.group() {
            interrupt::forget(group);
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Output {
    ToLog,
    Piped,
}

pub(crate) fn append(log: &Path) -> Result<File> {
    OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot open {}", log.display()))
}

/// Runs a build step to its end; its output is shown only when it fails.
pub(crate) fn run_quietly(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let output = command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {shown}"))?;
    if !output.status.success() {
        bail!(
            "{shown} ended with {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// Runs a step with its output on our terminal.
pub(crate) fn run_openly(command: &mut Command) -> Result<()> {
    let shown = format!("{command:?}");
    let status = command.status().with_context(|| format!("cannot run {shown}"))?;
    if !status.success() {
        bail!("{shown} ended with {status}");
    }
    Ok(())
}

/// Polls a condition that has no event to wait for, such as another process opening its port.
pub(crate) fn await_true(
    what: &str,
    patience: Duration,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + patience;
    while !condition()? {
        if Instant::now() >= deadline {
            bail!("{what}: not within {patience:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
