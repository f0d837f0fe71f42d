//! Clients that ask for messages again and again and never read an answer.
use anyhow::{Context, Result};
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

/// Connections of one round.
const CLIENTS: usize = 48;
/// Requests of each; an answer is a quarter of a mebibyte or one message.
const REQUESTS: u32 = 48;
const PULL_MESSAGE: u32 = 11;

pub(super) struct Clients(#[expect(dead_code, reason = "kept open until dropped")] Vec<TcpStream>);

impl Clients {
    /// Connects and asks for the beginning of a topic's first queue.
    pub(super) fn start(broker: &str, topic: &str) -> Result<Self> {
        let client = |_| {
            let mut stream = TcpStream::connect(broker).context("no room for a slow client")?;
            stream.set_write_timeout(Some(Duration::from_secs(1)))?;
            for number in 0..REQUESTS {
                // Refused or not taken: either way the client has done what it could.
                if stream.write_all(&pull(topic, number)).is_err() {
                    break;
                }
            }
            Ok(stream)
        };
        (0..CLIENTS).map(client).collect::<Result<_>>().map(Self)
    }
}

/// One request of the 4.x protocol: length, length of the header, header.
fn pull(topic: &str, number: u32) -> Vec<u8> {
    let header = format!(
        "{{\"code\":{PULL_MESSAGE},\"language\":\"JAVA\",\"version\":403,\"opaque\":{number},\"flag\":0,\"extFields\":{{\
         \"consumerGroup\":\"soak-drain\",\"topic\":\"{topic}\",\"queueId\":\"0\",\"queueOffset\":\"0\",\
         \"maxMsgNums\":\"32\",\"sysFlag\":\"4\",\"commitOffset\":\"0\",\"suspendTimeoutMillis\":\"0\",\
         \"subscription\":\"*\",\"subVersion\":\"0\",\"expressionType\":\"TAG\"}}}}"
    );
    let length = u32::try_from(header.len()).expect("a short header");
    let mut frame = (length + 4).to_be_bytes().to_vec();
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(header.as_bytes());
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_one_frame() {
        let frame = pull("T", 7);
        let length = u32::from_be_bytes(frame[..4].try_into().expect("four bytes")) as usize;
        assert_eq!(length + 4, frame.len());
        let header: serde_json::Value = serde_json::from_slice(&frame[8..]).expect("JSON");
        assert_eq!(header["opaque"], 7);
    }
}
