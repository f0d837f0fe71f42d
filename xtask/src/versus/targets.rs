//! What is asked of a comparison, each line judged by what was measured.
use super::cases;
use super::peers::{OURS, RIVAL};
use super::record::Start;
use super::statistics::ratio;
use super::summary::{BOTH_ASYNC, BOTH_SYNC, OURS_SYNC, Pair, Pairing, Results};

pub(crate) struct Verdict {
    pub(crate) asked: String,
    pub(crate) measured: String,
    /// None when nothing was measured.
    pub(crate) is_met: Option<bool>,
}

struct Target {
    asked: &'static str,
    check: Check,
}

enum Check {
    /// Server CPU per message, RocketMQ : Apogee, in each of these cases.
    Cpu(&'static [&'static str], f64),
    /// Messages per second, Apogee : RocketMQ, in each case of the pairing that is not paced.
    Throughput(Pairing, f64),
    /// The same in these cases.
    ThroughputIn(Pairing, &'static [&'static str], f64),
    /// Times of all paced cases at one of the quantiles below theirs.
    Tail(Quantile),
    /// p99.9 of all paced cases in milliseconds.
    TailUnder(f64),
    /// In every case, of theirs.
    PeakShare(f64),
    IdleMib(f64),
    BinaryMegabytes(f64),
}

#[derive(Clone, Copy)]
enum Quantile {
    P99 = 1,
    P999 = 2,
}

const GRPC_SENDS: &[&str] = &["grpc-sync-1", "grpc-sync-16", "grpc-sync-64", "grpc-async"];

const TARGETS: [Target; 21] = [
    Target {
        asked: "CPU, remoting sync 64 threads: >= 4 : 1",
        check: Check::Cpu(&["remoting-sync-64"], 4.0),
    },
    Target { asked: "CPU, remoting async: >= 6 : 1", check: Check::Cpu(&["remoting-async"], 6.0) },
    Target {
        asked: "CPU, batches of 32: >= 8 : 1",
        check: Check::Cpu(&["remoting-batch32", "remoting-batch32-1k"], 8.0),
    },
    Target { asked: "CPU, push drain: >= 8 : 1", check: Check::Cpu(&["push-drain"], 8.0) },
    Target { asked: "CPU, pop drain: >= 15 : 1", check: Check::Cpu(&["pop-drain"], 15.0) },
    Target {
        asked: "CPU, transactions: >= 6 : 1",
        check: Check::Cpu(&["transactions-16", "transactions-64"], 6.0),
    },
    Target { asked: "CPU, gRPC send: >= 3 : 1", check: Check::Cpu(GRPC_SENDS, 3.0) },
    Target { asked: "CPU, gRPC send, second step: >= 5 : 1", check: Check::Cpu(GRPC_SENDS, 5.0) },
    Target { asked: "CPU, SimpleConsumer drain: >= 3 : 1", check: Check::Cpu(&["simple-drain"], 3.0) },
    Target {
        asked: "CPU, SimpleConsumer drain, second step: >= 5 : 1",
        check: Check::Cpu(&["simple-drain"], 5.0),
    },
    Target { asked: "CPU, PushConsumer drain: >= 3 : 1", check: Check::Cpu(&["push5-drain"], 3.0) },
    Target {
        asked: "CPU, PushConsumer drain, second step: >= 8 : 1",
        check: Check::Cpu(&["push5-drain"], 8.0),
    },
    Target { asked: "throughput: higher in every case", check: Check::Throughput(BOTH_ASYNC, 1.0) },
    Target {
        asked: "throughput, flush sync on both sides: >= 2 times",
        check: Check::Throughput(BOTH_SYNC, 2.0),
    },
    Target {
        asked: "throughput, ours sync against their async, 64 threads: not below",
        check: Check::ThroughputIn(OURS_SYNC, &["remoting-sync-64", "grpc-sync-64"], 1.0),
    },
    Target { asked: "end to end p99: below", check: Check::Tail(Quantile::P99) },
    Target { asked: "end to end p99.9: below", check: Check::Tail(Quantile::P999) },
    Target { asked: "end to end p99.9: under 10 ms", check: Check::TailUnder(10.0) },
    Target { asked: "idle RSS: <= 30 MiB", check: Check::IdleMib(30.0) },
    Target { asked: "peak RSS: at most a tenth in every case", check: Check::PeakShare(0.1) },
    Target { asked: "stripped program: under 40 MB", check: Check::BinaryMegabytes(40.0) },
];

