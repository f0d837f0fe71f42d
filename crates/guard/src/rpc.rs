//! Latency of calls under RocketMQ's name and labels (`rocketmq_rpc_latency`): a table of plain counters, one
//! row for each protocol, verb and result, so that a call costs three additions and no lock.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::metrics::MetricType;

use crate::metrics::Verb;

/// Upper bounds in milliseconds, as in `RemotingMetricsManager`.
const BOUNDS_MS: [u32; 7] = [1, 3, 5, 10, 100, 1_000, 3_000];
const PROTOCOLS: [&str; 4] = ["remoting", "grpc", "rest", "other"];
const VERBS: usize = Verb::ALL.len();

#[derive(Debug, Default)]
struct Latency {
    buckets: [AtomicU64; BOUNDS_MS.len() + 1],
    sum_us: AtomicU64,
}

/// Answered calls: by protocol, then by verb, then those that succeeded and those that failed.
#[derive(Debug)]
pub(crate) struct Rpc(Vec<Latency>);

impl Default for Rpc {
    fn default() -> Self {
        Self((0..PROTOCOLS.len() * VERBS * 2).map(|_| Latency::default()).collect())
    }
}

const fn place(protocol: usize, verb: usize, failed: bool) -> usize {
    (protocol * VERBS + verb) * 2 + failed as usize
}

impl Rpc {
    pub(crate) fn answered(&self, protocol: &str, verb: Verb, time: Duration, failed: bool) {
        let protocol = PROTOCOLS.iter().position(|name| *name == protocol).unwrap_or(PROTOCOLS.len() - 1);
        let Some(latency) = self.0.get(place(protocol, verb as usize, failed)) else { return };
        let bucket = BOUNDS_MS.iter().position(|bound| time <= Duration::from_millis(u64::from(*bound)));
        if let Some(bucket) = latency.buckets.get(bucket.unwrap_or(BOUNDS_MS.len())) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        latency.sum_us.fetch_add(u64::try_from(time.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The request of the 4.x protocol that asks for a verb most often, as RocketMQ names it.
const fn request_code(verb: Verb) -> &'static str {
    match verb {
        Verb::Publish => "send_message_v2",
        Verb::Receive => "pop_message",
        Verb::Fetch => "pull_message",
        Verb::Ack => "ack_message",
        Verb::Extend => "change_message_invisibletime",
        Verb::Settle => "consumer_send_msg_back",
        Verb::Recall => "recall_message",
        Verb::CommitOffset => "update_consumer_offset",
        Verb::Seek => "invoke_broker_to_reset_offset",
        Verb::Offset => "query_consumer_offset",
        Verb::Route => "get_routeinfo_by_topic",
        Verb::Query => "query_message",
        Verb::Heartbeat => "heart_beat",
        Verb::Leave => "unregister_client",
        Verb::Members => "get_consumer_list_by_group",
        Verb::Lock => "lock_batch_mq",
        Verb::Unlock => "unlock_batch_mq",
        Verb::Assign => "query_assignment",
        Verb::SetRequestMode => "set_message_request_mode",
        Verb::CheckFilter => "check_client_config",
        Verb::SyncLite => "lite_subscription_ctl",
        Verb::Admin => "admin",
    }
}

/// The table as a metric; rows without a call are left out.
#[derive(Debug)]
pub(crate) struct RpcLatency(pub(crate) Arc<Rpc>);

impl Collector for RpcLatency {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let help = "Time of answered calls in milliseconds, with the wait of those that wait for messages";
        let mut metric = encoder.encode_descriptor("rpc_latency", help, None, MetricType::Histogram)?;
        for (at, latency) in self.0.0.iter().enumerate() {
            let counts = latency.buckets.iter().map(|bucket| bucket.load(Ordering::Relaxed));
            let bounds = BOUNDS_MS.iter().map(|bound| f64::from(*bound)).chain([f64::INFINITY]);
            let buckets: Vec<(f64, u64)> = bounds.zip(counts).collect();
            let count: u64 = buckets.iter().map(|(_, count)| count).sum();
            if count == 0 {
                continue;
            }
            let (verb, failed) = (Verb::ALL.get(at / 2 % VERBS), at % 2 == 1);
            let (Some(verb), Some(protocol)) = (verb, PROTOCOLS.get(at / 2 / VERBS)) else { continue };
            let waits = matches!(verb, Verb::Receive | Verb::Fetch);
            let labels = [
                ("protocol_type", *protocol),
                ("request_code", request_code(*verb)),
                ("response_code", if failed { "error" } else { "success" }),
                ("is_long_polling", if waits { "true" } else { "false" }),
                ("result", if failed { "process_request_failed" } else { "success" }),
            ];
            #[expect(clippy::cast_precision_loss, reason = "a sum for people")]
            let sum_ms = latency.sum_us.load(Ordering::Relaxed) as f64 / 1_000.0;
            let mut family = metric.encode_family(&labels)?;
            family.encode_histogram::<[(&str, &str); 0]>(sum_ms, count, &buckets, None)?;
        }
        Ok(())
    }
}
