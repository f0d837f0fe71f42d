//! The kernel's looks at the threads of this process: one event and one ring for each.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use perf_event::data::Record;
use perf_event::events::Software;
use perf_event::{Builder, SampleFlag, Sampler};

use super::{LOOKS_PER_S, ProfileError};

/// Of a stack, with each look. Most are shorter; what is above is cut off. (With 16 KiB, a quarter was cut off in a node
/// that took messages in: a connection's future has large frames.)
const STACK_BYTES: u32 = 32 * 1024;
/// Of a thread's ring: what comes in while nobody reads for some time is lost beyond it.
const RING_BYTES_MAX: usize = 256 * 1024;
/// Room for three looks.
const RING_BYTES_MIN: usize = 128 * 1024;
/// Of all rings. The memory is the kernel's, and locked.
const RINGS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Kinds of records (`PERF_RECORD_*` of Linux).
const RECORD_LOST: u32 = 2;
const RECORD_SAMPLE: u32 = 9;

/// Registers as a mask (`PERF_REG_*` of Linux); they come in the order of their bits.
#[cfg(target_arch = "x86_64")]
const REGISTERS: u64 = 1 << 6 | 1 << 7 | 1 << 8;
#[cfg(target_arch = "aarch64")]
const REGISTERS: u64 = 1 << 29 | 1 << 30 | 1 << 31 | 1 << 32;

/// What the kernel saw of a thread.
pub(super) struct Look<'a> {
    pub(super) registers: Registers,
    /// From the stack pointer upwards.
    pub(super) stack: &'a [u8],
}

/// Those that a walk begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Registers {
    pub(super) instruction: u64,
    pub(super) stack: u64,
    pub(super) frame: u64,
    #[cfg(target_arch = "aarch64")]
    pub(super) link: u64,
}

impl Registers {
    fn of(values: &[u64]) -> Option<Self> {
        match *values {
            #[cfg(target_arch = "x86_64")]
            [frame, stack, instruction] => Some(Self { instruction, stack, frame }),
            #[cfg(target_arch = "aarch64")]
            [frame, link, stack, instruction] => Some(Self { instruction, stack, frame, link }),
            _ => None,
        }
    }
}

/// Looks at a thread while it works, in user space: what an ordinary process may look at in itself.
fn event(thread: i32) -> Builder<'static> {
    let mut event = Builder::new(Software::CPU_CLOCK);
    event
        .observe_pid(thread)
        .any_cpu()
        .exclude_kernel(true)
        .exclude_hv(true)
        .sample_frequency(LOOKS_PER_S)
        .sample(SampleFlag::REGS_USER)
        .sample(SampleFlag::STACK_USER)
        .sample_regs_user(REGISTERS)
        .sample_stack_user(STACK_BYTES);
    event
}

fn own_thread() -> i32 {
    rustix::thread::gettid().as_raw_nonzero().get()
}

/// Asks whether the kernel allows it at all.
pub(super) fn ask() -> Result<(), ProfileError> {
    let sampled = event(own_thread()).build().and_then(|counter| counter.sampled(RING_BYTES_MIN));
    sampled.map(drop).map_err(|error| {
        let level = fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
        ProfileError::Refused(refusal(&error, level.trim()))
    })
}

pub(super) fn refusal(error: &io::Error, level: &str) -> String {
    let level = if level.is_empty() { "unknown here" } else { level };
    format!(
        "the system does not let this process look at its own threads (perf_event_open: {error}): allow that system \
         call where a container's seccomp profile forbids it, and give the process CAP_PERFMON or set \
         kernel.perf_event_paranoid to 2 or less (it is {level})"
    )
}

/// The threads that are looked at: all but the one that reads.
pub(super) struct Watch {
    threads: HashMap<i32, Watched>,
    own: i32,
    /// Of the next ring.
    ring_bytes: usize,
    left_out: HashSet<i32>,
    left_out_before: u64,
    pub(super) lost: u64,
}

struct Watched {
    sampler: Sampler,
    ring_bytes: usize,
    name: Arc<str>,
}

impl Watch {
    pub(super) fn begin() -> Self {
        let count = threads().len().max(1);
        let share = RINGS_BYTES_MAX / count.next_power_of_two();
        let mut watch = Self {
            threads: HashMap::new(),
            own: own_thread(),
            ring_bytes: share.clamp(RING_BYTES_MIN, RING_BYTES_MAX),
            left_out: HashSet::new(),
            left_out_before: 0,
            lost: 0,
        };
        watch.scan();
        watch
    }

    /// Threads that were not looked at.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out_before + self.left_out.len() as u64
    }

    /// Follows the threads that came, and leaves those that went. What these did last was read before.
    pub(super) fn scan(&mut self) {
        let now = threads();
        if now.is_empty() {
            return;
        }
        self.threads.retain(|thread, _| now.contains(thread));
        let before = self.left_out.len();
        self.left_out.retain(|thread| now.contains(thread));
        self.left_out_before += (before - self.left_out.len()) as u64;
        for thread in now {
            let is_known = self.threads.contains_key(&thread) || self.left_out.contains(&thread);
            if thread != self.own && !is_known {
                self.follow(thread);
            }
        }
    }

    fn follow(&mut self, thread: i32) {
        let in_use: usize = self.threads.values().map(|watched| watched.ring_bytes).sum();
        while self.ring_bytes >= RING_BYTES_MIN && in_use + self.ring_bytes <= RINGS_BYTES_MAX {
            let Some(name) = name(thread) else { return };
            let counter = match event(thread).build() {
                Ok(counter) => counter,
                // It ended meanwhile.
                Err(error) if is_gone(&error) => return,
                Err(_) => break,
            };
            // No more than so much memory may be locked by a process: smaller rings do as well, mostly.
            let Ok(mut sampler) = counter.sampled(self.ring_bytes) else {
                self.ring_bytes /= 2;
                continue;
            };
            if sampler.as_counter_mut().enable().is_ok() {
                self.threads.insert(thread, Watched { sampler, ring_bytes: self.ring_bytes, name });
            }
            return;
        }
        self.ring_bytes = self.ring_bytes.max(RING_BYTES_MIN);
        self.left_out.insert(thread);
    }

    /// Hands on what came since the last reading.
    pub(super) fn read(&mut self, mut on_look: impl FnMut(&Arc<str>, &Look<'_>)) {
        for Watched { sampler, ring_bytes, name } in self.threads.values_mut() {
            // A thread that is looked at while its ring is read cannot keep us here.
            let records_max = *ring_bytes / STACK_BYTES as usize;
            for _ in 0..records_max {
                let Some(record) = sampler.next_record() else { break };
                if !matches!(record.ty(), RECORD_LOST | RECORD_SAMPLE) {
                    continue;
                }
                match record.parse_record() {
                    Ok(Record::Sample(sample)) => {
                        let registers = sample.regs_user().and_then(|r| Registers::of(&r.regs));
                        let (Some(registers), Some(stack)) = (registers, sample.stack_user()) else {
                            self.lost += 1;
                            continue;
                        };
                        on_look(name, &Look { registers, stack });
                    }
                    Ok(Record::Lost(lost)) => self.lost += lost.lost,
                    _ => self.lost += 1,
                }
            }
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == ErrorKind::NotFound
        || error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error())
}

fn threads() -> HashSet<i32> {
    let entries = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

/// `None` if the thread is gone.
fn name(thread: i32) -> Option<Arc<str>> {
    let name = fs::read_to_string(format!("/proc/self/task/{thread}/comm")).ok()?;
    Some(super::names::plain(name.trim()).into())
}
