//! Rates (`BrokerStatsManager`): `VIEW_BROKER_STATS_DATA`, and the numbers that other tables carry.

use model::admin::{self, AdminError, RateOf, Rates, RatesGet, RatesRequest, Window};
use model::{GroupName, TopicName};
use serde::Serialize;

use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::handlers::{Answer, success};
use crate::header::Fields;
use crate::json;
use crate::link::Link;

/// What a statistic of the original is here.
struct Statistic {
    of: RateOf,
    unit: Unit,
    key: Key,
}

#[derive(Clone, Copy)]
enum Unit {
    Messages,
    Bytes,
}

/// What its key names.
#[derive(Clone, Copy)]
enum Key {
    /// The cluster: there is one.
    Node,
    Topic,
    /// `topic@group`
    Reader,
}

/// `Stats`, and the names beside it in `BrokerStatsManager`. What is not counted here is unknown.
fn statistic(name: &str) -> Option<Statistic> {
    let (of, unit, key) = match name {
        "TOPIC_PUT_NUMS" => (RateOf::Sent, Unit::Messages, Key::Topic),
        "TOPIC_PUT_SIZE" => (RateOf::Sent, Unit::Bytes, Key::Topic),
        "GROUP_GET_NUMS" => (RateOf::Received, Unit::Messages, Key::Reader),
        "GROUP_GET_SIZE" => (RateOf::Received, Unit::Bytes, Key::Reader),
        "SNDBCK_PUT_NUMS" => (RateOf::SentBack, Unit::Messages, Key::Reader),
        "BROKER_PUT_NUMS" => (RateOf::Sent, Unit::Messages, Key::Node),
        "BROKER_GET_NUMS" => (RateOf::Received, Unit::Messages, Key::Node),
        _ => return None,
    };
    Some(Statistic { of, unit, key })
}

/// `BrokerStatsItem`
#[derive(Serialize)]
struct Item {
    /// How many in a call.
    avgpt: f64,
    sum: u64,
    tps: f64,
}

/// `BrokerStatsData`
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data {
    stats_day: Item,
    stats_hour: Item,
    stats_minute: Item,
}

impl Item {
    #[expect(clippy::cast_precision_loss, reason = "a rate need not be exact")]
    fn of(window: Window, unit: Unit) -> Self {
        let (sum, tps) = match unit {
            Unit::Messages => (window.messages, window.per_second),
            Unit::Bytes => (window.bytes, window.bytes_per_second),
        };
        Self { avgpt: if window.calls == 0 { 0.0 } else { sum as f64 / window.calls as f64 }, sum, tps }
    }
}

/// `VIEW_BROKER_STATS_DATA`
pub(super) async fn view(link: &Link, request: &Command) -> Answer {
    let (name, key) = (request.fields.required("statsName")?, request.fields.required("statsKey")?);
    let unknown = || Failure::new(response::SYSTEM_ERROR, format!("The stats <{name}> <{key}> not exist"));
    let statistic = statistic(name).ok_or_else(unknown)?;
    let (topic, group) = match statistic.key {
        Key::Node => (None, None),
        Key::Topic => (Some(key), None),
        Key::Reader => key.rsplit_once('@').map(|(t, g)| (Some(t), Some(g))).ok_or_else(unknown)?,
    };
    let topic = topic.map(TopicName::new).transpose()?;
    let group = group.map(GroupName::new).transpose()?;
    let rates = of(link, RatesRequest { of: statistic.of, topic, group }).await?.ok_or_else(unknown)?;
    let item = |window| Item::of(window, statistic.unit);
    let data =
        Data { stats_day: item(rates.day), stats_hour: item(rates.hour), stats_minute: item(rates.minute) };
    Ok(success(Fields::new(), json::write(&data)))
}

/// Nothing, if nothing was counted yet.
async fn of(link: &Link, request: RatesRequest) -> Result<Option<Rates>, Failure> {
    match admin::run::<RatesGet>(link.engine(), &link.session, request).await {
        Ok(rates) => Ok(Some(rates)),
        Err(AdminError::NotFound(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Messages a second in the last minute.
pub(super) async fn per_second(
    link: &Link,
    of_what: RateOf,
    topic: Option<&TopicName>,
    group: Option<&GroupName>,
) -> Result<f64, Failure> {
    let request = RatesRequest { of: of_what, topic: topic.cloned(), group: group.cloned() };
    Ok(of(link, request).await?.map_or(0.0, |rates| rates.minute.per_second))
}
