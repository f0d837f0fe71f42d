//! The servers that are compared. A further one that unchanged RocketMQ clients can talk to is a file below this
//! one and its line in `PEERS`; what it needs to be started is its `Engine`.
mod apogee;
mod rocketmq;

use super::Options;
use super::record::Durability;
use crate::server_under_test::ServerUnderTest;
use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

pub(crate) struct Peer {
    /// As in journals and behind `--server`.
    pub(crate) name: &'static str,
    /// As on the page.
    pub(crate) title: &'static str,
    /// The server with an empty store below the folder, not yet launched.
    pub(crate) prepare: fn(&Options, Durability, &Path) -> Result<ServerUnderTest>,
    /// Where the server is one file: which.
    pub(crate) program: fn(&Options) -> Result<Option<PathBuf>>,
}

/// What the others are compared with.
pub(crate) const OURS: &Peer = &apogee::PEER;
/// What the targets speak of.
pub(crate) const RIVAL: &Peer = &rocketmq::PEER;
/// In the order of their first turn.
pub(crate) const PEERS: [&Peer; 2] = [RIVAL, OURS];

impl Peer {
    pub(crate) fn is_ours(&self) -> bool {
        self.name == OURS.name
    }
}

/// Peers of these names, or all of them.
pub(crate) fn chosen(wanted: &[String]) -> Result<Vec<&'static Peer>> {
    if let Some(unknown) = wanted.iter().find(|name| PEERS.iter().all(|peer| peer.name != **name)) {
        bail!("no server is called {unknown}; there are {}", PEERS.map(|peer| peer.name).join(", "));
    }
    let is_wanted = |peer: &&Peer| wanted.is_empty() || wanted.iter().any(|name| peer.name == name);
    Ok(PEERS.into_iter().filter(is_wanted).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn peers_are_chosen_by_name() {
        let names = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
            chosen(&wanted).map(|peers| peers.iter().map(|peer| peer.name).collect::<Vec<_>>())
        };
        assert_eq!(names(&[]).unwrap(), ["rocketmq", "apogee"]);
        assert_eq!(names(&["apogee"]).unwrap(), ["apogee"]);
        assert!(names(&["nobody"]).is_err());
    }
}
