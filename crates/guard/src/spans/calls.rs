//! Which spans each verb makes.

use model::properties::Pairs;
use model::verbs::{AckError, Fetched, HideWhy, Publish, PublishError, Published, Received, SettleError};
use model::{DeliveryKey, GroupName, Kinded, NewMessage, Receipt, Session, StoredMessage, TopicName};

use crate::metrics::kind_name;
use crate::spans::context::Context;
use crate::spans::span::{Span, SpanError, SpanKind};
use crate::spans::{Began, Tracer, ns_of_ms};

const SEND: (&str, &str) = ("send", "send");
const PUBLISH: (&str, &str) = ("publish", "send");
const RECEIVE: (&str, &str) = ("receive", "receive");
const PROCESS: (&str, &str) = ("process", "process");
const ACK: (&str, &str) = ("ack", "settle");
const DEAD_LETTER: (&str, &str) = ("dead_letter", "settle");

fn error_of(error: &(impl Kinded + ToString)) -> SpanError {
    SpanError::new(kind_name(error.kind()), &error.to_string())
}

/// Sampled messages that are being sent.
pub(crate) struct Sending {
    began: Began,
    count: usize,
    /// Place in the call; the producer's span and the node's, both without their ends.
    messages: Vec<(usize, Span, Span)>,
}

/// Sampled deliveries that are being ended.
pub(crate) struct Ending {
    began: Began,
    /// Place in the call, delivery, and the node's span of its end.
    deliveries: Vec<(usize, DeliveryKey, Span)>,
}

impl Tracer {
    /// To be asked before messages are sent; `None` if none of them is sampled.
    pub(crate) fn sending(&self, session: &Session, request: &Publish) -> Option<Box<Sending>> {
        if request.topic.is_system() {
            return None;
        }
        let mut messages = Vec::new();
        for (place, message) in request.messages.iter().enumerate() {
            if let Some(context) = self.context(message.properties.as_encoded()) {
                if context.parent.is_none() {
                    self.pace.begun();
                }
                let (producer, node) = self.of_sent(session, request, &context, message);
                messages.push((place, producer, node));
            }
        }
        (!messages.is_empty())
            .then(|| Box::new(Sending { began: self.begin(), count: request.messages.len(), messages }))
    }

    fn of_sent(
        &self,
        session: &Session,
        request: &Publish,
        context: &Context,
        message: &NewMessage,
    ) -> (Span, Span) {
        let pairs = message.properties.pairs();
        let body_bytes = message.body.len();
        let group = request.producer_group.as_ref().map(GroupName::as_str);
        let mut producer = Span::begin(context, context.producer, SEND, SpanKind::Producer, &request.topic)
            .with_session(session)
            .with_message(&pairs, body_bytes)
            .with_text("apogee.producer.group.name", group);
        producer.parent = context.parent;
        producer.start_ns = ns_of_ms(message.born_ms);
        let node = Span::begin(context, self.new_id(), PUBLISH, SpanKind::Server, &request.topic)
            .with_session(session)
            .with_message(&pairs, body_bytes);
        (producer, node)
    }

    /// Messages were sent, or were not.
    pub(crate) fn sent(&self, sending: Sending, result: &Result<Published, PublishError>) {
        let Sending { began, count, messages } = sending;
        let end_ns = self.end_ns(began);
        for (place, mut producer, mut node) in messages {
            let entry = result.as_ref().ok().and_then(|published| published.entries.get(place));
            if let Some(entry) = entry {
                let queue = entry.queue.to_string();
                producer = producer.with("messaging.destination.partition.id", queue.as_str());
                node = node
                    .with("messaging.destination.partition.id", queue.as_str())
                    .with("apogee.message.offset", entry.offset.get())
                    .with("apogee.message.position", entry.lsn.get());
            }
            if count > 1 {
                node = node.with("messaging.batch.message_count", count);
            }
            let error = result.as_ref().err().map(error_of);
            // A message without a time of its own is as old as its call.
            let born_ns = if producer.start_ns == 0 { began.ns } else { producer.start_ns };
            self.tell(producer.lasting(born_ns, end_ns).failed(error.clone()));
            self.tell(node.lasting(began.ns, end_ns).failed(error));
        }
    }

    /// Messages were handed out.
    pub(crate) fn received(&self, session: &Session, client_id: &str, received: &Received) {
        let mut kept = None;
        for delivery in &received.deliveries {
            let Some(context) = self.context(delivery.message.properties()) else { continue };
            let receipt = &delivery.receipt;
            let topic = shown_topic(&receipt.topic, &delivery.message);
            let span = || {
                let span = Span::begin(&context, self.new_id(), PROCESS, SpanKind::Consumer, &topic);
                let span = span
                    .with_text("messaging.client.id", Some(client_id))
                    .with("messaging.destination.partition.id", receipt.queue.to_string().as_str())
                    .with("apogee.delivery.attempt", delivery.attempt);
                let span = of_stored(span, session, &receipt.group, &delivery.message);
                Span { start_ns: ns_of_ms(receipt.delivered_ms), ..span }
            };
            let deliveries = kept.get_or_insert_with(|| self.deliveries.lock());
            if !deliveries.insert(receipt, self.deliveries_max, span) {
                self.metrics.unkept.inc();
            }
        }
        if let Some(deliveries) = kept {
            self.count_under_way(&deliveries);
        }
    }

