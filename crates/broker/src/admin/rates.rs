//! `rates.get`, `rates.list`: what passed in the last minute, hour and day.

use model::Session;
use model::admin::{AdminError, Rates, RatesGet, RatesList, RatesListRequest, RatesRequest, RatesRow};

use super::Run;
use crate::broker::Broker;
use crate::limits::RATES_PER_ANSWER_MAX;

const ROWS_DEFAULT: usize = 100;

impl Run for RatesGet {
    async fn run(broker: &Broker, _: &Session, request: RatesRequest) -> Result<Rates, AdminError> {
        broker.rates_of(&request)
    }
}

impl Run for RatesList {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: RatesListRequest,
    ) -> Result<Vec<RatesRow>, AdminError> {
        let max = request.max.map_or(ROWS_DEFAULT, |max| max as usize);
        Ok(broker.busiest(request.of, max.min(RATES_PER_ANSWER_MAX)))
    }
}
