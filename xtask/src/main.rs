//! `cargo xtask`: set up, build, run, test and measure wirespan.
//!
//! | module | what it does |
//! |---|---|
//! | [`shell`] | runs commands and says so |
//! | [`paths`] | where the workspace and its results are |
//! | [`apt`] | installs distribution packages that are missing |
//! | [`ebpf`] | the BPF toolchain and the BPF object |
//! | [`build`] | the agent's binary |
//!
//! Every command installs what it needs and lacks, says what and why, and does nothing the second time.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod apt;
mod build;
mod ebpf;
mod paths;
mod shell;
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
    /// Install the BPF toolchain.
    Setup,
    /// Build the agent with its BPF programs: target/release/wirespan.
    Build,
    /// Build the BPF programs alone.
    BuildEbpf(ebpf::Options),
    /// Build the agent and start it, as root.
    Run(build::RunOptions),
    /// Trace a real exchange on every kernel of the matrix, or run a command on one.
    Vm(vm::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().command {
        Command::Setup => ebpf::setup()?,
        Command::Build => build::build().map(drop)?,
        Command::BuildEbpf(options) => ebpf::command(&options)?,
        Command::Run(options) => build::run(&options)?,
        Command::Vm(options) => return vm::command(&options),
    }
    Ok(ExitCode::SUCCESS)
}
