//! Sets groups' progress here to where they are there. A group that has members here has moved: its
//! progress is its own.

use std::collections::HashMap;

use anyhow::{Context, Result};
use model::GroupName;
use model::admin::{GroupGet, GroupRequest, TopicGet, TopicRequest};
use remoting::client::ClientError;

use crate::http::Server;
use crate::import::mirror::Mirror;
use crate::import::shape::Plan;
use crate::import::source::GroupOffset;

/// How many queues' progress was set.
pub(super) async fn carry_over(
    server: &Server,
    mirror: &Mirror,
    plan: &Plan,
    offsets: &[GroupOffset],
) -> Result<usize> {
    let mut moved: HashMap<GroupName, bool> = HashMap::new();
    let mut firsts: HashMap<(String, u32), u64> = HashMap::new();
    for group in &plan.groups {
        let request = GroupRequest { group: group.name.clone() };
        let described = server.operate::<GroupGet>(&request).await;
        let described = described.with_context(|| format!("group {}", group.name))?;
        moved.insert(group.name.clone(), !described.members.is_empty());
    }
    let mut set = 0;
    for told in offsets {
        let Ok(group) = GroupName::new(&told.group) else { continue };
        let Some(topic) = plan.topics.get(&told.topic).filter(|_| moved.get(&group) == Some(&false)) else {
            continue;
        };
        let found = topic.queues.iter().find(|(of, _)| of.broker == told.broker && of.queue == told.queue);
        let Some((of, queue)) = found else { continue };
        if !firsts.contains_key(&(told.topic.clone(), *queue)) {
            let request = TopicRequest { topic: topic.config.name.clone() };
            // Retries that never came are no topic here.
            let Ok(described) = server.operate::<TopicGet>(&request).await else { continue };
            for state in described.queues {
                firsts.insert((told.topic.clone(), state.queue), state.min_offset);
            }
        }
        let Some(first) = firsts.get(&(told.topic.clone(), *queue)) else { continue };
        let here = mirror.state.map(of).translate(told.offset, *first);
        let offset = i64::try_from(here)?;
        match mirror.target.update_offset(&told.group, &told.topic, *queue, offset).await {
            Ok(()) => set += 1,
            Err(ClientError::Refused { remark, .. }) => {
                anyhow::bail!("progress of {} in {}: {remark}", told.group, told.topic)
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(set)
}
