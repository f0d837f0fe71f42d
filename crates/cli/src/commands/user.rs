//! `apogee user`.

use std::io::BufRead;

use anyhow::{Context, Result};
use clap::Subcommand;
use model::access::{UserKind, UserName, UserStatus};
use model::admin::{
    AccessRequest, UserDelete, UserGet, UserList, UserPut, UserPutMode, UserPutRequest, UserRequest,
};
use serde_json::json;

use crate::http::Server;
use crate::output::{self, Format};

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Make a user
    Create {
        user: UserName,
        #[command(flatten)]
        told: Told,
    },
    /// Change a user: what is left out stays as it is
    Update {
        user: UserName,
        #[command(flatten)]
        told: Told,
    },
    /// List users
    List {
        /// Only names that contain this
        part: Option<String>,
    },
    /// Delete a user and its policies
    Delete { user: UserName },
}

#[derive(Debug, Clone, clap::Args)]
pub struct Told {
    /// The secret key of its clients; `-`: the first line of the standard input
    #[arg(long)]
    secret: Option<String>,
    /// `super` may do everything
    #[arg(long, value_name = "super|normal")]
    kind: Option<UserKind>,
    /// A disabled user is refused
    #[arg(long, value_name = "enable|disable")]
    status: Option<UserStatus>,
}

pub(crate) async fn run(server: &Server, format: Format, command: Command) -> Result<()> {
    match command {
        Command::Create { user, told } => put(server, format, user, told, UserPutMode::Create).await,
        Command::Update { user, told } => put(server, format, user, told, UserPutMode::Update).await,
        Command::List { part } => {
            let users = server.operate::<UserList>(&AccessRequest { contains: part }).await?;
            if format == Format::Json {
                output::json(&json!(users));
                return Ok(());
            }
            let row = |user: model::admin::UserDescription| {
                vec![user.user.to_string(), user.kind.to_string(), user.status.to_string()]
            };
            output::line(&output::table(&["USER", "KIND", "STATUS"], users.into_iter().map(row)));
            Ok(())
        }
        Command::Delete { user } => {
            let request = UserRequest { user };
            server.operate::<UserDelete>(&request).await?;
            output::done(format, &format!("user {} is deleted", request.user));
            Ok(())
        }
    }
}

async fn put(server: &Server, format: Format, user: UserName, told: Told, mode: UserPutMode) -> Result<()> {
    let password = match told.secret.as_deref() {
        Some("-") => Some(first_line()?),
        other => other.map(str::to_owned),
    };
    let request = UserPutRequest { user, password, sealed: None, kind: told.kind, status: told.status, mode };
    server.operate::<UserPut>(&request).await?;
    let user = request.user;
    let found = server.operate::<UserGet>(&UserRequest { user: user.clone() }).await?;
    let what = found.map_or_else(String::new, |found| format!(", {}, {}", found.kind, found.status));
    output::done(format, &format!("user {user}{what}"));
    Ok(())
}

fn first_line() -> Result<String> {
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line).context("cannot read the standard input")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
