//! The membership verbs, guarded.

use async_trait::async_trait;
use model::membership::{
    Assign, Assignment, Heartbeat, HeartbeatAnswer, LeaveScope, LockQueues, Member, MemberError, Membership,
    SetRequestMode, TopicQueue,
};
use model::{Engine, GroupName, Session, SessionId};

use crate::call::Guarded;
use crate::metrics::Verb;
use crate::permit::Action;

#[async_trait]
impl<E: Engine> Membership for Guarded<E> {
    async fn heartbeat(&self, session: &Session, beat: Heartbeat) -> Result<HeartbeatAnswer, MemberError> {
        let work = self.engine.heartbeat(session, beat);
        self.call(session, Verb::Heartbeat, Action::Join { group: None }, work).await
    }

    async fn leave(&self, session: &Session, client_id: &str, scope: LeaveScope) {
        let work = self.engine.leave(session, client_id, scope);
        self.call_sure(session, Verb::Leave, Action::Nothing, work, |_| ()).await;
    }

    fn disconnected(&self, session: SessionId) {
        self.quotas().forget(session);
        self.engine.disconnected(session);
    }

    async fn members(&self, session: &Session, group: &GroupName) -> Vec<Member> {
        let work = self.engine.members(session, group);
        self.call_sure(session, Verb::Members, Action::Join { group: Some(group) }, work, |_| Vec::new())
            .await
    }

    async fn producers(&self, session: &Session, group: &GroupName) -> Vec<Member> {
        let work = self.engine.producers(session, group);
        self.call_sure(session, Verb::Members, Action::Join { group: Some(group) }, work, |_| Vec::new())
            .await
    }

    async fn lock(&self, session: &Session, request: LockQueues) -> Result<Vec<TopicQueue>, MemberError> {
        let group = request.group.clone();
        let work = self.engine.lock(session, request);
        self.call(session, Verb::Lock, Action::Join { group: Some(&group) }, work).await
    }

    async fn unlock(&self, session: &Session, request: LockQueues) {
        let work = self.engine.unlock(session, request);
        self.call_sure(session, Verb::Unlock, Action::Nothing, work, |_| ()).await;
    }

    async fn assign(&self, session: &Session, request: Assign) -> Result<Assignment, MemberError> {
        let group = request.group.clone();
        let work = self.engine.assign(session, request);
        self.call(session, Verb::Assign, Action::Join { group: Some(&group) }, work).await
    }

    async fn set_request_mode(&self, session: &Session, request: SetRequestMode) -> Result<(), MemberError> {
        let group = request.group.clone();
        let work = self.engine.set_request_mode(session, request);
        self.call(session, Verb::SetRequestMode, Action::Join { group: Some(&group) }, work).await
    }
}
