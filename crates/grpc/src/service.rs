//! Requests, bound to their handlers.
//!
//! What is the same for all calls stands here: what a request must be, who calls, how many at
//! once, counting.

use std::sync::Arc;

use futures::future::BoxFuture;
use h2::RecvStream;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, StatusCode};
use prost::Message;
use tonic::Status;

use crate::answer::{Answer, Refusal};
use crate::call::{Call, Origin};
use crate::handlers::receive::Answering;
use crate::handlers::{
    ack, assignment, change_invisible, end_transaction, forward, heartbeat, lite, offsets, pull, recall,
    receive, route, send, termination,
};
use crate::metrics::Rpc;
use crate::node::Node;
use crate::proto::Code;
use crate::telemetry;
use crate::wire::inbound::Inbound;
use crate::wire::responder::{Gone, Responder};

const SERVICE: &str = "/apache.rocketmq.v2.MessagingService/";
const GRPC: &[u8] = b"application/grpc";

/// A request as it came in.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a Method,
    pub(crate) path: &'a str,
    pub(crate) origin: Origin,
    pub(crate) body: RecvStream,
}

/// A request of gRPC that is being answered.
struct Task {
    node: Arc<Node>,
    origin: Origin,
    inbound: Inbound,
    responder: Responder,
}

type Work = BoxFuture<'static, ()>;

/// Answers a request. The work ends early if the client does not want the answer any more.
pub(crate) fn answer(node: &Arc<Node>, asked: Asked<'_>, responder: Responder) -> Work {
    let Asked { method, path, origin, body } = asked;
    if let Some(status) = http_refusal(method, &origin.headers) {
        return nothing_to_do(responder.http_status(status));
    }
    if let Some(status) = compressed(&origin.headers) {
        return nothing_to_do(responder.refuse(status));
    }
    let name = path.strip_prefix(SERVICE).unwrap_or_default();
    // Telemetry lives as long as its client, so its bytes never sum up to anything.
    let share = if name == "Telemetry" { None } else { node.incoming.take(0) };
    let task = Task { node: Arc::clone(node), origin, inbound: Inbound::new(body, share), responder };
    dispatch(name, task).unwrap_or_else(|responder| {
        nothing_to_do(responder.refuse(Status::unimplemented(format!("there is no call {path}"))))
    })
}

/// What was to be said is said, or nobody waits for it.
fn nothing_to_do(_: Result<(), Gone>) -> Work {
    Box::pin(std::future::ready(()))
}

/// Requests that are none of gRPC.
fn http_refusal(method: &Method, headers: &HeaderMap) -> Option<StatusCode> {
    let is_grpc = headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(GRPC));
    if method != Method::POST {
        Some(StatusCode::METHOD_NOT_ALLOWED)
    } else if !is_grpc {
        Some(StatusCode::UNSUPPORTED_MEDIA_TYPE)
    } else {
        None
    }
}

fn compressed(headers: &HeaderMap) -> Option<Status> {
    let encoding = headers.get("grpc-encoding").filter(|encoding| encoding.as_bytes() != b"identity")?;
    let text = format!("messages compressed by {encoding:?} are not taken: send them plain");
    let mut status = Status::unimplemented(text);
    status
        .metadata_mut()
        .insert("grpc-accept-encoding", tonic::metadata::MetadataValue::from_static("identity"));
    Some(status)
}

macro_rules! unary {
    ($name:expr, $task:expr, { $($call:ident => $handler:path,)* }) => {
        match $name {
            $(stringify!($call) => Ok(boxed($task.unary(Rpc::$call, $handler))),)*
            "ReceiveMessage" => Ok(boxed($task.receive())),
            "PullMessage" => Ok(boxed($task.pull())),
            "Telemetry" => Ok(boxed($task.telemetry())),
            _ => Err($task.responder),
        }
    };
}

