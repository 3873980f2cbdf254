//! `cargo xtask accuracy`, `harmless`, `kubernetes`, `memory`, `losses` and `timesplit`: builds the agent and the rulers, installs what they need, runs
//! them as root.

use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::Args;

use crate::{build, kubernetes, paths, services, shell};

/// What every change must pass.
const GATE: [&str; 4] = ["accuracy", "harmless", "memory", "losses"];

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
    if ruler == "kubernetes" {
        kubernetes::setup()?;
    }
    Ok(if run(ruler, &options.arguments, &agent)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The short forms, which guard every change: how many passed, and which failed. What the agent costs is shown and fails nothing.
pub fn gate(agent: &Path) -> Result<(usize, Vec<&'static str>)> {
    let mut failed = Vec::new();
    for ruler in GATE {
        shell::say(format!("{ruler}, the short form"));
        if !run(ruler, &["--short".to_owned()], agent)? {
            failed.push(ruler);
        }
    }
    Ok((GATE.len() - failed.len(), failed))
}

/// Whether `ruler` is content with the agent at `agent`.
fn run(ruler: &str, arguments: &[String], agent: &Path) -> Result<bool> {
    // As the tests that it shares its crates with, so that they are built once.
    shell::run(shell::host_cargo().args(["build", "--locked", "--package", "wirespan-rulers"]))?;
    let binary = paths::target()?.join("debug/wirespan-rulers");
    let mut command = if shell::is_root() { Command::new(&binary) } else { shell::as_root(&binary) };
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("WIRESPAN_BIN", agent);
    command.env("WIRESPAN_KUBERNETES", kubernetes::folder()?);
    let status = command.arg(ruler).args(arguments).current_dir(paths::workspace()).status();
    Ok(status.with_context(|| format!("cannot start {}", binary.display()))?.success())
}
