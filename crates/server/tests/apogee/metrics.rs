//! The metrics' text is sound, names what RocketMQ's boards ask for, stays small however many topics there
//! are; the boards and alert rules that are shipped name metrics that exist.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use remoting::client::{Client, Outgoing, Pull};
use serde_json::{Value, json};
use server::wiring::Node;
use telemetry::exposition::{Family, Kind, parse};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::health::client;
use crate::node::{address, config, connect, get, post, start};

const BOARD_METRICS: &str = include_str!("../../../../ops/rocketmq-board-metrics.txt");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

pub(super) async fn text(rest: SocketAddr) -> String {
    let answer = get(rest, "/metrics").await;
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    // A large answer comes in chunks.
    if !head.to_lowercase().contains("transfer-encoding: chunked") {
        return body.to_owned();
    }
    let (mut rest, mut out) = (body, String::new());
    while let Some((len, after)) = rest.split_once("\r\n") {
        let len = usize::from_str_radix(len.trim(), 16).expect("a length");
        out += &after[..len];
        rest = &after[(len + 2).min(after.len())..];
        if len == 0 {
            break;
        }
    }
    out
}

pub(super) async fn operate(rest: SocketAddr, name: &str, request: Value) {
    let answer = post(rest, &format!("/api/v1/operations/{name}"), &request.to_string()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{name}: {answer}");
}

/// A node on which a bit of everything has happened.
async fn used(dir: &TempDir) -> (Node, [Client; 2]) {
    let node = start(&config(dir)).await;
    let (rest, broker) = (address(&node, "http"), address(&node, "broker"));
    for topic in ["t", "limited"] {
        let topic = json!({ "name": topic, "read_queues": 2, "write_queues": 2 });
        operate(rest, "topic.put", json!({ "config": topic })).await;
    }
    operate(rest, "group.put", json!({ "config": { "name": "g", "retry_max_times": 0 } })).await;
    operate(rest, "quota.put", json!({ "scope": "topic", "name": "limited", "send_messages_per_s": 1 }))
        .await;
    let producer = client(broker, "producer", None).await;
    let consumer = client(broker, "consumer", Some(("g", "t"))).await;
    for queue in [0, 1, 1] {
        let message = Outgoing { body: "0123456789".into(), properties: String::new() };
        producer.send("t", queue, message).await.expect("it is taken");
    }
    for _ in 0..5 {
        // The later ones are over the quota.
        let _ = producer.send("limited", 0, Outgoing::default()).await;
    }
    let pull =
        Pull { group: "g", topic: "t", queue: 1, offset: 0, max_messages: 1, expression: "*", wait_ms: 0 };
    consumer.pull(&pull).await.expect("the topic is there");
    consumer.update_offset("g", "t", 1, 1).await.expect("it is taken");
    consumer.update_offset("g", "t", 0, 0).await.expect("it is taken");
    (node, [producer, consumer])
}

fn value(families: &[Family], name: &str, labels: &[(&str, &str)]) -> f64 {
    let samples = families.iter().flat_map(|family| &family.samples).filter(|sample| sample.name == name);
    let fits = |sample: &&telemetry::exposition::Sample| {
        labels.iter().all(|(name, value)| sample.labels.get(*name).is_some_and(|its| its == value))
    };
    let found: Vec<f64> = samples.filter(fits).map(|sample| sample.value).collect();
    assert_eq!(found.len(), 1, "{name} {labels:?}: {found:?}");
    found[0]
}

#[tokio::test(flavor = "multi_thread")]
async fn the_text_is_sound_and_counters_only_grow() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, _clients) = used(&dir).await;
    let rest = address(&node, "http");
    let before = parse(&text(rest).await).expect("sound");
    connect(address(&node, "broker")).await.send("t", 0, Outgoing::default()).await.expect("it is taken");
    let after = parse(&text(rest).await).expect("sound");
    let series = |families: &[Family]| -> BTreeMap<(String, BTreeMap<String, String>), f64> {
        let counters = families.iter().filter(|family| family.kind != Kind::Gauge);
        let samples = counters.flat_map(|family| family.samples.clone());
        samples.map(|sample| ((sample.name, sample.labels), sample.value)).collect()
    };
    let (before, after_all) = (series(&before), series(&after));
    for (series, value) in &before {
        assert!(after_all.get(series).is_some_and(|now| now >= value), "{series:?} was {value}");
    }
    let reader = [("topic", "t"), ("consumer_group", "g")];
    for (name, labels, expected) in [
        ("rocketmq_messages_in_total", &[("topic", "t")][..], 4.0),
        ("rocketmq_throughput_in_total", &[("topic", "t")], 30.0),
        ("rocketmq_messages_out_total", &reader, 1.0),
        ("rocketmq_consumer_lag_messages", &reader, 3.0),
        ("rocketmq_consumer_ready_messages", &reader, 3.0),
        ("rocketmq_consumer_inflight_messages", &reader, 0.0),
        ("rocketmq_consumer_connections", &[("consumer_group", "g"), ("consume_mode", "push")], 1.0),
        ("rocketmq_topic_number", &[("node_id", "apogee-0"), ("cluster", "DefaultCluster")], 6.0),
    ] {
        let value = value(&after, name, labels);
        assert!((value - expected).abs() < 1e-9, "{name} {labels:?} is {value}, not {expected}");
    }
    node.stop().await.expect("it stops in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_boards_of_rocketmq_find_their_series() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, _clients) = used(&dir).await;
    let families = parse(&text(address(&node, "http")).await).expect("sound");
    let has = |name: &str| {
        let counter = name.strip_suffix("_total");
        families.iter().any(|family| family.name == name || Some(family.name.as_str()) == counter)
    };
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).expect("the page");
    let names = BOARD_METRICS.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let mut wrong = Vec::new();
    for name in names {
        match name.strip_prefix('-') {
            None if !has(name) => wrong.push(format!("{name} is missing")),
            Some(name) if has(name) => wrong.push(format!("{name} is there")),
            Some(name) if !page.contains(name) => wrong.push(format!("{name} is not explained")),
            _ => {}
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    node.stop().await.expect("it stops in order");
}

/// Names of metrics in an expression.
fn named(expression: &str) -> BTreeSet<String> {
    let words = expression.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
    let metrics = words.filter(|word| word.starts_with("rocketmq_") || word.starts_with("apogee_"));
    metrics.map(str::to_owned).collect()
}

fn expressions(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" => out.push(text.clone()),
                    value => expressions(value, out),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, out)),
        _ => {}
    }
}

