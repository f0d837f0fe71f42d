//! The generated service, bound to the handlers.
//!
//! What is the same for all calls stands here: who calls, how many at once, counting.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use tonic::{Request, Response, Streaming};

use crate::answer::{Answer, Refusal};
use crate::call::Call;
use crate::handlers::{
    ack, assignment, change_invisible, end_transaction, forward, heartbeat, lite, offsets, pull, recall,
    receive, route, send, termination,
};
use crate::metrics::Rpc;
use crate::node::Node;
use crate::proto::messaging_service_server::MessagingService;
use crate::proto::receive_message_response::Content;
use crate::proto::*;
use crate::telemetry;

#[derive(Clone)]
pub(crate) struct Service(pub(crate) Arc<Node>);

type Answered<T> = Result<Response<T>, tonic::Status>;
type AnswerStream<T> = Pin<Box<dyn Stream<Item = Result<T, tonic::Status>> + Send>>;

impl Service {
    fn begin<T>(&self, request: Request<T>) -> Result<(Call, T), Refusal> {
        let max = self.0.config.requests_max;
        if usize::try_from(self.0.metrics.calls_in_progress()).is_ok_and(|running| running > max) {
            return Err(Refusal::new(
                Code::TooManyRequests,
                format!("too many requests at once: at most {max}"),
            ));
        }
        Call::new(&self.0, request)
    }

    async fn unary<Q, A, F>(
        &self,
        rpc: Rpc,
        request: Request<Q>,
        handle: impl FnOnce(Call, Q) -> F + Send,
    ) -> Answered<A>
    where
        Q: Send,
        A: Answer,
        F: Future<Output = Result<A, Refusal>> + Send,
    {
        let _running = self.0.metrics.call();
        let answer = match self.begin(request) {
            Ok((call, request)) => handle(call, request).await,
            Err(refusal) => Err(refusal),
        };
        let answer = answer.unwrap_or_else(|refusal| A::refused(refusal.into()));
        self.0.metrics.answered(rpc, answer.code());
        Ok(Response::new(answer))
    }
}

macro_rules! unary {
    ($($name:ident($request:ident) -> $answer:ident, $rpc:ident, $handler:path;)*) => {
        #[tonic::async_trait]
        impl MessagingService for Service {
            type ReceiveMessageStream = AnswerStream<ReceiveMessageResponse>;
            type PullMessageStream = AnswerStream<PullMessageResponse>;
            type TelemetryStream = AnswerStream<TelemetryCommand>;

            $(
                async fn $name(&self, request: Request<$request>) -> Answered<$answer> {
                    self.unary(Rpc::$rpc, request, $handler).await
                }
            )*

            async fn receive_message(
                &self,
                request: Request<ReceiveMessageRequest>,
            ) -> Answered<Self::ReceiveMessageStream> {
                Ok(Response::new(self.receive(request).await))
            }

            async fn pull_message(&self, request: Request<PullMessageRequest>) -> Answered<Self::PullMessageStream> {
                Ok(Response::new(self.pull(request).await))
            }

            async fn telemetry(
                &self,
                request: Request<Streaming<TelemetryCommand>>,
            ) -> Answered<Self::TelemetryStream> {
                self.open_telemetry(request)
            }
        }
    };
}

unary! {
    query_route(QueryRouteRequest) -> QueryRouteResponse, QueryRoute, route::route;
    heartbeat(HeartbeatRequest) -> HeartbeatResponse, Heartbeat, heartbeat::heartbeat;
    send_message(SendMessageRequest) -> SendMessageResponse, SendMessage, send::send;
    query_assignment(QueryAssignmentRequest) -> QueryAssignmentResponse, QueryAssignment, assignment::assignment;
    ack_message(AckMessageRequest) -> AckMessageResponse, AckMessage, ack::ack;
    forward_message_to_dead_letter_queue(ForwardMessageToDeadLetterQueueRequest)
        -> ForwardMessageToDeadLetterQueueResponse, ForwardMessageToDeadLetterQueue, forward::forward;
    update_offset(UpdateOffsetRequest) -> UpdateOffsetResponse, UpdateOffset, offsets::update;
    get_offset(GetOffsetRequest) -> GetOffsetResponse, GetOffset, offsets::get;
    query_offset(QueryOffsetRequest) -> QueryOffsetResponse, QueryOffset, offsets::query;
    end_transaction(EndTransactionRequest) -> EndTransactionResponse, EndTransaction, end_transaction::end_transaction;
    notify_client_termination(NotifyClientTerminationRequest)
        -> NotifyClientTerminationResponse, NotifyClientTermination, termination::termination;
    change_invisible_duration(ChangeInvisibleDurationRequest)
        -> ChangeInvisibleDurationResponse, ChangeInvisibleDuration, change_invisible::change_invisible;
    recall_message(RecallMessageRequest) -> RecallMessageResponse, RecallMessage, recall::recall;
    sync_lite_subscription(SyncLiteSubscriptionRequest)
        -> SyncLiteSubscriptionResponse, SyncLiteSubscription, lite::sync_lite;
}

impl Service {
    async fn receive(&self, request: Request<ReceiveMessageRequest>) -> AnswerStream<ReceiveMessageResponse> {
        let _running = self.0.metrics.call();
        match self.begin(request) {
            Ok((call, request)) => {
                let answering = receive::receive(call, request).await;
                self.0.metrics.answered(Rpc::ReceiveMessage, answering.code());
                Box::pin(answering)
            }
            Err(refusal) => {
                self.0.metrics.answered(Rpc::ReceiveMessage, refusal.code.into());
                let time = crate::convert::time::of_ms(self.0.now_ms());
                let contents = [Content::Status(refusal.into()), Content::DeliveryTimestamp(time)];
                let answer = contents.map(|content| Ok(ReceiveMessageResponse { content: Some(content) }));
                Box::pin(futures::stream::iter(answer))
            }
        }
    }

    async fn pull(&self, request: Request<PullMessageRequest>) -> AnswerStream<PullMessageResponse> {
        let _running = self.0.metrics.call();
        let pulled = match self.begin(request) {
            Ok((call, request)) => pull::pull(call, request).await,
            Err(refusal) => pull::Pulled::refused(refusal.into(), 0),
        };
        self.0.metrics.answered(Rpc::PullMessage, pulled.code());
        Box::pin(pulled.into_stream())
    }

    fn open_telemetry(
        &self,
        request: Request<Streaming<TelemetryCommand>>,
    ) -> Answered<AnswerStream<TelemetryCommand>> {
        match self.begin(request) {
            Ok((call, inbound)) => Ok(Response::new(Box::pin(telemetry::open(call, inbound)))),
            Err(refusal) => {
                self.0.metrics.answered(Rpc::Telemetry, refusal.code.into());
                Err(telemetry::ended_by(&refusal))
            }
        }
    }
}
