//! The names of RocketMQ 5.x: `BrokerMetricsConstant`, `DefaultStoreMetricsConstant`, `PopMetricsConstant`.

use std::collections::BTreeMap;
use std::fmt;

use model::membership::ConsumeHow;
use prometheus_client::metrics::MetricType;

use super::rows::{ReaderRow, Rows, TopicRow};
use super::{OTHER, Out, signed, truth};
use crate::broker::Broker;

/// RocketMQ's permission bits: read and write.
const READ: u64 = 4;
const WRITE: u64 = 2;

pub(super) fn encode(broker: &Broker, rows: &Rows, out: &mut Out<'_, '_>) -> fmt::Result {
    node(broker, out)?;
    sent(broker, &rows.topics, out)?;
    received(&rows.readers, out)?;
    progress(&rows.readers, out)?;
    let dead = rows.dead_letters.iter().map(|(group, end)| {
        (
            [
                ("topic", format!("%DLQ%{group}")),
                ("consumer_group", group.clone()),
                ("is_system", "false".to_owned()),
            ],
            *end,
        )
    });
    out.counters("send_to_dlq_messages", "Dead letters of each group, since its first", dead)?;
    connections(broker, out)?;
    transactions(broker, out)?;
    store(broker, out)
}

fn node(broker: &Broker, out: &mut Out<'_, '_>) -> fmt::Result {
    let (topics, groups) = broker.state.counts();
    let permission = if broker.routes_writes() { READ | WRITE } else { READ };
    out.gauge("broker_permission", "6 if producers are sent here, else 4", permission)?;
    out.gauge("topic_number", "Topics", topics as u64)?;
    out.gauge("consumer_group_number", "Consumer groups", groups as u64)?;
    let waiting = [("processor", "pull")];
    out.gauges(
        "processor_watermark",
        "Calls that wait for messages",
        [(waiting, signed(broker.waiting() as u64))],
    )?;
    out.gauge("proxy_up", "1: 5.x clients are served", 1)
}

fn sent(broker: &Broker, topics: &[TopicRow], out: &mut Out<'_, '_>) -> fmt::Result {
    let labels = |row: &TopicRow| {
        [
            ("topic", row.topic.clone()),
            ("message_type", row.message_type.to_owned()),
            ("is_system", truth(row.is_system).to_owned()),
        ]
    };
    let messages = topics.iter().map(|row| (labels(row), row.sent.messages));
    out.counters("messages_in", "Messages that clients sent", messages)?;
    let bytes = topics.iter().map(|row| (labels(row), row.sent.bytes));
    out.counters("throughput_in", "Bytes of messages that clients sent", bytes)?;
    let (sum, buckets) = broker.sizes.read();
    let total: u64 = buckets.iter().map(|(_, count)| count).sum();
    let help = "Sizes of messages that clients sent, in bytes";
    let mut metric = out.0.encode_descriptor("message_size", help, None, MetricType::Histogram)?;
    #[expect(clippy::cast_precision_loss, reason = "a sum for people")]
    metric.encode_histogram::<[(&str, &str); 0]>(sum as f64, total, &buckets, None)
}

