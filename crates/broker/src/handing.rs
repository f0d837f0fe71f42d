//! Handing out without losing: what was recorded as delivered to a call that is gone is taken back.
//!
//! A delivery is recorded by the group's thread while the caller waits. A caller that is dropped in
//! between, because its connection broke, would leave the messages hidden until their time is over.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base::Spawn;
use model::Lsn;
use replica::{Handle, ProposeError};

use crate::machine::BrokerMachine;
use crate::machine::command::{Command, DeliverCommand, Outcome};
use crate::machine::records::Release;
use crate::machine::state::CursorKey;

type Answer = Result<Outcome, ProposeError>;

/// A proposed delivery. Dropped before its answer has come, it takes back what was delivered.
pub(crate) struct Handing {
    answer: Option<Pin<Box<dyn Future<Output = Answer> + Send>>>,
    /// What is to be taken back: in the order of the command's parts.
    releases: Vec<Release>,
    handle: Handle<BrokerMachine>,
    spawn: Arc<dyn Spawn>,
}

impl Handing {
    pub(crate) fn new(
        handle: &Handle<BrokerMachine>,
        spawn: &Arc<dyn Spawn>,
        command: DeliverCommand,
        bytes: usize,
    ) -> Self {
        let releases = command
            .parts
            .iter()
            .map(|(_, part)| Release {
                key: CursorKey { group_id: command.group_id, stream: part.stream },
                nonce: Lsn::ZERO,
                released_ms: 0,
                offsets: part.offsets.clone(),
            })
            .collect();
        let proposing = handle.clone();
        let command = Command::Deliver(Box::new(command));
        let answer = async move { proposing.propose(command, bytes).await };
        Self { answer: Some(Box::pin(answer)), releases, handle: handle.clone(), spawn: Arc::clone(spawn) }
    }
}

impl Future for Handing {
    type Output = Answer;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Answer> {
        let Some(answer) = &mut self.answer else { return Poll::Pending };
        let polled = answer.as_mut().poll(context);
        if polled.is_ready() {
            self.answer = None;
        }
        polled
    }
}

impl Drop for Handing {
    fn drop(&mut self) {
        let Some(answer) = self.answer.take() else { return };
        let (handle, releases) = (self.handle.clone(), std::mem::take(&mut self.releases));
        let take_back = async move {
            let Ok(Outcome::Delivered(delivered)) = answer.await else { return };
            for (mut release, accepted) in releases.into_iter().zip(delivered.accepted) {
                if !accepted || release.offsets.is_empty() {
                    continue;
                }
                release.nonce = delivered.nonce;
                if let Err(error) = handle.propose_only(Command::Release(release), 64) {
                    tracing::debug!(%error, "what a lost call was handed stays hidden until its time is over");
                }
            }
        };
        self.spawn.spawn("broker-take-back", Box::pin(take_back));
    }
}
