//! Administrative operations: one file each. The catalogue below is the only list of them.

mod acl_copy;
mod acl_delete;
mod acl_explain;
mod acl_get;
mod acl_list;
mod acl_put;
mod client_list;
mod config;
mod dead_letters_resend;
mod event_list;
mod group_clone_offsets;
mod group_delete;
mod group_get;
mod group_list;
mod group_page;
mod group_preview;
mod group_put;
mod group_reset;
mod health_list;
mod key_value;
mod lite;
mod message_browse;
mod message_get;
mod message_trace;
mod node_history;
mod node_info;
mod node_profile;
mod node_writes_put;
mod paging;
mod quota;
mod rates;
mod session_get;
mod timer_delete;
mod timer_list;
mod topic_delete;
mod topic_get;
mod topic_list;
mod topic_page;
mod topic_put;
mod transaction_end;
mod transaction_list;
mod user_delete;
mod user_get;
mod user_list;
mod user_put;

use async_trait::async_trait;
use model::Session;
use model::admin::{
    AclCopy, AclDelete, AclExplain, AclGet, AclList, AclPut, Admin, AdminError, AdminOp, ClientList,
    ConfigGet, ConfigPut, DeadLettersResend, EventList, GroupCloneOffsets, GroupDelete, GroupGet, GroupList,
    GroupPage, GroupPreview, GroupPut, GroupReset, GroupSkip, HealthList, KeyValueGet, KeyValueList,
    KeyValuePut, LiteClient, LiteDelete, LiteDispatch, LiteGet, LiteGroup, LiteList, LiteNode, LiteParent,
    MessageBrowse, MessageGet, MessageTraceGet, NodeHistory, NodeInfo, NodeProfile, NodeWritesPut,
    OperationInfo, QuotaDelete, QuotaGet, QuotaList, QuotaPut, RatesGet, RatesList, SessionGet, TimerDelete,
    TimerList, TopicDelete, TopicGet, TopicList, TopicPage, TopicPut, TransactionEnd, TransactionList,
    UserDelete, UserGet, UserList, UserPut,
};
use serde_json::Value;

use crate::broker::Broker;

/// What an operation does.
pub(crate) trait Run: AdminOp {
    async fn run(
        broker: &Broker,
        session: &Session,
        request: Self::Request,
    ) -> Result<Self::Response, AdminError>;
}

async fn run<O: Run>(broker: &Broker, session: &Session, request: Value) -> Result<Value, AdminError> {
    let request = serde_json::from_value(request).map_err(|error| AdminError::Invalid(error.to_string()))?;
    let response = O::run(broker, session, request).await?;
    serde_json::to_value(response).map_err(|error| AdminError::Internal(error.to_string()))
}

macro_rules! catalogue {
    ($($op:ident),* $(,)?) => {
        #[cfg(test)]
        const RUN_HERE: &[&str] = &[$(<$op as AdminOp>::NAME),*];

        #[async_trait]
        impl Admin for Broker {
            fn operations(&self) -> Vec<OperationInfo> {
                vec![$(OperationInfo::of::<$op>()),*]
            }

            async fn run(&self, session: &Session, operation: &str, request: Value) -> Result<Value, AdminError> {
                match operation {
                    $(<$op as AdminOp>::NAME => run::<$op>(self, session, request).await,)*
                    other => Err(AdminError::UnknownOperation(other.to_owned())),
                }
            }
        }
    };
}

catalogue!(
    TopicPut,
    TopicGet,
    TopicList,
    TopicPage,
    TopicDelete,
    GroupPut,
    GroupGet,
    GroupList,
    GroupPage,
    GroupDelete,
    DeadLettersResend,
    GroupReset,
    GroupPreview,
    GroupSkip,
    GroupCloneOffsets,
    MessageGet,
    MessageBrowse,
    KeyValueGet,
    KeyValuePut,
    KeyValueList,
    TimerList,
    TimerDelete,
    LiteList,
    LiteGet,
    LiteDelete,
    LiteParent,
    LiteNode,
    LiteClient,
    LiteGroup,
    LiteDispatch,
    TransactionList,
    TransactionEnd,
    RatesGet,
    RatesList,
    ClientList,
    NodeWritesPut,
    QuotaPut,
    QuotaGet,
    QuotaList,
    QuotaDelete,
    ConfigGet,
    ConfigPut,
    UserPut,
    UserGet,
    UserList,
    UserDelete,
    AclPut,
    AclGet,
    AclList,
    AclDelete,
    AclCopy,
    AclExplain,
    HealthList,
    MessageTraceGet,
    EventList,
    SessionGet,
    NodeHistory,
    NodeProfile,
    NodeInfo,
);

#[cfg(test)]
mod tests {
    use model::admin::CATALOGUE;

    use super::*;

    #[test]
    fn every_operation_is_in_the_catalogue() {
        for name in RUN_HERE {
            assert!(CATALOGUE.iter().any(|operation| operation.name == *name), "{name}");
        }
    }
}
