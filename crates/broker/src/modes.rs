//! How clients of a group read a topic when the server balances: a table that people set, one by
//! one. It stands in the catalogue's key-value table, so it outlives a restart.
//!
//! A pair that is not in it is read by pulling; so is a retry topic, whatever the table says.

use model::membership::{MemberError, RequestMode, SetRequestMode};
use model::{GroupName, TopicName};

use crate::broker::Broker;
use crate::machine::command::Command;
use crate::members::limits::MODES_MAX;

/// Names of topics and groups have no `@`; a mode is `PULL` or `POP`, and the shared queues.
const NAMESPACE: &str = "APOGEE_REQUEST_MODES";

fn key(topic: &TopicName, group: &GroupName) -> String {
    format!("{topic}@{group}")
}

fn to_text(mode: RequestMode, pop_share_queues: i32) -> String {
    let mode = match mode {
        RequestMode::Pull => "PULL",
        RequestMode::Pop => "POP",
    };
    format!("{mode} {pop_share_queues}")
}

fn from_text(text: &str) -> Option<(RequestMode, i32)> {
    let (mode, share) = text.split_once(' ')?;
    let mode = match mode {
        "PULL" => RequestMode::Pull,
        "POP" => RequestMode::Pop,
        _ => return None,
    };
    Some((mode, share.parse().ok()?))
}

impl Broker {
    /// The mode and, for popping, how many queues of neighbours a client shares (0 or less: every
    /// client reads all).
    pub(crate) fn request_mode(&self, group: &GroupName, topic: &TopicName) -> (RequestMode, i32) {
        let unset = (RequestMode::Pull, 0);
        if topic.is_retry() {
            return unset;
        }
        self.state.key_value(NAMESPACE, &key(topic, group)).and_then(|text| from_text(&text)).unwrap_or(unset)
    }

    pub(crate) async fn do_set_request_mode(&self, request: SetRequestMode) -> Result<(), MemberError> {
        let SetRequestMode { group, topic, mode, pop_share_queues } = request;
        let key = key(&topic, &group);
        let known = self.state.key_value(NAMESPACE, &key);
        if known.is_none() && self.state.key_values(NAMESPACE).len() >= MODES_MAX {
            return Err(MemberError::TooMany { max: MODES_MAX });
        }
        let value = Some(to_text(mode, pop_share_queues));
        if known != value {
            self.propose(Command::KeyValuePut { namespace: NAMESPACE.to_owned(), key, value }, 64).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mode_survives_its_text() {
        for mode in [(RequestMode::Pull, 0), (RequestMode::Pop, -1), (RequestMode::Pop, 8)] {
            assert_eq!(from_text(&to_text(mode.0, mode.1)), Some(mode));
        }
        for broken in ["", "POP", "POP x", "PUSH 1"] {
            assert_eq!(from_text(broken), None);
        }
    }
}
