//! Lite topics of one parent, each with a message, a subscriber and progress: what an idle one costs in
//! memory and on disk. `cargo run --release -p broker --example lite_cost [lite topics]`
#![expect(clippy::disallowed_methods, reason = "a measurement runs on the real system")]
#![expect(clippy::print_stdout, reason = "its result is what it prints")]

use std::time::Instant;

use base::Doors;
use broker::{Broker, BrokerConfig, Setup};
use model::admin::{self, Empty, GroupPut, GroupPutRequest, LiteNode, TopicPut, TopicPutRequest};
use model::lite::{LiteAction, LiteStart, LiteSync};
use model::verbs::{Publish, QueueChoice, Receive, StartFrom};
use model::{
    Filter, GroupConfig, GroupName, Messaging, NewMessage, Properties, Session, TopicConfig, TopicName,
};
use replica::{Flush, ReplicaConfig};
use store::{Repair, StoreConfig};

const PER_CLIENT: usize = 2_000;
const PER_SEND: usize = 1_000;

fn name(i: usize) -> String {
    format!("session-{i:09}")
}

fn folder_bytes(path: &std::path::Path) -> u64 {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.metadata().ok()).map(|metadata| metadata.len()).sum()
}

fn message(i: usize) -> NewMessage {
    let mut properties = Properties::new();
    properties.push("__LITE_TOPIC", &name(i));
    NewMessage {
        body: vec![b'x'; 16].into(),
        properties,
        flag: 0,
        system_flags: 0,
        born_ms: 1,
        born_host: ([127, 0, 0, 1], 1).into(),
        reconsume_times: 0,
    }
}

#[tokio::main]
async fn main() {
    let count: usize = std::env::args().nth(1).and_then(|a| a.parse().ok()).unwrap_or(100_000);
    let dir = tempfile::tempdir().expect("a temporary folder");
    let data = dir.path().join("data");
    let setup = Setup {
        dir: data.clone(),
        broker: BrokerConfig {
            lite_topics_max: u64::MAX,
            lite_subscriptions_max: usize::MAX,
            ..BrokerConfig::default()
        },
        replica: ReplicaConfig { flush: Flush::Async, ..ReplicaConfig::default() },
        store: StoreConfig::default(),
        repair: Repair::Refuse,
    };
    let session = Session::internal();
    let (parent, group) = (TopicName::new("parent").expect("legal"), GroupName::new("g").expect("legal"));
    let broker = Broker::open(&Doors::system(), &setup).expect("opens");
    let mut config = TopicConfig::new(parent.clone(), 1);
    config.attributes.insert("message.type".to_owned(), "LITE".to_owned());
    admin::run::<TopicPut>(&*broker, &session, TopicPutRequest { config, update: true }).await.expect("made");
    let mut config = GroupConfig::new(group.clone());
    config.attributes.insert("lite.bind.topic".to_owned(), "parent".to_owned());
    admin::run::<GroupPut>(&*broker, &session, GroupPutRequest { config, update: true }).await.expect("made");
    let began = Instant::now();
    for first in (0..count).step_by(PER_SEND) {
        let request = Publish {
            topic: parent.clone(),
            queue: QueueChoice::Any,
            messages: (first..count.min(first + PER_SEND)).map(message).collect(),
            producer_group: None,
            auto_create: None,
            check_kind: true,
        };
        broker.publish(&session, request).await.expect("stored");
    }
    println!("{count} lite topics made in {:.1} s", began.elapsed().as_secs_f64());
    let began = Instant::now();
    let clients = subscribe_all(&broker, &session, &parent, &group, count).await;
    let received = receive_all(&broker, &session, &parent, &group, &clients).await;
    println!(
        "{received} messages received and settled by {} clients in {:.1} s",
        clients.len(),
        began.elapsed().as_secs_f64()
    );
    broker.shutdown().await.expect("closes");
    drop(broker);
    let runs = folder_bytes(&data.join("runs"));
    let began = Instant::now();
    let broker = Broker::open(&Doors::system(), &setup).expect("opens");
    println!("opened again in {:.2} s", began.elapsed().as_secs_f64());
    subscribe_all(&broker, &session, &parent, &group, count).await;
    let node = admin::run::<LiteNode>(&*broker, &session, Empty {}).await.expect("counted");
    println!(
        "{} lite topics, {} subscriptions, {} cursors in memory: memory {:.1} B, disk (without messages) {:.1} B per lite topic",
        node.lite_topics,
        node.subscriptions,
        node.cursors_in_memory,
        node.memory_bytes as f64 / count as f64,
        runs as f64 / count as f64,
    );
}

async fn subscribe_all(
    broker: &Broker,
    session: &Session,
    parent: &TopicName,
    group: &GroupName,
    count: usize,
) -> Vec<String> {
    let mut clients = Vec::new();
    for first in (0..count).step_by(PER_CLIENT) {
        let client_id = format!("client-{first}");
        let sync = LiteSync {
            client_id: client_id.clone(),
            group: group.clone(),
            topic: parent.clone(),
            action: LiteAction::Set,
            lite_topics: (first..count.min(first + PER_CLIENT)).map(name).collect(),
            start: LiteStart::Last,
            version: 0,
        };
        broker.sync_lite(session, sync).await.expect("subscribed");
        clients.push(client_id);
    }
    clients
}

async fn receive_all(
    broker: &Broker,
    session: &Session,
    parent: &TopicName,
    group: &GroupName,
    clients: &[String],
) -> usize {
    let mut received = 0;
    for client_id in clients {
        loop {
            let request = Receive {
                group: group.clone(),
                topic: parent.clone(),
                queue: None,
                filter: Filter::all(),
                max_messages: 32,
                invisible_ms: 60_000,
                wait_ms: 0,
                attempt_id: None,
                ordered: None,
                start: StartFrom::Last,
                client_id: client_id.clone(),
            };
            let deliveries = broker.receive(session, request).await.expect("answered").deliveries;
            if deliveries.is_empty() {
                break;
            }
            received += deliveries.len();
            broker.ack(session, deliveries.into_iter().map(|delivery| delivery.receipt).collect()).await;
        }
    }
    received
}
