//! This very program as a server of its own, for measurements that start and end it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::Doors;
use remoting::client::Client;

/// Far above any honest start.
const PATIENCE: Duration = Duration::from_secs(60);
/// Between two attempts to connect: the error of the measurement.
const STEP: Duration = Duration::from_micros(500);
/// Linux counts processor time in hundredths of a second, whatever the kernel's own tick.
const MS_PER_TICK: u64 = 10;

/// A server process; ended when dropped, however the measurement ends.
pub(crate) struct Engine {
    child: Child,
    started: Duration,
    pub(crate) at: Addresses,
}

/// Where a server listens: the same over every restart.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Addresses {
    namesrv: SocketAddr,
    pub(crate) broker: SocketAddr,
    pub(crate) grpc: SocketAddr,
    pub(crate) http: SocketAddr,
}

impl Addresses {
    /// Ports that were free just now, all different.
    pub(crate) fn free() -> Result<Self> {
        let listeners = [(); 4].map(|()| TcpListener::bind("127.0.0.1:0"));
        let mut out = [SocketAddr::from(([127, 0, 0, 1], 0)); 4];
        for (address, listener) in out.iter_mut().zip(listeners) {
            *address = listener?.local_addr()?;
        }
        let [namesrv, broker, grpc, http] = out;
        Ok(Self { namesrv, broker, grpc, http })
    }
}

impl Engine {
    /// Starts it over the data in a folder. It may not listen yet.
    pub(crate) fn start(doors: &Doors, folder: &Path, at: Addresses) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("serve").arg("--data-dir").arg(data(folder)).current_dir(folder);
        let listeners =
            [("NAMESRV", at.namesrv), ("BROKER", at.broker), ("GRPC", at.grpc), ("HTTP", at.http)];
        for (name, address) in listeners {
            command.env(format!("APOGEE_LISTEN_{name}"), address.to_string());
        }
        // Why it failed, if it does, is for the person who measures.
        if std::env::var_os("APOGEE_LOG").is_none() {
            command.env("APOGEE_LOG", "error");
        }
        command.stdin(Stdio::null()).stdout(Stdio::null());
        let started = doors.clock.monotonic();
        let child = command.spawn().context("cannot start the engine")?;
        Ok(Self { child, started, at })
    }

    /// Connects as soon as it listens.
    pub(crate) async fn connect(&mut self, doors: &Doors) -> Result<Client> {
        loop {
            match Client::connect(doors, self.at.broker).await {
                Ok(client) => return Ok(client),
                Err(_) if self.child.try_wait()?.is_some() => {
                    bail!("the engine ended; see `apogee serve --ephemeral`")
                }
                Err(_) if self.since_start(doors) > PATIENCE => {
                    bail!("the engine does not listen after {PATIENCE:?}")
                }
                Err(_) => doors.clock.sleep(STEP).await,
            }
        }
    }

    pub(crate) fn since_start(&self, doors: &Doors) -> Duration {
        doors.clock.monotonic().saturating_sub(self.started)
    }

    /// Ends it as a power cut ends a process.
    pub(crate) fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to end, and waits.
    pub(crate) async fn stop(mut self, doors: &Doors) -> Result<()> {
        let id = self.child.id().to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().context("there is no `kill`")?;
        if !asked.success() {
            bail!("the engine cannot be asked to end");
        }
        while self.child.try_wait()?.is_none() {
            doors.clock.sleep(STEP * 4).await;
        }
        Ok(())
    }

    /// Processor time that it has used, all threads; zero where the system does not tell.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        // The name in brackets may hold spaces; user and system time are the 12th and 13th field behind it.
        let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
        let ticks: u64 = fields.take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * MS_PER_TICK)
    }

    /// Resident memory, in KiB; 0 where the system does not tell.
    pub(crate) fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        line.trim().trim_end_matches("kB").trim().parse().unwrap_or_default()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The data of an engine that was started in a folder.
pub(crate) fn data(folder: &Path) -> PathBuf {
    folder.join("data")
}
