//! What a client says of itself, and what it is told to do.
//!
//! Facts: `GrpcClientSettingsManager`, `ProxyConfig` of RocketMQ 5.5. The answer is the client's
//! own settings with the server's word on attempts, pauses, batches and order.

use model::membership::{BeatStart, ConsumeHow, ConsumeModel, ConsumerBeat, Subscription as Beaten};
use model::{Endpoint, GroupConfig, GroupName, RetryPolicy, TopicName};

use crate::answer::Refusal;
use crate::config::GrpcConfig;
use crate::convert::names::{endpoints, filter};
use crate::convert::time::{span_of_ms, span_to_ms};
use crate::limits::{CLIENT_PROPERTIES_MAX, CLIENT_PROPERTY_BYTES_MAX, CLIENT_TOPICS_MAX};
use crate::proto::retry_policy::Strategy;
use crate::proto::settings::PubSub;
use crate::proto::{
    self, ClientType, Code, CustomizedBackoff, ExponentialBackoff, Metric, Publishing, Settings, Subscription,
};
use crate::validate;

#[cfg(test)]
mod tests;

/// What is kept of a client's settings.
#[derive(Debug, Clone)]
pub(crate) struct ClientSettings {
    pub(crate) role: Role,
    /// How long the client waits for an ordinary answer.
    pub(crate) request_timeout_ms: i64,
}

#[derive(Debug, Clone)]
pub(crate) enum Role {
    Producer {
        /// The topics, as groups: a 5.x producer is known by its topics.
        groups: Vec<GroupName>,
    },
    Consumer(ConsumerBeat),
    /// A client that works without having sent settings, as Go and Python clients do for minutes
    /// after the server has started anew.
    Unsaid,
}

impl Role {
    pub(crate) fn group(&self) -> Option<&GroupName> {
        match self {
            Self::Producer { .. } | Self::Unsaid => None,
            Self::Consumer(beat) => Some(&beat.group),
        }
    }
}

/// Checks settings and keeps what matters. `version` tells newer subscriptions from older ones.
pub(crate) fn parse(settings: &Settings, version: i64) -> Result<ClientSettings, Refusal> {
    check_client_properties(settings)?;
    let role = match &settings.pub_sub {
        None => {
            return Err(Refusal::new(
                Code::BadRequest,
                "there is no publishing or subscription data in settings",
            ));
        }
        Some(PubSub::Publishing(publishing)) => Role::Producer { groups: producer_groups(publishing)? },
        Some(PubSub::Subscription(subscription)) => {
            Role::Consumer(consumer_beat(settings.client_type(), subscription, version)?)
        }
    };
    let request_timeout_ms = settings.request_timeout.as_ref().map_or(0, span_to_ms).max(0);
    Ok(ClientSettings { role, request_timeout_ms })
}

fn check_client_properties(settings: &Settings) -> Result<(), Refusal> {
    let bytes: usize = settings.client_properties.iter().map(|(key, value)| key.len() + value.len()).sum();
    if settings.client_properties.len() > CLIENT_PROPERTIES_MAX || bytes > CLIENT_PROPERTY_BYTES_MAX {
        let text = format!(
            "client properties are at most {CLIENT_PROPERTIES_MAX}, of {CLIENT_PROPERTY_BYTES_MAX} bytes in all"
        );
        return Err(Refusal::new(Code::InvalidClientProperties, text));
    }
    Ok(())
}

fn check_count(count: usize) -> Result<(), Refusal> {
    if count > CLIENT_TOPICS_MAX {
        let text = format!("a client names {count} topics, the most allowed is {CLIENT_TOPICS_MAX}");
        return Err(Refusal::new(Code::BadRequest, text));
    }
    Ok(())
}

fn producer_groups(publishing: &Publishing) -> Result<Vec<GroupName>, Refusal> {
    check_count(publishing.topics.len())?;
    publishing.topics.iter().map(|topic| producer_group(&validate::topic(Some(topic))?)).collect()
}

/// The group of a topic's producers.
pub(crate) fn producer_group(topic: &TopicName) -> Result<GroupName, Refusal> {
    GroupName::new(topic.as_str()).map_err(|error| Refusal::new(Code::IllegalTopic, error.to_string()))
}

