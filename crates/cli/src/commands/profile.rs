//! `apogee profile`: what a node spends its processor time on, as a file for flame graphs or as a table.

use std::collections::{HashMap, HashSet};
use std::path::PathBuf;

use anyhow::{Context, Result};
use model::admin::{NodeProfile, ProfileAnswer, ProfileRequest};

use crate::http::Server;
use crate::output::{self, Format};

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How long the node is looked at, from 1 to 60
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// File that is made, of stacks with their counts: speedscope and flamegraph.pl show it
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Functions that are shown without a file: those with the most time of their own
    #[arg(long, short = 'n', default_value_t = 25)]
    rows: usize,
}

pub(crate) async fn run(server: &Server, format: Format, args: Args) -> Result<()> {
    let Args { seconds, output, rows } = args;
    let profile = server.operate::<NodeProfile>(&ProfileRequest { seconds: Some(seconds) }).await?;
    if let Some(file) = output {
        std::fs::write(&file, &profile.folded).with_context(|| format!("cannot write {}", file.display()))?;
        output::done(format, &format!("{}, in {}", summary(&profile), file.display()));
        return Ok(());
    }
    match format {
        Format::Json => output::json(&serde_json::to_value(&profile)?),
        Format::Text => output::line(&screen(&profile, rows)),
    }
    Ok(())
}

fn summary(profile: &ProfileAnswer) -> String {
    let mut text = format!("{} looks in {} s", profile.looks, profile.seconds);
    if profile.lost > 0 {
        text += &format!(", {} lost", profile.lost);
    }
    if profile.threads_left_out > 0 {
        text += &format!(", {} threads left out", profile.threads_left_out);
    }
    text
}

/// How often a function was seen: at work itself, and with what it called.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Seen {
    own: u64,
    total: u64,
}

fn screen(profile: &ProfileAnswer, rows: usize) -> String {
    let mut functions: Vec<(&str, Seen)> = functions(&profile.folded).into_iter().collect();
    functions.sort_by_key(|(name, seen)| (std::cmp::Reverse((seen.own, seen.total)), *name));
    let percent = |looks: u64| format!("{:.1}", looks as f64 * 100.0 / profile.looks.max(1) as f64);
    let row = |(name, seen): (&str, Seen)| vec![percent(seen.own), percent(seen.total), name.to_owned()];
    let shown = functions.into_iter().take(rows).map(row);
    format!("{}\n\n{}", summary(profile), output::table(&["OWN %", "TOTAL %", "FUNCTION"], shown))
}

/// The first frame of a line is the thread's name, which is no function.
fn functions(folded: &str) -> HashMap<&str, Seen> {
    let mut all: HashMap<&str, Seen> = HashMap::new();
    for line in folded.lines() {
        let Some((stack, looks)) = line.rsplit_once(' ') else { continue };
        let Ok(looks) = looks.parse::<u64>() else { continue };
        let frames = stack.split_once(';').map_or(stack, |(_thread, frames)| frames);
        if let Some(innermost) = frames.rsplit(';').next() {
            all.entry(innermost).or_default().own += looks;
        }
        // One that calls itself is counted once.
        for frame in frames.split(';').filter(|frame| *frame != "[cut]").collect::<HashSet<_>>() {
            all.entry(frame).or_default().total += looks;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_sorted_by_their_own_time() {
        let folded = "group;[cut];a;b 1\nworker;a;b;a 6\nworker;a;c <d> 2\n[others] 1\n".to_owned();
        let profile = ProfileAnswer { seconds: 2, looks: 10, lost: 3, threads_left_out: 0, folded };
        let expected = "10 looks in 2 s, 3 lost\n
 OWN %   TOTAL %   FUNCTION
 60.0    90.0      a
 20.0    20.0      c <d>
 10.0    70.0      b";
        assert_eq!(screen(&profile, 3), expected);
        assert!(functions("").is_empty());
    }
}
