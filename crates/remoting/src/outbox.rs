//! What the server sends a client unasked: notices, and requests that the client answers.
//!
//! One outbox per connection. It never blocks: what does not fit into its bounded queue is
//! dropped, and the caller is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::time::Duration;

use base::Clock;
use model::{Notice, NoticeSink, StoredMessage, properties};
use tokio::sync::{mpsc, oneshot};

use crate::code::{self, push};
use crate::frame::{Body, Command, FLAG_ONEWAY};
use crate::header::Fields;
use crate::limits::{CALL_TIMEOUT_MS, NOTICES_WAITING_MAX};

/// Where half messages are said to lie.
const HALF_TOPIC: &str = "RMQ_SYS_TRANS_HALF_TOPIC";

/// Something for the connection's driver to send.
#[derive(Debug)]
pub(crate) enum Push {
    /// Wants no answer.
    Tell(Command),
    /// The answer goes to the sender's other end.
    Ask(Command, oneshot::Sender<Command>),
}

/// Reaches one client. The driver holds the other end.
pub(crate) struct Outbox {
    queue: mpsc::Sender<Push>,
    /// Highest version that a request on this connection carried.
    peer_version: AtomicI32,
    clock: Arc<dyn Clock>,
}

impl Outbox {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> (Arc<Self>, mpsc::Receiver<Push>) {
        let (queue, receiver) = mpsc::channel(NOTICES_WAITING_MAX);
        (Arc::new(Self { queue, peer_version: AtomicI32::new(0), clock }), receiver)
    }

    pub(crate) fn saw_version(&self, version: i32) {
        self.peer_version.fetch_max(version, Ordering::Relaxed);
    }

    pub(crate) fn understands_go_away(&self) -> bool {
        self.peer_version.load(Ordering::Relaxed) > code::VERSION_LAST_WITHOUT_GO_AWAY
    }

    fn tell(&self, mut command: Command) -> bool {
        command.flag |= FLAG_ONEWAY;
        self.queue.try_send(Push::Tell(command)).is_ok()
    }

    /// Asks the client and waits for its answer; `None` if there is none in time.
    pub(crate) async fn ask(&self, command: Command) -> Option<Command> {
        let (sender, answer) = oneshot::channel();
        self.queue.try_send(Push::Ask(command, sender)).ok()?;
        let deadline = self.clock.sleep(Duration::from_millis(CALL_TIMEOUT_MS));
        tokio::select! {
            answer = answer => answer.ok(),
            () = deadline => None,
        }
    }
}

impl NoticeSink for Outbox {
    fn notify(&self, notice: Notice) -> bool {
        match notice {
            Notice::MembersChanged { group } => {
                let fields = Fields::new().with("consumerGroup", group);
                self.tell(Command::request(push::NOTIFY_CONSUMER_IDS_CHANGED, fields, Body::default()))
            }
            Notice::CheckTransaction { message, producer_group: _, transaction_id } => {
                self.tell(check_transaction(&message, &transaction_id))
            }
            Notice::Reply { message } => self.tell(reply(&message)),
            // Clients hear of both by the answer to their next request: "offset moved", "go away".
            // (The push of new offsets, code 220, would stop a Java consumer for ten seconds.)
            Notice::LiteTaken { group, lite_topic, client_id, .. } => {
                let fields = Fields::new()
                    .with("consumerGroup", group)
                    .with("liteTopic", lite_topic)
                    .with("clientId", client_id);
                self.tell(Command::request(push::NOTIFY_UNSUBSCRIBE_LITE, fields, Body::default()))
            }
            Notice::OffsetsReset { .. } | Notice::GoAway => true,
            _ => false,
        }
    }
}

/// The client finds its producer by the message's own `PGROUP`.
fn check_transaction(message: &StoredMessage, transaction_id: &str) -> Command {
    let fields = Fields::new()
        .with("commitLogOffset", message.lsn())
        .with("msgId", message.property(properties::UNIQUE_ID).unwrap_or(transaction_id))
        .with("offsetMsgId", message.offset_id())
        // The message itself names its real topic.
        .with("topic", HALF_TOPIC)
        .with("tranStateTableOffset", message.offset())
        .with("transactionId", transaction_id);
    Command::request(push::CHECK_TRANSACTION_STATE, fields, message.bytes().clone().into())
}

fn reply(message: &StoredMessage) -> Command {
    let fields = Fields::new()
        .with("bornHost", message.born_host())
        .with("bornTimestamp", message.born_ms())
        .with("defaultTopic", message.topic())
        .with("defaultTopicQueueNums", 1)
        .with("flag", message.flag())
        .with("producerGroup", message.property(properties::PRODUCER_GROUP).unwrap_or("DEFAULT_PRODUCER"))
        .with("properties", message.properties())
        .with("queueId", message.queue())
        .with("reconsumeTimes", message.reconsume_times())
        .with("storeHost", message.store_host())
        .with("storeTimestamp", message.stored_ms())
        .with("sysFlag", message.system_flags())
        .with("topic", message.topic())
        .with("unitMode", false);
    Command::request(push::PUSH_REPLY_MESSAGE_TO_CLIENT, fields, message.body().into())
}
