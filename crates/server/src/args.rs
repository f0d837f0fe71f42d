//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use anyhow::Result;
use clap::{CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

use crate::config::Config;
use crate::config::load::{Overrides, default_file, load};

/// A message engine that RocketMQ clients, old and new, talk to unchanged.
///
/// Without a command it starts the engine, as `apogee serve` does.
#[derive(Debug, Parser)]
#[command(name = "apogee", version, args_conflicts_with_subcommands = true, max_term_width = 100)]
pub struct Args {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub serve: ServeArgs,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Start the engine
    Serve(ServeArgs),
    /// Check the data folder of a stopped engine
    Verify(VerifyArgs),
    /// Tell whether the engine would run well here: settings, memory, files, disk, clock, ports
    Doctor(ServeArgs),
    /// Print the settings in force
    Config(ServeArgs),
    /// Print the description of the HTTP API (OpenAPI 3.1)
    Openapi,
    /// Print what makes a shell complete commands, as `source <(apogee completion bash)`
    Completion { shell: Shell },
    #[command(flatten)]
    Tool(Box<cli::Command>),
}

#[derive(Debug, Clone, Default, clap::Args)]
pub struct ServeArgs {
    /// Configuration file [default: apogee.toml, if there is one here]
    #[arg(long, value_name = "FILE", env = "APOGEE_CONFIG", hide_env_values = true)]
    pub config: Option<PathBuf>,
    /// Folder for data [default: apogee-data]
    #[arg(long, value_name = "FOLDER")]
    pub data_dir: Option<PathBuf>,
    /// Keep data in a temporary folder, which is removed at the end
    #[arg(long, conflicts_with = "data_dir")]
    pub ephemeral: bool,
    /// Address that all listeners take; 0.0.0.0 lets other machines connect
    #[arg(long, value_name = "IP")]
    pub bind: Option<IpAddr>,
}

#[derive(Debug, Clone, clap::Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    pub serve: ServeArgs,
    /// Check only what is on disk; do not derive the state anew
    #[arg(long)]
    pub quick: bool,
}

/// The help of all commands, in Markdown: the page `docs/cli.md`.
#[must_use]
pub fn page() -> String {
    let mut out = "# Command line\n\nMade from the source; do not edit.\n".to_owned();
    describe(&Args::command().term_width(100), &mut Vec::new(), &mut out);
    out
}

fn describe(command: &clap::Command, path: &mut Vec<String>, out: &mut String) {
    path.push(command.get_name().to_owned());
    let name = path.join(" ");
    let help = command.clone().term_width(100).bin_name(name.as_str()).render_help().to_string();
    let help: Vec<&str> = help.lines().map(str::trim_end).collect();
    *out += &format!("\n## `{name}`\n\n```text\n{}\n```\n", help.join("\n").trim_end());
    for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
        describe(inner, path, out);
    }
    path.pop();
}

impl ServeArgs {
    /// The file that is read, if any.
    #[must_use]
    pub fn file(&self) -> Option<PathBuf> {
        self.config.clone().or_else(default_file)
    }

    /// The settings in force.
    ///
    /// # Errors
    /// If they are malformed or do not fit together.
    pub fn config(&self) -> Result<Config> {
        let overrides = Overrides { data_dir: self.data_dir.clone(), bind: self.bind };
        let config = load(self.file().as_deref(), std::env::vars(), &overrides)?;
        Ok(config.within_memory(base::memory::machine_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_page_is_not_stale() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/cli.md");
        if std::env::var_os("UPDATE_PAGES").is_some() {
            std::fs::write(path, page()).expect("it is writable");
        }
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        assert!(committed == page(), "docs/cli.md is stale: run `UPDATE_PAGES=1 cargo test -p server page`");
    }

    #[test]
    fn tools_take_their_arguments() {
        let legal = [
            "topic create t -q 4 --type fifo --attribute a=b --update",
            "topic list part --all --json",
            "topic describe %DLQ%g",
            "group create g --ordered true --retries 3",
            "group delete g --clean-offsets",
            "user create alice --secret s --kind super --as root",
            "user update alice --status disable",
            "acl put alice Topic:orders-* Pub,Sub --source 10.0.0.0/8 --deny",
            "acl grant alice operator --namespace eu",
            "acl explain alice Pub Topic:orders --from 10.0.0.1",
            "acl import plain_acl.yml",
            "top -n 5 --once",
            "support-bundle -o f.json",
            "health --subject group -n 5 --advice --watch 3",
            "send t -b hello -t tag -k k1 --key k2 -p a=b --delay 30s -n 5 --server http://h:1",
            "receive t -g g -n 10 -w 1m --ack --tags a",
            "bench --protocol grpc --mode endtoend --threads 2 --in-flight 4 --size 64 --rate 100 -d 5s",
            "bench -m start --runs 3",
            "admin topic.put --config.name t --config.read_queues 4",
            "admin rates.list --of received --watch 5 --json",
            "bench -m queues --topics 10 --queues 4 --lite --checks 5",
        ];
        for line in legal {
            let args = Args::try_parse_from(std::iter::once("apogee").chain(line.split(' ')));
            assert!(matches!(args.map(|a| a.command), Ok(Some(Command::Tool(_)))), "{line}");
        }
        let illegal = [
            "topic create",
            "topic create t!",
            "send t -b x -f y",
            "send t -p novalue",
            "send t -n 0",
            "receive t",
            "receive t -g g -w soon",
            "receive t -g g --tags a --sql b",
            "admin topic.put",
            "admin nonsense",
            "bench --size 1",
            "acl put alice Queue:q Pub",
            "acl put alice Topic:t",
            "user create a:b",
            "nonsense",
        ];
        for line in illegal {
            assert!(
                Args::try_parse_from(std::iter::once("apogee").chain(line.split(' '))).is_err(),
                "{line}"
            );
        }
    }

    #[test]
    fn no_command_means_serve() {
        let args = Args::try_parse_from(["apogee", "--ephemeral", "--bind", "0.0.0.0"]).expect("legal");
        assert!(args.command.is_none() && args.serve.ephemeral);
        let args = Args::try_parse_from(["apogee", "serve", "--data-dir", "/d"]).expect("legal");
        assert!(matches!(args.command, Some(Command::Serve(serve)) if serve.data_dir == Some("/d".into())));
        assert!(Args::try_parse_from(["apogee", "serve", "--data-dir", "/d", "--ephemeral"]).is_err());
    }
}
