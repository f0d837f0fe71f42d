//! Writes events to their topic, and reads the newest of them back at a start.

use std::sync::{Arc, Weak};
use std::time::Duration;

use model::admin::CloudEvent;
use model::{NewMessage, Properties, QueueId, TopicName, properties};
use smallvec::SmallVec;

use super::TOPIC;
use crate::broker::Broker;
use crate::limits::{EVENT_GATHER_MS, EVENTS_KEPT_MAX, EVENTS_PER_WRITE_MAX};
use crate::machine::command::{Command, Outcome};
use crate::publish::encode_message;
use crate::resolve::{RetryView, read_entries};

impl Broker {
    /// Starts the task that writes events, which ends with the broker.
    pub(crate) fn start_events(self: &Arc<Self>) {
        let broker = Arc::downgrade(self);
        let events = Arc::clone(self.events());
        let clock = Arc::clone(&self.doors.clock);
        let write = async move {
            read_back(&broker).await;
            loop {
                events.wake.notified().await;
                // What comes meanwhile is written with it.
                loop {
                    clock.sleep(Duration::from_millis(EVENT_GATHER_MS)).await;
                    let taken = events.take(EVENTS_PER_WRITE_MAX);
                    if taken.is_empty() {
                        break;
                    }
                    let Some(broker) = broker.upgrade() else { return };
                    if let Err(error) = broker.write_events(&taken).await {
                        tracing::debug!(error, count = taken.len(), "events were not written to their topic");
                        events.dropped.inc_by(taken.len() as u64);
                    }
                }
            }
        };
        self.doors.spawn.spawn("broker-events", Box::pin(write));
    }

    async fn write_events(&self, events: &[Arc<CloudEvent>]) -> Result<(), String> {
        let name = TopicName::new(TOPIC).map_err(|error| error.to_string())?;
        let topic = self.ensure_topic(name.clone(), 1).await.map_err(|error| error.to_string())?;
        let host = self.config.store_host;
        let now_ms = self.now_ms();
        let mut messages = SmallVec::with_capacity(events.len());
        let mut bytes = 0;
        for event in events {
            let body = serde_json::to_vec(&**event).map_err(|error| error.to_string())?;
            bytes += body.len();
            let mut told = Properties::new();
            told.push(properties::UNIQUE_ID, &event.id);
            told.push(properties::TAGS, &event.kind);
            if let Some(subject) = event.subject.as_deref().filter(|subject| !subject.contains(' ')) {
                told.push(properties::KEYS, subject);
            }
            told.push("content-type", "application/cloudevents+json; charset=UTF-8");
            let message = NewMessage {
                body: body.into(),
                properties: told,
                flag: 0,
                system_flags: 0,
                born_ms: now_ms,
                born_host: host,
                reconsume_times: 0,
            };
            messages.push(encode_message(&message, &name, QueueId(0), host));
        }
        let command = Command::Publish { stream: topic.stream(QueueId(0)), messages };
        match self.propose(command, bytes).await {
            Ok(Outcome::Published(_)) => Ok(()),
            Ok(other) => Err(format!("{other:?}")),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The newest events of the topic, as they were written.
async fn read_back(broker: &Weak<Broker>) {
    let Some(broker) = broker.upgrade() else { return };
    let Some(topic) = TopicName::new(TOPIC).ok().and_then(|name| broker.state.topic(&name)) else { return };
    let stream = topic.stream(QueueId(0));
    let Ok(bounds) = broker.bounds(stream).await else { return };
    let from = bounds.min.max(bounds.max.saturating_sub(EVENTS_KEPT_MAX as u64));
    let Ok(entries) = broker.entries(stream, from, EVENTS_KEPT_MAX).await else { return };
    let read = read_entries(&broker.log, &broker.state, &entries, RetryView::Original).await;
    let events = read.into_iter().flatten();
    let events = events.filter_map(|message| serde_json::from_slice(&message.body()).ok()).collect();
    broker.events().remember(events);
}
