//! `ReceiveMessage`: messages are handed out, or waited for.
//!
//! ```text
//! status, message*, delivery_timestamp     always in this order, the last always there
//! ```
//! Facts: `ReceiveMessageActivity`, `ReceiveMessageResponseStreamWriter`,
//! `PopMessageResultFilterImpl` of RocketMQ 5.5. A message that cannot be written, because the
//! client has gone meanwhile, is given back at once: that is [`Answering`]'s `drop`.

use std::collections::VecDeque;
use std::sync::Arc;

use base::Share;
use model::group::OrderBy;
use model::verbs::{Receive, Received, Settle, StartFrom};
use model::{Delivery, Filter, GroupConfig, GroupName, Receipt, StoredMessage, TopicName, properties};
use tracing::debug;

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::convert::inflate::Bodies;
use crate::convert::names::filter;
use crate::convert::outbound;
use crate::convert::time::{of_ms, span_to_ms};
use crate::node::Node;
use crate::proto::receive_message_response::Content;
use crate::proto::{Code, ReceiveMessageRequest, ReceiveMessageResponse, Status};
use crate::renew::{Event, HandedOut, driver};
use crate::settings::attempts_max;
use crate::validate;

/// Clients before this version know no code for a deadline that leaves no time to wait.
const POLLING_TIME_CODE_SINCE: &str = "5.0.3";

pub(crate) async fn receive(mut call: Call, request: ReceiveMessageRequest) -> Answering {
    if request.auto_renew {
        call.make_known();
    }
    let call = Arc::new(call);
    match try_receive(&call, &request).await {
        Ok((topic, received)) => Answering::found(call, topic, received),
        Err(refusal) => Answering::none(&call.node, refusal.into()),
    }
}

async fn try_receive(
    call: &Arc<Call>,
    request: &ReceiveMessageRequest,
) -> Result<(TopicName, Received), Refusal> {
    let wait_ms = wait_ms(call, request)?;
    let topic = validate::topic(request.message_queue.as_ref().and_then(|queue| queue.topic.as_ref()))?;
    let group = validate::group(request.group.as_ref())?;
    let invisible_ms = invisible_ms(call, request)?;
    let filter = filter(request.filter_expression.as_ref());
    let receive = Receive {
        group: group.clone(),
        topic: topic.clone(),
        // Clients name queues as they balance them; the engine hands out message by message.
        queue: None,
        filter: filter.clone(),
        max_messages: batch_size(request.batch_size)?,
        invisible_ms,
        wait_ms,
        attempt_id: request.attempt_id.clone().filter(|id| !id.is_empty()),
        ordered: None,
        start: StartFrom::Last,
        client_id: call.client_id.as_ref().to_owned(),
    };
    let drain = call.connection.drain.clone();
    let mut received = tokio::select! {
        received = call.node.engine.receive(&call.session, receive) => received?,
        () = drain.requested() => return Err(nothing("the server is going away")),
    };
    if !received.deliveries.is_empty() {
        let mut unanswered = Unanswered { call, deliveries: std::mem::take(&mut received.deliveries) };
        let config = config(call, &group).await;
        screen(call, &mut unanswered.deliveries, &filter, config.as_deref()).await;
        received.deliveries = std::mem::take(&mut unanswered.deliveries);
        if request.auto_renew {
            renew_from_now_on(call, &received.deliveries, config.as_deref());
        }
    }
    Ok((topic, received))
}

/// What was handed out and is not in an answer yet: given back if the call is dropped.
struct Unanswered<'a> {
    call: &'a Arc<Call>,
    deliveries: Vec<Delivery>,
}

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        if !self.deliveries.is_empty() {
            give_back_later(self.call, std::mem::take(&mut self.deliveries));
        }
    }
}

fn nothing(why: &str) -> Refusal {
    Refusal::new(Code::MessageNotFound, why)
}

/// More than the limit asked for is no mistake: an answer may always hold fewer.
fn batch_size(asked: i32) -> Result<u32, Refusal> {
    match u32::try_from(asked) {
        Ok(size) if size > 0 => Ok(size.min(model::limits::RECEIVE_MESSAGES_MAX)),
        _ => Err(Refusal::new(Code::BadRequest, format!("asked for {asked} messages, the least is 1"))),
    }
}

