//! Topics: make, change, delete, list (`AdminBrokerProcessor`, `TopicConfig`).

use std::collections::BTreeMap;

use model::admin::{
    self, ListRequest, TopicDelete, TopicDescription, TopicGet, TopicList, TopicPut, TopicPutRequest,
    TopicRequest,
};
use model::{Permission, Session, TopicConfig, TopicName};
use serde::{Deserialize, Serialize};

use crate::code::{request as code, response};
use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, done, success};
use crate::header::Fields;
use crate::json::{self, DataVersion};
use crate::link::Link;

/// `TopicConfig` as the wire has it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicBody<'a> {
    attributes: &'a BTreeMap<String, String>,
    order: bool,
    perm: u32,
    read_queue_nums: u32,
    topic_filter_type: &'static str,
    topic_name: &'a str,
    topic_sys_flag: i32,
    write_queue_nums: u32,
}

impl<'a> From<&'a TopicConfig> for TopicBody<'a> {
    fn from(config: &'a TopicConfig) -> Self {
        Self {
            attributes: &config.attributes,
            order: config.ordered,
            perm: config.permission.0,
            read_queue_nums: config.read_queues,
            topic_filter_type: "SINGLE_TAG",
            topic_name: config.name.as_str(),
            topic_sys_flag: config.system_flag,
            write_queue_nums: config.write_queues,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicTable<'a> {
    data_version: DataVersion,
    topic_config_table: BTreeMap<&'a str, TopicBody<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicNames<'a> {
    topic_list: Vec<&'a str>,
}

pub(super) async fn put(link: &Link, request: &Command) -> Answer {
    let fields = &request.fields;
    let wish = Wish {
        topic_name: fields.required("topic")?.to_owned(),
        read_queue_nums: fields.parse("readQueueNums")?,
        write_queue_nums: fields.parse("writeQueueNums")?,
        perm: fields.parse("perm")?,
        order: fields.flag("order"),
        topic_sys_flag: fields.parse_opt("topicSysFlag")?.unwrap_or_default(),
        attributes: BTreeMap::new(),
    };
    put_one(link, wish, fields.get("attributes").unwrap_or_default().split(',')).await
}

/// `TopicConfig` as tools write it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wish {
    topic_name: String,
    #[serde(default = "queues")]
    read_queue_nums: u32,
    #[serde(default = "queues")]
    write_queue_nums: u32,
    #[serde(default = "read_and_write")]
    perm: u32,
    #[serde(default)]
    order: bool,
    #[serde(default)]
    topic_sys_flag: i32,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

/// `TopicConfig.defaultReadQueueNums`, of a list that leaves it out.
const fn queues() -> u32 {
    16
}

const fn read_and_write() -> u32 {
    Permission::READ | Permission::WRITE
}

/// `CreateTopicListRequestBody`
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wishes {
    topic_config_list: Vec<Wish>,
}

/// Several at once; the first that is refused ends it.
pub(super) async fn put_list(link: &Link, request: &Command) -> Answer {
    let wishes: Wishes = json::read(&request.body)?;
    for wish in wishes.topic_config_list {
        let changes: Vec<String> =
            wish.attributes.iter().map(|(key, value)| format!("{key}={value}")).collect();
        put_one(link, wish, changes.iter().map(String::as_str)).await?;
    }
    Ok(done())
}

async fn put_one<'a>(link: &Link, wish: Wish, changes: impl Iterator<Item = &'a str> + Send) -> Answer {
    let name = TopicName::new(&wish.topic_name)?;
    if name.is_system() {
        let remark = format!("The topic[{name}] is conflict with system topic.");
        return Err(Failure::new(response::INVALID_PARAMETER, remark));
    }
    let ask = TopicRequest { topic: name.clone() };
    let before = admin::run::<TopicGet>(link.engine(), &Session::internal(), ask).await.ok();
    let mut attributes = before.map(|description| description.config.attributes).unwrap_or_default();
    change_attributes(&mut attributes, changes);
    let config = TopicConfig {
        read_queues: wish.read_queue_nums,
        write_queues: wish.write_queue_nums,
        permission: Permission(wish.perm),
        ordered: wish.order,
        system_flag: wish.topic_sys_flag,
        attributes,
        ..TopicConfig::new(name, 1)
    };
    admin::run::<TopicPut>(link.engine(), &link.session, TopicPutRequest { config, update: true }).await?;
    Ok(done())
}

/// `+key=value,-key` (`AttributeParser`); what is not named stays.
fn change_attributes<'a>(attributes: &mut BTreeMap<String, String>, changes: impl Iterator<Item = &'a str>) {
    for change in changes.map(str::trim) {
        if let Some(key) = change.strip_prefix('-') {
            attributes.remove(key);
        } else if let Some((key, value)) = change.strip_prefix('+').unwrap_or(change).split_once('=') {
            attributes.insert(key.to_owned(), value.to_owned());
        }
    }
}

