//! Requests: one file per operation (decode, verb, encode), and the one table of codes.

mod ack;
mod assignment;
mod batch;
mod change_invisible;
mod check_client;
mod consumer_list;
mod end_transaction;
mod heartbeat;
mod lite;
mod lock;
mod notification;
mod offset;
mod pop;
mod pull;
mod query_message;
mod recall;
mod reply;
pub(crate) mod route;
mod send;
mod send_back;
mod send_header;
mod unregister;
mod view_message;

use std::future::ready;
use std::sync::Arc;

use futures::FutureExt;
use futures::future::BoxFuture;
use model::TopicName;
use model::membership::{Member, Subscription};

use crate::admin;
use crate::code::{request as code, response};
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::link::Link;
use crate::signature;

/// What an operation answers.
pub(crate) type Answer = Result<Command, Failure>;

/// A successful answer.
pub(crate) fn success(fields: Fields, body: Body) -> Command {
    Command { fields, body, ..Command::response(response::SUCCESS) }
}

/// A successful answer that says no more.
pub(crate) fn done() -> Command {
    Command::response(response::SUCCESS)
}

/// The answer to a request that fails.
pub(crate) fn refuse(opaque: i32, failure: Failure) -> Command {
    Command { opaque, remark: Some(failure.remark), ..Command::response(failure.code) }
}

/// What the members of a group want of a topic: the newest of their wishes.
pub(crate) fn newest_subscription<'a>(members: &'a [Member], topic: &TopicName) -> Option<&'a Subscription> {
    let consumers = members.iter().filter_map(|member| member.consumer.as_ref());
    consumers
        .flat_map(|consumer| &consumer.subscriptions)
        .filter(|subscription| subscription.topic == *topic)
        .max_by_key(|subscription| subscription.version)
}

/// Whether requests of this code wait for messages.
pub(crate) const fn waits(request: i32) -> bool {
    matches!(
        request,
        code::PULL_MESSAGE
            | code::LITE_PULL_MESSAGE
            | code::POP_MESSAGE
            | code::POP_LITE_MESSAGE
            | code::NOTIFICATION
    )
}

/// A request that has begun.
pub(crate) struct Work {
    /// A send, or the end of a transaction: ends after those that began before it.
    pub(crate) in_turn: bool,
    /// `None` if the request wants, or gets, no answer.
    pub(crate) answer: BoxFuture<'static, Option<Command>>,
}

/// Begins a request. Thousands may wait at once, so what waits is as small as it can be: sends, of which there are
/// most, hold nothing of their request any more.
pub(crate) fn handle(link: &Arc<Link>, request: Command) -> Work {
    let asked = Asked { code: request.code, opaque: request.opaque, is_oneway: request.is_oneway() };
    let other = |answer| Work { in_turn: false, answer };
    let link = match known(link, &request) {
        Ok(link) => link,
        Err(failure) => return other(ready(asked.answered(link, Err(failure))).boxed()),
    };
    if request.code == code::END_TRANSACTION {
        return match end_transaction::read(&request) {
            Ok(end) => {
                let answer = async move {
                    let outcome = end_transaction::end(&link, end).await;
                    asked.answered(&link, outcome)
                };
                Work { in_turn: true, answer: answer.boxed() }
            }
            Err(failure) => other(ready(asked.answered(&link, Err(failure))).boxed()),
        };
    }
    match send::at_once(&link, &request) {
        Some(Ok(publish)) => {
            let answer = async move {
                let outcome = send::publish(&link, publish).await;
                asked.answered(&link, outcome.map(Some))
            };
            Work { in_turn: true, answer: answer.boxed() }
        }
        Some(Err(failure)) => other(ready(asked.answered(&link, Err(failure))).boxed()),
        None => {
            let answer = async move {
                let outcome = operate(&link, &request).await;
                asked.answered(&link, outcome)
            };
            other(answer.boxed())
        }
    }
}

/// What of a request its answer needs.
struct Asked {
    code: i32,
    opaque: i32,
    is_oneway: bool,
}

