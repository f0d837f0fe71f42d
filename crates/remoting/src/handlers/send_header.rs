//! The header of a send: long names (`SendMessageRequestHeader`) or one letter each
//! (`SendMessageRequestHeaderV2`); no letter is also a long name, so one pass reads both.

use model::limits::PROPERTIES_BYTES_MAX;
use model::message::NewMessage;
use model::names::RETRY_PREFIX;
use model::record::push_offset_id;
use model::verbs::{AutoCreate, Publish, PublishedMessage, QueueChoice};
use model::{GroupName, Properties, QueueId, TopicName, properties};

use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::link::Link;

use super::success;

#[derive(Debug, Default)]
pub(super) struct SendHeader<'a> {
    pub(super) producer_group: &'a str,
    pub(super) topic: Option<&'a str>,
    pub(super) default_topic: &'a str,
    pub(super) default_queues: Option<&'a str>,
    pub(super) queue: Option<&'a str>,
    system_flags: Option<&'a str>,
    born_ms: Option<&'a str>,
    flag: Option<&'a str>,
    pub(super) properties: &'a str,
    reconsume_times: Option<&'a str>,
    max_reconsume_times: Option<&'a str>,
    batch: Option<&'a str>,
}

impl<'a> SendHeader<'a> {
    pub(super) fn read(fields: &'a Fields) -> Self {
        let mut header = Self::default();
        for (key, value) in fields.iter() {
            match key {
                "a" | "producerGroup" => header.producer_group = value,
                "b" | "topic" => header.topic = Some(value),
                "c" | "defaultTopic" => header.default_topic = value,
                "d" | "defaultTopicQueueNums" => header.default_queues = Some(value),
                "e" | "queueId" => header.queue = Some(value),
                "f" | "sysFlag" => header.system_flags = Some(value),
                "g" | "bornTimestamp" => header.born_ms = Some(value),
                "h" | "flag" => header.flag = Some(value),
                "i" | "properties" => header.properties = value,
                "j" | "reconsumeTimes" => header.reconsume_times = Some(value),
                "l" | "maxReconsumeTimes" => header.max_reconsume_times = Some(value),
                "m" | "batch" => header.batch = Some(value),
                _ => {}
            }
        }
        header
    }

    pub(super) fn topic(&self) -> Result<TopicName, Failure> {
        Ok(TopicName::new(self.topic.ok_or_else(|| Failure::missing("topic"))?)?)
    }

    pub(super) fn is_to_retry_topic(&self) -> bool {
        self.topic.is_some_and(|name| name.starts_with(RETRY_PREFIX))
    }

    pub(super) fn is_batch(&self) -> bool {
        self.batch.is_some_and(|text| text.eq_ignore_ascii_case("true"))
    }

    pub(super) fn queue(&self) -> Result<QueueChoice, Failure> {
        let queue: i64 = number("queueId", self.queue)?;
        Ok(u32::try_from(queue).map_or(QueueChoice::Any, |queue| QueueChoice::Queue(QueueId(queue))))
    }

    pub(super) fn reconsume_times(&self) -> Result<u32, Failure> {
        let times: i64 = number("reconsumeTimes", self.reconsume_times)?;
        Ok(u32::try_from(times.max(0)).unwrap_or(u32::MAX))
    }

    pub(super) fn max_reconsume_times(&self) -> Result<Option<i64>, Failure> {
        match self.max_reconsume_times {
            None | Some("") => Ok(None),
            text => number("maxReconsumeTimes", text).map(Some),
        }
    }

    pub(super) fn flag(&self) -> Result<i32, Failure> {
        number("flag", self.flag)
    }

    pub(super) fn system_flags(&self) -> Result<i32, Failure> {
        number("sysFlag", self.system_flags)
    }

    pub(super) fn born_ms(&self, link: &Link) -> Result<i64, Failure> {
        if self.born_ms.is_none() { Ok(link.now_ms()) } else { number("bornTimestamp", self.born_ms) }
    }

