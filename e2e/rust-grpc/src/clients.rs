//! Producers and consumers as the cases need them.
use crate::kit::{self, Account, Failure};
use rocketmq::error::ClientError;
use rocketmq::conf::{ClientOption, LoggingFormat, ProducerOption, SimpleConsumerOption};
use rocketmq::model::common::{FilterExpression, FilterType};
use rocketmq::model::message::{Message, MessageBuilder, MessageView};
use rocketmq::model::transaction::TransactionResolution;
use rocketmq::{Producer, SimpleConsumer};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

pub const PATIENCE: Duration = Duration::from_secs(60);
/// The shortest that the protocol allows.
pub const INVISIBLE: Duration = Duration::from_secs(10);
/// It is the deadline of the receive call too, and the real server wants more than its shortest poll of five seconds.
const POLL: Duration = Duration::from_secs(8);

fn options() -> ClientOption {
    options_as(kit::own())
}

/// Signs as the account, or not at all.
fn options_as(account: Option<Account>) -> ClientOption {
    let mut options = ClientOption::default();
    options.set_access_url(std::env::var("ENDPOINT").unwrap_or_default());
    options.set_enable_tls(false);
    options.set_timeout(Duration::from_secs(5));
    options.set_long_polling_timeout(POLL);
    if let Some((key, secret)) = account {
        options.set_access_key(key);
        options.set_secret_key(secret);
    }
    options
}

pub async fn producer(topic: &str) -> Result<Producer, Failure> {
    Ok(producer_as(kit::own(), topic).await?)
}

pub async fn producer_as(account: Option<Account>, topic: &str) -> Result<Producer, ClientError> {
    let mut option = ProducerOption::default();
    option.set_logging_format(LoggingFormat::Json);
    option.set_topics(vec![topic]);
    let mut producer = Producer::new(option, options_as(account))?;
    producer.start().await?;
    Ok(producer)
}

/// A producer of transactions; `decide` answers for those that were left open.
pub async fn transactional(
    topic: &str,
    asked: Arc<Mutex<HashSet<String>>>,
    decide: impl Fn(&str) -> TransactionResolution + Send + Sync + 'static,
) -> Result<Producer, Failure> {
    let mut option = ProducerOption::default();
    option.set_logging_format(LoggingFormat::Json);
    option.set_topics(vec![topic]);
    let checker = move |_: String, message: MessageView| {
        let body = body_of(&message);
        asked.lock().unwrap_or_else(PoisonError::into_inner).insert(body.clone());
        decide(&body)
    };
    let mut producer = Producer::new_transaction_producer(option, options(), Box::new(checker))?;
    producer.start().await?;
    Ok(producer)
}

pub fn half_message(topic: &str, body: &str) -> Result<impl Message, Failure> {
    Ok(MessageBuilder::transaction_message_builder(topic, body.as_bytes().to_vec()).build()?)
}

pub fn message(topic: &str, body: &str) -> Result<impl Message, Failure> {
    Ok(MessageBuilder::builder().set_topic(topic).set_body(body.as_bytes().to_vec()).build()?)
}

pub fn tagged(topic: &str, body: &str, tag: &str) -> Result<impl Message, Failure> {
    Ok(MessageBuilder::builder().set_topic(topic).set_body(body.as_bytes().to_vec()).set_tag(tag).build()?)
}

pub async fn send_all(producer: &Producer, topic: &str, word: &str, count: usize) -> Result<Vec<String>, Failure> {
    let bodies = kit::bodies(word, count);
    for body in &bodies {
        producer.send(message(topic, body)?).await?;
    }
    Ok(bodies)
}

/// A simple consumer of one topic, and what it has received.
pub struct Reader {
    client: SimpleConsumer,
    topic: String,
    tags: String,
    pub received: Vec<String>,
}

impl Reader {
    pub async fn start(group: &str, topic: &str) -> Result<Self, Failure> {
        Self::filtering(group, topic, "*").await
    }

    pub async fn filtering(group: &str, topic: &str, tags: &str) -> Result<Self, Failure> {
        let mut option = SimpleConsumerOption::default();
        option.set_logging_format(LoggingFormat::Json);
        option.set_topics(vec![topic]);
        option.set_consumer_group(group);
        let mut client = SimpleConsumer::new(option, options())?;
        client.start().await?;
        Ok(Self { client, topic: topic.to_owned(), tags: tags.to_owned(), received: Vec::new() })
    }

    /// One long poll.
    pub async fn receive(&self, at_most: i32) -> Result<Vec<MessageView>, Failure> {
        let filter = FilterExpression::new(FilterType::Tag, self.tags.as_str());
        Ok(self.client.receive_with(&self.topic, &filter, at_most, INVISIBLE).await?)
    }

    /// One long poll; what it brings is acknowledged and remembered.
    pub async fn take(&mut self) -> Result<usize, Failure> {
        let messages = self.receive(16).await?;
        for message in &messages {
            self.received.push(body_of(message));
            self.client.ack(message).await?;
        }
        Ok(messages.len())
    }

    pub async fn ack(&self, message: &MessageView) -> Result<(), Failure> {
        Ok(self.client.ack(message).await?)
    }

    pub async fn receive_one(&self) -> Result<MessageView, Failure> {
        let deadline = Instant::now() + PATIENCE;
        while Instant::now() < deadline {
            if let Some(message) = self.receive(1).await?.pop() {
                return Ok(message);
            }
        }
        Err("nothing received".into())
    }

    /// Takes until all these bodies have been received.
    pub async fn drain(&mut self, bodies: &[String]) -> Result<(), Failure> {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_all(bodies) {
            kit::expect(Instant::now() < deadline, format!("received {} of {}", self.received.len(), bodies.len()))?;
            self.take().await?;
        }
        Ok(())
    }

    pub fn has_all(&self, bodies: &[String]) -> bool {
        let received: HashSet<&String> = self.received.iter().collect();
        bodies.iter().all(|body| received.contains(body))
    }

    pub async fn stop(self) -> Result<(), Failure> {
        Ok(self.client.shutdown().await?)
    }
}

pub fn body_of(message: &MessageView) -> String {
    String::from_utf8_lossy(message.body()).into_owned()
}