fn reader(row: &ReaderRow) -> [(&'static str, String); 4] {
    [
        ("topic", row.topic.clone()),
        ("consumer_group", row.group.clone()),
        ("is_retry", truth(row.is_retry).to_owned()),
        ("is_system", truth(row.is_system).to_owned()),
    ]
}

fn received(readers: &[ReaderRow], out: &mut Out<'_, '_>) -> fmt::Result {
    let messages = readers.iter().map(|row| (reader(row), row.received.messages));
    out.counters("messages_out", "Messages that groups received", messages)?;
    let bytes = readers.iter().map(|row| (reader(row), row.received.bytes));
    out.counters("throughput_out", "Bytes of messages that groups received", bytes)
}

fn progress(readers: &[ReaderRow], out: &mut Out<'_, '_>) -> fmt::Result {
    let of = |value: fn(&ReaderRow) -> i64| readers.iter().map(move |row| (reader(row), value(row)));
    let lag = |row: &ReaderRow| signed(row.ready + row.in_flight);
    out.gauges("consumer_lag_messages", "Messages that are not settled: ready or in flight", of(lag))?;
    let ready = "Messages that are stored and not handed out";
    out.gauges("consumer_ready_messages", ready, of(|row| signed(row.ready)))?;
    let in_flight = "Messages that are handed out and not settled";
    out.gauges("consumer_inflight_messages", in_flight, of(|row| signed(row.in_flight)))?;
    let lag = "Age of the first message that is not settled, in milliseconds";
    out.gauges("consumer_lag_latency", lag, of(|row| row.lag_ms))?;
    let queueing = "Age of the first message that is not handed out, in milliseconds";
    out.gauges("consumer_queueing_latency", queueing, of(|row| row.queueing_ms))
}

/// Folds what goes beyond a limit into one series.
fn folded<K: Ord>(counts: BTreeMap<K, i64>, max: usize, other: K) -> BTreeMap<K, i64> {
    let is_over = counts.len() > max;
    let mut all = counts.into_iter();
    let mut kept: BTreeMap<K, i64> = all.by_ref().take(max).collect();
    if is_over {
        kept.insert(other, all.map(|(_, count)| count).sum());
    }
    kept
}

fn connections(broker: &Broker, out: &mut Out<'_, '_>) -> fmt::Result {
    let max = broker.config.metrics_readers_max;
    let mut producers: BTreeMap<[String; 3], i64> = BTreeMap::new();
    let mut consumers: BTreeMap<[String; 5], i64> = BTreeMap::new();
    for client in broker.members.clients() {
        let (language, version) = (client.language.to_lowercase(), client.version.to_string());
        let of = [language, version, client.protocol.clone()];
        *producers.entry(of).or_default() += signed(client.producers.len() as u64);
    }
    producers.retain(|_, count| *count > 0);
    for group in broker.state.groups() {
        for member in broker.members.consumers(&group.config.name) {
            let mode = match member.consumer.as_ref().map(|consumer| consumer.how) {
                Some(ConsumeHow::Pull) => "pull",
                Some(ConsumeHow::Pop) => "pop",
                Some(ConsumeHow::Push) | None => "push",
            };
            let of = [
                group.config.name.to_string(),
                member.language.to_lowercase(),
                member.version.to_string(),
                mode.to_owned(),
                member.session.protocol.to_owned(),
            ];
            *consumers.entry(of).or_default() += 1;
        }
    }
    let other = || OTHER.to_owned();
    let producers = folded(producers, max, std::array::from_fn(|_| other()));
    let consumers = folded(consumers, max, std::array::from_fn(|_| other()));
    let producers = producers.into_iter().map(|([language, version, protocol], count)| {
        ([("language", language), ("version", version), ("protocol_type", protocol)], count)
    });
    out.gauges("producer_connections", "Producers, by group and client", producers)?;
    let consumers = consumers.into_iter().map(|([group, language, version, mode, protocol], count)| {
        let labels = [
            ("consumer_group", group),
            ("language", language),
            ("version", version),
            ("consume_mode", mode),
            ("protocol_type", protocol),
        ];
        (labels, count)
    });
    out.gauges("consumer_connections", "Consumers, by group and client", consumers)
}

fn transactions(broker: &Broker, out: &mut Out<'_, '_>) -> fmt::Result {
    let (commits, rollbacks) = broker.transaction_metrics.ended();
    out.gauge("half_messages", "Transactions that are undecided", broker.state.halves.lock().len() as u64)?;
    out.counter("commit_messages", "Transactions that were committed", commits)?;
    out.counter("rollback_messages", "Transactions that were rolled back", rollbacks)
}

fn store(broker: &Broker, out: &mut Out<'_, '_>) -> fmt::Result {
    let (start, end, flushed) =
        (broker.log.start().get(), broker.log.end().get(), broker.log.flushed().get());
    let local = [("storage_type", "local"), ("storage_medium", "disk")];
    let size = signed(end.saturating_sub(start));
    out.gauges("storage_size", "Bytes of the log", [(local, size)])?;
    let behind = signed(end.saturating_sub(flushed));
    out.gauges("storage_flush_behind_bytes", "Bytes of the log that are not flushed", [(local, behind)])?;
    let committed = broker.committed().get();
    let behind = signed(end.saturating_sub(committed));
    out.gauges(
        "storage_dispatch_behind_bytes",
        "Bytes of the log that are not visible yet",
        [(local, behind)],
    )?;
    let (fired, _) = broker.timer_metrics.fired_so_far();
    let (arrived, waiting) = broker.timer_metrics.arrived_so_far();
    out.gauge("timing_messages", "Timed messages and retries that wait", waiting)?;
    out.counter("timer_enqueue", "Timed messages and retries that came", arrived)?;
    out.counter("timer_dequeue", "Timed messages and retries that fired", fired)?;
    let failed = broker.state.failed_deliveries();
    out.counter("pop_revive_retry_messages", "Deliveries that failed and are repeated", failed)
}