    /// How the topic is to be made if it is not there.
    pub(super) fn auto_create(&self) -> Result<Option<AutoCreate>, Failure> {
        let queues: i64 = number("defaultTopicQueueNums", self.default_queues)?;
        Ok(Some(AutoCreate { queues: u32::try_from(queues).unwrap_or_default().max(1) }))
    }

    /// The one message of the request.
    pub(super) fn message(&self, link: &Link, request: &Command) -> Result<NewMessage, Failure> {
        Ok(NewMessage {
            body: request.body.bytes(),
            properties: in_region(self.properties),
            flag: self.flag()?,
            system_flags: self.system_flags()?,
            born_ms: self.born_ms(link)?,
            born_host: link.session.peer,
            reconsume_times: self.reconsume_times()?,
        })
    }

    pub(super) fn publish(&self, topic: TopicName, messages: Vec<NewMessage>) -> Result<Publish, Failure> {
        Ok(Publish {
            topic,
            queue: self.queue()?,
            messages,
            producer_group: GroupName::new(self.producer_group).ok(),
            auto_create: self.auto_create()?,
            check_kind: false,
        })
    }
}

/// `regionId` of a broker that was not told another one.
const REGION: &str = "DefaultRegion";
/// What naming it takes: both texts, and what stands before, between and behind them.
const REGION_BYTES: usize = properties::MSG_REGION.len() + REGION.len() + 3;

/// As the original stores it, where there is room: consumers tell of their work in a trace only if the
/// message names a region.
fn in_region(told: &str) -> Properties {
    let mut properties = String::with_capacity(told.len() + REGION_BYTES);
    properties.push_str(told);
    let mut properties = Properties::from_encoded(properties);
    if told.len() + REGION_BYTES <= PROPERTIES_BYTES_MAX && !told.contains(properties::MSG_REGION) {
        properties.push(properties::MSG_REGION, REGION);
    }
    properties
}

/// A number of the header; absent is zero.
fn number<T: std::str::FromStr + Default>(field: &str, text: Option<&str>) -> Result<T, Failure> {
    match text {
        None | Some("") => Ok(T::default()),
        Some(text) => text.parse().map_err(|_| Failure::malformed(field, text)),
    }
}

/// `SendMessageResponseHeader`. A batch has the ids of all its messages, joined.
pub(super) fn answer(stored: &[PublishedMessage]) -> Command {
    let mut fields = Fields::with_capacity(192 + stored.len() * 33, 8);
    if let Some(first) = stored.first() {
        fields.push_written("msgId", |text| {
            for (n, one) in stored.iter().enumerate() {
                if n > 0 {
                    text.push(',');
                }
                push_offset_id(text, one.store_host, one.lsn);
            }
        });
        fields.push_number("queueId", first.queue.get());
        fields.push_number("queueOffset", first.offset.get());
        fields.push_text("transactionId", first.transaction_id.as_deref().unwrap_or(&first.message_id));
        if let Some(handle) = &first.recall_handle {
            fields.push_text("recallHandle", handle);
        }
    }
    fields.push_text(properties::MSG_REGION, REGION);
    fields.push_text("TRACE_ON", "true");
    success(fields, Body::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_its_region_once_and_where_there_is_room() {
        assert_eq!(in_region("").get(properties::MSG_REGION), Some(REGION));
        let told = in_region("KEYS\u{1}k\u{2}TAGS\u{1}t");
        assert_eq!((told.get("TAGS"), told.get(properties::MSG_REGION)), (Some("t"), Some(REGION)));
        assert_eq!(in_region(told.as_encoded()).as_encoded(), told.as_encoded());
        let full = format!("k\u{1}{}", "v".repeat(PROPERTIES_BYTES_MAX - 2));
        assert_eq!(in_region(&full).as_encoded(), full);
    }
}
