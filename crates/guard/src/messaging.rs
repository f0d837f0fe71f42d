//! The messaging verbs, guarded: what each touches, and nothing else.

use std::future::ready;
use std::pin::pin;

use async_trait::async_trait;
use model::lite::{LiteError, LiteSync};
use model::verbs::{
    AckError, CommitOffset, Fetch, FetchError, Fetched, Hide, MessageQuery, Messaging, OffsetAnswer,
    OffsetError, OffsetQuestion, Publish, PublishError, Published, Publishing, QueryError, Recall,
    RecallError, Receive, ReceiveError, Received, Route, RouteError, Seek, Settle, SettleError,
};
use model::{
    Engine, Filter, GroupName, Kinded, NewMessage, Offset, QueueId, Receipt, Session, StoredMessage,
    TopicName,
};
use tracing::Instrument;

use crate::call::{Guarded, span};
use crate::metrics::Verb;
use crate::permit::Action;
use crate::refuse::Refusal;

/// What a message takes in memory while it is sent, about.
fn bytes(message: &NewMessage) -> usize {
    message.body.len() + size_of::<NewMessage>()
}

#[async_trait]
impl<E: Engine> Messaging for Guarded<E> {
    /// The engine begins before this returns: what waits is small then, for there are many.
    fn publish<'s, 'c, 'f>(&'s self, session: &'c Session, request: Publish) -> Publishing<'f>
    where
        's: 'f,
        'c: 'f,
        Self: 'f,
    {
        let leave = self.ask(session, Action::Publish { topic: &request.topic });
        let sending = self.tracer.as_deref().and_then(|tracer| tracer.sending(session, &request));
        let room = self.hold(request.messages.iter().map(bytes).sum());
        let running = self.start(session, Verb::Publish);
        let ended = move |result: &Result<Published, PublishError>| {
            running.finish(result.as_ref().err().map(Kinded::kind));
            if let (Some(tracer), Some(sending)) = (&self.tracer, sending) {
                tracer.sent(*sending, result);
            }
        };
        let begun = self.admit(session, Verb::Publish, leave).and_then(|seat| {
            let room = room?;
            self.count_sent(session, &request.topic, &request.messages)?;
            Ok((seat, room))
        });
        match begun {
            Ok((seat, room)) => {
                let span = span(Verb::Publish, session);
                let work = span.in_scope(|| self.engine.publish(session, request)).instrument(span);
                Box::pin(async move {
                    let result = work.await;
                    drop((seat, room));
                    ended(&result);
                    result
                })
            }
            Err(refusal) => {
                let result = Err(refusal.into());
                ended(&result);
                Box::pin(ready(result))
            }
        }
    }

    async fn receive(&self, session: &Session, mut request: Receive) -> Result<Received, ReceiveError> {
        let leave = self.ask_consume(session, &request.topic, Some(&request.group));
        let work = async {
            let claims = self.claims(session, &request.topic);
            if let Some(claims) = &claims {
                self.await_quota(claims, &mut request.wait_ms, &mut request.max_messages).await?;
            }
            let client_id = self.tracer.is_some().then(|| request.client_id.clone());
            let received = self.engine.receive(session, request).await?;
            if let (Some(tracer), Some(client_id)) = (&self.tracer, client_id) {
                tracer.received(session, &client_id, &received);
            }
            let lengths = received.deliveries.iter().map(|delivery| delivery.message.bytes().len());
            self.count_received(claims.as_ref(), lengths);
            Ok(received)
        };
        self.call(session, Verb::Receive, leave, pin!(work)).await
    }

    async fn fetch(&self, session: &Session, mut request: Fetch) -> Result<Fetched, FetchError> {
        let leave = self.ask_consume(session, &request.topic, request.group.as_ref());
        let work = async {
            let claims = self.claims(session, &request.topic);
            if let Some(claims) = &claims {
                self.await_quota(claims, &mut request.wait_ms, &mut request.max_messages).await?;
            }
            let traced = self.tracer.as_ref().zip(request.group.clone());
            let traced =
                traced.map(|(tracer, group)| (tracer, group, request.topic.clone(), tracer.fetching()));
            let fetched = self.engine.fetch(session, request).await?;
            if let Some((tracer, group, topic, began_ns)) = traced {
                tracer.fetched(session, (&topic, &group), began_ns, &fetched);
            }
            self.count_received(
                claims.as_ref(),
                fetched.messages.iter().map(|message| message.bytes().len()),
            );
            Ok(fetched)
        };
        self.call(session, Verb::Fetch, leave, pin!(work)).await
    }

    async fn ack(&self, session: &Session, receipts: Vec<Receipt>) -> Vec<Result<(), AckError>> {
        let ask = |receipt: &Receipt| self.ask_consume(session, &receipt.topic, Some(&receipt.group));
        let same = |a: &Receipt, b: &Receipt| a.topic == b.topic && a.group == b.group;
        // Most often all receipts of a call are of one topic.
        let leave = receipts.chunk_by(same).filter_map(|alike| alike.first()).try_for_each(ask);
        let count = receipts.len();
        let ending = self.tracer.as_deref().and_then(|tracer| tracer.acking(session, &receipts));
        let work = self.engine.ack(session, receipts);
        let refused = |refusal: Refusal| (0..count).map(|_| Err(refusal.clone().into())).collect();
        let results: Vec<Result<(), AckError>> =
            self.call_sure(session, Verb::Ack, leave, work, refused).await;
        self.count_errors(Verb::Ack, &results);
        if let (Some(tracer), Some(ending)) = (&self.tracer, ending) {
            tracer.acked(*ending, &results);
        }
        results
    }

