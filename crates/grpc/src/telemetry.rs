//! The stream of settings and commands between a client and us.
//!
//! ```text
//! client -> Settings            <- Settings, with our word in them
//!                               <- RecoverOrphanedTransaction, ReconnectEndpoints
//! client -> EndTransaction (a call of its own)
//! ```
//! Whoever has something for the client writes into a bounded buffer.
//! Facts: `ClientActivity` of RocketMQ 5.5: refused settings end the stream, with INVALID_ARGUMENT
//! for the client's mistakes and INTERNAL for ours. Who may not call is told so by a command that has nothing but
//! a status, and then the stream ends well (`GrpcMessagingApplication`).

use std::sync::Arc;

use bytes::BytesMut;
use futures::FutureExt as _;
use futures::future::{BoxFuture, Fuse};
use model::membership::{Heartbeat, MemberError};
use model::{GroupConfig, Notice, Session};
use tokio::sync::mpsc;
use tracing::{debug, info};

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::clients::{Client, Registration};
use crate::convert::inflate::Bodies;
use crate::convert::outbound;
use crate::limits::TELEMETRY_BUFFER;
use crate::metrics::Rpc;
use crate::proto::telemetry_command::Command;
use crate::proto::{
    ClientType, Code, NotifyUnsubscribeLiteCommand, ReconnectEndpointsCommand,
    RecoverOrphanedTransactionCommand, Settings, TelemetryCommand,
};
use crate::reports;
use crate::settings::{self, ClientSettings, Role};
use crate::streams::{Outgoing, Stream};
use crate::wire::framing;
use crate::wire::inbound::Inbound;
use crate::wire::reply::{Reply, Work};

/// Talks with the client for as long as both want to. The client is let know at once that it is
/// heard.
pub(crate) fn open(call: Call, inbound: Inbound) -> Work {
    let (commands, waiting) = mpsc::channel(TELEMETRY_BUFFER);
    let reading: BoxFuture<'static, ()> = Box::pin(read(call, inbound, Stream::new(commands)));
    let talk = Talk { reading: reading.fuse(), waiting };
    Box::pin(std::future::ready(Reply::More(BytesMut::new(), talk.next())))
}

struct Talk {
    reading: Fuse<BoxFuture<'static, ()>>,
    /// Ends when nobody can reach the client by this stream any more.
    waiting: mpsc::Receiver<Outgoing>,
}

impl Talk {
    /// What the client is told next.
    fn next(mut self) -> Work {
        Box::pin(async move {
            let next = loop {
                tokio::select! {
                    biased;
                    next = self.waiting.recv() => break next,
                    () = &mut self.reading => {}
                }
            };
            match next {
                Some(Ok(command)) => {
                    let mut bytes = BytesMut::new();
                    framing::put(&mut bytes, &command);
                    Reply::More(bytes, self.next())
                }
                Some(Err(status)) => Reply::End(Some(status)),
                None => Reply::End(None),
            }
        })
    }
}

/// A stream among those of its client, until it is dropped.
struct Entered<'a> {
    call: &'a Call,
    stream: Stream,
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if let Some(client) = self.call.node.clients.get(&self.call.client_id) {
            client.streams.leave(self.stream.id);
        }
    }
}

async fn read(call: Call, mut inbound: Inbound, stream: Stream) {
    let entered = Entered { call: &call, stream };
    let stream = &entered.stream;
    loop {
        let message = tokio::select! {
            message = inbound.message() => message,
            () = stream.end.cancelled() => break,
            // No word to reconnect: clients would do so at once, while nobody listens, and Node's
            // falls over that. The end of the stream brings them all back in their own time.
            () = call.connection.drain.requested() => break,
        };
        let command = match message {
            Ok(Some(command)) => command,
            Ok(None) => break,
            Err(status) => {
                debug!(client = %call.client_id, %status, "a telemetry stream broke off");
                break;
            }
        };
        if let Err(refusal) = take(&call, stream, command).await {
            call.node.metrics.answered(Rpc::Telemetry, refusal.code.into());
            // The buffer may be full; then the stream ends without a word.
            let _ = stream.commands.try_send(last_word(refusal));
            break;
        }
    }
}

/// What a client is told whose stream does not begin or go on.
pub(crate) fn refused(refusal: Refusal) -> Reply {
    match last_word(refusal) {
        Ok(command) => Reply::message(&command),
        Err(status) => Reply::Refused(status),
    }
}

fn last_word(refusal: Refusal) -> Outgoing {
    if refusal.code == Code::Unauthorized {
        return Ok(TelemetryCommand { status: Some(refusal.into()), command: None });
    }
    Err(ended_by(&refusal))
}

fn ended_by(refusal: &Refusal) -> tonic::Status {
    let text = format!("process client telemetryCommand failed. {}", refusal.message);
    if (40_000..50_000).contains(&i32::from(refusal.code)) {
        tonic::Status::invalid_argument(text)
    } else {
        tonic::Status::internal(text)
    }
}

