//! The names of RocketMQ's exporter for 4.x, as far as they make sense here: boards made for it find their series.

use std::fmt;

use model::admin::RateOf;

use super::rows::{ReaderRow, Rows, TopicRow};
use super::{Out, signed};
use crate::broker::Broker;

pub(super) fn encode(broker: &Broker, rows: &Rows, out: &mut Out<'_, '_>) -> fmt::Result {
    traffic(broker, out)?;
    topics(&rows.topics, out)?;
    readers(&rows.readers, out)?;
    let dead = rows.dead_letters.iter().map(|(group, end)| ([("group", group.clone())], signed(*end)));
    out.gauges("topic_dlq_offset", "Ends of the dead letters", dead)?;
    runtime(broker, out)
}

fn of_node(broker: &Broker) -> [(&'static str, String); 2] {
    [("broker", broker.config.name.clone()), ("brokerIP", broker.config.store_host.to_string())]
}

fn traffic(broker: &Broker, out: &mut Out<'_, '_>) -> fmt::Result {
    let (sent, received) = (broker.traffic(RateOf::Sent), broker.traffic(RateOf::Received));
    let of = of_node(broker);
    let pace = sent.messages_per_second.last_1m;
    out.rates("broker_tps", "Messages sent each second, over a minute", [(of.clone(), pace)])?;
    let pace = received.messages_per_second.last_1m;
    out.rates("broker_qps", "Messages received each second, over a minute", [(of, pace)])
}

fn topics(topics: &[TopicRow], out: &mut Out<'_, '_>) -> fmt::Result {
    let of = |row: &TopicRow| [("topic", row.topic.clone())];
    let paces = topics.iter().map(|row| (of(row), row.sent_per_s));
    out.rates("producer_tps", "Messages sent each second, over a minute", paces)?;
    let paces = topics.iter().map(|row| (of(row), row.sent_bytes_per_s));
    out.rates("producer_message_size", "Bytes sent each second, over a minute", paces)?;
    let ends = topics.iter().map(|row| (of(row), signed(row.end)));
    out.gauges("producer_offset", "Ends of all queues, summed", ends)
}

fn readers(readers: &[ReaderRow], out: &mut Out<'_, '_>) -> fmt::Result {
    let of = |row: &ReaderRow| [("topic", row.topic.clone()), ("group", row.group.clone())];
    let first = || readers.iter().filter(|row| !row.is_retry);
    let retries = || readers.iter().filter(|row| row.is_retry);
    let paces = readers.iter().map(|row| (of(row), row.received_per_s));
    out.rates("consumer_tps", "Messages received each second, over a minute", paces)?;
    let paces = readers.iter().map(|row| (of(row), row.received_bytes_per_s));
    out.rates("consumer_message_size", "Bytes received each second, over a minute", paces)?;
    let offsets = readers.iter().map(|row| (of(row), signed(row.committed)));
    out.gauges("consumer_offset", "First offsets that are not settled, summed over the queues", offsets)?;
    let lag = |row: &ReaderRow| signed(row.ready + row.in_flight);
    out.gauges("group_diff", "Messages that are not settled", first().map(|row| (of(row), lag(row))))?;
    let help = "Retries that are not settled";
    out.gauges("group_retrydiff", help, retries().map(|row| (of(row), lag(row))))?;
    let offsets = retries().map(|row| (of(row), signed(row.committed)));
    out.gauges("topic_retry_offset", "First offsets of retries that are not settled", offsets)?;
    let help = "Age of the first message that is not settled, in milliseconds";
    out.gauges("group_get_latency_by_storetime", help, readers.iter().map(|row| (of(row), row.lag_ms)))
}

fn runtime(broker: &Broker, out: &mut Out<'_, '_>) -> fmt::Result {
    let (sent, received) = (broker.traffic(RateOf::Sent), broker.traffic(RateOf::Received));
    let (start, end) = (broker.log.start().get(), broker.log.end().get());
    let of = of_node(broker);
    let mut gauge = |name: &str, help: &str, value: u64| {
        out.gauges(&format!("brokeruntime_{name}"), help, [(of.clone(), signed(value))])
    };
    gauge("commitlog_minoffset", "First position of the log", start)?;
    gauge("commitlog_maxoffset", "End of the log", end)?;
    gauge(
        "dispatch_behind_bytes",
        "Bytes of the log that are not visible yet",
        end.saturating_sub(broker.committed().get()),
    )?;
    gauge("msg_put_total_today_now", "Messages sent since the start", sent.messages)?;
    gauge("msg_puttotal_todaymorning", "The same at the last midnight, UTC", sent.messages_at_midnight)?;
    gauge("msg_puttotal_yesterdaymorning", "The same a day before", sent.messages_at_midnight_before)?;
    gauge("msg_gettotal_today_now", "Messages received since the start", received.messages)?;
    gauge("msg_gettotal_todaymorning", "The same at the last midnight, UTC", received.messages_at_midnight)?;
    gauge("msg_gettotal_yesterdaymorning", "The same a day before", received.messages_at_midnight_before)?;
    gauge("put_message_size_total", "Bytes sent since the start", sent.bytes)?;
    let mean = sent.bytes.checked_div(sent.messages).unwrap_or(0);
    gauge("put_message_average_size", "Mean size of messages sent since the start, in bytes", mean)?;
    if let Ok(space) = broker.doors.disk.space(&broker.dir) {
        gauge("commitlogdir_capacity_total", "Bytes of the disk", space.total_bytes)?;
        gauge("commitlogdir_capacity_free", "Bytes of the disk that are free", space.available_bytes)?;
        let used = space.total_bytes.saturating_sub(space.available_bytes);
        #[expect(clippy::cast_precision_loss, reason = "a part of a whole")]
        let ratio = used as f64 / space.total_bytes.max(1) as f64;
        let ratios = [(of.clone(), ratio)];
        out.rates("brokeruntime_commitlog_disk_ratio", "Part of the disk that is used", ratios.clone())?;
        out.rates("brokeruntime_consumequeue_disk_ratio", "The same: the log holds everything", ratios)?;
    }
    let missed = broker.traffic(RateOf::Missed);
    let mut pace = |name: &str, help: &str, value: f64| {
        out.rates(&format!("brokeruntime_{name}"), help, [(of.clone(), value)])
    };
    pace("put_tps10", "Messages sent each second, over ten seconds", sent.messages_per_second.last_10s)?;
    pace("getfound_tps10", "Calls that found messages each second", received.calls_per_second.last_10s)?;
    pace("getmiss_tps10", "Calls that found none each second", missed.calls_per_second.last_10s)?;
    let all = received.calls_per_second.last_10s + missed.calls_per_second.last_10s;
    pace("gettotal_tps10", "Calls for messages each second", all)?;
    pace("gettransfered_tps10", "Messages received each second", received.messages_per_second.last_10s)
}
