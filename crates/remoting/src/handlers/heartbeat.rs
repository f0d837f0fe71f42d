//! `HEART_BEAT`: a client lives, and says what it does (`ClientManageProcessor`).
//!
//! Version 2 (a fingerprint that is not 0) leaves the subscriptions out while they are the
//! same; the answer's `IS_SUB_CHANGE` asks for them again.

use std::collections::HashMap;
use std::sync::Arc;

use model::membership::{ConsumerBeat, Heartbeat, Subscription};
use model::{Filter, GroupName, TopicName};

use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::json::{self, ConsumerData, HeartbeatData};
use crate::link::Link;

use super::{Answer, success};

pub(super) async fn heartbeat(link: &Arc<Link>, request: &Command) -> Answer {
    let data: HeartbeatData = json::read(&request.body)?;
    let consumers: Vec<ConsumerBeat> =
        data.consumer_data_set.iter().map(consumer).collect::<Result<_, _>>()?;
    let producers = data.producer_data_set.iter().map(|producer| GroupName::new(&producer.group_name));
    let beat = Heartbeat {
        client_id: data.client_id.clone(),
        language: request.language.name().to_owned(),
        version: request.version,
        producers: producers.collect::<Result<_, _>>()?,
        with_subscriptions: !data.without_sub,
        consumers,
    };
    link.saw_client(&data.client_id);
    if beat.with_subscriptions {
        for consumer in &beat.consumers {
            link.subscribed(&consumer.group, filters(consumer));
        }
    }
    let answer = link.engine().heartbeat(&link.session, beat).await?;
    let changed = data.heartbeat_fingerprint == 0 || answer.subscriptions_changed;
    let fields = Fields::new().with("IS_SUPPORT_HEART_BEAT_V2", true).with("IS_SUB_CHANGE", changed);
    Ok(success(fields, Body::default()))
}

fn consumer(data: &ConsumerData) -> Result<ConsumerBeat, Failure> {
    let mut subscriptions = Vec::with_capacity(data.subscription_data_set.len());
    for subscription in &data.subscription_data_set {
        subscriptions.push(Subscription {
            topic: TopicName::new(&subscription.topic)?,
            filter: subscription.filter(),
            version: subscription.sub_version,
        });
    }
    Ok(ConsumerBeat {
        group: GroupName::new(&data.group_name)?,
        how: data.how(),
        model: data.model(),
        start: data.start(),
        subscriptions,
    })
}

fn filters(consumer: &ConsumerBeat) -> HashMap<TopicName, Filter> {
    consumer.subscriptions.iter().map(|s| (s.topic.clone(), s.filter.clone())).collect()
}
