//! `apogee profile`: what a node spends its processor time on, as a file for `pprof`.

use std::path::PathBuf;

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use model::admin::{NodeProfile, ProfileRequest};

use crate::http::Server;
use crate::output;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// How long the node is looked at, from 1 to 60
    #[arg(long, default_value_t = 10)]
    seconds: u64,
    /// File that is made: `go tool pprof -http=: FILE` shows it
    #[arg(long, short, value_name = "FILE", default_value = "cpu.pb.gz")]
    output: PathBuf,
}

pub(crate) async fn run(server: &Server, args: Args) -> Result<()> {
    let Args { seconds, output } = args;
    let profile = server.operate::<NodeProfile>(&ProfileRequest { seconds: Some(seconds) }).await?;
    let bytes = STANDARD.decode(&profile.pprof_gz).context("the server's answer is no base64")?;
    std::fs::write(&output, bytes).with_context(|| format!("cannot write {}", output.display()))?;
    output::line(&format!("{} looks in {seconds} s are in {}", profile.looks, output.display()));
    Ok(())
}
