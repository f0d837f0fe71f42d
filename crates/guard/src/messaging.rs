//! The messaging verbs, guarded: what each touches, and nothing else.

use async_trait::async_trait;
use model::lite::{LiteError, LiteSync};
use model::verbs::{
    AckError, CommitOffset, Fetch, FetchError, Fetched, MessageQuery, Messaging, OffsetAnswer, OffsetError,
    OffsetQuestion, Publish, PublishError, Published, QueryError, Recall, RecallError, Receive, ReceiveError,
    Received, Route, RouteError, Seek, Settle, SettleError,
};
use model::{Engine, Filter, NewMessage, Offset, QueueId, Receipt, Session, StoredMessage, TopicName};

use crate::call::Guarded;
use crate::metrics::Verb;
use crate::permit::Action;

/// What a message takes in memory while it is sent, about.
fn bytes(message: &NewMessage) -> usize {
    message.body.len() + size_of::<NewMessage>()
}

#[async_trait]
impl<E: Engine> Messaging for Guarded<E> {
    async fn publish(&self, session: &Session, request: Publish) -> Result<Published, PublishError> {
        let topic = request.topic.clone();
        let room = self.hold(request.messages.iter().map(bytes).sum());
        let work = async {
            let _room = room?;
            self.count_sent(session, &request.topic, &request.messages)?;
            self.engine.publish(session, request).await
        };
        self.call(session, Verb::Publish, Action::Publish { topic: &topic }, work).await
    }

    async fn receive(&self, session: &Session, mut request: Receive) -> Result<Received, ReceiveError> {
        let (topic, group) = (request.topic.clone(), request.group.clone());
        let work = async {
            let claims = self.claims(session, &request.topic);
            if let Some(claims) = &claims {
                let most = self.await_quota(claims, &mut request.wait_ms).await?;
                request.max_messages = request.max_messages.min(most);
            }
            let received = self.engine.receive(session, request).await?;
            let lengths = received.deliveries.iter().map(|delivery| delivery.message.bytes().len());
            self.count_received(claims.as_ref(), lengths);
            Ok(received)
        };
        self.call(session, Verb::Receive, Action::Consume { topic: &topic, group: Some(&group) }, work).await
    }

    async fn fetch(&self, session: &Session, mut request: Fetch) -> Result<Fetched, FetchError> {
        let (topic, group) = (request.topic.clone(), request.group.clone());
        let work = async {
            let claims = self.claims(session, &request.topic);
            if let Some(claims) = &claims {
                let most = self.await_quota(claims, &mut request.wait_ms).await?;
                request.max_messages = request.max_messages.min(most);
            }
            let fetched = self.engine.fetch(session, request).await?;
            self.count_received(
                claims.as_ref(),
                fetched.messages.iter().map(|message| message.bytes().len()),
            );
            Ok(fetched)
        };
        self.call(session, Verb::Fetch, Action::Consume { topic: &topic, group: group.as_ref() }, work).await
    }

    async fn ack(&self, session: &Session, receipts: Vec<Receipt>) -> Vec<Result<(), AckError>> {
        // All receipts of one call come from one consumer: the first speaks for them.
        let first = receipts.first().map(|r| (r.topic.clone(), r.group.clone()));
        let action = first
            .as_ref()
            .map_or(Action::Nothing, |(topic, group)| Action::Consume { topic, group: Some(group) });
        let count = receipts.len();
        let work = self.engine.ack(session, receipts);
        let refused =
            |refusal: crate::refuse::Refusal| (0..count).map(|_| Err(refusal.clone().into())).collect();
        let results: Vec<Result<(), AckError>> =
            self.call_sure(session, Verb::Ack, action, work, refused).await;
        self.count_errors(Verb::Ack, &results);
        results
    }

    async fn extend(
        &self,
        session: &Session,
        receipt: Receipt,
        invisible_ms: i64,
    ) -> Result<Receipt, AckError> {
        let (topic, group) = (receipt.topic.clone(), receipt.group.clone());
        let work = self.engine.extend(session, receipt, invisible_ms);
        self.call(session, Verb::Extend, Action::Consume { topic: &topic, group: Some(&group) }, work).await
    }

    async fn settle(&self, session: &Session, request: Settle) -> Result<(), SettleError> {
        let group = match &request {
            Settle::SendBack(back) => Some(back.group.clone()),
            Settle::DeadLetter { receipt, .. } => Some(receipt.group.clone()),
            Settle::Transaction(end) => end.producer_group.clone(),
        };
        let work = self.engine.settle(session, request);
        self.call(session, Verb::Settle, Action::Settle { group: group.as_ref() }, work).await
    }

    async fn recall(&self, session: &Session, request: Recall) -> Result<String, RecallError> {
        let topic = request.topic.clone();
        let work = self.engine.recall(session, request);
        self.call(session, Verb::Recall, Action::Publish { topic: &topic }, work).await
    }

    async fn commit_offset(&self, session: &Session, request: CommitOffset) -> Result<(), OffsetError> {
        let (topic, group) = (request.topic.clone(), request.group.clone());
        let work = self.engine.commit_offset(session, request);
        self.call(session, Verb::CommitOffset, Action::Consume { topic: &topic, group: Some(&group) }, work)
            .await
    }

    async fn seek(&self, session: &Session, request: Seek) -> Result<Vec<(QueueId, Offset)>, OffsetError> {
        let (topic, group) = (request.topic.clone(), request.group.clone());
        let work = self.engine.seek(session, request);
        self.call(session, Verb::Seek, Action::Seek { topic: &topic, group: &group }, work).await
    }

    async fn offset(&self, session: &Session, question: OffsetQuestion) -> Result<OffsetAnswer, OffsetError> {
        let topic = match &question {
            OffsetQuestion::Committed { topic, .. }
            | OffsetQuestion::Min { topic, .. }
            | OffsetQuestion::Max { topic, .. }
            | OffsetQuestion::ByTime { topic, .. }
            | OffsetQuestion::EarliestTime { topic, .. } => topic.clone(),
        };
        let work = self.engine.offset(session, question);
        self.call(session, Verb::Offset, Action::Describe { topic: &topic }, work).await
    }

    async fn route(&self, session: &Session, topic: &TopicName) -> Result<Route, RouteError> {
        let work = self.engine.route(session, topic);
        self.call(session, Verb::Route, Action::Describe { topic }, work).await
    }

    async fn query(&self, session: &Session, query: MessageQuery) -> Result<Vec<StoredMessage>, QueryError> {
        let topic = match &query {
            MessageQuery::Position(_) => None,
            MessageQuery::Offset { topic, .. } | MessageQuery::Key { topic, .. } => Some(topic.clone()),
        };
        let work = self.engine.query(session, query);
        self.call(session, Verb::Query, Action::Query { topic: topic.as_ref() }, work).await
    }

    async fn sync_lite(&self, session: &Session, request: LiteSync) -> Result<(), LiteError> {
        let (topic, group) = (request.topic.clone(), request.group.clone());
        let work = self.engine.sync_lite(session, request);
        self.call(session, Verb::SyncLite, Action::Consume { topic: &topic, group: Some(&group) }, work).await
    }

    async fn check_filter(&self, session: &Session, filter: &Filter) -> Result<(), ReceiveError> {
        let work = self.engine.check_filter(session, filter);
        self.call(session, Verb::CheckFilter, Action::Nothing, work).await
    }
}
