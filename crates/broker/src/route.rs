//! `route`: where a topic's queues are. One node holds them all so far.

use std::sync::atomic::Ordering;

use model::names::AUTO_CREATE_TOPIC;
use model::verbs::{Route, RouteError, RouteShare};
use model::{Permission, Session, TopicConfig, TopicName};

use crate::broker::Broker;

/// Name-server namespace of the order of topics, as tools set it.
const ORDER_NAMESPACE: &str = "ORDER_TOPIC_CONFIG";

impl Broker {
    pub(crate) fn do_route(&self, session: &Session, topic: &TopicName) -> Result<Route, RouteError> {
        let mut config = self.route_config(topic).ok_or_else(|| RouteError::TopicNotFound(topic.clone()))?;
        if !self.routes_writes.load(Ordering::Relaxed) {
            config.permission.0 &= !Permission::WRITE;
        }
        let share = RouteShare {
            cluster: self.config.cluster.clone(),
            broker_name: self.config.name.clone(),
            replicas: vec![(0, session.advertised.clone())],
            read_queues: config.read_queues,
            write_queues: config.write_queues,
        };
        let order_config = self.state.key_value(ORDER_NAMESPACE, topic.as_str());
        Ok(Route { config, shares: vec![share], order_config })
    }

    fn route_config(&self, topic: &TopicName) -> Option<TopicConfig> {
        if let Some(topic) = self.state.topic(topic) {
            return Some(topic.config.clone());
        }
        // The topic that stands for "a send makes it": its permission is inherited.
        if topic.as_str() != AUTO_CREATE_TOPIC || !self.live().auto_create_topics {
            return None;
        }
        let mut config = TopicConfig::new(topic.clone(), self.live().auto_create_queues_max);
        config.permission = Permission(Permission::READ | Permission::WRITE | Permission::INHERIT);
        Some(config)
    }
}
