//! The real Apache RocketMQ 5.5.0: name server, broker and proxy, each a JVM of its own, or broker and proxy in one.
//! It serves to prove the client programs: a case that fails here is wrong, or its deviation is written in
//! `e2e/README.md`. It is also the opponent of `versus`, which tunes it otherwise.
use crate::e2e::User;
use crate::install;
use crate::process::{self, Output, Process};
use crate::server_under_test::{Engine, Ports, Stop};
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use serde_json::{Value, json};
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
    /// Everybody is asked who they are; broker and proxy call each other as this super user.
    pub(crate) access: Option<User>,
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
            access: None,
            broker: "flushDiskType=ASYNC_FLUSH\nmappedFileSizeCommitLog=67108864\n\
                     transactionCheckInterval=5000\ntransactionTimeOut=3000\n\
                     authenticationMetadataProvider=org.apache.rocketmq.auth.authentication.provider.LocalAuthenticationMetadataProvider\n\
                     authorizationMetadataProvider=org.apache.rocketmq.auth.authorization.provider.LocalAuthorizationMetadataProvider\n"
                .into(),
        }
    }
}

impl Tuning {
    /// The same, and everybody is asked who they are; broker and proxy call each other as `root`.
    pub(crate) fn with_access_control(self, root: User) -> Self {
        Self { access: Some(root), ..self }
    }
}

/// Settings of broker and proxy alike that switch access control on.
fn access_settings(root: User) -> Vec<(&'static str, Value)> {
    const AUTHENTICATION: &str =
        "org.apache.rocketmq.auth.authentication.provider.DefaultAuthenticationProvider";
    const AUTHORIZATION: &str =
        "org.apache.rocketmq.auth.authorization.provider.DefaultAuthorizationProvider";
    let credentials = json!({ "accessKey": root.name, "secretKey": root.secret });
    vec![
        ("authenticationEnabled", true.into()),
        ("authenticationProvider", AUTHENTICATION.into()),
        ("authorizationEnabled", true.into()),
        ("authorizationProvider", AUTHORIZATION.into()),
        ("innerClientAuthenticationCredentials", credentials.to_string().into()),
    ]
}

/// Of the proxy alone: it asks the broker for users and policies, and signs what it sends to it.
const PROXY_ACCESS: [(&str, &str); 2] = [
    ("authenticationMetadataProvider", "org.apache.rocketmq.proxy.auth.ProxyAuthenticationMetadataProvider"),
    ("authorizationMetadataProvider", "org.apache.rocketmq.proxy.auth.ProxyAuthorizationMetadataProvider"),
];

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
        let mut tuned = self.tuning.broker.clone();
        if let Some(root) = self.tuning.access {
            for (key, value) in access_settings(root) {
                tuned +=
                    &format!("{key}={}\n", value.as_str().map_or_else(|| value.to_string(), str::to_owned));
            }
            let first = json!({ "username": root.name, "password": root.secret });
            tuned += &format!("initAuthenticationUser={first}\n");
        }
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
        let mut proxy = json!({
            "rocketMQClusterName": "DefaultCluster",
            "namesrvAddr": format!("127.0.0.1:{namesrv}"),
            "localServeAddr": "127.0.0.1",
            "grpcServerPort": grpc,
            "remotingListenPort": http,
        });
        if let Some(root) = self.tuning.access {
            access_settings(root).into_iter().for_each(|(key, value)| proxy[key] = value);
            PROXY_ACCESS.into_iter().for_each(|(key, class)| proxy[key] = class.into());
            proxy["enableAclRpcHookForClusterMode"] = true.into();
            std::fs::create_dir_all(self.home.join("conf"))?;
            write("conf/tools.yml", format!("accessKey: {}\nsecretKey: {}\n", root.name, root.secret))?;
        }
        write("rmq-proxy.json", proxy.to_string())
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
