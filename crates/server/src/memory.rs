//! The memory budget: which share of it each owner of memory gets, and what each holds now.
//!
//! The budget bounds caches, buffers and what waits. Each of these has a setting of its own, and
//! the budget caps it: a setting that asks for more than its share gets its share. State that
//! clients have made (cursors, undecided transactions, subscriptions, timers) has limits by count
//! instead, because refusing a cache costs time, but refusing state breaks a promise; it is counted
//! here all the same.

use std::fmt;
use std::sync::Arc;

use base::{Budget, memory};
use broker::Broker;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use crate::config::Config;

/// Without a setting the budget is this part of the memory that there is ...
const PART_OF_MACHINE: u64 = 4;
/// ... but not more than this: the caches gain nothing by more.
const BUDGET_BYTES_MAX: u64 = 1 << 30;
/// The smallest budget that leaves room for the largest requests.
pub(crate) const BUDGET_BYTES_MIN: u64 = 128 << 20;
/// What an idle stream takes in memory.
const IDLE_STREAM_BYTES: u64 = 64;
/// A request of the largest size must fit.
const REQUESTS_BYTES_MIN: u64 = 16 << 20;

/// Shares in 64ths. Together they are half of the budget; the other half is the allocator's, which
/// keeps what is freed for a while, rounds to pages of 2 MiB, and moves what grows.
const TAIL_CACHE: u64 = 4;
const LIVE_INDEX: u64 = 6;
const STREAM_ENDS: u64 = 5;
const COLD_READS: u64 = 2;
const COMMANDS: u64 = 3;
const REQUESTS: u64 = 4;
const INCOMING: u64 = 2;
const OUTGOING: u64 = 2;
const _: () = assert!(
    TAIL_CACHE + LIVE_INDEX + STREAM_ENDS + COLD_READS + COMMANDS + REQUESTS + 2 * (INCOMING + OUTGOING)
        == 32,
    "the shares are half of the budget"
);

impl Config {
    /// The budget in force, where `machine_bytes` of memory can be used.
    #[must_use]
    pub fn memory_budget_bytes(&self, machine_bytes: u64) -> u64 {
        match self.runtime.memory_budget_bytes {
            0 => (machine_bytes / PART_OF_MACHINE).clamp(BUDGET_BYTES_MIN, BUDGET_BYTES_MAX),
            set => set,
        }
    }

    /// The same settings with the budget named, and no owner of memory beyond its share.
    #[must_use]
    pub fn within_memory(mut self, machine_bytes: u64) -> Self {
        let budget = self.memory_budget_bytes(machine_bytes);
        self.runtime.memory_budget_bytes = budget;
        let share = |part: u64| budget / 64 * part;
        cap(&mut self.store.tail_cache_bytes, share(TAIL_CACHE));
        cap_size(&mut self.store.live_bytes_max, share(LIVE_INDEX));
        cap_size(&mut self.store.idle_streams_max, share(STREAM_ENDS) / IDLE_STREAM_BYTES);
        cap_size(&mut self.store.cold_read_bytes_max, share(COLD_READS));
        cap_size(&mut self.replica.queued_bytes_max, share(COMMANDS).max(REQUESTS_BYTES_MIN));
        cap_size(&mut self.guard.request_bytes_max, share(REQUESTS).max(REQUESTS_BYTES_MIN));
        for incoming in [&mut self.remoting.incoming_bytes_max, &mut self.grpc.incoming_bytes_max] {
            cap_size(incoming, share(INCOMING).max(REQUESTS_BYTES_MIN));
        }
        for outgoing in [&mut self.remoting.outgoing_bytes_max, &mut self.grpc.outgoing_bytes_max] {
            cap_size(outgoing, share(OUTGOING).max(REQUESTS_BYTES_MIN));
        }
        self
    }
}

fn cap(setting: &mut u64, share: u64) {
    *setting = (*setting).min(share);
}

fn cap_size(setting: &mut usize, share: u64) {
    *setting = (*setting).min(usize::try_from(share).unwrap_or(usize::MAX));
}

