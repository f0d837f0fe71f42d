//! `sync_lite`: a client says which lite topics it wants, and where to begin.

use std::sync::Arc;

use model::lite::{
    ATTRIBUTE_RESET_EXCLUSIVE, ATTRIBUTE_RESET_UNSUBSCRIBE, LiteAction, LiteError, LiteStart, LiteSync,
};
use model::names::check_lite_topic;
use model::verbs::PublishError;
use model::{NewMessage, Notice, Session, StreamId, properties};
use store::Boundary;

use super::hub::{Full, Limits, Sharing, Synced, Wish};
use crate::broker::Broker;
use crate::error::Failed;
use crate::limits::LITE_NAMES_PER_SYNC_MAX;
use crate::machine::command::{Command, Outcome};
use crate::machine::state::{Group, Topic};
use crate::streams;

impl From<Failed> for LiteError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Overloaded(text) | Failed::Unavailable(text) => Self::Unavailable(text),
            Failed::Data(text) | Failed::Internal(text) => Self::Data(text),
        }
    }
}

impl Broker {
    /// The lite topics of messages for a parent: one per message, or none at all.
    ///
    /// # Errors
    /// If a name is illegal, or only some messages have one.
    pub(crate) fn lite_topics_of(
        &self,
        topic: &Topic,
        messages: &[NewMessage],
    ) -> Result<Vec<String>, PublishError> {
        if !topic.config.is_lite_parent() {
            return Ok(Vec::new());
        }
        let of = |message: &NewMessage| message.properties.get(properties::LITE_TOPIC).map(str::to_owned);
        let named: Vec<String> = messages.iter().filter_map(of).collect();
        if named.is_empty() {
            return Ok(named);
        }
        if named.len() < messages.len() {
            return Err(PublishError::LiteTopic("some messages of the batch name none".to_owned()));
        }
        for name in &named {
            check_lite_topic(name).map_err(|error| PublishError::LiteTopic(error.to_string()))?;
            let known = self.lite_name(topic.id, streams::of_lite(topic.id, name));
            if known.map_err(PublishError::Internal)?.is_some_and(|known| known != *name) {
                let text = format!("`{name}` has the hash of another lite topic: choose another name");
                return Err(PublishError::LiteTopic(text));
            }
        }
        Ok(named)
    }

    pub(crate) async fn do_sync_lite(&self, session: &Session, sync: LiteSync) -> Result<(), LiteError> {
        if sync.action == LiteAction::Clear {
            self.lite.leave(&sync.client_id, Some(&sync.group));
            return Ok(());
        }
        let (group, parent) = self.bound(&sync)?;
        let caller = self.lite_caller(session, &sync.client_id, &group, &parent);
        if caller.wildcard {
            if sync.action != LiteAction::Set {
                return Err(LiteError::Wildcard);
            }
            self.lite.enter(&caller, self.now_ms());
            return Ok(());
        }
        let wishes = self.wishes(&sync, &parent).await?;
        let limits =
            Limits { client: group.config.lite_client_quota(), node: self.live().lite_subscriptions_max };
        let now_ms = self.now_ms();
        let exclusive = group.config.is_lite_exclusive();
        let sharing = |mode| if exclusive { mode } else { Sharing::Shared };
        let synced = match sync.action {
            LiteAction::Add => self.lite.add(&caller, &wishes, sharing(Sharing::Newest), limits, now_ms),
            LiteAction::Set => {
                let at = (sync.version, now_ms);
                self.lite.set(&caller, &wishes, sharing(Sharing::Owner), limits, at)
            }
            LiteAction::Remove | LiteAction::Clear => {
                let streams: Vec<StreamId> = wishes.iter().map(|wish| wish.stream).collect();
                Ok(self.lite.remove(&caller, &streams, now_ms))
            }
        };
        let synced = synced.map_err(|full| {
            self.lite_metrics.subscriptions_refused.inc();
            match full {
                Full::Client { max } => LiteError::Quota { max, of: "of this client" },
                Full::Node { max } => LiteError::Quota { max, of: "of this node" },
            }
        })?;
        self.count_lite();
        self.begin(&sync, &group, &synced).await?;
        self.tell_taken(synced);
        Ok(())
    }

