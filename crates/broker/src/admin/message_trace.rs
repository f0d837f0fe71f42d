//! `message.trace`: the life of messages. See [`crate::trace`].

use model::Session;
use model::admin::{AdminError, MessageTrace, MessageTraceGet, MessageTraceRequest};

use super::Run;
use crate::broker::Broker;
use crate::trace;

impl Run for MessageTraceGet {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: MessageTraceRequest,
    ) -> Result<MessageTrace, AdminError> {
        trace::run(broker, request).await
    }
}
