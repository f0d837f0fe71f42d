//! The steps of a run while the broker is open.

use std::time::Duration;

use model::verbs::{Batches, CommitOffset, Fetch, Hide, OffsetQuestion, Receive, Settle, StartFrom};
use model::{Filter, Messaging, Offset, QueueId};

use super::calls::{Answer, Ask, Outstanding};
use super::clients::{Client, Clients};
use super::{GROUPS, PULL_GROUP, Sim, group_name, topic_name, topic_of};
use crate::disk::fault::Fault;
use crate::rng::Rng;
use crate::sim::Checked;

/// Old receipts that clients keep.
const RECEIPTS_MAX: usize = 200;

#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    Publish,
    PublishTimed,
    PublishBatch,
    SendAgain,
    Receive,
    Ack,
    Extend,
    DeadLetter,
    Leave,
    HangUp,
    Half,
    EndHalf,
    Produce,
    Pull,
    Drive,
    PassTime,
    JumpClock,
    RunThread,
    ArmFault,
    ArmHalt,
    ChangeCapacity,
    Crash,
    PowerCut,
    Restart,
}

/// What can happen next, and how often it does in a run of medium temper.
pub(super) const STEPS: [(Step, u64); 24] = [
    (Step::Publish, 20),
    (Step::PublishTimed, 4),
    (Step::PublishBatch, 3),
    (Step::SendAgain, 3),
    (Step::Receive, 20),
    (Step::Ack, 16),
    (Step::Extend, 3),
    (Step::DeadLetter, 2),
    (Step::Leave, 2),
    (Step::HangUp, 2),
    (Step::Half, 6),
    (Step::EndHalf, 5),
    (Step::Produce, 4),
    (Step::Pull, 4),
    (Step::Drive, 14),
    (Step::PassTime, 8),
    (Step::JumpClock, 1),
    (Step::RunThread, 6),
    (Step::ArmFault, 2),
    (Step::ArmHalt, 2),
    (Step::ChangeCapacity, 1),
    (Step::Crash, 2),
    (Step::PowerCut, 2),
    (Step::Restart, 1),
];

/// Every seed has a temper of its own: see the store's simulation.
pub(super) fn temper(rng: &mut Rng, clients: &Clients) -> [u64; STEPS.len()] {
    let mut weights =
        STEPS.map(|(_, weight)| weight * [0, 1, 1, 2, 5].get(rng.index(5)).copied().unwrap_or(1));
    let [publish, _, _, _, receive, ..] = &mut weights;
    *publish = (*publish).max(20);
    *receive = (*receive).max(if clients.is_ordered { 40 } else { 10 });
    weights
}

impl Sim {
    pub(super) fn step(&mut self) -> Checked {
        let now_ms = self.now_ms();
        self.history.at(now_ms);
        let total = self.weights.iter().sum();
        let mut left = self.rng.below(total);
        let mut chosen = Step::Drive;
        for ((step, _), weight) in STEPS.iter().zip(self.weights) {
            if left < weight {
                chosen = *step;
                break;
            }
            left -= weight;
        }
        self.take(chosen)?;
        if self.doors.disk.is_halted() {
            return if self.rng.percent(50) { self.crash() } else { self.power_cut() };
        }
        if self.shaken && self.rng.percent(60) {
            return if self.rng.percent(50) { self.crash() } else { self.power_cut() };
        }
        Ok(())
    }

