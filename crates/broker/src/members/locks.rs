//! Leases on queues: one member of a group at a time consumes a queue in order.
//!
//! Rules (those of RocketMQ's `RebalanceLockManager`): a free queue, one's own, and one whose lease
//! has run out can be locked; locking one's own renews the lease; only the holder unlocks. On top:
//! a client that leaves the group gives up its leases, and whoever gives up a queue that another
//! asked for learns so, because the other will not ask again before its next balance.

use hashbrown::HashMap;
use model::GroupName;
use model::membership::TopicQueue;
use parking_lot::Mutex;

use super::limits::{LOCK_LEASE_MS, LOCKS_MAX, LOCKS_PER_CALL_MAX};
use super::steady::Steady;

#[derive(Debug)]
struct Lease {
    client_id: Box<str>,
    renewed_ms: i64,
    /// Another client asked for it meanwhile.
    wanted: bool,
}

impl Lease {
    const fn is_over(&self, now_ms: i64) -> bool {
        now_ms - self.renewed_ms > LOCK_LEASE_MS
    }
}

type Leases = HashMap<TopicQueue, Lease>;

#[derive(Debug, Default)]
struct Table {
    steady: Steady,
    groups: HashMap<GroupName, Leases>,
    /// Leases of all groups.
    count: usize,
}

impl Table {
    /// Ends leases; tells whether one of them was wanted by another client.
    fn end(&mut self, group: &GroupName, ends: impl Fn(&TopicQueue, &Lease) -> bool) -> bool {
        let Some(leases) = self.groups.get_mut(group) else { return false };
        let ended = leases.extract_if(|queue, lease| ends(queue, lease)).map(|(_, lease)| lease.wanted);
        let (count, wanted) = ended.fold((0, false), |(count, any), wanted| (count + 1, any || wanted));
        self.count -= count;
        if leases.is_empty() {
            self.groups.remove(group);
        }
        wanted
    }
}

/// All leases.
#[derive(Debug, Default)]
pub struct Locks(Mutex<Table>);

impl Locks {
    /// Takes or renews leases; answers those that the client holds now.
    pub fn lock(
        &self,
        now_ms: i64,
        group: &GroupName,
        client_id: &str,
        queues: &[TopicQueue],
    ) -> Vec<TopicQueue> {
        let mut table = self.0.lock();
        let table = &mut *table;
        let now_ms = table.steady.advance(now_ms);
        let leases = table.groups.entry(group.clone()).or_default();
        let mut held = Vec::new();
        for queue in queues.iter().take(LOCKS_PER_CALL_MAX) {
            match leases.get_mut(queue) {
                Some(lease) if *lease.client_id != *client_id && !lease.is_over(now_ms) => {
                    lease.wanted = true
                }
                Some(lease) if *lease.client_id == *client_id => {
                    lease.renewed_ms = now_ms;
                    held.push(queue.clone());
                }
                None if table.count >= LOCKS_MAX => {}
                before => {
                    table.count += usize::from(before.is_none());
                    let lease = Lease { client_id: client_id.into(), renewed_ms: now_ms, wanted: false };
                    leases.insert(queue.clone(), lease);
                    held.push(queue.clone());
                }
            }
        }
        if leases.is_empty() {
            table.groups.remove(group);
        }
        held
    }

    /// Gives up leases; those of other clients stay. `true`: another client asked for one of them,
    /// so the members of the group should balance again.
    pub fn unlock(&self, group: &GroupName, client_id: &str, queues: &[TopicQueue]) -> bool {
        let mut table = self.0.lock();
        let mut wanted = false;
        let Some(leases) = table.groups.get_mut(group) else { return false };
        let mut ended = 0;
        for queue in queues.iter().take(LOCKS_PER_CALL_MAX) {
            if leases.get(queue).is_some_and(|lease| *lease.client_id == *client_id)
                && let Some(lease) = leases.remove(queue)
            {
                wanted |= lease.wanted;
                ended += 1;
            }
        }
        if leases.is_empty() {
            table.groups.remove(group);
        }
        table.count -= ended;
        wanted
    }

    /// A client has left a group: its leases end.
    pub fn release_client(&self, group: &GroupName, client_id: &str) {
        self.0.lock().end(group, |_, lease| *lease.client_id == *client_id);
    }

