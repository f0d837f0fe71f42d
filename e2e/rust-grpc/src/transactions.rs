//! Half messages: what is committed is seen, once; what is left open is asked about.
use crate::clients::{half_message, transactional, Reader, PATIENCE};
use crate::kit::{bodies, expect, expect_equal, group, operator, unique, Failure, Outcome};
use rocketmq::model::transaction::{Transaction, TransactionResolution};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const COUNT: usize = 20;
/// Longer than the first check and one interval of the server under test.
const QUIET: Duration = Duration::from_secs(9);

type Asked = Arc<Mutex<HashSet<String>>>;

async fn topic() -> Result<String, Failure> {
    let name = unique("topic");
    operator(format!("topic {name} TRANSACTION 4")).await?;
    Ok(name)
}

fn is_even(body: &str) -> bool {
    body.rsplit('-').next().and_then(|number| number.parse::<u32>().ok()).is_some_and(|number| number % 2 == 0)
}

fn count(asked: &Asked) -> usize {
    asked.lock().unwrap_or_else(PoisonError::into_inner).len()
}

pub async fn commit_and_rollback() -> Outcome {
    let topic = topic().await?;
    let asked = Asked::default();
    let producer = transactional(&topic, Arc::clone(&asked), |_| TransactionResolution::UNKNOWN).await?;
    let bodies = bodies("settled", COUNT);
    for body in &bodies {
        let transaction = producer.send_transaction_message(half_message(&topic, body)?).await?;
        if is_even(body) {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
    }
    expect_even(&topic, &bodies).await?;
    expect_equal("checks of what was decided", 0, count(&asked))?;
    Ok(producer.shutdown().await?)
}

pub async fn check() -> Outcome {
    let topic = topic().await?;
    let asked = Asked::default();
    let by_number = |body: &str| {
        if is_even(body) { TransactionResolution::COMMIT } else { TransactionResolution::ROLLBACK }
    };
    let producer = transactional(&topic, Arc::clone(&asked), by_number).await?;
    let bodies = bodies("open", COUNT);
    for body in &bodies {
        // Dropped undecided.
        let _ = producer.send_transaction_message(half_message(&topic, body)?).await?;
    }
    expect_even(&topic, &bodies).await?;
    expect_equal("asked about", COUNT, count(&asked))?;
    Ok(producer.shutdown().await?)
}

/// The committed half is received, once; then nothing more for a while.
async fn expect_even(topic: &str, bodies: &[String]) -> Outcome {
    let wanted: Vec<String> = bodies.iter().filter(|body| is_even(body)).cloned().collect();
    let mut reader = Reader::start(&group("").await?, topic).await?;
    reader.drain(&wanted).await?;
    let end = Instant::now() + QUIET.min(PATIENCE);
    while Instant::now() < end {
        reader.take().await?;
    }
    expect_equal("received", wanted.len(), reader.received.len())?;
    expect(reader.has_all(&wanted), "all of them".to_owned())?;
    reader.stop().await
}