/// Brackets and quotes close, and every range follows a selector.
fn check_expression(expression: &str) {
    let mut open = Vec::new();
    let mut in_text = false;
    for c in expression.chars() {
        match c {
            '"' => in_text = !in_text,
            _ if in_text => {}
            '(' | '[' | '{' => open.push(c),
            ')' | ']' | '}' => {
                let opened = open.pop();
                let pair = [('(', ')'), ('[', ']'), ('{', '}')];
                assert!(pair.iter().any(|(o, c2)| opened == Some(*o) && *c2 == c), "{expression}");
            }
            _ => {}
        }
    }
    assert!(open.is_empty() && !in_text, "{expression}");
    assert!(!named(expression).is_empty(), "{expression} names no metric");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_shipped_for_grafana_and_prometheus_names_metrics_that_exist() {
    let mut all = Vec::new();
    for file in std::fs::read_dir(root().join("ops/grafana")).expect("boards") {
        let text = std::fs::read_to_string(file.expect("a file").path()).expect("text");
        let board: Value = serde_json::from_str(&text).expect("JSON");
        assert!(board["title"].is_string() && board["panels"].is_array() && board["uid"].is_string());
        let ids: Vec<_> =
            board["panels"].as_array().expect("panels").iter().map(|p| p["id"].as_u64()).collect();
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len(), "panels have ids of their own");
        expressions(&board, &mut all);
    }
    let boards = all.len();
    let rules = std::fs::read_to_string(root().join("ops/prometheus/alerts.yml")).expect("rules");
    all.extend(rules_of(&rules));
    assert!(boards >= 15 && all.len() >= boards + 8, "{boards} and {} expressions", all.len() - boards);
    let page = std::fs::read_to_string(root().join("docs/metrics.md")).expect("the page");
    for expression in &all {
        check_expression(expression);
        for name in named(expression) {
            let family =
                ["_total", "_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
            let listed = |name: &str| page.contains(&format!("| `{name}` |"));
            assert!(listed(&name) || family.is_some_and(listed), "{name} of {expression} does not exist");
        }
    }
}

/// Expressions of a file of rules, which are written in one form: a mapping of plain scalars for each rule.
fn rules_of(text: &str) -> Vec<String> {
    assert!(text.contains("\ngroups:\n") && !text.contains('\t'), "a file of rules");
    let mut rules: Vec<BTreeMap<&str, &str>> = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#') && !line.trim().is_empty()) {
        assert!((line.len() - line.trim_start().len()) % 2 == 0, "uneven: {line}");
        let (key, value) = line.trim().split_once(':').unwrap_or_else(|| panic!("no mapping: {line}"));
        if key == "- alert" {
            rules.push(BTreeMap::new());
        }
        let value = value.trim();
        // What needs quotes in YAML has them.
        let is_quoted = value.len() > 1 && value.starts_with('\'') && value.ends_with('\'');
        let is_plain =
            !value.contains(": ") && !value.contains(" #") && !value.starts_with(['{', '[', '"', '&', '*']);
        assert!(is_quoted || is_plain, "{line}");
        if let Some(rule) = rules.last_mut() {
            assert!(rule.insert(key, value.trim_matches('\'')).is_none(), "{key} twice: {line}");
        }
    }
    for rule in &rules {
        for key in ["- alert", "expr", "for", "labels", "severity", "annotations", "summary", "description"] {
            assert!(rule.contains_key(key), "{rule:?} has no {key}");
        }
    }
    rules.iter().map(|rule| rule["expr"].to_owned()).collect()
}

