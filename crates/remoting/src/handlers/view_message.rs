//! `VIEW_MESSAGE_BY_ID`: the message at a position (`QueryMessageProcessor`).

use std::sync::Arc;

use model::Lsn;
use model::verbs::{MessageQuery, QueryError};

use crate::code::response;
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::link::Link;

use super::{Answer, success};

pub(super) async fn view(link: &Arc<Link>, request: &Command) -> Answer {
    let position: i64 = request.fields.parse("offset")?;
    let missing =
        || Failure::new(response::SYSTEM_ERROR, format!("can not find message by the offset, {position}"));
    let query = MessageQuery::Position(Lsn(u64::try_from(position).map_err(|_| missing())?));
    let found = match link.engine().query(&link.session, query).await {
        Err(QueryError::NotFound) => return Err(missing()),
        other => other?,
    };
    let message = found.into_iter().next().ok_or_else(missing)?;
    Ok(success(Fields::new(), Body::from(message.bytes().clone())))
}