fn invisible_ms(call: &Call, request: &ReceiveMessageRequest) -> Result<i64, Refusal> {
    if request.auto_renew {
        return Ok(call.node.config.renewed_invisible_ms);
    }
    let asked_ms = request.invisible_duration.as_ref().map_or(0, span_to_ms);
    validate::invisible_ms(asked_ms, model::limits::INVISIBLE_MS_MIN)
}

/// How long to wait for a first message, within our bounds and before the client gives up.
fn wait_ms(call: &Call, request: &ReceiveMessageRequest) -> Result<i64, Refusal> {
    let config = &call.node.config;
    let remaining_ms = call.remaining_ms();
    let asked_ms = match &request.long_polling_timeout {
        Some(timeout) => span_to_ms(timeout),
        None => {
            let request_timeout_ms =
                call.client.as_ref().map_or(0, |client| client.settings().request_timeout_ms);
            remaining_ms.saturating_sub(request_timeout_ms / 2)
        }
    };
    let wait_ms =
        asked_ms.clamp(config.long_poll_min_ms, config.long_poll_max_ms.max(config.long_poll_min_ms));
    if wait_ms <= remaining_ms {
        return Ok(wait_ms);
    }
    if remaining_ms >= config.long_poll_min_ms {
        return Ok(remaining_ms);
    }
    let knows_the_code = call.client_version().is_some_and(|version| version >= POLLING_TIME_CODE_SINCE);
    let code = if knows_the_code { Code::IllegalPollingTime } else { Code::BadRequest };
    let text = format!(
        "the deadline leaves {remaining_ms} ms to wait for messages, the least is {} ms",
        config.long_poll_min_ms
    );
    Err(Refusal::new(code, text))
}

async fn config(call: &Call, group: &GroupName) -> Option<Arc<GroupConfig>> {
    let node = &call.node;
    match node.groups.get(&*node.engine, group, node.now_ms()).await {
        Ok(config) => config,
        Err(error) => {
            debug!(%group, %error, "the configuration of a group cannot be read: the defaults apply");
            None
        }
    }
}

/// Takes out what the client must not see: another tag with the same hash (done with), and what
/// was delivered too often (a dead letter).
async fn screen(call: &Call, deliveries: &mut Vec<Delivery>, filter: &Filter, config: Option<&GroupConfig>) {
    let tags = filter.tags();
    let attempts_max = attempts_max(config);
    let wanted = |delivery: &Delivery| {
        let Some(tags) = &tags else { return true };
        delivery.message.property(properties::TAGS).is_some_and(|tag| tags.contains(&tag.trim()))
    };
    if deliveries.iter().all(|delivery| delivery.attempt <= attempts_max && wanted(delivery)) {
        return;
    }
    let mut unwanted = Vec::new();
    let mut dead = Vec::new();
    for delivery in std::mem::take(deliveries) {
        if !wanted(&delivery) {
            unwanted.push(delivery.receipt);
        } else if delivery.attempt > attempts_max {
            dead.push(delivery);
        } else {
            deliveries.push(delivery);
        }
    }
    if !unwanted.is_empty() {
        for error in call.node.engine.ack(&call.session, unwanted).await.into_iter().filter_map(Result::err) {
            debug!(%error, "a message of another tag could not be passed over");
        }
    }
    for Delivery { receipt, message, .. } in dead {
        let queue = receipt.queue;
        let settle = Settle::DeadLetter { receipt, max_attempts: Some(attempts_max) };
        if let Err(error) = call.node.engine.settle(&call.session, settle).await {
            debug!(%error, "a message that was delivered too often could not be made a dead letter");
            if let Some(config) = config.filter(|config| config.ordered) {
                // It comes again; what must not overtake it stays hidden until then.
                let waits = |other: &Delivery| match config.order_by() {
                    OrderBy::Key => {
                        let key = |message: &StoredMessage| {
                            message.property(properties::SHARDING_KEY).map(str::to_owned)
                        };
                        key(&other.message) == key(&message)
                    }
                    OrderBy::Queue => other.receipt.queue == queue,
                };
                deliveries.retain(|other| !waits(other));
            }
        }
    }
}

