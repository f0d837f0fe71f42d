//! What a producer and simple consumers can show.
use crate::clients::{body_of, message, producer, send_all, tagged, Reader, INVISIBLE, PATIENCE};
use crate::kit::{bodies, expect, expect_equal, group, operator, topic, Failure, Outcome};
use rocketmq::model::message::MessageBuilder;
use std::collections::HashSet;
use std::time::{Duration, Instant};

const COUNT: usize = 20;
/// Far below what is left of every client's poll; the machine is busy.
const WAKE_LIMIT: Duration = Duration::from_secs(3);

pub async fn send_sync() -> Outcome {
    let topic = topic(4).await?;
    let producer = producer(&topic).await?;
    let mut ids = HashSet::new();
    for body in bodies("sync", COUNT) {
        ids.insert(producer.send(message(&topic, &body)?).await?.message_id().to_owned());
    }
    expect_equal("distinct ids", COUNT, ids.len())?;
    received(&topic, &bodies("sync", COUNT)).await?;
    Ok(producer.shutdown().await?)
}

pub async fn send_batch() -> Outcome {
    let topic = topic(4).await?;
    let producer = producer(&topic).await?;
    let batch = bodies("batch", COUNT).iter().map(|body| message(&topic, body)).collect::<Result<Vec<_>, _>>()?;
    producer.batch_send(batch).await?;
    received(&topic, &bodies("batch", COUNT)).await?;
    Ok(producer.shutdown().await?)
}

pub async fn send_large_body() -> Outcome {
    let topic = topic(1).await?;
    let producer = producer(&topic).await?;
    let large = "0123456789".repeat(100_000);
    producer.send(message(&topic, &large)?).await?;
    received(&topic, &[large]).await?;
    Ok(producer.shutdown().await?)
}

pub async fn round_trip() -> Outcome {
    let topic = topic(1).await?;
    let producer = producer(&topic).await?;
    let message = MessageBuilder::builder()
        .set_topic(topic.as_str())
        .set_body("Grüße, 世界".as_bytes().to_vec())
        .set_tag("colour")
        .set_keys(vec!["key-1", "key-2"])
        .set_properties([("shape", "round"), ("city", "Zürich")].into())
        .build()?;
    let receipt = producer.send(message).await?;
    let reader = Reader::start(&group("").await?, &topic).await?;
    let got = reader.receive_one().await?;
    reader.ack(&got).await?;
    let mut keys = got.keys().to_vec();
    keys.sort();
    let property = |name: &str| got.properties().get(name).map(String::as_str);
    expect_equal("body", "Grüße, 世界".to_owned(), body_of(&got))?;
    expect_equal("tag", Some("colour"), got.tag())?;
    expect_equal("keys", vec!["key-1".to_owned(), "key-2".to_owned()], keys)?;
    expect_equal("shape", Some("round"), property("shape"))?;
    expect_equal("city", Some("Zürich"), property("city"))?;
    expect_equal("id", receipt.message_id(), got.message_id())?;
    expect_equal("attempt", 1, got.delivery_attempt())?;
    reader.stop().await?;
    Ok(producer.shutdown().await?)
}

pub async fn simple_consume() -> Outcome {
    let topic = topic(4).await?;
    let producer = producer(&topic).await?;
    let sent = send_all(&producer, &topic, "simple", COUNT).await?;
    let mut reader = Reader::start(&group("").await?, &topic).await?;
    reader.drain(&sent).await?;
    expect_each_once(&sent, &[&reader])?;
    // Nothing comes back after the invisible time has passed: everything was acknowledged.
    let end = Instant::now() + INVISIBLE + Duration::from_secs(4);
    while Instant::now() < end {
        expect_equal("received again", 0, reader.take().await?)?;
    }
    reader.stop().await?;
    Ok(producer.shutdown().await?)
}

pub async fn tag_filter() -> Outcome {
    let topic = topic(1).await?;
    let producer = producer(&topic).await?;
    for tag in ["red", "blue", "green", "blue", "red"] {
        producer.send(tagged(&topic, tag, tag)?).await?;
    }
    producer.send(tagged(&topic, "last", "green")?).await?;
    let mut reader = Reader::filtering(&group("").await?, &topic, "red || green").await?;
    let deadline = Instant::now() + PATIENCE;
    while reader.received.len() < 4 && Instant::now() < deadline {
        reader.take().await?;
    }
    expect_equal("after the last", 0, reader.take().await?)?;
    reader.received.sort();
    expect_equal("bodies", ["green", "last", "red", "red"].map(str::to_owned).to_vec(), reader.received.clone())?;
    reader.stop().await?;
    Ok(producer.shutdown().await?)
}

/// Without an acknowledgement the message becomes visible again, and its attempts are counted.
pub async fn retry_simple() -> Outcome {
    let topic = topic(1).await?;
    let producer = producer(&topic).await?;
    send_all(&producer, &topic, "take-your-time", 1).await?;
    let reader = Reader::start(&group("").await?, &topic).await?;
    let first = reader.receive_one().await?;
    let received = Instant::now();
    let second = reader.receive_one().await?;
    let hidden = received.elapsed();
    reader.ack(&second).await?;
    expect_equal("attempts", (1, 2), (first.delivery_attempt(), second.delivery_attempt()))?;
    expect_equal("id", first.message_id(), second.message_id())?;
    expect(hidden >= INVISIBLE - Duration::from_secs(1), format!("hidden for {hidden:?}"))?;
    reader.stop().await?;
    Ok(producer.shutdown().await?)
}

