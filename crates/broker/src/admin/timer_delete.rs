//! `timer.delete`: a timed message that waits, or a series, by its message id.

use model::Session;
use model::admin::{AdminError, TimerDelete, TimerDeleteRequest, TimerDeleted};

use super::Run;
use crate::broker::Broker;

impl Run for TimerDelete {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: TimerDeleteRequest,
    ) -> Result<TimerDeleted, AdminError> {
        let TimerDeleteRequest { topic, message_id } = request;
        if broker.state.topic(&topic).is_none() {
            return Err(AdminError::NotFound(format!("topic {topic}")));
        }
        match broker.cancel_timer(&topic, &message_id).await? {
            0 => Err(AdminError::NotFound(format!("a timed message {message_id} that waits"))),
            cancelled => Ok(TimerDeleted { cancelled }),
        }
    }
}
