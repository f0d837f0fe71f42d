//! The protocol of RocketMQ 5.x: send, receive message by message, acknowledge receipts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures::FutureExt;
use futures::future::BoxFuture;
use grpc::proto::messaging_service_client::MessagingServiceClient;
use grpc::proto::receive_message_response::Content;
use grpc::proto::{
    AckMessageEntry, AckMessageRequest, Code, FilterExpression, FilterType, Message, MessageQueue,
    MessageType, ReceiveMessageRequest, Resource, SendMessageRequest, Status, SystemProperties,
};
use prost_types::Timestamp;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use super::Run;
use super::wire::{Claim, Parcel, Taken, Wire};

const BATCH: i32 = 32;
const INVISIBLE_SECONDS: i64 = 60;
const WAIT_SECONDS: i64 = 5;
/// Above the wait, so that the server answers before the client gives up.
const DEADLINE: Duration = Duration::from_secs(15);

pub(crate) struct GrpcWire {
    client: MessagingServiceClient<Channel>,
    client_id: String,
    topic: Resource,
    group: Resource,
    ids: AtomicU64,
    id_prefix: u64,
}

pub(crate) async fn connect(run: &Run) -> Result<GrpcWire> {
    let address = run.args.endpoint;
    let channel = Endpoint::from_shared(format!("http://{address}"))?
        .tcp_nodelay(true)
        .connect()
        .await
        .with_context(|| format!("cannot connect to {address}"))?;
    let resource = |name: String| Resource { resource_namespace: String::new(), name };
    let id_prefix = run.doors.chance.next_u64();
    Ok(GrpcWire {
        client: MessagingServiceClient::new(channel),
        client_id: format!("bench@{id_prefix:016x}"),
        topic: resource(run.args.topic.0.to_string()),
        group: resource(run.args.group.0.to_string()),
        ids: AtomicU64::new(0),
        id_prefix,
    })
}

impl GrpcWire {
    fn request<T>(&self, body: T) -> Result<Request<T>> {
        let mut request = Request::new(body);
        let metadata = request.metadata_mut();
        metadata.insert("x-mq-client-id", self.client_id.parse()?);
        metadata.insert("x-mq-language", "RUST".parse()?);
        metadata.insert("x-mq-client-version", "5.0.3".parse()?);
        request.set_timeout(DEADLINE);
        Ok(request)
    }

    fn message(&self, parcel: Parcel) -> Message {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let kind = if parcel.due_ms.is_some() { MessageType::Delay } else { MessageType::Normal };
        let timestamp = |ms: i64| Timestamp {
            seconds: ms.div_euclid(1_000),
            nanos: i32::try_from(ms.rem_euclid(1_000) * 1_000_000).unwrap_or_default(),
        };
        Message {
            topic: Some(self.topic.clone()),
            system_properties: Some(SystemProperties {
                message_id: format!("{:016X}{id:016X}", self.id_prefix),
                message_type: kind.into(),
                delivery_timestamp: parcel.due_ms.map(timestamp),
                ..SystemProperties::default()
            }),
            body: parcel.body,
            ..Message::default()
        }
    }

    fn receive_request(&self) -> ReceiveMessageRequest {
        let seconds = |seconds| Some(prost_types::Duration { seconds, nanos: 0 });
        let filter = FilterExpression { r#type: FilterType::Tag.into(), expression: "*".to_owned() };
        ReceiveMessageRequest {
            group: Some(self.group.clone()),
            message_queue: Some(MessageQueue {
                topic: Some(self.topic.clone()),
                id: -1,
                ..MessageQueue::default()
            }),
            filter_expression: Some(filter),
            batch_size: BATCH,
            invisible_duration: seconds(INVISIBLE_SECONDS),
            long_polling_timeout: seconds(WAIT_SECONDS),
            ..ReceiveMessageRequest::default()
        }
    }
}

fn check(status: Option<Status>) -> Result<()> {
    let status = status.context("the answer has no status")?;
    if status.code == i32::from(Code::Ok) {
        Ok(())
    } else {
        bail!("code {}: {}", status.code, status.message)
    }
}

fn taken(message: Message) -> Option<Taken> {
    let system = message.system_properties?;
    let claim = Claim::Receipt { message_id: system.message_id, handle: system.receipt_handle? };
    let stored = system.store_timestamp.unwrap_or_default();
    let stored_ms = stored.seconds * 1_000 + i64::from(stored.nanos) / 1_000_000;
    Some(Taken { body: message.body, stored_ms, claim })
}

impl Wire for GrpcWire {
    fn send(&self, parcels: Vec<Parcel>) -> BoxFuture<'_, Result<()>> {
        async move {
            let messages = parcels.into_iter().map(|parcel| self.message(parcel)).collect();
            let request = self.request(SendMessageRequest { messages })?;
            check(self.client.clone().send_message(request).await?.into_inner().status)
        }
        .boxed()
    }

    fn receive(&self, _worker: usize, _workers: usize) -> BoxFuture<'_, Result<Vec<Taken>>> {
        async move {
            let request = self.request(self.receive_request())?;
            let mut stream = self.client.clone().receive_message(request).await?.into_inner();
            let mut out = Vec::new();
            while let Some(part) = stream.message().await? {
                match part.content {
                    Some(Content::Message(message)) => out.extend(taken(message)),
                    Some(Content::Status(status)) if status.code == i32::from(Code::MessageNotFound) => {}
                    Some(Content::Status(status)) => check(Some(status))?,
                    Some(Content::DeliveryTimestamp(_)) | None => {}
                }
            }
            Ok(out)
        }
        .boxed()
    }

    fn settle(&self, taken: Vec<Taken>) -> BoxFuture<'_, Result<()>> {
        async move {
            let entry = |taken: Taken| match taken.claim {
                Claim::Receipt { message_id, handle } => {
                    Some(AckMessageEntry { message_id, receipt_handle: handle, lite_topic: None })
                }
                Claim::Offset { .. } => None,
            };
            let entries: Vec<AckMessageEntry> = taken.into_iter().filter_map(entry).collect();
            if entries.is_empty() {
                return Ok(());
            }
            let request = AckMessageRequest {
                group: Some(self.group.clone()),
                topic: Some(self.topic.clone()),
                entries,
            };
            check(self.client.clone().ack_message(self.request(request)?).await?.into_inner().status)
        }
        .boxed()
    }
}
