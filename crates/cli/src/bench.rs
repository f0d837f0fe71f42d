//! `apogee bench`: a load generator that speaks the protocols of RocketMQ, over real sockets.
//!
//! ```text
//! workers (connections x in flight) -> wire (remoting | grpc) -> engine
//!     |-> pace (rate, count, time)  |-> tally (latencies) -> report
//! ```

mod consume;
mod engine;
mod grpc_wire;
mod pace;
mod produce;
mod progress;
mod queues;
mod remoting_wire;
mod report;
mod start;
mod tally;
mod timers;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, bail};
use base::Doors;
use clap::ValueEnum;
use serde_json::json;

use crate::commands::group::{self, GroupArg};
use crate::commands::topic::TopicArg;
use crate::duration;
use crate::http::{Server, is_conflict};
use crate::output::Format;

use self::pace::Pace;
use self::report::Report;
use self::tally::Tally;
use self::wire::Wire;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// What to measure
    #[arg(long, short, value_enum, default_value_t = Mode::Send)]
    mode: Mode,
    /// Protocol: of RocketMQ 4.x or 5.x
    #[arg(long, short, value_enum, default_value_t = Protocol::Remoting)]
    protocol: Protocol,
    /// Broker, for the protocol of 4.x
    #[arg(long, default_value = "127.0.0.1:10911", value_name = "IP:PORT")]
    broker: SocketAddr,
    /// Endpoints, for the protocol of 5.x
    #[arg(long, default_value = "127.0.0.1:8081", value_name = "IP:PORT")]
    endpoint: SocketAddr,
    /// Topic; made if it does not exist
    #[arg(long, default_value = "bench")]
    topic: TopicArg,
    /// Queues of the topic, if it is made [default: 8; 100 in mode queues]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..))]
    queues: Option<u32>,
    /// Consumer group; made if it does not exist
    #[arg(long, default_value = "bench")]
    group: GroupArg,
    /// Connections
    #[arg(long, short, alias = "threads", default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// Requests of each connection that wait for their answers
    #[arg(long, short, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    in_flight: u32,
    /// Bytes of each body; 128 in mode timers
    #[arg(long, short, default_value_t = 1_024, default_value_if("mode", "timers", "128"), value_parser = clap::value_parser!(u32).range(16..=4_194_304))]
    size: u32,
    /// Messages of each request; 64 in mode timers
    #[arg(long, default_value_t = 1, default_value_if("mode", "timers", "64"), value_parser = clap::value_parser!(u32).range(1..=1_024))]
    batch: u32,
    /// Stop after so many messages
    #[arg(long, short = 'n')]
    count: Option<u64>,
    /// Stop after this time, as 30s, 5m [default: 10s, without --count]
    #[arg(long, short, value_parser = duration::parse)]
    duration: Option<Duration>,
    /// Send so many messages a second; latency then counts from when a message was due
    #[arg(long, short)]
    rate: Option<u64>,
    /// Starts to measure (mode start)
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    runs: u32,
    #[command(flatten)]
    timers: timers::Options,
    #[command(flatten)]
    fleet: queues::Options,
}

impl Args {
    fn queues(&self) -> u32 {
        self.queues.unwrap_or(if self.mode == Mode::Queues { 100 } else { 8 })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// Send as fast as answers come
    Send,
    /// Receive and acknowledge what is there
    Drain,
    /// Send and receive at once; latency from send to receipt
    Endtoend,
    /// From the start of the process to the first message that it accepts
    Start,
    /// Schedule very many timed messages and fire many of them, on a server of their own
    Timers,
    /// Make, fill, restart and delete very many queues, on a server of its own
    Queues,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Protocol {
    Remoting,
    Grpc,
}

impl Protocol {
    const fn name(self) -> &'static str {
        match self {
            Self::Remoting => "remoting",
            Self::Grpc => "grpc",
        }
    }
}

/// What all workers of a run share.
pub(crate) struct Run {
    args: Args,
    doors: Doors,
    pace: Pace,
    tally: Tally,
    /// Told apart from what earlier runs left in the topic.
    id: u64,
}

impl Run {
    fn now(&self) -> Duration {
        self.doors.clock.monotonic()
    }

    async fn connect(&self) -> Result<Vec<Arc<dyn Wire>>> {
        let mut wires: Vec<Arc<dyn Wire>> = Vec::new();
        for _ in 0..self.args.connections {
            wires.push(match self.args.protocol {
                Protocol::Remoting => Arc::new(remoting_wire::connect(self).await?),
                Protocol::Grpc => Arc::new(grpc_wire::connect(self).await?),
            });
        }
        Ok(wires)
    }
}

/// Measures and prints what came out.
pub(crate) async fn run(server: &Server, format: Format, mut args: Args) -> Result<()> {
    if args.mode == Mode::Start {
        return start::run(format, args.runs).await;
    }
    if args.mode == Mode::Timers {
        return timers::run(format, args).await;
    }
    if args.mode == Mode::Queues {
        let Args { connections, in_flight, size, rate, .. } = args;
        let common = queues::Common { queues: args.queues(), connections, in_flight, size, rate };
        return queues::run(format, &args.fleet, common).await;
    }
    if args.count.is_none() && args.duration.is_none() && args.mode != Mode::Drain {
        args.duration = Some(Duration::from_secs(10));
    }
    if args.rate == Some(0) {
        bail!("at a rate of 0 nothing would be sent; leave `--rate` out for as fast as possible");
    }
    prepare(server, &args).await?;
    let doors = Doors::system();
    let pace = Pace::new(Arc::clone(&doors.clock), args.count, args.duration, args.rate);
    let id = doors.chance.next_u64();
    let run = Arc::new(Run { args, doors, pace, tally: Tally::default(), id });
    let wires = run.connect().await?;
    run.pace.start();
    let progress = progress::show(&run);
    let outcome = match run.args.mode {
        Mode::Send | Mode::Start | Mode::Timers | Mode::Queues => produce::all(&run, &wires).await,
        Mode::Drain => consume::all(&run, &wires).await,
        Mode::Endtoend => end_to_end(&run, &wires).await,
    };
    progress.finish();
    outcome?;
    Report::of(&run).print(format);
    Ok(())
}

/// Makes the topic and the group.
async fn prepare(server: &Server, args: &Args) -> Result<()> {
    let config = json!({ "read_queues": args.queues(), "write_queues": args.queues() });
    match server.put(&format!("{}?update=false", args.topic.path()), &config).await {
        Err(error) if !is_conflict(&error) => return Err(error),
        _ => {}
    }
    if matches!(args.mode, Mode::Drain | Mode::Endtoend) {
        group::ensure(server, &args.group).await?;
    }
    Ok(())
}

async fn end_to_end(run: &Arc<Run>, wires: &[Arc<dyn Wire>]) -> Result<()> {
    let consumers = run.connect().await?;
    let consumed = consume::all(run, &consumers);
    let produced = async {
        produce::all(run, wires).await?;
        run.tally.producers_done();
        Ok(())
    };
    let (consumed, produced) = futures::future::join(consumed, produced).await;
    produced.and(consumed)
}
