//! The server that client programs talk to: Apogee, or the real Apache RocketMQ as oracle.
//! How Apogee is configured, started and found ready stands here and nowhere else.
//! Ports and data folder stay the same over every restart, so clients find the server where it was.
use crate::e2e::User;
use crate::oracle::{Oracle, Tuning};
use crate::process::{self, Output, Process};
use crate::{ServerKind, paths};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Time for the server to become ready after a start, recovery included.
const START_PATIENCE: Duration = Duration::from_secs(60);
/// Time for the graceful drain after SIGTERM.
const DRAIN_PATIENCE: Duration = Duration::from_secs(30);

/// Below those that the system gives to outgoing connections: while a server restarts, none may take its port.
const PORTS: std::ops::Range<u16> = 12_000..32_000;
const PORT_ATTEMPTS: u32 = 1000;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Stop {
    Graceful,
    Kill,
}

/// Loopback ports of one server, chosen free once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ports {
    pub(crate) namesrv: u16,
    pub(crate) broker: u16,
    pub(crate) grpc: u16,
    pub(crate) http: u16,
    pub(crate) spare: u16,
}

impl Ports {
    fn choose() -> Result<Self> {
        // The real broker also listens on its port minus two, so each port is the end of a free neighbourhood.
        let mut held = Vec::new();
        let mut next = || -> Result<u16> {
            for _ in 0..PORT_ATTEMPTS {
                let port = rand::random_range(PORTS);
                let bind = |port| TcpListener::bind(("127.0.0.1", port));
                let (Ok(own), Ok(below)) = (bind(port), bind(port - 2)) else { continue };
                held.push((own, below));
                return Ok(port);
            }
            bail!("no free port among {PORTS:?}")
        };
        Ok(Self { namesrv: next()?, broker: next()?, grpc: next()?, http: next()?, spare: next()? })
    }
}

pub(crate) struct ServerUnderTest {
    ports: Ports,
    engine: Box<dyn Engine>,
}

/// A server as processes: ports, settings and data folder stay the same over every start.
pub(crate) trait Engine: Send {
    /// Until it is ready; whatever is left of an earlier life is killed.
    fn launch(&mut self) -> Result<()>;
    fn stop(&mut self, how: Stop) -> Result<()>;
    fn is_running(&mut self) -> bool;
    fn processes(&self) -> &[Process];
    /// The folder with all that outlives a restart.
    fn store(&self) -> &Path;
    /// The log that must hold no unexpected line, where there is one.
    fn watched_log(&self) -> Option<&Path> {
        None
    }
}

impl ServerUnderTest {
    pub(crate) fn start(kind: ServerKind, profile: &str, folder: &Path) -> Result<Self> {
        let mut server = match kind {
            ServerKind::Apogee => Self::apogee(&build(profile)?, quick_checks(), folder)?,
            ServerKind::Rocketmq => Self::rocketmq(Tuning::proof(), folder)?,
        };
        server.launch()?;
        Ok(server)
    }

    /// Apogee with these environment variables besides our own, not yet launched.
    pub(crate) fn apogee(
        binary: &Path,
        settings: Vec<(&'static str, String)>,
        folder: &Path,
    ) -> Result<Self> {
        let ports = Ports::choose()?;
        Ok(Self { ports, engine: Box::new(Apogee::prepare(binary, settings, ports, folder)?) })
    }

    /// The real RocketMQ, not yet launched.
    pub(crate) fn rocketmq(tuning: Tuning, folder: &Path) -> Result<Self> {
        let ports = Ports::choose()?;
        Ok(Self { ports, engine: Box::new(Oracle::install(ports, folder, tuning)?) })
    }

    pub(crate) fn launch(&mut self) -> Result<()> {
        self.engine.launch()
    }

    pub(crate) fn stop(&mut self, how: Stop) -> Result<()> {
        self.engine.stop(how)
    }

    pub(crate) fn restart(&mut self, how: Stop) -> Result<()> {
        self.stop(how)?;
        self.launch()
    }

    /// Starts the server again on an empty store.
    pub(crate) fn begin_anew(&mut self) -> Result<()> {
        self.engine.stop(Stop::Kill)?;
        std::fs::remove_dir_all(self.store())?;
        self.launch()
    }

    pub(crate) fn store(&self) -> &Path {
        self.engine.store()
    }

    /// Starts the server again if it ended without being told to, so that one crash does not fail what follows.
    pub(crate) fn ensure_running(&mut self) -> Result<()> {
        if self.engine.is_running() { Ok(()) } else { self.launch() }
    }

    pub(crate) fn namesrv(&self) -> String {
        format!("127.0.0.1:{}", self.ports.namesrv)
    }

    pub(crate) fn broker(&self) -> String {
        format!("127.0.0.1:{}", self.ports.broker)
    }

    pub(crate) fn endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.ports.grpc)
    }

    pub(crate) fn http(&self) -> String {
        format!("127.0.0.1:{}", self.ports.http)
    }

    pub(crate) fn processes(&self) -> &[Process] {
        self.engine.processes()
    }

    /// The log that must hold no unexpected line; other servers' logs are their own affair.
    pub(crate) fn watched_log(&self) -> Option<&Path> {
        self.engine.watched_log()
    }
}

