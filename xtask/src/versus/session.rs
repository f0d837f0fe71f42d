//! One run of the comparison: which server does which round of which case, and when.
use super::Options;
use super::cases::{self, Case};
use super::contestant::{Contestant, Round};
use super::peers::Peer;
use super::record::{Journal, Line, Run};
use anyhow::Result;
use std::path::Path;

const BYTES_PER_GIB: u64 = 1 << 30;

pub(crate) struct Session<'a> {
    options: &'a Options,
    cases: &'a [Case],
    journal: &'a mut Journal,
    failures: u32,
}

/// What is to be done once.
#[derive(Clone, Copy)]
struct Task<'a> {
    case: &'a Case,
    round: Round,
    seconds: u32,
}

impl<'a> Session<'a> {
    pub(crate) fn new(options: &'a Options, cases: &'a [Case], journal: &'a mut Journal) -> Self {
        Self { options, cases, journal, failures: 0 }
    }

    /// Everything, with servers that live in the folder; returns how many rounds failed.
    pub(crate) fn run(mut self, peers: &[&'static Peer], folder: &Path) -> Result<u32> {
        let mut contestants = Vec::new();
        for peer in peers {
            for flush in self.options.flush.of(peer) {
                let mut contestant = Contestant::start(peer, *flush, self.options, folder)?;
                self.journal.add(Line::Start(contestant.start_record()))?;
                self.prelude(&mut contestant)?;
                contestants.push(contestant);
            }
        }
        let mut rehearsed = Vec::new();
        for case in self.cases {
            let kind_of_work = (case.protocol, case.work);
            let rehearsals = if rehearsed.contains(&kind_of_work) { 0 } else { self.options.rehearsals };
            rehearsed.push(kind_of_work);
            self.measure(case, rehearsals, &mut contestants)?;
        }
        Ok(self.failures)
    }

    /// Brings a server into the state of one that has run for a while.
    fn prelude(&mut self, contestant: &mut Contestant) -> Result<()> {
        if self.options.prelude == 0 {
            return Ok(());
        }
        let round = Round { number: 0, is_rehearsal: true };
        for case in &cases::prelude(self.cases) {
            self.perform(contestant, Task { case, round, seconds: self.options.prelude })?;
        }
        Ok(())
    }

    /// All rounds of one case.
    fn measure(&mut self, case: &Case, rehearsals: u32, contestants: &mut [Contestant]) -> Result<()> {
        let flush = self.options.flush;
        let mut parts: Vec<&mut Contestant> =
            contestants.iter_mut().filter(|contestant| flush.has_part(contestant.flush(), case)).collect();
        for number in 0..rehearsals + self.options.repetitions {
            let round = Round { number, is_rehearsal: number < rehearsals };
            let task = Task { case, round, seconds: self.options.seconds };
            for contestant in &mut parts {
                self.make_room(contestant, task)?;
                self.perform(contestant, task)?;
            }
            // The first of a round is the last of the next.
            parts.rotate_left(1);
        }
        Ok(())
    }

    /// A server whose store has grown too large begins anew, and does again what made it ready for the task.
    fn make_room(&mut self, contestant: &mut Contestant, task: Task<'_>) -> Result<()> {
        if contestant.store_bytes()? <= u64::from(self.options.store_gib_max) * BYTES_PER_GIB {
            return Ok(());
        }
        contestant.begin_anew()?;
        self.journal.add(Line::Start(contestant.start_record()))?;
        self.prelude(contestant)?;
        if !task.round.is_rehearsal && self.options.rehearsals > 0 {
            let round = Round { is_rehearsal: true, ..task.round };
            self.perform(contestant, Task { round, ..task })?;
        }
        Ok(())
    }

    fn perform(&mut self, contestant: &mut Contestant, task: Task<'_>) -> Result<()> {
        let Task { case, round, seconds } = task;
        let options = Options { seconds, ..self.options.clone() };
        match contestant.perform(case, round, &options) {
            Ok(run) => {
                announce(&run);
                self.journal.add(Line::Run(run))
            }
            Err(error) => {
                let failure = contestant.failure(case, round, &error);
                println!("{:22} {:9} FAILED: {}", failure.case, failure.server, failure.reason);
                self.failures += 1;
                self.journal.add(Line::Failure(failure))
            }
        }
    }
}

fn announce(run: &Run) {
    println!(
        "{:22} {:9} {:5} {:>9.0} msg/s {:>7.1} CPU-s per million, p99 {} us, peak {:.0} MiB, others {:.2} cores{}",
        run.case,
        run.server,
        run.flush.name(),
        run.rate(),
        run.cpu_per_million(),
        run.quantiles.map_or_else(|| "-".to_owned(), |quantiles| quantiles.p99_us.to_string()),
        run.rss_peak_mib,
        run.other_cpu_seconds / run.window_seconds,
        if run.rehearsal { " (rehearsal)" } else { "" },
    );
}
