//! `GET_ROUTEINFO_BY_TOPIC`: where a topic's queues are (`ClientRequestProcessor`,
//! `TopicRouteData`). Keys of `brokerAddrs` are always quoted: every client reads that.

use std::collections::BTreeMap;
use std::sync::Arc;

use model::TopicName;
use model::verbs::Route;
use serde::Serialize;

use crate::error::Failure;
use crate::frame::Command;
use crate::header::Fields;
use crate::json;
use crate::link::Link;

use super::{Answer, success};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RouteBody<'a> {
    broker_datas: Vec<BrokerData>,
    filter_server_table: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    order_topic_conf: Option<&'a str>,
    queue_datas: Vec<QueueData<'a>>,
}

/// `BrokerData`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrokerData {
    pub(crate) broker_addrs: BTreeMap<String, String>,
    pub(crate) broker_name: String,
    pub(crate) cluster: String,
    pub(crate) enable_acting_master: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct QueueData<'a> {
    broker_name: &'a str,
    perm: u32,
    read_queue_nums: u32,
    topic_sys_flag: i32,
    write_queue_nums: u32,
}

pub(super) async fn route(link: &Arc<Link>, request: &Command) -> Answer {
    let name = request.fields.required("topic")?;
    // A name that no topic can have is the name of no topic.
    let topic = TopicName::new(name).map_err(|_| {
        let shown: String = name.chars().take(model::limits::DERIVED_TOPIC_NAME_BYTES_MAX).collect();
        let remark = format!("No topic route info in name server for the topic: {shown}");
        Failure::new(crate::code::response::TOPIC_NOT_EXIST, remark)
    })?;
    let route = link.engine().route(&link.session, &topic).await?;
    Ok(success(Fields::new(), json::write(&body(&route))))
}

fn body(route: &Route) -> RouteBody<'_> {
    let broker = |share: &model::verbs::RouteShare| BrokerData {
        broker_addrs: share.replicas.iter().map(|(id, at)| (id.to_string(), at.to_string())).collect(),
        broker_name: share.broker_name.clone(),
        cluster: share.cluster.clone(),
        enable_acting_master: false,
    };
    let queue = |share| -> QueueData<'_> {
        let share: &model::verbs::RouteShare = share;
        QueueData {
            broker_name: &share.broker_name,
            perm: route.config.permission.0,
            read_queue_nums: share.read_queues,
            topic_sys_flag: route.config.system_flag,
            write_queue_nums: share.write_queues,
        }
    };
    RouteBody {
        broker_datas: route.shares.iter().map(broker).collect(),
        filter_server_table: BTreeMap::new(),
        order_topic_conf: route.order_config.as_deref(),
        queue_datas: route.shares.iter().map(queue).collect(),
    }
}