struct Apogee {
    binary: PathBuf,
    settings: Vec<(&'static str, String)>,
    config: PathBuf,
    data: PathBuf,
    log: PathBuf,
    ports: Ports,
    process: Option<Process>,
}

impl Apogee {
    fn prepare(
        binary: &Path,
        settings: Vec<(&'static str, String)>,
        ports: Ports,
        folder: &Path,
    ) -> Result<Self> {
        let config = folder.join("apogee.toml");
        std::fs::write(&config, "")?;
        Ok(Self {
            binary: binary.to_owned(),
            settings,
            config,
            data: folder.join("data"),
            log: folder.join("apogee.log"),
            ports,
            process: None,
        })
    }
}

impl Engine for Apogee {
    fn launch(&mut self) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--config"])
            .arg(&self.config)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            .env("APOGEE_DATA_DIR", &self.data)
            .env("APOGEE_LISTEN_NAMESRV", format!("127.0.0.1:{}", self.ports.namesrv))
            .env("APOGEE_LISTEN_BROKER", format!("127.0.0.1:{}", self.ports.broker))
            .env("APOGEE_LISTEN_GRPC", format!("127.0.0.1:{}", self.ports.grpc))
            .env("APOGEE_LISTEN_HTTP", format!("127.0.0.1:{}", self.ports.http));
        let mut process = Process::start("apogee", &mut command, &self.log, Output::ToLog)?;
        let http = SocketAddr::from(([127, 0, 0, 1], self.ports.http));
        process::await_true("apogee ready", START_PATIENCE, || {
            if process.has_ended() {
                bail!("apogee ended while starting; its log is {}", self.log.display());
            }
            Ok(is_ready(http))
        })?;
        self.process = Some(process);
        Ok(())
    }

    fn stop(&mut self, how: Stop) -> Result<()> {
        let mut process = self.process.take().context("apogee is not running")?;
        if process.has_ended() {
            bail!("apogee ended by itself; its log is {}", self.log.display());
        }
        match how {
            Stop::Graceful => process.terminate(DRAIN_PATIENCE),
            Stop::Kill => process.kill(),
        }
    }

    fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| !process.has_ended())
    }

    fn processes(&self) -> &[Process] {
        self.process.as_slice()
    }

    fn store(&self) -> &Path {
        &self.data
    }

    fn watched_log(&self) -> Option<&Path> {
        Some(&self.log)
    }
}

/// Open transactions are asked about as soon and as often as the oracle does, see `Tuning::proof`.
pub(crate) fn quick_checks() -> Vec<(&'static str, String)> {
    vec![
        ("APOGEE_BROKER_TRANSACTION_TIMEOUT_MS", "3000".into()),
        ("APOGEE_BROKER_TRANSACTION_CHECK_INTERVAL_MS", "5000".into()),
    ]
}

/// Everybody is asked who they are; `root` is there from the start.
pub(crate) fn access_control(root: User) -> [(&'static str, String); 3] {
    [
        ("APOGEE_AUTH_ENABLED", "true".to_owned()),
        ("APOGEE_AUTH_INIT_USER", root.name.to_owned()),
        ("APOGEE_AUTH_INIT_PASSWORD", root.secret.to_owned()),
    ]
}

/// Builds Apogee; returns the program.
pub(crate) fn build(profile: &str) -> Result<PathBuf> {
    println!("building apogee with profile {profile}");
    process::run_openly(
        Command::new("cargo")
            .args(["build", "--quiet", "--profile", profile, "--bin", "apogee"])
            .current_dir(paths::repository()),
    )?;
    Ok(built(profile, "apogee"))
}

/// Where cargo puts a program.
pub(crate) fn built(profile: &str, program: &str) -> PathBuf {
    target_folder().join(profile_folder(profile)).join(program)
}

fn is_ready(http: SocketAddr) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect_timeout(&http, Duration::from_millis(200))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

fn target_folder() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| paths::repository().join("target"), PathBuf::from)
}

fn profile_folder(profile: &str) -> &str {
    if profile == "dev" { "debug" } else { profile }
}
