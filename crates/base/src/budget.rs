//! Bounds on bytes that are held for others, over all who hold them.
//!
//! A [`Budget`] belongs to one owner of memory (requests being worked on, answers that wait). Who
//! holds bytes for it takes a [`Share`], which gives them back when it is dropped. Taking never
//! waits: who gets nothing refuses, or stops reading.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// So many bytes, for all holders together.
#[derive(Debug)]
pub struct Budget {
    used: AtomicUsize,
    max: AtomicUsize,
}

impl Budget {
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), max: AtomicUsize::new(max) })
    }

    /// Bytes that may be held at once.
    #[must_use]
    pub fn max(&self) -> usize {
        self.max.load(Ordering::Relaxed)
    }

    /// From now on; who holds more keeps it.
    pub fn set_max(&self, max: usize) {
        self.max.store(max, Ordering::Relaxed);
    }

    /// Bytes that are held now.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Nothing is left.
    #[must_use]
    pub fn is_used_up(&self) -> bool {
        self.used() >= self.max()
    }

    /// `None`: so much is not left.
    pub fn take(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let mut share = self.empty_share();
        share.grow(bytes).then_some(share)
    }

    /// A share that holds nothing yet.
    #[must_use]
    pub fn empty_share(self: &Arc<Self>) -> Share {
        Share { budget: Arc::clone(self), bytes: 0 }
    }
}

/// A part of a budget, given back when dropped.
#[derive(Debug)]
pub struct Share {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Share {
    /// `false`: so much is not left, and the share stays as it was.
    pub fn grow(&mut self, bytes: usize) -> bool {
        let before = self.budget.used.fetch_add(bytes, Ordering::Relaxed);
        if before.saturating_add(bytes) > self.budget.max() {
            self.budget.used.fetch_sub(bytes, Ordering::Relaxed);
            return false;
        }
        self.bytes += bytes;
        true
    }

    /// Holds exactly `bytes` from now on, left or not: for what is already in memory, whose owner
    /// starts nothing new while the budget is used up.
    pub fn set(&mut self, bytes: usize) {
        let used = &self.budget.used;
        if bytes > self.bytes {
            used.fetch_add(bytes - self.bytes, Ordering::Relaxed);
        } else if bytes < self.bytes {
            used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        }
        self.bytes = bytes;
    }

    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_never_exceed_the_budget_and_come_back() {
        let budget = Budget::new(100);
        let mut first = budget.take(60).expect("room");
        assert!(budget.take(41).is_none());
        assert!(!first.grow(41));
        assert!(first.grow(40));
        assert!(budget.is_used_up());
        assert!(budget.take(1).is_none());
        drop(first);
        assert!(budget.take(100).is_some());
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn what_is_in_memory_counts_though_nothing_is_left() {
        let budget = Budget::new(100);
        let mut share = budget.empty_share();
        share.set(150);
        assert_eq!((budget.used(), share.bytes()), (150, 150));
        assert!(budget.take(1).is_none());
        share.set(40);
        assert_eq!(budget.used(), 40);
        assert!(budget.take(60).is_some());
    }
}
