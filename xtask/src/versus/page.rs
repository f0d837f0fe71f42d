//! How results are shown: the table, and the page of the documentation that is made of it.
use super::machine::Facts;
use super::record::{Line, Quantiles, Run, Start};
use super::statistics::{median, ratio};
use std::fmt::Write;

/// In the order of ratios: RocketMQ : Apogee.
const SERVERS: [&str; 2] = ["rocketmq", "apogee"];

/// Medians of one case on one server.
struct Summary {
    rate: f64,
    cpu_per_million: f64,
    /// p50, p99, p99.9 in microseconds.
    times: Option<[f64; 3]>,
    rss_peak_mib: f64,
    written_bytes_per_message: f64,
    repetitions: usize,
}

impl Summary {
    fn of(runs: &[&Run]) -> Option<Self> {
        let middle = |value: fn(&Run) -> f64| median(runs.iter().map(|run| value(run)));
        let time = |value: fn(Quantiles) -> u64| {
            median(runs.iter().filter_map(|run| run.quantiles).map(|quantiles| value(quantiles) as f64))
        };
        let times = [time(|times| times.p50_us), time(|times| times.p99_us), time(|times| times.p999_us)];
        Some(Self {
            rate: middle(Run::rate)?,
            cpu_per_million: middle(Run::cpu_per_million)?,
            times: match times {
                [Some(p50), Some(p99), Some(p999)] => Some([p50, p99, p999]),
                _ => None,
            },
            rss_peak_mib: middle(|run| run.rss_peak_mib)?,
            written_bytes_per_message: middle(|run| run.written_mib * 1024.0 * 1024.0 / run.messages as f64)?,
            repetitions: runs.len(),
        })
    }
}

/// Cells of a table that begins with its head.
type Rows = Vec<Vec<String>>;

/// For a terminal.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut text = aligned(&figures(lines));
    let starts = starts(lines);
    let _ = write!(text, "\n{}", aligned(&starts));
    let ratios = ratios(lines);
    if ratios.len() > 1 {
        let _ = write!(text, "\nRocketMQ : Apogee\n{}", aligned(&ratios));
    }
    text
}

/// For the documentation.
pub(crate) fn page(lines: &[Line], command: &str) -> String {
    let mut text = String::from("# Apogee and Apache RocketMQ 5.5.0 side by side\n");
    let _ = writeln!(
        text,
        "Made by `{command}`; do not edit. How it is measured stands in `e2e/java-load/README.md`.\n"
    );
    for facts in lines.iter().filter_map(|line| match line {
        Line::Machine(facts) => Some(facts),
        _ => None,
    }) {
        let _ = writeln!(text, "{}\n", described(facts));
    }
    let ratios = ratios(lines);
    if ratios.len() > 1 {
        let _ = writeln!(text, "## Ratios, RocketMQ : Apogee\n{}", markdown(&ratios));
    }
    let _ = writeln!(text, "## Figures\nMedians of the repetitions.\n\n{}", markdown(&figures(lines)));
    let _ = writeln!(text, "## Start on an empty store\n{}", markdown(&starts(lines)));
    format!("{}\n", text.trim_end())
}

fn described(facts: &Facts) -> String {
    format!(
        "Measured {} at revision {} on {} x {}, {} GiB of memory, Linux {}, {}.",
        facts.time,
        facts.revision,
        facts.processors,
        facts.processor,
        facts.memory_gib,
        facts.kernel,
        facts.java
    )
}

fn figures(lines: &[Line]) -> Rows {
    let head = [
        "case",
        "server",
        "msg/s",
        "CPU-s per million",
        "p50 ms",
        "p99 ms",
        "p99.9 ms",
        "peak RSS MiB",
        "written B/msg",
        "runs",
    ];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for case in cases(lines) {
        for server in SERVERS {
            let Some(summary) = summary(lines, case, server) else { continue };
            let mut row = vec![case.to_owned(), server.to_owned(), format!("{:.0}", summary.rate)];
            row.push(format!("{:.1}", summary.cpu_per_million));
            match summary.times {
                Some(times) => row.extend(times.map(|us| format!("{:.2}", us / 1000.0))),
                None => row.extend(["-", "-", "-"].map(str::to_owned)),
            }
            row.push(format!("{:.0}", summary.rss_peak_mib));
            row.push(format!("{:.0}", summary.written_bytes_per_message));
            row.push(summary.repetitions.to_string());
            rows.push(row);
        }
    }
    rows
}

