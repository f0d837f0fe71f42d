//! The cases: which load program, with what work. Names say the protocol first where both have the same work.
//! Transactions stand last, because RocketMQ goes on working for a while after them.
use super::Options;
use super::load::Places;
use crate::clients::{self, Client};
use anyhow::{Result, bail};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    /// First argument of the load program.
    pub(crate) work: &'static str,
    /// Further arguments, as the work needs them.
    settings: &'static [(&'static str, u32)],
    extent: Extent,
    topic_type: &'static str,
    consumers: Consumers,
    /// Whether it is also measured with servers that flush before they acknowledge.
    pub(crate) is_about_flush: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Protocol {
    Remoting,
    Grpc,
}

/// How long a window is.
#[derive(Clone, Copy, Debug)]
enum Extent {
    /// As long as it is asked to be.
    Time,
    /// Three times as long: its slowest thousandth must be more than a few messages.
    TripleTime,
    /// Until all messages are consumed: so many for each second asked for.
    CountPerSecond(u32),
}

/// What groups the operator makes.
#[derive(Clone, Copy, Debug)]
enum Consumers {
    One,
    Orderly,
    Popping,
    Several(u32),
}

const fn case(
    name: &'static str,
    protocol: Protocol,
    work: &'static str,
    extent: Extent,
    settings: &'static [(&'static str, u32)],
) -> Case {
    Case {
        name,
        protocol,
        work,
        settings,
        extent,
        topic_type: "NORMAL",
        consumers: Consumers::One,
        is_about_flush: false,
    }
}

const fn remoting(name: &'static str, work: &'static str, settings: &'static [(&'static str, u32)]) -> Case {
    case(name, Protocol::Remoting, work, Extent::Time, settings)
}

const fn grpc(name: &'static str, work: &'static str, settings: &'static [(&'static str, u32)]) -> Case {
    case(name, Protocol::Grpc, work, Extent::Time, settings)
}

impl Case {
    const fn count_per_second(self, count: u32) -> Self {
        Self { extent: Extent::CountPerSecond(count), ..self }
    }

    const fn triple_time(self) -> Self {
        Self { extent: Extent::TripleTime, ..self }
    }

    const fn about_flush(self) -> Self {
        Self { is_about_flush: true, ..self }
    }

    const fn with_consumers(self, consumers: Consumers) -> Self {
        Self { consumers, ..self }
    }

    const fn with_topic_type(self, topic_type: &'static str) -> Self {
        Self { topic_type, ..self }
    }
}

const FAN_OUT: u32 = 20;

