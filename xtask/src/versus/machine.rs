//! On what, when and of what a measurement was made.
use super::procfs::field;
use crate::paths;
use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use serde::{Deserialize, Serialize};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    /// What made this measurement.
    pub(crate) command: String,
    pub(crate) time: String,
    pub(crate) revision: String,
    pub(crate) processor: String,
    pub(crate) processors: usize,
    pub(crate) memory_gib: u64,
    pub(crate) kernel: String,
    pub(crate) java: String,
}

pub(crate) fn facts(command: String) -> Result<Facts> {
    let read = |path: &str| std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"));
    let memory_kib = field(&read("/proc/meminfo")?, "MemTotal").context("no MemTotal in meminfo")?;
    Ok(Facts {
        command,
        time: now()?,
        revision: first_line(Command::new("git").args(["describe", "--always", "--dirty"]))?,
        processor: processor(&read("/proc/cpuinfo")?),
        processors: std::thread::available_parallelism()?.get(),
        memory_gib: (memory_kib / 1024.0 / 1024.0).round() as u64,
        kernel: read("/proc/sys/kernel/osrelease")?.trim().to_owned(),
        java: first_line(Command::new("java").arg("--version"))?,
    })
}

/// From here on this thread, and what it starts, has so many processors.
pub(crate) fn keep_to(count: usize) -> Result<()> {
    let allowed = sched_getaffinity(None)?;
    let mut set = CpuSet::new();
    (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu)).take(count).for_each(|cpu| set.set(cpu));
    anyhow::ensure!(count > 0 && set.count() as usize == count, "there are {} processors", allowed.count());
    Ok(sched_setaffinity(None, &set)?)
}

/// The time as `2026-01-31T23:59:59Z`.
pub(crate) fn now() -> Result<String> {
    Ok(utc(SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs()))
}

fn utc(seconds: u64) -> String {
    let (day, second) = (seconds / 86_400, seconds % 86_400);
    // Years are counted from March, so that the leap day is a year's last.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

fn processor(cpuinfo: &str) -> String {
    let name = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    name.and_then(|rest| rest.split_once(':')).map_or("unknown", |(_, name)| name.trim()).to_owned()
}

fn first_line(command: &mut Command) -> Result<String> {
    let output = command.current_dir(paths::repository()).output()?;
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or("unknown").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_become_dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(1_798_761_599), "2026-12-31T23:59:59Z");
    }

    #[test]
    fn processors_have_a_name() {
        assert_eq!(processor("processor\t: 0\nmodel name\t: Fast One\n"), "Fast One");
        assert_eq!(processor(""), "unknown");
    }
}