/// Tells on each reading of the metrics what every owner holds, and what it may.
pub(crate) struct MemoryMetrics {
    pub(crate) config: Config,
    pub(crate) broker: Arc<Broker>,
    /// What is held for clients, by owner.
    pub(crate) budgets: Vec<(&'static str, Arc<Budget>)>,
}

impl MemoryMetrics {
    fn held(&self) -> Vec<(&'static str, u64)> {
        let mut held = self.broker.memory();
        held.extend(self.budgets.iter().map(|(owner, budget)| (*owner, budget.used() as u64)));
        held
    }

    fn limits(&self) -> Vec<(&'static str, u64)> {
        let store = &self.config.store;
        let mut limits = vec![
            ("tail_cache", store.tail_cache_bytes),
            ("live_index", store.live_bytes_max as u64),
            ("stream_ends", store.idle_streams_max as u64 * IDLE_STREAM_BYTES),
            ("cold_reads", store.cold_read_bytes_max as u64),
            ("commands", self.config.replica.queued_bytes_max as u64),
        ];
        limits.extend(self.budgets.iter().map(|(owner, budget)| (*owner, budget.max() as u64)));
        limits
    }
}

impl fmt::Debug for MemoryMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemoryMetrics({} bytes)", self.config.runtime.memory_budget_bytes)
    }
}

impl Collector for MemoryMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let held = "Memory that an owner holds, in bytes, about";
        by_owner(&mut encoder, "memory_bytes", held, self.held())?;
        let limits = "Memory that an owner may hold, in bytes, where the budget bounds it";
        by_owner(&mut encoder, "memory_limit_bytes", limits, self.limits())?;
        let budget = self.config.runtime.memory_budget_bytes;
        single(&mut encoder, "memory_budget_bytes", "The memory budget in force, in bytes", budget)?;
        let resident = memory::resident_bytes().unwrap_or_default();
        single(&mut encoder, "resident_bytes", "Memory of the whole process (RSS), in bytes", resident)
    }
}

fn by_owner(
    encoder: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: Vec<(&'static str, u64)>,
) -> Result<(), fmt::Error> {
    let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    for (owner, value) in values {
        ConstGauge::new(value).encode(metric.encode_family(&[("owner", owner)])?)?;
    }
    Ok(())
}

fn single(encoder: &mut DescriptorEncoder<'_>, name: &str, help: &str, value: u64) -> Result<(), fmt::Error> {
    let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
    ConstGauge::new(value).encode(metric)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_machine_keeps_the_defaults() {
        let config = Config::default().within_memory(64 << 30);
        assert_eq!(config.runtime.memory_budget_bytes, 1 << 30);
        assert_eq!(config.store.tail_cache_bytes, Config::default().store.tail_cache_bytes);
    }

    #[test]
    fn a_small_budget_caps_every_owner_and_half_of_it_is_shared_out() {
        let mut config = Config::default();
        config.runtime.memory_budget_bytes = 512 << 20;
        let config = config.within_memory(64 << 30);
        let sizes = [
            config.store.live_bytes_max,
            config.store.idle_streams_max * 64,
            config.store.cold_read_bytes_max,
            config.replica.queued_bytes_max,
            config.guard.request_bytes_max,
            config.remoting.incoming_bytes_max,
            config.remoting.outgoing_bytes_max,
            config.grpc.incoming_bytes_max,
            config.grpc.outgoing_bytes_max,
        ];
        let sum = sizes.iter().map(|size| *size as u64).sum::<u64>() + config.store.tail_cache_bytes;
        assert!(sum <= 256 << 20, "the shares are {sum} bytes");
        assert!(sum >= 250 << 20, "the shares are only {sum} bytes");
    }

    #[test]
    fn a_smaller_setting_stays() {
        let mut config = Config::default();
        config.store.tail_cache_bytes = 1 << 20;
        assert_eq!(config.within_memory(64 << 30).store.tail_cache_bytes, 1 << 20);
    }

    #[test]
    fn a_quarter_of_a_small_machine() {
        assert_eq!(Config::default().memory_budget_bytes(2 << 30), 512 << 20);
        assert_eq!(Config::default().memory_budget_bytes(64 << 20), BUDGET_BYTES_MIN);
    }
}
