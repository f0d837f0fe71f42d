//! The command line client: topics, groups, sending and receiving over HTTP, and a load generator
//! that speaks the RocketMQ protocols.
//!
//! Stands one layer above the protocols, because the load generator uses their clients.
//!
//! Reading order: [`Command`], `http` (the client of the HTTP interface), one file per command in
//! `commands`, [`bench`].
//! What does not belong here: anything that an operation does; that is the engine's.

pub mod bench;
mod commands;
mod duration;
mod http;
pub mod import;
mod output;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, Subcommand};

use crate::commands::{
    acl, admin, events, group, health, lite, profile, receive, send, support, timer, top, topic, trace,
    transaction, user,
};
use crate::http::Server;
use crate::output::Format;

/// What the client can do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Make, list, show and delete topics
    Topic {
        #[command(subcommand)]
        command: topic::Command,
        #[command(flatten)]
        common: Common,
    },
    /// Make, list, show and delete consumer groups
    Group {
        #[command(subcommand)]
        command: group::Command,
        #[command(flatten)]
        common: Common,
    },
    /// List undecided transactions, commit them or roll them back
    Transaction {
        #[command(subcommand)]
        command: transaction::Command,
        #[command(flatten)]
        common: Common,
    },
    /// List timed messages that wait, and cancel them
    Timer {
        #[command(subcommand)]
        command: timer::Command,
        #[command(flatten)]
        common: Common,
    },
    /// List, show and delete lite topics
    Lite {
        #[command(subcommand)]
        command: lite::Command,
        #[command(flatten)]
        common: Common,
    },
    /// Run any operation by its name
    Admin {
        #[command(subcommand)]
        call: admin::Call,
        /// Run it again every so many seconds
        #[arg(long, global = true, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "2")]
        watch: Option<u64>,
        #[command(flatten)]
        common: Common,
    },
    /// Tell what is at risk, riskiest first, why, and what to do
    Health {
        #[command(flatten)]
        args: health::Args,
        #[command(flatten)]
        common: Common,
    },
    /// Show what the engine does now, again and again
    Top {
        #[command(flatten)]
        args: top::Args,
        #[command(flatten)]
        common: Common,
    },
    /// Put what others need to see to help into one file, without secrets and messages
    SupportBundle {
        #[command(flatten)]
        args: support::Args,
        #[command(flatten)]
        common: Common,
    },
    /// Make, change, list and delete users
    User {
        #[command(subcommand)]
        command: user::Command,
        #[command(flatten)]
        common: Common,
    },
    /// Say what users may do, and ask what they may
    Acl {
        #[command(subcommand)]
        command: acl::Command,
        #[command(flatten)]
        common: Common,
    },
    /// Send messages
    Send {
        #[command(flatten)]
        args: send::Args,
        #[command(flatten)]
        common: Common,
    },
    /// Receive messages
    Receive {
        #[command(flatten)]
        args: receive::Args,
        #[command(flatten)]
        common: Common,
    },
    /// Bring topics, groups, messages and progress of another system here
    Import {
        #[command(subcommand)]
        command: import::Command,
        #[command(flatten)]
        common: Common,
    },
    /// Tell the life of a message: sent, stored, delivered, settled
    Trace {
        #[command(flatten)]
        args: trace::Args,
        #[command(flatten)]
        common: Common,
    },
    /// Tell what a node spends its processor time on
    Profile {
        #[command(flatten)]
        args: profile::Args,
        #[command(flatten)]
        common: Common,
    },
    /// Tell what happened to the node, and what happens
    Events {
        #[command(flatten)]
        args: events::Args,
        #[command(flatten)]
        common: Common,
    },
    /// Measure throughput and latency
    Bench {
        #[command(flatten)]
        args: bench::Args,
        #[command(flatten)]
        common: Common,
    },
}

/// What all commands take.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// HTTP address of the engine
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "APOGEE_SERVER",
        default_value = "http://127.0.0.1:8080"
    )]
    pub server: String,
    /// Certificate to trust, PEM, for https (self-signed: tls/server.crt in the data folder)
    #[arg(long, global = true, value_name = "FILE", env = "APOGEE_CA", hide_env_values = true)]
    pub ca: Option<PathBuf>,
    /// User to call as, where access control is on
    #[arg(long = "as", global = true, value_name = "USER", env = "APOGEE_USER")]
    pub caller: Option<String>,
    /// Password of that user; better set in the environment
    #[arg(
        long = "as-password",
        global = true,
        value_name = "PASSWORD",
        env = "APOGEE_PASSWORD",
        hide_env_values = true
    )]
    pub caller_password: Option<String>,
    /// Print JSON instead of tables
    #[arg(long, global = true)]
    pub json: bool,
}

impl Common {
    fn connect(&self) -> Result<(Server, Format)> {
        let format = if self.json { Format::Json } else { Format::Text };
        Ok((Server::new(&self.server, self.ca.as_deref())?.called_by(self.caller()), format))
    }

    /// User and password.
    fn caller(&self) -> Option<(&str, &str)> {
        let user = self.caller.as_deref()?;
        Some((user, self.caller_password.as_deref().unwrap_or_default()))
    }
}

/// Runs a command.
///
/// # Errors
/// If the server cannot be reached, or refuses.
pub async fn run(command: Command) -> Result<ExitCode> {
    match command {
        Command::Topic { command, common } => {
            let (server, format) = common.connect()?;
            topic::run(&server, format, command).await?;
        }
        Command::Group { command, common } => {
            let (server, format) = common.connect()?;
            group::run(&server, format, command).await?;
        }
        Command::Transaction { command, common } => {
            let (server, format) = common.connect()?;
            transaction::run(&server, format, command).await?;
        }
        Command::Timer { command, common } => {
            let (server, format) = common.connect()?;
            timer::run(&server, format, command).await?;
        }
        Command::Lite { command, common } => {
            let (server, format) = common.connect()?;
            lite::run(&server, format, command).await?;
        }
        Command::Admin { call, watch, common } => {
            let (server, format) = common.connect()?;
            admin::run(&server, format, call, watch).await?;
        }
        Command::Health { args, common } => {
            let (server, format) = common.connect()?;
            health::run(&server, format, args).await?;
        }
        Command::Top { args, common } => {
            let (server, format) = common.connect()?;
            top::run(&server, format, args).await?;
        }
        Command::SupportBundle { args, common } => {
            let (server, _) = common.connect()?;
            support::run(&server, args).await?;
        }
        Command::User { command, common } => {
            let (server, format) = common.connect()?;
            user::run(&server, format, command).await?;
        }
        Command::Acl { command, common } => {
            let (server, format) = common.connect()?;
            acl::run(&server, format, command).await?;
        }
        Command::Send { args, common } => {
            let (server, format) = common.connect()?;
            send::run(&server, format, args).await?;
        }
        Command::Receive { args, common } => {
            let (server, format) = common.connect()?;
            return receive::run(&server, format, args).await;
        }
        Command::Import { command, common } => {
            let (server, _) = common.connect()?;
            import::run(&server, common.caller(), command).await?;
        }
        Command::Trace { args, common } => {
            let (server, format) = common.connect()?;
            trace::run(&server, format, args).await?;
        }
        Command::Profile { args, common } => {
            let (server, format) = common.connect()?;
            profile::run(&server, format, args).await?;
        }
        Command::Events { args, common } => {
            let (server, format) = common.connect()?;
            events::run(&server, format, args).await?;
        }
        Command::Bench { args, common } => {
            let (server, format) = common.connect()?;
            bench::run(&server, format, args).await?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
