//! Reads queues back, and compares what stands in them with what was sent.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, bail, ensure};
use base::Doors;
use model::properties::LITE_TOPIC;
use remoting::Fields;
use remoting::client::{Client, Pull, messages};
use remoting::code::{request, response};
use serde_json::{Value, json};

use super::fleet::{Fleet, body, index_of_lite, lite_name};
use super::load::{each, shuffled};

const GROUP: &str = "checker";
const AT_ONCE: usize = 64;
/// Lite topics that one client subscribes to: the server's own default limit.
const LITE_PER_CLIENT: usize = 2_000;
const PULL_MESSAGES: u32 = 32;

/// Reads so many queues, chosen at random. Answers how many were right; what is wrong is an error.
pub(super) async fn some(
    doors: &Doors,
    clients: &[Client],
    fleet: Fleet,
    count: u32,
    rounds: u32,
    size: u32,
) -> Result<u64> {
    let mut chosen = shuffled(doors, fleet.size());
    chosen.truncate(count as usize);
    if fleet.lite {
        return lite(doors, clients, fleet, &chosen, rounds, size).await;
    }
    let client = clients.first().context("there is a connection")?;
    make_group(client, GROUP, &json!({})).await?;
    let right = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&right);
    each(clients, AT_ONCE, chosen, move |client, index| {
        let right = Arc::clone(&right);
        async move {
            queue(&client, fleet, index, rounds, size).await?;
            right.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    })
    .await?;
    Ok(counted.load(Ordering::Relaxed))
}

async fn make_group(client: &Client, name: &str, attributes: &Value) -> Result<()> {
    let config = json!({ "groupName": name, "consumeEnable": true, "attributes": attributes });
    let body = serde_json::to_vec(&config)?;
    let made = client.call(request::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, Fields::new(), body.into()).await;
    made.map(drop).with_context(|| format!("group {name} cannot be made"))
}

/// A queue must hold exactly the message of each round, in order.
async fn queue(client: &Client, fleet: Fleet, index: u32, rounds: u32, size: u32) -> Result<()> {
    let place = fleet.place(index);
    let queue = u32::try_from(place.queue).context("a queue has a number")?;
    let pull = Pull {
        group: GROUP,
        topic: &place.topic,
        queue,
        offset: 0,
        max_messages: PULL_MESSAGES,
        expression: "*",
        wait_ms: 0,
    };
    let pulled = client.pull(&pull).await.with_context(|| format!("a pull from {place:?}"))?;
    let found: Vec<_> = pulled.messages.iter().map(model::StoredMessage::body).collect();
    let wanted: Vec<_> = (0..rounds).map(|round| body(index, round, size)).collect();
    ensure!(found == wanted, "{place:?} holds {} messages, not the {rounds} that were sent", found.len());
    Ok(())
}

/// Subscribes to lite topics and takes their messages until each has shown its first.
async fn lite(
    doors: &Doors,
    clients: &[Client],
    fleet: Fleet,
    chosen: &[u32],
    rounds: u32,
    size: u32,
) -> Result<u64> {
    let client = clients.first().context("there is a connection")?;
    let topic = fleet.place(0).topic;
    // A group of its own begins at the first message.
    let group = format!("{GROUP}-{:016x}", doors.chance.next_u64());
    make_group(client, &group, &json!({ "+lite.bind.topic": topic })).await?;
    let mut right = 0;
    for some in chosen.chunks(LITE_PER_CLIENT) {
        let client_id = format!("checker@{}", some.first().copied().unwrap_or_default());
        let names: Vec<String> = some.iter().map(|index| lite_name(*index)).collect();
        let entry = json!({
            "action": "COMPLETE_ADD", "clientId": client_id, "group": group, "topic": topic,
            "liteTopicSet": names, "offsetOption": { "type": "POLICY", "value": 1 }, "version": 0,
        });
        let body = serde_json::to_vec(&json!({ "subscriptionSet": [entry] }))?;
        client.call(request::LITE_SUBSCRIPTION_CTL, Fields::new(), body.into()).await?;
        let mut missing: BTreeSet<u32> = some.iter().copied().collect();
        while !missing.is_empty() {
            take_lite(client, (&topic, &group, &client_id), rounds, size, &mut missing).await?;
        }
        right += some.len() as u64;
    }
    Ok(right)
}

async fn take_lite(
    client: &Client,
    (topic, group, client_id): (&str, &str, &str),
    rounds: u32,
    size: u32,
    missing: &mut BTreeSet<u32>,
) -> Result<()> {
    let fields = Fields::new()
        .with("consumerGroup", group)
        .with("topic", topic)
        .with("clientId", client_id)
        .with("maxMsgNum", PULL_MESSAGES)
        .with("invisibleTime", 600_000)
        .with("pollTime", 0);
    let answer = client.request(request::POP_LITE_MESSAGE, fields, Default::default()).await?;
    if answer.code != response::SUCCESS {
        bail!("{} lite topics show no message: {}", missing.len(), answer.remark.unwrap_or_default());
    }
    for message in messages(&answer.body.bytes())? {
        let index = message.property(LITE_TOPIC).and_then(index_of_lite).context("no lite topic is named")?;
        let found = message.body();
        ensure!(
            (0..rounds).any(|round| body(index, round, size) == found),
            "a message of {} is not what was sent",
            lite_name(index)
        );
        missing.remove(&index);
    }
    Ok(())
}

/// Whether the topics of a fleet are gone, by the first and the last of them.
pub(super) async fn are_gone(clients: &[Client], fleet: Fleet) -> Result<bool> {
    let client = clients.first().context("there is a connection")?;
    for index in [0, fleet.size() - 1] {
        let place = fleet.place(index);
        if client.max_offset(&place.topic, 0).await.is_ok_and(|end| end > 0) {
            return Ok(false);
        }
    }
    Ok(true)
}