fn boxed(work: impl Future<Output = Result<(), Gone>> + Send + 'static) -> Work {
    // Whoever is gone needs no answer.
    Box::pin(async move {
        let _ = work.await;
    })
}

/// Of a call that is not there, the way to say so.
fn dispatch(name: &str, task: Task) -> Result<Work, Responder> {
    unary!(name, task, {
        QueryRoute => route::route,
        Heartbeat => heartbeat::heartbeat,
        SendMessage => send::send,
        QueryAssignment => assignment::assignment,
        AckMessage => ack::ack,
        ForwardMessageToDeadLetterQueue => forward::forward,
        UpdateOffset => offsets::update,
        GetOffset => offsets::get,
        QueryOffset => offsets::query,
        EndTransaction => end_transaction::end_transaction,
        NotifyClientTermination => termination::termination,
        ChangeInvisibleDuration => change_invisible::change_invisible,
        RecallMessage => recall::recall,
        SyncLiteSubscription => lite::sync_lite,
    })
}

fn begin(node: &Arc<Node>, origin: Origin) -> Result<Call, Refusal> {
    let max = node.config.requests_max;
    if usize::try_from(node.metrics.calls_in_progress()).is_ok_and(|running| running > max) {
        let text = format!("too many requests at once: at most {max}");
        return Err(Refusal::new(Code::TooManyRequests, text));
    }
    Call::new(node, origin)
}

impl Task {
    async fn unary<Q, A, F>(self, rpc: Rpc, handle: impl FnOnce(Call, Q) -> F + Send) -> Result<(), Gone>
    where
        Q: Message + Default,
        A: Answer + Message,
        F: Future<Output = Result<A, Refusal>> + Send,
    {
        let Self { node, origin, inbound, mut responder } = self;
        let _running = node.metrics.call();
        let work = async {
            let request = inbound.only().await?;
            let answer = match begin(&node, origin) {
                Ok(call) => handle(call, request).await,
                Err(refusal) => Err(refusal),
            };
            Ok(answer.unwrap_or_else(|refusal| A::refused(refusal.into())))
        };
        match responder.unless_gone(work).await? {
            Ok(answer) => {
                node.metrics.answered(rpc, answer.code());
                responder.message(&answer)
            }
            Err(status) => responder.refuse(status),
        }
    }

    async fn receive(self) -> Result<(), Gone> {
        let Self { node, origin, inbound, mut responder } = self;
        let _running = node.metrics.call();
        let work = async {
            let request = inbound.only().await?;
            Ok(match begin(&node, origin) {
                Ok(call) => receive::receive(call, request).await,
                Err(refusal) => Answering::none(&node, refusal.into()),
            })
        };
        match responder.unless_gone(work).await? {
            Ok(answering) => {
                node.metrics.answered(Rpc::ReceiveMessage, answering.code());
                responder.begin()?.all(answering).await
            }
            Err(status) => responder.refuse(status),
        }
    }

    async fn pull(self) -> Result<(), Gone> {
        let Self { node, origin, inbound, mut responder } = self;
        let _running = node.metrics.call();
        let work = async {
            let request = inbound.only().await?;
            Ok(match begin(&node, origin) {
                Ok(call) => pull::pull(call, request).await,
                Err(refusal) => pull::Pulled::refused(refusal.into(), 0),
            })
        };
        match responder.unless_gone(work).await? {
            Ok(pulled) => {
                node.metrics.answered(Rpc::PullMessage, pulled.code());
                responder.begin()?.all(pulled.into_stream()).await
            }
            Err(status) => responder.refuse(status),
        }
    }

    async fn telemetry(self) -> Result<(), Gone> {
        let Self { node, origin, inbound, responder } = self;
        match begin(&node, origin) {
            Ok(call) => telemetry::run(call, inbound, responder.begin()?).await,
            Err(refusal) => {
                node.metrics.answered(Rpc::Telemetry, refusal.code.into());
                responder.refuse(telemetry::ended_by(&refusal))
            }
        }
    }
}
