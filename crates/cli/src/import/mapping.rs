//! Which offset of a source queue became which of ours, as runs of neighbours.
//!
//! Others may send to our queue in between, so both sides have gaps. Progress is translated so that
//! nothing is passed over that the group has not consumed: it ends before the first message of ours
//! that is not a copy of a consumed one.

/// Neighbours at the source that became neighbours here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) source: u64,
    pub(super) target: u64,
    pub(super) count: u64,
}

/// All runs of one queue, ascending on both sides.
#[derive(Debug, Clone, Default)]
pub(super) struct QueueMap {
    runs: Vec<Run>,
    /// First source offset that is not copied.
    next: u64,
    copied: u64,
}

impl QueueMap {
    pub(super) fn next_source(&self) -> u64 {
        self.next
    }

    /// First offset of ours behind the last copy.
    pub(super) fn next_target(&self) -> u64 {
        self.runs.last().map_or(0, |run| run.target + run.count)
    }

    pub(super) fn copied(&self) -> u64 {
        self.copied
    }

    /// `false`: it does not come behind what is known, so it is no step of one import.
    pub(super) fn add(&mut self, run: Run) -> bool {
        if run.source < self.next || (!self.runs.is_empty() && run.target < self.next_target()) {
            return false;
        }
        self.next = run.source + run.count;
        self.copied += run.count;
        match self.runs.last_mut() {
            Some(last)
                if last.source + last.count == run.source && last.target + last.count == run.target =>
            {
                last.count += run.count;
            }
            _ => self.runs.push(run),
        }
        true
    }

    /// Nothing below `offset` will come any more: the source has deleted it.
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.next = self.next.max(offset);
    }

    /// Where a group goes on here that goes on at `offset` there. `first` is our queue's first offset.
    pub(super) fn translate(&self, offset: u64, first: u64) -> u64 {
        let mut next = first;
        for run in &self.runs {
            let end = run.target + run.count;
            if end <= next {
                continue;
            }
            if run.target > next || run.source >= offset {
                return next;
            }
            if run.source + run.count > offset {
                return (run.target + (offset - run.source)).max(next);
            }
            next = end;
        }
        next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(runs: &[(u64, u64, u64)]) -> QueueMap {
        let mut map = QueueMap::default();
        for (source, target, count) in runs {
            assert!(map.add(Run { source: *source, target: *target, count: *count }));
        }
        map
    }

    #[test]
    fn neighbours_join() {
        let map = map(&[(100, 0, 10), (110, 10, 5)]);
        assert_eq!(map.runs.len(), 1);
        assert_eq!((map.next_source(), map.next_target(), map.copied()), (115, 15, 15));
    }

    #[test]
    fn progress_is_translated() {
        let map = map(&[(100, 0, 10), (120, 10, 5)]);
        let cases = [(0, 0), (100, 0), (104, 4), (110, 10), (119, 10), (121, 11), (125, 15), (999, 15)];
        for (there, here) in cases {
            assert_eq!(map.translate(there, 0), here, "{there}");
        }
    }

    #[test]
    fn what_others_sent_in_between_is_not_passed_over() {
        let map = map(&[(0, 0, 10), (10, 12, 5)]);
        assert_eq!(map.translate(7, 0), 7);
        assert_eq!(map.translate(15, 0), 10, "10 and 11 are no copies");
        assert_eq!(map.translate(15, 11), 11, "10 is deleted here");
        assert_eq!(map.translate(15, 12), 17, "11 is deleted too");
        let late = self::map(&[(0, 3, 10)]);
        assert_eq!(late.translate(5, 0), 0, "what stood there before is no copy either");
    }

    #[test]
    fn steps_that_go_back_are_none() {
        let mut map = map(&[(0, 0, 10)]);
        assert!(!map.add(Run { source: 5, target: 10, count: 1 }));
        assert!(!map.add(Run { source: 10, target: 9, count: 1 }));
        map.skip_to(50);
        assert!(!map.add(Run { source: 49, target: 10, count: 1 }));
        assert!(map.add(Run { source: 50, target: 10, count: 1 }));
    }
}
