//! Requests, bound to their handlers.
//!
//! What is the same for all calls stands here: what a request must be, who calls, how many at
//! once, counting.

use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use prost::Message;
use tonic::Status;

use crate::answer::{Answer, Refusal};
use crate::call::{Call, Origin};
use crate::handlers::receive::Answering;
use crate::handlers::{
    ack, assignment, change_invisible, end_transaction, forward, heartbeat, lite, offsets, pull, recall,
    receive, route, send, termination,
};
use crate::http2::hpack::{Field, Head};
use crate::limits::{REPORT_BYTES_MAX, REQUEST_BYTES_MAX};
use crate::metrics::Rpc;
use crate::node::Node;
use crate::proto::{AckMessageRequest, Code, SendMessageRequest};
use crate::wire::inbound::{Inbound, decode, decode_into};
use crate::wire::reply::{Reply, Work};
use crate::{reports, telemetry};

const SERVICE: &str = "/apache.rocketmq.v2.MessagingService/";
const GRPC: &str = "application/grpc";

/// A call that one message begins.
pub(crate) struct Asked {
    pub(crate) call: Rpc,
    pub(crate) origin: Origin,
}

impl Asked {
    /// Bytes of its message.
    pub(crate) const fn bytes_max(&self) -> usize {
        match self.call {
            Rpc::ExportMetrics => REPORT_BYTES_MAX,
            _ => REQUEST_BYTES_MAX,
        }
    }
}

/// What a request is for.
pub(crate) enum Target {
    Unary(Rpc),
    Telemetry,
    Refused(Status),
    NotGrpc(StatusCode),
}

pub(crate) fn target(head: &Head) -> Target {
    if head.get(Field::Method) != Some("POST") {
        return Target::NotGrpc(StatusCode::METHOD_NOT_ALLOWED);
    }
    if !head.get(Field::ContentType).is_some_and(|kind| kind.starts_with(GRPC)) {
        return Target::NotGrpc(StatusCode::UNSUPPORTED_MEDIA_TYPE);
    }
    if let Some(encoding) = head.get(Field::GrpcEncoding).filter(|encoding| *encoding != "identity") {
        let text = format!("messages compressed by {encoding} are not taken: send them plain");
        return Target::Refused(Status::unimplemented(text));
    }
    let path = head.get(Field::Path).unwrap_or_default();
    if path == reports::PATH {
        return Target::Unary(Rpc::ExportMetrics);
    }
    match path.strip_prefix(SERVICE).and_then(Rpc::named).filter(|call| *call != Rpc::ExportMetrics) {
        Some(Rpc::Telemetry) => Target::Telemetry,
        Some(call) => Target::Unary(call),
        None => Target::Refused(Status::unimplemented(format!("there is no call {path}"))),
    }
}

/// The call that a request asks for; `message` is all of it.
pub(crate) fn answer(node: Arc<Node>, asked: Asked, message: Bytes) -> Work {
    let Asked { call, origin } = asked;
    let task = Task { node, call, origin, message };
    match call {
        Rpc::QueryRoute => task.unary(route::route),
        Rpc::Heartbeat => task.unary(heartbeat::heartbeat),
        Rpc::SendMessage => task.unary_into(one_message(), send::send),
        Rpc::QueryAssignment => task.unary(assignment::assignment),
        Rpc::AckMessage => task.unary_into(one_entry(), ack::ack),
        Rpc::ForwardMessageToDeadLetterQueue => task.unary(forward::forward),
        Rpc::UpdateOffset => task.unary(offsets::update),
        Rpc::GetOffset => task.unary(offsets::get),
        Rpc::QueryOffset => task.unary(offsets::query),
        Rpc::EndTransaction => task.unary(end_transaction::end_transaction),
        Rpc::NotifyClientTermination => task.unary(termination::termination),
        Rpc::ChangeInvisibleDuration => task.unary(change_invisible::change_invisible),
        Rpc::RecallMessage => task.unary(recall::recall),
        Rpc::SyncLiteSubscription => task.unary(lite::sync_lite),
        Rpc::ReceiveMessage => Box::pin(task.receive()),
        Rpc::PullMessage => Box::pin(task.pull()),
        Rpc::ExportMetrics => Box::pin(task.export()),
        Rpc::Telemetry => {
            Box::pin(std::future::ready(Reply::Refused(Status::internal("it is no call of one message"))))
        }
    }
}

