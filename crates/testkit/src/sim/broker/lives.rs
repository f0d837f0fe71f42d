//! Beginnings and ends of the process, and the reckoning at the end of a run.

use std::path::Path;
use std::time::Duration;

use ::broker::Broker;
use model::admin::{self, GroupPut, GroupPutRequest, TopicPut, TopicPutRequest};
use model::group::ATTRIBUTE_ORDER_BY;
use model::verbs::{Batches, Fetch, FetchOutcome};
use model::{Filter, GroupConfig, Messaging, Offset, QueueId, TopicConfig, TopicName};
use replica::verify::Rederived;

use super::calls::{Ask, id_of};
use super::kinds;
use super::steps::receivers;
use super::{
    DIR, FADING_TOPIC, GROUPS, LITE_GROUP, LITE_QUEUES, LITE_TOPIC, ORDERED_QUEUES, PARENT_QUEUE,
    PLAIN_QUEUES, SCRATCH, Sim, TOPICS, group_name, order_of, topic_name,
};
use crate::history::{Acked, Order, Queues, Seen};
use crate::sim::{Checked, Violation, must};

fn fail(what: impl ToString) -> Violation {
    Violation { invariant: 0, what: what.to_string() }
}

impl Sim {
    // ---- ends

    pub(super) fn crash(&mut self) -> Checked {
        self.note("crash", &[]);
        self.leave_unanswered();
        self.doors.crash_process();
        self.bury();
        self.open()
    }

    pub(super) fn power_cut(&mut self) -> Checked {
        self.note("power cut", &[]);
        self.leave_unanswered();
        let mut rng = self.rng.fork();
        self.doors.power_cut(&mut rng);
        self.history.power_cut();
        self.bury();
        self.open()
    }

    /// Closes in order and starts again.
    pub(super) fn restart(&mut self) -> Checked {
        if self.shaken {
            return Ok(());
        }
        self.note("restart", &[]);
        self.drive()?;
        let Some(broker) = self.broker.clone().filter(|_| !self.doors.disk.is_halted()) else {
            return Ok(());
        };
        self.doors.spawn.run_all_threads();
        let closed = self.wait_for(broker.shutdown())?;
        self.notice_faults();
        self.doors.trace.event("closed", &[u64::from(closed.is_ok())], || format!("{closed:?}"));
        drop(broker);
        if let Err(error) = closed {
            must(self.struck_since_open > 0, 0, || format!("closing failed without a cause: {error}"))?;
            return self.crash();
        }
        self.history.flushed();
        self.leave_unanswered();
        self.bury();
        self.open()
    }

    /// Calls whose answers never come: what they asked for may have happened or not.
    fn leave_unanswered(&mut self) {
        for call in std::mem::take(&mut self.calls) {
            match call.ask {
                Ask::Ack { items } => {
                    for item in items {
                        let _ = self.history.acked(item.group as u64, item.claim, Acked::Unknown);
                    }
                }
                Ask::DeadLetter { item } => {
                    let _ = self.history.acked(item.group as u64, item.claim, Acked::Unknown);
                }
                Ask::Extend { item } => self.history.uncertain(item.group as u64, item.claim.id),
                Ask::Commit { offset } => self.pulled.possible.push(offset),
                Ask::Recall { id } => self.recall_unanswered(id),
                Ask::Timed { .. }
                | Ask::Publish { .. }
                | Ask::Batch { .. }
                | Ask::Again { .. }
                | Ask::Receive { .. }
                | Ask::Half { .. }
                | Ask::EndHalf { .. }
                | Ask::Progress
                | Ask::Tick
                | Ask::Fetch => {}
            }
        }
    }

    /// Ends every thread and forgets the broker; the disk stays as it is.
    pub(super) fn bury(&mut self) {
        self.calls.clear();
        self.doors.spawn.crash();
        self.broker = None;
        self.shaken = false;
    }

    pub(super) fn notice_faults(&mut self) {
        for fault in self.doors.disk.faults_since(self.seen_faults) {
            self.seen_faults += 1;
            let is_quiet = matches!(fault.fault, "slow disk" | "process crash" | "power cut");
            self.struck_since_open += usize::from(!is_quiet);
        }
    }

    // ---- beginnings

    pub(super) fn open(&mut self) -> Checked {
        for _ in 0..20 {
            self.notice_faults();
            self.doors.disk.crash_process();
            self.struck_since_open = 0;
            let now_ms = self.now_ms();
            self.history.at(now_ms);
            let opened = Broker::open(&self.doors.process(), &self.setup);
            self.notice_faults();
            match opened {
                Ok(broker) => {
                    self.broker = Some(broker);
                    self.note("opened", &[]);
                    return Ok(());
                }
                Err(error) => {
                    self.doors.trace.event("refused", &[], || error.to_string());
                    self.doors.spawn.crash();
                    must(self.struck_since_open > 0, 0, || format!("the broker does not open: {error}"))?;
                    self.doors.disk.set_capacity(None);
                }
            }
        }
        Err(fail("the broker does not open after twenty attempts"))
    }