    async fn extend(&self, session: &Session, receipt: Receipt, hide: Hide) -> Result<Receipt, AckError> {
        let leave = self.ask_consume(session, &receipt.topic, Some(&receipt.group));
        let traced = self.tracer.as_deref().and_then(|tracer| Some((tracer, tracer.extending(&receipt)?)));
        let work = self.engine.extend(session, receipt, hide);
        let result = self.call(session, Verb::Extend, leave, work).await;
        if let (Some((tracer, delivery)), Ok(newest)) = (traced, &result) {
            tracer.extended(&delivery, newest, hide.why);
        }
        result
    }

    async fn settle(&self, session: &Session, request: Settle) -> Result<(), SettleError> {
        let leave = match &request {
            Settle::SendBack(back) => self.ask(session, Action::SendBack { group: &back.group }),
            Settle::DeadLetter { receipt, .. } => {
                self.ask_consume(session, &receipt.topic, Some(&receipt.group))
            }
            // Old clients do not name the topic; what they end is named by its place alone.
            Settle::Transaction(end) => {
                let action = end.topic.as_ref().map_or(Action::Nothing, |topic| Action::Publish { topic });
                self.ask(session, action)
            }
        };
        let ending = match (&self.tracer, &request) {
            (Some(tracer), Settle::DeadLetter { receipt, .. }) => tracer.giving_up(session, receipt),
            _ => None,
        };
        let result = self.call(session, Verb::Settle, leave, self.engine.settle(session, request)).await;
        if let (Some(tracer), Some(ending)) = (&self.tracer, ending) {
            tracer.gave_up(*ending, &result);
        }
        result
    }

    async fn recall(&self, session: &Session, request: Recall) -> Result<String, RecallError> {
        let leave = self.ask(session, Action::Publish { topic: &request.topic });
        self.call(session, Verb::Recall, leave, self.engine.recall(session, request)).await
    }

    async fn commit_offset(&self, session: &Session, request: CommitOffset) -> Result<(), OffsetError> {
        let leave = self.ask(session, Action::CommitOffset { topic: &request.topic, group: &request.group });
        self.call(session, Verb::CommitOffset, leave, self.engine.commit_offset(session, request)).await
    }

    async fn seek(&self, session: &Session, request: Seek) -> Result<Vec<(QueueId, Offset)>, OffsetError> {
        let leave = self.ask(session, Action::Seek { topic: &request.topic, group: &request.group });
        self.call(session, Verb::Seek, leave, self.engine.seek(session, request)).await
    }

    async fn offset(&self, session: &Session, question: OffsetQuestion) -> Result<OffsetAnswer, OffsetError> {
        let (topic, group) = match &question {
            OffsetQuestion::Committed { topic, group, .. } => (topic, Some(group)),
            OffsetQuestion::Min { topic, .. }
            | OffsetQuestion::Max { topic, .. }
            | OffsetQuestion::ByTime { topic, .. }
            | OffsetQuestion::EarliestTime { topic, .. } => (topic, None),
        };
        let leave = self.ask(session, Action::AskOffset { topic, group });
        self.call(session, Verb::Offset, leave, self.engine.offset(session, question)).await
    }

    async fn route(&self, session: &Session, topic: &TopicName) -> Result<Route, RouteError> {
        let leave = self.ask(session, Action::Describe { topic });
        self.call(session, Verb::Route, leave, self.engine.route(session, topic)).await
    }

    async fn query(&self, session: &Session, query: MessageQuery) -> Result<Vec<StoredMessage>, QueryError> {
        let leave = match &query {
            // Whose message stands there is not known before it is found.
            MessageQuery::Position(_) => self.ask(session, Action::Nothing),
            MessageQuery::Offset { topic, .. } | MessageQuery::Key { topic, .. } => {
                self.ask(session, Action::Query { topic })
            }
        };
        let work = async {
            let found = self.engine.query(session, query).await?;
            for message in &found {
                if let Ok(topic) = TopicName::new(message.topic()) {
                    self.ask(session, Action::Query { topic: &topic })?;
                }
            }
            Ok(found)
        };
        self.call(session, Verb::Query, leave, pin!(work)).await
    }

    async fn sync_lite(&self, session: &Session, request: LiteSync) -> Result<(), LiteError> {
        let leave = self.ask_consume(session, &request.topic, Some(&request.group));
        self.call(session, Verb::SyncLite, leave, self.engine.sync_lite(session, request)).await
    }

    async fn check_filter(&self, session: &Session, filter: &Filter) -> Result<(), ReceiveError> {
        let leave = self.ask(session, Action::Nothing);
        self.call(session, Verb::CheckFilter, leave, self.engine.check_filter(session, filter)).await
    }
}

impl<E: Engine> Guarded<E> {
    fn ask_consume(
        &self,
        session: &Session,
        topic: &TopicName,
        group: Option<&GroupName>,
    ) -> Result<(), Refusal> {
        self.ask(session, Action::Consume { topic, group })
    }
}
