//! The binary itself: command line in, output and exit status out.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

const APOGEE: &str = env!("CARGO_BIN_EXE_apogee");

/// A server process; killed when dropped.
pub(super) struct Server {
    child: Child,
    out: BufReader<ChildStdout>,
    /// What it has said so far: where it listens.
    banner: String,
    http: SocketAddr,
    folder: TempDir,
}

fn apogee(folder: &Path) -> Command {
    let mut command = Command::new(APOGEE);
    command.current_dir(folder).env("TMPDIR", folder).stdin(Stdio::null());
    command
}

impl Server {
    fn start(args: &[&str]) -> Self {
        Self::start_with(args, &[])
    }

    pub(super) fn start_with(args: &[&str], variables: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = apogee(folder.path());
        for name in ["NAMESRV", "BROKER", "GRPC", "HTTP"] {
            command.env(format!("APOGEE_LISTEN_{name}"), "127.0.0.1:0");
        }
        command.envs(variables.iter().copied()).args(args).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let out = BufReader::new(child.stdout.take().expect("piped"));
        let http = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut server = Self { child, out, banner: String::new(), http, folder };
        while !server.banner.contains("\n  data ") {
            let read = server.out.read_line(&mut server.banner).expect("text");
            assert_ne!(read, 0, "it ended without serving: {}", server.banner);
        }
        server.http = server.listens("HTTP: health, metrics, administration");
        server
    }

    /// The address that its banner names for `what`.
    fn listens(&self, what: &str) -> SocketAddr {
        let line = self.banner.lines().find_map(|line| line.trim().strip_prefix(what));
        let address = line.unwrap_or_else(|| panic!("no `{what}` in {}", self.banner)).trim();
        address.trim_start_matches("http://").parse().expect("an address")
    }

    fn tool(&self, args: &[&str]) -> Output {
        let mut command = apogee(self.folder.path());
        command.args(args).env("APOGEE_SERVER", format!("http://{}", self.http));
        command.output().expect("it runs")
    }

    pub(super) fn succeed(&self, args: &[&str]) -> String {
        let output = self.tool(args);
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn fail(&self, args: &[&str]) -> String {
        let output = self.tool(args);
        assert!(!output.status.success(), "{args:?} should fail: {}", text(&output.stdout));
        text(&output.stderr)
    }

    /// Asks it to stop, and waits: exit status, standard output and log.
    pub(super) fn stop(mut self) -> (bool, String, String) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill is there").success());
        let status = self.child.wait().expect("it ends");
        let (mut out, mut log) = (std::mem::take(&mut self.banner), String::new());
        self.out.read_to_string(&mut out).expect("text");
        self.child.stderr.take().expect("piped").read_to_string(&mut log).expect("text");
        (status.success(), out, log)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).expect("a folder").next().is_none()
}

#[test]
fn a_walk_with_the_command_line() {
    let server = Server::start(&["--ephemeral"]);
    assert!(server.succeed(&["topic", "create", "demo", "-q", "2"]).contains("demo has 2 queues"));
    assert!(server.fail(&["topic", "create", "demo"]).contains("exists already"));
    assert!(server.succeed(&["topic", "create", "demo", "--update", "-q", "4"]).contains("4 queues"));
    assert!(server.fail(&["send", "nowhere", "--body", "x"]).contains("create it first"));
    let sent = server.succeed(&["send", "demo", "-b", "hello", "-t", "new", "-k", "k1", "-p", "colour=red"]);
    assert!(sent.contains("offset 0"), "{sent}");
    let received = server.succeed(&["receive", "demo", "--group", "readers", "--ack"]);
    assert!(received.contains("hello") && received.contains("tag new keys k1 colour=red"), "{received}");
    assert!(server.fail(&["receive", "demo", "-g", "readers", "-w", "100ms"]).contains("no message came"));

    server.succeed(&["send", "demo", "-b", "again", "-n", "100"]);
    let lines = server.succeed(&["receive", "demo", "-g", "readers", "-n", "100", "--ack", "--json"]);
    let messages: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(messages.len(), 100);
    assert!(messages.iter().all(|message| message["body"] == "again"));
    let group: Value =
        serde_json::from_str(&server.succeed(&["group", "describe", "readers", "--json"])).expect("JSON");
    let lag = |queue: &Value| queue["lag"].as_u64().expect("a number");
    assert_eq!(group["progress"].as_array().expect("a list").iter().map(lag).sum::<u64>(), 0);
    assert!(server.succeed(&["topic", "describe", "demo"]).contains("readers"));
    assert!(server.succeed(&["group", "list"]).contains("readers"));
    server.succeed(&["group", "delete", "readers", "--clean-offsets"]);
    server.succeed(&["topic", "delete", "demo"]);
    assert!(server.fail(&["topic", "describe", "demo"]).contains("does not exist"));

    let folder = server.folder.path().to_path_buf();
    let left = || std::fs::read_dir(&folder).map(|entries| entries.count()).unwrap_or_default();
    assert_eq!(left(), 1, "the temporary data");
    let id = server.child.id().to_string();
    assert!(Command::new("kill").args(["-TERM", &id]).status().expect("kill is there").success());
    let patience = Instant::now() + Duration::from_secs(20);
    while left() > 0 {
        assert!(Instant::now() < patience, "temporary data is not removed");
        std::thread::sleep(Duration::from_millis(10));
    }
    drop(server);
}

