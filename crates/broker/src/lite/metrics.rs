//! What lite topics count.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Debug, Clone, Default)]
pub(crate) struct LiteMetrics {
    pub(crate) topics: Gauge,
    pub(crate) subscriptions: Gauge,
    pub(crate) clients: Gauge,
    /// Sends that would have made too many lite topics.
    pub(crate) topics_refused: Counter,
    /// Subscriptions beyond a client's or the node's limit.
    pub(crate) subscriptions_refused: Counter,
    pub(crate) expired: Counter,
    /// Exclusive subscriptions that another client took over.
    pub(crate) taken_over: Counter,
    /// Times that a client's list of news was full, so that it looks at all it wants.
    pub(crate) news_overflowed: Counter,
}

impl LiteMetrics {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("lite_topics", "Lite topics of all parents", self.topics.clone());
        registry.register(
            "lite_subscriptions",
            "Lite topics that clients subscribe to",
            self.subscriptions.clone(),
        );
        registry.register("lite_clients", "Clients of lite topics", self.clients.clone());
        registry.register(
            "lite_topics_refused",
            "Sends refused because there would be more lite topics than `lite_topics_max`",
            self.topics_refused.clone(),
        );
        registry.register(
            "lite_subscriptions_refused",
            "Subscriptions refused because of `lite.sub.client.quota` or `lite_subscriptions_max`",
            self.subscriptions_refused.clone(),
        );
        registry.register("lite_expired", "Lite topics deleted because they were idle", self.expired.clone());
        registry.register(
            "lite_taken_over",
            "Exclusive subscriptions that another client took over",
            self.taken_over.clone(),
        );
        registry.register(
            "lite_news_overflowed",
            "Times that more lite topics had news for a client than `lite.sub.client.max.event.cnt`",
            self.news_overflowed.clone(),
        );
    }
}