/// Two attempts without an acknowledgement; the third place where it shows up is the dead-letter topic.
pub async fn dead_letter() -> Outcome {
    let topic = topic(1).await?;
    let members = group("retries=1 step-ms=1000").await?;
    let producer = producer(&topic).await?;
    producer.send(tagged(&topic, "never", "hopeless")?).await?;
    let reader = Reader::start(&members, &topic).await?;
    expect_equal("first attempt", 1, reader.receive_one().await?.delivery_attempt())?;
    expect_equal("second attempt", 2, reader.receive_one().await?.delivery_attempt())?;
    // A further receive lets the server notice that the attempts are used up.
    let end = Instant::now() + INVISIBLE + Duration::from_secs(5);
    while Instant::now() < end {
        expect_equal("third attempt", 0, reader.receive(1).await?.len())?;
    }
    let dead_letters = format!("%DLQ%{members}");
    operator(format!("await-topic {dead_letters}")).await?;
    let undertaker = Reader::start(&group("").await?, &dead_letters).await?;
    let dead = undertaker.receive_one().await?;
    expect_equal("body", "never".to_owned(), body_of(&dead))?;
    expect_equal("tag", Some("hopeless"), dead.tag())?;
    undertaker.stop().await?;
    reader.stop().await?;
    Ok(producer.shutdown().await?)
}

/// A message wakes the waiting receiver at once: the poll itself would last seconds.
pub async fn long_poll() -> Outcome {
    let topic = topic(1).await?;
    let producer = producer(&topic).await?;
    let reader = Reader::start(&group("").await?, &topic).await?;
    send_all(&producer, &topic, "warm-up", 1).await?;
    reader.ack(&reader.receive_one().await?).await?;
    for number in 0..3 {
        let waiting = reader.receive(1);
        tokio::pin!(waiting);
        let early = tokio::time::timeout(Duration::from_millis(1_500), &mut waiting).await;
        expect(early.is_err(), "the receive call did not wait")?;
        send_all(&producer, &topic, &format!("wake{number}"), 1).await?;
        let answered = Instant::now();
        let messages = waiting.await?;
        let waited = answered.elapsed();
        expect_equal("received", 1, messages.len())?;
        reader.ack(&messages[0]).await?;
        expect(waited < WAKE_LIMIT, format!("woken {waited:?} after the send's answer"))?;
    }
    reader.stop().await?;
    Ok(producer.shutdown().await?)
}

pub async fn share_group() -> Outcome {
    let topic = topic(4).await?;
    let members = group("").await?;
    let producer = producer(&topic).await?;
    let mut one = Reader::start(&members, &topic).await?;
    let mut other = Reader::start(&members, &topic).await?;
    let sent = share_until_both(&producer, &topic, &mut one, &mut other).await?;
    expect_each_once(&sent, &[&one, &other])?;
    one.stop().await?;
    other.stop().await?;
    Ok(producer.shutdown().await?)
}

pub async fn join_leave() -> Outcome {
    let topic = topic(4).await?;
    let members = group("").await?;
    let producer = producer(&topic).await?;
    let mut leaver = Reader::start(&members, &topic).await?;
    let mut sent = send_all(&producer, &topic, "alone", 20).await?;
    leaver.take().await?;
    let mut stayer = Reader::start(&members, &topic).await?;
    sent.extend(share_until_both(&producer, &topic, &mut leaver, &mut stayer).await?);
    let left_with = leaver.received.clone();
    leaver.stop().await?;
    sent.extend(send_all(&producer, &topic, "left", 20).await?);
    sent.retain(|body| !left_with.contains(body));
    stayer.drain(&sent).await?;
    stayer.stop().await?;
    Ok(producer.shutdown().await?)
}

pub async fn two_groups() -> Outcome {
    let topic = topic(4).await?;
    let producer = producer(&topic).await?;
    let sent = send_all(&producer, &topic, "copied", COUNT).await?;
    received(&topic, &sent).await?;
    received(&topic, &sent).await?;
    Ok(producer.shutdown().await?)
}

/// Sends waves, which both take at the same time, until both have some and nothing is left.
async fn share_until_both(
    producer: &rocketmq::Producer,
    topic: &str,
    one: &mut Reader,
    other: &mut Reader,
) -> Result<Vec<String>, Failure> {
    let mut sent = Vec::new();
    let deadline = Instant::now() + 2 * PATIENCE;
    for wave in 0.. {
        sent.extend(send_all(producer, topic, &format!("wave{wave}"), 40).await?);
        while !sent.iter().all(|body| one.received.contains(body) || other.received.contains(body)) {
            expect(Instant::now() < deadline, "the group never shared everything")?;
            let (left, right) = tokio::join!(one.take(), other.take());
            left?;
            right?;
        }
        let has_some = |reader: &Reader| reader.received.iter().any(|body| sent.contains(body));
        if has_some(one) && has_some(other) {
            break;
        }
    }
    Ok(sent)
}

async fn received(topic: &str, bodies: &[String]) -> Outcome {
    let mut reader = Reader::start(&group("").await?, topic).await?;
    reader.drain(bodies).await?;
    expect_each_once(bodies, &[&reader])?;
    reader.stop().await
}

fn expect_each_once(bodies: &[String], readers: &[&Reader]) -> Outcome {
    for body in bodies {
        let deliveries = readers.iter().flat_map(|reader| &reader.received).filter(|got| *got == body).count();
        expect_equal(&format!("deliveries of {body}"), 1, deliveries)?;
    }
    Ok(())
}
