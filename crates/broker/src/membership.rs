//! Membership verbs: beats make groups, changes are told to members.

use async_trait::async_trait;
use model::membership::{
    Assign, Assignment, Heartbeat, HeartbeatAnswer, LeaveScope, LockQueues, Member, MemberError, Membership,
    SetRequestMode, TopicQueue,
};
use model::record::canonical;
use model::{Filter, GroupConfig, GroupName, Notice, QueueId, Session, SessionId, TopicName};

use crate::broker::Broker;
use crate::events::Event;
use crate::machine::command::{Command, PutMode};
use crate::members::{Changed, MemberNews, Question, assign};

impl Broker {
    pub(crate) fn expire_members(&self) {
        self.tell(&self.members.on_tick(self.now_ms()));
    }

    /// Tells the members of changed groups, unless their group does not want it.
    fn tell(&self, changed: &Changed) {
        self.emit_news(changed);
        for name in &changed.groups {
            if self.state.group(name).is_some_and(|group| !group.config.notify_members_changed) {
                continue;
            }
            for session in self.members.to_notify(name) {
                session.notices.notify(Notice::MembersChanged { group: name.clone() });
            }
        }
    }

    fn emit_news(&self, changed: &Changed) {
        let news = self.members.take_news();
        for one in news {
            let text = |id: &std::sync::Arc<str>| id.as_ref().to_owned();
            self.events().emit(&match one {
                MemberNews::Online { client_id, address, protocol, language } => Event::ClientOnline {
                    client_id: text(&client_id),
                    address: canonical(address).to_string(),
                    protocol: protocol.to_owned(),
                    language,
                },
                MemberNews::Offline { client_id, address } => Event::ClientOffline {
                    client_id: text(&client_id),
                    address: canonical(address).to_string(),
                },
                MemberNews::Joined { group, client_id, topics } => {
                    Event::Subscribed { group, client_id: text(&client_id), topics }
                }
                MemberNews::Left { group, client_id } => {
                    Event::Unsubscribed { group, client_id: text(&client_id) }
                }
            });
        }
        for group in &changed.groups {
            let members = self.members.consumer_count(group);
            self.events().emit(&Event::Rebalanced { group: group.clone(), members });
        }
    }

    async fn ensure_group(&self, name: &GroupName) -> Result<(), MemberError> {
        if self.state.group(name).is_none() {
            if !self.live().auto_create_groups {
                return Err(MemberError::GroupNotFound(name.clone()));
            }
            let config = GroupConfig::new(name.clone());
            self.propose(Command::GroupPut { config, mode: PutMode::Ensure }, 0).await?;
        }
        let retry = TopicName::retry_of(name);
        if self.state.topic(&retry).is_none() {
            let queues = self.state.group(name).map_or(1, |group| group.config.retry_queues.max(1));
            self.ensure_topic(retry, queues).await?;
        }
        Ok(())
    }

    fn check_filter_of(&self, topic: &TopicName, filter: &Filter) -> Result<(), MemberError> {
        let bad = |reason: String| MemberError::Filter { topic: topic.clone(), reason };
        self.selectors.get(filter).map(|_| ()).map_err(|error| bad(error.to_string()))
    }
}

#[async_trait]
impl Membership for Broker {
    async fn heartbeat(&self, session: &Session, beat: Heartbeat) -> Result<HeartbeatAnswer, MemberError> {
        for consumer in &beat.consumers {
            for subscription in &consumer.subscriptions {
                self.check_filter_of(&subscription.topic, &subscription.filter)?;
            }
            self.ensure_group(&consumer.group).await?;
        }
        let changed = self.members.on_heartbeat(self.now_ms(), session, beat)?;
        self.tell(&changed);
        Ok(HeartbeatAnswer { subscriptions_changed: changed.subscriptions_changed })
    }

    async fn leave(&self, _: &Session, client_id: &str, scope: LeaveScope) {
        self.tell(&self.members.on_leave(client_id, scope));
    }

    fn disconnected(&self, session: SessionId) {
        self.tell(&self.members.on_disconnected(session));
    }

    async fn members(&self, _: &Session, group: &GroupName) -> Result<Vec<Member>, MemberError> {
        Ok(self.members.consumers(group))
    }

    async fn producers(&self, _: &Session, group: &GroupName) -> Result<Vec<Member>, MemberError> {
        Ok(self.members.producers(group))
    }

    async fn lock(&self, _: &Session, request: LockQueues) -> Result<Vec<TopicQueue>, MemberError> {
        let LockQueues { group, client_id, queues } = request;
        Ok(self.members.locks.lock(self.now_ms(), &group, &client_id, &queues))
    }

    async fn unlock(&self, _: &Session, request: LockQueues) {
        if self.members.locks.unlock(&request.group, &request.client_id, &request.queues) {
            // Another member waits for one of them.
            self.tell(&Changed { groups: [request.group].into(), ..Changed::default() });
        }
    }

    async fn assign(&self, _: &Session, request: Assign) -> Result<Assignment, MemberError> {
        let Assign { group, topic, client_id, strategy, model } = request;
        let found = self.state.topic(&topic).ok_or_else(|| MemberError::TopicNotFound(topic.clone()))?;
        let (mode, pop_share_queues) = self.request_mode(&group, &topic);
        let queues =
            (0..found.config.read_queues).map(|queue| (self.config.name.clone(), QueueId(queue))).collect();
        let question = Question {
            topic: &topic,
            client_id: &client_id,
            clients: self.members.client_ids(&group),
            queues,
            strategy: &strategy,
            model,
            mode,
            pop_share_queues,
        };
        Ok(Assignment { mode, queues: assign(question)? })
    }

    async fn set_request_mode(&self, _: &Session, request: SetRequestMode) -> Result<(), MemberError> {
        self.do_set_request_mode(request).await
    }
}
