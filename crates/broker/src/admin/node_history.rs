//! `node.history`: a node's last hour, for charts.

use model::Session;
use model::admin::{AdminError, History, HistoryRequest, NodeHistory};

use super::Run;
use crate::broker::Broker;

impl Run for NodeHistory {
    async fn run(broker: &Broker, _: &Session, request: HistoryRequest) -> Result<History, AdminError> {
        Ok(broker.hour.after(request.after_ms.unwrap_or(i64::MIN)))
    }
}
