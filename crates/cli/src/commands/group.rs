//! `apogee group`.

mod progress;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use model::admin::{DeadLettersResend, DeadLettersResendRequest, GroupDescription};
use model::group::ATTRIBUTE_ORDER_BY;
use model::{GroupConfig, GroupName};
use serde_json::json;

use super::pair;
use super::topic::TopicArg;
use crate::http::{Server, is_conflict, is_not_found, segment};
use crate::output::{self, Format};

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Make a consumer group
    Create(Create),
    /// List consumer groups
    List {
        /// Only names that contain this
        contains: Option<String>,
        /// Also groups of the system
        #[arg(long)]
        all: bool,
    },
    /// Show a consumer group: configuration, members, progress
    Describe { group: GroupArg },
    /// Send dead letters of a consumer group to their original topics again
    Resend(Resend),
    /// Delete a consumer group
    Delete {
        group: GroupArg,
        /// Also forget how far it has come
        #[arg(long)]
        clean_offsets: bool,
    },
    /// Set a group's progress in a topic, also while its members consume
    Reset(progress::Reset),
    /// Leave out all messages of a topic that wait for a group
    Skip { group: GroupArg, topic: TopicArg },
    /// Let a group go on where another one is
    CloneOffsets {
        /// The group whose progress is taken
        from: GroupArg,
        /// The group that is set to it
        to: GroupArg,
        /// Only in this topic
        #[arg(long)]
        topic: Option<TopicArg>,
    },
}

#[derive(Debug, Clone, Args)]
pub struct Create {
    group: GroupArg,
    /// Deliver in order: a message waits for the earlier ones of its queue or message group
    #[arg(long)]
    ordered: Option<bool>,
    /// What waits for what in an ordered group
    #[arg(long)]
    order_by: Option<OrderedBy>,
    /// Retries before a message goes to the dead letters
    #[arg(long)]
    retries: Option<u32>,
    /// Whether its members may consume
    #[arg(long)]
    enabled: Option<bool>,
    /// Attribute `key=value`, may be repeated
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// Change the group if it exists; what is not named stays
    #[arg(long)]
    update: bool,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum OrderedBy {
    /// A message waits for the earlier ones of its message group
    Key,
    /// A message waits for the earlier ones of its queue
    Queue,
}

#[derive(Debug, Clone, Args)]
pub struct Resend {
    group: GroupArg,
    /// Only the message with this id
    #[arg(long, conflicts_with_all = ["from_offset", "to_offset"])]
    message_id: Option<String>,
    /// First offset in the dead letters
    #[arg(long)]
    from_offset: Option<u64>,
    /// First offset that is left alone
    #[arg(long)]
    to_offset: Option<u64>,
}

/// A legal name of a group.
#[derive(Debug, Clone)]
pub struct GroupArg(pub(crate) GroupName);

impl std::str::FromStr for GroupArg {
    type Err = model::NameError;

