//! `SEND_REPLY_MESSAGE`, `..._V2`: the answer of the request-reply pattern goes to the client
//! that asked, named by `REPLY_TO_CLIENT` (`ReplyMessageProcessor`). It is also stored, if
//! the configuration says so, without effect on the answer.

use std::sync::Arc;

use model::verbs::PublishedMessage;
use model::{Endpoint, Session, properties};

use crate::code::{push, response};
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::link::Link;

use super::send_header::{self, SendHeader};
use super::{Answer, success};

pub(super) async fn reply(link: &Arc<Link>, request: &Command) -> Answer {
    let header = SendHeader::read(&request.fields);
    let message = header.message(link, request)?;
    let asker = message.properties.get(properties::REPLY_TO_CLIENT).map(str::to_owned);
    let pushed = match asker {
        None => Err("reply message properties[REPLY_TO_CLIENT] is null".to_owned()),
        Some(client) => hand_over(link, request, &header, &client).await,
    };
    let stored = if link.server.config.store_replies { store(link, request, &header).await } else { None };
    pushed.map_err(|remark| Failure::new(response::SYSTEM_ERROR, remark))?;
    if let Some(stored) = stored {
        return Ok(send_header::answer(&[stored]));
    }
    let fields =
        Fields::new().with("msgId", 0).with("queueId", header.queue.unwrap_or("0")).with("queueOffset", 0);
    Ok(success(fields, Body::default()))
}

/// To the client, and waits for its word.
async fn hand_over(
    link: &Link,
    request: &Command,
    header: &SendHeader<'_>,
    client: &str,
) -> Result<(), String> {
    let gone = || format!("push reply message fail, channel of <{client}> not found.");
    let target = link.server.client(client).ok_or_else(gone)?;
    let told = Command::request(
        push::PUSH_REPLY_MESSAGE_TO_CLIENT,
        push_fields(link, header, &target).map_err(|failure| failure.remark)?,
        request.body.clone(),
    );
    match target.outbox.ask(told).await {
        Some(answer) if answer.code == response::SUCCESS => Ok(()),
        _ => Err(format!("push reply message to {client} fail.")),
    }
}

/// `ReplyMessageRequestHeader`
fn push_fields(link: &Link, header: &SendHeader<'_>, target: &Link) -> Result<Fields, Failure> {
    let now = link.now_ms();
    let mut told = properties::Properties::from_encoded(header.properties.to_owned());
    told.set("PUSH_REPLY_TIME", &now.to_string());
    Ok(Fields::new()
        .with("bornHost", Endpoint::from(link.session.peer))
        .with("bornTimestamp", header.born_ms(link)?)
        .with("defaultTopic", header.default_topic)
        .with("defaultTopicQueueNums", header.default_queues.unwrap_or("1"))
        .with("flag", header.flag()?)
        .with("producerGroup", header.producer_group)
        .with("properties", told.as_encoded())
        .with("queueId", header.queue.unwrap_or("0"))
        .with("reconsumeTimes", header.reconsume_times()?)
        .with("storeHost", &target.session.advertised)
        .with("storeTimestamp", now)
        .with("sysFlag", header.system_flags()?)
        .with("topic", header.topic.unwrap_or_default())
        .with("unitMode", false))
}

async fn store(link: &Link, request: &Command, header: &SendHeader<'_>) -> Option<PublishedMessage> {
    let message = header.message(link, request).ok()?;
    let publish = header.publish(header.topic().ok()?, vec![message]).ok()?;
    // Who may answer is not asked: the asker wants one.
    match link.engine().publish(&Session::internal(), publish).await {
        Ok(published) => published.entries.into_iter().next(),
        Err(error) => {
            tracing::debug!(%error, "a reply was not stored");
            None
        }
    }
}
