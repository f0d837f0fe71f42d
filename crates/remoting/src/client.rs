//! A small client of the protocol, for tools and tests: requests over one connection, matched
//! with their answers. It does not balance, retry or follow routes.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use base::Doors;
use bytes::{Bytes, BytesMut};
use model::batch;
use net::ByteStream;
use parking_lot::Mutex;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::{mpsc, oneshot};

use crate::code::{request, response};
use crate::frame::{self, Body, Command, FLAG_ONEWAY, FrameError};
use crate::header::Fields;
pub use crate::signature::Signer;

/// Requests that wait to be written.
const QUEUE_MAX: usize = 1_024;
const READ_BYTES: usize = 64 * 1024;

#[derive(Debug, Error)]
pub enum ClientError {
    #[error("cannot connect to {address}: {source}")]
    Connect { address: SocketAddr, source: io::Error },
    #[error("the connection is closed")]
    Closed,
    #[error("the server refused: code {code}, {remark}")]
    Refused { code: i32, remark: String },
    #[error("the answer is malformed: {0}")]
    Malformed(String),
    #[error("the batch cannot be encoded: a message is too large")]
    TooLarge,
}

type Waiting = Arc<Mutex<Option<HashMap<i32, oneshot::Sender<Command>>>>>;

/// One connection. Cheap to clone; requests of all clones share it.
#[derive(Clone)]
pub struct Client {
    queue: mpsc::Sender<Command>,
    /// `None` once the connection is closed.
    waiting: Waiting,
    next: Arc<AtomicI32>,
    signer: Option<Signer>,
}

/// A message to send.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    pub body: Bytes,
    /// Encoded: `key \u{1} value \u{2}` repeated.
    pub properties: String,
}

/// Where a message was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    pub message_ids: Vec<String>,
    pub queue: i32,
    pub offset: i64,
}

/// What a pull brought. `code` is 0 (found), 19 (at the end), 20 (none matched) or 21 (moved).
#[derive(Debug, Clone)]
pub struct Pulled {
    pub code: i32,
    pub next: i64,
    pub min: i64,
    pub max: i64,
    pub messages: Vec<model::StoredMessage>,
}

/// A read of one queue.
#[derive(Debug, Clone)]
pub struct Pull<'a> {
    pub group: &'a str,
    pub topic: &'a str,
    pub queue: u32,
    pub offset: i64,
    pub max_messages: u32,
    /// `*` for everything.
    pub expression: &'a str,
    /// How long the server may hold the request; 0 answers at once.
    pub wait_ms: u64,
}

impl Client {
    /// Connects over TCP.
    ///
    /// # Errors
    /// If nobody listens there.
    pub async fn connect(doors: &Doors, address: SocketAddr) -> Result<Self, ClientError> {
        let connected = doors.net.connect(address).await;
        let connection = connected.map_err(|source| ClientError::Connect { address, source })?;
        Ok(Self::over(doors, connection))
    }

