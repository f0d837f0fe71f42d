//! Lite topics for tools: the six lite commands of `mqadmin` (`LiteManagerProcessor`).

use std::collections::BTreeMap;

use model::admin::{self, AdminOp, Empty, GroupGet, GroupRequest, TopicGet, TopicRequest};
use model::admin::{LiteClient, LiteDispatch, LiteGet, LiteGroup, LiteNode, LiteParent};
use model::lite::{
    LiteClientRequest, LiteDispatchRequest, LiteGroupRequest, LiteLag, LiteParentRequest, LiteTopicRequest,
};
use model::{AdminError, GroupName, Session, TopicConfig, TopicName};
use serde::Serialize;

use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, success};
use crate::header::Fields;
use crate::json;
use crate::link::Link;

/// `GetBrokerLiteInfoResponseBody`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BrokerInfo {
    store_type: &'static str,
    max_lmq_num: u64,
    current_lmq_num: u64,
    lite_subscription_count: u64,
    order_info_count: u64,
    cq_table_size: u64,
    offset_table_size: u64,
    event_map_size: u64,
    topic_meta: BTreeMap<String, i64>,
    group_meta: BTreeMap<String, Vec<GroupName>>,
}

/// `GetParentTopicInfoResponseBody`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ParentInfo {
    topic: TopicName,
    ttl: i64,
    groups: Vec<GroupName>,
    lmq_num: u64,
    lite_topic_count: u64,
}

/// `GetLiteTopicInfoResponseBody`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicInfo {
    parent_topic: TopicName,
    lite_topic: String,
    subscriber: Vec<ClientGroup>,
    topic_offset: TopicOffset,
    sharding_to_broker: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientGroup {
    client_id: String,
    group: GroupName,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct TopicOffset {
    min_offset: u64,
    max_offset: u64,
    last_update_timestamp: i64,
}

/// `GetLiteClientInfoResponseBody`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ClientInfo {
    parent_topic: TopicName,
    group: GroupName,
    client_id: String,
    last_access_time: i64,
    last_consume_time: i64,
    lite_topic_count: i64,
    lite_topic_set: Vec<String>,
}

/// `GetLiteGroupInfoResponseBody`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct GroupInfo {
    group: GroupName,
    parent_topic: TopicName,
    lite_topic: Option<String>,
    earliest_unconsumed_timestamp: i64,
    total_lag_count: i64,
    lite_topic_offset_wrapper: Option<OffsetWrapper>,
    lag_count_top_k: Option<Vec<LagInfo>>,
    lag_timestamp_top_k: Option<Vec<LagInfo>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct OffsetWrapper {
    broker_offset: u64,
    consumer_offset: u64,
    last_timestamp: i64,
}

/// `LiteLagInfo`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LagInfo {
    lite_topic: String,
    lag_count: i64,
    earliest_unconsumed_timestamp: i64,
}

impl From<LiteLag> for LagInfo {
    fn from(lag: LiteLag) -> Self {
        let LiteLag { lite_topic, lag, oldest_ms } = lag;
        Self { lite_topic, lag_count: lag, earliest_unconsumed_timestamp: oldest_ms }
    }
}

async fn run<O: AdminOp>(link: &Link, request: O::Request) -> Result<O::Response, Failure> {
    admin::run::<O>(link.engine(), &link.session, request).await.map_err(Failure::from)
}

/// The configuration of a parent of lite topics, or the refusal of the Java server.
pub(crate) async fn parent(link: &Link, name: &str) -> Result<TopicConfig, Failure> {
    let topic = TopicName::new(name)?;
    let found = admin::run::<TopicGet>(link.engine(), &Session::internal(), TopicRequest { topic }).await;
    let found = found.map_err(|error| match error {
        AdminError::NotFound(_) => {
            Failure::new(response::TOPIC_NOT_EXIST, format!("Topic [{name}] not exist."))
        }
        other => other.into(),
    })?;
    if found.config.is_lite_parent() {
        Ok(found.config)
    } else {
        Err(Failure::new(response::INVALID_PARAMETER, format!("Topic [{name}] type not match.")))
    }
}

async fn bound_topic(link: &Link, group: &GroupName) -> Result<Option<String>, Failure> {
    let request = GroupRequest { group: group.clone() };
    let found = admin::run::<GroupGet>(link.engine(), &Session::internal(), request).await;
    let found = found.map_err(|error| match error {
        AdminError::NotFound(_) => {
            Failure::new(response::SUBSCRIPTION_GROUP_NOT_EXIST, format!("Group [{group}] not exist."))
        }
        other => other.into(),
    })?;
    Ok(found.config.lite_parent().map(str::to_owned))
}

/// Refuses a group that is not bound to the parent.
pub(crate) async fn bound_to(link: &Link, group: &GroupName, parent: &TopicConfig) -> Result<(), Failure> {
    if bound_topic(link, group).await?.as_deref() == Some(parent.name.as_str()) {
        return Ok(());
    }
    let text = format!("subscription bind topic not match, {group}");
    Err(Failure::new(response::INVALID_PARAMETER, text))
}

async fn lite_group(link: &Link, group: &GroupName) -> Result<(), Failure> {
    match bound_topic(link, group).await? {
        Some(_) => Ok(()),
        None => {
            Err(Failure::new(response::INVALID_PARAMETER, format!("Group [{group}] is not a LITE group.")))
        }
    }
}

