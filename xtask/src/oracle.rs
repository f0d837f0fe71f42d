//! The real Apache RocketMQ 5.5.0: name server, broker and proxy, each a JVM of its own, or broker and proxy in one.
//! It serves to prove the client programs: a case that fails here is wrong, or its deviation is written in
//! `e2e/README.md`. It is also the opponent of `versus`, which tunes it otherwise.
use crate::install;
use crate::process::{self, Output, Process};
use crate::server_under_test::{Engine, Ports, Stop};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

const START_PATIENCE: Duration = Duration::from_secs(120);
const START_ATTEMPTS: u32 = 5;
const STOP_PATIENCE: Duration = Duration::from_secs(60);

/// What the JVM hides by default and RocketMQ reaches for.
const OPENED: [&str; 5] = [
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-exports=java.base/sun.nio.ch=ALL-UNNAMED",
];

/// What differs between proving programs and measuring.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    /// Flags of every JVM.
    pub(crate) java: &'static [&'static str],
    pub(crate) heaps: Heaps,
    pub(crate) proxy: ProxyMode,
    /// Lines of `broker.conf`.
    pub(crate) broker: String,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Heaps {
    pub(crate) namesrv: &'static str,
    pub(crate) broker: &'static str,
    pub(crate) proxy: &'static str,
}

/// Where the proxy runs.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub(crate) enum ProxyMode {
    /// In the process of the broker, with the heap of the proxy.
    Local,
    /// In a process of its own.
    Cluster,
}

impl Tuning {
    /// Quick to start and small; keeps users and policies, though nobody is asked who they are.
    pub(crate) fn proof() -> Self {
        Self {
            java: &["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"],
            heaps: Heaps { namesrv: "256m", broker: "1g", proxy: "512m" },
            proxy: ProxyMode::Cluster,
            broker: "flushDiskType=ASYNC_FLUSH\nmappedFileSizeCommitLog=67108864\n\
                     transactionCheckInterval=5000\ntransactionTimeOut=3000\n\
                     authenticationMetadataProvider=org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider\n\
                     authorizationMetadataProvider=org.apache.rocketmq.auth.authorization.provider.LocalAuthorizationMetadataProvider\n"
                .into(),
        }
    }
}

pub(crate) struct Oracle {
    tuning: Tuning,
    libraries: PathBuf,
    home: PathBuf,
    store: PathBuf,
    ports: Ports,
    /// In the order of their start.
    running: Vec<Process>,
}

struct Part {
    name: &'static str,
    main: &'static str,
    heap: &'static str,
    arguments: Vec<String>,
    ready: &'static str,
}

impl Oracle {
    pub(crate) fn install(ports: Ports, folder: &Path, tuning: Tuning) -> Result<Self> {
        let libraries = install::java_libraries("oracle", "oracle", None)?;
        let home = folder.join("rocketmq");
        std::fs::create_dir_all(&home)?;
        let store = home.join("store");
        let oracle = Self { tuning, libraries, home, store, ports, running: Vec::new() };
        oracle.write_configuration()?;
        Ok(oracle)
    }

