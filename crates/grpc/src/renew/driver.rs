//! Does what the renewal machines want: extends receipts at the engine, resumes waiters.

use std::sync::Arc;

use futures::StreamExt as _;
use model::verbs::{AckError, Hide};
use model::{DeliveryKey, Kind, Kinded as _, Receipt, Session};
use tokio::sync::oneshot;
use tracing::{debug, info};

use crate::clients::Client;
use crate::node::Node;
use crate::renew::{Effect, Event, Taken};

/// Waits for the end of a renewal.
pub(crate) type Waiter = oneshot::Sender<Option<Receipt>>;

/// Renewals of one client under way at once.
const AT_ONCE: usize = 32;

/// The receipt to settle with: the newest that is known for what the client holds.
pub(crate) async fn newest(client: Option<&Arc<Client>>, receipt: Receipt) -> Receipt {
    let Some(client) = client else { return receipt };
    let mut outcome = None;
    let taken = {
        let mut renewals = client.renewals.lock();
        if renewals.len() == 0 {
            return receipt;
        }
        renewals.take(&DeliveryKey::of(&receipt), || {
            let (sender, receiver) = oneshot::channel();
            outcome = Some(receiver);
            sender
        })
    };
    match (taken, outcome) {
        (Taken::Newest(newest), _) => newest,
        (Taken::Wait, Some(outcome)) => outcome.await.ok().flatten().unwrap_or(receipt),
        (Taken::Wait | Taken::Unknown, _) => receipt,
    }
}

/// Looks through one client's table.
pub(crate) async fn scan(node: Arc<Node>, client: Arc<Client>) {
    step(&node, &client, Event::Scan).await;
}

/// Gives everything back that the client holds.
pub(crate) async fn lost(node: &Arc<Node>, client: &Arc<Client>) {
    step(node, client, Event::Lost).await;
}

async fn step(node: &Arc<Node>, client: &Arc<Client>, event: Event) {
    let effects = client.renewals.lock().step(node.now_ms(), event);
    futures::stream::iter(effects).for_each_concurrent(AT_ONCE, |effect| perform(node, client, effect)).await;
}

async fn perform(node: &Arc<Node>, client: &Arc<Client>, effect: Effect<Waiter>) {
    match effect {
        Effect::Renew { key, receipt, invisible_ms } => {
            let event = renew(node, client, key, receipt, invisible_ms).await;
            let effects = client.renewals.lock().step(node.now_ms(), event);
            for effect in effects {
                finish(node, client, effect).await;
            }
        }
        other => finish(node, client, other).await,
    }
}

/// Effects that bring about no further event.
async fn finish(node: &Arc<Node>, client: &Arc<Client>, effect: Effect<Waiter>) {
    match effect {
        Effect::Renew { .. } => {}
        Effect::Release { receipt, invisible_ms } => {
            release(node, &client.session(), receipt, invisible_ms).await
        }
        // A waiter that has gone away needs no answer.
        Effect::Resume { waiter, newest } => drop(waiter.send(newest)),
    }
}

async fn renew(node: &Node, client: &Client, key: DeliveryKey, receipt: Receipt, invisible_ms: i64) -> Event {
    match node.engine.extend(&client.session(), receipt, Hide::asked(invisible_ms)).await {
        Ok(receipt) => {
            node.metrics.renewed();
            Event::Renewed { key, receipt }
        }
        Err(error) => {
            node.metrics.not_renewed();
            info!(client = %client.id, %error, "a message could not be renewed");
            Event::NotRenewed { key, for_good: is_for_good(&error) }
        }
    }
}

fn is_for_good(error: &AckError) -> bool {
    !matches!(error.kind(), Kind::Unavailable | Kind::Throttled | Kind::Internal)
}

/// Makes a message visible to the group again after a short time.
pub(crate) async fn release(node: &Node, session: &Session, receipt: Receipt, invisible_ms: i64) {
    if let Err(error) = node.engine.extend(session, receipt, Hide::asked(invisible_ms)).await {
        debug!(%error, "a message could not be given back: it comes back when its time is up");
    }
}
