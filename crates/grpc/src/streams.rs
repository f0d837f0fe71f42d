//! The telemetry streams of one client: how notices of the engine reach it.
//!
//! A client opens one stream per address that it knows of us; the newest is asked first. Each has
//! a bounded buffer, and a stream whose client lets it fill up is ended.

use std::sync::atomic::{AtomicU64, Ordering};

use model::{Notice, NoticeSink};
use parking_lot::Mutex;
use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::limits::TELEMETRY_STREAMS_MAX;
use crate::proto::TelemetryCommand;
use crate::proto::telemetry_command::Command;

pub(crate) type Outgoing = Result<TelemetryCommand, tonic::Status>;

/// One open stream, towards the client.
#[derive(Debug, Clone)]
pub(crate) struct Stream {
    pub(crate) id: u64,
    pub(crate) commands: Sender<Outgoing>,
    /// Ends the stream.
    pub(crate) end: CancellationToken,
}

impl Stream {
    pub(crate) fn new(commands: Sender<Outgoing>) -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self { id: NEXT.fetch_add(1, Ordering::Relaxed), commands, end: CancellationToken::new() }
    }

    /// Sends without waiting. A client that does not read is let go.
    pub(crate) fn send(&self, command: TelemetryCommand) -> bool {
        match self.commands.try_send(Ok(command)) {
            Ok(()) => true,
            Err(TrySendError::Closed(_)) => false,
            Err(TrySendError::Full(_)) => {
                info!("a client does not read its telemetry: the stream is ended");
                self.end.cancel();
                false
            }
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct Streams(Mutex<Vec<Stream>>);

impl Streams {
    /// Makes `stream` the one that is asked first.
    pub(crate) fn enter(&self, stream: &Stream) {
        let mut streams = self.0.lock();
        streams.retain(|other| other.id != stream.id);
        if streams.len() >= TELEMETRY_STREAMS_MAX {
            streams.remove(0).end.cancel();
        }
        streams.push(stream.clone());
    }

    pub(crate) fn leave(&self, id: u64) {
        self.0.lock().retain(|stream| stream.id != id);
    }

    /// Ends all streams: the client is gone.
    pub(crate) fn end(&self) {
        for stream in self.0.lock().drain(..) {
            stream.end.cancel();
        }
    }

    /// Sends by the newest stream that takes it.
    pub(crate) fn send(&self, command: &Command) -> bool {
        let mut streams = self.0.lock();
        while let Some(stream) = streams.last() {
            if stream.send(TelemetryCommand { status: None, command: Some(command.clone()) }) {
                return true;
            }
            streams.pop();
        }
        false
    }
}

impl NoticeSink for Streams {
    fn notify(&self, notice: Notice) -> bool {
        match crate::telemetry::command_of(notice) {
            Some(command) => self.send(&command),
            None => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;
    use crate::proto::ReconnectEndpointsCommand;

    fn command() -> Command {
        Command::ReconnectEndpointsCommand(ReconnectEndpointsCommand { nonce: "1".to_owned() })
    }

    #[test]
    fn the_newest_stream_is_asked_first_and_older_ones_stand_in() {
        let streams = Streams::default();
        assert!(!streams.send(&command()));
        let (old, mut old_end) = mpsc::channel(4);
        let (new, mut new_end) = mpsc::channel(4);
        streams.enter(&Stream::new(old));
        streams.enter(&Stream::new(new));
        assert!(streams.send(&command()));
        assert!(new_end.try_recv().is_ok() && old_end.try_recv().is_err());
        drop(new_end);
        assert!(streams.send(&command()));
        assert!(old_end.try_recv().is_ok());
    }

    #[test]
    fn a_client_that_does_not_read_is_let_go() {
        let streams = Streams::default();
        let (sender, _unread) = mpsc::channel(2);
        let stream = Stream::new(sender);
        streams.enter(&stream);
        assert!(streams.send(&command()) && streams.send(&command()));
        assert!(!stream.end.is_cancelled());
        assert!(!streams.send(&command()));
        assert!(stream.end.is_cancelled());
    }

    #[test]
    fn streams_of_one_client_are_bounded() {
        let streams = Streams::default();
        let (sender, _receiver) = mpsc::channel(2);
        let all: Vec<Stream> = (0..=TELEMETRY_STREAMS_MAX).map(|_| Stream::new(sender.clone())).collect();
        all.iter().for_each(|stream| streams.enter(stream));
        assert!(all[0].end.is_cancelled() && !all[1].end.is_cancelled());
        streams.end();
        assert!(all.iter().all(|stream| stream.end.is_cancelled()));
    }
}
