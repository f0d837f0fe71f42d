//! `lite.*`: what there is of lite topics, and the end of one. One file: each only asks one question
//! of `crate::lite`.

use model::Session;
use model::admin::{
    AdminError, Done, Empty, LiteClient, LiteDelete, LiteDispatch, LiteGet, LiteGroup, LiteList, LiteNode,
    LiteParent,
};
use model::lite::{
    LiteClientDescription, LiteClientRequest, LiteDispatchRequest, LiteGroupDescription, LiteGroupRequest,
    LiteListRequest, LiteNodeDescription, LiteParentDescription, LiteParentRequest, LiteTopicDescription,
    LiteTopicPage, LiteTopicRequest,
};

use super::Run;
use crate::broker::Broker;

impl Run for LiteList {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: LiteListRequest,
    ) -> Result<LiteTopicPage, AdminError> {
        broker.list_lite(&request)
    }
}

impl Run for LiteGet {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: LiteTopicRequest,
    ) -> Result<LiteTopicDescription, AdminError> {
        broker.describe_lite(request)
    }
}

impl Run for LiteDelete {
    async fn run(broker: &Broker, _: &Session, request: LiteTopicRequest) -> Result<Done, AdminError> {
        broker.delete_lite(&request).await.map(|()| Done {})
    }
}

impl Run for LiteParent {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: LiteParentRequest,
    ) -> Result<LiteParentDescription, AdminError> {
        broker.describe_lite_parent(&request.topic)
    }
}

impl Run for LiteNode {
    async fn run(broker: &Broker, _: &Session, _: Empty) -> Result<LiteNodeDescription, AdminError> {
        Ok(broker.describe_lite_node())
    }
}

impl Run for LiteClient {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: LiteClientRequest,
    ) -> Result<LiteClientDescription, AdminError> {
        broker.describe_lite_client(&request)
    }
}

impl Run for LiteGroup {
    async fn run(
        broker: &Broker,
        _: &Session,
        request: LiteGroupRequest,
    ) -> Result<LiteGroupDescription, AdminError> {
        broker.describe_lite_group(request)
    }
}

impl Run for LiteDispatch {
    async fn run(broker: &Broker, _: &Session, request: LiteDispatchRequest) -> Result<Done, AdminError> {
        broker.dispatch_lite(&request)
    }
}
