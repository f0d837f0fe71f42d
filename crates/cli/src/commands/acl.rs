//! `apogee acl`.

mod plain;

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::{Subcommand, ValueEnum};
use model::access::{Action, Decision, IpRange, Policy, PolicyEntry, PolicyKind, Resource, UserName};
use model::admin::{
    AclCopy, AclCopyRequest, AclDelete, AclDeleteRequest, AclDescription, AclExplain, AclList,
    AclListRequest, AclPut, AclPutRequest, ExplainRequest, UserPut, UserPutMode, UserPutRequest,
};
use serde_json::json;

use crate::http::{self, Server};
use crate::output::{self, Format};

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Let a user do something, or forbid it: takes the place of the entry for the same resource
    Put {
        user: UserName,
        /// `*`, or a kind and a name: `Topic:orders`, `Group:billing-*`, `Cluster:*`
        resource: Resource,
        /// Separated by commas: Pub, Sub, Create, Update, Delete, Get, List, or All
        #[arg(value_delimiter = ',', required = true)]
        actions: Vec<Action>,
        /// Forbid it
        #[arg(long)]
        deny: bool,
        /// Only from these addresses: 10.0.0.1, 10.0.0.0/8
        #[arg(long, value_name = "ADDRESS", value_delimiter = ',')]
        source: Vec<IpRange>,
        /// Looked at only where no other entry matches
        #[arg(long)]
        default: bool,
    },
    /// Let a user do what its role needs
    Grant {
        user: UserName,
        role: Role,
        /// Only topics and groups whose names begin with this and `%`, as 4.x clients write namespaces
        #[arg(long)]
        namespace: Option<String>,
    },
    /// List policies
    List {
        /// Only users whose name contains this
        part: Option<String>,
        /// Only entries whose resource contains this
        #[arg(long)]
        resource: Option<String>,
    },
    /// Delete the entry for a resource, or all policies of a user
    Delete {
        user: UserName,
        resource: Option<Resource>,
        /// The entry of the default policy
        #[arg(long)]
        default: bool,
    },
    /// Lay the policies of a user over those of another one
    Copy { from: UserName, to: UserName },
    /// Tell whether a user may do something, and which entry says so
    Explain {
        user: UserName,
        action: Action,
        /// One thing: `Topic:orders`
        resource: Resource,
        /// From this address
        #[arg(long, value_name = "ADDRESS")]
        from: Option<IpAddr>,
    },
    /// Make users and policies of a plain_acl.yml of RocketMQ 4.x
    Import { file: PathBuf },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Role {
    /// Looks at everything
    Viewer,
    /// Also makes, changes and deletes topics and groups, sends and receives
    Operator,
    /// Does everything
    Admin,
}

pub(crate) async fn run(server: &Server, format: Format, command: Command) -> Result<()> {
    match command {
        Command::Put { user, resource, actions, deny, source, default } => {
            let decision = if deny { Decision::Deny } else { Decision::Allow };
            let entry = PolicyEntry { resource, actions, source_ips: source, decision };
            let policies = vec![Policy { kind: kind(default), entries: vec![entry] }];
            put(server, format, user, policies).await
        }
        Command::Grant { user, role, namespace } => {
            let entries = role.entries(namespace.as_deref())?;
            let policies = vec![Policy { kind: PolicyKind::Custom, entries }];
            put(server, format, user, policies).await
        }
        Command::List { part, resource } => {
            let request = AclListRequest { subject_contains: part, resource_contains: resource };
            list(server, format, &request).await
        }
        Command::Delete { user, resource, default } => {
            let request = AclDeleteRequest { user, kind: Some(kind(default)), resource };
            server.operate::<AclDelete>(&request).await?;
            output::done(format, "deleted");
            Ok(())
        }
        Command::Copy { from, to } => {
            server.operate::<AclCopy>(&AclCopyRequest { from, to }).await?;
            output::done(format, "copied");
            Ok(())
        }
        Command::Explain { user, action, resource, from } => {
            explain(server, format, &ExplainRequest { user, resource, action, from }).await
        }
        Command::Import { file } => import(server, format, &file).await,
    }
}

const fn kind(default: bool) -> PolicyKind {
    if default { PolicyKind::Default } else { PolicyKind::Custom }
}

async fn put(server: &Server, format: Format, user: UserName, policies: Vec<Policy>) -> Result<()> {
    let request = AclPutRequest { user, policies };
    server.operate::<AclPut>(&request).await?;
    let of_user =
        AclListRequest { subject_contains: Some(format!("User:{}", request.user)), resource_contains: None };
    list(server, format, &of_user).await
}

const HEAD: [&str; 6] = ["USER", "POLICY", "RESOURCE", "ACTIONS", "FROM", "DECISION"];

