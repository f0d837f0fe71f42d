//! `cargo xtask console`: the console's page, from its sources to `console/dist`, which the next build of the
//! engine embeds. `cargo xtask console-test`: what people do in it, in a real browser; pictures of every page
//! go to `target/console-shots`.
use crate::e2e::memory_folder;
use crate::install::{node_packages, once};
use crate::log_check::unexpected_lines;
use crate::paths;
use crate::process::run_quietly;
use crate::server_under_test::{self, ServerUnderTest};
use anyhow::{Context, Result, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the page is made of.
const INPUTS: [&str; 6] = ["src", "public", "scripts", "index.html", "package-lock.json", "vite.config.js"];

const BROWSERS: [&str; 2] = ["chromium", "chromium-browser"];

#[derive(clap::Args, Clone)]
pub(crate) struct TestOptions {
    /// Only cases whose name contains this.
    #[arg(long, default_value = "")]
    pub(crate) case: String,
    #[arg(long, default_value = "dev")]
    pub(crate) profile: String,
}

pub(crate) fn build() -> Result<()> {
    let folder = paths::repository().join("console");
    node_packages(&folder)?;
    let stamp = paths::cache("console").join("built.stamp");
    if !folder.join("dist/index.html").exists() && stamp.exists() {
        std::fs::remove_file(&stamp)?;
    }
    let inputs: Vec<PathBuf> = INPUTS.iter().map(|name| folder.join(name)).collect();
    once(&stamp, &inputs, || {
        run_quietly(Command::new("npm").args(["run", "build", "--silent"]).current_dir(&folder))
    })
}

/// Drives the console in the distribution's Chromium, against two nodes: one open, one with access control.
pub(crate) fn test(options: &TestOptions) -> Result<ExitCode> {
    build()?;
    node_packages(&paths::e2e().join("console"))?;
    let browser = browser()?;
    let binary = server_under_test::build(&options.profile)?;
    let folder = memory_folder()?;
    println!("logs are in {}", folder.display());
    let open = node(&binary, Vec::new(), &folder.join("open"))?;
    let guarded = vec![
        ("APOGEE_AUTH_ENABLED", "true".to_owned()),
        ("APOGEE_AUTH_INIT_USER", "root".to_owned()),
        ("APOGEE_AUTH_INIT_PASSWORD", "root-secret".to_owned()),
    ];
    let guarded = node(&binary, guarded, &folder.join("guarded"))?;
    let status = Command::new("node")
        .arg(paths::e2e().join("console/main.mjs"))
        .env("HTTP", format!("http://{}", open.http()))
        .env("ENDPOINT", open.endpoint())
        .env("HTTP_GUARDED", format!("http://{}", guarded.http()))
        // The client and the browser write where they find a home.
        .env("HOME", &folder)
        .env("CHROMIUM", browser)
        .env("SHOTS", paths::repository().join("target/console-shots"))
        .env("CASE_FILTER", &options.case)
        .status()
        .context("node cannot be started")?;
    ensure!(
        status.success(),
        "the console does not do what it should; the servers' logs are in {}",
        folder.display()
    );
    for server in [&open, &guarded] {
        let log = server.watched_log().context("Apogee has a log")?;
        let lines = unexpected_lines(log, 0, &[])?;
        ensure!(lines.is_empty(), "the server's log has trouble:\n{}", lines.join("\n"));
    }
    drop((open, guarded));
    std::fs::remove_dir_all(folder)?;
    Ok(ExitCode::SUCCESS)
}

fn node(binary: &Path, settings: Vec<(&'static str, String)>, folder: &Path) -> Result<ServerUnderTest> {
    std::fs::create_dir_all(folder)?;
    let mut server = ServerUnderTest::apogee(binary, settings, folder)?;
    server.launch()?;
    Ok(server)
}

/// The distribution's Chromium, with letters for Chinese; installed where that is possible and it is missing.
fn browser() -> Result<PathBuf> {
    let found = || {
        let folders = std::env::var_os("PATH").unwrap_or_default();
        let all = std::env::split_paths(&folders).flat_map(|folder| BROWSERS.map(|name| folder.join(name)));
        all.into_iter().find(|path| path.is_file())
    };
    if let Some(path) = found() {
        return Ok(path);
    }
    println!("installing Chromium");
    let install = ["install", "--yes", "--no-install-recommends", "chromium", "fonts-noto-cjk"];
    let mut apt = Command::new("apt-get");
    let installed = run_quietly(apt.args(["update"])).and_then(|()| {
        run_quietly(Command::new("apt-get").args(install).env("DEBIAN_FRONTEND", "noninteractive"))
    });
    installed.context(
        "the console's tests need Chromium: install the package `chromium` (and `fonts-noto-cjk`)",
    )?;
    found().context("Chromium was installed, but is not in the PATH")
}
