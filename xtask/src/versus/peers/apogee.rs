//! Apogee as it comes, but for when it flushes.
use super::Peer;
use crate::server_under_test::{self, ServerUnderTest};
use crate::versus::Options;
use anyhow::{Context, Result};
use std::path::PathBuf;

pub(super) const PEER: Peer = Peer {
    name: "apogee",
    title: "Apogee",
    prepare: |options, flush, folder| {
        let settings = vec![("APOGEE_FLUSH", flush.name().to_owned())];
        ServerUnderTest::apogee(&program(options)?, settings, folder)
    },
    program: |options| Ok(Some(program(options)?)),
};

/// Built unless it is there already.
fn program(options: &Options) -> Result<PathBuf> {
    match &options.binary {
        Some(binary) => binary.canonicalize().with_context(|| format!("no program {}", binary.display())),
        None => server_under_test::build(&options.profile),
    }
}
