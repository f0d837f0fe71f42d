//! A running protocol and clients for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use base::{Clock, Doors};
use futures::future::BoxFuture;
use model::{
    Endpoint, GroupConfig, GroupName, Lsn, Offset, QueueId, Receipt, SessionId, TopicConfig, TopicName,
};
use net::{Accepted, Drain, Protocol as _};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Channel;
use tonic::{Request, Streaming};

use super::fake::{Done, Fake};
use crate::proto::messaging_service_client::MessagingServiceClient;
use crate::proto::settings::PubSub;
use crate::proto::telemetry_command::Command;
use crate::proto::{
    ClientType, Message, MessageQueue, Publishing, Resource, Settings, Subscription, SystemProperties,
    TelemetryCommand,
};
use crate::{Grpc, GrpcConfig, Metrics};

pub(crate) type Client = MessagingServiceClient<Channel>;

/// Stands still until told otherwise; nobody wakes from its sleep.
#[derive(Debug)]
pub(crate) struct HandClock(AtomicI64);

impl HandClock {
    pub(crate) fn set(&self, ms: i64) {
        self.0.store(ms, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now_ms(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.now_ms()).expect("after 1970"))
    }

    fn sleep(&self, _duration: Duration) -> BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

pub(crate) struct Running {
    pub(crate) engine: Arc<Fake>,
    pub(crate) done: mpsc::Receiver<Done>,
    pub(crate) grpc: Arc<Grpc>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) drain: Drain,
    pub(crate) port: u16,
}

impl Running {
    pub(crate) async fn start() -> Self {
        Self::with(GrpcConfig::default()).await
    }

    pub(crate) async fn with(config: GrpcConfig) -> Self {
        let (engine, done) = Fake::new();
        let engine = Arc::new(engine);
        let clock = Arc::new(HandClock(AtomicI64::new(1_000_000)));
        let doors = Doors { clock: clock.clone(), ..Doors::system() };
        let grpc = Grpc::new(
            engine.clone(),
            Arc::new(model::access::Open),
            config,
            doors.clone(),
            Metrics::default(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback");
        let port = listener.local_addr().expect("bound").port();
        let drain = Drain::new();
        let accepting = accept(listener, grpc.clone(), doors.clone(), drain.clone());
        drop(doors.spawn.spawn("accept", Box::pin(accepting)));
        let it = Self { engine, done, grpc, clock, drain, port };
        it.make_topic("t", |_| ());
        it.make_group("g", |_| ());
        it
    }

    pub(crate) fn make_topic(&self, name: &str, change: impl FnOnce(&mut TopicConfig)) {
        let mut config = TopicConfig::new(topic_name(name), 2);
        change(&mut config);
        self.engine.topics.lock().insert(config.name.clone(), config);
    }

    pub(crate) fn make_group(&self, name: &str, change: impl FnOnce(&mut GroupConfig)) {
        let mut config = GroupConfig::new(group_name(name));
        change(&mut config);
        self.engine.groups.lock().insert(config.name.clone(), config);
    }

    pub(crate) async fn client(&self) -> Client {
        let url = format!("http://127.0.0.1:{}", self.port);
        MessagingServiceClient::connect(url).await.expect("listening")
    }

    pub(crate) async fn done(&mut self) -> Done {
        self.done.recv().await.expect("the engine lives")
    }
}

async fn accept(listener: TcpListener, grpc: Arc<Grpc>, doors: Doors, drain: Drain) {
    let mut session = 0;
    while let Ok((stream, peer)) = listener.accept().await {
        session += 1;
        let local = stream.local_addr().expect("connected");
        let accepted = Accepted {
            stream: Box::new(stream),
            peer,
            local,
            advertised: Endpoint { host: "seen.example.com".to_owned(), port: 1 },
            session: SessionId(session),
            tls: false,
            certificate: None,
            drain: drain.clone(),
        };
        drop(doors.spawn.spawn("serve", grpc.clone().serve(accepted)));
    }
}

pub(crate) fn topic_name(name: &str) -> TopicName {
    TopicName::new(name).expect("legal")
}

pub(crate) fn group_name(name: &str) -> GroupName {
    GroupName::new(name).expect("legal")
}

pub(crate) fn resource(name: &str) -> Option<Resource> {
    Some(Resource { resource_namespace: String::new(), name: name.to_owned() })
}

pub(crate) fn queue(topic: &str, id: i32) -> Option<MessageQueue> {
    Some(MessageQueue { topic: resource(topic), id, ..MessageQueue::default() })
}

/// A request with the headers that every client sends.
pub(crate) fn from_client<T>(id: &str, message: T) -> Request<T> {
    from_client_of(id, "JAVA", message)
}

fn from_client_of<T>(id: &str, language: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let headers = request.metadata_mut();
    headers.insert("x-mq-client-id", id.parse().expect("ascii"));
    headers.insert("x-mq-language", language.parse().expect("ascii"));
    headers.insert("x-mq-client-version", "5.2.0".parse().expect("ascii"));
    request
}

pub(crate) fn message(topic: &str, id: &str) -> Message {
    Message {
        topic: resource(topic),
        system_properties: Some(SystemProperties {
            message_id: id.to_owned(),
            ..SystemProperties::default()
        }),
        body: "hello".into(),
        ..Message::default()
    }
}

pub(crate) fn producer_settings(topic: &str) -> Settings {
    let publishing = Publishing { topics: resource(topic).into_iter().collect(), ..Publishing::default() };
    Settings {
        client_type: Some(ClientType::Producer.into()),
        pub_sub: Some(PubSub::Publishing(publishing)),
        ..Settings::default()
    }
}

pub(crate) fn consumer_settings(group: &str) -> Settings {
    let subscription = Subscription { group: resource(group), ..Subscription::default() };
    Settings {
        client_type: Some(ClientType::PushConsumer.into()),
        pub_sub: Some(PubSub::Subscription(subscription)),
        ..Settings::default()
    }
}

/// A client's telemetry stream.
pub(crate) struct Telemetry {
    pub(crate) to_server: mpsc::Sender<TelemetryCommand>,
    pub(crate) from_server: Streaming<TelemetryCommand>,
}

impl Telemetry {
    pub(crate) async fn open(client: &mut Client, id: &str) -> Self {
        Self::open_of(client, id, "JAVA").await
    }

    pub(crate) async fn open_of(client: &mut Client, id: &str, language: &str) -> Self {
        let (to_server, commands) = mpsc::channel(8);
        let request = from_client_of(id, language, ReceiverStream::new(commands));
        let from_server = client.telemetry(request).await.expect("accepted").into_inner();
        Self { to_server, from_server }
    }

    pub(crate) async fn send(&self, settings: Settings) {
        let command = TelemetryCommand { status: None, command: Some(Command::Settings(settings)) };
        self.to_server.send(command).await.expect("open");
    }

    pub(crate) async fn next(&mut self) -> Command {
        self.from_server.message().await.expect("open").expect("not ended").command.expect("has one")
    }

    /// Sends settings and takes the server's.
    pub(crate) async fn agree(&mut self, settings: Settings) -> Settings {
        self.send(settings).await;
        let Command::Settings(settings) = self.next().await else {
            panic!("settings are answered by settings")
        };
        settings
    }
}

pub(crate) fn receipt(offset: u64) -> Receipt {
    Receipt {
        group: group_name("g"),
        topic: topic_name("t"),
        queue: QueueId(1),
        offset: Offset(offset),
        nonce: Lsn(77),
        delivered_ms: 1_000_000,
        invisible_ms: 60_000,
    }
}