const CASES: [Case; 32] = [
    remoting("remoting-sync-1", "sync", &[("threads", 1), ("bytes", 128)]).about_flush(),
    remoting("remoting-sync-16", "sync", &[("threads", 16), ("bytes", 128)]).about_flush(),
    remoting("remoting-sync-64", "sync", &[("threads", 64), ("bytes", 128)]).about_flush(),
    remoting("remoting-sync-1-1k", "sync", &[("threads", 1), ("bytes", 1024)]),
    remoting("remoting-sync-16-1k", "sync", &[("threads", 16), ("bytes", 1024)]),
    remoting("remoting-sync-64-1k", "sync", &[("threads", 64), ("bytes", 1024)]),
    remoting("remoting-async", "async", &[("threads", 2), ("in-flight", 2000), ("bytes", 128)]).about_flush(),
    remoting("remoting-async-1k", "async", &[("threads", 2), ("in-flight", 2000), ("bytes", 1024)]),
    remoting("remoting-oneway", "oneway", &[("threads", 2), ("burst", 1000), ("bytes", 128)]),
    remoting("remoting-oneway-1k", "oneway", &[("threads", 2), ("burst", 1000), ("bytes", 1024)]),
    remoting("remoting-batch32", "batch", &[("threads", 4), ("batch", 32), ("bytes", 128)]).about_flush(),
    remoting("remoting-batch32-1k", "batch", &[("threads", 4), ("batch", 32), ("bytes", 1024)]),
    remoting("remoting-ordered-16", "ordered", &[("threads", 16), ("orders", 64), ("bytes", 128)]),
    remoting("push-drain", "push-drain", &[("bytes", 128)]).count_per_second(340_000),
    remoting("lite-pull-drain", "lite-pull-drain", &[("bytes", 128)]).count_per_second(340_000),
    remoting("pop-drain", "pop-drain", &[("bytes", 128)])
        .count_per_second(10_000)
        .with_consumers(Consumers::Popping),
    remoting("orderly-drain", "orderly-drain", &[("bytes", 128)]).count_per_second(100_000),
    remoting("sql-drain", "sql-drain", &[("bytes", 128)]).count_per_second(250_000),
    remoting("fan-out-20", "fan-out", &[("groups", FAN_OUT), ("bytes", 128)])
        .count_per_second(10_000)
        .with_consumers(Consumers::Several(FAN_OUT)),
    remoting(
        "remoting-latency-1000",
        "end-to-end",
        &[("rate", 1_000), ("warm-up-rate", 10_000), ("bytes", 128)],
    )
    .triple_time(),
    remoting(
        "remoting-latency-10000",
        "end-to-end",
        &[("rate", 10_000), ("warm-up-rate", 10_000), ("bytes", 128)],
    )
    .triple_time(),
    grpc("grpc-sync-1", "sync", &[("threads", 1), ("bytes", 128)]),
    grpc("grpc-sync-16", "sync", &[("threads", 16), ("bytes", 128)]),
    grpc("grpc-sync-64", "sync", &[("threads", 64), ("bytes", 128)]).about_flush(),
    grpc("grpc-async", "async", &[("threads", 2), ("in-flight", 2000), ("bytes", 128)]).about_flush(),
    grpc("simple-drain", "simple-drain", &[("threads", 8), ("batch", 32), ("bytes", 128)])
        .count_per_second(10_000),
    grpc("push5-drain", "push-drain", &[("bytes", 128)]).count_per_second(10_000),
    grpc("fifo-drain", "fifo-drain", &[("orders", 64), ("bytes", 128)])
        .count_per_second(3_000)
        .with_topic_type("FIFO")
        .with_consumers(Consumers::Orderly),
    grpc("grpc-latency-1000", "end-to-end", &[("rate", 1_000), ("warm-up-rate", 3_000), ("bytes", 128)])
        .triple_time(),
    grpc("grpc-latency-10000", "end-to-end", &[("rate", 10_000), ("warm-up-rate", 3_000), ("bytes", 128)])
        .triple_time(),
    remoting("transactions-16", "transactions", &[("threads", 16), ("bytes", 128)])
        .with_topic_type("TRANSACTION"),
    remoting("transactions-64", "transactions", &[("threads", 64), ("bytes", 128)])
        .with_topic_type("TRANSACTION"),
];

const PRELUDE: [&str; 2] = ["remoting-sync-64", "grpc-sync-64"];

/// Cases of these names; a word that is no name stands for all names that begin with it.
pub(crate) fn chosen(wanted: &[String]) -> Result<Vec<Case>> {
    if wanted.is_empty() {
        return Ok(CASES.to_vec());
    }
    let is_meant = |word: &str, case: &Case| {
        let is_name = CASES.iter().any(|case| case.name == word);
        if is_name { case.name == word } else { case.name.starts_with(word) }
    };
    if let Some(unknown) = wanted.iter().find(|word| !CASES.iter().any(|case| is_meant(word, case))) {
        bail!("no case is called {unknown}; there are {}", CASES.map(|case| case.name).join(", "));
    }
    Ok(CASES.into_iter().filter(|case| wanted.iter().any(|word| is_meant(word, case))).collect())
}

/// Whether the load has a rate of its own, so that its throughput says nothing about the server.
pub(crate) fn is_paced(name: &str) -> bool {
    CASES.iter().any(|case| case.name == name && case.work == "end-to-end")
}

/// One case of each protocol in use that makes a server run through much in little time.
pub(crate) fn prelude(cases: &[Case]) -> Vec<Case> {
    let is_used = |case: &Case| cases.iter().any(|used| used.protocol == case.protocol);
    let is_heavy = |case: &Case| PRELUDE.contains(&case.name);
    CASES.into_iter().filter(|case| is_heavy(case) && is_used(case)).collect()
}