    /// Speaks over a stream that is there already.
    #[must_use]
    pub fn over(doors: &Doors, stream: impl ByteStream) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        let (queue, requests) = mpsc::channel(QUEUE_MAX);
        let waiting: Waiting = Arc::new(Mutex::new(Some(HashMap::new())));
        doors.spawn.spawn("remoting-client-read", Box::pin(read(reader, Arc::clone(&waiting))));
        doors.spawn.spawn("remoting-client-write", Box::pin(write(writer, requests, Arc::clone(&waiting))));
        Self { queue, waiting, next: Arc::new(AtomicI32::new(1)), signer: None }
    }

    /// Signs every request, if there is a signer.
    #[must_use]
    pub fn signing_as(self, signer: Option<Signer>) -> Self {
        Self { signer, ..self }
    }

    fn signed(&self, command: Command) -> Command {
        match &self.signer {
            Some(signer) => signer.sign(command),
            None => command,
        }
    }

    /// Sends a request and waits for its answer, whatever its code.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn request(&self, code: i32, fields: Fields, body: Body) -> Result<Command, ClientError> {
        let opaque = self.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let (sender, answer) = oneshot::channel();
        match self.waiting.lock().as_mut() {
            Some(waiting) => drop(waiting.insert(opaque, sender)),
            None => return Err(ClientError::Closed),
        }
        let command = self.signed(Command { opaque, ..Command::request(code, fields, body) });
        self.queue.send(command).await.map_err(|_| ClientError::Closed)?;
        answer.await.map_err(|_| ClientError::Closed)
    }

    /// As [`Self::request`], but an error code is an error.
    ///
    /// # Errors
    /// If the connection is closed or the server refuses.
    pub async fn call(&self, code: i32, fields: Fields, body: Body) -> Result<Command, ClientError> {
        let answer = self.request(code, fields, body).await?;
        if answer.code == response::SUCCESS { Ok(answer) } else { Err(refused(answer)) }
    }

    /// Sends a request that gets no answer.
    ///
    /// # Errors
    /// If the connection is closed.
    pub async fn oneway(&self, code: i32, fields: Fields, body: Body) -> Result<(), ClientError> {
        let opaque = self.next.fetch_add(1, Ordering::Relaxed) & i32::MAX;
        let command =
            self.signed(Command { opaque, flag: FLAG_ONEWAY, ..Command::request(code, fields, body) });
        self.queue.send(command).await.map_err(|_| ClientError::Closed)
    }

    /// Sends one message; a negative queue lets the server choose.
    ///
    /// # Errors
    /// If the connection is closed or the server refuses.
    pub async fn send(&self, topic: &str, queue: i32, message: Outgoing) -> Result<Sent, ClientError> {
        let fields = send_fields(topic, queue, &message.properties, false);
        sent(&self.call(request::SEND_MESSAGE_V2, fields, message.body.into()).await?)
    }

    /// Sends several messages of one topic together.
    ///
    /// # Errors
    /// If the connection is closed or the server refuses.
    pub async fn send_batch(
        &self,
        topic: &str,
        queue: i32,
        messages: &[Outgoing],
    ) -> Result<Sent, ClientError> {
        let mut body = Vec::new();
        for message in messages {
            batch::encode(&mut body, &message.body, &message.properties, 0).ok_or(ClientError::TooLarge)?;
        }
        let fields = send_fields(topic, queue, "", true);
        sent(&self.call(request::SEND_BATCH_MESSAGE, fields, body.into()).await?)
    }

    /// Reads a queue.
    ///
    /// # Errors
    /// If the connection is closed or the server refuses.
    pub async fn pull(&self, pull: &Pull<'_>) -> Result<Pulled, ClientError> {
        let suspend = if pull.wait_ms > 0 { 2 } else { 0 };
        let fields = Fields::new()
            .with("consumerGroup", pull.group)
            .with("topic", pull.topic)
            .with("queueId", pull.queue)
            .with("queueOffset", pull.offset)
            .with("maxMsgNums", pull.max_messages)
            .with("sysFlag", 4 | suspend)
            .with("commitOffset", 0)
            .with("suspendTimeoutMillis", pull.wait_ms)
            .with("subscription", pull.expression)
            .with("subVersion", 0)
            .with("expressionType", "TAG");
        let answer = self.request(request::PULL_MESSAGE, fields, Body::default()).await?;
        if !matches!(answer.code, 0 | 19..=21) {
            return Err(refused(answer));
        }
        Ok(Pulled {
            code: answer.code,
            next: number(&answer, "nextBeginOffset")?,
            min: number(&answer, "minOffset")?,
            max: number(&answer, "maxOffset")?,
            messages: messages(&answer.body.bytes())?,
        })
    }

    /// The first offset that no message has yet.
    ///
    /// # Errors
    /// If the connection is closed or the server refuses.
    pub async fn max_offset(&self, topic: &str, queue: u32) -> Result<i64, ClientError> {
        let fields = Fields::new().with("topic", topic).with("queueId", queue);
        number(&self.call(request::GET_MAX_OFFSET, fields, Body::default()).await?, "offset")
    }

    /// How far a group has come; `None` if it has not started.
    ///
    /// # Errors
    /// If the connection is closed or the server refuses.
    pub async fn query_offset(
        &self,
        group: &str,
        topic: &str,
        queue: u32,
    ) -> Result<Option<i64>, ClientError> {
        let fields = Fields::new().with("consumerGroup", group).with("topic", topic).with("queueId", queue);
        let answer = self.request(request::QUERY_CONSUMER_OFFSET, fields, Body::default()).await?;
        match answer.code {
            response::SUCCESS => number(&answer, "offset").map(Some),
            response::QUERY_NOT_FOUND => Ok(None),
            _ => Err(refused(answer)),
        }
    }

    /// Says how far a group has come, and waits until that is kept.
    ///
    /// # Errors
    /// If the connection is closed or the server refuses.
    pub async fn update_offset(
        &self,
        group: &str,
        topic: &str,
        queue: u32,
        offset: i64,
    ) -> Result<(), ClientError> {
        let fields = Fields::new()
            .with("consumerGroup", group)
            .with("topic", topic)
            .with("queueId", queue)
            .with("commitOffset", offset);
        self.call(request::UPDATE_CONSUMER_OFFSET, fields, Body::default()).await.map(drop)
    }
}

