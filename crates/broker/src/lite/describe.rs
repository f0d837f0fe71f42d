//! What tools are told of lite topics.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::admin::Done;
use model::lite::{
    LiteClientDescription, LiteClientRequest, LiteDispatchRequest, LiteGroupDescription, LiteGroupRequest,
    LiteLag, LiteListRequest, LiteNodeDescription, LiteParentDescription, LitePlace, LiteTopicDescription,
    LiteTopicPage, LiteTopicRequest, LiteTopicState,
};
use model::names::check_lite_topic;
use model::{AdminError, GroupName, StreamId, TopicName};

use crate::broker::Broker;
use crate::limits::{LITE_NAMES_PER_ANSWER_MAX, LITE_TOP_MAX};
use crate::machine::lite::{part_prefix, stored_cursor, stream_of_name_key};
use crate::machine::state::{CursorKey, Group, Topic};
use crate::streams;

const PAGE_DEFAULT: u32 = 100;
const PAGE_MAX: u32 = 1_000;
const TOP_DEFAULT: u32 = 20;

/// How far a group is behind in a lite topic.
struct Behind {
    max: u64,
    committed: u64,
    oldest_ms: i64,
}

impl Broker {
    /// A parent of lite topics.
    ///
    /// # Errors
    /// If there is no such topic, or it is of another type.
    pub(crate) fn lite_parent(&self, name: &TopicName) -> Result<Arc<Topic>, AdminError> {
        let topic = self.state.topic(name).ok_or_else(|| AdminError::NotFound(format!("topic {name}")))?;
        if topic.config.is_lite_parent() {
            Ok(topic)
        } else {
            Err(AdminError::Invalid(format!("topic {name} is not of type LITE")))
        }
    }

    fn bound_group(&self, name: &GroupName) -> Result<(Arc<Group>, TopicName), AdminError> {
        let group = self.state.group(name).ok_or_else(|| AdminError::NotFound(format!("group {name}")))?;
        let parent = group.config.lite_parent().and_then(|parent| TopicName::new(parent).ok());
        let parent =
            parent.ok_or_else(|| AdminError::Invalid(format!("group {name} is not a LITE group")))?;
        Ok((group, parent))
    }

    fn bound_groups(&self) -> BTreeMap<String, Vec<GroupName>> {
        let mut bound: BTreeMap<String, Vec<GroupName>> = BTreeMap::new();
        for group in self.state.groups() {
            if let Some(parent) = group.config.lite_parent() {
                bound.entry(parent.to_owned()).or_default().push(group.config.name.clone());
            }
        }
        bound
    }

    pub(crate) fn list_lite(&self, request: &LiteListRequest) -> Result<LiteTopicPage, AdminError> {
        let parent = self.lite_parent(&request.topic)?;
        let limit = request.limit.unwrap_or(PAGE_DEFAULT).clamp(1, PAGE_MAX) as usize;
        let after = match request.after.as_deref() {
            None | Some("") => None,
            Some(text) => {
                let stream = u64::from_str_radix(text, 16).ok().map(StreamId);
                let bad = || AdminError::Invalid("`after` is not the `next` of a page".to_owned());
                Some(stream.filter(|stream| streams::is_lite(*stream)).ok_or_else(bad)?)
            }
        };
        let mut page = LiteTopicPage::default();
        for part in after.map_or(0, streams::part_of_lite)..=u8::MAX {
            for (stream, name) in self.lite_names(parent.id, part)? {
                if after.is_some_and(|after| stream <= after) {
                    continue;
                }
                if request.prefix.as_ref().is_some_and(|prefix| !name.starts_with(prefix.as_str())) {
                    continue;
                }
                page.lite_topics.extend(self.lite_state(stream, name)?);
                if page.lite_topics.len() >= limit {
                    page.next = Some(format!("{:x}", stream.get()));
                    return Ok(page);
                }
            }
        }
        Ok(page)
    }

    pub(crate) fn dispatch_lite(&self, request: &LiteDispatchRequest) -> Result<Done, AdminError> {
        self.bound_group(&request.group)?;
        self.lite.dispatch(&request.group, request.client_id.as_deref().filter(|id| !id.is_empty()));
        Ok(Done {})
    }

    fn lite_names(&self, parent_id: u32, part: u8) -> Result<Vec<(StreamId, String)>, AdminError> {
        let mut names = Vec::new();
        let scanned = self.views.scan_objects(&part_prefix(parent_id, part), &mut |key, value| {
            if let Some(stream) = stream_of_name_key(key) {
                names.push((stream, String::from_utf8_lossy(value).into_owned()));
            }
        });
        scanned.map_err(|error| AdminError::Internal(error.to_string()))?;
        Ok(names)
    }

