//! `RECALL_MESSAGE`: cancels a timed message (`RecallMessageProcessor`).

use std::sync::Arc;

use model::verbs::Recall;
use model::{GroupName, TopicName};

use crate::frame::{Body, Command};
use crate::header::Fields;
use crate::link::Link;

use super::{Answer, success};

pub(super) async fn recall(link: &Arc<Link>, request: &Command) -> Answer {
    let fields = &request.fields;
    let recall = Recall {
        topic: TopicName::new(fields.required("topic")?)?,
        handle: fields.required("recallHandle")?.to_owned(),
        producer_group: fields.get("producerGroup").and_then(|name| GroupName::new(name).ok()),
    };
    let id = link.engine().recall(&link.session, recall).await?;
    Ok(success(Fields::new().with("msgId", id), Body::default()))
}