fn renew_from_now_on(call: &Call, deliveries: &[Delivery], config: Option<&GroupConfig>) {
    let Some(client) = &call.client else { return };
    let policy = config.map(|config| config.retry_policy.clone()).unwrap_or_default();
    let handed_out = deliveries
        .iter()
        .map(|delivery| HandedOut {
            receipt: delivery.receipt.clone(),
            retry_ms: policy.delay_ms(delivery.attempt.saturating_sub(1)),
        })
        .collect();
    client.renewals.lock().step(call.node.now_ms(), Event::Delivered(handed_out));
}

/// The answer, as far as it has not been written.
pub(crate) struct Answering {
    /// Who gets messages; `None`: there are none to get.
    call: Option<Arc<Call>>,
    status: Option<Status>,
    topic: Option<TopicName>,
    deliveries: VecDeque<Delivery>,
    delivered_ms: Option<i64>,
    code: i32,
    bodies: Bodies,
    /// Of the bytes that clients have not taken; held until the answer is.
    _share: Option<Share>,
}

impl Answering {
    fn found(call: Arc<Call>, topic: TopicName, received: Received) -> Self {
        if received.deliveries.is_empty() {
            return Self::none(&call.node, nothing("no new message").into());
        }
        let bytes = received.deliveries.iter().map(|delivery| delivery.message.bytes().len()).sum();
        let Some(share) = call.node.outgoing.take(bytes) else {
            let text = format!("clients have yet to take {} bytes of messages", call.node.outgoing.max());
            give_back_later(&call, received.deliveries);
            return Self::none(&call.node, Refusal::new(Code::TooManyRequests, text).into());
        };
        let status = answer::ok();
        Self {
            bodies: Bodies::of_language(call.language()),
            _share: Some(share),
            code: status.code,
            call: Some(call),
            status: Some(status),
            topic: Some(topic),
            deliveries: received.deliveries.into(),
            delivered_ms: Some(received.delivered_ms),
        }
    }

    pub(crate) fn none(node: &Node, status: Status) -> Self {
        let delivered_ms = Some(node.now_ms());
        let code = status.code;
        Self {
            call: None,
            code,
            status: Some(status),
            topic: None,
            deliveries: VecDeque::new(),
            delivered_ms,
            bodies: Bodies::AsStored,
            _share: None,
        }
    }

    pub(crate) const fn code(&self) -> i32 {
        self.code
    }

    fn next_content(&mut self) -> Option<Content> {
        if let Some(status) = self.status.take() {
            return Some(Content::Status(status));
        }
        if let Some(delivery) = self.deliveries.pop_front() {
            let topic = self.topic.as_ref().map_or("", TopicName::as_str);
            return Some(Content::Message(outbound::delivery(&delivery, topic, self.bodies)));
        }
        self.delivered_ms.take().map(|ms| Content::DeliveryTimestamp(of_ms(ms)))
    }
}

impl Iterator for Answering {
    type Item = ReceiveMessageResponse;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_content().map(|content| ReceiveMessageResponse { content: Some(content) })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(call) = self.call.as_ref().filter(|_| !self.deliveries.is_empty()) {
            give_back_later(call, std::mem::take(&mut self.deliveries));
        }
    }
}

fn give_back_later(call: &Arc<Call>, deliveries: impl IntoIterator<Item = Delivery>) {
    let receipts = deliveries.into_iter().map(|delivery| delivery.receipt).collect();
    call.node.spawn("grpc-give-back", Box::pin(give_back(call.clone(), receipts)));
}

async fn give_back(call: Arc<Call>, receipts: Vec<Receipt>) {
    for receipt in receipts {
        let newest = driver::newest(call.client.as_ref(), receipt).await;
        call.node.metrics.released();
        driver::release(&call.node, &call.session, newest, call.node.config.lost_invisible_ms).await;
    }
}
