//! `cargo xtask`: set up, build, run, test and measure wirespan.
//!
//! | module | what it does |
//! |---|---|
//! | [`shell`] | runs commands and says so |
//! | [`paths`] | where the workspace and its results are |
//! | [`apt`] | installs distribution packages that are missing |
//! | [`ebpf`] | the BPF toolchain and the BPF object |
//! | [`build`] | the agent's binary |
//! | [`lint`] | format, clippy, documentation, licences |
//! | [`services`] | programs that the tests talk to |
//! | [`mod@test`] | every test there is |
//! | [`vm`] | the kernel matrix |
//! | [`fuzz`] | hostile input for the parsers |
//! | [`kubernetes`] | the API server and Helm that a ruler needs |
//! | [`rulers`] | are the links right, is nothing harmed |
//! | [`mod@bench`] | what the agent costs, and what it misses |
//!
//! Every command installs what it needs and lacks, says what and why, and does nothing the second time.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod apt;
mod bench;
mod build;
mod ebpf;
mod failures;
mod fuzz;
mod kubernetes;
mod lint;
mod paths;
mod rulers;
mod services;
mod shell;
mod test;
mod vm;

/// Set up, build, run, test and measure wirespan.
#[derive(Parser)]
#[command(name = "cargo xtask", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Install all that the other commands need: BPF toolchain, test services, emulator.
    Setup,
    /// Build the agent with its BPF programs: target/release/wirespan.
    Build,
    /// Build the BPF programs alone.
    BuildEbpf(ebpf::Options),
    /// Build the agent and start it, as root.
    Run(build::RunOptions),
    /// Format, clippy, documentation and licences.
    Lint,
    /// Every test: unit, end-to-end, kernel matrix.
    Test(test::Options),
    /// Trace a real exchange on every kernel of the matrix, or run a command on one.
    Vm(vm::Options),
    /// What the agent costs, and what it misses.
    Bench(bench::Options),
    /// Whether every link is right, against ground truth, for many programs under load.
    Accuracy(rulers::Options),
    /// Whether applications' own tests give the same results with the agent attached.
    Harmless(rulers::Options),
    /// Whether the bound on memory holds under attack.
    Memory(rulers::Options),
    /// Whether pods have their names: the chart, and an agent, with the real API server (5 minutes to build, once).
    Kubernetes(rulers::Options),
    /// Whether a response ever goes to another request where records are lost.
    Losses(rulers::Options),
    /// Whether spans say right where their time went, against what their threads' own clocks say.
    Timesplit(rulers::Options),
    /// Feed hostile bytes to the protocol parsers.
    Fuzz(fuzz::Options),
    /// Connections for `bench`, in a process of their own.
    #[command(hide = true)]
    BenchClient(bench::client::Options),
}

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        // The chain of causes in one line; a backtrace into xtask helps nobody.
        shell::say(format!("{error:#}"));
        ExitCode::FAILURE
    })
}

fn run() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Setup => setup()?,
        Command::Build => build::build().map(drop)?,
        Command::BuildEbpf(options) => ebpf::command(&options)?,
        Command::Run(options) => build::run(&options)?,
        Command::Lint => lint::command()?,
        Command::Test(options) => return test::command(&options),
        Command::Bench(options) => bench::command(&options)?,
        Command::Accuracy(options) => return rulers::command("accuracy", &options),
        Command::Harmless(options) => return rulers::command("harmless", &options),
        Command::Memory(options) => return rulers::command("memory", &options),
        Command::Kubernetes(options) => return rulers::command("kubernetes", &options),
        Command::Losses(options) => return rulers::command("losses", &options),
        Command::Timesplit(options) => return rulers::command("timesplit", &options),
        Command::Fuzz(options) => fuzz::command(&options)?,
        Command::BenchClient(options) => bench::client::command(&options)?,
        Command::Vm(options) => return vm::command(&options),
    }
    Ok(ExitCode::SUCCESS)
}

fn setup() -> anyhow::Result<()> {
    ebpf::setup()?;
    services::setup()?;
    vm::setup()
}
