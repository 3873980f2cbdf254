//! The agent's binary: built, and started.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Args;

use crate::{ebpf, paths, shell};

/// What `cargo xtask run` takes.
#[derive(Args)]
pub struct RunOptions {
    /// Passed on to wirespan.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Builds the BPF object and the agent that embeds it; returns the agent's path.
pub fn build() -> Result<PathBuf> {
    ebpf::build_host()?;
    shell::run(shell::host_cargo().args(["build", "--locked", "--release", "--package", "wirespan"]))?;
    paths::agent()
}

/// `cargo xtask run`: becomes the agent, so that signals and the exit status are the agent's own.
pub fn run(options: &RunOptions) -> Result<()> {
    let agent = build()?;
    if !shell::is_root() {
        shell::say("starting wirespan with sudo: loading BPF programs is root's privilege");
    }
    let error = shell::as_root(&agent).args(&options.arguments).exec();
    Err(error).with_context(|| format!("cannot start {}", agent.display()))
}
