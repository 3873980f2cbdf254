//! `cargo xtask accuracy` and `cargo xtask harmless`: builds the agent and the rulers, installs what they need, runs them as root.

use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::{build, paths, services, shell};

/// What both take: their own arguments, see `--help` behind `--`.
#[derive(Args)]
pub struct Options {
    /// Passed on, e.g. `--short`.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    arguments: Vec<String>,
}

/// Runs `ruler`; its exit status is ours.
pub fn command(ruler: &str, options: &Options) -> Result<ExitCode> {
    let agent = build::build()?;
    services::setup()?;
    if ruler == "harmless" && !options.arguments.iter().any(|argument| argument == "--short" || argument == "--list") {
        services::setup_suites()?;
    }
    shell::run(shell::host_cargo().args(["build", "--release", "--locked", "--package", "wirespan-rulers"]))?;
    let binary = paths::target()?.join("release/wirespan-rulers");
    let mut command = if shell::is_root() { Command::new(&binary) } else { shell::as_root(&binary) };
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("WIRESPAN_BIN", &agent);
    let status = command.arg(ruler).args(&options.arguments).current_dir(paths::workspace()).status();
    let status = status.with_context(|| format!("cannot start {}", binary.display()))?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