#[test]
fn every_operation_is_run_by_its_name_and_what_writes_is_written_down() {
    let server = Server::start(&["--ephemeral"]);
    let made = server.succeed(&["admin", "topic.put", "--config.name", "demo", "--config.read_queues", "3"]);
    assert!(made.contains("read_queues") && made.contains('3'), "{made}");
    server.succeed(&["send", "demo", "-b", "x", "-n", "5"]);
    let rates = server.succeed(&["admin", "rates.get", "--topic", "demo", "--json"]);
    let rates: Value = serde_json::from_str(&rates).expect("JSON");
    assert_eq!(rates["day"]["messages"], 5);
    assert!(server.succeed(&["admin", "topic.list"]).contains("demo"));
    let hot = r#"{"store.retention_ms": 3600000}"#;
    assert!(server.succeed(&["admin", "config.put", "--settings", hot]).contains("3600000"));
    assert!(server.fail(&["admin", "topic.delete", "--topic", "nowhere"]).contains("does not exist"));
    assert!(server.fail(&["admin", "topic.delete", "--topic", "demo", "--watch"]).contains("writes"));
    assert!(server.succeed(&["openapi"]).contains("\"openapi\": \"3.1.0\""));
    assert!(server.succeed(&["completion", "bash"]).contains("config.put"));
    let (_, _, log) = server.stop();
    let audit: Vec<&str> = log.lines().filter(|line| line.contains(" audit: ")).collect();
    assert!(audit.iter().any(|line| line.contains("topic.put") && line.contains("done")), "{log}");
    assert!(audit.iter().any(|line| line.contains("topic.delete") && line.contains("failed")), "{log}");
    assert!(!audit.iter().any(|line| line.contains("topic.list") || line.contains("rates.get")), "{log}");
}

#[test]
fn timers_and_lite_topics_are_seen_from_the_command_line() {
    let server = Server::start(&["--ephemeral"]);
    server.succeed(&["topic", "create", "later", "--type", "delay"]);
    server.succeed(&["send", "later", "-b", "x", "-k", "k1", "--delay", "1h"]);
    let page: Value =
        serde_json::from_str(&server.succeed(&["timer", "list", "later", "--json"])).expect("JSON");
    let id = page["timers"][0]["message_id"].as_str().expect("one waits").to_owned();
    let listed = server.succeed(&["timer", "list", "later"]);
    assert!(listed.contains(&id) && listed.contains("k1"), "{listed}");
    assert_eq!(server.succeed(&["timer", "delete", "later", &id]).trim(), "1 cancelled");
    assert!(!server.succeed(&["timer", "list", "later"]).contains(&id));

    server.succeed(&["topic", "create", "chats", "--type", "lite"]);
    server.succeed(&["group", "create", "readers", "--attribute", "lite.bind.topic=chats"]);
    assert!(server.succeed(&["group", "describe", "readers", "--json"]).contains("lite.bind.topic"));
    server.succeed(&["send", "chats", "-b", "hello", "--lite-topic", "chat-1"]);
    assert!(server.succeed(&["lite", "list", "chats"]).contains("chat-1"));
    assert!(server.succeed(&["lite", "describe", "chats", "chat-1"]).contains("chat-1"));
    server.succeed(&["lite", "delete", "chats", "chat-1"]);
    assert!(server.succeed(&["lite", "describe", "chats", "chat-1"]).contains("no such lite topic"));
    assert!(server.fail(&["timer", "list", "nowhere"]).contains("does not exist"));
}

