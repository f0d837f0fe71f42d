//! `CHECK_CLIENT_CONFIG`: compiles a selector when a consumer starts (`ClientManageProcessor`).

use std::sync::Arc;

use model::FilterKind;

use crate::frame::Command;
use crate::json::{self, CheckClient};
use crate::link::Link;

use super::{Answer, done};

pub(super) async fn check(link: &Arc<Link>, request: &Command) -> Answer {
    let asked: CheckClient = json::read(&request.body)?;
    let filter = asked.subscription_data.map(|subscription| subscription.filter());
    if let Some(filter) = filter.filter(|filter| filter.kind != FilterKind::Tag) {
        link.engine().check_filter(&link.session, &filter).await?;
    }
    Ok(done())
}
