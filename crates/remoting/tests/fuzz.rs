//! The frame decoder against damaged input: whatever comes, it answers or refuses, and what it
//! takes it writes again as it was.

use bytes::BytesMut;
use testkit::fuzz::{Target, check};

/// A whole frame of each header type, and the start of a large one.
fn seeds() -> Vec<Vec<u8>> {
    let header = br#"{"code":310,"extFields":{"a":"producers","b":"demo","e":"0"},"flag":0,"language":"JAVA","opaque":7,"version":453}"#;
    let json = frame(0, header, b"hello");
    let mut binary = Vec::new();
    binary.extend_from_slice(&310_i16.to_be_bytes());
    binary.push(0);
    binary.extend_from_slice(&453_i16.to_be_bytes());
    binary.extend_from_slice(&7_i32.to_be_bytes());
    binary.extend_from_slice(&0_i32.to_be_bytes());
    binary.extend_from_slice(&0_i32.to_be_bytes());
    binary.extend_from_slice(&8_i32.to_be_bytes());
    binary.extend_from_slice(&[0, 1, b'a', 0, 0, 0, 1, b'b']);
    vec![json, frame(1, &binary, b""), vec![0, 0xFF, 0xFF, 0xFF, 0, 0, 0, 9]]
}

fn frame(kind: u32, header: &[u8], body: &[u8]) -> Vec<u8> {
    let length = |bytes: usize| u32::try_from(bytes).expect("a short frame");
    let mut out = Vec::new();
    out.extend_from_slice(&length(4 + header.len() + body.len()).to_be_bytes());
    out.extend_from_slice(&(kind << 24 | length(header.len())).to_be_bytes());
    out.extend_from_slice(header);
    out.extend_from_slice(body);
    out
}

/// Tells apart what became of the input, so that interesting ones are kept.
fn run(data: &[u8]) -> u64 {
    remoting::fuzz_frame(data);
    let mut buffer = BytesMut::from(data);
    match remoting::frame::decode(&mut buffer) {
        Ok(Some(command)) => 2 + u64::from(command.fields.iter().count() > 0),
        Ok(None) => 1,
        Err(_) => 0,
    }
}

#[test]
fn the_frame_decoder_stands() {
    let target = Target { name: "remoting frame", seeds, run, ..Target::EMPTY };
    let report = check(&target, 1, 50_000);
    assert!(report.outcomes >= 3, "it only ever does {} things", report.outcomes);
}