    fn take(&mut self, step: Step) -> Checked {
        match step {
            Step::Publish => {
                let ordered_only = self.clients.is_ordered && self.rng.percent(85);
                let topic = if ordered_only { 1 } else { self.rng.index(4) };
                let count = 1 + self.rng.skewed(3) as usize;
                self.ask_publish(topic, count, None);
            }
            Step::PublishTimed => {
                let delay = 1 + self.rng.skewed(200_000);
                self.ask_publish(0, 1, Some(delay));
            }
            Step::PublishBatch => self.ask_publish_batch(),
            Step::SendAgain => self.ask_again(),
            Step::Half => self.ask_half(),
            Step::EndHalf => self.ask_end_half(),
            Step::Produce => return self.produce(),
            Step::Receive => self.ask_receive(),
            Step::Ack => self.ask_ack(),
            Step::Extend => self.ask_extend(),
            Step::DeadLetter => self.ask_dead_letter(),
            Step::Leave => self.leave(),
            Step::HangUp => self.hang_up(),
            Step::Pull => self.ask_pull(),
            Step::Drive => return self.drive_noted(),
            Step::PassTime => {
                let ms = self.rng.skewed(90_000);
                self.doors.clock.advance(Duration::from_millis(ms));
                return self.tick();
            }
            Step::JumpClock => {
                let by = self.rng.between(0, 60_000).cast_signed() - 30_000;
                self.note("jump", &[by.unsigned_abs()]);
                self.doors.clock.jump_wall(by);
                return self.tick();
            }
            Step::RunThread => {
                let mut rng = self.rng.fork();
                self.doors.spawn.run_one_thread(&mut rng);
            }
            Step::ArmFault => self.arm_fault(),
            Step::ArmHalt => self.doors.disk.arm(Fault::Halt, "", self.rng.skewed(60)),
            Step::ChangeCapacity => {
                let capacity =
                    self.rng.percent(50).then(|| self.doors.disk.used_bytes() + self.rng.skewed(80_000));
                self.doors.disk.set_capacity(capacity);
            }
            Step::Crash => return self.crash(),
            Step::PowerCut => return self.power_cut(),
            Step::Restart => return self.restart(),
        }
        // Some calls wait for others, and then share a commit with them.
        if self.rng.percent(50) { self.drive_noted() } else { self.poll() }
    }

    pub(super) fn drive_noted(&mut self) -> Checked {
        self.note("drive", &[self.calls.len() as u64]);
        self.drive()
    }

    /// Lets the group's thread see what time it is.
    pub(super) fn tick(&mut self) -> Checked {
        let now_ms = self.now_ms();
        self.history.at(now_ms);
        self.note("tick", &[now_ms.unsigned_abs()]);
        self.ask_progress();
        self.drive()
    }

    // ---- calls

    fn ask_receive(&mut self) {
        let group = self.a_group();
        let client = self.client_of(group);
        let max_messages = 1 + self.rng.below(8) as u32;
        let invisible_ms = 10_000 + self.rng.skewed(50_000).cast_signed();
        self.ask_receive_as(client, max_messages, invisible_ms);
    }

    pub(super) fn ask_receive_as(&mut self, client: Client, max_messages: u32, invisible_ms: i64) {
        let group = client.group;
        let request = Receive {
            group: group_name(group),
            topic: topic_name(topic_of(group)),
            queue: None,
            filter: Filter::all(),
            max_messages,
            invisible_ms,
            wait_ms: 0,
            attempt_id: client.attempt_id(),
            ordered: None,
            start: StartFrom::First,
            client_id: format!("client-{}", client.number),
        };
        self.note("receive", &[group as u64]);
        self.ask(Ask::Receive { client }, |broker, session| async move {
            Answer::Received(broker.receive(&session, request).await.map_err(|e| e.to_string()))
        });
    }

    /// Takes a receipt, mostly a new one, sometimes one that was used before.
    fn a_receipt(&mut self) -> Option<Outstanding> {
        let excess = self.receipts.len().saturating_sub(RECEIPTS_MAX);
        self.receipts.drain(..excess);
        let recent = self.receipts.len().saturating_sub(12);
        let from = if self.rng.percent(80) { recent } else { 0 };
        let at = from + self.rng.index(self.receipts.len().saturating_sub(from));
        if self.rng.percent(70) {
            (at < self.receipts.len()).then(|| self.receipts.remove(at))
        } else {
            self.receipts.get(at).cloned()
        }
    }

    fn ask_ack(&mut self) {
        let mut items: Vec<Outstanding> = Vec::new();
        for _ in 0..=self.rng.skewed(6) {
            if let Some(item) = self.a_receipt()
                && !items.iter().any(|i| i.group == item.group && i.claim.id == item.claim.id)
            {
                items.push(item);
            }
        }
        self.ask_ack_of(items);
    }