#[test]
fn a_stop_is_in_order_and_the_log_is_clean() {
    let server = Server::start(&["serve", "--data-dir", "data"]);
    server.succeed(&["topic", "create", "demo"]);
    server.succeed(&["send", "demo", "-b", "kept"]);
    let in_use = server.tool(&["verify", "--data-dir", "data"]);
    assert!(text(&in_use.stderr).contains("stop the engine first"), "{}", text(&in_use.stderr));
    let mut waiting = apogee(server.folder.path());
    waiting.args(["receive", "demo", "-g", "g", "-n", "5", "-w", "30s"]);
    let mut waiting = waiting
        .env("APOGEE_SERVER", format!("http://{}", server.http))
        .stdout(Stdio::null())
        .spawn()
        .expect("it runs");
    std::thread::sleep(Duration::from_millis(300));
    let kept = tempfile::tempdir().expect("a folder");
    let data = server.folder.path().join("data");
    let began = Instant::now();
    let mut server = server;
    let folder = std::mem::replace(&mut server.folder, tempfile::tempdir().expect("a folder"));
    let (success, out, log) = server.stop();
    assert!(success, "{log}");
    assert!(began.elapsed() < Duration::from_secs(5), "the drain took {:?}", began.elapsed());
    let _ = waiting.kill();
    let _ = waiting.wait();
    assert!(out.contains("is ready after") && out.contains("apogee topic create demo"), "{out}");
    for level in [" WARN ", " ERROR ", "panicked"] {
        assert!(!log.contains(level), "{log}");
    }
    let verified = apogee(kept.path()).args(["verify", "--data-dir"]).arg(&data).output().expect("it runs");
    assert!(
        verified.status.success() && text(&verified.stdout).contains("sound"),
        "{}",
        text(&verified.stdout)
    );
    assert!(is_empty(kept.path()), "verify leaves nothing behind");
    drop(folder);
}

#[test]
fn a_collector_that_is_away_is_waited_for_by_nobody() {
    let away = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let endpoint = format!("http://{}/", away.local_addr().expect("it is bound"));
    drop(away);
    let variables = [
        ("APOGEE_TELEMETRY_OTLP_ENDPOINT", endpoint.as_str()),
        ("APOGEE_TELEMETRY_SAMPLE_RATIO", "1.0"),
        ("APOGEE_TELEMETRY_SPANS_WAITING_MAX", "16"),
        ("APOGEE_TELEMETRY_BATCH_SPANS_MAX", "8"),
        ("APOGEE_TELEMETRY_METRICS_INTERVAL_MS", "50"),
        ("APOGEE_TELEMETRY_HEADERS", "api-key=hush"),
    ];
    let server = Server::start_with(&["--ephemeral"], &variables);
    server.succeed(&["topic", "create", "demo"]);
    server.succeed(&["send", "demo", "-b", "x", "-n", "200"]);
    let listed = server.succeed(&["admin", "config.get", "--json"]);
    assert!(listed.contains("telemetry.headers") && !listed.contains("hush"), "{listed}");
    let value = |metrics: &str, name: &str| -> u64 {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)).expect("it is counted");
        line.trim().parse().expect("a number")
    };
    let patience = Instant::now() + Duration::from_secs(20);
    let metrics = loop {
        let metrics = metrics_of(server.http);
        if value(&metrics, "apogee_telemetry_pushes_failed_total{signal=\"metrics\"}") > 5
            && value(&metrics, "apogee_telemetry_pushes_failed_total{signal=\"traces\"}") > 1
        {
            break metrics;
        }
        assert!(Instant::now() < patience, "{metrics}");
        std::thread::sleep(Duration::from_millis(20));
    };
    let (made, dropped) =
        (value(&metrics, "apogee_spans_made_total"), value(&metrics, "apogee_spans_dropped_total"));
    assert_eq!(made, 400, "two for each message");
    // Beside those that wait, one batch is tried, and one is gathered.
    assert!((400 - 16 - 2 * 8..400).contains(&dropped), "{dropped} of {made}");
    let began = Instant::now();
    let (success, _, log) = server.stop();
    assert!(success && began.elapsed() < Duration::from_secs(8), "{log}");
    let warnings: Vec<&str> =
        log.lines().filter(|line| line.contains(" WARN ") || line.contains(" ERROR ")).collect();
    assert_eq!(warnings.len(), 2, "one for each signal, not one for each push: {log}");
    assert!(warnings.iter().all(|line| line.contains("telemetry is not taken")), "{warnings:?}");
    assert!(!log.contains("hush"), "{log}");
}