pub(super) async fn broker(link: &Link) -> Answer {
    let node = run::<LiteNode>(link, Empty {}).await?;
    let body = BrokerInfo {
        store_type: "apogee",
        max_lmq_num: node.lite_topics_max,
        current_lmq_num: node.lite_topics,
        lite_subscription_count: node.subscriptions,
        order_info_count: node.cursors_in_memory,
        cq_table_size: node.lite_topics,
        offset_table_size: node.cursors_in_memory,
        event_map_size: node.clients_with_news,
        topic_meta: node.parents,
        group_meta: node.groups,
    };
    Ok(success(Fields::new(), json::write(&body)))
}

pub(super) async fn parent_info(link: &Link, request: &Command) -> Answer {
    let config = parent(link, request.fields.required("topic")?).await?;
    let found = run::<LiteParent>(link, LiteParentRequest { topic: config.name }).await?;
    let body = ParentInfo {
        topic: found.topic,
        ttl: found.expiration_minutes.unwrap_or(-1),
        groups: found.groups,
        lmq_num: found.lite_topics_in_all,
        lite_topic_count: found.lite_topics,
    };
    Ok(success(Fields::new(), json::write(&body)))
}

pub(super) async fn topic(link: &Link, request: &Command) -> Answer {
    let config = parent(link, request.fields.required("parentTopic")?).await?;
    let lite_topic = request.fields.required("liteTopic")?.to_owned();
    let asked = LiteTopicRequest { topic: config.name, lite_topic: lite_topic.clone() };
    let found = run::<LiteGet>(link, asked).await?;
    let state = found.state.as_ref();
    let body = TopicInfo {
        parent_topic: found.topic,
        lite_topic,
        subscriber: found
            .subscribers
            .into_iter()
            .map(|subscriber| ClientGroup { client_id: subscriber.client_id, group: subscriber.group })
            .collect(),
        topic_offset: TopicOffset {
            min_offset: state.map_or(0, |state| state.min_offset),
            max_offset: state.map_or(0, |state| state.max_offset),
            last_update_timestamp: state.map_or(0, |state| state.last_stored_ms),
        },
        sharding_to_broker: true,
    };
    Ok(success(Fields::new(), json::write(&body)))
}

pub(super) async fn client(link: &Link, request: &Command) -> Answer {
    let fields = &request.fields;
    let config = parent(link, fields.required("parentTopic")?).await?;
    let group = GroupName::new(fields.required("group")?)?;
    if bound_topic(link, &group).await?.as_deref() != Some(config.name.as_str()) {
        let text = format!("Subscription [{group}]-[{}] not match.", config.name);
        return Err(Failure::new(response::INVALID_PARAMETER, text));
    }
    let client_id = fields.required("clientId")?.to_owned();
    let limit = fields.get("maxCount").and_then(|count| count.parse().ok());
    let asked = LiteClientRequest {
        topic: config.name.clone(),
        group: group.clone(),
        client_id: client_id.clone(),
        limit,
    };
    let found = run::<LiteClient>(link, asked).await?;
    let body = ClientInfo {
        parent_topic: config.name,
        group,
        client_id,
        last_access_time: found.last_seen_ms,
        last_consume_time: found.last_received_ms,
        lite_topic_count: found.count.map_or(-1, |count| i64::try_from(count).unwrap_or(i64::MAX)),
        lite_topic_set: found.lite_topics,
    };
    Ok(success(Fields::new(), json::write(&body)))
}

pub(super) async fn group(link: &Link, request: &Command) -> Answer {
    let fields = &request.fields;
    let group = GroupName::new(fields.required("group")?)?;
    lite_group(link, &group).await?;
    let lite_topic = fields.get("liteTopic").filter(|lite| !lite.is_empty()).map(str::to_owned);
    let top = fields.get("topK").and_then(|top| top.parse().ok());
    let asked = LiteGroupRequest { group, lite_topic: lite_topic.clone(), top };
    let found = run::<LiteGroup>(link, asked).await?;
    let tops =
        |lags: Vec<LiteLag>| lite_topic.is_none().then(|| lags.into_iter().map(LagInfo::from).collect());
    let body = GroupInfo {
        group: found.group,
        parent_topic: found.topic,
        earliest_unconsumed_timestamp: found.oldest_ms,
        total_lag_count: found.lag,
        lite_topic_offset_wrapper: found.place.map(|place| OffsetWrapper {
            broker_offset: place.max_offset,
            consumer_offset: place.committed_offset,
            last_timestamp: place.last_settled_ms,
        }),
        lag_count_top_k: tops(found.most_behind),
        lag_timestamp_top_k: tops(found.longest_behind),
        lite_topic,
    };
    Ok(success(Fields::new(), json::write(&body)))
}

pub(super) async fn dispatch(link: &Link, request: &Command) -> Answer {
    let group = GroupName::new(request.fields.required("group")?)?;
    lite_group(link, &group).await?;
    let client_id = request.fields.get("clientId").filter(|id| !id.is_empty()).map(str::to_owned);
    run::<LiteDispatch>(link, LiteDispatchRequest { group, client_id }).await?;
    Ok(crate::handlers::done())
}
