//! Messages to all queues in random order, and to a single one meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use base::Doors;
use futures::future::try_join_all;
use parking_lot::Mutex;
use remoting::client::{Client, ClientError, Outgoing};
use remoting::code::response;

use super::super::pace::Pace;
use super::super::produce::spawn;
use super::super::tally::{Latencies, Tally};
use super::fleet::{Fleet, body};
use super::report::SendTimes;

/// Messages a second to one topic while all queues are deleted.
const BESIDE_PER_SECOND: u64 = 1_000;
/// Before a message is sent again that the server was too busy for.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// How a round is sent.
#[derive(Clone)]
pub(super) struct Sender {
    pub(super) doors: Doors,
    pub(super) clients: Vec<Client>,
    pub(super) in_flight: u32,
    pub(super) size: u32,
    pub(super) run: u64,
}

/// Messages to all queues.
struct Round {
    sender: Sender,
    fleet: Fleet,
    number: u32,
    order: Vec<u32>,
    next: AtomicUsize,
    pace: Pace,
    tally: Tally,
    refused: AtomicU64,
}

impl Sender {
    /// Sends a message, again while the server says that it is busy, as official clients do. Counts how
    /// often that was.
    async fn send(
        &self,
        client: &Client,
        topic: &str,
        queue: i32,
        message: impl Fn() -> Outgoing,
        refused: &AtomicU64,
    ) -> Result<(), ClientError> {
        loop {
            match client.send(topic, queue, message()).await {
                Err(ClientError::Refused { code: response::SYSTEM_BUSY, .. }) => {
                    refused.fetch_add(1, Ordering::Relaxed);
                    self.doors.clock.sleep(BUSY_PAUSE).await;
                }
                other => return other.map(drop),
            }
        }
    }

    /// Sends `count` messages, in turn to each queue but in random order: as fast as answers come, or
    /// at a rate.
    pub(super) async fn round(
        &self,
        fleet: Fleet,
        number: u32,
        count: u32,
        rate: Option<u64>,
    ) -> Result<SendTimes> {
        let order = shuffled(&self.doors, count);
        let pace = Pace::new(Arc::clone(&self.doors.clock), Some(order.len() as u64), None, rate);
        let (next, tally, refused) = (AtomicUsize::new(0), Tally::default(), AtomicU64::new(0));
        let round =
            Arc::new(Round { sender: self.clone(), fleet, number, order, next, pace, tally, refused });
        round.pace.start();
        let workers = self.clients.iter().flat_map(|client| (0..self.in_flight).map(move |_| client));
        try_join_all(workers.map(|client| spawn(Round::work(Arc::clone(&round), client.clone())))).await?;
        Ok(SendTimes::of(&round.tally, round.refused.load(Ordering::Relaxed)))
    }

    /// Sends to a topic at a modest rate until told to stop.
    pub(super) async fn beside(self, topic: &'static str, stop: Arc<AtomicBool>) -> Result<SendTimes> {
        let pace = Pace::new(Arc::clone(&self.doors.clock), None, None, Some(BESIDE_PER_SECOND));
        let (pace, tally, refused) =
            (Arc::new(pace), Arc::new(Tally::default()), Arc::new(AtomicU64::new(0)));
        pace.start();
        let workers = self.clients.iter().flat_map(|client| (0..self.in_flight).map(move |_| client.clone()));
        let work = |client: Client| {
            let (pace, tally, stop) = (Arc::clone(&pace), Arc::clone(&tally), Arc::clone(&stop));
            let (sender, refused) = (self.clone(), Arc::clone(&refused));
            spawn(async move {
                let mut latencies = Latencies::new();
                while !stop.load(Ordering::Relaxed)
                    && let Some(ticket) = pace.ticket(1).await
                {
                    let message = || Outgoing { body: body(0, 0, sender.size), properties: String::new() };
                    let sent = sender.send(&client, topic, -1, message, &refused).await;
                    sent.context("a send beside the deletion")?;
                    latencies.add(sender.doors.clock.monotonic().saturating_sub(ticket.due), 1);
                    tally.sent(1, pace.elapsed());
                }
                tally.merge(latencies);
                Ok(())
            })
        };
        try_join_all(workers.map(work)).await?;
        Ok(SendTimes::of(&tally, refused.load(Ordering::Relaxed)))
    }
}

impl Round {
    async fn work(self: Arc<Self>, client: Client) -> Result<()> {
        let mut latencies = Latencies::new();
        let Sender { doors, size, run, .. } = &self.sender;
        while let Some(ticket) = self.pace.ticket(1).await {
            let Some(index) = self.order.get(self.next.fetch_add(1, Ordering::Relaxed)).copied() else {
                break;
            };
            let place = self.fleet.place(index);
            let message = || self.fleet.message(index, self.number, *size, *run);
            let sent = self.sender.send(&client, &place.topic, place.queue, message, &self.refused).await;
            sent.with_context(|| format!("a send to {place:?}"))?;
            latencies.add(doors.clock.monotonic().saturating_sub(ticket.due), 1);
            self.tally.sent(1, self.pace.elapsed());
        }
        self.tally.merge(latencies);
        Ok(())
    }
}

/// The numbers below `count` in random order.
pub(super) fn shuffled(doors: &Doors, count: u32) -> Vec<u32> {
    let mut all: Vec<u32> = (0..count).collect();
    for last in (1..all.len()).rev() {
        let other = usize::try_from(doors.chance.below(last as u64 + 1)).unwrap_or(last);
        all.swap(last, other);
    }
    all
}

/// Does something with each item, so many at once.
pub(super) async fn each<T, F>(
    clients: &[Client],
    at_once: usize,
    items: Vec<T>,
    work: impl Fn(Client, T) -> F + Send + Sync + 'static,
) -> Result<()>
where
    T: Send + 'static,
    F: Future<Output = Result<()>> + Send,
{
    let items = Arc::new(Mutex::new(items));
    let work = Arc::new(work);
    let workers = (0..at_once).filter_map(|i| clients.get(i % clients.len())).map(|client| {
        let (client, items, work) = (client.clone(), Arc::clone(&items), Arc::clone(&work));
        spawn(async move {
            loop {
                let Some(item) = items.lock().pop() else { return Ok(()) };
                work(client.clone(), item).await?;
            }
        })
    });
    try_join_all(workers).await.map(drop)
}

/// How long something took.
pub(super) async fn timed<T>(doors: &Doors, work: impl Future<Output = Result<T>>) -> Result<(T, Duration)> {
    let before = doors.clock.monotonic();
    let done = work.await?;
    Ok((done, doors.clock.monotonic().saturating_sub(before)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_once() {
        let mut all = shuffled(&Doors::system(), 1_000);
        assert_ne!(all, (0..1_000).collect::<Vec<_>>());
        all.sort_unstable();
        assert_eq!(all, (0..1_000).collect::<Vec<_>>());
    }
}