/// Cases that both have done.
fn ratios(lines: &[Line]) -> Rows {
    let head = ["case", "throughput", "CPU-s per million", "p99", "peak RSS"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for case in cases(lines) {
        let [Some(theirs), Some(ours)] = SERVERS.map(|server| summary(lines, case, server)) else { continue };
        let p99 = theirs.times.zip(ours.times).map(|([_, theirs, _], [_, ours, _])| ratio(theirs, ours));
        rows.push(vec![
            case.to_owned(),
            ratio(theirs.rate, ours.rate),
            ratio(theirs.cpu_per_million, ours.cpu_per_million),
            p99.unwrap_or_else(|| "-".to_owned()),
            ratio(theirs.rss_peak_mib, ours.rss_peak_mib),
        ]);
    }
    rows
}

fn starts(lines: &[Line]) -> Rows {
    let head = ["server", "processes", "ready after s", "idle RSS MiB"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    rows.extend(lines.iter().filter_map(|line| {
        let Line::Start(Start { server, ready_seconds, rss_idle_mib, processes, .. }) = line else {
            return None;
        };
        let ready = format!("{ready_seconds:.2}");
        Some(vec![server.clone(), processes.to_string(), ready, format!("{rss_idle_mib:.0}")])
    }));
    rows
}

/// Those that count.
fn runs(lines: &[Line]) -> impl Iterator<Item = &Run> {
    lines.iter().filter_map(|line| match line {
        Line::Run(run) if !run.rehearsal => Some(run),
        _ => None,
    })
}

/// In the order in which they were measured.
fn cases(lines: &[Line]) -> Vec<&str> {
    let mut cases: Vec<&str> = Vec::new();
    for run in runs(lines) {
        if !cases.contains(&run.case.as_str()) {
            cases.push(&run.case);
        }
    }
    cases
}

fn summary(lines: &[Line], case: &str, server: &str) -> Option<Summary> {
    let chosen: Vec<&Run> = runs(lines).filter(|run| run.case == case && run.server == server).collect();
    Summary::of(&chosen)
}

fn aligned(rows: &Rows) -> String {
    let mut text = String::new();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    for row in rows {
        let cells = row.iter().enumerate().map(|(column, cell)| {
            let width = width(column);
            if is_number(rows, column) { format!("{cell:>width$}") } else { format!("{cell:width$}") }
        });
        let _ = writeln!(text, "{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
    text
}

fn markdown(rows: &Rows) -> String {
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let _ = writeln!(text, "| {} |", row.join(" | "));
        if number == 0 {
            let rule = (0..row.len()).map(|column| if is_number(rows, column) { "---:" } else { "---" });
            let _ = writeln!(text, "|{}|", rule.collect::<Vec<_>>().join("|"));
        }
    }
    text
}

fn is_number(rows: &Rows, column: usize) -> bool {
    rows.iter().skip(1).all(|row| !row[column].starts_with(|first: char| first.is_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::super::record::{Durability, example};
    use super::*;

    fn lines() -> Vec<Line> {
        let start = |server: &str, ready_seconds, rss_idle_mib| {
            Line::Start(Start {
                server: server.into(),
                flush: Durability::Async,
                ready_seconds,
                rss_idle_mib,
                processes: 1,
            })
        };
        let mut rehearsal = example("apogee", "remoting-sync-1", 1, 90.0);
        rehearsal.rehearsal = true;
        let mut drain = example("apogee", "push-drain", 200_000, 0.4);
        drain.quantiles = None;
        vec![
            start("rocketmq", 17.0, 700.0),
            start("apogee", 0.05, 12.0),
            Line::Run(rehearsal),
            Line::Run(example("rocketmq", "remoting-sync-1", 4_000, 1.2)),
            Line::Run(example("apogee", "remoting-sync-1", 8_000, 0.8)),
            Line::Run(example("apogee", "remoting-sync-1", 9_000, 0.9)),
            Line::Run(example("apogee", "remoting-sync-1", 100, 9.0)),
            Line::Run(drain),
        ]
    }

    #[test]
    fn a_terminal_gets_columns() {
        let expected = "\
case             server     msg/s  CPU-s per million  p50 ms  p99 ms  p99.9 ms  peak RSS MiB  written B/msg  runs
remoting-sync-1  rocketmq    4000              150.0    0.25    1.50     30.00            40           1573     1
remoting-sync-1  apogee      8000               50.0    0.25    1.50     30.00            40            786     3
push-drain       apogee    200000                1.0       -       -         -            40             31     1

server    processes  ready after s  idle RSS MiB
rocketmq          1          17.00           700
apogee            1           0.05            12

RocketMQ : Apogee
case             throughput  CPU-s per million      p99  peak RSS
remoting-sync-1     1 : 2.0            3.0 : 1  1.0 : 1   1.0 : 1
";
        assert_eq!(table(&lines()), expected);
    }

    #[test]
    fn one_server_alone_has_no_ratios() {
        let alone = [Line::Run(example("apogee", "x", 10, 0.1))];
        assert!(!table(&alone).contains("RocketMQ : Apogee"));
        assert!(!page(&alone, "cargo xtask versus").contains("Ratios"));
    }

    #[test]
    fn the_page_names_its_command() {
        let page = page(&lines(), "cargo xtask versus --write");
        assert!(page.contains("Made by `cargo xtask versus --write`"), "{page}");
        assert!(page.contains("| remoting-sync-1 | 1 : 2.0 | 3.0 : 1 | 1.0 : 1 | 1.0 : 1 |"), "{page}");
        assert!(page.ends_with("|\n") && !page.contains(" \n"), "{page}");
    }
}
