//! `health.list`: what is at risk, riskiest first, as the last look saw it.

use model::Session;
use model::admin::{AdminError, HealthList, HealthListRequest, HealthReport};

use super::Run;
use crate::broker::Broker;
use crate::limits::{HEALTH_ITEMS_DEFAULT, HEALTH_ITEMS_MAX};

impl Run for HealthList {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: HealthListRequest,
    ) -> Result<HealthReport, AdminError> {
        let limit = request.limit.map_or(HEALTH_ITEMS_DEFAULT, |limit| limit as usize).min(HEALTH_ITEMS_MAX);
        let report = broker.health.report();
        let wanted = report.items.iter().filter(|item| request.subject.is_none_or(|of| of == item.subject));
        Ok(HealthReport { at_ms: report.at_ms, items: wanted.take(limit).cloned().collect() })
    }
}
