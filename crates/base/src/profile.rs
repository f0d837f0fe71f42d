//! What the process spends its processor time on: stacks of its threads, looked at many times a second of that time.
//!
//! The timer's signal interrupts whichever thread works (`SIGPROF`, `pprof`); its stack is walked by the unwind
//! tables, without a lock and without memory of its own. Nothing is held and nothing is slowed while no profile is
//! taken.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, Ordering};

use flate2::Compression;
use flate2::write::GzEncoder;
use pprof::ProfilerGuard;
use pprof::protos::Message as _;
use thiserror::Error;

/// Looks in a second of processor time: no multiple of what happens each 1 or 10 ms.
const LOOKS_PER_S: i32 = 99;

static IS_TAKEN: AtomicBool = AtomicBool::new(false);

#[derive(Debug, Error)]
pub enum ProfileError {
    #[error("a profile is being taken already: there is one at a time")]
    Busy,
    #[error("the process cannot be looked at: {0}")]
    Failed(String),
}

/// A profile while it is taken. Dropped, it ends.
pub struct Profiling {
    guard: ProfilerGuard<'static>,
    _turn: Turn,
}

/// What was seen.
pub struct Profile {
    /// Stacks that were seen, each as often as it was.
    pub looks: u64,
    /// A gzipped `profile.proto` of pprof.
    pub pprof_gz: Vec<u8>,
}

struct Turn;

impl Drop for Turn {
    fn drop(&mut self) {
        IS_TAKEN.store(false, Ordering::Release);
    }
}

impl Profiling {
    /// # Errors
    /// If another one is being taken, or the system has no such timer.
    pub fn begin() -> Result<Self, ProfileError> {
        if IS_TAKEN.swap(true, Ordering::AcqRel) {
            return Err(ProfileError::Busy);
        }
        let turn = Turn;
        let guard = ProfilerGuard::new(LOOKS_PER_S).map_err(failed)?;
        Ok(Self { guard, _turn: turn })
    }

    /// Puts together what was seen. Takes a core for a while.
    ///
    /// # Errors
    /// If that fails.
    pub fn finish(self) -> Result<Profile, ProfileError> {
        let report = self.guard.report().build().map_err(failed)?;
        let looks = report.data.values().map(|count| u64::try_from(*count).unwrap_or(0)).sum();
        let profile = report.pprof().map_err(failed)?;
        let mut out = GzEncoder::new(Vec::new(), Compression::default());
        out.write_all(&profile.encode_to_vec()).map_err(failed)?;
        Ok(Profile { looks, pprof_gz: out.finish().map_err(failed)? })
    }
}

fn failed(error: impl std::fmt::Display) -> ProfileError {
    ProfileError::Failed(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[inline(never)]
    fn spend_time(until: std::time::Duration) -> u64 {
        let clock = crate::SystemClock;
        let begun = crate::Clock::monotonic(&clock);
        let mut sum = 0_u64;
        while crate::Clock::monotonic(&clock).saturating_sub(begun) < until {
            sum = (0..10_000).fold(sum, |sum: u64, n| std::hint::black_box(sum.wrapping_mul(31) ^ n));
        }
        sum
    }

    #[test]
    fn what_takes_time_is_in_the_profile_and_there_is_one_at_a_time() {
        let profiling = Profiling::begin().expect("there is a timer");
        assert!(matches!(Profiling::begin(), Err(ProfileError::Busy)));
        std::hint::black_box(spend_time(std::time::Duration::from_millis(600)));
        let profile = profiling.finish().expect("it can be put together");
        assert!(profile.looks > 10, "{}", profile.looks);
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(profile.pprof_gz.as_slice()).read_to_end(&mut plain).expect("gzip");
        let decoded = pprof::protos::Profile::decode(plain.as_slice()).expect("pprof");
        assert!(!decoded.sample.is_empty());
        assert!(decoded.string_table.iter().any(|name| name.contains("spend_time")), "names of functions");
        drop(Profiling::begin().expect("the turn came back"));
    }
}