pub(super) async fn delete(link: &Link, request: &Command) -> Answer {
    let topic = TopicName::new(request.fields.required("topic")?)?;
    if topic.is_system() {
        let remark = format!("The topic[{topic}] is conflict with system topic.");
        return Err(Failure::new(response::INVALID_PARAMETER, remark));
    }
    match admin::run::<TopicDelete>(link.engine(), &link.session, TopicRequest { topic }).await {
        // The Java broker deletes what is not there without a word.
        Ok(_) | Err(admin::AdminError::NotFound(_)) => Ok(done()),
        Err(error) => Err(error.into()),
    }
}

/// Routes follow topics here, so the name server's share of a deletion is done already.
pub(super) fn delete_route(request: &Command) -> Answer {
    request.fields.required("topic")?;
    Ok(done())
}

pub(super) async fn describe(link: &Link, name: &str) -> Result<TopicDescription, Failure> {
    let topic = TopicName::new(name)?;
    let missing = Failure::topic_not_found(&topic);
    match admin::run::<TopicGet>(link.engine(), &link.session, TopicRequest { topic }).await {
        Err(admin::AdminError::NotFound(_)) => Err(missing),
        other => Ok(other?),
    }
}

pub(super) async fn get(link: &Link, request: &Command) -> Answer {
    let found = describe(link, request.fields.required("topic")?).await?;
    Ok(success(Fields::new(), json::write(&TopicBody::from(&found.config))))
}

async fn list(link: &Link) -> Result<Vec<TopicConfig>, Failure> {
    let ask = ListRequest { contains: None, all: true };
    Ok(admin::run::<TopicList>(link.engine(), &link.session, ask).await?)
}

pub(super) async fn names(link: &Link) -> Answer {
    let topics = list(link).await?;
    let topic_list = topics.iter().map(|topic| topic.name.as_str()).collect();
    Ok(success(Fields::new(), json::write(&TopicNames { topic_list })))
}

/// Bits of `TopicSysFlag`.
const UNIT: i32 = 1;
const UNIT_SUB: i32 = 2;

/// `GET_UNIT_TOPIC_LIST`, `GET_HAS_UNIT_SUB_TOPIC_LIST`, `GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST`.
pub(super) async fn of_units(link: &Link, request: &Command) -> Answer {
    let topics = list(link).await?;
    let is_meant = |topic: &&TopicConfig| match request.code {
        code::GET_UNIT_TOPIC_LIST => topic.system_flag & UNIT != 0,
        code::GET_HAS_UNIT_SUB_TOPIC_LIST => topic.system_flag & UNIT_SUB != 0,
        _ => topic.system_flag & (UNIT | UNIT_SUB) == UNIT_SUB,
    };
    Ok(topic_names(topics.iter().filter(is_meant).map(|topic| topic.name.as_str())))
}

/// `GET_TOPICS_BY_CLUSTER`: all of this node's, if the cluster is its own.
pub(super) async fn of_cluster(link: &Link, request: &Command) -> Answer {
    let cluster = request.fields.required("cluster")?;
    let is_ours = link.server.node().await?.cluster == cluster;
    let topics = if is_ours { list(link).await? } else { Vec::new() };
    Ok(topic_names(topics.iter().map(|topic| topic.name.as_str())))
}

pub(super) async fn all(link: &Link) -> Answer {
    let topics = list(link).await?;
    let topic_config_table = topics.iter().map(|topic| (topic.name.as_str(), topic.into())).collect();
    let fields = Fields::new().with("totalTopicNum", topics.len());
    Ok(success(fields, json::write(&TopicTable { data_version: DataVersion::default(), topic_config_table })))
}

/// `TopicList`, of any names.
pub(super) fn topic_names<'a>(names: impl Iterator<Item = &'a str>) -> Command {
    success(Fields::new(), json::write(&TopicNames { topic_list: names.collect() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_added_and_removed() {
        let mut attributes =
            BTreeMap::from([("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())]);
        change_attributes(&mut attributes, "+message.type=FIFO,-a, +b=3".split(','));
        let seen: Vec<_> = attributes.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(seen, [("b", "3"), ("message.type", "FIFO")]);
        change_attributes(&mut attributes, "".split(','));
        assert_eq!(attributes.len(), 2);
    }
}
