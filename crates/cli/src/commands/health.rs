//! `apogee health`: what is at risk, riskiest first.

use anyhow::Result;
use clap::ValueEnum;
use model::admin::{HealthItem, HealthList, HealthListRequest, HealthReport, HealthSubject};

use super::again;
use crate::http::Server;
use crate::output::{self, Format};

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Only troubles of this kind of thing
    #[arg(long)]
    subject: Option<Subject>,
    /// Most that are listed
    #[arg(long, short = 'n', default_value_t = 20)]
    limit: u32,
    /// Also say what to do
    #[arg(long, short)]
    advice: bool,
    /// Run it again every so many seconds
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5")]
    watch: Option<u64>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Subject {
    Group,
    Topic,
    Producer,
    Node,
}

impl From<Subject> for HealthSubject {
    fn from(subject: Subject) -> Self {
        match subject {
            Subject::Group => Self::Group,
            Subject::Topic => Self::Topic,
            Subject::Producer => Self::Producer,
            Subject::Node => Self::Node,
        }
    }
}

pub(crate) async fn run(server: &Server, format: Format, args: Args) -> Result<()> {
    let request = HealthListRequest { limit: Some(args.limit), subject: args.subject.map(Into::into) };
    again(args.watch, async || {
        let report = server.operate::<HealthList>(&request).await?;
        Ok(match format {
            Format::Json => serde_json::to_string_pretty(&report)?,
            Format::Text => shown(&report, args.advice),
        })
    })
    .await
}

fn shown(report: &HealthReport, with_advice: bool) -> String {
    if report.at_ms == 0 {
        return "nothing was looked at yet".to_owned();
    }
    if report.items.is_empty() {
        return "nothing is at risk".to_owned();
    }
    let row = |item: &HealthItem| {
        let reason =
            if with_advice { format!("{}. {}", item.reason, item.advice) } else { item.reason.clone() };
        let who = format!("{} {}", item.subject.name(), item.name);
        vec![item.score.to_string(), who, item.trouble.name().to_owned(), reason]
    };
    output::table(&["SCORE", "WHO", "TROUBLE", "WHY"], report.items.iter().map(row))
}