impl Asked {
    fn answered(self, link: &Link, outcome: Result<Option<Command>, Failure>) -> Option<Command> {
        let Self { code, opaque, is_oneway } = self;
        if let Err(failure) = &outcome {
            tracing::debug!(session = ?link.session, request = code, code = failure.code, remark = %failure.remark, "refused");
        }
        if is_oneway {
            return None;
        }
        match outcome {
            Ok(Some(answer)) => Some(Command { opaque, ..answer }),
            Ok(None) => None,
            Err(failure) => Some(refuse(opaque, failure)),
        }
    }
}

/// The connection as its user, where users must prove who they are: each request is signed by itself.
fn known(link: &Arc<Link>, request: &Command) -> Result<Arc<Link>, Failure> {
    let auth = &*link.server.auth;
    if !auth.is_required() {
        return Ok(Arc::clone(link));
    }
    let user = signature::signer(request, auth)
        .map_err(|stranger| Failure::new(response::NO_PERMISSION, stranger.to_string()))?;
    Ok(link.of_user(user))
}

/// The table of operations. Hot ones first; others stand in memory of their own, so that what a request takes
/// while it waits is what a hot one takes. What is not listed is looked up among the operations of administrators.
async fn operate(link: &Arc<Link>, request: &Command) -> Result<Option<Command>, Failure> {
    match request.code {
        code::SEND_MESSAGE | code::SEND_MESSAGE_V2 => Box::pin(send::send(link, request)).await,
        code::SEND_BATCH_MESSAGE => Box::pin(batch::send(link, request)).await,
        code::PULL_MESSAGE | code::LITE_PULL_MESSAGE => pull::pull(link, request).await,
        code::POP_MESSAGE => Box::pin(pop::pop(link, request)).await,
        code::ACK_MESSAGE => ack::ack(link, request).await,
        code::BATCH_ACK_MESSAGE => Box::pin(ack::ack_batch(link, request)).await,
        code::CHANGE_MESSAGE_INVISIBLETIME => Box::pin(change_invisible::change(link, request)).await,
        code::POP_LITE_MESSAGE => Box::pin(lite::pop(link, request)).await,
        code::LITE_SUBSCRIPTION_CTL => Box::pin(lite::control(link, request)).await,
        code::NOTIFICATION => Box::pin(notification::notification(link, request)).await,
        code::UPDATE_CONSUMER_OFFSET => offset::update(link, request).await,
        code::QUERY_CONSUMER_OFFSET => Box::pin(offset::query(link, request)).await,
        code::SEARCH_OFFSET_BY_TIMESTAMP => Box::pin(offset::by_time(link, request)).await,
        code::GET_MAX_OFFSET => Box::pin(offset::max(link, request)).await,
        code::GET_MIN_OFFSET => Box::pin(offset::min(link, request)).await,
        code::GET_EARLIEST_MSG_STORETIME => Box::pin(offset::earliest_time(link, request)).await,
        code::CONSUMER_SEND_MSG_BACK => Box::pin(send_back::send_back(link, request)).await,
        code::SEND_REPLY_MESSAGE | code::SEND_REPLY_MESSAGE_V2 => Box::pin(reply::reply(link, request)).await,
        code::RECALL_MESSAGE => Box::pin(recall::recall(link, request)).await,
        code::HEART_BEAT => Box::pin(heartbeat::heartbeat(link, request)).await,
        code::UNREGISTER_CLIENT => Box::pin(unregister::unregister(link, request)).await,
        code::CHECK_CLIENT_CONFIG => Box::pin(check_client::check(link, request)).await,
        code::GET_CONSUMER_LIST_BY_GROUP => Box::pin(consumer_list::list(link, request)).await,
        code::LOCK_BATCH_MQ => Box::pin(lock::lock(link, request)).await,
        code::UNLOCK_BATCH_MQ => Box::pin(lock::unlock(link, request)).await,
        code::QUERY_ASSIGNMENT => Box::pin(assignment::query(link, request)).await,
        code::SET_MESSAGE_REQUEST_MODE => Box::pin(assignment::set_mode(link, request)).await,
        code::GET_ROUTEINFO_BY_TOPIC => Box::pin(route::route(link, request)).await,
        code::VIEW_MESSAGE_BY_ID => Box::pin(view_message::view(link, request)).await,
        code::QUERY_MESSAGE => Box::pin(query_message::query(link, request)).await,
        _ => Box::pin(admin::operate(link, request)).await,
    }
    .map(Some)
}

#[cfg(test)]
mod tests;
