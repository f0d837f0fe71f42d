//! `apogee topic`.

use std::collections::BTreeMap;

use anyhow::Result;
use clap::{Args, Subcommand, ValueEnum};
use model::admin::TopicDescription;
use model::topic::ATTRIBUTE_MESSAGE_TYPE;
use model::{TopicConfig, TopicName};
use serde_json::json;

use super::pair;
use crate::http::{Server, is_not_found, segment};
use crate::output::{self, Format};

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Make a topic
    Create(Create),
    /// List topics
    List {
        /// Only names that contain this
        contains: Option<String>,
        /// Also topics of the system, retries and dead letters
        #[arg(long)]
        all: bool,
    },
    /// Show a topic: configuration, queues, groups
    Describe { topic: TopicArg },
    /// Delete a topic and its messages
    Delete { topic: TopicArg },
}

#[derive(Debug, Clone, Args)]
pub struct Create {
    topic: TopicArg,
    /// Queues: how many consumers of a group can work side by side (4.x), and order within each
    #[arg(long, short = 'q')]
    queues: Option<u32>,
    /// Which messages it takes
    #[arg(long = "type", value_enum)]
    kind: Option<Kind>,
    /// Attribute `key=value`, may be repeated
    #[arg(long = "attribute", value_name = "KEY=VALUE", value_parser = pair)]
    attributes: Vec<(String, String)>,
    /// Change the topic if it exists; what is not named stays
    #[arg(long)]
    update: bool,
}

/// What a topic takes (`message.type`).
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Normal,
    Fifo,
    Delay,
    Transaction,
    Priority,
    Lite,
    Mixed,
}

/// A legal name of a topic.
#[derive(Debug, Clone)]
pub struct TopicArg(pub(crate) TopicName);

impl std::str::FromStr for TopicArg {
    type Err = model::NameError;

    fn from_str(text: &str) -> Result<Self, model::NameError> {
        TopicName::new(text).map(Self)
    }
}

impl TopicArg {
    pub(crate) fn path(&self) -> String {
        format!("/api/v1/topics/{}", segment(self.0.as_str()))
    }
}

pub(crate) async fn run(server: &Server, format: Format, command: Command) -> Result<()> {
    match command {
        Command::Create(create) => self::create(server, format, create).await,
        Command::List { contains, all } => list(server, format, contains, all).await,
        Command::Describe { topic } => describe(server, format, &topic).await,
        Command::Delete { topic } => {
            let answer = server.delete(&topic.path()).await?;
            match format {
                Format::Json => output::json(&answer),
                Format::Text => output::line(&format!("topic {} is deleted", topic.0)),
            }
            Ok(())
        }
    }
}

async fn create(server: &Server, format: Format, create: Create) -> Result<()> {
    let path = create.topic.path();
    let current = if create.update { current(server, &path).await? } else { None };
    let config = create.apply(current);
    let answer = server.put(&format!("{path}?update={}", create.update), &json!(config)).await?;
    match format {
        Format::Json => output::json(&answer),
        Format::Text => {
            let config: TopicConfig = serde_json::from_value(answer)?;
            output::line(&format!(
                "topic {} has {} queues and takes {}",
                config.name,
                config.queues(),
                kind_of(&config)
            ));
        }
    }
    Ok(())
}

async fn current(server: &Server, path: &str) -> Result<Option<TopicConfig>> {
    match server.get(path).await {
        Ok(found) => Ok(Some(serde_json::from_value::<TopicDescription>(found)?.config)),
        Err(error) if is_not_found(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

impl Create {
    /// The configuration that is wanted, starting from the current one.
    fn apply(&self, current: Option<TopicConfig>) -> TopicConfig {
        let fresh = || TopicConfig::new(self.topic.0.clone(), model::topic::DEFAULT_QUEUES);
        let mut config = current.unwrap_or_else(fresh);
        if let Some(queues) = self.queues {
            config.read_queues = queues;
            config.write_queues = queues;
        }
        if let Some(value) = self.kind.and_then(|kind| kind.to_possible_value()) {
            config.attributes.insert(ATTRIBUTE_MESSAGE_TYPE.to_owned(), value.get_name().to_uppercase());
        }
        config.attributes.extend(self.attributes.iter().cloned());
        config
    }
}

fn kind_of(config: &TopicConfig) -> String {
    config.attributes.get(ATTRIBUTE_MESSAGE_TYPE).cloned().unwrap_or_else(|| "NORMAL".to_owned())
}

async fn list(server: &Server, format: Format, contains: Option<String>, all: bool) -> Result<()> {
    let contains = contains.map(|part| format!("&contains={}", segment(&part))).unwrap_or_default();
    let answer = server.get(&format!("/api/v1/topics?all={all}{contains}")).await?;
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let topics: Vec<TopicConfig> = serde_json::from_value(answer)?;
    let row = |topic: TopicConfig| vec![topic.name.to_string(), topic.queues().to_string(), kind_of(&topic)];
    output::line(&output::table(&["TOPIC", "QUEUES", "TYPE"], topics.into_iter().map(row)));
    Ok(())
}

async fn describe(server: &Server, format: Format, topic: &TopicArg) -> Result<()> {
    let answer = server.get(&topic.path()).await?;
    if format == Format::Json {
        output::json(&answer);
        return Ok(());
    }
    let TopicDescription { config, queues, groups } = serde_json::from_value(answer)?;
    let attributes: BTreeMap<_, _> =
        config.attributes.iter().filter(|(k, _)| *k != ATTRIBUTE_MESSAGE_TYPE).collect();
    let mut pairs = vec![
        ("topic", config.name.to_string()),
        ("type", kind_of(&config)),
        ("queues to write, to read", format!("{}, {}", config.write_queues, config.read_queues)),
        (
            "may be read, written",
            format!("{}, {}", config.permission.readable(), config.permission.writable()),
        ),
    ];
    for (key, value) in attributes {
        pairs.push(("attribute", format!("{key} = {value}")));
    }
    let groups: Vec<String> = groups.iter().map(ToString::to_string).collect();
    pairs.push(("groups", if groups.is_empty() { "none".to_owned() } else { groups.join(" ") }));
    output::line(&output::pairs(&pairs));
    let rows = queues.into_iter().map(|queue| {
        let count = queue.max_offset.saturating_sub(queue.min_offset);
        vec![
            queue.queue.to_string(),
            queue.min_offset.to_string(),
            queue.max_offset.to_string(),
            count.to_string(),
        ]
    });
    output::line(&format!("\n{}", output::table(&["QUEUE", "FIRST", "END", "MESSAGES"], rows)));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(update: bool) -> Create {
        let attributes = vec![("cleanup.policy".to_owned(), "DELETE".to_owned())];
        let topic = "t".parse().expect("a legal name");
        Create { topic, queues: Some(3), kind: Some(Kind::Fifo), attributes, update }
    }

    #[test]
    fn what_is_named_is_changed_and_the_rest_stays() {
        let made = create(false).apply(None);
        assert_eq!((made.queues(), kind_of(&made).as_str()), (3, "FIFO"));
        let mut old = TopicConfig::new(TopicName::new("t").expect("a legal name"), 16);
        old.ordered = true;
        let changed = Create { queues: None, ..create(true) }.apply(Some(old));
        assert_eq!((changed.queues(), changed.ordered), (16, true));
        assert_eq!(changed.attributes.len(), 2);
    }
}
