//! Medians of the rounds of one case on one server, and which case was measured where.
use super::peers::{OURS, Peer};
use super::record::{Durability, Failure, Line, Quantiles, Run, Start};
use super::statistics::median;

/// What stands against what: when they flush, when we do.
pub(crate) type Pairing = [Durability; 2];
pub(crate) const BOTH_ASYNC: Pairing = [Durability::Async, Durability::Async];
pub(crate) const BOTH_SYNC: Pairing = [Durability::Sync, Durability::Sync];
pub(crate) const OURS_SYNC: Pairing = [Durability::Async, Durability::Sync];

const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;

/// Medians of one case on one server.
pub(crate) struct Summary {
    pub(crate) rate: f64,
    pub(crate) cpu_per_million: f64,
    /// p50, p99, p99.9 in microseconds.
    pub(crate) times: Option<[f64; 3]>,
    pub(crate) rss_peak_mib: f64,
    pub(crate) rss_private_mib: f64,
    pub(crate) written_bytes_per_message: f64,
    /// Processors that were busy with something else; the worst round.
    pub(crate) other_cores: f64,
    pub(crate) repetitions: usize,
}

impl Summary {
    fn of(runs: &[&Run]) -> Option<Self> {
        let middle = |value: fn(&Run) -> f64| median(runs.iter().map(|run| value(run)));
        let time = |value: fn(Quantiles) -> u64| {
            median(runs.iter().filter_map(|run| run.quantiles).map(|quantiles| value(quantiles) as f64))
        };
        let times = [time(|times| times.p50_us), time(|times| times.p99_us), time(|times| times.p999_us)];
        let others = runs.iter().map(|run| run.other_cpu_seconds / run.window_seconds);
        Some(Self {
            rate: middle(Run::rate)?,
            cpu_per_million: middle(Run::cpu_per_million)?,
            times: match times {
                [Some(p50), Some(p99), Some(p999)] => Some([p50, p99, p999]),
                _ => None,
            },
            rss_peak_mib: middle(|run| run.rss_peak_mib)?,
            rss_private_mib: middle(|run| run.rss_private_mib)?,
            written_bytes_per_message: middle(|run| run.written_mib * BYTES_PER_MIB / run.messages as f64)?,
            other_cores: others.fold(0.0, f64::max),
            repetitions: runs.len(),
        })
    }
}

/// A case that another server and ours have done.
pub(crate) struct Pair {
    pub(crate) case: String,
    pub(crate) theirs: Summary,
    pub(crate) ours: Summary,
}

/// All that was measured.
pub(crate) struct Results<'a>(pub(crate) &'a [Line]);

impl Results<'_> {
    /// Those that count.
    fn runs(&self) -> impl Iterator<Item = &Run> {
        self.0.iter().filter_map(|line| match line {
            Line::Run(run) if !run.rehearsal => Some(run),
            _ => None,
        })
    }

    /// In the order in which they were measured.
    pub(crate) fn cases(&self) -> Vec<&str> {
        let mut cases: Vec<&str> = Vec::new();
        for run in self.runs() {
            if !cases.contains(&run.case.as_str()) {
                cases.push(&run.case);
            }
        }
        cases
    }

    pub(crate) fn summary(&self, case: &str, server: &str, flush: Durability) -> Option<Summary> {
        let is_meant = |run: &&Run| run.case == case && run.server == server && run.flush == flush;
        let chosen: Vec<&Run> = self.runs().filter(is_meant).collect();
        Summary::of(&chosen)
    }

    pub(crate) fn pair(&self, case: &str, rival: &Peer, [theirs, ours]: Pairing) -> Option<Pair> {
        Some(Pair {
            case: case.to_owned(),
            theirs: self.summary(case, rival.name, theirs)?,
            ours: self.summary(case, OURS.name, ours)?,
        })
    }

    pub(crate) fn pairs(&self, rival: &Peer, pairing: Pairing) -> Vec<Pair> {
        self.cases().into_iter().filter_map(|case| self.pair(case, rival, pairing)).collect()
    }

    pub(crate) fn failures(&self) -> impl Iterator<Item = &Failure> {
        self.0.iter().filter_map(|line| match line {
            Line::Failure(failure) => Some(failure),
            _ => None,
        })
    }

    pub(crate) fn starts(&self) -> impl Iterator<Item = &Start> {
        self.0.iter().filter_map(|line| match line {
            Line::Start(start) => Some(start),
            _ => None,
        })
    }
}