fn consumer_beat(
    kind: ClientType,
    subscription: &Subscription,
    version: i64,
) -> Result<ConsumerBeat, Refusal> {
    let how = match kind {
        ClientType::PushConsumer | ClientType::LitePushConsumer => ConsumeHow::Push,
        ClientType::SimpleConsumer | ClientType::PullConsumer | ClientType::LiteSimpleConsumer => {
            ConsumeHow::Pull
        }
        ClientType::Producer | ClientType::Unspecified => {
            let text = format!("a client of type {} does not subscribe", kind.as_str_name());
            return Err(Refusal::new(Code::UnrecognizedClientType, text));
        }
    };
    check_count(subscription.subscriptions.len())?;
    let group = validate::group(subscription.group.as_ref())?;
    let subscriptions = subscription
        .subscriptions
        .iter()
        .map(|entry| {
            let topic = validate::topic(entry.topic.as_ref())?;
            Ok(Beaten { topic, filter: filter(entry.expression.as_ref()), version })
        })
        .collect::<Result<Vec<_>, Refusal>>()?;
    Ok(ConsumerBeat { group, how, model: ConsumeModel::Clustering, start: BeatStart::Last, subscriptions })
}

/// The client's settings with the server's word in them. `metrics_at`: where it is to report what it measures,
/// if it is to.
pub(crate) fn merge(
    mut settings: Settings,
    group: Option<&GroupConfig>,
    metrics_at: Option<&Endpoint>,
    config: &GrpcConfig,
) -> Settings {
    match &mut settings.pub_sub {
        Some(PubSub::Publishing(publishing)) => {
            publishing.max_body_size = i32::try_from(model::limits::BODY_BYTES_MAX).unwrap_or(i32::MAX);
            publishing.validate_message_type = true;
            settings.backoff_policy = Some(producer_backoff(config));
        }
        Some(PubSub::Subscription(subscription)) => {
            let max = i32::try_from(model::limits::RECEIVE_MESSAGES_MAX).unwrap_or(i32::MAX);
            subscription.receive_batch_size = Some(max);
            subscription.long_polling_timeout = Some(span_of_ms(config.long_poll_max_ms));
            subscription.fifo = Some(group.is_some_and(|group| group.ordered));
            if let Some(group) = group.filter(|group| group.lite_parent().is_some()) {
                let number = |number: usize| i32::try_from(number).unwrap_or(i32::MAX);
                subscription.lite_subscription_quota = Some(number(group.lite_client_quota()));
                subscription.max_lite_topic_size = Some(number(model::limits::LITE_TOPIC_BYTES_MAX));
            }
            settings.backoff_policy = Some(consumer_backoff(group));
        }
        None => {}
    }
    settings.metric = Some(Metric { on: metrics_at.is_some(), endpoints: metrics_at.map(endpoints) });
    settings
}

fn producer_backoff(config: &GrpcConfig) -> proto::RetryPolicy {
    let strategy = ExponentialBackoff {
        initial: Some(span_of_ms(config.producer_backoff_initial_ms)),
        max: Some(span_of_ms(config.producer_backoff_max_ms)),
        multiplier: 2.0,
    };
    let strategy = Some(Strategy::ExponentialBackoff(strategy));
    proto::RetryPolicy { max_attempts: config.producer_attempts, strategy }
}

/// Deliveries of one message: the first and its retries.
pub(crate) fn attempts_max(group: Option<&GroupConfig>) -> u32 {
    group.map_or(16, |group| group.retry_max_times).saturating_add(1)
}

fn consumer_backoff(group: Option<&GroupConfig>) -> proto::RetryPolicy {
    let policy = group.map_or_else(RetryPolicy::default, |group| group.retry_policy.clone());
    let strategy = match policy {
        RetryPolicy::Customized { next_ms } => Strategy::CustomizedBackoff(CustomizedBackoff {
            next: next_ms.into_iter().map(span_of_ms).collect(),
        }),
        RetryPolicy::Exponential { initial_ms, max_ms, multiplier } => {
            Strategy::ExponentialBackoff(ExponentialBackoff {
                initial: Some(span_of_ms(initial_ms)),
                max: Some(span_of_ms(max_ms)),
                multiplier: f32::from(u16::try_from(multiplier).unwrap_or(u16::MAX)),
            })
        }
    };
    let max_attempts = i32::try_from(attempts_max(group)).unwrap_or(i32::MAX);
    proto::RetryPolicy { max_attempts, strategy: Some(strategy) }
}