    /// `None`: it does not exist, or nothing of it is visible yet.
    fn lite_state(&self, stream: StreamId, lite_topic: String) -> Result<Option<LiteTopicState>, AdminError> {
        let bounds = self.blocking_bounds(stream)?;
        if bounds.max == 0 {
            return Ok(None);
        }
        let last_stored_ms = self.last_stored_in(stream)?.unwrap_or(0);
        let (min_offset, max_offset) = (bounds.min, bounds.max);
        Ok(Some(LiteTopicState { lite_topic, min_offset, max_offset, last_stored_ms }))
    }

    pub(crate) fn describe_lite(
        &self,
        request: LiteTopicRequest,
    ) -> Result<LiteTopicDescription, AdminError> {
        let parent = self.lite_parent(&request.topic)?;
        let stream = stream_of(&parent, &request.lite_topic)?;
        Ok(LiteTopicDescription {
            topic: request.topic,
            state: self.lite_state(stream, request.lite_topic)?,
            subscribers: self.lite.subscribers(parent.id, stream),
        })
    }

    pub(crate) async fn delete_lite(&self, request: &LiteTopicRequest) -> Result<(), AdminError> {
        let parent = self.lite_parent(&request.topic)?;
        let stream = stream_of(&parent, &request.lite_topic)?;
        if self.blocking_bounds(stream)?.max == 0 {
            return Err(AdminError::NotFound(format!("lite topic {}", request.lite_topic)));
        }
        let ended = self.end_lite(parent.id, vec![stream], None).await.map_err(AdminError::Unavailable);
        self.count_lite();
        ended.map(|_| ())
    }

    pub(crate) fn describe_lite_parent(&self, name: &TopicName) -> Result<LiteParentDescription, AdminError> {
        let parent = self.lite_parent(name)?;
        Ok(LiteParentDescription {
            topic: name.clone(),
            expiration_minutes: parent.config.lite_expiration_minutes(),
            groups: self.bound_groups().remove(name.as_str()).unwrap_or_default(),
            lite_topics: self.state.lite_counts().get(&parent.id).copied().unwrap_or(0),
            lite_topics_in_all: self.state.lite_topics(),
        })
    }

    pub(crate) fn describe_lite_node(&self) -> LiteNodeDescription {
        let counts = self.lite.counts();
        let is_lite = |key: &CursorKey| streams::is_lite(key.stream);
        let parents = self.state.topics().into_iter().filter(|topic| topic.config.is_lite_parent());
        LiteNodeDescription {
            lite_topics: self.state.lite_topics(),
            lite_topics_max: self.live().lite_topics_max,
            subscriptions: counts.subscriptions as u64,
            subscriptions_max: self.live().lite_subscriptions_max as u64,
            clients: counts.clients as u64,
            clients_with_news: counts.with_news as u64,
            cursors_in_memory: self.state.cursor_keys().iter().filter(|key| is_lite(key)).count() as u64,
            parents: parents
                .map(|topic| {
                    let minutes = topic.config.lite_expiration_minutes().unwrap_or(-1);
                    (topic.config.name.as_str().to_owned(), minutes)
                })
                .collect(),
            groups: self.bound_groups(),
            memory_bytes: counts.memory_bytes as u64,
        }
    }

    pub(crate) fn describe_lite_client(
        &self,
        request: &LiteClientRequest,
    ) -> Result<LiteClientDescription, AdminError> {
        let parent = self.lite_parent(&request.topic)?;
        let (_, bound) = self.bound_group(&request.group)?;
        if bound != request.topic {
            let text = format!("group {} is not bound to topic {}", request.group, request.topic);
            return Err(AdminError::Invalid(text));
        }
        let max = request.limit.map_or(LITE_NAMES_PER_ANSWER_MAX, |limit| limit as usize);
        let max = max.min(LITE_NAMES_PER_ANSWER_MAX);
        let Some(described) = self.lite.describe(&request.group, &request.client_id, max) else {
            let nothing = LiteClientDescription {
                count: None,
                lite_topics: Vec::new(),
                last_seen_ms: 0,
                last_received_ms: 0,
            };
            return Ok(nothing);
        };
        let mut lite_topics = Vec::with_capacity(described.some.len());
        for (stream, unborn) in described.some {
            match unborn {
                Some(name) => lite_topics.push(name.into_string()),
                None => lite_topics.extend(self.lite_name(parent.id, stream).map_err(AdminError::Internal)?),
            }
        }
        lite_topics.sort_unstable();
        Ok(LiteClientDescription {
            count: Some(described.count as u64),
            lite_topics,
            last_seen_ms: described.seen_ms,
            last_received_ms: described.received_ms,
        })
    }