async fn take(call: &Call, stream: &Stream, command: TelemetryCommand) -> Result<(), Refusal> {
    match command.command {
        Some(Command::Settings(settings)) => {
            let settings = take_settings(call, stream, settings).await?;
            stream.send(TelemetryCommand {
                status: Some(answer::ok()),
                command: Some(Command::Settings(settings)),
            });
            call.node.metrics.answered(Rpc::Telemetry, Code::Ok.into());
        }
        Some(Command::ThreadStackTrace(_) | Command::VerifyMessageResult(_)) => {
            debug!(client = %call.client_id, "a report came that nobody asked for");
        }
        // Ours to send, or of a later protocol.
        Some(_) | None => {}
    }
    Ok(())
}

/// Registers the client, here and at the engine; answers the settings that it is to use.
async fn take_settings(call: &Call, stream: &Stream, said: Settings) -> Result<Settings, Refusal> {
    let node = &call.node;
    let settings = settings::parse(&said, node.now_ms())?;
    let advertised = call.advertised(said.access_point.as_ref());
    let before = node.clients.get(&call.client_id).map(|client| client.settings());
    let registration = Registration {
        id: call.client_id.clone(),
        caller: Session { advertised, ..(*call.session).clone() },
        settings,
        now_ms: node.monotonic_ms(),
    };
    let client = node.clients.register(registration).map_err(|_| {
        let text = format!("too many clients: at most {}", node.config.clients_max);
        Refusal::new(Code::TooManyRequests, text)
    })?;
    client.streams.enter(stream);
    node.metrics.clients(node.clients.len());
    // A group that cannot be made, or a filter that does not parse, is told to the calls that need it.
    let beaten = node.engine.heartbeat(&client.session(), beat(call, &client.settings())).await;
    if let Err(error) = beaten {
        if matches!(error, MemberError::Denied(_)) {
            take_back(call, &client, before);
            return Err(error.into());
        }
        debug!(client = %call.client_id, %error, "the engine does not take the client's settings");
    }
    let group = group_config(call, &client).await;
    check_lite(said.client_type(), group.as_deref())?;
    let reports = node.config.client_metrics && reports::is_understood(call.language());
    let metrics_at = reports.then(|| call.advertised(said.access_point.as_ref()));
    Ok(settings::merge(said, group.as_deref(), metrics_at.as_ref(), &node.config))
}

/// Settings that are denied change nothing: later calls would be judged by them.
fn take_back(call: &Call, client: &Client, before: Option<Arc<ClientSettings>>) {
    match before {
        Some(settings) => client.put_settings(settings),
        None => drop(call.node.clients.remove(&call.client_id)),
    }
}

/// A group that is bound to a parent of lite topics has lite clients only, and no other has them.
fn check_lite(kind: ClientType, group: Option<&GroupConfig>) -> Result<(), Refusal> {
    let is_lite = matches!(kind, ClientType::LitePushConsumer | ClientType::LiteSimpleConsumer);
    let refuse = |text: String| Err(Refusal::new(Code::IllegalConsumerGroup, text));
    match group {
        Some(group) if is_lite && group.lite_parent().is_none() => {
            refuse(format!("regular group cannot use LITE mode: {}", group.name))
        }
        Some(group) if !is_lite && group.lite_parent().is_some() => {
            refuse(format!("lite group must use LITE mode: {}", group.name))
        }
        _ => Ok(()),
    }
}

async fn group_config(call: &Call, client: &Arc<Client>) -> Option<Arc<GroupConfig>> {
    let settings = client.settings();
    let group = settings.role.group()?;
    let node = &call.node;
    match node.groups.look_up(&*node.engine, group, node.now_ms()).await {
        Ok(config) => config,
        Err(error) => {
            info!(%group, %error, "the configuration of a group cannot be read: its client is told the defaults");
            None
        }
    }
}

/// A sign of life with all that the client said in its settings.
pub(crate) fn beat(call: &Call, settings: &ClientSettings) -> Heartbeat {
    let (producers, consumers) = match &settings.role {
        Role::Producer { groups } => (groups.clone(), Vec::new()),
        Role::Consumer(beat) => (Vec::new(), vec![beat.clone()]),
        Role::Unsaid => (Vec::new(), Vec::new()),
    };
    Heartbeat {
        client_id: call.client_id.as_ref().to_owned(),
        language: call.language().to_owned(),
        version: call.version_number(),
        producers,
        consumers,
        with_subscriptions: true,
    }
}

fn reconnect() -> Command {
    Command::ReconnectEndpointsCommand(ReconnectEndpointsCommand { nonce: "go-away".to_owned() })
}

/// What a notice is on this wire; `None`: nothing, the server balances and keeps the progress.
pub(crate) fn command_of(notice: Notice) -> Option<Command> {
    match notice {
        Notice::CheckTransaction { message, .. } => {
            let transaction_id = message.offset_id();
            let message = outbound::message(&message, message.topic(), Bodies::AsStored);
            let command = RecoverOrphanedTransactionCommand { message: Some(message), transaction_id };
            Some(Command::RecoverOrphanedTransactionCommand(command))
        }
        Notice::LiteTaken { lite_topic, .. } => {
            Some(Command::NotifyUnsubscribeLiteCommand(NotifyUnsubscribeLiteCommand { lite_topic }))
        }
        Notice::GoAway => Some(reconnect()),
        _ => None,
    }
}