    /// When a call that may wait for messages begins.
    pub(crate) fn fetching(&self) -> u64 {
        ns_of_ms(self.clock.now_ms())
    }

    /// A group that keeps its offsets by itself was given messages.
    pub(crate) fn fetched(
        &self,
        session: &Session,
        (topic, group): (&TopicName, &GroupName),
        began_ns: u64,
        fetched: &Fetched,
    ) {
        for message in &fetched.messages {
            let Some(context) = self.context(message.properties()) else { continue };
            let topic = shown_topic(topic, message);
            let span = Span::begin(&context, self.new_id(), RECEIVE, SpanKind::Consumer, &topic)
                .with("messaging.destination.partition.id", message.queue().to_string().as_str())
                .with("apogee.delivery.attempt", message.reconsume_times().saturating_add(1));
            // The time that the call waited for the message to come is nobody's work.
            let start_ns = began_ns.max(ns_of_ms(message.stored_ms()));
            let end_ns = ns_of_ms(self.clock.now_ms());
            self.tell(of_stored(span, session, group, message).lasting(start_ns, end_ns));
        }
    }

    /// To be asked before deliveries are ended; `None` if none of them is known.
    pub(crate) fn acking(&self, session: &Session, receipts: &[Receipt]) -> Option<Box<Ending>> {
        self.ending(session, ACK, receipts)
    }

    /// As [`Self::acking`], where a message becomes a dead letter.
    pub(crate) fn giving_up(&self, session: &Session, receipt: &Receipt) -> Option<Box<Ending>> {
        self.ending(session, DEAD_LETTER, std::slice::from_ref(receipt))
    }

    fn ending(
        &self,
        session: &Session,
        operation: (&'static str, &'static str),
        receipts: &[Receipt],
    ) -> Option<Box<Ending>> {
        let mut found = Vec::new();
        {
            let deliveries = self.deliveries.lock();
            for (place, receipt) in receipts.iter().enumerate() {
                let Some((key, delivery)) = deliveries.get(receipt) else { continue };
                let context = Context {
                    trace: delivery.trace,
                    parent: None,
                    state: delivery.state.clone(),
                    producer: delivery.id,
                };
                let topic = &delivery.destination;
                let span = Span::begin(&context, self.new_id(), operation, SpanKind::Server, topic);
                found.push((place, key, span.with_group(&receipt.group).with_session(session)));
            }
        }
        (!found.is_empty()).then(|| Box::new(Ending { began: self.begin(), deliveries: found }))
    }

    /// Deliveries were acknowledged, or were not: one result for each receipt.
    pub(crate) fn acked(&self, ending: Ending, results: &[Result<(), AckError>]) {
        let error_at =
            |place: usize| results.get(place).and_then(|result| result.as_ref().err()).map(error_of);
        self.ended(ending, "acked", error_at, None);
    }

    /// A message became a dead letter, or did not.
    pub(crate) fn gave_up(&self, ending: Ending, result: &Result<(), SettleError>) {
        let failed = SpanError::new("dead_lettered", "given up: it is a dead letter now");
        self.ended(ending, "dead_lettered", |_| result.as_ref().err().map(error_of), Some(failed));
    }

    fn ended(
        &self,
        ending: Ending,
        result: &'static str,
        error_at: impl Fn(usize) -> Option<SpanError>,
        failed: Option<SpanError>,
    ) {
        let Ending { began, deliveries } = ending;
        let end_ns = self.end_ns(began);
        for (place, key, span) in deliveries {
            let error = error_at(place);
            if error.is_none()
                && let Some(known) = self.deliveries.lock().remove(&key)
            {
                self.end_delivery(known, result, end_ns, failed.clone());
            }
            self.tell(span.lasting(began.ns, end_ns).failed(error));
        }
        self.count_under_way(&self.deliveries.lock());
    }

    /// The delivery of a receipt that is about to be put off, if it is known.
    pub(crate) fn extending(&self, receipt: &Receipt) -> Option<Box<DeliveryKey>> {
        self.deliveries.lock().get(receipt).map(|(key, _)| Box::new(key))
    }

    /// A delivery goes on under another receipt, or its consumer failed.
    pub(crate) fn extended(&self, key: &DeliveryKey, newest: &Receipt, why: HideWhy) {
        let failed = {
            let mut deliveries = self.deliveries.lock();
            let failed = match why {
                HideWhy::Asked => {
                    deliveries.extend(key, newest);
                    None
                }
                HideWhy::Failed => deliveries.remove(key),
            };
            self.count_under_way(&deliveries);
            failed
        };
        if let Some(known) = failed {
            let error = SpanError::new("failed", "the consumer failed");
            self.end_delivery(known, "failed", ns_of_ms(self.clock.now_ms()), Some(error));
        }
    }
}

/// The topic by which a message is known: one that comes again lies in another.
fn shown_topic(asked: &TopicName, message: &StoredMessage) -> TopicName {
    let own = if asked.is_retry() { TopicName::new(message.topic()).ok() } else { None };
    own.unwrap_or_else(|| asked.clone())
}

fn of_stored(span: Span, session: &Session, group: &GroupName, message: &StoredMessage) -> Span {
    span.with_group(group)
        .with_session(session)
        .with_message(&Pairs::of(message.properties()), message.body().len())
        .with("apogee.message.offset", message.offset().get())
}
