//! `cargo xtask bench`: what the agent costs, and what it misses.
//!
//! Every figure comes from one run on one machine. What is compared is measured in pairs with and without the agent that
//! alternate, so that what else the machine does falls on both; `docs/performance.md` describes the method. All of it is
//! bounded in count and time.
//!
//! | module | what it measures or holds |
//! |---|---|
//! | [`subjects`] | the programs under load, one row each |
//! | [`matrix`] | one subject in pairs of rounds: throughput, latency, processor time, spans delivered |
//! | [`calls`] | programs that make a call for each request: processor time without the agent, with it, with its probes |
//! | [`tls`] | programs that speak TLS: processor time without the agent, and with one that reads TLS or does not |
//! | [`bpf`] | nanoseconds of BPF per socket operation |
//! | [`first`] | time from start to first span |
//! | [`memory`] | resident memory: idle, with many connections, after many |
//! | [`growth`] | memory and processor time as load, connections and processes grow ×100 |
//! | [`agent`] | the agent under measurement |
//! | [`server`] | a program under load: process, folder, first answer |
//! | [`load`] | a subject at its limit |
//! | [`client`] | requests at a fixed rate, connections held and churned, servers by the hundred |
//! | [`cpu`] | processor time of others |
//! | [`mark`] | what tells our requests from others |
//! | [`sink`] | takes the spans and counts them |
//! | [`stats`] | medians, bootstrap intervals, exponents |
//! | [`report`] | the tables, the JSON file, and what changed between two |

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::builder::PossibleValuesParser;
use clap::{Args, Subcommand, ValueEnum};

use self::report::{Conditions, Report};
use self::subjects::{SUBJECTS, go, nginx};
use self::tls::SECURED;
use crate::{build, paths, services, shell};

mod agent;
mod bpf;
mod calls;
pub mod client;
mod cpu;
mod first;
mod growth;
mod load;
mod mark;
mod matrix;
mod memory;
mod report;
mod server;
mod sink;
mod stats;
mod subjects;
mod tls;

/// Where the agent sends its spans while it is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Sink {
    /// OTLP over HTTP to a receiver on this machine, as in production.
    Otlp,
    /// `--output json` into a pipe.
    Json,
    /// Nowhere: the agent's own cost, without a receiver that takes processor time too.
    None,
}

/// Measurements that are no subject, for `--only`.
const PARTS: [&str; 4] = ["calls", "first", "memory", "growth"];

fn selectable() -> PossibleValuesParser {
    PossibleValuesParser::new(
        SUBJECTS.iter().map(|subject| subject.key).chain(PARTS).chain(SECURED.iter().map(|secured| secured.key)),
    )
}

/// What `cargo xtask bench` takes.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    /// A few short rounds with some of the programs: about a minute instead of twenty.
    #[arg(long, alias = "quick")]
    short: bool,
    /// Where the agent sends its spans.
    #[arg(long, value_enum, default_value = "otlp")]
    sink: Sink,
    /// Only these measurements.
    #[arg(long, value_parser = selectable(), value_delimiter = ',')]
    only: Vec<String>,
    /// Measure this agent instead of building one.
    #[arg(long)]
    agent: Option<PathBuf>,
    /// An argument for the agent, such as --agent-arg=--exclude=exe:*/rustc; may be repeated.
    #[arg(long)]
    agent_arg: Vec<String>,
    /// Where bench.md and bench.json are written. Default: target/bench.
    #[arg(long)]
    out: Option<PathBuf>,
    #[command(subcommand)]
    action: Option<Action>,
}

impl Options {
    /// Whether a subject or a part is to be measured, which `usually` says if nothing else does.
    fn wants(&self, name: &str, usually: bool) -> bool {
        if self.only.is_empty() { usually } else { self.only.iter().any(|wanted| wanted == name) }
    }
}

#[derive(Subcommand)]
enum Action {
    /// Which figures of two runs differ by more than their noise.
    Compare {
        /// `bench.json` of the older commit.
        old: PathBuf,
        /// `bench.json` of the newer.
        new: PathBuf,
    },
}

