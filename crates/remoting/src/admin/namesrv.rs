//! What the name server is asked to do: keep producers away from a broker, tell its settings.

use model::admin::{self, NodeWrites, NodeWritesPut, NodeWritesRequest};

use crate::error::Failure;
use crate::frame::{Body, Command};
use crate::handlers::{Answer, success};
use crate::header::Fields;
use crate::link::Link;

/// `WIPE_WRITE_PERM_OF_BROKER`
pub(super) async fn wipe_writes(link: &Link, request: &Command) -> Answer {
    let changed = allow_writes(link, request, false).await?;
    Ok(success(Fields::new().with("wipeTopicCount", changed.topics), Body::default()))
}

/// `ADD_WRITE_PERM_OF_BROKER`
pub(super) async fn add_writes(link: &Link, request: &Command) -> Answer {
    let changed = allow_writes(link, request, true).await?;
    Ok(success(Fields::new().with("addTopicCount", changed.topics), Body::default()))
}

/// No topic of a broker that is not here is changed, and nothing is said, as by the original.
async fn allow_writes(link: &Link, request: &Command, allowed: bool) -> Result<NodeWrites, Failure> {
    if request.fields.required("brokerName")? != link.server.node().await?.broker_name {
        return Ok(NodeWrites { topics: 0 });
    }
    Ok(admin::run::<NodeWritesPut>(link.engine(), &link.session, NodeWritesRequest { allowed }).await?)
}

/// `GET_NAMESRV_CONFIG`: properties text, the few that are true here.
pub(super) fn config(link: &Link) -> Answer {
    let at = &link.session.advertised;
    let text = format!("bindAddress={}\nlistenPort={}\norderMessageEnable=true\n", at.host, at.port);
    Ok(success(Fields::new(), text.into()))
}
