//! The server goes away and comes back in the middle of sending and consuming.
use crate::clients::{message, producer, Reader};
use crate::kit::{expect, group, restart, topic, Outcome};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

const PATIENCE: Duration = Duration::from_secs(150);
/// Between attempts while the server is away.
const PAUSE: Duration = Duration::from_millis(50);

pub async fn graceful() -> Outcome {
    survive("graceful").await
}

pub async fn kill() -> Outcome {
    survive("kill").await
}

async fn survive(how: &str) -> Outcome {
    let topic = topic(4).await?;
    let mut reader = Reader::start(&group("").await?, &topic).await?;
    let mut sender = SteadySender::start(&topic).await?;
    sender.await_more(50).await?;
    restart(how).await?;
    sender.await_more(50).await?;
    let acknowledged = sender.stop().await?;
    let deadline = Instant::now() + PATIENCE;
    while !reader.has_all(&acknowledged) {
        expect(Instant::now() < deadline, format!("{} received in time", reader.received.len()))?;
        if reader.take().await.is_err() {
            tokio::time::sleep(PAUSE).await;
        }
    }
    Ok(())
}

/// Sends on and on, and remembers what was acknowledged.
struct SteadySender {
    stopped: Arc<AtomicBool>,
    count: watch::Receiver<usize>,
    sending: JoinHandle<Vec<String>>,
}

impl SteadySender {
    async fn start(topic: &str) -> Result<Self, crate::kit::Failure> {
        let (counter, count) = watch::channel(0);
        let stopped = Arc::new(AtomicBool::new(false));
        let producer = producer(topic).await?;
        let (topic, until) = (topic.to_owned(), stopped.clone());
        let sending = tokio::spawn(async move {
            let mut acknowledged = Vec::new();
            for number in 0.. {
                if until.load(Ordering::Relaxed) {
                    break;
                }
                let body = format!("steady-{number}");
                let message = message(&topic, &body).expect("a plain message can be built");
                // An error is no promise; the next one may do better.
                match tokio::time::timeout(Duration::from_secs(10), producer.send(message)).await {
                    Ok(Ok(_)) => acknowledged.push(body),
                    _ => tokio::time::sleep(PAUSE).await,
                }
                counter.send_replace(acknowledged.len());
            }
            acknowledged
        });
        Ok(Self { stopped, count, sending })
    }

    async fn await_more(&mut self, count: usize) -> Outcome {
        let wanted = *self.count.borrow() + count;
        tokio::time::timeout(PATIENCE, self.count.wait_for(|acknowledged| *acknowledged >= wanted)).await??;
        Ok(())
    }

    async fn stop(self) -> Result<Vec<String>, crate::kit::Failure> {
        self.stopped.store(true, Ordering::Relaxed);
        Ok(self.sending.await?)
    }
}
