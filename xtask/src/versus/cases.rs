//! The cases: which load program, with what work. Names say the protocol first.
use super::Options;
use crate::clients::{self, Client};
use anyhow::{Result, bail};

#[derive(Clone, Copy, Debug)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) protocol: Protocol,
    /// First argument of the load program.
    work: &'static str,
    /// Further arguments, as the work needs them.
    settings: &'static [(&'static str, u32)],
    extent: Extent,
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
    /// Until all messages are consumed: so many for each second asked for.
    CountPerSecond(u32),
}

const fn sending(
    name: &'static str,
    protocol: Protocol,
    work: &'static str,
    settings: &'static [(&'static str, u32)],
) -> Case {
    Case { name, protocol, work, settings, extent: Extent::Time }
}

const CASES: [Case; 14] = [
    sending("remoting-sync-1", Protocol::Remoting, "sync", &[("threads", 1), ("bytes", 128)]),
    sending("remoting-sync-16", Protocol::Remoting, "sync", &[("threads", 16), ("bytes", 128)]),
    sending("remoting-sync-64", Protocol::Remoting, "sync", &[("threads", 64), ("bytes", 128)]),
    sending(
        "remoting-async",
        Protocol::Remoting,
        "async",
        &[("threads", 2), ("in-flight", 2000), ("bytes", 128)],
    ),
    sending(
        "remoting-oneway",
        Protocol::Remoting,
        "oneway",
        &[("threads", 2), ("burst", 1000), ("bytes", 128)],
    ),
    sending(
        "remoting-batch32",
        Protocol::Remoting,
        "batch",
        &[("threads", 4), ("batch", 32), ("bytes", 128)],
    ),
    sending(
        "remoting-batch32-1k",
        Protocol::Remoting,
        "batch",
        &[("threads", 4), ("batch", 32), ("bytes", 1024)],
    ),
    Case {
        name: "push-drain",
        protocol: Protocol::Remoting,
        work: "push-drain",
        settings: &[("bytes", 128)],
        extent: Extent::CountPerSecond(100_000),
    },
    sending("grpc-sync-1", Protocol::Grpc, "sync", &[("threads", 1), ("bytes", 128)]),
    sending("grpc-sync-16", Protocol::Grpc, "sync", &[("threads", 16), ("bytes", 128)]),
    sending("grpc-sync-64", Protocol::Grpc, "sync", &[("threads", 64), ("bytes", 128)]),
    sending("grpc-async", Protocol::Grpc, "async", &[("threads", 2), ("in-flight", 2000), ("bytes", 128)]),
    Case {
        name: "simple-drain",
        protocol: Protocol::Grpc,
        work: "simple-drain",
        settings: &[("threads", 8), ("batch", 32), ("bytes", 128)],
        extent: Extent::CountPerSecond(10_000),
    },
    Case {
        name: "push5-drain",
        protocol: Protocol::Grpc,
        work: "push-drain",
        settings: &[("bytes", 128)],
        extent: Extent::CountPerSecond(10_000),
    },
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
    pub(crate) fn client(self) -> Client {
        match self {
            Self::Remoting => clients::LOAD_REMOTING,
            Self::Grpc => clients::LOAD_GRPC,
        }
    }
}

impl Case {
    /// Arguments of the load program.
    pub(crate) fn arguments(&self, options: &Options) -> Vec<String> {
        let mut arguments = vec![self.work.to_owned(), format!("case={}", self.name)];
        arguments.extend(self.settings.iter().map(|(key, value)| format!("{key}={value}")));
        match self.extent {
            Extent::Time => {
                arguments.push(format!("warm-up-ms={}", u64::from(options.warm_up) * 1000));
                arguments.push(format!("measure-ms={}", u64::from(options.seconds) * 1000));
            }
            Extent::CountPerSecond(count) => {
                arguments.push(format!("count={}", count.saturating_mul(options.seconds)));
            }
        }
        arguments
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
}
