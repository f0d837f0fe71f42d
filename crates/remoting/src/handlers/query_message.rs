//! `QUERY_MESSAGE`: messages by key, unique id or tag (`QueryMessageProcessor`).

use std::sync::Arc;

use model::TopicName;
use model::limits::QUERY_MESSAGES_MAX;
use model::verbs::{KeyKind, MessageQuery, QueryError};

use crate::code::response;
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::link::Link;

use super::{Answer, success};

/// Results when a message is looked for by its unique id (`defaultQueryMaxNum`).
const UNIQUE_RESULTS_MAX: usize = 32;

pub(super) async fn query(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let unique = fields.flag("_UNIQUE_KEY_QUERY");
    let kind = match fields.get("indexType") {
        Some("T") => KeyKind::Tag,
        Some("U") => KeyKind::UniqueId,
        _ if unique => KeyKind::UniqueId,
        _ => KeyKind::Key,
    };
    let wanted: i64 = fields.parse("maxNum")?;
    let wanted = usize::try_from(wanted).unwrap_or(1).clamp(1, QUERY_MESSAGES_MAX);
    let query = MessageQuery::Key {
        topic: TopicName::new(fields.required("topic")?)?,
        key: fields.required("key")?.to_owned(),
        kind,
        begin_ms: fields.parse("beginTimestamp")?,
        end_ms: fields.parse("endTimestamp")?,
        max: if unique { UNIQUE_RESULTS_MAX } else { wanted },
    };
    let none =
        || Failure::new(response::QUERY_NOT_FOUND, "can not find message, maybe time range not correct");
    let found = match link.engine().query(&link.session, query).await {
        Err(QueryError::NotFound | QueryError::TopicNotFound(_)) => return Err(none()),
        other => other?,
    };
    let newest = found.iter().max_by_key(|message| message.lsn()).ok_or_else(none)?;
    let fields = Fields::new()
        .with("indexLastUpdateTimestamp", newest.stored_ms())
        .with("indexLastUpdatePhyoffset", newest.lsn());
    let body: Body = found.iter().map(|message| message.bytes().clone()).collect();
    Ok(success(fields, body))
}