/// How a family stands in the page.
fn row(family: &Family) -> String {
    format!("| `{}` | {} | {} |", family.name, family.kind.name(), family.help)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_of_metrics_is_not_stale() {
    let dir = tempfile::tempdir().expect("a folder");
    let (node, _clients) = used(&dir).await;
    let families = parse(&text(address(&node, "http")).await).expect("sound");
    node.stop().await.expect("it stops in order");
    let path = root().join("docs/metrics.md");
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    let (head, table) = page.split_once("| metric | type | meaning |\n|---|---|---|\n").expect("a table");
    // Metrics of what has not happened yet are not in a text: their rows stay.
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for line in table.lines() {
        let name = line.split('`').nth(1).expect("a name").to_owned();
        rows.insert(name, line.to_owned());
    }
    for family in &families {
        rows.insert(family.name.clone(), row(family));
    }
    let rows: String = rows.into_values().map(|row| row + "\n").collect();
    let fresh = format!("{head}| metric | type | meaning |\n|---|---|---|\n{rows}");
    if std::env::var_os("UPDATE_PAGES").is_some() {
        std::fs::write(&path, &fresh).expect("it is writable");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == fresh, "docs/metrics.md is stale: run `UPDATE_PAGES=1 cargo test -p server page`");
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_topics_keep_the_text_small() {
    const TOPICS: usize = 10_000;
    let dir = tempfile::tempdir().expect("a folder");
    let mut config = config(&dir);
    config.replica.flush = replica::Flush::Async;
    let node = start(&config).await;
    let (rest, broker) = (address(&node, "http"), address(&node, "broker"));
    let mut making = JoinSet::new();
    for part in 0..64 {
        making.spawn(async move {
            let client = connect(broker).await;
            for topic in (part..TOPICS).step_by(64) {
                let message = Outgoing { body: "x".into(), properties: String::new() };
                client.send(&format!("topic-{topic:05}"), 0, message).await.expect("it is taken");
            }
        });
    }
    making.join_all().await;
    let began = Instant::now();
    let text = text(rest).await;
    let took = began.elapsed();
    let families = parse(&text).expect("sound");
    let series: usize = families.iter().map(|family| family.samples.len()).sum();
    eprintln!("{TOPICS} topics: {series} series, {} bytes, {took:?}", text.len());
    let most = 6 * (config.broker.metrics_topics_max + 1) + 2_000;
    assert!(series <= most, "{series} series, at most {most}");
    let own = config.broker.metrics_topics_max;
    let sent = families.iter().find(|family| family.name == "rocketmq_messages_in").expect("it is there");
    assert_eq!(sent.samples.len(), own + 1);
    let sum: f64 = sent.samples.iter().map(|sample| sample.value).sum();
    assert!((sum - TOPICS as f64).abs() < 0.5, "nothing is lost: {sum}");
    let other = value(&families, "rocketmq_messages_in_total", &[("topic", "other")]);
    assert!(other >= (TOPICS - own) as f64 - 16.0, "{other}");
    // Two seconds are asked for on a quiet machine; this one builds and tests beside it.
    assert!(took < Duration::from_secs(10), "{took:?}");
    node.stop().await.expect("it stops in order");
}