fn join<T: ToString>(things: &[T]) -> String {
    things.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

fn row(user: &UserName, kind: PolicyKind, entry: &PolicyEntry) -> Vec<String> {
    vec![
        user.to_string(),
        kind.to_string(),
        entry.resource.to_string(),
        join(&entry.actions),
        join(&entry.source_ips),
        entry.decision.to_string(),
    ]
}

fn rows(acl: &AclDescription) -> impl Iterator<Item = Vec<String>> {
    acl.policies
        .iter()
        .flat_map(|policy| policy.entries.iter().map(|entry| row(&acl.user, policy.kind, entry)))
}

async fn list(server: &Server, format: Format, request: &AclListRequest) -> Result<()> {
    let found = server.operate::<AclList>(request).await?;
    match format {
        Format::Json => output::json(&json!(found)),
        Format::Text => output::line(&output::table(&HEAD, found.iter().flat_map(rows))),
    }
    Ok(())
}

async fn explain(server: &Server, format: Format, request: &ExplainRequest) -> Result<()> {
    let told = server.operate::<AclExplain>(request).await?;
    if format == Format::Json {
        output::json(&json!(told));
        return Ok(());
    }
    let may = if told.allowed { "may" } else { "may not" };
    let ExplainRequest { user, action, resource, .. } = request;
    output::line(&format!("{user} {may} {action} {resource}: {}", told.reason));
    if let (Some(entry), Some(kind)) = (&told.entry, told.kind) {
        output::line(&output::table(&HEAD, [row(user, kind, entry)]));
    }
    Ok(())
}

impl Role {
    fn entries(self, namespace: Option<&str>) -> Result<Vec<PolicyEntry>> {
        let looks = vec![Action::Get, Action::List];
        let works = vec![
            Action::Pub,
            Action::Sub,
            Action::Create,
            Action::Update,
            Action::Delete,
            Action::Get,
            Action::List,
        ];
        let within = namespace.map_or_else(|| "*".to_owned(), |namespace| format!("{namespace}%*"));
        let (topics, groups) = (format!("Topic:{within}"), format!("Group:{within}"));
        let mut wanted = match self {
            Self::Viewer => vec![(topics, looks.clone()), (groups, looks.clone())],
            Self::Operator => vec![(topics, works.clone()), (groups, works)],
            Self::Admin if namespace.is_none() => vec![("*".to_owned(), vec![Action::All])],
            Self::Admin => vec![(topics, vec![Action::All]), (groups, vec![Action::All])],
        };
        // What concerns the whole cluster is no namespace's.
        if namespace.is_none() && self != Self::Admin {
            wanted.push(("Cluster:*".to_owned(), looks));
        }
        let entry = |(resource, actions): (String, Vec<Action>)| {
            let resource = resource.parse().map_err(anyhow::Error::msg)?;
            Ok(PolicyEntry { resource, actions, source_ips: Vec::new(), decision: Decision::Allow })
        };
        wanted.into_iter().map(entry).collect()
    }
}

/// Users that are there already are left alone, as RocketMQ's own migration does.
async fn import(server: &Server, format: Format, file: &std::path::Path) -> Result<()> {
    let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let plain = plain::parse(&text).with_context(|| format!("in {}", file.display()))?;
    for address in &plain.open_addresses {
        output::line(&format!(
            "left out: clients from {address} needed no proof there (globalWhiteRemoteAddresses)"
        ));
    }
    for account in plain.accounts {
        let user: UserName = account
            .access_key
            .parse()
            .map_err(anyhow::Error::msg)
            .with_context(|| format!("account {}", account.access_key))?;
        if account.open_address.is_some() {
            output::line(&format!("left out: whiteRemoteAddress of {user}"));
        }
        let put_user = UserPutRequest {
            user: user.clone(),
            password: Some(account.secret_key.clone()),
            sealed: None,
            kind: Some(account.kind()),
            status: None,
            mode: UserPutMode::Create,
        };
        match server.operate::<UserPut>(&put_user).await {
            Ok(_) => {}
            Err(error) if http::is_conflict(&error) => {
                output::line(&format!("left alone: user {user} is there already"));
                continue;
            }
            Err(error) => return Err(error),
        }
        let policies = account.policies()?;
        if !policies.is_empty() {
            server.operate::<AclPut>(&AclPutRequest { user: user.clone(), policies }).await?;
        }
        output::done(format, &format!("user {user} is made"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_policies() {
        let shown = |role: Role, namespace: Option<&str>| {
            let entries = role.entries(namespace).expect("legal");
            entries.iter().map(|e| format!("{} {}", e.resource, join(&e.actions))).collect::<Vec<_>>()
        };
        assert_eq!(shown(Role::Admin, None), ["* All"]);
        assert_eq!(shown(Role::Viewer, None), ["Topic:* Get,List", "Group:* Get,List", "Cluster:* Get,List"]);
        assert_eq!(shown(Role::Viewer, Some("eu")), ["Topic:eu%* Get,List", "Group:eu%* Get,List"]);
        assert_eq!(shown(Role::Operator, Some("eu")).len(), 2);
    }
}
