//! The two sittings of a program: all its cases against a server that asks nobody who they are, then some of them
//! again, signed, against one with access control.
//!
//! ```text
//! Open      all cases                       as they are called
//! Signed    SIGNED, and those on refusals   as `access-` and their name; `--case access` plays them alone
//! ```
use crate::clients::Client;
use crate::oracle::Tuning;
use crate::server_under_test::{ServerUnderTest, access_control, quick_checks};
use anyhow::Result;
use std::path::Path;

/// Who makes topics, groups, users and policies.
pub(crate) const ROOT: User = User { name: "root", secret: "root-secret" };
/// Whom the programs sign as: may send and receive everywhere, but where the name begins with `closed`.
const WORKER: User = User { name: "worker", secret: "worker-secret" };

/// Words in the names of the cases that are played again. One at least of each kind of call.
const SIGNED: &str = "refused,send-sync,send-batch,push-consume,dead-letter,pull,pop-retry,orderly-push,fifo-simple,\
                      simple-consume,change-invisible,tx-check,tx-commit,timed-recall-by,broadcast,request-reply,\
                      trace-topic,lite-push,mqadmin,dashboard";
const PREFIX: &str = "access-";

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sitting {
    Open,
    Signed,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct User {
    pub(crate) name: &'static str,
    pub(crate) secret: &'static str,
}

impl Sitting {
    /// What to play, in this order: every client's open sitting first, so that servers change once.
    pub(super) fn all(clients: &[Client], filter: &str) -> Vec<(Client, Self)> {
        let sittings =
            [Self::Open, Self::Signed].into_iter().filter(|sitting| sitting.filter(filter).is_some());
        sittings
            .flat_map(|sitting| {
                let plays = move |client: &&Client| sitting == Self::Open || client.signs();
                clients.iter().filter(plays).map(move |client| (*client, sitting))
            })
            .collect()
    }

    /// The words that a program is to look for in its cases' names, where it has any to play.
    pub(super) fn filter(self, asked: &str) -> Option<String> {
        let signed = |word: &&str| word.starts_with(PREFIX.trim_end_matches('-'));
        let words = || asked.split(',').filter(|word| !word.is_empty());
        match self {
            Self::Open if asked.is_empty() => Some(String::new()),
            Self::Signed if asked.is_empty() => Some(SIGNED.to_owned()),
            Self::Open => joined(words().filter(|word| !signed(word))),
            Self::Signed => {
                joined(words().filter(signed).map(|word| word.strip_prefix(PREFIX).unwrap_or(SIGNED)))
            }
        }
    }

    /// As the case stands in reports.
    pub(super) fn name_of(self, case: &str) -> String {
        match self {
            Self::Open => case.to_owned(),
            Self::Signed => format!("{PREFIX}{case}"),
        }
    }

    /// Whom a program signs as.
    pub(super) fn user(self, client: &Client) -> Option<User> {
        match self {
            Self::Open => None,
            Self::Signed => Some(if client.administers() { ROOT } else { WORKER }),
        }
    }

    /// Whom the operator signs as.
    pub(super) fn operator(self) -> Option<User> {
        (self == Self::Signed).then_some(ROOT)
    }

    /// A server for it, not yet launched; `binary` is Apogee, the real server has its own.
    pub(super) fn server(self, binary: Option<&Path>, folder: &Path) -> Result<ServerUnderTest> {
        let Some(binary) = binary else {
            let tuning = Tuning::proof();
            let tuning = if self == Self::Signed { tuning.with_access_control(ROOT) } else { tuning };
            return ServerUnderTest::rocketmq(tuning, folder);
        };
        let mut settings = quick_checks();
        if self == Self::Signed {
            settings.extend(access_control(ROOT));
        }
        ServerUnderTest::apogee(binary, settings, folder)
    }

    /// What the operator does first. `guest` has no right at all.
    pub(super) fn preparation(self) -> Vec<String> {
        match self {
            Self::Open => Vec::new(),
            Self::Signed => [
                &format!("user {} {}", WORKER.name, WORKER.secret),
                "user guest guest-secret",
                "user disabled disabled-secret",
                "policy worker Topic:* Pub,Sub Allow",
                "policy worker Group:* Sub Allow",
                "policy worker Topic:closed* Pub,Sub Deny",
                "policy disabled Topic:* Pub,Sub Allow",
                "disable disabled",
            ]
            .map(ToOwned::to_owned)
            .to_vec(),
        }
    }
}

fn joined<'a>(words: impl Iterator<Item = &'a str>) -> Option<String> {
    let words: Vec<&str> = words.collect();
    (!words.is_empty()).then(|| words.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_asked_for_choose_sitting_and_cases() {
        let check = |asked: &str, open: Option<&str>, signed: Option<&str>| {
            assert_eq!(Sitting::Open.filter(asked).as_deref(), open, "{asked}");
            assert_eq!(Sitting::Signed.filter(asked).as_deref(), signed, "{asked}");
        };
        check("", Some(""), Some(SIGNED));
        check("pull", Some("pull"), None);
        check("access", None, Some(SIGNED));
        check("access-pop,access-pull", None, Some("pop,pull"));
        check("retry,access-refused", Some("retry"), Some("refused"));
    }
}
