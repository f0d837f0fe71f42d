//! Transactions under kills: one producer group sends half messages, most of which it decides at once, some only
//! when it is asked. Even numbers commit, odd ones roll back. The server is killed while that goes on; afterwards a
//! consumer reads the topic from its beginning: it must see exactly the committed ones.
use crate::clients;
use crate::operator::Operator;
use crate::program::{Program, Said, Task};
use crate::server_under_test::{ServerUnderTest, Stop};
use crate::{KillOptions, e2e};
use anyhow::{Context, Result, bail};
use std::collections::{BTreeMap, BTreeSet};
use std::process::ExitCode;
use std::time::{Duration, Instant};

const CLIENT: &str = "java-remoting-5.5.0";
const KILLS: u64 = 3;
/// Longest time without an event while halves are sent, recovery of the server included.
const SILENCE: Duration = Duration::from_secs(120);
/// Longer than the first check and two intervals of the server under test: what is still open shows by then.
const QUIET: Duration = Duration::from_secs(15);

#[derive(Default)]
struct Account {
    acked: BTreeSet<u64>,
    seen: BTreeMap<u64, u64>,
    corrupt: Vec<String>,
}

pub(super) fn run(options: &KillOptions, count: u64) -> Result<ExitCode> {
    let client =
        clients::chosen(&[CLIENT.to_owned()])?.into_iter().next().context("the client is in the list")?;
    println!("installing {}", client.name);
    client.install().with_context(|| format!("cannot install {}", client.name))?;
    let folder = e2e::run_folder()?;
    println!("logs are in {}", folder.display());
    let mut server = ServerUnderTest::start(options.against, &options.profile, &folder)?;
    let mut operator = Operator::start(&server, None, &folder)?;
    let mut program = Program::start(&client, &server, &Task::KillTransactions { count }, &folder)?;
    let mut account = Account::default();
    let mut kills = 0;
    loop {
        match program.next(SILENCE)?.context("the program ended")? {
            Said::Acked(half) => {
                account.acked.insert(half.sequence);
            }
            Said::Operator(command) => program.tell(&operator.ask(&command)?)?,
            Said::Stopped => break,
            other => bail!("unexpected while halves are sent: {other:?}"),
        }
        let acked = account.acked.len() as u64;
        if kills < KILLS && acked >= count * (kills + 1) / (KILLS + 1) {
            server.restart(Stop::Kill)?;
            kills += 1;
            println!("kill {kills} of {KILLS} after {acked} acknowledged half messages");
        }
    }
    account.read(&mut program, &mut operator)?;
    let sound = account.judge(kills);
    drop(program);
    if sound {
        drop((server, operator));
        std::fs::remove_dir_all(folder)?;
    }
    Ok(if sound { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Account {
    /// Takes what the consumer sees until everything committed was seen and nothing more comes.
    fn read(&mut self, program: &mut Program, operator: &mut Operator) -> Result<()> {
        let limit = Instant::now() + SILENCE;
        loop {
            let patience = if self.lost().next().is_none() {
                QUIET
            } else {
                limit.saturating_duration_since(Instant::now()).max(QUIET)
            };
            match program.next_within(patience)? {
                None => return Ok(()),
                Some(Said::Consumed(message)) => *self.seen.entry(message.sequence).or_default() += 1,
                Some(Said::Corrupt(text)) => self.corrupt.push(text),
                Some(Said::Operator(command)) => program.tell(&operator.ask(&command)?)?,
                Some(other) => bail!("unexpected while the topic is read: {other:?}"),
            }
        }
    }

    fn lost(&self) -> impl Iterator<Item = u64> {
        self.acked.iter().copied().filter(|number| number % 2 == 0 && !self.seen.contains_key(number))
    }

    fn judge(&self, kills: u64) -> bool {
        let commits = self.acked.iter().filter(|number| *number % 2 == 0).count();
        let leaked: Vec<u64> = self.seen.keys().copied().filter(|number| number % 2 == 1).collect();
        let twice: Vec<u64> = self.seen.iter().filter(|(_, times)| **times > 1).map(|(n, _)| *n).collect();
        let lost: Vec<u64> = self.lost().collect();
        let unpromised = self.seen.keys().filter(|number| !self.acked.contains(number)).count();
        println!("kills                {kills:>7}");
        println!("acknowledged halves  {:>7}", self.acked.len());
        println!("  to be committed    {commits:>7}");
        println!("  to be rolled back  {:>7}", self.acked.len() - commits);
        println!("seen                 {:>7}", self.seen.len());
        println!(
            "  unacknowledged     {unpromised:>7}   (stored although the producer saw an error, then asked about)"
        );
        println!("committed and lost   {:>7}", lost.len());
        println!("rolled back and seen {:>7}", leaked.len());
        println!("seen twice           {:>7}", twice.len());
        println!("corrupt              {:>7}", self.corrupt.len());
        for (what, numbers) in [("lost", &lost), ("leaked", &leaked), ("twice", &twice)] {
            for number in numbers.iter().take(10) {
                println!("  {what}: {number}");
            }
        }
        let is_clean = lost.is_empty() && leaked.is_empty() && twice.is_empty() && self.corrupt.is_empty();
        is_clean && kills == KILLS && commits > 0
    }
}
