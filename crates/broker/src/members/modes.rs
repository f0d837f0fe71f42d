//! How clients of a group read a topic when the server balances: a table that people set.
//!
//! A pair that is not in it is read by pulling; so is a retry topic, whatever the table says.

use hashbrown::HashMap;
use model::membership::RequestMode;
use model::{GroupName, TopicName};
use parking_lot::RwLock;

use super::limits::MODES_MAX;

type Key = (GroupName, TopicName);

#[derive(Debug, Default)]
pub struct Modes(RwLock<HashMap<Key, (RequestMode, i32)>>);

impl Modes {
    /// Sets the mode and, for popping, how many queues of neighbours a client shares (0 or less:
    /// every client reads all). `false`: the table is full.
    pub fn set(&self, group: GroupName, topic: TopicName, mode: RequestMode, pop_share_queues: i32) -> bool {
        let mut modes = self.0.write();
        let key = (group, topic);
        if modes.len() >= MODES_MAX && !modes.contains_key(&key) {
            return false;
        }
        modes.insert(key, (mode, pop_share_queues));
        true
    }

    #[must_use]
    pub fn get(&self, group: &GroupName, topic: &TopicName) -> (RequestMode, i32) {
        let unset = (RequestMode::Pull, 0);
        if topic.is_retry() {
            return unset;
        }
        self.0.read().get(&(group.clone(), topic.clone())).copied().unwrap_or(unset)
    }

    /// Forgets a group that was deleted.
    pub fn forget(&self, group: &GroupName) {
        self.0.write().retain(|(known, _), _| known != group);
    }
}
