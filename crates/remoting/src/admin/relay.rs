//! Questions and work that tools want of a consumer: the server hands them on
//! (`AdminBrokerProcessor.callConsumer`, `Broker2Client`).

use std::sync::Arc;

use model::verbs::MessageQuery;
use model::{GroupName, TopicName};
use serde_json::Value;

use crate::code::{push, response};
use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::handlers::{Answer, success};
use crate::header::Fields;
use crate::link::Link;

fn offline(remark: String) -> Failure {
    Failure::new(response::SYSTEM_ERROR, remark)
}

/// `GET_CONSUMER_RUNNING_INFO`: what a consumer says of itself.
pub(super) async fn running_info(link: &Link, request: &Command) -> Answer {
    let told = Command::request(push::GET_CONSUMER_RUNNING_INFO, request.fields.clone(), Body::default());
    call(link, request, told).await
}

/// `CONSUME_MESSAGE_DIRECTLY`: a consumer is given a stored message, whatever its progress.
pub(super) async fn consume_directly(link: &Link, request: &Command) -> Answer {
    let id = request.fields.required("msgId")?;
    let position = model::record::position_of_offset_id(id).map_err(|_| Failure::malformed("msgId", id))?;
    let found = link.engine().query(&link.session, MessageQuery::Position(position)).await?;
    let body = found.first().map(|message| Body::from(message.bytes().clone())).unwrap_or_default();
    let mut fields = request.fields.clone();
    fields.push_text("brokerName", &link.server.node().await?.broker_name);
    call(link, request, Command::request(push::CONSUME_MESSAGE_DIRECTLY, fields, body)).await
}

/// Asks the consumer that the request names, and answers what it answers.
async fn call(link: &Link, request: &Command, told: Command) -> Answer {
    let group = GroupName::new(request.fields.required("consumerGroup")?)?;
    let client = request.fields.required("clientId")?;
    let members = link.engine().members(&link.session, &group).await?;
    let is_member = members.iter().any(|member| member.client_id == client);
    let target = link.server.client(client).filter(|_| is_member);
    let target = target.ok_or_else(|| offline(format!("The Consumer <{group}> <{client}> not online")))?;
    let late = || {
        let remark = format!("consumer <{group}> <{client}> did not answer in time");
        Failure::new(response::CONSUME_MSG_TIMEOUT, remark)
    };
    let answer = target.outbox.ask(told).await.ok_or_else(late)?;
    Ok(Command { remark: answer.remark, body: answer.body, ..Command::response(answer.code) })
}

/// `INVOKE_BROKER_TO_GET_CONSUMER_STATUS`: how far each consumer of a group is, by its own count.
pub(super) async fn consumer_status(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let group = GroupName::new(fields.required("group")?)?;
    let topic = TopicName::new(fields.required("topic")?)?;
    let only = fields.get("clientAddr").filter(|client| !client.is_empty());
    let mut tables = Vec::new();
    for member in link.engine().members(&link.session, &group).await? {
        let wanted = only.is_none_or(|client| client == member.client_id);
        let Some(target) = link.server.client(&member.client_id).filter(|_| wanted) else { continue };
        let ask = Fields::new().with("topic", &topic).with("group", &group);
        let told = Command::request(push::GET_CONSUMER_STATUS_FROM_CLIENT, ask, Body::default());
        let answer = target.outbox.ask(told).await.filter(|answer| answer.code == response::SUCCESS);
        if let Some(table) = answer.and_then(|answer| table_of(&answer.body)) {
            tables.push(format!("{}:{table}", Value::from(member.client_id)));
        }
    }
    if tables.is_empty() {
        return Err(offline(format!("No Any Consumer online in the consumer group: [{group}]")));
    }
    let body = format!("{{\"consumerTable\":{{{}}},\"messageQueueTable\":{{}}}}", tables.join(","));
    Ok(success(Fields::new(), body.into()))
}

/// The table in a `GetConsumerStatusBody`. Its keys are raw objects, so it is no JSON: it is cut
/// out as it is, by its braces.
fn table_of(body: &Body) -> Option<String> {
    let bytes = body.bytes();
    let text = std::str::from_utf8(&bytes).ok()?;
    let from = text.find("\"messageQueueTable\":")? + "\"messageQueueTable\":".len();
    let rest = text.get(from..)?;
    let (mut depth, mut quoted, mut escaped) = (0_u32, false, false);
    for (at, byte) in rest.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b'{' if !quoted => depth += 1,
            b'}' if !quoted => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return rest.get(..=at).map(str::to_owned);
                }
            }
            _ if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_cut_out_of_what_is_no_json() {
        let table = r#"{{"brokerName":"b}\"","queueId":0,"topic":"t"}:7}"#;
        let body = Body::from(format!("{{\"consumerTable\":{{}},\"messageQueueTable\":{table}}}"));
        assert_eq!(table_of(&body).as_deref(), Some(table));
        for broken in ["", "{}", r#"{"messageQueueTable":null}"#, r#"{"messageQueueTable":{"#] {
            assert_eq!(table_of(&Body::from(broken.to_owned())), None, "{broken}");
        }
    }
}
