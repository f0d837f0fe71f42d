//! Which connection is to stand on which thread. Pure: loads in, moves out.

/// A thread that works more than this part of the time has too much to do.
const BUSY_MAX: f64 = 0.92;
/// Connections are put together, and put, where a thread stays below this.
const BUSY_GOOD: f64 = 0.8;
/// Looks in a row that must find a thread too busy before it is relieved: two threads that write to one
/// log hinder each other, so a short burst is better served by one.
const BUSY_LOOKS: u32 = 5;
/// What the newest look counts in how busy a thread usually is.
const NEWEST_PART: f64 = 0.2;
/// Looks in a row that must agree before a thread is emptied: a pause of the clients is no reason.
const QUIET_LOOKS: u32 = 10;

/// One thread since the last look.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Load {
    /// Part of the time that it worked, 0 to 1.
    pub(super) busy: f64,
    /// How often each of its connections was worked on.
    pub(super) polls: Vec<u32>,
}

/// A connection, by its place in a thread's list, and the thread that it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) from: usize,
    pub(super) connection: usize,
    pub(super) to: usize,
}

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) moves: Vec<Move>,
    /// The thread for connections that come in now.
    pub(super) next: usize,
}

/// Decides after each look.
#[derive(Debug, Default)]
pub(super) struct Balance {
    /// How busy each thread is, of late: one look alone tells of a burst.
    usual: Vec<f64>,
    busy_looks: u32,
    quiet_looks: u32,
}

impl Load {
    /// The part of the time that a connection takes, about.
    fn of(&self, connection: usize) -> f64 {
        let all: f64 = self.polls.iter().copied().map(f64::from).sum();
        let own = self.polls.get(connection).copied().map_or(0.0, f64::from);
        if all > 0.0 { self.busy * own / all } else { 0.0 }
    }
}

impl Balance {
    pub(super) fn plan(&mut self, loads: &[Load]) -> Plan {
        self.usual.resize(loads.len(), 0.0);
        for (usual, load) in self.usual.iter_mut().zip(loads) {
            *usual += (load.busy - *usual) * NEWEST_PART;
        }
        let next = self.usual.iter().position(|busy| *busy < BUSY_GOOD).unwrap_or_else(|| least_busy(loads));
        let relief = relief(loads);
        self.busy_looks = if relief.is_empty() { 0 } else { self.busy_looks + 1 };
        if self.busy_looks >= BUSY_LOOKS {
            (self.busy_looks, self.quiet_looks) = (0, 0);
            return Plan { moves: relief, next };
        }
        let union = union(loads);
        self.quiet_looks = if union.is_empty() { 0 } else { self.quiet_looks + 1 };
        if self.quiet_looks < QUIET_LOOKS {
            return Plan { moves: Vec::new(), next };
        }
        self.quiet_looks = 0;
        Plan { moves: union, next }
    }
}

fn least_busy(loads: &[Load]) -> usize {
    let least = loads.iter().enumerate().min_by(|(_, a), (_, b)| a.busy.total_cmp(&b.busy));
    least.map_or(0, |(index, _)| index)
}

/// What is to leave the busiest thread, if it has too much to do and another one has time.
fn relief(loads: &[Load]) -> Vec<Move> {
    let busiest = loads.iter().enumerate().max_by(|(_, a), (_, b)| a.busy.total_cmp(&b.busy));
    let Some((from, load)) = busiest.filter(|(_, load)| load.busy > BUSY_MAX) else { return Vec::new() };
    let to = least_busy(loads);
    let gap = load.busy - loads.get(to).map_or(load.busy, |load| load.busy);
    // Half of what lies between them, the largest first; what is larger than that would only change sides.
    let mut room = gap / 2.0;
    let mut by_size: Vec<usize> = (0..load.polls.len()).collect();
    by_size.sort_by(|a, b| load.of(*b).total_cmp(&load.of(*a)));
    let mut moves = Vec::new();
    for connection in by_size {
        let size = load.of(connection);
        if size > 0.0 && size <= room {
            room -= size;
            moves.push(Move { from, connection, to });
        }
    }
    moves
}

/// All connections of the last thread that has some, if the first has time for them: what belongs to no
/// connection is done there.
fn union(loads: &[Load]) -> Vec<Move> {
    let mut working = loads.iter().enumerate().skip(1).filter(|(_, load)| !load.polls.is_empty());
    let (Some((from, load)), Some(first)) = (working.next_back(), loads.first()) else { return Vec::new() };
    if load.busy + first.busy >= BUSY_GOOD {
        return Vec::new();
    }
    (0..load.polls.len()).map(|connection| Move { from, connection, to: 0 }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(busy: f64, polls: &[u32]) -> Load {
        Load { busy, polls: polls.to_vec() }
    }

    /// What leaves a thread that was so busy for a second.
    fn relieved(loads: &[Load]) -> Vec<Move> {
        let mut balance = Balance::default();
        for _ in 1..BUSY_LOOKS {
            assert_eq!(balance.plan(loads).moves, []);
        }
        balance.plan(loads).moves
    }

    #[test]
    fn connections_come_to_the_first_thread_that_has_time() {
        let mut balance = Balance::default();
        let mut next = |busy: [f64; 3]| balance.plan(&busy.map(|busy| load(busy, &[1]))).next;
        assert_eq!(next([0.0, 0.0, 0.0]), 0);
        assert_eq!(next([1.0, 0.0, 0.0]), 0, "a burst");
        let later: Vec<usize> = (0..20).map(|_| next([1.0, 0.0, 0.0])).collect();
        assert_eq!(later.last(), Some(&1));
        let later: Vec<usize> = (0..40).map(|_| next([1.0, 0.9, 1.0])).collect();
        assert_eq!(later.last(), Some(&1), "the least busy, where all are");
    }

    #[test]
    fn half_of_the_difference_leaves_a_thread_that_has_too_much_to_do() {
        let loads = [load(0.96, &[10, 30, 40]), load(0.0, &[])];
        assert_eq!(relieved(&loads), [Move { from: 0, connection: 2, to: 1 }]);
        let loads = [load(1.0, &[1; 10]), load(0.2, &[7])];
        assert_eq!(relieved(&loads).len(), 4);
    }

    #[test]
    fn one_connection_that_is_the_whole_load_stays() {
        let loads = [load(1.0, &[100, 0]), load(0.0, &[])];
        assert_eq!(relieved(&loads), []);
    }

    #[test]
    fn a_thread_is_emptied_after_it_was_not_needed_for_long() {
        let loads = [load(0.2, &[5]), load(0.1, &[1, 0]), load(0.0, &[])];
        let mut balance = Balance::default();
        for _ in 1..QUIET_LOOKS {
            assert_eq!(balance.plan(&loads).moves, []);
        }
        let moves = balance.plan(&loads).moves;
        let all = [0, 1].map(|connection| Move { from: 1, connection, to: 0 });
        assert_eq!(moves, all);
    }
}
