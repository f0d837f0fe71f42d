//! What Linux tells about processes and the machine.
use anyhow::{Context, Result};

/// Times in `/proc` are in hundredths of a second on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;
const KIB_PER_MIB: f64 = 1024.0;
const BYTES_PER_MIB: f64 = 1024.0 * 1024.0;
/// Written to `clear_refs`, it sets the peak of the resident size to the present size.
const RESET_PEAK: &str = "5";

/// The sum over several processes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// In user and kernel mode, all threads, since the start.
    pub(crate) cpu_seconds: f64,
    pub(crate) rss_mib: f64,
    pub(crate) rss_peak_mib: f64,
    /// Without pages of files and of shared memory.
    pub(crate) rss_private_mib: f64,
    /// What these processes caused to be written to disk.
    pub(crate) written_mib: f64,
}

impl Usage {
    pub(crate) fn of(processes: &[u32]) -> Result<Self> {
        let mut sum = Self::default();
        for id in processes {
            let read = |name: &str| {
                let path = format!("/proc/{id}/{name}");
                std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))
            };
            let status = read("status")?;
            let kib = |key: &str| field(&status, key).with_context(|| format!("no {key} in status"));
            sum.cpu_seconds += cpu_seconds(&read("stat")?)?;
            sum.rss_mib += kib("VmRSS")? / KIB_PER_MIB;
            sum.rss_peak_mib += kib("VmHWM")? / KIB_PER_MIB;
            sum.rss_private_mib += kib("RssAnon")? / KIB_PER_MIB;
            sum.written_mib += field(&read("io")?, "write_bytes").context("no write_bytes")? / BYTES_PER_MIB;
        }
        Ok(sum)
    }
}

/// From now on peaks are those of what follows.
pub(crate) fn forget_peaks(processes: &[u32]) -> Result<()> {
    for id in processes {
        let path = format!("/proc/{id}/clear_refs");
        std::fs::write(&path, RESET_PEAK).with_context(|| format!("cannot write {path}"))?;
    }
    Ok(())
}

/// Work of all processors since the machine's start.
pub(crate) fn machine_busy_seconds() -> Result<f64> {
    busy_seconds(&std::fs::read_to_string("/proc/stat")?).context("/proc/stat has no first line as expected")
}

/// From `/proc/<id>/stat`: `utime` and `stime`, fields 14 and 15. The name, field 2, may hold anything.
fn cpu_seconds(stat: &str) -> Result<f64> {
    let after_name = stat.rsplit_once(')').context("no name in stat")?.1;
    let mut fields = after_name.split_whitespace().skip(11).map(str::parse::<f64>);
    let mut next = || fields.next().and_then(Result::ok).context("stat is too short");
    Ok((next()? + next()?) / TICKS_PER_SECOND)
}

/// A number behind `key:` at the beginning of a line.
pub(crate) fn field(text: &str, key: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))?;
    line.split_whitespace().next()?.parse().ok()
}

/// All but idle and waiting for the disk. What guests use is part of the first field.
fn busy_seconds(stat: &str) -> Option<f64> {
    let numbers = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<f64> = numbers.split_whitespace().map_while(|number| number.parse().ok()).collect();
    let [user, nice, system, _idle, _wait, interrupts, soft_interrupts, stolen, ..] = ticks.as_slice() else {
        return None;
    };
    Some((user + nice + system + interrupts + soft_interrupts + stolen) / TICKS_PER_SECOND)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_found_behind_any_name() {
        let stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 100 0 3 0 250 75 8 9 20 0 12 0 1000 2000 300 4 5";
        assert!((cpu_seconds(stat).unwrap() - 3.25).abs() < 1e-9);
        assert!(cpu_seconds("42 (x) S 1 2").is_err());
    }

    #[test]
    fn fields_are_whole_words() {
        let status = "Name:\tjava\nVmHWM:\t  2048 kB\nVmRSS:\t  1024 kB\nRssAnon:\t 512 kB\n";
        assert_eq!(field(status, "VmRSS"), Some(1024.0));
        assert_eq!(field(status, "Vm"), None);
        assert_eq!(field("rchar: 1\nwrite_bytes: 7\ncancelled_write_bytes: 3\n", "write_bytes"), Some(7.0));
    }

    #[test]
    fn idle_processors_are_not_busy() {
        let stat = "cpu  100 200 300 99999 88888 10 20 30 50 0\ncpu0 1 2 3\n";
        assert_eq!(busy_seconds(stat), Some(6.6));
        assert_eq!(busy_seconds("nothing"), None);
    }

    #[test]
    fn our_own_process_can_be_read() {
        let usage = Usage::of(&[std::process::id()]).unwrap();
        assert!(usage.rss_mib > 0.0 && usage.rss_peak_mib >= usage.rss_private_mib);
        assert!(machine_busy_seconds().unwrap() >= 0.0);
    }
}
