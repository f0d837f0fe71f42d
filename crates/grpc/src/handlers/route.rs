//! `QueryRoute`: the queues of a topic, and by which address to reach them.
//!
//! Queues that can only be read come first, then those that can only be written, then both
//! (`RouteActivity`); ids are given in that order.

use model::TopicConfig;
use model::verbs::RouteShare;
use model::{Endpoint, topic};

use crate::answer::{self, Refusal};
use crate::call::Call;
use crate::convert::names;
use crate::proto::{Broker, MessageQueue, Permission, QueryRouteRequest, QueryRouteResponse, Resource};
use crate::validate;

pub(crate) async fn route(call: Call, request: QueryRouteRequest) -> Result<QueryRouteResponse, Refusal> {
    let topic = validate::topic(request.topic.as_ref())?;
    let session = call.session_at(request.endpoints.as_ref());
    let route = call.node.engine.route(&session, &topic).await?;
    let resource = request.topic.unwrap_or_default();
    let message_queues =
        route.shares.iter().flat_map(|share| queues(&route.config, share, &resource)).collect();
    Ok(QueryRouteResponse { status: Some(answer::ok()), message_queues })
}

fn queues(config: &TopicConfig, share: &RouteShare, topic: &Resource) -> Vec<MessageQueue> {
    let accepts: Vec<i32> =
        config.accepts().into_iter().map(|kind| names::message_type(kind).into()).collect();
    let permissions = permissions(config.permission, share.read_queues, share.write_queues);
    let of_replica = |replica: &(u64, Endpoint)| {
        let broker = broker(&share.broker_name, replica);
        (0_i32..)
            .zip(&permissions)
            .map(|(id, permission)| MessageQueue {
                topic: Some(topic.clone()),
                id,
                permission: (*permission).into(),
                broker: Some(broker.clone()),
                accept_message_types: accepts.clone(),
            })
            .collect::<Vec<_>>()
    };
    share.replicas.iter().flat_map(of_replica).collect()
}

/// One per queue.
fn permissions(bits: topic::Permission, read: u32, write: u32) -> Vec<Permission> {
    let (read_only, write_only, both, neither) = match (bits.readable(), bits.writable()) {
        (true, true) => {
            let both = read.min(write);
            (read - both, write - both, both, 0)
        }
        (true, false) => (read, 0, 0, 0),
        (false, true) => (0, write, 0, 0),
        (false, false) => (0, 0, 0, read.max(write).max(1)),
    };
    [
        (Permission::Read, read_only),
        (Permission::Write, write_only),
        (Permission::ReadWrite, both),
        (Permission::None, neither),
    ]
    .into_iter()
    .flat_map(|(permission, count)| std::iter::repeat_n(permission, count as usize))
    .collect()
}

pub(crate) const fn permission(bits: topic::Permission) -> Permission {
    match (bits.readable(), bits.writable()) {
        (true, true) => Permission::ReadWrite,
        (true, false) => Permission::Read,
        (false, true) => Permission::Write,
        (false, false) => Permission::None,
    }
}

pub(crate) fn broker(name: &str, (id, endpoint): &(u64, Endpoint)) -> Broker {
    Broker {
        name: name.to_owned(),
        id: i32::try_from(*id).unwrap_or(i32::MAX),
        endpoints: Some(names::endpoints(endpoint)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_only_queues_come_first_then_write_only_then_both() {
        use Permission::{None, Read, ReadWrite, Write};
        let of = |bits, read, write| permissions(topic::Permission(bits), read, write);
        assert_eq!(of(6, 2, 2), [ReadWrite, ReadWrite]);
        assert_eq!(of(6, 3, 1), [Read, Read, ReadWrite]);
        assert_eq!(of(6, 1, 2), [Write, ReadWrite]);
        assert_eq!(of(4, 2, 5), [Read, Read]);
        assert_eq!(of(2, 5, 1), [Write]);
        assert_eq!(of(0, 0, 0), [None]);
    }
}