pub(crate) fn verdicts(results: &Results<'_>) -> Vec<Verdict> {
    TARGETS.iter().map(|target| target.judge(results)).collect()
}

impl Target {
    fn judge(&self, results: &Results<'_>) -> Verdict {
        let worst = self.check.worst(results);
        Verdict {
            asked: self.asked.to_owned(),
            measured: worst.as_ref().map_or_else(|| "not measured".to_owned(), |worst| worst.shown.clone()),
            is_met: worst.map(|worst| worst.is_met),
        }
    }
}

/// The case that is furthest from what is asked.
struct Worst {
    shown: String,
    is_met: bool,
}

impl Check {
    fn worst(&self, results: &Results<'_>) -> Option<Worst> {
        match *self {
            Self::Cpu(cases, asked) => {
                let pairs = cases.iter().filter_map(|case| results.pair(case, RIVAL, BOTH_ASYNC)).collect();
                at_least(asked, pairs, |pair| [pair.theirs.cpu_per_million, pair.ours.cpu_per_million])
            }
            Self::Throughput(pairing, asked) => {
                let pairs =
                    results.pairs(RIVAL, pairing).into_iter().filter(|pair| !cases::is_paced(&pair.case));
                at_least(asked, pairs.collect(), |pair| [pair.ours.rate, pair.theirs.rate])
            }
            Self::ThroughputIn(pairing, cases, asked) => {
                let pairs = cases.iter().filter_map(|case| results.pair(case, RIVAL, pairing)).collect();
                at_least(asked, pairs, |pair| [pair.ours.rate, pair.theirs.rate])
            }
            Self::Tail(quantile) => at_least(1.0, paced(results), |pair| {
                [&pair.theirs, &pair.ours]
                    .map(|side| side.times.map_or(0.0, |times| times[quantile as usize]))
            }),
            Self::TailUnder(asked) => {
                let times = paced(results).into_iter().filter_map(|pair| {
                    let [_, _, p999_us] = pair.ours.times?;
                    Some((p999_us / 1000.0, pair.case))
                });
                let (worst, case) = times.max_by(|left, right| left.0.total_cmp(&right.0))?;
                Some(Worst { shown: format!("{worst:.1} ms ({case})"), is_met: worst < asked })
            }
            Self::PeakShare(asked) => at_least(1.0 / asked, results.pairs(RIVAL, BOTH_ASYNC), |pair| {
                [pair.theirs.rss_peak_mib, pair.ours.rss_peak_mib]
            }),
            Self::IdleMib(asked) => {
                let worst = our_starts(results).map(|start| start.rss_idle_mib).max_by(f64::total_cmp)?;
                Some(Worst { shown: format!("{worst:.1} MiB"), is_met: worst <= asked })
            }
            Self::BinaryMegabytes(asked) => {
                let megabytes = our_starts(results).find_map(|start| start.program_bytes)? as f64 / 1e6;
                Some(Worst { shown: format!("{megabytes:.1} MB"), is_met: megabytes < asked })
            }
        }
    }
}

fn paced(results: &Results<'_>) -> Vec<Pair> {
    results.pairs(RIVAL, BOTH_ASYNC).into_iter().filter(|pair| cases::is_paced(&pair.case)).collect()
}

fn our_starts<'a>(results: &'a Results<'_>) -> impl Iterator<Item = &'a Start> {
    results.starts().filter(|start| start.server == OURS.name)
}

