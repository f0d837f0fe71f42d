//! Official clients over TLS, and a certificate that is replaced while they are connected: the Java remoting client
//! with a certificate of its own, then those gRPC clients that speak TLS. (None of these can show a certificate: see
//! `crates/server/tests/apogee/mutual_tls.rs`.)
//!
//! ```text
//! old clients (trust the first authority)  ── consume ──────────────────────────> go on
//! server:  first certificate ── files replaced, SIGHUP ── second certificate
//! new clients (trust the second one only)                  ── produce ──────────>
//! strangers (no certificate)                               ── refused
//! ```
//! The gRPC programs play their case of a restart, which sends and receives all the while; instead of a restart the
//! server gets another certificate.
use crate::clients::{self, Client, MOVERS, OPERATOR};
use crate::e2e::memory_folder;
use crate::movers::{Movers, Setting};
use crate::operator::Operator;
use crate::process::{await_true, run_quietly};
use crate::program::{Program, Said, Task};
use crate::server_under_test::{ServerUnderTest, build};
use anyhow::{Context, Result, bail};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(60);
const MESSAGES: u32 = 200;
/// Those that speak TLS by themselves.
const GRPC_CLIENTS: [&str; 2] = ["java-grpc", "go-grpc"];

#[derive(clap::Args, Clone)]
pub(crate) struct Options {
    #[arg(long, default_value = "dev")]
    profile: String,
}

pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let grpc = clients::chosen(&GRPC_CLIENTS.map(str::to_owned))?;
    for client in grpc.iter().chain([&MOVERS, &OPERATOR]) {
        client.install().with_context(|| format!("cannot install {}", client.name))?;
    }
    let binary = build(&options.profile)?;
    let folder = memory_folder()?;
    println!("logs are in {}", folder.display());
    remoting(&binary, &folder)?;
    for client in grpc {
        let home = folder.join(format!("grpc-{}", client.name));
        std::fs::create_dir_all(&home)?;
        over_grpc(&binary, &client, &home)?;
        println!("{} goes on over TLS while the certificate is replaced", client.name);
    }
    std::fs::remove_dir_all(folder)?;
    Ok(ExitCode::SUCCESS)
}

/// A program that sends and receives; where it asks for a restart, the certificate is replaced.
fn over_grpc(binary: &Path, client: &Client, folder: &Path) -> Result<()> {
    let keys = Keys::make(&folder.join("keys"))?;
    keys.show("first")?;
    let settings = vec![
        ("APOGEE_LISTEN_GRPC_TLS", "required".to_owned()),
        ("APOGEE_TLS_CERTIFICATE", keys.file("shown.crt")),
        ("APOGEE_TLS_KEY", keys.file("shown.key")),
        ("APOGEE_TLS_RELOAD_INTERVAL_MS", "0".to_owned()),
    ];
    let mut server = ServerUnderTest::apogee(binary, settings, folder)?;
    server.launch()?;
    let mut operator = Operator::start(&server, None, folder)?;
    let task = Task::Cases { filter: "restart-graceful", at_once: 1, user: None };
    let mut program = Program::start(client, &server, &task, folder)?;
    let mut replaced = 0;
    while let Some(said) = program.next(PATIENCE)? {
        match said {
            Said::Operator(command) => program.tell(&operator.ask(&command)?)?,
            Said::Restart(_) => {
                // A program may have several such cases.
                keys.show(if replaced % 2 == 0 { "second" } else { "first" })?;
                server.processes().iter().for_each(crate::process::Process::hang_up);
                replaced += 1;
                await_taken(&server, replaced)?;
                program.tell("RESTARTED")?;
            }
            Said::Fail { case, reason } => bail!("{} {case}: {reason}", client.name),
            Said::Done => break,
            _ => {}
        }
    }
    if replaced == 0 {
        bail!("{} did not come so far as to have the certificate replaced", client.name);
    }
    Ok(())
}

fn await_taken(server: &ServerUnderTest, times: u32) -> Result<()> {
    let line = format!("apogee_net_tls_reloads_total{{outcome=\"taken\"}} {times}");
    await_true("the new certificate is taken", PATIENCE, || Ok(metrics(&server.http())?.contains(&line)))
}