fn send_fields(topic: &str, queue: i32, properties: &str, is_batch: bool) -> Fields {
    Fields::new()
        .with("a", "apogee-client")
        .with("b", topic)
        .with("c", model::names::AUTO_CREATE_TOPIC)
        .with("d", 4)
        .with("e", queue)
        .with("f", 0)
        .with("h", 0)
        .with("i", properties)
        .with("j", 0)
        .with("m", is_batch)
}

fn refused(answer: Command) -> ClientError {
    ClientError::Refused { code: answer.code, remark: answer.remark.unwrap_or_default() }
}

fn number<T: std::str::FromStr>(answer: &Command, field: &'static str) -> Result<T, ClientError> {
    answer.fields.parse(field).map_err(|failure| ClientError::Malformed(failure.remark))
}

fn sent(answer: &Command) -> Result<Sent, ClientError> {
    let ids = answer.fields.get("msgId").unwrap_or_default();
    Ok(Sent {
        message_ids: ids.split(',').map(str::to_owned).collect(),
        queue: number(answer, "queueId")?,
        offset: number(answer, "queueOffset")?,
    })
}

/// Takes a body of stored messages apart.
///
/// # Errors
/// If it is no sequence of messages.
pub fn messages(body: &Bytes) -> Result<Vec<model::StoredMessage>, ClientError> {
    let mut rest = body.clone();
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let length = rest.get(..4).and_then(|bytes| <[u8; 4]>::try_from(bytes).ok()).map(u32::from_be_bytes);
        let length = length.map(|n| n as usize).filter(|n| (4..=rest.len()).contains(n));
        let length = length.ok_or_else(|| ClientError::Malformed("a message is cut off".to_owned()))?;
        let message = model::StoredMessage::parse(rest.split_to(length));
        messages.push(message.map_err(|error| ClientError::Malformed(error.to_string()))?);
    }
    Ok(messages)
}

async fn read(mut reader: ReadHalf<impl ByteStream>, waiting: Waiting) {
    let mut inbox = BytesMut::new();
    let outcome = read_all(&mut reader, &mut inbox, &waiting).await;
    // Dropping the senders tells all that wait.
    waiting.lock().take();
    if let Err(error) = outcome {
        tracing::debug!(%error, "the connection of a client is lost");
    }
}

async fn read_all(
    reader: &mut ReadHalf<impl ByteStream>,
    inbox: &mut BytesMut,
    waiting: &Waiting,
) -> Result<(), FrameError> {
    loop {
        while let Some(command) = frame::decode(inbox)? {
            // What the server asks unasked is of no interest to a tool.
            if command.is_response()
                && let Some(sender) =
                    waiting.lock().as_mut().and_then(|waiting| waiting.remove(&command.opaque))
            {
                let _ = sender.send(command);
            }
        }
        inbox.reserve(READ_BYTES);
        match reader.read_buf(inbox).await {
            Ok(0) | Err(_) => return Ok(()),
            Ok(_) => {}
        }
    }
}

async fn write(
    mut writer: WriteHalf<impl ByteStream>,
    mut requests: mpsc::Receiver<Command>,
    waiting: Waiting,
) {
    let mut out = BytesMut::new();
    while let Some(command) = requests.recv().await {
        frame::encode(&command, &mut out);
        while out.len() < READ_BYTES
            && let Ok(command) = requests.try_recv()
        {
            frame::encode(&command, &mut out);
        }
        if writer.write_all(&out).await.is_err() {
            break;
        }
        out.clear();
    }
    // All clones are gone, or the other side is: nothing more will be answered.
    let _ = writer.shutdown().await;
    waiting.lock().take();
}
