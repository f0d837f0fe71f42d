//! Lite topics outside the machine: who wants which, what has news for whom, handing out, expiry.
//!
//! ```text
//! sync_lite ──► hub: client -> lite topics            group's thread: commit
//!                │        ▲                                  │ touched streams
//! receive ──► candidates ─┴── ready lists ◄──────────────────┘
//!                └► claim, choose in order, record the delivery
//! ```
//! A receiver looks only at lite topics that have news: new messages, a delivery that ended or whose
//! time is over, a new subscription. Nothing polls. What clients want is soft, and repeated by them;
//! how far groups have come is in the machine ([`crate::machine::lite`]).
//!
//! Reading order: `hub`, `sync`, `receive`, `sweep`, `describe`.

mod describe;
pub(crate) mod hub;
mod metrics;
mod receive;
mod sweep;
mod sync;

use model::{StreamId, TopicName};

use crate::broker::Broker;
use crate::machine::lite::name_key;
use crate::streams;

pub(crate) use metrics::LiteMetrics;

impl Broker {
    /// The stream of a lite topic, if `topic` is the full name of one and its parent is there.
    pub(crate) fn lite_of(&self, topic: &TopicName) -> Option<StreamId> {
        let (parent, lite) = topic.as_lite()?;
        let parent = self.state.topic(&parent)?;
        Some(streams::of_lite(parent.id, lite))
    }

    /// The name of a lite topic; `None` if there is none.
    pub(crate) fn lite_name(&self, parent_id: u32, stream: StreamId) -> Result<Option<String>, String> {
        let name = self.views.object(&name_key(parent_id, stream)).map_err(|error| error.to_string())?;
        Ok(name.map(|name| String::from_utf8_lossy(&name).into_owned()))
    }
}
