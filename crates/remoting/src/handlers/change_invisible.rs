//! `CHANGE_MESSAGE_INVISIBLETIME`: a delivery is hidden for another time, from now
//! (`ChangeInvisibleTimeProcessor`). The client builds its new handle from the answer, see
//! [`crate::handle`]. Consumers ask for this when their listener failed, and for no other reason
//! (`ConsumeMessagePopConcurrentlyService`, `ConsumeMessagePopOrderlyService`).

use std::sync::Arc;

use model::verbs::Hide;

use crate::frame::{Body, Command};
use crate::handle;
use crate::header::Fields;
use crate::link::Link;

use super::{Answer, ack, success};

pub(super) async fn change(link: &Arc<Link>, request: &Command) -> Answer {
    let receipt = ack::receipt(&request.fields)?;
    let invisible_ms: i64 = request.fields.parse("invisibleTime")?;
    let receipt = link.engine().extend(&link.session, receipt, Hide::failed(invisible_ms)).await?;
    let (pop_time, invisible) = handle::changed_times(&receipt);
    let fields =
        Fields::new().with("popTime", pop_time).with("invisibleTime", invisible).with("reviveQid", 0);
    Ok(success(fields, Body::default()))
}