    pub(super) fn make_topics(&mut self) -> Checked {
        let Some(broker) = self.broker.clone() else { return Ok(()) };
        let session = self.session.clone();
        for (topic, (_, queues)) in TOPICS.iter().enumerate() {
            let mut config = kinds::configured(topic, TopicConfig::new(topic_name(topic), *queues));
            if topic >= LITE_TOPIC {
                config.attributes.insert("message.type".to_owned(), "LITE".to_owned());
            }
            if topic == FADING_TOPIC {
                config.attributes.insert("lite.topic.expiration".to_owned(), "1".to_owned());
            }
            let request = TopicPutRequest { config, update: true };
            self.wait_for(admin::run::<TopicPut>(&*broker, &session, request))?.map_err(fail)?;
        }
        for group in 0..GROUPS.len() {
            let order = order_of(group);
            let mut config =
                GroupConfig { ordered: order != Order::None, ..GroupConfig::new(group_name(group)) };
            if group == LITE_GROUP {
                config.ordered = false;
                config.attributes.insert("lite.bind.topic".to_owned(), "parent".to_owned());
                config.attributes.insert("lite.sub.wildcard".to_owned(), "true".to_owned());
            } else if order == Order::Queue {
                config.attributes.insert(ATTRIBUTE_ORDER_BY.to_owned(), "queue".to_owned());
            }
            let request = GroupPutRequest { config, update: true };
            self.wait_for(admin::run::<GroupPut>(&*broker, &session, request))?.map_err(fail)?;
        }
        Ok(())
    }

    // ---- the reckoning

    pub(super) fn end(&mut self) -> Checked {
        self.note("end", &[]);
        self.doors.disk.disarm();
        self.doors.disk.set_capacity(None);
        self.power_cut()?;
        self.drain()?;
        for (group, topic) in receivers() {
            let queues: &[u64] = match topic {
                0 => &PLAIN_QUEUES,
                LITE_TOPIC => &LITE_QUEUES,
                _ => &ORDERED_QUEUES,
            };
            self.history.check_settled(group as u64, queues)?;
        }
        let history = std::mem::take(&mut self.history);
        let all: Vec<u64> =
            PLAIN_QUEUES.iter().chain(&ORDERED_QUEUES).chain(&[PARENT_QUEUE]).copied().collect();
        history.check_queues(&all, self)?;
        self.doors.trace.event("acknowledged", &[history.acknowledged() as u64], String::new);
        self.check_halves()?;
        self.rederive()
    }

    /// Receives and acks until nothing comes any more, however long one waits.
    fn drain(&mut self) -> Checked {
        for _ in 0..12 {
            self.doors.clock.advance(Duration::from_secs(35));
            self.produce()?;
            self.tick()?;
            self.tick()?;
            loop {
                self.receipts.clear();
                for (group, _) in receivers() {
                    let client = self.client_of(group);
                    self.ask_receive_as(client, 32, 20_000);
                }
                self.drive()?;
                let items = std::mem::take(&mut self.receipts);
                if items.is_empty() {
                    break;
                }
                self.ask_ack_of(items);
                self.drive()?;
            }
            self.doors.spawn.run_all_threads();
        }
        Ok(())
    }

    /// Closes, derives the state anew from the log and compares.
    fn rederive(&mut self) -> Checked {
        let Some(broker) = self.broker.clone() else { return Ok(()) };
        self.doors.spawn.run_all_threads();
        self.wait_for(broker.shutdown())?.map_err(fail)?;
        drop(broker);
        self.bury();
        self.doors.disk.crash_process();
        let doors = self.doors.process();
        let found =
            ::broker::verify(&doors, Path::new(DIR), Path::new(SCRATCH), &self.setup.store).map_err(fail)?;
        must(matches!(found, Rederived::Equal(_)), 15, || {
            format!("the state derived anew from the log: {found:?}")
        })
    }
}

impl Queues for Sim {
    fn read_queue(&mut self, queue: u64) -> Checked<Vec<Seen>> {
        let Some(broker) = self.broker.clone() else { return Ok(Vec::new()) };
        let session = self.session.clone();
        let (topic, number) = (
            usize::try_from(queue / 100).unwrap_or_default(),
            u32::try_from(queue % 100).unwrap_or_default(),
        );
        let mut seen = Vec::new();
        let mut offset = 0;
        let mut batch_lsn = u64::MAX;
        loop {
            let request = fetch(topic_name(topic), QueueId(number), offset);
            let fetched = self.wait_for(broker.fetch(&session, request))?.map_err(fail)?;
            for message in &fetched.messages {
                let id = id_of(message).ok_or_else(|| Violation {
                    invariant: 1,
                    what: format!(
                        "offset {} of queue {queue} holds a body that nobody sent",
                        message.offset()
                    ),
                })?;
                self.halves.seen(id)?;
                let (offset, mut lsn) = (message.offset().get(), message.lsn().get());
                if let Some(last) = seen.last().filter(|last: &&Seen| last.lsn >= lsn && offset > 0) {
                    // Messages of one batch share a position; a record is longer than they are many.
                    lsn = if message.lsn().get() == batch_lsn { last.lsn + 1 } else { lsn };
                }
                batch_lsn = message.lsn().get();
                seen.push(Seen { id, offset, count: 1, lsn, stored_ms: message.stored_ms() });
            }
            if fetched.outcome != FetchOutcome::Found {
                let end = fetched.max.get();
                must(seen.len() as u64 == end, 16, || {
                    format!("queue {queue} ends at {end}, {} were read", seen.len())
                })?;
                return Ok(seen);
            }
            offset = fetched.next.get();
        }
    }
}

fn fetch(topic: TopicName, queue: QueueId, offset: u64) -> Fetch {
    Fetch {
        group: None,
        topic,
        queue,
        offset: Offset(offset),
        max_messages: 100,
        max_bytes: 1 << 20,
        filter: Filter::all(),
        wait_ms: 0,
        batches: Batches::Unpacked,
    }
}