fn remoting(binary: &Path, folder: &Path) -> Result<()> {
    let keys = Keys::make(&folder.join("keys"))?;
    keys.show("first")?;
    let settings = vec![
        ("APOGEE_LISTEN_NAMESRV_TLS", "required".to_owned()),
        ("APOGEE_LISTEN_BROKER_TLS", "required".to_owned()),
        ("APOGEE_TLS_CERTIFICATE", keys.file("shown.crt")),
        ("APOGEE_TLS_KEY", keys.file("shown.key")),
        ("APOGEE_TLS_CLIENT_CA", keys.file("clients.crt")),
        ("APOGEE_TLS_CLIENT_AUTH", "required".to_owned()),
        ("APOGEE_TLS_RELOAD_INTERVAL_MS", "0".to_owned()),
    ];
    let mut server = ServerUnderTest::apogee(binary, settings, folder)?;
    server.launch()?;
    for command in [["topic", "create", "import-topic-0"], ["group", "create", "import-group-0"]] {
        let http = format!("http://{}", server.http());
        run_quietly(Command::new(binary).args(command).args(["--server", &http]))?;
    }
    let start = |name: &str, java: String| {
        let setting = Setting { namesrv: server.namesrv(), topics: 1, groups: 1, fails: false, java };
        Movers::start(&setting, &folder.join(name))
    };

    let mut old = start("old", keys.flags("first", true))?;
    old.produce(0, MESSAGES)?;
    old.tell("consume")?;
    let consumed = |old: &Movers| old.look(|ledger| ledger.consumed.len());
    await_true("the first messages are consumed", PATIENCE, || Ok(consumed(&old) >= MESSAGES as usize))?;
    println!("{MESSAGES} messages over mutual TLS");

    let mut stranger = start("stranger", keys.flags("first", false))?;
    stranger.tell("produce 0 1")?;
    if stranger.ended_well(PATIENCE) || stranger.look(|ledger| !ledger.acked.is_empty()) {
        bail!("a client without a certificate was let in");
    }
    println!("a client without a certificate is refused");

    keys.show("second")?;
    for process in server.processes() {
        process.hang_up();
    }
    await_taken(&server, 1)?;
    let mut new = start("new", keys.flags("second", true))?;
    new.produce(MESSAGES, MESSAGES)?;
    await_true("old connections go on", PATIENCE, || Ok(consumed(&old) >= 2 * MESSAGES as usize))?;
    println!("new connections see the new certificate, old ones go on");
    Ok(())
}

fn metrics(http: &str) -> Result<String> {
    let mut stream = TcpStream::connect(http)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// Authorities, and what they have signed.
struct Keys(PathBuf);

impl Keys {
    fn make(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder)?;
        let keys = Self(folder.to_owned());
        for authority in ["first-ca", "second-ca", "clients"] {
            keys.openssl(&format!(
                "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={authority} -keyout {authority}.key -out {authority}.crt"
            ))?;
        }
        for (name, authority) in [("first", "first-ca"), ("second", "second-ca"), ("client", "clients")] {
            std::fs::write(folder.join("names.cnf"), "subjectAltName=DNS:localhost,IP:127.0.0.1\n")?;
            keys.openssl(&format!(
                "req -new -newkey rsa:2048 -nodes -subj /CN={name} -keyout {name}.key -out {name}.csr"
            ))?;
            keys.openssl(&format!(
                "x509 -req -days 2 -in {name}.csr -CA {authority}.crt -CAkey {authority}.key -CAcreateserial -extfile names.cnf -out {name}.crt"
            ))?;
        }
        Ok(keys)
    }

    fn openssl(&self, arguments: &str) -> Result<()> {
        let mut command = Command::new("openssl");
        run_quietly(command.args(arguments.split(' ')).current_dir(&self.0)).context("openssl")
    }

    fn file(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    /// Puts a certificate where the server looks.
    fn show(&self, name: &str) -> Result<()> {
        for ending in ["crt", "key"] {
            std::fs::copy(self.file(&format!("{name}.{ending}")), self.file(&format!("shown.{ending}")))?;
        }
        Ok(())
    }

    /// Flags of a Java client that trusts one authority, and has a certificate of its own or none.
    fn flags(&self, trusted: &str, has_certificate: bool) -> String {
        let trust = self.file(&format!("{trusted}-ca.crt"));
        let mut flags = format!(
            "-Dtls.enable=true -Dtls.test.mode.enable=false -Dtls.client.authServer=true -Dtls.client.trustCertPath={trust}"
        );
        if has_certificate {
            let (certificate, key) = (self.file("client.crt"), self.file("client.key"));
            flags += &format!(" -Dtls.client.certPath={certificate} -Dtls.client.keyPath={key}");
        }
        flags
    }
}