    pub(super) fn ask_ack_of(&mut self, items: Vec<Outstanding>) {
        if items.is_empty() {
            return;
        }
        self.note("ack", &[items.len() as u64]);
        let receipts = items.iter().map(|i| i.receipt.clone()).collect();
        self.ask(Ask::Ack { items }, |broker, session| async move {
            Answer::Acked(broker.ack(&session, receipts).await)
        });
    }

    fn ask_extend(&mut self) {
        let Some(item) = self.a_receipt() else { return };
        let (receipt, ms) = (item.receipt.clone(), self.rng.skewed(60_000).cast_signed());
        let hide = if ms % 2 == 0 { Hide::asked(ms) } else { Hide::failed(ms) };
        self.note("extend", &[]);
        self.ask(Ask::Extend { item }, move |broker, session| async move {
            Answer::Extended(broker.extend(&session, receipt, hide).await)
        });
    }

    fn ask_dead_letter(&mut self) {
        let Some(item) = self.a_receipt() else { return };
        let settle = Settle::DeadLetter { receipt: item.receipt.clone(), max_attempts: None };
        self.note("dead letter", &[]);
        self.ask(Ask::DeadLetter { item }, |broker, session| async move {
            Answer::DeadLettered(broker.settle(&session, settle).await)
        });
    }

    fn ask_pull(&mut self) {
        if self.calls.iter().any(|c| matches!(c.ask, Ask::Commit { .. } | Ask::Progress)) {
            // Its own calls are in order; which of two answers counts would be unknown.
            return;
        }
        match self.rng.below(3) {
            0 => {
                let request = Fetch {
                    group: Some(group_name(PULL_GROUP)),
                    topic: topic_name(0),
                    queue: QueueId(0),
                    offset: Offset(self.pulled.acknowledged),
                    max_messages: 10,
                    max_bytes: 1 << 20,
                    filter: Filter::all(),
                    wait_ms: 0,
                    batches: Batches::Unpacked,
                };
                self.ask(Ask::Fetch, |broker, session| async move {
                    Answer::Fetched(broker.fetch(&session, request).await.map_err(|e| e.to_string()))
                });
            }
            1 => {
                let offset = self.pulled.acknowledged + self.rng.below(5);
                let request = CommitOffset {
                    group: group_name(PULL_GROUP),
                    topic: topic_name(0),
                    queue: QueueId(0),
                    offset: Offset(offset),
                };
                self.ask(Ask::Commit { offset }, |broker, session| async move {
                    Answer::Committed(
                        broker.commit_offset(&session, request).await.map_err(|e| e.to_string()),
                    )
                });
            }
            _ => self.ask_progress(),
        }
        self.note("pull", &[]);
    }

    fn ask_progress(&mut self) {
        let (group, topic) = (group_name(PULL_GROUP), topic_name(0));
        let question = OffsetQuestion::Committed { group, topic, queue: QueueId(0) };
        let is_alone = !self.calls.iter().any(|c| matches!(c.ask, Ask::Commit { .. }));
        let ask = if is_alone { Ask::Progress } else { Ask::Tick };
        self.ask(ask, |broker, session| async move {
            Answer::Progress(broker.offset(&session, question).await.map_err(|e| e.to_string()))
        });
    }

    // ---- the world

    pub(super) fn arm_fault(&mut self) {
        let faults = [
            Fault::TornWrite,
            Fault::WriteError,
            Fault::SyncError,
            Fault::SyncDirError,
            Fault::Slow(Duration::from_millis(700)),
            Fault::NameError,
            Fault::ReadError,
        ];
        let place = ["/log/", "/runs/", "MANIFEST", "STATE", ""][self.rng.index(5)];
        if let Some(fault) = self.rng.pick(&faults) {
            self.doors.disk.arm(*fault, place, self.rng.skewed(10));
        }
        self.note("arm", &[]);
    }
}

/// Groups that receive, each with its topic.
pub(super) fn receivers() -> impl Iterator<Item = (usize, usize)> {
    (0..GROUPS.len()).filter(|g| *g != PULL_GROUP).map(|g| (g, topic_of(g)))
}