/// The load programs that these cases need.
pub(crate) fn clients(cases: &[Case]) -> Vec<Client> {
    [Protocol::Remoting, Protocol::Grpc]
        .into_iter()
        .filter(|protocol| cases.iter().any(|case| case.protocol == *protocol))
        .map(Protocol::client)
        .collect()
}

impl Protocol {
    fn client(self) -> Client {
        match self {
            Self::Remoting => clients::LOAD_REMOTING,
            Self::Grpc => clients::LOAD_GRPC,
        }
    }
}

impl Case {
    pub(crate) fn client(&self) -> Client {
        let client = self.protocol.client();
        if is_paced(self.name) { client.unpaused() } else { client }
    }

    /// Arguments of the load program.
    pub(crate) fn arguments(&self, options: &Options) -> Vec<String> {
        let mut arguments = vec![self.work.to_owned(), format!("case={}", self.name)];
        arguments.extend(self.settings.iter().map(|(key, value)| format!("{key}={value}")));
        let mut times = |windows: u64| {
            arguments.push(format!("warm-up-ms={}", u64::from(options.warm_up) * 1000));
            arguments.push(format!("measure-ms={}", u64::from(options.seconds) * 1000 * windows));
        };
        match self.extent {
            Extent::Time => times(1),
            Extent::TripleTime => times(3),
            Extent::CountPerSecond(count) => {
                arguments.push(format!("count={}", count.saturating_mul(options.seconds)));
            }
        }
        arguments
    }

    /// What the operator makes before the load begins.
    pub(crate) fn preparations(&self, places: &Places, queues: u32) -> Vec<String> {
        let Places { topic, group } = places;
        let mut commands = vec![format!("topic {topic} {} {queues}", self.topic_type)];
        match self.consumers {
            Consumers::One => commands.push(format!("group {group}")),
            Consumers::Orderly => commands.push(format!("group {group} orderly=1")),
            Consumers::Popping => {
                commands.extend([format!("group {group}"), format!("pop-mode {topic} {group}")]);
            }
            Consumers::Several(count) => {
                commands.extend((0..count).map(|number| format!("group {group}-{number}")));
            }
        }
        commands
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Vec<&'static str> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        chosen(&words).unwrap().into_iter().map(|case| case.name).collect()
    }

    #[test]
    fn the_prelude_has_the_protocols_in_use() {
        let prelude_of = |word: &str| prelude(&chosen(&[word.to_owned()]).unwrap());
        assert_eq!(prelude_of("push-drain")[0].name, "remoting-sync-64");
        assert_eq!(prelude_of("simple-drain")[0].name, "grpc-sync-64");
        assert_eq!(prelude(&chosen(&[]).unwrap()).len(), PRELUDE.len());
    }

    #[test]
    fn a_word_is_a_name_or_a_beginning() {
        assert_eq!(names(&["remoting-sync-1"]), ["remoting-sync-1"]);
        assert_eq!(names(&["grpc-sync"]), ["grpc-sync-1", "grpc-sync-16", "grpc-sync-64"]);
        assert_eq!(names(&["push-drain", "simple"]), ["push-drain", "simple-drain"]);
        assert_eq!(names(&[]).len(), CASES.len());
        assert!(chosen(&["nothing".to_owned()]).is_err());
    }

    #[test]
    fn names_are_unique() {
        let unique: std::collections::BTreeSet<_> = CASES.iter().map(|case| case.name).collect();
        assert_eq!(unique.len(), CASES.len());
    }

    #[test]
    fn groups_are_made_as_the_consumers_need_them() {
        let places = Places { topic: "t".into(), group: "g".into() };
        let made = |name: &str| chosen(&[name.to_owned()]).unwrap()[0].preparations(&places, 8);
        assert_eq!(made("push-drain"), ["topic t NORMAL 8", "group g"]);
        assert_eq!(made("fifo-drain"), ["topic t FIFO 8", "group g orderly=1"]);
        assert_eq!(made("pop-drain"), ["topic t NORMAL 8", "group g", "pop-mode t g"]);
        assert_eq!(made("fan-out-20").len(), 21);
    }
}
