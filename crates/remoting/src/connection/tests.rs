//! Connections from outside: good ones, broken ones, silent ones, and ones that never read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use model::{Endpoint, Notice, NoticeSink, QueueId, SessionId};
use net::{Accepted, Drain, Protocol, Recognised};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::task::JoinHandle;

use crate::client::{Client, Outgoing, Pull};
use crate::code::{request as code, response};
use crate::fake::{Bench, group, plain};
use crate::frame::{self, Body, Command, FLAG_ONEWAY};
use crate::header::Fields;
use crate::{Remoting, RemotingConfig};

/// A connection to a server over memory.
struct Wire {
    bench: Bench,
    stream: DuplexStream,
    inbox: BytesMut,
    drain: Drain,
    serving: JoinHandle<()>,
}

fn config() -> RemotingConfig {
    RemotingConfig { idle_ms: 60_000, stall_ms: 60_000, drain_ms: 100, ..RemotingConfig::default() }
}

impl Wire {
    fn open(config: RemotingConfig, buffer: usize) -> Self {
        let bench = Bench::with(config);
        let (stream, far) = tokio::io::duplex(buffer);
        let drain = Drain::new();
        let peer = SocketAddr::from(([10, 0, 0, 3], 5_000));
        let accepted = Accepted {
            stream: Box::new(far),
            peer,
            local: peer,
            advertised: Endpoint { host: "h".into(), port: 1 },
            session: SessionId(42),
            tls: false,
            certificate: None,
            drain: drain.clone(),
        };
        let serving = Arc::clone(&bench.server).serve(accepted);
        #[expect(clippy::disallowed_methods, reason = "a test of real tasks")]
        let serving = tokio::spawn(serving);
        Self { bench, stream, inbox: BytesMut::new(), drain, serving }
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the server reads");
    }

    async fn read(&mut self) -> Command {
        loop {
            if let Some(command) = frame::decode(&mut self.inbox).expect("legal") {
                return command;
            }
            let bytes = self.stream.read_buf(&mut self.inbox).await.expect("memory does not fail");
            assert!(bytes > 0, "the server has closed the connection");
        }
    }

    /// Waits until the server has closed the connection.
    async fn closed(self) -> Bench {
        let ended = tokio::time::timeout(Duration::from_secs(20), self.serving).await;
        ended.expect("the connection ends").expect("without a panic");
        assert_eq!(self.bench.engine.state.lock().left, [SessionId(42)], "the engine hears of it");
        self.bench
    }
}

fn encoded(commands: &[Command]) -> Bytes {
    let mut out = BytesMut::new();
    commands.iter().for_each(|command| frame::encode(command, &mut out));
    out.freeze()
}

fn request(code: i32, opaque: i32, pairs: &[(&str, &str)]) -> Command {
    let mut fields = Fields::new();
    fields.extend(pairs.iter().copied());
    Command { opaque, ..Command::request(code, fields, Body::default()) }
}

fn max_offset(opaque: i32) -> Command {
    request(code::GET_MAX_OFFSET, opaque, &[("topic", "T"), ("queueId", "0")])
}

fn pull(opaque: i32, wait_ms: &str) -> Command {
    request(
        code::PULL_MESSAGE,
        opaque,
        &[
            ("consumerGroup", "g"),
            ("topic", "T"),
            ("queueId", "0"),
            ("queueOffset", "0"),
            ("maxMsgNums", "32"),
            ("sysFlag", "6"),
            ("commitOffset", "0"),
            ("suspendTimeoutMillis", wait_ms),
            ("subscription", "*"),
            ("subVersion", "0"),
        ],
    )
}

#[tokio::test]
async fn requests_in_one_write_and_in_single_bytes_are_answered() {
    let mut wire = Wire::open(config(), 64 * 1024);
    let all: Vec<Command> = (0..300).map(max_offset).collect();
    wire.write(&encoded(&all)).await;
    let mut seen: Vec<i32> = Vec::new();
    for _ in 0..300 {
        seen.push(wire.read().await.opaque);
    }
    assert_eq!(seen, (0..300).collect::<Vec<i32>>(), "what is ready at once keeps its order");
    for byte in encoded(&[max_offset(7)]) {
        wire.write(&[byte]).await;
    }
    assert_eq!(wire.read().await.opaque, 7);
    drop(wire.stream);
    wire.serving.await.expect("without a panic");
}

/// A send is begun where it is read, and still not before what came before it.
#[tokio::test]
async fn requests_begin_in_the_order_in_which_they_came() {
    let mut wire = Wire::open(config(), 64 * 1024);
    let fields = [("b", "T"), ("e", "0"), ("d", "4"), ("a", "producers")];
    let send = |opaque| request(code::SEND_MESSAGE_V2, opaque, &fields);
    let all: Vec<Command> =
        (0..40).map(|opaque| if opaque % 2 == 0 { max_offset(opaque) } else { send(opaque) }).collect();
    wire.write(&encoded(&all)).await;
    for _ in &all {
        let answer = wire.read().await;
        let sent_before = (answer.opaque / 2).to_string();
        let field = if answer.opaque % 2 == 0 { "offset" } else { "queueOffset" };
        assert_eq!(answer.fields.get(field), Some(sent_before.as_str()), "request {}", answer.opaque);
    }
}

