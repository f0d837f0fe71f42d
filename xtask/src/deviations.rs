//! Cases that fail against the real Apache RocketMQ for a reason of its own, or of the client's own.
//! They are asked of Apogee all the same. `docs/outcomes.md` shows them with their reasons, `e2e/README.md` tells
//! more of them.
use crate::ServerKind;

struct Deviation {
    /// The beginning of the clients' names.
    clients: &'static [&'static str],
    /// The beginning of the cases' names.
    cases: &'static [&'static str],
    reason: &'static str,
}

const OF_ROCKETMQ: [Deviation; 19] = [
    Deviation {
        clients: &["java-grpc", "java-remoting"],
        cases: &["client-metrics", "life-"],
        reason: "The case asks for metrics and time lines over Apogee's HTTP interface.",
    },
    Deviation {
        clients: &["mqadmin"],
        cases: &["dashboard-front", "dashboard-topic", "mqadmin-rates"],
        reason: "Rates are told from samples: what was sent in the last seconds is not in them yet.",
    },
    Deviation {
        clients: &["mqadmin"],
        cases: &["dashboard-dead-letters", "access-dashboard-dead-letters"],
        reason: "The dead letter does not tell its original topic in the property that the dashboard reads.",
    },
    Deviation {
        clients: &["mqadmin"],
        cases: &["mqadmin-config"],
        reason: "The case also asks for settings under Apogee's own names.",
    },
    Deviation {
        clients: &["mqadmin"],
        cases: &["mqadmin-lite"],
        reason: "Counts no lite topics for messages of a 4.x producer, as it is set up here.",
    },
    Deviation {
        clients: &["rust-grpc"],
        cases: &["access-tx-check"],
        reason: "With access control an empty long poll is answered later than the Rust client waits for it.",
    },
    Deviation {
        clients: &["mqadmin"],
        cases: &["mqadmin-not-applicable"],
        reason: "It has what these commands are about.",
    },
    Deviation {
        clients: &["mqadmin"],
        cases: &["mqadmin-order-conf"],
        reason: "Its name server tells the order of a topic only where `orderMessageEnable` is on.",
    },
    Deviation {
        clients: &["mqadmin"],
        cases: &["mqadmin-write-permission"],
        reason: "The route asked for right after `wipeWritePerm` still has the permission to write.",
    },
    Deviation {
        clients: &["java-remoting-5.5.0"],
        cases: &["timed-restart-kill"],
        reason: "After a kill, timed messages that were fired already are fired again.",
    },
    Deviation {
        clients: &["go-grpc", "python-grpc", "rust-grpc"],
        cases: &["restart-graceful", "restart-kill"],
        reason: "After a restart the proxy has forgotten the client's settings, and these clients do not send them \
                 again soon: every receive call is answered 50001 until they do.",
    },
    Deviation {
        clients: &["go-grpc", "java-grpc", "node-grpc", "python-grpc", "rust-grpc"],
        cases: &["fifo-retry", "fifo-simple", "fifo-slow-key"],
        reason: "Order is kept queue by queue: a message that is held or tried again holds up the other message \
                 groups of its queue too, not its own alone.",
    },
    Deviation {
        clients: &["go-grpc"],
        cases: &["fifo-push"],
        reason: "A message that failed in the Go client comes again behind later ones of its message group.",
    },
    Deviation {
        clients: &["java-remoting-5.5.0"],
        cases: &["batch-kept-offsets"],
        reason: "A read from the middle of a batch that is kept whole gets its first messages too.",
    },
    Deviation {
        clients: &["java-remoting-5.5.0"],
        cases: &["batch-kept-pop"],
        reason: "A group that pops gets the first message alone of a batch that is kept whole.",
    },
    Deviation {
        clients: &["java-remoting-5.5.0"],
        cases: &["batch-kept"],
        reason: "A consumer with a tag gets nothing of a batch that is kept whole.",
    },
    Deviation {
        clients: &["java-remoting-5.5.0"],
        cases: &["dedup"],
        reason: "Stored once by a window of ids or keys is a feature of Apogee; the topic's attributes are unknown there.",
    },
    Deviation {
        clients: &[""],
        cases: &["timed-recurring"],
        reason: "Recurring messages are an addition of Apogee.",
    },
    Deviation {
        clients: &[""],
        cases: &["timed-recall", "timed-thousand", "timed-far"],
        reason: "Recall is off by default, a timed message is fired in the second after its time, and the proxy \
                 takes a day at most.",
    },
];

/// Why a case may fail, if it may.
pub(crate) fn reason(server: ServerKind, client: &str, case: &str) -> Option<&'static str> {
    let begins = |name: &str, beginnings: &[&str]| beginnings.iter().any(|word| name.starts_with(word));
    let found = OF_ROCKETMQ
        .iter()
        .find(|deviation| begins(client, deviation.clients) && begins(case, deviation.cases));
    found.filter(|_| server == ServerKind::Rocketmq).map(|deviation| deviation.reason)
}
