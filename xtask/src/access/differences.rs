//! Where the real RocketMQ answers a case of the matrix otherwise, and why that stays so.
use super::outcomes::Case;

struct Difference {
    protocol: &'static str,
    /// Any where empty.
    users: &'static [&'static str],
    calls: &'static [&'static str],
    reason: &'static str,
}

const DIFFERENCES: [Difference; 6] = [
    Difference {
        protocol: "remoting",
        users: &[],
        calls: &["route"],
        reason: "RocketMQ's name server does not ask who calls. Its proxy, which was asked here, does, and tells a \
                 refusal as a system error (1); it refuses the default topic `TBW102` too, which is open to all here.",
    },
    Difference {
        protocol: "remoting",
        users: &[],
        calls: &["max", "min"],
        reason: "Who may read messages may know how many there are: Sub or Get here, Get alone there.",
    },
    Difference {
        protocol: "grpc",
        users: &["alice"],
        calls: &["assignment"],
        reason: "What a route needs is enough here; receiving needs Sub of topic and group on both.",
    },
    Difference {
        protocol: "grpc",
        users: &["bob"],
        calls: &["change"],
        reason: "The topic is asked for as well as the group.",
    },
    Difference {
        protocol: "grpc",
        users: &["hans"],
        calls: &["beat"],
        reason: "Settings that are refused make no client, and who is no client is told so before its leave is looked at.",
    },
    Difference {
        protocol: "grpc",
        users: &["root"],
        calls: &["end"],
        reason: "An id of a transaction that is none is a mistake of the client here, and an internal error there.",
    },
];

pub(super) fn reason(case: &Case) -> Option<&'static str> {
    let is_of = |words: &[&str], word: &str| words.is_empty() || words.contains(&word);
    let found = DIFFERENCES.iter().find(|difference| {
        difference.protocol == case.protocol
            && is_of(difference.users, &case.user)
            && is_of(difference.calls, &case.call)
    });
    found.map(|difference| difference.reason)
}