    pub(crate) fn describe_lite_group(
        &self,
        request: LiteGroupRequest,
    ) -> Result<LiteGroupDescription, AdminError> {
        let (group, parent_name) = self.bound_group(&request.group)?;
        let mut description = LiteGroupDescription {
            group: request.group,
            topic: parent_name.clone(),
            lag: 0,
            oldest_ms: 0,
            place: None,
            most_behind: Vec::new(),
            longest_behind: Vec::new(),
        };
        let Some(parent) = self.state.topic(&parent_name) else { return Ok(description) };
        match request.lite_topic.filter(|lite| !lite.is_empty()) {
            Some(lite) => self.add_place(&mut description, &group, stream_of(&parent, &lite)?)?,
            None => {
                let top = request.top.unwrap_or(TOP_DEFAULT).min(LITE_TOP_MAX) as usize;
                self.add_lags(&mut description, &group, &parent, top)?;
            }
        }
        Ok(description)
    }

    fn add_place(
        &self,
        description: &mut LiteGroupDescription,
        group: &Group,
        stream: StreamId,
    ) -> Result<(), AdminError> {
        let Some(behind) = self.behind(group, stream)? else {
            (description.lag, description.oldest_ms) = (-1, -1);
            return Ok(());
        };
        let lag = behind.max.saturating_sub(behind.committed);
        description.lag = i64::try_from(lag).unwrap_or(i64::MAX);
        description.oldest_ms = behind.oldest_ms;
        description.place = Some(LitePlace {
            max_offset: behind.max,
            committed_offset: behind.committed,
            last_settled_ms: match behind.committed.checked_sub(1) {
                Some(last) => self.stored_at(stream, last)?,
                None => 0,
            },
        });
        Ok(())
    }

    fn add_lags(
        &self,
        description: &mut LiteGroupDescription,
        group: &Group,
        parent: &Topic,
        top: usize,
    ) -> Result<(), AdminError> {
        let mut lags: Vec<LiteLag> = Vec::new();
        for part in 0..=u8::MAX {
            for (stream, lite_topic) in self.lite_names(parent.id, part)? {
                let Some(behind) = self.behind(group, stream)? else { continue };
                let lag = i64::try_from(behind.max.saturating_sub(behind.committed)).unwrap_or(i64::MAX);
                if lag > 0 {
                    description.lag = description.lag.saturating_add(lag);
                    lags.push(LiteLag { lite_topic, lag, oldest_ms: behind.oldest_ms });
                }
            }
            // Only what may still be named is kept.
            if lags.len() > 4 * LITE_TOP_MAX as usize {
                keep_top(description, &mut lags, top);
            }
        }
        keep_top(description, &mut lags, top);
        description.oldest_ms = description.longest_behind.first().map_or(0, |lag| lag.oldest_ms);
        Ok(())
    }

    /// `None`: the lite topic does not exist, or the group has not begun in it.
    fn behind(&self, group: &Group, stream: StreamId) -> Result<Option<Behind>, AdminError> {
        let max = self.blocking_bounds(stream)?.max;
        let key = CursorKey { group_id: group.id, stream };
        let committed = match self.state.cursor(key) {
            Some(cell) => Some(cell.cursor.lock().committed()),
            None => stored_cursor(&self.views, key).map_err(AdminError::Internal)?.map(|c| c.committed()),
        };
        let Some(committed) = committed.filter(|_| max > 0) else { return Ok(None) };
        let oldest_ms = if committed < max { self.stored_at(stream, committed)? } else { 0 };
        Ok(Some(Behind { max, committed, oldest_ms }))
    }

    fn stored_at(&self, stream: StreamId, offset: u64) -> Result<i64, AdminError> {
        let mut found = Vec::with_capacity(1);
        self.blocking_entries(stream, offset, 1, &mut found)?;
        Ok(found.first().map_or(0, |entry: &store::Entry| entry.time_ms))
    }
}

/// Merges what was found with what is named already.
fn keep_top(description: &mut LiteGroupDescription, lags: &mut Vec<LiteLag>, top: usize) {
    let found = std::mem::take(lags);
    description.most_behind.extend(found.iter().cloned());
    description.most_behind.sort_by(|a, b| (b.lag, &a.lite_topic).cmp(&(a.lag, &b.lite_topic)));
    description.most_behind.truncate(top);
    description.longest_behind.extend(found);
    description
        .longest_behind
        .sort_by(|a, b| (a.oldest_ms, &a.lite_topic).cmp(&(b.oldest_ms, &b.lite_topic)));
    description.longest_behind.truncate(top);
}

fn stream_of(parent: &Topic, lite_topic: &str) -> Result<StreamId, AdminError> {
    check_lite_topic(lite_topic).map_err(|error| AdminError::Invalid(error.to_string()))?;
    Ok(streams::of_lite(parent.id, lite_topic))
}
