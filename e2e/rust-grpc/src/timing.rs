//! Timed messages. The client's delivery time has whole seconds, and it has no recall.
use crate::clients::{producer, Reader};
use crate::kit::{bodies, expect, group, operator, unique, Outcome};
use rocketmq::model::message::MessageBuilder;
use std::time::{SystemTime, UNIX_EPOCH};

const COUNT: usize = 10;

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or_default()
}

pub async fn deliver() -> Outcome {
    let topic = unique("timed");
    operator(format!("topic {topic} DELAY 1")).await?;
    let producer = producer(&topic).await?;
    let due = now_ms() / 1_000 + 5;
    let sent = bodies("later", COUNT);
    for body in &sent {
        let message = MessageBuilder::builder()
            .set_topic(topic.as_str())
            .set_body(body.as_bytes().to_vec())
            .set_delivery_timestamp(due)
            .build()?;
        producer.send(message).await?;
    }
    let mut reader = Reader::start(&group("").await?, &topic).await?;
    while reader.received.is_empty() {
        reader.take().await?;
        let late = now_ms() - due * 1_000;
        expect(reader.received.is_empty() || late >= 0, format!("came {} ms early", -late))?;
        expect(late < 10_000, format!("nothing came {late} ms after the time"))?;
    }
    reader.drain(&sent).await?;
    reader.stop().await?;
    Ok(producer.shutdown().await?)
}
