//! `POP_MESSAGE`: hands out messages that nobody of the group holds (`PopMessageProcessor`).
//! How the receipts travel: [`crate::handle`].

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use bytes::Bytes;
use model::decimal::decimal;
use model::message::Delivery;
use model::verbs::{Receive, Received, StartFrom};
use model::{GroupName, Lsn, Offset, QueueId, Receipt, TopicName, properties, record};

use crate::code::response;
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::handle::{self, Home};
use crate::header::Fields;
use crate::json;
use crate::limits::HOLD_MS_MAX;
use crate::link::Link;

use super::{Answer, success};

pub(super) async fn pop(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let group = GroupName::new(fields.required("consumerGroup")?)?;
    let topic = TopicName::new(fields.required("topic")?)?;
    let order = fields.flag("order");
    let receive = Receive {
        group: group.clone(),
        topic: topic.clone(),
        queue: queue(fields)?,
        filter: json::filter(fields.get("exp"), fields.get("expType")),
        max_messages: count(fields)?,
        invisible_ms: fields.parse("invisibleTime")?,
        wait_ms: fields.parse::<i64>("pollTime")?.clamp(0, HOLD_MS_MAX),
        attempt_id: fields.get("attemptId").filter(|id| !id.is_empty()).map(str::to_owned),
        ordered: Some(order),
        start: if fields.parse::<i32>("initMode")? == 0 { StartFrom::First } else { StartFrom::Last },
        client_id: link.client_id(),
    };
    let asked = Asked { group, topic, order };
    let received = link.hold(link.engine().receive(&link.session, receive)).await??;
    let broker_name = &link.server.node().await?.broker_name;
    Ok(answer(&received, &asked, broker_name))
}

/// A negative queue means any.
pub(super) fn queue(fields: &Fields) -> Result<Option<QueueId>, Failure> {
    Ok(u32::try_from(fields.parse::<i64>("queueId")?).ok().map(QueueId))
}

fn count(fields: &Fields) -> Result<u32, Failure> {
    let count: i64 = fields.parse("maxMsgNums")?;
    let legal = u32::try_from(count).ok().filter(|n| (1..=model::limits::RECEIVE_MESSAGES_MAX).contains(n));
    legal.ok_or_else(|| {
        let most = model::limits::RECEIVE_MESSAGES_MAX;
        Failure::new(
            response::INVALID_PARAMETER,
            format!("pop asks for {count} messages, allowed are 1 to {most}"),
        )
    })
}

struct Asked {
    group: GroupName,
    topic: TopicName,
    order: bool,
}

/// The texts of the answer, and which nonce each (home, queue) has in them.
#[derive(Default)]
struct Info {
    start: String,
    offsets: String,
    order_counts: String,
    nonces: BTreeMap<(Home, QueueId), Lsn>,
}

fn answer(received: &Received, asked: &Asked, broker_name: &str) -> Command {
    let deliveries = &received.deliveries;
    let page = deliveries.iter().map(|d| handle::page(d.receipt.nonce)).max().unwrap_or_default();
    let info = info(deliveries, asked, page);
    let body: Body =
        deliveries.iter().map(|delivery| bytes(delivery, asked, &info, page, broker_name)).collect();
    let mut fields = Fields::new()
        .with("popTime", received.delivered_ms)
        .with("invisibleTime", received.invisible_ms)
        .with("reviveQid", page)
        .with("restNum", received.rest);
    if deliveries.is_empty() {
        return Command { code: response::POLLING_TIMEOUT, ..success(fields, body) };
    }
    fields.push_text("startOffsetInfo", &info.start);
    fields.push_text("msgOffsetInfo", &info.offsets);
    if asked.order && !info.order_counts.is_empty() {
        fields.push_text("orderCountInfo", &info.order_counts);
    }
    success(fields, body)
}

fn home(receipt: &Receipt, asked: &Asked) -> Home {
    Home::of(&asked.topic, &receipt.topic, &asked.group)
}

/// Groups the deliveries as the client does: by home and queue, offsets ascending.
fn info(deliveries: &[Delivery], asked: &Asked, page: u64) -> Info {
    let mut queues: BTreeMap<(Home, QueueId), Vec<(Offset, Lsn)>> = BTreeMap::new();
    for delivery in deliveries {
        let receipt = &delivery.receipt;
        let key = (home(receipt, asked), receipt.queue);
        queues.entry(key).or_default().push((receipt.offset, receipt.nonce));
    }
    let mut info = Info::default();
    for ((home, queue), mut offsets) in queues {
        offsets.sort_unstable();
        let Some((first, nonce)) = offsets.first().copied() else { continue };
        let start = handle::start_offset(nonce, first, page);
        if start.is_some() {
            info.nonces.insert((home, queue), nonce);
        }
        append(&mut info.start, format_args!("{} {queue} {}", home.digit(), start.unwrap_or(first.0)));
        append(&mut info.offsets, format_args!("{} {queue} ", home.digit()));
        for (at, (offset, _)) in offsets.iter().enumerate() {
            if at > 0 {
                info.offsets.push(',');
            }
            decimal(offset.get(), |digits| info.offsets.push_str(digits));
        }
    }
    for delivery in deliveries.iter().filter(|d| d.attempt > 1) {
        let Receipt { queue, offset, .. } = delivery.receipt;
        let digit = home(&delivery.receipt, asked).digit();
        append(&mut info.order_counts, format_args!("{digit} qo{queue}%{offset} {}", delivery.attempt - 1));
    }
    info
}

fn append(list: &mut String, item: std::fmt::Arguments<'_>) {
    if !list.is_empty() {
        list.push(';');
    }
    let _ = list.write_fmt(item);
}

/// The message as it stands, unless the client must see it otherwise: a retried one is shown
/// under the topic that was asked for, with its number of retries and its handle.
fn bytes(delivery: &Delivery, asked: &Asked, info: &Info, page: u64, broker_name: &str) -> Bytes {
    let Delivery { message, receipt, attempt } = delivery;
    let home = home(receipt, asked);
    let retries = attempt.saturating_sub(1).max(message.reconsume_times());
    let in_place = home == Home::Topic
        && message.topic() == asked.topic.as_str()
        && (message.queue(), message.offset()) == (receipt.queue, receipt.offset)
        && (asked.order || retries == message.reconsume_times());
    let known = handle::start_offset(receipt.nonce, receipt.offset, page).is_some()
        && info.nonces.get(&(home, receipt.queue)) == Some(&receipt.nonce);
    if in_place && known {
        return message.bytes().clone();
    }
    let mut shown = message.to_new();
    shown.reconsume_times = retries;
    shown.properties.set(properties::POP_CHECK_POINT, &handle::check_point(receipt, home, broker_name));
    let place = record::Placement {
        topic: asked.topic.as_str(),
        queue: receipt.queue,
        offset: receipt.offset,
        ..message.placement()
    };
    let mut out = Vec::new();
    record::encode(&mut out, &shown, &place);
    out.into()
}
