//! `apogee group reset`, `skip`, `clone-offsets`.

use anyhow::{Result, bail};
use clap::Args;
use model::admin::{
    AdminOp, GroupCloneOffsets, GroupCloneOffsetsRequest, GroupReset, GroupResetRequest, GroupSkip,
    GroupSkipRequest, QueueOffset, ResetTo,
};
use serde_json::json;

use super::{GroupArg, TopicArg};
use crate::http::Server;
use crate::output::{self, Format};

#[derive(Debug, Clone, Args)]
pub struct Reset {
    group: GroupArg,
    topic: TopicArg,
    /// Only this queue
    #[arg(long)]
    queue: Option<u32>,
    /// Where to: `first`, `last`, an offset, or `@` and Unix milliseconds
    #[arg(long)]
    to: String,
    /// By time: leave queues alone that would move forward
    #[arg(long)]
    only_back: bool,
}

fn target(text: &str) -> Result<ResetTo> {
    Ok(match (text, text.strip_prefix('@').map(str::parse), text.parse()) {
        ("first", ..) => ResetTo::First,
        ("last", ..) => ResetTo::Last,
        (_, Some(Ok(time_ms)), _) => ResetTo::TimeMs(time_ms),
        (_, None, Ok(offset)) => ResetTo::Offset(offset),
        _ => bail!("`{text}` is neither `first`, `last`, an offset, nor `@` and Unix milliseconds"),
    })
}

pub(super) async fn reset(server: &Server, format: Format, reset: &Reset) -> Result<()> {
    let request = GroupResetRequest {
        group: reset.group.0.clone(),
        topic: reset.topic.0.clone(),
        queue: reset.queue,
        to: target(&reset.to)?,
        force: !reset.only_back,
    };
    run::<GroupReset>(server, format, &request).await
}

pub(super) async fn skip(server: &Server, format: Format, group: &GroupArg, topic: &TopicArg) -> Result<()> {
    let request = GroupSkipRequest { group: group.0.clone(), topic: topic.0.clone() };
    run::<GroupSkip>(server, format, &request).await
}

pub(super) async fn clone_offsets(
    server: &Server,
    format: Format,
    (from, to): (&GroupArg, &GroupArg),
    topic: Option<&TopicArg>,
) -> Result<()> {
    let topic = topic.map(|topic| topic.0.clone());
    let request = GroupCloneOffsetsRequest { from: from.0.clone(), to: to.0.clone(), topic };
    run::<GroupCloneOffsets>(server, format, &request).await
}

async fn run<O>(server: &Server, format: Format, request: &O::Request) -> Result<()>
where
    O: AdminOp<Response = Vec<QueueOffset>>,
{
    let moved = server.operate::<O>(request).await?;
    if format == Format::Json {
        output::json(&json!(moved));
        return Ok(());
    }
    let rows =
        moved.into_iter().map(|q| vec![q.topic.to_string(), q.queue.to_string(), q.offset.to_string()]);
    output::line(&output::table(&["TOPIC", "QUEUE", "NEXT"], rows));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_an_end_an_offset_or_a_time() {
        for (text, wanted) in [
            ("first", ResetTo::First),
            ("last", ResetTo::Last),
            ("17", ResetTo::Offset(17)),
            ("@17", ResetTo::TimeMs(17)),
        ] {
            assert_eq!(target(text).expect("legal"), wanted);
        }
        for text in ["", "@", "-1", "@soon", "end"] {
            assert!(target(text).is_err(), "{text}");
        }
    }
}