    fn from_str(text: &str) -> Result<Self, model::NameError> {
        GroupName::new(text).map(Self)
    }
}

impl GroupArg {
    pub(crate) fn path(&self) -> String {
        format!("/api/v1/groups/{}", segment(self.0.as_str()))
    }
}

pub(crate) async fn run(server: &Server, format: Format, command: Command) -> Result<()> {
    match command {
        Command::Create(create) => self::create(server, format, create).await,
        Command::List { contains, all } => list(server, format, contains, all).await,
        Command::Describe { group } => describe(server, format, &group).await,
        Command::Resend(wish) => resend(server, format, wish).await,
        Command::Delete { group, clean_offsets } => {
            let answer = server.delete(&format!("{}?clean_offsets={clean_offsets}", group.path())).await?;
            match format {
                Format::Json => output::json(&answer),
                Format::Text => output::line(&format!("group {} is deleted", group.0)),
            }
            Ok(())
        }
        Command::Reset(reset) => progress::reset(server, format, &reset).await,
        Command::Skip { group, topic } => progress::skip(server, format, &group, &topic).await,
        Command::CloneOffsets { from, to, topic } => {
            progress::clone_offsets(server, format, (&from, &to), topic.as_ref()).await
        }
    }
}

/// Sends again call by call, and tells how far it has come.
async fn resend(server: &Server, format: Format, wish: Resend) -> Result<()> {
    let mut request = DeadLettersResendRequest {
        group: wish.group.0,
        message_id: wish.message_id,
        from_offset: wish.from_offset,
        to_offset: wish.to_offset,
        max: None,
    };
    loop {
        let answer = server.operate::<DeadLettersResend>(&request).await?;
        match format {
            Format::Json => output::json(&json!(answer)),
            Format::Text => output::line(&format!(
                "{} sent again, {} skipped, next is {} of {}",
                answer.resent, answer.skipped, answer.next_offset, answer.end_offset
            )),
        }
        if let Some(error) = answer.error {
            anyhow::bail!("the rest was not sent again: {error}");
        }
        if request.message_id.is_some() || answer.next_offset >= answer.end_offset {
            return Ok(());
        }
        request.from_offset = Some(answer.next_offset);
        // Dead letters that come meanwhile are left alone.
        request.to_offset = Some(answer.end_offset);
    }
}

/// Makes a group that does not exist yet. Answers whether it did not.
pub(crate) async fn ensure(server: &Server, group: &GroupArg) -> Result<bool> {
    match server.put(&format!("{}?update=false", group.path()), &json!({})).await {
        Ok(_) => Ok(true),
        Err(error) if is_conflict(&error) => Ok(false),
        Err(error) => Err(error),
    }
}

async fn create(server: &Server, format: Format, create: Create) -> Result<()> {
    let path = create.group.path();
    let current = if create.update { current(server, &path).await? } else { None };
    let config = create.apply(current);
    let answer = server.put(&format!("{path}?update={}", create.update), &json!(config)).await?;
    match format {
        Format::Json => output::json(&answer),
        Format::Text => {
            let config: GroupConfig = serde_json::from_value(answer)?;
            let order = if config.ordered { "in order" } else { "in any order" };
            let (name, retries) = (config.name, config.retry_max_times);
            output::line(&format!("group {name} is delivered to {order}, with {retries} retries"));
        }
    }
    Ok(())
}

async fn current(server: &Server, path: &str) -> Result<Option<GroupConfig>> {
    match server.get(path).await {
        Ok(found) => Ok(Some(serde_json::from_value::<GroupDescription>(found)?.config)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Create {
    /// The configuration that is wanted, starting from the current one.
    fn apply(&self, current: Option<GroupConfig>) -> GroupConfig {
        let mut config = current.unwrap_or_else(|| GroupConfig::new(self.group.0.clone()));
        config.ordered = self.ordered.unwrap_or(config.ordered);
        if let Some(by) = self.order_by {
            let value = match by {
                OrderedBy::Key => "key",
                OrderedBy::Queue => "queue",
            };
            config.attributes.insert(ATTRIBUTE_ORDER_BY.to_owned(), value.to_owned());
        }
        config.attributes.extend(self.attributes.iter().cloned());
        config.retry_max_times = self.retries.unwrap_or(config.retry_max_times);
        config.consume_enabled = self.enabled.unwrap_or(config.consume_enabled);
        config
    }
}

async fn list(server: &Server, format: Format, contains: Option<String>, all: bool) -> Result<()> {
    let contains = contains.map(|part| format!("&contains={}", segment(&part))).unwrap_or_default();
    let answer = server.get(&format!("/api/v1/groups?all={all}{contains}")).await?;
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let groups: Vec<GroupConfig> = serde_json::from_value(answer)?;
    let row = |group: GroupConfig| {
        vec![
            group.name.to_string(),
            group.ordered.to_string(),
            group.retry_max_times.to_string(),
            group.consume_enabled.to_string(),
        ]
    };
    output::line(&output::table(&["GROUP", "ORDERED", "RETRIES", "ENABLED"], groups.into_iter().map(row)));
    Ok(())
}

async fn describe(server: &Server, format: Format, group: &GroupArg) -> Result<()> {
    let answer = server.get(&group.path()).await?;
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let GroupDescription { config, members, progress } = serde_json::from_value(answer)?;
    output::line(&output::pairs(&[
        ("group", config.name.to_string()),
        ("ordered", config.ordered.to_string()),
        ("retries", config.retry_max_times.to_string()),
        ("enabled", config.consume_enabled.to_string()),
        ("lag", progress.iter().map(|queue| queue.lag).sum::<u64>().to_string()),
    ]));
    let rows =
        members.into_iter().map(|m| vec![m.client_id, m.address, m.language, m.protocol, m.topics.join(" ")]);
    let head = ["MEMBER", "ADDRESS", "LANGUAGE", "PROTOCOL", "TOPICS"];
    output::line(&format!("\n{}", output::table(&head, rows)));
    let rows = progress.into_iter().map(|p| {
        let numbers = [u64::from(p.queue), p.next_offset, p.max_offset, p.in_flight, p.lag];
        std::iter::once(p.topic.to_string()).chain(numbers.iter().map(ToString::to_string)).collect()
    });
    let head = ["TOPIC", "QUEUE", "NEXT", "END", "IN FLIGHT", "LAG"];
    output::line(&format!("\n{}", output::table(&head, rows)));
    Ok(())
}
