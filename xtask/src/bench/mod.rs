//! `cargo xtask bench`: what the agent costs, and what it misses.
//!
//! Every figure comes from one run on one machine. Throughput is a ratio of rounds with and without the agent that
//! alternate, so that what else the machine does falls on both. All of it is bounded in count and time.
//!
//! | module | what it measures or holds |
//! |---|---|
//! | [`throughput`] | requests/s with ÷ without; CPU of the agent per request; spans delivered ÷ requests made |
//! | [`bpf`] | nanoseconds of BPF per socket operation |
//! | [`memory`] | resident memory: idle, with many connections, after many |
//! | [`first`] | time from start to first span |
//! | [`agent`] | the agent under measurement |
//! | [`server`] | the programs under load |
//! | [`client`] | connections held and connections churned |
//! | [`sink`] | takes the spans and counts them |
//! | [`report`] | the table and the JSON file |

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{build, paths, services, shell};

mod agent;
mod bpf;
pub mod client;
mod first;
mod memory;
mod report;
mod server;
mod sink;
mod throughput;

/// Where the agent sends its spans while it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sink {
    /// OTLP over HTTP to a receiver on this machine, as in production.
    Otlp,
    /// `--output json` into a pipe.
    Json,
}

/// One of the measurements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// nginx, a tiny static file.
    Nginx,
    /// Flask under gunicorn.
    Flask,
    /// Time in the BPF programs.
    Bpf,
    /// Resident memory.
    Memory,
    /// Start to first span.
    First,
}

/// What `cargo xtask bench` takes.
#[derive(Args)]
pub struct Options {
    /// Fewer and shorter rounds: under two minutes instead of six.
    #[arg(long)]
    quick: bool,
    /// Where the agent sends its spans.
    #[arg(long, value_enum, default_value = "otlp")]
    sink: Sink,
    /// Only these measurements.
    #[arg(long, value_enum)]
    only: Vec<Part>,
    /// Measure this agent instead of building one.
    #[arg(long)]
    agent: Option<PathBuf>,
}

/// How much to do.
struct Size {
    /// Pairs of rounds with and without the agent.
    rounds: usize,
    /// Seconds of each round.
    seconds: u32,
    /// Connections held open.
    connections: u32,
    /// Short connections made one after the other: an hour's worth at 28 a second.
    churn: u32,
}

const FULL: Size = Size { rounds: 7, seconds: 5, connections: 10_000, churn: 100_000 };
const QUICK: Size = Size { rounds: 3, seconds: 3, connections: 10_000, churn: 20_000 };

/// `cargo xtask bench`.
pub fn command(options: &Options) -> Result<()> {
    let binary = match &options.agent {
        Some(binary) => binary.clone(),
        None => build::build()?,
    };
    services::setup()?;
    if !shell::is_root() {
        return again_as_root(options, &binary);
    }
    let report = measure(options, &binary)?;
    let folder = paths::target()?.join("bench");
    report.write(&folder)?;
    println!("{}", report.markdown());
    shell::say(format!("the same is in {} as bench.md and bench.json", folder.display()));
    Ok(())
}

fn measure(options: &Options, binary: &Path) -> Result<report::Report> {
    let size = if options.quick { &QUICK } else { &FULL };
    let wants = |part: Part| options.only.is_empty() || options.only.contains(&part);
    let mut report = report::Report::new(options.sink, size)?;
    let agent = agent::Agent { binary: binary.to_owned(), sink: options.sink };
    let nginx = server::nginx()?;
    if wants(Part::First) {
        shell::say("time from start to first span");
        first::measure(&agent, &nginx, size, &mut report).context("time to first span")?;
    }
    if wants(Part::Nginx) {
        shell::say("nginx: requests/s with and without the agent");
        throughput::measure("nginx, tiny static file", &agent, &nginx, size, &mut report).context("nginx")?;
    }
    if wants(Part::Bpf) {
        shell::say("time in the BPF programs");
        bpf::measure(&agent, &nginx, size, &mut report).context("BPF run time")?;
    }
    if wants(Part::Memory) {
        shell::say("resident memory");
        memory::measure(&agent, &nginx, size, &mut report).context("memory")?;
    }
    drop(nginx);
    if wants(Part::Flask) {
        shell::say("Flask: requests/s with and without the agent");
        let flask = server::flask()?;
        throughput::measure("Flask under gunicorn", &agent, &flask, size, &mut report).context("Flask")?;
    }
    Ok(report)
}

/// Becomes the same command under sudo, with what was built as us.
fn again_as_root(options: &Options, binary: &Path) -> Result<()> {
    let me = std::env::current_exe().context("this program has no path")?;
    let mut command: Command = shell::as_root(me);
    command.arg("bench").arg("--agent").arg(binary);
    let sink = options.sink.to_possible_value().context("a sink without a name")?;
    command.arg("--sink").arg(sink.get_name());
    if options.quick {
        command.arg("--quick");
    }
    for part in options.only.iter().filter_map(Part::to_possible_value) {
        command.arg("--only").arg(part.get_name());
    }
    Err(command.exec()).context("cannot become root with sudo")
}