/// Judges the pair whose quotient of the two values is least.
fn at_least(asked: f64, pairs: Vec<Pair>, values: impl Fn(&Pair) -> [f64; 2]) -> Option<Worst> {
    let quotient = |pair: &Pair| {
        let [upper, lower] = values(pair);
        upper / lower
    };
    let worst = pairs.iter().min_by(|left, right| quotient(left).total_cmp(&quotient(right)))?;
    let [upper, lower] = values(worst);
    Some(Worst {
        shown: format!("{} ({})", ratio(upper, lower), worst.case),
        is_met: quotient(worst) >= asked,
    })
}

#[cfg(test)]
mod tests {
    use super::super::record::{Durability, Line, Run, example};
    use super::*;

    fn verdict(runs: Vec<Run>, asked: &str) -> (String, Option<bool>) {
        let lines: Vec<Line> = runs.into_iter().map(Line::Run).collect();
        let all = verdicts(&Results(&lines));
        let verdict = all.into_iter().find(|verdict| verdict.asked.starts_with(asked)).unwrap();
        (verdict.measured, verdict.is_met)
    }

    fn flushing(flush: Durability, run: Run) -> Run {
        Run { flush, ..run }
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_not() {
        assert_eq!(verdict(Vec::new(), "CPU, pop"), ("not measured".into(), None));
        let ours = example("apogee", "pop-drain", 100, 1.0);
        assert_eq!(verdict(vec![ours], "CPU, pop"), ("not measured".into(), None));
    }

    #[test]
    fn the_worst_case_decides() {
        let runs = |ours_1k| {
            vec![
                example("rocketmq", "remoting-batch32", 1_000, 9.0),
                example("apogee", "remoting-batch32", 1_000, 0.5),
                example("rocketmq", "remoting-batch32-1k", 1_000, 9.0),
                example("apogee", "remoting-batch32-1k", 1_000, ours_1k),
            ]
        };
        assert_eq!(verdict(runs(1.0), "CPU, batches"), ("9.0 : 1 (remoting-batch32-1k)".into(), Some(true)));
        assert_eq!(verdict(runs(2.0), "CPU, batches"), ("4.5 : 1 (remoting-batch32-1k)".into(), Some(false)));
    }

    #[test]
    fn servers_are_compared_by_when_they_flush() {
        let runs = vec![
            flushing(Durability::Async, example("rocketmq", "remoting-sync-64", 1_000, 1.0)),
            flushing(Durability::Sync, example("rocketmq", "remoting-sync-64", 600, 1.0)),
            flushing(Durability::Sync, example("apogee", "remoting-sync-64", 900, 1.0)),
        ];
        let of = |asked: &str| verdict(runs.clone(), asked);
        assert_eq!(of("throughput, flush sync"), ("1.5 : 1 (remoting-sync-64)".into(), Some(false)));
        assert_eq!(of("throughput, ours sync"), ("1 : 1.1 (remoting-sync-64)".into(), Some(false)));
        assert_eq!(of("throughput: higher"), ("not measured".into(), None));
    }

    #[test]
    fn paced_cases_are_judged_by_their_tails() {
        let runs = vec![
            example("rocketmq", "remoting-latency-1000", 1_000, 1.0),
            example("apogee", "remoting-latency-1000", 999, 1.0),
        ];
        let of = |asked: &str| verdict(runs.clone(), asked);
        assert_eq!(of("end to end p99.9: under"), ("30.0 ms (remoting-latency-1000)".into(), Some(false)));
        assert_eq!(of("end to end p99: below"), ("1.0 : 1 (remoting-latency-1000)".into(), Some(true)));
        assert_eq!(of("throughput: higher").1, None);
    }

    #[test]
    fn every_case_that_is_named_exists() {
        for target in &TARGETS {
            let (Check::Cpu(names, _) | Check::ThroughputIn(_, names, _)) = target.check else { continue };
            for name in names {
                assert!(cases::chosen(&[(*name).to_owned()]).is_ok(), "{name}");
            }
        }
    }
}
