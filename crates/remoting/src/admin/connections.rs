//! Who is connected (`ConsumerConnection`, `ProducerConnection`).

use std::collections::BTreeMap;

use model::admin::{self, ClientList, ClientListRequest};
use model::membership::{BeatStart, ConsumeHow, ConsumeModel, ConsumerBeat, Member, Subscription};
use model::{Endpoint, GroupName};
use serde::Serialize;

use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, success};
use crate::header::Fields;
use crate::json;
use crate::link::Link;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Connection<'a> {
    client_addr: String,
    client_id: &'a str,
    language: &'a str,
    version: i32,
}

impl<'a> From<&'a Member> for Connection<'a> {
    fn from(member: &'a Member) -> Self {
        Self {
            client_addr: Endpoint::from(member.session.peer).to_string(),
            client_id: &member.client_id,
            language: &member.language,
            version: member.version,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Consumers<'a> {
    connection_set: Vec<Connection<'a>>,
    consume_from_where: &'static str,
    consume_type: &'static str,
    message_model: &'static str,
    subscription_table: BTreeMap<&'a str, SubscriptionBody<'a>>,
}

/// `SubscriptionData`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SubscriptionBody<'a> {
    class_filter_mode: bool,
    code_set: Vec<i32>,
    expression_type: &'static str,
    sub_string: &'a str,
    sub_version: i64,
    tags_set: Vec<&'a str>,
    topic: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Producers<'a> {
    connection_set: Vec<Connection<'a>>,
}

pub(super) async fn consumers(link: &Link, request: &Command) -> Answer {
    let group = GroupName::new(request.fields.required("consumerGroup")?)?;
    let members = link.engine().members(&link.session, &group).await?;
    let Some(consumer) = members.iter().find_map(|member| member.consumer.as_ref()) else {
        let remark = format!("the consumer group[{group}] not online");
        return Err(Failure::new(response::CONSUMER_NOT_ONLINE, remark));
    };
    let body = Consumers {
        connection_set: members.iter().map(Connection::from).collect(),
        consume_from_where: match consumer.start {
            BeatStart::Last => "CONSUME_FROM_LAST_OFFSET",
            BeatStart::First => "CONSUME_FROM_FIRST_OFFSET",
            BeatStart::Time => "CONSUME_FROM_TIMESTAMP",
        },
        consume_type: match consumer.how {
            ConsumeHow::Pull => "CONSUME_ACTIVELY",
            ConsumeHow::Push => "CONSUME_PASSIVELY",
            ConsumeHow::Pop => "CONSUME_POP",
        },
        message_model: match consumer.model {
            ConsumeModel::Broadcasting => "BROADCASTING",
            ConsumeModel::Clustering => "CLUSTERING",
        },
        subscription_table: subscriptions(consumer),
    };
    Ok(success(Fields::new(), json::write(&body)))
}

impl<'a> From<&'a Subscription> for SubscriptionBody<'a> {
    fn from(subscription: &'a Subscription) -> Self {
        let tags = subscription.filter.tags().unwrap_or_default();
        Self {
            class_filter_mode: false,
            code_set: tags.iter().map(|tag| model::filter::tag_hash(tag)).collect(),
            expression_type: json::filter_kind(&subscription.filter),
            sub_string: &subscription.filter.expression,
            sub_version: subscription.version,
            tags_set: tags,
            topic: subscription.topic.as_str(),
        }
    }
}

fn subscriptions(consumer: &ConsumerBeat) -> BTreeMap<&str, SubscriptionBody<'_>> {
    consumer.subscriptions.iter().map(|each| (each.topic.as_str(), each.into())).collect()
}

pub(super) async fn producers(link: &Link, request: &Command) -> Answer {
    let group = GroupName::new(request.fields.required("producerGroup")?)?;
    let members = link.engine().producers(&link.session, &group).await?;
    if members.is_empty() {
        return Err(Failure::new(response::SYSTEM_ERROR, format!("the producer group[{group}] not exist")));
    }
    let connection_set = members.iter().map(Connection::from).collect();
    Ok(success(Fields::new(), json::write(&Producers { connection_set })))
}

/// `ProducerInfo`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProducerBody {
    client_id: String,
    language: String,
    last_update_timestamp: i64,
    #[serde(rename = "remoteIP")]
    remote_ip: String,
    version: i32,
}

/// `GET_ALL_PRODUCER_INFO`: producers by group (`ProducerTableInfo`).
pub(super) async fn all_producers(link: &Link) -> Answer {
    let clients =
        admin::run::<ClientList>(link.engine(), &link.session, ClientListRequest::default()).await?;
    let mut data: BTreeMap<String, Vec<ProducerBody>> = BTreeMap::new();
    for client in clients {
        for group in &client.producers {
            data.entry(group.as_str().to_owned()).or_default().push(ProducerBody {
                client_id: client.client_id.clone(),
                language: client.language.clone(),
                last_update_timestamp: client.last_seen_ms,
                remote_ip: client.address.clone(),
                version: client.version,
            });
        }
    }
    Ok(success(Fields::new(), json::write(&ProducerTable { data })))
}

/// `ProducerTableInfo`
#[derive(Serialize)]
struct ProducerTable {
    data: BTreeMap<String, Vec<ProducerBody>>,
}