/// Talks with a client for as long as both want to.
pub(crate) fn telemetry(node: Arc<Node>, origin: Origin, inbound: Inbound) -> Work {
    match begin(&node, origin) {
        Ok(call) => telemetry::open(call, inbound),
        Err(refusal) => {
            node.metrics.answered(Rpc::Telemetry, refusal.code.into());
            Box::pin(std::future::ready(telemetry::refused(refusal)))
        }
    }
}

struct Task {
    node: Arc<Node>,
    call: Rpc,
    origin: Origin,
    message: Bytes,
}

fn begin(node: &Arc<Node>, origin: Origin) -> Result<Call, Refusal> {
    let max = node.config.requests_max;
    if usize::try_from(node.metrics.calls_in_progress()).is_ok_and(|running| running > max) {
        let text = format!("too many requests at once: at most {max}");
        return Err(Refusal::new(Code::TooManyRequests, text));
    }
    Call::new(node, origin)
}

/// Room for what most requests have: one. Left to itself, the first takes room for four.
fn one_message() -> SendMessageRequest {
    SendMessageRequest { messages: Vec::with_capacity(1) }
}

fn one_entry() -> AckMessageRequest {
    AckMessageRequest { entries: Vec::with_capacity(1), ..AckMessageRequest::default() }
}

impl Task {
    fn unary<Q, A, F>(self, handle: impl FnOnce(Call, Q) -> F + Send + 'static) -> Work
    where
        Q: Message + Default + 'static,
        A: Answer + Message,
        F: Future<Output = Result<A, Refusal>> + Send + 'static,
    {
        self.unary_into(Q::default(), handle)
    }

    fn unary_into<Q, A, F>(self, empty: Q, handle: impl FnOnce(Call, Q) -> F + Send + 'static) -> Work
    where
        Q: Message + 'static,
        A: Answer + Message,
        F: Future<Output = Result<A, Refusal>> + Send + 'static,
    {
        Box::pin(async move {
            let _running = self.node.metrics.call();
            let request = match decode_into(empty, self.message) {
                Ok(request) => request,
                Err(status) => return Reply::Refused(status),
            };
            let answer = match begin(&self.node, self.origin) {
                Ok(call) => handle(call, request).await,
                Err(refusal) => Err(refusal),
            };
            let answer = answer.unwrap_or_else(|refusal| A::refused(refusal.into()));
            self.node.metrics.answered(self.call, answer.code());
            Reply::message(&answer)
        })
    }

    async fn receive(self) -> Reply {
        let _running = self.node.metrics.call();
        let request = match decode(self.message) {
            Ok(request) => request,
            Err(status) => return Reply::Refused(status),
        };
        let answering = match begin(&self.node, self.origin) {
            Ok(call) => receive::receive(call, request).await,
            Err(refusal) => Answering::none(&self.node, refusal.into()),
        };
        self.node.metrics.answered(self.call, answering.code());
        Reply::Sequence(Box::new(answering))
    }

    async fn pull(self) -> Reply {
        let _running = self.node.metrics.call();
        let request = match decode(self.message) {
            Ok(request) => request,
            Err(status) => return Reply::Refused(status),
        };
        let pulled = match begin(&self.node, self.origin) {
            Ok(call) => pull::pull(call, request).await,
            Err(refusal) => pull::Pulled::refused(refusal.into(), 0),
        };
        self.node.metrics.answered(self.call, pulled.code());
        Reply::Sequence(Box::new(pulled.into_messages()))
    }

    /// A call of another service, which has its statuses in gRPC itself.
    async fn export(self) -> Reply {
        let _running = self.node.metrics.call();
        let call = match begin(&self.node, self.origin) {
            Ok(call) => call,
            Err(refusal) => {
                self.node.metrics.answered(self.call, refusal.code.into());
                return Reply::Refused(reports::status(refusal));
            }
        };
        match reports::take(&call, self.message) {
            Ok(answer) => {
                self.node.metrics.answered(self.call, Code::Ok.into());
                Reply::message(&answer)
            }
            Err(status) => {
                self.node.metrics.answered(self.call, Code::BadRequest.into());
                Reply::Refused(status)
            }
        }
    }
}
