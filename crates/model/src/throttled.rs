//! Who was refused of late for sending more than it may: the guard writes, health reads and clears.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ids::SessionId;
use crate::limits::THROTTLED_MAX;
use crate::names::TopicName;
use crate::session::Session;

/// Refused sends of one session to one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Throttled {
    pub session: SessionId,
    pub peer: SocketAddr,
    pub user: Option<Arc<str>>,
    pub topic: TopicName,
    /// What it was refused for, as the client was told the last time.
    pub why: String,
    /// How often since the book was read.
    pub calls: u64,
}

/// Refused sends since the book was read. Only refusals come here, so a lock is good enough.
#[derive(Debug, Default)]
pub struct ThrottleBook(Mutex<HashMap<(SessionId, TopicName), Throttled>>);

impl ThrottleBook {
    /// A send was refused. Beyond `THROTTLED_MAX` of them between two readings the others are not named:
    /// the metrics count them.
    pub fn refused(&self, session: &Session, topic: &TopicName, why: impl FnOnce() -> String) {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (session.id, topic.clone());
        if let Some(throttled) = book.get_mut(&key) {
            throttled.calls += 1;
        } else if book.len() < THROTTLED_MAX {
            let (peer, user) = (session.peer, session.user.clone());
            let throttled =
                Throttled { session: session.id, peer, user, topic: topic.clone(), why: why(), calls: 1 };
            book.insert(key, throttled);
        }
    }

    /// All of them, and begins anew.
    #[must_use]
    pub fn take(&self) -> Vec<Throttled> {
        let taken = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        taken.into_values().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_are_counted_until_they_are_read() {
        let book = ThrottleBook::default();
        let topic = TopicName::new("t").expect("a name");
        for _ in 0..3 {
            book.refused(&Session::internal(), &topic, || "over its quota".to_owned());
        }
        let taken = book.take();
        assert_eq!((taken.len(), taken[0].calls, taken[0].why.as_str()), (1, 3, "over its quota"));
        assert!(book.take().is_empty());
    }

    #[test]
    fn the_book_is_bounded() {
        let book = ThrottleBook::default();
        for i in 0..=THROTTLED_MAX {
            let topic = TopicName::new(&format!("t{i}")).expect("a name");
            book.refused(&Session::internal(), &topic, String::new);
        }
        assert_eq!(book.take().len(), THROTTLED_MAX);
    }
}