#[tokio::test]
async fn malformed_frames_close_the_connection() {
    for bytes in [
        &[0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0][..],
        &[0, 0, 0, 2],
        &[0, 0, 0, 9, 0, 0, 0, 5, b'{', b'"', b'c', b'o', b'd'],
        &[0, 0, 0, 6, 7, 0, 0, 2, b'{', b'}'],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut wire = Wire::open(config(), 1024);
        wire.write(&encoded(&[max_offset(1)])).await;
        assert_eq!(wire.read().await.code, 0);
        wire.write(bytes).await;
        wire.closed().await;
    }
}

#[tokio::test]
async fn a_half_open_connection_is_closed() {
    let mut wire = Wire::open(RemotingConfig { idle_ms: 100, ..config() }, 1024);
    wire.write(&[0, 0, 1, 0, 0]).await;
    wire.closed().await;
}

#[tokio::test]
async fn a_client_that_never_reads_is_closed() {
    let mut wire = Wire::open(RemotingConfig { stall_ms: 200, ..config() }, 1024);
    let body = "x".repeat(1024 * 1024);
    wire.bench.engine.store("T", QueueId(0), &plain(&body));
    let flood: Vec<Command> = (0..100).map(|n| pull(n, "0")).collect();
    // The server stops reading after a while, so this does not end by itself.
    let _ = tokio::time::timeout(Duration::from_secs(20), wire.stream.write_all(&encoded(&flood))).await;
    let Wire { bench, stream, serving, .. } = wire;
    let ended = tokio::time::timeout(Duration::from_secs(20), serving).await;
    ended.expect("the connection ends").expect("without a panic");
    assert_eq!(bench.engine.state.lock().left, [SessionId(42)]);
    drop(stream);
}

#[tokio::test]
async fn large_answers_arrive_whole() {
    let mut wire = Wire::open(config(), 1024);
    let body = "x".repeat(300_000);
    let stored = wire.bench.engine.store("T", QueueId(0), &plain(&body));
    wire.write(&encoded(&[pull(1, "0"), max_offset(2), pull(3, "0")])).await;
    for opaque in 1..=3 {
        let answer = wire.read().await;
        assert_eq!(answer.opaque, opaque);
        if opaque != 2 {
            assert_eq!(answer.body.bytes(), *stored.bytes());
        }
    }
}

#[tokio::test]
async fn a_large_request_waits_for_memory() {
    let mut wire = Wire::open(config(), 1024);
    let server = Arc::clone(&wire.bench.server);
    let others = server.incoming.take(server.incoming.max()).expect("nobody has any");
    let large = encoded(&[Command { body: vec![b'x'; 300_000].into(), ..max_offset(1) }]);
    let room_comes = async {
        while server.metrics.short() == 0 {
            tokio::task::yield_now().await;
        }
        drop(others);
    };
    tokio::join!(wire.write(&large), room_comes);
    assert_eq!(wire.read().await.opaque, 1);
    wire.write(&encoded(&[max_offset(2)])).await;
    assert_eq!(wire.read().await.opaque, 2);
    assert_eq!(server.incoming.used(), 0);
}

#[tokio::test]
async fn no_answer_begins_while_those_of_others_take_all_memory() {
    let mut wire = Wire::open(config(), 64 * 1024);
    wire.bench.engine.store("T", QueueId(0), &plain("body"));
    let outgoing = Arc::clone(&wire.bench.server.outgoing);
    let others = outgoing.take(outgoing.max()).expect("nobody has any");
    wire.write(&encoded(&[pull(1, "0"), max_offset(2)])).await;
    let (refused, other) = (wire.read().await, wire.read().await);
    assert_eq!((refused.opaque, refused.code), (1, response::SYSTEM_BUSY));
    assert_eq!((other.opaque, other.code), (2, response::SUCCESS), "only what brings messages is refused");
    drop(others);
    wire.write(&encoded(&[pull(3, "0")])).await;
    assert_eq!(wire.read().await.code, response::SUCCESS);
}

#[tokio::test]
async fn last_words_are_heard() {
    let mut wire = Wire::open(config(), 64 * 1024);
    let commit = request(
        code::UPDATE_CONSUMER_OFFSET,
        1,
        &[("consumerGroup", "g"), ("topic", "T"), ("queueId", "0"), ("commitOffset", "5")],
    );
    wire.write(&encoded(&[Command { flag: FLAG_ONEWAY, ..commit }])).await;
    wire.stream.shutdown().await.expect("memory does not fail");
    let bench = wire.closed().await;
    assert_eq!(bench.engine.state.lock().committed.len(), 1);
}

#[tokio::test]
async fn held_requests_do_not_hold_up_others_or_the_end() {
    let mut wire = Wire::open(config(), 64 * 1024);
    wire.write(&encoded(&[pull(1, "30000"), max_offset(2)])).await;
    assert_eq!(wire.read().await.opaque, 2);
    wire.stream.shutdown().await.expect("memory does not fail");
    wire.closed().await;
}

