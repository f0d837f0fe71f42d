//! `GET_CONSUMER_LIST_BY_GROUP`: who balances queues with whom (`ConsumerManageProcessor`).

use std::sync::Arc;

use model::GroupName;
use serde::Serialize;

use crate::code::response;
use crate::error::Failure;
use crate::frame::Command;
use crate::header::Fields;
use crate::json;
use crate::link::Link;

use super::{Answer, success};

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ConsumerList {
    consumer_id_list: Vec<String>,
}

pub(super) async fn list(link: &Arc<Link>, request: &Command) -> Answer {
    let group = GroupName::new(request.fields.required("consumerGroup")?)?;
    let members = link.engine().members(&link.session, &group).await?;
    if members.is_empty() {
        return Err(Failure::new(response::SYSTEM_ERROR, format!("no consumer for this group, {group}")));
    }
    let mut clients: Vec<String> = members.into_iter().map(|member| member.client_id).collect();
    clients.sort_unstable();
    clients.dedup();
    Ok(success(Fields::new(), json::write(&ConsumerList { consumer_id_list: clients })))
}
