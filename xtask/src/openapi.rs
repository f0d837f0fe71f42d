//! `cargo xtask openapi`: the description of the HTTP API, as the engine prints it, is valid OpenAPI.
use crate::process::run_openly;
use crate::{install, paths, server_under_test};
use anyhow::{Context, Result, ensure};
use std::process::{Command, ExitCode};

pub(crate) fn run() -> Result<ExitCode> {
    install::node_modules("openapi")?;
    let binary = server_under_test::build("dev")?;
    let printed = Command::new(binary).arg("openapi").output().context("the engine cannot be started")?;
    ensure!(printed.status.success(), "{}", String::from_utf8_lossy(&printed.stderr));
    let document = paths::cache("openapi").join("openapi.json");
    std::fs::create_dir_all(paths::cache("openapi"))?;
    std::fs::write(&document, printed.stdout)?;
    run_openly(Command::new("node").arg(paths::e2e().join("openapi/main.mjs")).arg(document))?;
    Ok(ExitCode::SUCCESS)
}
