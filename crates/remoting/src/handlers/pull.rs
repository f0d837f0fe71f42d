//! `PULL_MESSAGE`, `LITE_PULL_MESSAGE`: reads a queue, waiting for messages if the client
//! wants that (`PullMessageProcessor`, `PullSysFlag`).
//!
//! A newer subscription than that of the last heartbeat is no reason to refuse: some clients
//! beat only 30 s later.

use std::sync::Arc;

use futures::FutureExt;
use model::limits::FETCH_MESSAGES_MAX;
use model::verbs::{Batches, CommitOffset, Fetch, FetchOutcome, Fetched};
use model::{Filter, GroupName, Offset, QueueId, TopicName};

use crate::code::{VERSION_UNPACKS_BATCHES, response};
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::json;
use crate::limits::{HOLD_MS_MAX, PULL_BYTES_DEFAULT, PULL_BYTES_MAX};
use crate::link::Link;

use super::{Answer, newest_subscription, success};

const COMMIT_OFFSET: i32 = 1;
const SUSPEND: i32 = 2;
const SUBSCRIPTION: i32 = 4;

/// Tools read by this name; every RocketMQ broker knows it, and nobody keeps its progress.
const TOOLS_GROUP: &str = "TOOLS_CONSUMER";

pub(super) async fn pull(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let group = GroupName::new(fields.required("consumerGroup")?)?;
    let topic = TopicName::new(fields.required("topic")?)?;
    let queue = queue(fields)?;
    let asked: i64 = fields.parse("queueOffset")?;
    let most: i64 = fields.parse("maxMsgNums")?;
    let flags: i32 = fields.parse("sysFlag")?;
    if flags & COMMIT_OFFSET != 0 {
        commit(link, &group, &topic, queue, fields.parse("commitOffset")?);
    }
    let wait_ms = if flags & SUSPEND == 0 { 0 } else { fields.parse::<i64>("suspendTimeoutMillis")? };
    let fetch = Fetch {
        filter: wanted(link, fields, flags, &group, &topic).await?,
        group: Some(group).filter(|group| group.as_str() != TOOLS_GROUP),
        topic,
        queue,
        offset: Offset(u64::try_from(asked).unwrap_or_default()),
        max_messages: u32::try_from(most).unwrap_or(1).clamp(1, FETCH_MESSAGES_MAX),
        max_bytes: bytes_wanted(fields)?,
        wait_ms: wait_ms.clamp(0, HOLD_MS_MAX),
        batches: if request.version >= VERSION_UNPACKS_BATCHES { Batches::Whole } else { Batches::Unpacked },
    };
    let fetched = link.hold(link.engine().fetch(&link.session, fetch)).await??;
    Ok(answer(fetched, asked))
}

pub(super) fn queue(fields: &Fields) -> Result<QueueId, Failure> {
    queue_of(fields.parse("queueId")?)
}

pub(super) fn queue_of(queue: i64) -> Result<QueueId, Failure> {
    let illegal = |_| Failure::new(response::INVALID_PARAMETER, format!("queueId[{queue}] is illegal"));
    u32::try_from(queue).map(QueueId).map_err(illegal)
}

fn bytes_wanted(fields: &Fields) -> Result<usize, Failure> {
    let wanted: Option<i64> = fields.parse_opt("maxMsgBytes")?;
    let wanted = wanted.and_then(|bytes| usize::try_from(bytes).ok()).filter(|bytes| *bytes > 0);
    Ok(wanted.unwrap_or(PULL_BYTES_DEFAULT).min(PULL_BYTES_MAX))
}

/// The offset that comes with a pull is not answered for, so it is not waited for. But it is
/// handed in before the read begins: a read may tell of a reset, which voids older offsets.
fn commit(link: &Arc<Link>, group: &GroupName, topic: &TopicName, queue: QueueId, offset: i64) {
    let Ok(offset) = u64::try_from(offset) else { return };
    let request = CommitOffset { group: group.clone(), topic: topic.clone(), queue, offset: Offset(offset) };
    let owner = Arc::clone(link);
    let mut work = async move {
        if let Err(error) = owner.engine().commit_offset(&owner.session, request).await {
            tracing::debug!(%error, "an offset that came with a pull was not kept");
        }
    }
    .boxed();
    if work.as_mut().now_or_never().is_none() {
        link.server.doors.spawn.spawn("remoting-commit", work);
    }
}

/// The filter: in the request, or from this client's heartbeats, or from another member's.
async fn wanted(
    link: &Link,
    fields: &Fields,
    flags: i32,
    group: &GroupName,
    topic: &TopicName,
) -> Result<Filter, Failure> {
    if flags & SUBSCRIPTION != 0 {
        return Ok(json::filter(fields.get("subscription"), fields.get("expressionType")));
    }
    if let Some(filter) = link.subscription(group, topic) {
        return Ok(filter);
    }
    let members = link.engine().members(&link.session, group).await?;
    newest_subscription(&members, topic).map(|subscription| subscription.filter.clone()).ok_or_else(|| {
        Failure::new(
            response::SUBSCRIPTION_NOT_EXIST,
            format!("the consumer's subscription not exist: group {group} does not subscribe to {topic}"),
        )
    })
}

fn answer(fetched: Fetched, asked: i64) -> Command {
    let code = match fetched.outcome {
        FetchOutcome::Found => response::SUCCESS,
        FetchOutcome::NoneMatched => response::PULL_RETRY_IMMEDIATELY,
        FetchOutcome::AtEnd => response::PULL_NOT_FOUND,
        // An empty queue read from its start is no error of the client.
        FetchOutcome::OutOfRange if asked == 0 && fetched.next == Offset(0) => response::PULL_NOT_FOUND,
        FetchOutcome::OutOfRange => response::PULL_OFFSET_MOVED,
    };
    let mut fields = Fields::with_capacity(128, 4);
    fields.push_number("nextBeginOffset", fetched.next.get());
    fields.push_number("minOffset", fetched.min.get());
    fields.push_number("maxOffset", fetched.max.get());
    fields.push_text("suggestWhichBrokerId", "0");
    let body: Body = fetched.messages.iter().map(|message| message.bytes().clone()).collect();
    Command { code, ..success(fields, body) }
}
