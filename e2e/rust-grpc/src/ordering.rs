//! Groups that are delivered in order; bodies are `key-number`.
use crate::clients::{body_of, producer, Reader};
use crate::kit::{expect_equal, group, operator, unique, Failure, Outcome};
use rocketmq::model::message::MessageBuilder;
use rocketmq::Producer;

async fn send(producer: &Producer, topic: &str, key: &str, number: u32) -> Result<(), Failure> {
    let body = format!("{key}-{number}").into_bytes();
    let message = MessageBuilder::builder().set_topic(topic).set_body(body).set_message_group(key).build()?;
    producer.send(message).await?;
    Ok(())
}

/// What is not acknowledged keeps its key back, and comes again before the rest of it.
pub async fn simple() -> Outcome {
    let topic = unique("fifo");
    operator(format!("topic {topic} FIFO 1")).await?;
    let producer = producer(&topic).await?;
    let reader = Reader::start(&group("orderly=1").await?, &topic).await?;
    for (key, number) in [("held", 0), ("held", 1), ("free", 0)] {
        send(&producer, &topic, key, number).await?;
    }
    expect_equal("first", "held-0".to_owned(), body_of(&reader.receive_one().await?))?;
    let free = reader.receive_one().await?;
    expect_equal("the other key", "free-0".to_owned(), body_of(&free))?;
    reader.ack(&free).await?;
    let mut rest = Vec::new();
    while rest.len() < 2 {
        let received = reader.receive_one().await?;
        rest.push((body_of(&received), received.delivery_attempt()));
        reader.ack(&received).await?;
    }
    expect_equal("the key", vec![("held-0".to_owned(), 2), ("held-1".to_owned(), 1)], rest)?;
    reader.stop().await?;
    Ok(producer.shutdown().await?)
}
