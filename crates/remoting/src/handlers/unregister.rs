//! `UNREGISTER_CLIENT`: a client leaves a group (`ClientManageProcessor`).

use std::sync::Arc;

use model::GroupName;
use model::membership::LeaveScope;

use crate::frame::Command;
use crate::link::Link;

use super::{Answer, done};

pub(super) async fn unregister(link: &Arc<Link>, request: &Command) -> Answer {
    let client_id = request.fields.required("clientID")?;
    let group =
        |name| request.fields.get(name).filter(|text| !text.is_empty()).map(GroupName::new).transpose();
    let (producer, consumer) = (group("producerGroup")?, group("consumerGroup")?);
    if let Some(consumer) = &consumer {
        link.unsubscribed(consumer);
    }
    link.engine().leave(&link.session, client_id, LeaveScope::Groups { producer, consumer }).await;
    Ok(done())
}