#[tokio::test]
async fn a_drain_sends_new_clients_away_and_closes_old_ones() {
    let mut wire = Wire::open(config(), 64 * 1024);
    wire.write(&encoded(&[pull(1, "30000"), max_offset(2)])).await;
    assert_eq!(wire.read().await.opaque, 2);
    wire.drain.request();
    let held = wire.read().await;
    assert_eq!((held.opaque, held.code), (1, 1500));
    wire.write(&encoded(&[max_offset(3)])).await;
    let refused = wire.read().await;
    assert_eq!((refused.opaque, refused.code), (3, 1500));
    wire.closed().await;

    let mut wire = Wire::open(config(), 64 * 1024);
    let old = |command| Command { version: 317, ..command };
    wire.write(&encoded(&[old(pull(1, "30000")), old(max_offset(2))])).await;
    assert_eq!(wire.read().await.opaque, 2);
    wire.drain.request();
    let rest = wire.stream.read_buf(&mut wire.inbox).await.expect("memory does not fail");
    assert_eq!(rest, 0, "an old client sees the end only");
    wire.closed().await;
}

#[tokio::test]
async fn notices_become_requests_of_ours() {
    let mut wire = Wire::open(config(), 64 * 1024);
    let beat = r#"{"clientID":"c","consumerDataSet":[{"groupName":"g"}]}"#;
    let beat = Command { body: beat.to_owned().into(), ..request(code::HEART_BEAT, 1, &[]) };
    wire.write(&encoded(&[beat])).await;
    assert_eq!(wire.read().await.code, 0);
    let member = wire.bench.engine.state.lock().members.pop().expect("a member");
    let sink: &dyn NoticeSink = &*member.session.notices;
    assert!(sink.notify(Notice::MembersChanged { group: group("g") }));
    let told = wire.read().await;
    assert_eq!((told.code, told.is_oneway(), told.is_response()), (40, true, false));
    assert_eq!(told.fields.get("consumerGroup"), Some("g"));
    let message = wire.bench.engine.store("T", QueueId(0), &plain("half"));
    let check = Notice::CheckTransaction {
        message: message.clone(),
        producer_group: group("pg"),
        transaction_id: "tx".into(),
    };
    assert!(sink.notify(check));
    let told = wire.read().await;
    assert_eq!((told.code, told.body.bytes()), (39, message.bytes().clone()));
    assert_eq!(told.fields.get("commitLogOffset"), Some(message.lsn().to_string().as_str()));
    assert_eq!(told.fields.get("transactionId"), Some("tx"));
    let notices = Arc::clone(&member.session.notices);
    wire.stream.shutdown().await.expect("memory does not fail");
    wire.closed().await;
    assert!(!notices.notify(Notice::MembersChanged { group: group("g") }), "nobody is there");
}

#[tokio::test]
async fn our_own_client_speaks_the_protocol() {
    let Wire { bench, stream, serving, .. } = Wire::open(config(), 64 * 1024);
    let client = Client::over(&bench.server.doors, stream);
    let message = |body: &str| Outgoing { body: body.to_owned().into(), ..Outgoing::default() };
    let sent = client.send("T", 0, message("a")).await.expect("stored");
    assert_eq!((sent.queue, sent.offset), (0, 0));
    let sent = client.send_batch("T", 0, &[message("b"), message("c")]).await.expect("stored");
    assert_eq!((sent.message_ids.len(), sent.offset), (2, 1));
    let pull =
        Pull { group: "g", topic: "T", queue: 0, offset: 0, max_messages: 32, expression: "*", wait_ms: 0 };
    let pulled = client.pull(&pull).await.expect("messages");
    let bodies: Vec<Bytes> = pulled.messages.iter().map(model::StoredMessage::body).collect();
    assert_eq!(bodies, ["a", "b", "c"]);
    assert_eq!((pulled.code, pulled.next, pulled.max), (0, 3, 3));
    assert_eq!(client.max_offset("T", 0).await.expect("answered"), 3);
    client.update_offset("g", "T", 0, 3).await.expect("kept");
    assert_eq!(client.query_offset("g", "T", 0).await.expect("answered"), Some(3));
    assert_eq!(client.query_offset("g", "T", 1).await.expect("answered"), None);
    assert!(client.send("absent", 0, message("x")).await.is_err());
    drop(client);
    serving.await.expect("without a panic");
}

#[test]
fn the_protocol_is_told_by_its_first_bytes() {
    let server = Bench::new().server;
    let recognises = |bytes: &[u8]| Remoting::recognises(&server, bytes);
    let wire = encoded(&[max_offset(1)]);
    assert_eq!(recognises(&wire), Recognised::Yes);
    for len in 0..9 {
        assert_eq!(recognises(&wire[..len]), Recognised::NeedMore, "{len} bytes");
    }
    for other in
        [&b"GET / HTTP/1.1\r\n"[..], b"PRI * HTTP/2.0\r\n", &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC], b"PROXY TC"]
    {
        assert_eq!(recognises(other), Recognised::No);
    }
}
