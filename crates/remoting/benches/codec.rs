//! What a frame of the 4.x protocol costs to decode and to encode. `cargo bench -p remoting`.

use bytes::{Bytes, BytesMut};
use divan::Bencher;
use divan::counter::ItemsCount;
use remoting::code::request;
use remoting::frame::{self, Command};
use remoting::{Body, Fields};

fn main() {
    divan::main();
}

/// A send as the Java client writes it.
fn send(body: usize) -> Command {
    let mut fields = Fields::new();
    let properties = "UNIQ_KEY\u{1}7F0000010A2B18B4AAC2123456780000\u{2}WAIT\u{1}true\u{2}TAGS\u{1}a";
    let pairs = [
        ("a", "bench"),
        ("b", "orders"),
        ("c", "TBW102"),
        ("d", "4"),
        ("e", "3"),
        ("f", "0"),
        ("g", "1700000000000"),
        ("h", "0"),
        ("i", properties),
        ("j", "0"),
        ("k", "false"),
        ("m", "false"),
    ];
    fields.extend(pairs);
    Command::request(request::SEND_MESSAGE_V2, fields, Body::from(vec![b'x'; body]))
}

fn encoded(command: &Command) -> Bytes {
    let mut out = BytesMut::new();
    frame::encode(command, &mut out);
    out.freeze()
}

#[divan::bench(args = [128, 4_096])]
fn decode_send(bencher: Bencher<'_, '_>, body: usize) {
    let bytes = encoded(&send(body));
    bencher
        .counter(ItemsCount::new(1_usize))
        .with_inputs(|| BytesMut::from(&bytes[..]))
        .bench_local_values(|mut buffer| frame::decode(&mut buffer).expect("legal").expect("whole"));
}

#[divan::bench]
fn encode_answer(bencher: Bencher<'_, '_>) {
    let fields = Fields::new()
        .with("msgId", "7F00000100002A9F0000000000000000")
        .with("queueId", 3)
        .with("queueOffset", 123_456);
    let answer = Command { fields, opaque: 77, ..Command::response(0) };
    let mut out = BytesMut::new();
    bencher.counter(ItemsCount::new(1_usize)).bench_local(|| {
        out.clear();
        frame::encode(&answer, &mut out);
        out.len()
    });
}