/// How much to do.
pub struct Size {
    /// Pairs of rounds with and without the agent; even, so that each order comes as often.
    pairs: usize,
    /// Seconds of each round at the limit.
    seconds: u32,
    /// Seconds of each round at the fixed rate.
    paced_seconds: f64,
    /// Rounds of one second in which the BPF programs are timed.
    bpf_rounds: usize,
    /// Rounds of the steps of growth, and seconds of each.
    growth_rounds: usize,
    growth_seconds: f64,
    /// Connections held open.
    connections: u32,
    /// Short connections made one after the other: an hour's worth at 28 a second.
    churn: u32,
    /// All subjects and parts, or the short run's.
    all: bool,
}

const FULL: Size = Size {
    pairs: 8,
    seconds: 3,
    paced_seconds: 2.0,
    bpf_rounds: 3,
    growth_rounds: 3,
    growth_seconds: 4.0,
    connections: 10_000,
    churn: 100_000,
    all: true,
};
const SHORT: Size = Size {
    pairs: 4,
    seconds: 1,
    paced_seconds: 1.0,
    bpf_rounds: 2,
    growth_rounds: 1,
    growth_seconds: 1.0,
    connections: 10_000,
    churn: 20_000,
    all: false,
};

/// The short run, for whoever changes something: its figures are shown, and fail nothing.
pub fn short(agent: &Path) -> Result<()> {
    shell::say("bench, the short form");
    let me = std::env::current_exe().context("this program has no path")?;
    let mut command = if shell::is_root() { Command::new(me) } else { shell::as_root(me) };
    shell::run(command.args(["bench", "--short", "--agent"]).arg(agent))
}

/// `cargo xtask bench`.
pub fn command(options: &Options) -> Result<()> {
    if let Some(Action::Compare { old, new }) = &options.action {
        return report::compare::command(old, new);
    }
    let binary = match &options.agent {
        Some(binary) => binary.clone(),
        None => build::build()?,
    };
    services::setup()?;
    if options.wants(go::SUBJECT.key, !options.short) {
        // As us: what root installs, we could not replace.
        services::go()?;
    }
    if !shell::is_root() {
        return again_as_root(options, &binary);
    }
    let report = measure(options, &binary)?;
    let folder = options.out.clone().map_or_else(|| Ok(paths::target()?.join("bench")), anyhow::Ok)?;
    report.write(&folder)?;
    println!("{}", report.markdown());
    shell::say(format!("the same is in {} as bench.md and bench.json", folder.display()));
    Ok(())
}

fn measure(options: &Options, binary: &Path) -> Result<Report> {
    let size = if options.short { &SHORT } else { &FULL };
    let arguments = options.agent_arg.clone();
    let agent = agent::Agent { binary: binary.to_owned(), sink: options.sink, arguments };
    let mut report = Report::new(Conditions::read(&agent, size));
    if options.wants("first", options.sink != Sink::None) {
        shell::say("time from start to first span");
        first::measure(&agent, &nginx::start()?, size, &mut report).context("time to first span")?;
    }
    for subject in &SUBJECTS {
        if options.wants(subject.key, size.all || subject.short) {
            matrix::measure(subject, &agent, size, &mut report).context(subject.title)?;
        }
    }
    if options.wants("calls", size.all) {
        calls::measure(&agent, size, &mut report).context("calls")?;
    }
    tls::measure(options, &agent, size, &mut report).context("tls")?;
    if options.wants("memory", size.all) {
        shell::say("resident memory");
        memory::measure(&agent, &nginx::start()?, size, &mut report).context("memory")?;
    }
    if options.wants("growth", true) {
        shell::say("growth");
        growth::measure(&agent, size, &mut report)?;
    }
    Ok(report)
}

/// Becomes the same command under sudo, with what was built as us.
fn again_as_root(options: &Options, binary: &Path) -> Result<()> {
    let me = std::env::current_exe().context("this program has no path")?;
    let mut command: Command = shell::as_root(me);
    command.args(std::env::args_os().skip(1));
    if options.agent.is_none() {
        command.arg("--agent").arg(binary);
    }
    Err(command.exec()).context("cannot become root with sudo")
}
