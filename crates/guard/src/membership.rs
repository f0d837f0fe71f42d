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
        let leave = self.ask(session, Action::Beat { beat: &beat });
        self.call(session, Verb::Heartbeat, leave, self.engine.heartbeat(session, beat)).await
    }

    async fn leave(&self, session: &Session, client_id: &str, scope: LeaveScope) {
        let leave = match &scope {
            LeaveScope::Groups { consumer: Some(group), .. } => self.ask(session, Action::Join { group }),
            LeaveScope::Groups { .. } | LeaveScope::Everything => self.ask(session, Action::Nothing),
        };
        let work = self.engine.leave(session, client_id, scope);
        self.call_sure(session, Verb::Leave, leave, work, |_| ()).await;
    }

    fn disconnected(&self, session: SessionId) {
        self.quotas().forget(session);
        self.engine.disconnected(session);
    }

    async fn members(&self, session: &Session, group: &GroupName) -> Result<Vec<Member>, MemberError> {
        let leave = self.ask(session, Action::Join { group });
        self.call(session, Verb::Members, leave, self.engine.members(session, group)).await
    }

    async fn producers(&self, session: &Session, group: &GroupName) -> Result<Vec<Member>, MemberError> {
        let leave = self.ask(session, Action::AskProducers);
        self.call(session, Verb::Members, leave, self.engine.producers(session, group)).await
    }

    async fn lock(&self, session: &Session, request: LockQueues) -> Result<Vec<TopicQueue>, MemberError> {
        let leave = self.ask(session, Action::Lock { request: &request });
        self.call(session, Verb::Lock, leave, self.engine.lock(session, request)).await
    }

    async fn unlock(&self, session: &Session, request: LockQueues) {
        let leave = self.ask(session, Action::Lock { request: &request });
        let work = self.engine.unlock(session, request);
        self.call_sure(session, Verb::Unlock, leave, work, |_| ()).await;
    }

    async fn assign(&self, session: &Session, request: Assign) -> Result<Assignment, MemberError> {
        let action = Action::Consume { topic: &request.topic, group: Some(&request.group) };
        let leave = self.ask(session, action);
        self.call(session, Verb::Assign, leave, self.engine.assign(session, request)).await
    }

    async fn set_request_mode(&self, session: &Session, request: SetRequestMode) -> Result<(), MemberError> {
        let leave = self.ask(session, Action::Configure { group: &request.group });
        self.call(session, Verb::SetRequestMode, leave, self.engine.set_request_mode(session, request)).await
    }
}
