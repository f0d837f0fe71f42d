//! `apogee import rocketmq`: brings topics, groups, messages and progress of a running RocketMQ
//! cluster here, while its clients go on (see docs/migration.md).
//!
//! ```text
//! name server ─> brokers ─> topics, groups ──────────────> catalogue (HTTP)
//!                       └─> each queue: pull ─> send ────> our queue (4.x protocol)
//!                                        └─> state file: which offset became which
//!                       └─> groups' offsets ─ translated ─> our groups
//! ```
//! Reading order: `source` (what is there), `shape` (what it becomes), `mapping` and `state` (which
//! offset became which), `mirror` (messages), `progress` (offsets).

mod access;
mod mapping;
mod mirror;
mod progress;
mod shape;
mod source;
mod state;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use base::Doors;
use clap::Subcommand;
use model::TopicConfig;
use model::admin::{GroupPut, GroupPutRequest, TopicPut, TopicPutRequest};
use remoting::client::{Client, Signer};

use crate::http::Server;
use crate::import::mirror::Mirror;
use crate::import::shape::{Plan, Topic};
use crate::import::source::Source;
use crate::output;

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Import from a running Apache RocketMQ cluster
    Rocketmq(Args),
}

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Name server of the cluster to import from
    #[arg(long, value_name = "HOST:PORT")]
    pub namesrv: String,
    /// Broker port of the engine, for messages
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:10911")]
    pub broker: String,
    /// Also copy messages, and go on doing so until interrupted
    #[arg(long)]
    pub mirror: bool,
    /// With --mirror: end when everything is copied and all groups' progress is set
    #[arg(long, requires = "mirror")]
    pub cut_over: bool,
    /// Folder that remembers what was copied; keep it until the import is over
    #[arg(long, value_name = "FOLDER", default_value = "apogee-import")]
    pub state: PathBuf,
    /// Also make the cluster's users and policies; users that are here already are left alone
    #[arg(long)]
    pub acl: bool,
    /// Who calls there, where access control is on: a super user, for it reads everything
    #[arg(long, value_name = "USER", env = "APOGEE_SOURCE_USER", requires = "source_password")]
    pub source_user: Option<String>,
    /// Its secret key
    #[arg(
        long,
        value_name = "SECRET",
        env = "APOGEE_SOURCE_PASSWORD",
        hide_env_values = true,
        requires = "source_user"
    )]
    pub source_password: Option<String>,
    /// Pause between reports, which also look for new topics and groups, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 5_000)]
    pub report_ms: u64,
}

/// `caller`: who calls here.
pub(crate) async fn run(server: &Server, caller: Option<(&str, &str)>, command: Command) -> Result<()> {
    let Command::Rocketmq(args) = command;
    let doors = Doors::system();
    let there = args.source_user.as_deref().zip(args.source_password.as_deref());
    let signer = |(user, secret): (&str, &str)| Signer::new(user, secret);
    let source = Source::new(&doors, resolve(&args.namesrv).await?, there.map(signer));
    if args.acl {
        source.read().await?;
        let (users, acls) = source.access().await?;
        access::put(server, &users, &acls).await?;
    }
    if !args.mirror {
        let plan = Plan::of(&source.read().await?);
        put_catalogue(server, &plan, |topic| topic.config.clone()).await?;
        output::line("messages and progress stay behind: add --mirror to copy them");
        return Ok(());
    }
    let ours = resolve(&args.broker).await?;
    let target = Client::connect(&doors, ours).await.context("the engine's broker port (--broker)")?;
    let target = target.signing_as(caller.map(signer));
    let state = state::State::open(&args.state, &args.namesrv)?;
    let mirror = Mirror::new(doors.clone(), target, state);
    let mut known = Plan::default();
    loop {
        let read = source.read().await?;
        let plan = Plan::of(&read);
        if plan != known {
            put_catalogue(server, &plan, Topic::open).await?;
            known = plan.clone();
        }
        mirror.follow(&source, &plan).await?;
        // Before the lag is measured: what ends to wait is behind then.
        let delayed = source.delayed().await?;
        let lag = mirror.lag(&source, &plan).await?;
        let set = progress::carry_over(server, &mirror, &plan, &read.offsets).await?;
        output::line(&format!(
            "mirrored {} messages, lag {} in {} of {} queues, {delayed} delayed there, progress of {set} queues set",
            mirror.mirrored(),
            lag.messages,
            lag.queues_behind,
            lag.queues
        ));
        for trouble in mirror.troubles() {
            output::line(&format!("note: {trouble}"));
        }
        if args.cut_over && lag.messages == 0 && delayed == 0 {
            mirror.stop().await;
            close_topics(server, &plan).await?;
            output::line("everything is copied and progress is set: start consumers here");
            return Ok(());
        }
        doors.clock.sleep(Duration::from_millis(args.report_ms)).await;
    }
}

/// Makes topics, each as `shown`, and groups.
async fn put_catalogue(server: &Server, plan: &Plan, shown: impl Fn(&Topic) -> TopicConfig) -> Result<()> {
    for topic in plan.topics.values().filter(|topic| topic.is_made_here()) {
        put_topic(server, shown(topic)).await?;
    }
    for group in &plan.groups {
        let request = GroupPutRequest { config: group.clone(), update: true };
        let put = server.operate::<GroupPut>(&request).await;
        put.with_context(|| format!("group {}", group.name))?;
    }
    let topics = plan.topics.values().filter(|topic| topic.is_made_here()).count();
    output::line(&format!("{topics} topics and {} groups are here", plan.groups.len()));
    for note in &plan.notes {
        output::line(&format!("note: {note}"));
    }
    Ok(())
}

async fn put_topic(server: &Server, config: TopicConfig) -> Result<()> {
    let name = config.name.clone();
    let put = server.operate::<TopicPut>(&TopicPutRequest { config, update: true }).await;
    put.map(drop).with_context(|| format!("topic {name}"))
}

/// Nothing is copied any more: what could not be written or read there cannot be here.
async fn close_topics(server: &Server, plan: &Plan) -> Result<()> {
    for topic in plan.topics.values().filter(|topic| topic.is_closed()) {
        put_topic(server, topic.config.clone()).await?;
    }
    Ok(())
}

async fn resolve(address: &str) -> Result<SocketAddr> {
    let found = tokio::net::lookup_host(address).await.with_context(|| format!("`{address}`"))?.next();
    match found {
        Some(found) => Ok(found),
        None => bail!("`{address}` has no address"),
    }
}
