//! Operations of administrators (`mqadmin`, the dashboard, and clients that make topics): the
//! second table of codes. Each runs an operation of [`model::admin`] under its 4.x code.

mod access;
mod config;
mod connections;
mod consume_queue;
mod elsewhere;
mod group;
mod key_value;
pub(crate) mod lite;
mod namesrv;
mod node;
mod progress;
mod rates;
mod relay;
mod stats;
mod topic;

use std::sync::Arc;

use crate::code::request as code;
use crate::frame::Command;
use crate::handlers::Answer;
use crate::link::Link;

pub(crate) async fn operate(link: &Arc<Link>, request: &Command) -> Answer {
    match request.code {
        code::UPDATE_AND_CREATE_TOPIC => topic::put(link, request).await,
        code::UPDATE_AND_CREATE_TOPIC_LIST => topic::put_list(link, request).await,
        code::DELETE_TOPIC_IN_BROKER => topic::delete(link, request).await,
        code::DELETE_TOPIC_IN_NAMESRV => topic::delete_route(request),
        code::GET_ALL_TOPIC_LIST_FROM_NAMESERVER => topic::names(link).await,
        code::GET_TOPICS_BY_CLUSTER => topic::of_cluster(link, request).await,
        code::GET_UNIT_TOPIC_LIST
        | code::GET_HAS_UNIT_SUB_TOPIC_LIST
        | code::GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST => topic::of_units(link, request).await,
        code::GET_ALL_TOPIC_CONFIG => topic::all(link).await,
        code::GET_TOPIC_CONFIG => topic::get(link, request).await,
        code::GET_TOPIC_STATS_INFO => stats::topic(link, request).await,
        code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP => group::put(link, request).await,
        code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST => group::put_list(link, request).await,
        code::DELETE_SUBSCRIPTIONGROUP => group::delete(link, request).await,
        code::GET_ALL_SUBSCRIPTIONGROUP_CONFIG => group::all(link).await,
        code::GET_SUBSCRIPTIONGROUP_CONFIG => group::get(link, request).await,
        code::GET_CONSUME_STATS => stats::group(link, request).await,
        code::INVOKE_BROKER_TO_RESET_OFFSET => stats::reset(link, request).await,
        code::QUERY_TOPIC_CONSUME_BY_WHO => stats::groups_of_topic(link, request).await,
        code::QUERY_TOPICS_BY_CONSUMER => stats::topics_of_group(link, request).await,
        code::GET_CONSUMER_CONNECTION_LIST => connections::consumers(link, request).await,
        code::GET_PRODUCER_CONNECTION_LIST => connections::producers(link, request).await,
        code::GET_ALL_PRODUCER_INFO => connections::all_producers(link).await,
        code::QUERY_CONSUME_QUEUE => consume_queue::query(link, request).await,
        code::INVOKE_BROKER_TO_GET_CONSUMER_STATUS => relay::consumer_status(link, request).await,
        code::GET_CONSUMER_RUNNING_INFO => relay::running_info(link, request).await,
        code::CONSUME_MESSAGE_DIRECTLY => relay::consume_directly(link, request).await,
        code::CLONE_GROUP_OFFSET => progress::clone_offsets(link, request).await,
        code::QUERY_CONSUME_TIME_SPAN => progress::time_spans(link, request).await,
        code::GET_BROKER_CONSUME_STATS => progress::of_all_groups(link).await,
        code::QUERY_SUBSCRIPTION_BY_CONSUMER => progress::subscription(link, request).await,
        code::GET_SYSTEM_TOPIC_LIST_FROM_NS | code::GET_SYSTEM_TOPIC_LIST_FROM_BROKER => {
            progress::system_topics(link).await
        }
        code::VIEW_BROKER_STATS_DATA => rates::view(link, request).await,
        code::GET_BROKER_CLUSTER_INFO => node::cluster(link).await,
        code::GET_BROKER_RUNTIME_INFO => node::runtime(link).await,
        code::GET_BROKER_CONFIG => config::get(link).await,
        // The name server is this node.
        code::UPDATE_BROKER_CONFIG | code::UPDATE_NAMESRV_CONFIG => config::update(link, request).await,
        code::GET_BROKER_HA_STATUS => node::replicas(link).await,
        code::WIPE_WRITE_PERM_OF_BROKER => namesrv::wipe_writes(link, request).await,
        code::ADD_WRITE_PERM_OF_BROKER => namesrv::add_writes(link, request).await,
        code::GET_NAMESRV_CONFIG => namesrv::config(link),
        code::CLEAN_EXPIRED_CONSUMEQUEUE | code::CLEAN_UNUSED_TOPIC | code::DELETE_EXPIRED_COMMITLOG => {
            elsewhere::clean()
        }
        code::GET_BROKER_LITE_INFO => lite::broker(link).await,
        code::GET_PARENT_TOPIC_INFO => lite::parent_info(link, request).await,
        code::GET_LITE_TOPIC_INFO => lite::topic(link, request).await,
        code::GET_LITE_CLIENT_INFO => lite::client(link, request).await,
        code::GET_LITE_GROUP_INFO => lite::group(link, request).await,
        code::TRIGGER_LITE_DISPATCH => lite::dispatch(link, request).await,
        code::AUTH_CREATE_USER => access::create_user(link, request).await,
        code::AUTH_UPDATE_USER => access::update_user(link, request).await,
        code::AUTH_DELETE_USER => access::delete_user(link, request).await,
        code::AUTH_GET_USER => access::get_user(link, request).await,
        code::AUTH_LIST_USER => access::list_users(link, request).await,
        code::AUTH_CREATE_ACL | code::AUTH_UPDATE_ACL => access::put_acl(link, request).await,
        code::AUTH_DELETE_ACL => access::delete_acl(link, request).await,
        code::AUTH_GET_ACL => access::get_acl(link, request).await,
        code::AUTH_LIST_ACL => access::list_acls(link, request).await,
        code::PUT_KV_CONFIG => key_value::put(link, request).await,
        code::GET_KV_CONFIG => key_value::get(link, request).await,
        code::DELETE_KV_CONFIG => key_value::delete(link, request).await,
        code::GET_KVLIST_BY_NAMESPACE => key_value::list(link, request).await,
        other => elsewhere::refuse(other),
    }
}