    fn bound(&self, sync: &LiteSync) -> Result<(Arc<Group>, Arc<Topic>), LiteError> {
        let group = self.state.group(&sync.group);
        let group = group.ok_or_else(|| LiteError::GroupNotFound(sync.group.clone()))?;
        let bound = group.config.lite_parent().unwrap_or_default();
        if bound != sync.topic.as_str() {
            return Err(LiteError::NotBound {
                group: sync.group.clone(),
                expected: sync.topic.clone(),
                actual: bound.to_owned(),
            });
        }
        let parent = self.state.topic(&sync.topic);
        let parent = parent.ok_or_else(|| LiteError::TopicNotFound(sync.topic.clone()))?;
        if !parent.config.is_lite_parent() {
            return Err(LiteError::NotLite(sync.topic.clone()));
        }
        if !group.config.consume_enabled && sync.action != LiteAction::Remove {
            return Err(LiteError::GroupDisabled(sync.group.clone()));
        }
        Ok((group, parent))
    }

    async fn wishes<'a>(&self, sync: &'a LiteSync, parent: &Topic) -> Result<Vec<Wish<'a>>, LiteError> {
        if sync.lite_topics.len() > LITE_NAMES_PER_SYNC_MAX {
            return Err(LiteError::Quota { max: LITE_NAMES_PER_SYNC_MAX, of: "of one request" });
        }
        let mut wishes = Vec::with_capacity(sync.lite_topics.len());
        for name in &sync.lite_topics {
            check_lite_topic(name).map_err(|error| LiteError::Illegal(error.to_string()))?;
            let stream = streams::of_lite(parent.id, name);
            let exists = self.bounds(stream).await?.max > 0;
            wishes.push(Wish { stream, name, exists });
        }
        Ok(wishes)
    }

    /// Sets progress anew where the request or the group's settings say so.
    async fn begin(&self, sync: &LiteSync, group: &Group, synced: &Synced) -> Result<(), LiteError> {
        let config = &group.config;
        let mut to: Vec<(StreamId, u64)> = Vec::new();
        if sync.action == LiteAction::Add {
            let took_over = !synced.taken.is_empty();
            for stream in &synced.added {
                let bounds = self.bounds(*stream).await?;
                if bounds.max == 0 {
                    continue;
                }
                let reset = took_over && config.lite_flag(ATTRIBUTE_RESET_EXCLUSIVE);
                let target = match sync.start {
                    LiteStart::Last if reset => Some(bounds.min),
                    LiteStart::Last => None,
                    LiteStart::First => Some(bounds.min),
                    LiteStart::End => Some(bounds.max),
                    LiteStart::Offset(offset) => Some(offset.clamp(bounds.min, bounds.max)),
                    LiteStart::Tail(count) => Some(bounds.max.saturating_sub(count).max(bounds.min)),
                    LiteStart::Time(time_ms) => {
                        Some(self.offset_by_time(*stream, time_ms, Boundary::Lower).await?)
                    }
                };
                to.extend(target.map(|target| (*stream, target)));
            }
        }
        if config.lite_flag(ATTRIBUTE_RESET_UNSUBSCRIBE) && sync.action == LiteAction::Remove {
            for stream in &synced.removed {
                let bounds = self.bounds(*stream).await?;
                to.extend((bounds.max > 0).then_some((*stream, bounds.min)));
            }
        }
        if to.is_empty() {
            return Ok(());
        }
        let bytes = to.len() * 24;
        match self.propose(Command::Seek { group_id: group.id, to }, bytes).await? {
            Outcome::Done => Ok(()),
            other => Err(Failed::unexpected(&other).into()),
        }
    }

    fn tell_taken(&self, synced: Synced) {
        for (session, notice) in synced.taken {
            self.lite_metrics.taken_over.inc();
            if let Notice::LiteTaken { group, lite_topic, client_id, .. } = &notice {
                tracing::debug!(%group, lite_topic, client_id, "an exclusive subscription was taken over");
            }
            session.notices.notify(notice);
        }
    }

    pub(super) fn count_lite(&self) {
        let counts = self.lite.counts();
        self.lite_metrics.topics.set(i64::try_from(self.state.lite_topics()).unwrap_or(i64::MAX));
        self.lite_metrics.subscriptions.set(i64::try_from(counts.subscriptions).unwrap_or(i64::MAX));
        self.lite_metrics.clients.set(i64::try_from(counts.clients).unwrap_or(i64::MAX));
    }
}