fn metrics_of(http: SocketAddr) -> String {
    use std::io::Write as _;
    let mut stream = std::net::TcpStream::connect(http).expect("it listens");
    stream.write_all(b"GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("text");
    answer
}

#[test]
fn mistakes_end_the_start_with_a_word() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("apogee.toml"), "[store]\nsegment_byte = 1\n").expect("it is writable");
    let output = apogee(folder.path()).output().expect("it runs");
    let told = text(&output.stderr);
    assert!(
        !output.status.success() && told.contains("apogee.toml") && told.contains("segment_byte"),
        "{told}"
    );
    let output = apogee(folder.path()).args(["serve", "--config", "other.toml"]).output().expect("it runs");
    assert!(text(&output.stderr).contains("cannot read other.toml"));
    let output = apogee(folder.path())
        .args(["topic", "list", "--server", "http://127.0.0.1:1"])
        .output()
        .expect("it runs");
    assert!(text(&output.stderr).contains("is the engine running"), "{}", text(&output.stderr));
}

#[test]
fn the_load_generator_measures() {
    let server = Server::start(&["--ephemeral"]);
    let log = |args: &[&str]| -> Value { serde_json::from_str(&server.succeed(args)).expect("JSON") };
    let broker = server.listens("RocketMQ 4.x clients, broker").to_string();
    let grpc = server.listens("RocketMQ 5.x clients, endpoints").to_string();
    for (protocol, address) in [("remoting", ("--broker", &broker)), ("grpc", ("--endpoint", &grpc))] {
        let run = |mode: &str, more: &[&str]| {
            let mut args = vec![
                "bench", "--json", "-p", protocol, address.0, address.1, "-m", mode, "--topic", protocol,
            ];
            args.extend(["--group", protocol, "-c", "2", "-i", "4", "--size", "64"]);
            args.extend(more);
            log(&args)
        };
        let sent = run("send", &["-n", "500"]);
        assert_eq!((&sent["sent"], &sent["failed_requests"]), (&500.into(), &0.into()), "{sent}");
        assert!(sent["latency_ms"]["p99"].as_f64().expect("a number") > 0.0);
        let sent = run("send", &["-n", "500", "--batch", "10"]);
        assert_eq!((&sent["sent"], &sent["failed_requests"]), (&500.into(), &0.into()), "{sent}");
        let drained = run("drain", &["-n", "1000"]);
        assert_eq!(
            (&drained["received"], &drained["failed_requests"]),
            (&1000.into(), &0.into()),
            "{drained}"
        );
        let timers = run("timers", &["--pending", "3000", "--burst", "500", "--within", "1s"]);
        let of = |part: &str, what: &str| timers[part][what].as_u64();
        assert_eq!(of("scheduled", "messages"), Some(3_000), "{timers}");
        assert_eq!(of("burst", "received"), Some(500), "{timers}");
        let wrong = ["missing", "repeated", "early"].map(|what| of("burst", what));
        assert_eq!(wrong, [Some(0); 3], "{timers}");
        assert!(timers["pending"]["disk_bytes_each"].as_f64().expect("a number") > 64.0, "{timers}");
        let both = run("endtoend", &["-n", "200", "--rate", "1000"]);
        assert_eq!((&both["sent"], &both["received"]), (&200.into(), &200.into()), "{both}");
    }
}

#[test]
fn very_many_queues_are_made_filled_restarted_and_deleted() {
    let folder = tempfile::tempdir().expect("a folder");
    for kind in [&[][..], &["--lite"][..]] {
        let mut bench = apogee(folder.path());
        bench.args(["bench", "--json", "-m", "queues", "--topics", "40", "--queues", "50"]).args(kind);
        let output = bench.args(["--checks", "300", "--size", "64", "-c", "2"]).output().expect("it runs");
        assert!(output.status.success(), "{kind:?}: {}", text(&output.stderr));
        let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!((&report["fill"]["sent"], &report["traffic"]["sent"]), (&2_000.into(), &2_000.into()));
        for checked in [&report["killed"]["checked"], &report["stopped"]["checked"]] {
            assert_eq!(checked, 300, "{report}");
        }
        assert!(report["deleted_seconds"].as_f64().expect("a number") > 0.0);
        assert!(is_empty(folder.path()), "it leaves nothing behind");
    }
}
