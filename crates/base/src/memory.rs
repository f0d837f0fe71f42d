//! How much memory there is, and how much of it this process has.

use std::fs;

/// Files in which the control groups of Linux say how much a container may use.
const LIMITS: [&str; 2] = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];

/// Memory that this process can use: that of the machine, or of the container where that is less.
#[must_use]
pub fn machine_bytes() -> u64 {
    let info = rustix::system::sysinfo();
    let machine = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit));
    LIMITS.iter().filter_map(|path| limit(&fs::read_to_string(path).ok()?)).fold(machine, u64::min)
}

/// A limit as the control groups write it: a number, or a word for none.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// Memory that this process has now (RSS); `None` where it cannot be told.
#[must_use]
pub fn resident_bytes() -> Option<u64> {
    let pages: u64 = fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages.saturating_mul(rustix::param::page_size() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_a_part_of_the_machine() {
        let resident = resident_bytes().expect("told on Linux");
        assert!(resident > 100_000 && resident < machine_bytes(), "{resident} of {}", machine_bytes());
    }

    #[test]
    fn a_limit_may_be_a_word() {
        assert_eq!(limit("1073741824\n"), Some(1 << 30));
        assert_eq!(limit("max\n"), None);
    }
}
