//! `apogee doctor`: would the engine run well here? Configuration, memory, open files, disk, clock, ports and
//! certificates, each with a line of its own. Changes nothing but a test file that it removes again.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Result;
use base::disk::read_whole;
use base::{Doors, OpenMode};
use net::TlsMode;
use rustix::process::{Resource, getrlimit};

use crate::args::ServeArgs;
use crate::config::Config;
use crate::settings;

/// Open files that a busy node needs: connections, segments and runs.
const FILES_WANTED: u64 = 65_536;
const FLUSHES: usize = 50;
const FLUSH_BYTES: usize = 4_096;
const WRITTEN_BYTES: usize = 32 << 20;
/// Slower than this, a flush bounds what one client can send to less than a hundred messages a second.
const FLUSH_SLOW: Duration = Duration::from_millis(10);
const TEST_FILE: &str = "doctor.tmp";
/// Clocks that ask no hypervisor.
const FAST_CLOCKS: [&str; 4] = ["tsc", "kvm-clock", "arch_sys_counter", "hyperv_clocksource_tsc_page"];

/// What a check says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Ok,
    Warn,
    Fail,
}

#[derive(Debug, Default)]
struct Findings(Vec<(Verdict, &'static str, String)>);

impl Findings {
    fn ok(&mut self, what: &'static str, text: impl Into<String>) {
        self.0.push((Verdict::Ok, what, text.into()));
    }

    fn warn(&mut self, what: &'static str, text: impl Into<String>) {
        self.0.push((Verdict::Warn, what, text.into()));
    }

    fn fail(&mut self, what: &'static str, text: impl Into<String>) {
        self.0.push((Verdict::Fail, what, text.into()));
    }

    fn text(&self) -> String {
        let mut out = String::new();
        for (verdict, what, text) in &self.0 {
            let verdict = match verdict {
                Verdict::Ok => "ok  ",
                Verdict::Warn => "warn",
                Verdict::Fail => "FAIL",
            };
            let _ = writeln!(out, "{verdict}  {what:<14}{text}");
        }
        out
    }

    fn is_well(&self) -> bool {
        self.0.iter().all(|(verdict, ..)| *verdict != Verdict::Fail)
    }
}

/// Looks at everything and says what it found; fails if the engine could not run so.
pub(crate) fn run(args: &ServeArgs) -> Result<ExitCode> {
    let findings = examine(args);
    // Without a reader the text is of no use to anybody.
    let _ = std::io::stdout().write_all(findings.text().as_bytes());
    Ok(if findings.is_well() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn examine(args: &ServeArgs) -> Findings {
    let mut found = Findings::default();
    let doors = Doors::system();
    let config = match args.config().and_then(|config| settings::in_force(&doors, &config)) {
        Ok(config) => config,
        Err(error) => {
            found.fail("configuration", format!("{error:#}"));
            return found;
        }
    };
    let from = args.file().map_or("the defaults".to_owned(), |file| file.display().to_string());
    found.ok("configuration", format!("from {from}, sound"));
    access(&config, &mut found);
    memory(&config, &mut found);
    files(&mut found);
    clock(&doors, &mut found);
    let is_running = disk(&doors, &config, &mut found);
    ports(&config, is_running, &mut found);
    certificates(&doors, &config, &mut found);
    found
}

fn access(config: &Config, found: &mut Findings) {
    match (config.is_open(), config.auth.enabled.unwrap_or_default()) {
        (true, false) => found.warn("access", "other machines can connect, and everybody may do everything"),
        (true, true) => found.ok("access", "other machines can connect, and must prove who they are"),
        (false, _) => found.ok("access", "only this machine can connect"),
    }
}

fn memory(config: &Config, found: &mut Findings) {
    let (machine, budget) = (base::memory::machine_bytes(), config.runtime.memory_budget_bytes);
    let text = format!("budget {} MiB of {} MiB", budget >> 20, machine >> 20);
    if budget > machine / 2 {
        found.warn("memory", format!("{text}: more than half leaves little for the page cache and others"));
    } else {
        found.ok("memory", text);
    }
}

fn files(found: &mut Findings) {
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if most < FILES_WANTED {
        found.warn(
            "open files",
            format!("at most {most}: each connection takes one; raise the limit to {FILES_WANTED}"),
        );
    } else {
        found.ok("open files", format!("at most {most}"));
    }
}

#[expect(clippy::disallowed_methods, reason = "compares the machine's clocks themselves")]
fn clock(doors: &Doors, found: &mut Findings) {
    // 2024: no message is older.
    const EARLIEST_MS: i64 = 1_704_067_200_000;
    if doors.clock.now_ms() < EARLIEST_MS {
        found.fail("clock", "it stands before 2024: timers and retention would go wrong; set the time");
        return;
    }
    let source = Path::new("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = std::fs::read_to_string(source).map(|text| text.trim().to_owned()).unwrap_or_default();
    let (began, asked) = (Instant::now(), 10_000_u32);
    for _ in 0..asked {
        let _ = std::hint::black_box(doors.clock.now_ms());
    }
    let each = began.elapsed() / asked;
    let text = format!("{} ns a reading, source {source}", each.as_nanos());
    if each > Duration::from_micros(1) && !FAST_CLOCKS.contains(&source.as_str()) {
        found.warn("clock", format!("{text}: slow; every message asks for the time"));
    } else {
        found.ok("clock", text);
    }
}

/// The first folder on the way up that exists.
fn existing(dir: &Path) -> PathBuf {
    let mut dir = dir.to_owned();
    while !dir.exists() {
        match dir.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => dir = parent.to_owned(),
            _ => return PathBuf::from("."),
        }
    }
    dir
}

/// Answers whether an engine runs on the data folder.
fn disk(doors: &Doors, config: &Config, found: &mut Findings) -> bool {
    let data = &config.data.dir;
    let group = crate::wiring::group_dir(data);
    let is_running = doors.disk.exists(&group) && doors.disk.lock(&group).is_err();
    let state = match (is_running, doors.disk.exists(&group)) {
        (true, _) => "in use by a running engine",
        (false, true) => "holds data",
        (false, false) => "empty",
    };
    found.ok("data folder", format!("{}: {state}", data.display()));
    let dir = existing(data);
    match doors.disk.space(&dir) {
        Ok(space) => {
            let used = space.total_bytes.saturating_sub(space.available_bytes);
            let percent = used.saturating_mul(100).checked_div(space.total_bytes).unwrap_or(0);
            let text = format!("{percent} % used, {} GiB free", space.available_bytes >> 30);
            if percent >= u64::from(config.store.disk_refuse_percent) {
                found.fail("disk space", format!("{text}: producers would be refused"));
            } else {
                found.ok("disk space", text);
            }
        }
        Err(error) => found.warn("disk space", format!("not known: {error}")),
    }
    match speed(doors, &dir) {
        Ok((flushes, mib_per_s)) => {
            let at = |percent: usize| flushes.get(flushes.len() * percent / 100).copied().unwrap_or_default();
            let text = format!(
                "{FLUSH_BYTES} bytes written and flushed in {:.2} ms (median), {:.2} ms (99th percentile); {mib_per_s} MiB a second",
                at(50).as_secs_f64() * 1e3,
                at(99).as_secs_f64() * 1e3
            );
            let is_slow = at(50) > FLUSH_SLOW;
            if is_slow {
                found.warn("disk speed", format!("{text}: slow"))
            } else {
                found.ok("disk speed", text)
            }
        }
        Err(error) => found.fail("disk speed", format!("cannot write in {}: {error}", dir.display())),
    }
    is_running
}

/// Times of small flushes, in order, and how fast a large write is.
#[expect(clippy::disallowed_methods, reason = "measures the machine's disk itself")]
fn speed(doors: &Doors, dir: &Path) -> std::io::Result<(Vec<Duration>, u64)> {
    let path = dir.join(TEST_FILE);
    let measured = (|| {
        let file = doors.disk.open(&path, OpenMode::CreateNew)?;
        let mut flushes = Vec::with_capacity(FLUSHES);
        for at in 0..FLUSHES {
            let began = Instant::now();
            file.write_at(&[7; FLUSH_BYTES], (at * FLUSH_BYTES) as u64)?;
            file.sync()?;
            flushes.push(began.elapsed());
        }
        flushes.sort_unstable();
        let (began, block) = (Instant::now(), vec![7; 1 << 20]);
        for at in 0..WRITTEN_BYTES / block.len() {
            file.write_at(&block, (at * block.len()) as u64)?;
        }
        file.sync()?;
        let ms = began.elapsed().as_millis().max(1);
        let mib_per_s = (WRITTEN_BYTES as u128 / (1 << 20)) * 1_000 / ms;
        Ok((flushes, u64::try_from(mib_per_s).unwrap_or(u64::MAX)))
    })();
    if doors.disk.exists(&path) {
        doors.disk.remove(&path)?;
    }
    measured
}

fn ports(config: &Config, is_running: bool, found: &mut Findings) {
    for (name, listener) in config.listen.all().filter(|(_, listener)| listener.enabled) {
        match TcpListener::bind(listener.address) {
            Ok(_) => found.ok("port", format!("{} is free for {name}", listener.address)),
            Err(_) if is_running => {
                found.ok("port", format!("{} is taken, as the engine runs ({name})", listener.address));
            }
            Err(error) => {
                found.fail("port", format!("{} cannot be taken for {name}: {error}", listener.address))
            }
        }
    }
}

fn certificates(doors: &Doors, config: &Config, found: &mut Findings) {
    let has_tls =
        config.listen.all().any(|(_, listener)| listener.enabled && listener.tls != TlsMode::Disabled);
    if !has_tls {
        found.ok("certificates", "no listener speaks TLS");
        return;
    }
    let tls = &config.tls;
    let files = [&tls.certificate, &tls.key, &tls.client_ca];
    let mut named = 0;
    for path in files.into_iter().flatten() {
        named += 1;
        match read_whole(&*doors.disk, path) {
            Ok(bytes) if bytes.windows(11).any(|part| part == b"-----BEGIN ") => {
                found.ok("certificates", format!("{} is readable", path.display()));
            }
            Ok(_) => found.fail("certificates", format!("{} is no PEM file", path.display())),
            Err(error) => found.fail("certificates", format!("{} cannot be read: {error}", path.display())),
        }
    }
    if named == 0 {
        found.warn("certificates", "self-signed: clients must be told to trust it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(dir: &Path, text: &str) -> ServeArgs {
        let file = dir.join("apogee.toml");
        std::fs::write(&file, text).expect("it is writable");
        ServeArgs { config: Some(file), data_dir: Some(dir.join("data")), ..ServeArgs::default() }
    }

    #[test]
    fn a_sound_place_is_told_so_and_left_as_it_was() {
        let dir = tempfile::tempdir().expect("a folder");
        let listen =
            "[listen]\nnamesrv = \"off\"\nbroker = \"127.0.0.1:0\"\ngrpc = \"off\"\nhttp = \"off\"\n";
        let found = examine(&args(dir.path(), listen));
        let text = found.text();
        for what in
            ["configuration", "access", "memory", "open files", "clock", "disk speed", "port", "certificates"]
        {
            assert!(text.contains(what), "{text}");
        }
        assert!(
            found.0.iter().all(|(verdict, what, _)| *verdict != Verdict::Fail || *what == "disk space"),
            "{text}"
        );
        assert!(!dir.path().join("data").exists() && !dir.path().join(TEST_FILE).exists());
    }

    #[test]
    fn what_is_wrong_is_told() {
        let dir = tempfile::tempdir().expect("a folder");
        let found = examine(&args(dir.path(), "[store]\nsegment_byte = 1\n"));
        assert!(!found.is_well() && found.text().contains("segment_byte"), "{}", found.text());
        let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = taken.local_addr().expect("it is bound");
        let listen =
            format!("[listen]\nnamesrv = \"{address}\"\nbroker = \"off\"\ngrpc = \"off\"\nhttp = \"off\"\n");
        let found = examine(&args(dir.path(), &listen));
        assert!(!found.is_well() && found.text().contains("cannot be taken for namesrv"), "{}", found.text());
    }
}