    /// The proxy gives up at once when the broker's registration has not reached the name server yet.
    fn start_patiently(&self, part: &Part) -> Result<Process> {
        let mut last = None;
        for _ in 0..START_ATTEMPTS {
            match self.start(part) {
                Ok(process) => return Ok(process),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    fn start(&self, part: &Part) -> Result<Process> {
        let log = self.home.join(format!("{}.out", part.name));
        if log.exists() {
            std::fs::rename(&log, log.with_extension("previous.out"))?;
        }
        let mut command = Command::new("java");
        command
            .arg(format!("-Xmx{}", part.heap))
            .args(self.tuning.java)
            .args(OPENED)
            .arg(format!("-Duser.home={}", self.home.display()))
            .arg("-cp")
            .arg(format!("{}/*", self.libraries.display()))
            .arg(part.main)
            .args(&part.arguments)
            .env("ROCKETMQ_HOME", &self.home);
        let mut process = Process::start(part.name, &mut command, &log, Output::ToLog)?;
        process::await_true(&format!("{} ready", part.name), START_PATIENCE, || {
            if process.has_ended() {
                bail!("{} ended while starting; see {}", part.name, log.display());
            }
            Ok(std::fs::read_to_string(&log)?.contains(part.ready))
        })?;
        Ok(process)
    }

    fn parts(&self) -> Vec<Part> {
        let file = |name: &str| self.home.join(name).display().to_string();
        let Heaps { namesrv, broker, proxy } = self.tuning.heaps;
        let namesrv = Part {
            name: "namesrv",
            main: "org.apache.rocketmq.namesrv.NamesrvStartup",
            heap: namesrv,
            arguments: vec!["-c".into(), file("namesrv.conf")],
            ready: "boot success",
        };
        let broker = Part {
            name: "broker",
            main: "org.apache.rocketmq.broker.BrokerStartup",
            heap: broker,
            arguments: vec!["-c".into(), file("broker.conf")],
            ready: "boot success",
        };
        let mut proxy = Part {
            name: "proxy",
            main: "org.apache.rocketmq.proxy.ProxyStartup",
            heap: proxy,
            arguments: vec!["-pc".into(), file("rmq-proxy.json"), "-pm".into()],
            ready: "startup successfully",
        };
        match self.tuning.proxy {
            ProxyMode::Cluster => {
                proxy.arguments.push("cluster".into());
                vec![namesrv, broker, proxy]
            }
            ProxyMode::Local => {
                proxy.arguments.extend(["local".into(), "-bc".into(), file("broker.conf")]);
                vec![namesrv, proxy]
            }
        }
    }

    fn write_configuration(&self) -> Result<()> {
        let Ports { namesrv, broker, grpc, http, spare } = self.ports;
        let store = self.store.display();
        let write = |name: &str, text: String| {
            std::fs::write(self.home.join(name), text).with_context(|| format!("cannot write {name}"))
        };
        write("namesrv.conf", format!("listenPort={namesrv}\nbindAddress=127.0.0.1\n"))?;
        let ha = spare;
        let tuned = &self.tuning.broker;
        write(
            "broker.conf",
            format!(
                "brokerClusterName=DefaultCluster\nbrokerName=broker-a\nbrokerId=0\n\
                 brokerIP1=127.0.0.1\nbrokerIP2=127.0.0.1\nbindAddress=127.0.0.1\n\
                 namesrvAddr=127.0.0.1:{namesrv}\nlistenPort={broker}\nhaListenPort={ha}\n\
                 storePathRootDir={store}\nstorePathCommitLog={store}/commitlog\n\
                 brokerRole=ASYNC_MASTER\n{tuned}\
                 enablePropertyFilter=true\ntraceTopicEnable=true\nrecallMessageEnable=true\n\
                 waitTimeMillsInSendQueue=3000\n"
            ),
        )?;
        write(
            "rmq-proxy.json",
            format!(
                "{{\"rocketMQClusterName\":\"DefaultCluster\",\"namesrvAddr\":\"127.0.0.1:{namesrv}\",\
                 \"localServeAddr\":\"127.0.0.1\",\"grpcServerPort\":{grpc},\"remotingListenPort\":{http}}}\n"
            ),
        )
    }
}

impl Engine for Oracle {
    fn launch(&mut self) -> Result<()> {
        // Killed in the reverse order of their start, whatever is left of an earlier life.
        while self.running.pop().is_some() {}
        for part in self.parts() {
            let process = self.start_patiently(&part)?;
            self.running.push(process);
        }
        Ok(())
    }

    fn is_running(&mut self) -> bool {
        !self.running.is_empty() && self.running.iter_mut().all(|process| !process.has_ended())
    }

    fn stop(&mut self, how: Stop) -> Result<()> {
        while let Some(mut process) = self.running.pop() {
            match how {
                Stop::Graceful => process.terminate(STOP_PATIENCE)?,
                Stop::Kill => process.kill()?,
            }
        }
        Ok(())
    }

    fn processes(&self) -> &[Process] {
        &self.running
    }

    fn store(&self) -> &Path {
        &self.store
    }
}