    /// Forgets leases that have run out; answers groups in which another client waits for one.
    pub fn on_tick(&self, now_ms: i64) -> Vec<GroupName> {
        let mut table = self.0.lock();
        let now_ms = table.steady.advance(now_ms);
        let groups: Vec<GroupName> = table.groups.keys().cloned().collect();
        groups.into_iter().filter(|group| table.end(group, |_, lease| lease.is_over(now_ms))).collect()
    }
}

#[cfg(test)]
mod tests {
    use model::{QueueId, TopicName};

    use super::*;

    fn queue(number: u32) -> TopicQueue {
        let topic = TopicName::new("t").expect("legal");
        TopicQueue { topic, queue: QueueId(number), broker_name: "b".to_owned() }
    }

    fn group() -> GroupName {
        GroupName::new("g").expect("legal")
    }

    /// Leases with `a` holding queue 0 since time 0.
    fn held_by_a() -> Locks {
        let locks = Locks::default();
        assert_eq!(locks.lock(0, &group(), "a", &[queue(0)]), [queue(0)]);
        locks
    }

    /// Lets real time pass, in steps as scans make them.
    fn pass(locks: &Locks, to_ms: i64) -> Vec<GroupName> {
        (0..=to_ms / 10_000).flat_map(|step| locks.on_tick((step * 10_000).min(to_ms))).collect()
    }

    #[test]
    fn a_lease_keeps_others_away_until_it_ends() {
        let locks = held_by_a();
        pass(&locks, LOCK_LEASE_MS);
        assert!(locks.lock(LOCK_LEASE_MS, &group(), "b", &[queue(0)]).is_empty());
        assert_eq!(
            locks.lock(LOCK_LEASE_MS + 1, &group(), "b", &[queue(0)]),
            [queue(0)],
            "the lease of a is over"
        );
        assert!(locks.lock(LOCK_LEASE_MS + 1, &group(), "a", &[queue(0)]).is_empty());
    }

    #[test]
    fn locking_again_renews() {
        let locks = held_by_a();
        pass(&locks, 50_000);
        assert_eq!(locks.lock(50_000, &group(), "a", &[queue(0), queue(1)]), [queue(0), queue(1)]);
        for now_ms in [70_000, 90_000, 110_000] {
            assert!(locks.lock(now_ms, &group(), "b", &[queue(0), queue(1)]).is_empty());
        }
    }

    #[test]
    fn groups_do_not_keep_each_other_away() {
        let other = GroupName::new("h").expect("legal");
        assert_eq!(held_by_a().lock(1, &other, "b", &[queue(0)]), [queue(0)]);
    }

    #[test]
    fn only_the_holder_unlocks_and_learns_of_those_who_wait() {
        let locks = held_by_a();
        assert!(!locks.unlock(&group(), "b", &[queue(0)]));
        assert!(locks.lock(1, &group(), "b", &[queue(0)]).is_empty());
        assert!(locks.unlock(&group(), "a", &[queue(0), queue(5)]), "b waits");
        assert_eq!(locks.lock(2, &group(), "b", &[queue(0)]), [queue(0)]);
        assert!(!locks.unlock(&group(), "b", &[queue(0)]), "nobody waits");
        assert_eq!(locks.0.lock().count, 0);
        assert!(locks.0.lock().groups.is_empty());
    }

    #[test]
    fn who_leaves_frees_its_queues() {
        let locks = held_by_a();
        locks.release_client(&group(), "b");
        assert!(locks.lock(1, &group(), "b", &[queue(0)]).is_empty());
        locks.release_client(&group(), "a");
        assert_eq!(locks.lock(2, &group(), "b", &[queue(0)]), [queue(0)]);
    }

    #[test]
    fn a_lease_that_runs_out_is_told_to_those_who_wait() {
        let locks = held_by_a();
        assert!(pass(&locks, LOCK_LEASE_MS + 10_000).is_empty(), "nobody waits");
        assert!(locks.0.lock().groups.is_empty());
        let locks = held_by_a();
        locks.lock(1, &group(), "b", &[queue(0)]);
        assert_eq!(pass(&locks, LOCK_LEASE_MS + 10_000), [group()]);
    }

    #[test]
    fn a_clock_that_jumps_ends_no_lease() {
        let locks = held_by_a();
        assert!(locks.lock(3_600_000, &group(), "b", &[queue(0)]).is_empty());
        assert!(locks.lock(-3_600_000, &group(), "b", &[queue(0)]).is_empty());
    }
}
