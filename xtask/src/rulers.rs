//! `cargo xtask accuracy`, `harmless`, `kubernetes`, `memory`, `losses` and `timesplit`: builds the agent and the rulers, installs what they need, runs
//! them as root.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use clap::Args;

use crate::failures::Failures;
use crate::{build, kubernetes, paths, services, shell};

/// What every change must pass.
const GATE: [&str; 4] = ["accuracy", "harmless", "memory", "losses"];

/// About so many bytes of what is wrong are kept.
const SAID: usize = 4096;

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
    let wrong = run(ruler, &options.arguments, &agent)?;
    Ok(if wrong.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The short forms, which guard every change: how many passed, and what failed. What the agent costs is shown and fails nothing.
pub fn gate(agent: &Path, failures: &mut Failures) -> Result<(usize, usize)> {
    let mut failed = 0;
    for ruler in GATE {
        shell::say(format!("{ruler}, the short form"));
        if let Some(wrong) = run(ruler, &["--short".to_owned()], agent)? {
            failures.add(ruler, &wrong);
            failed += 1;
        }
    }
    Ok((GATE.len() - failed, failed))
}

/// What `ruler` finds wrong with the agent at `agent`: what it wrote from its last line `Error: …` on.
fn run(ruler: &str, arguments: &[String], agent: &Path) -> Result<Option<String>> {
    // As the tests that it shares its crates with, so that they are built once.
    shell::run(shell::host_cargo().args(["build", "--locked", "--package", "wirespan-rulers"]))?;
    let binary = paths::target()?.join("debug/wirespan-rulers");
    let mut command = if shell::is_root() { Command::new(&binary) } else { shell::as_root(&binary) };
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin")).env("WIRESPAN_BIN", agent);
    command.env("WIRESPAN_KUBERNETES", kubernetes::folder()?);
    command.arg(ruler).args(arguments).current_dir(paths::workspace()).stderr(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start {}", binary.display()))?;
    let mut wrong = String::new();
    for line in BufReader::new(child.stderr.take().context("a ruler has no standard error")?).lines() {
        let line = line.context("a ruler's standard error is not text")?;
        eprintln!("{line}");
        if let Some(error) = line.strip_prefix("Error: ") {
            wrong = format!("{error}\n");
        } else if !wrong.is_empty() && wrong.len() < SAID {
            wrong += &line;
            wrong.push('\n');
        }
    }
    let status = child.wait().context("a ruler is lost")?;
    Ok((!status.success()).then(|| if wrong.is_empty() { status.to_string() } else { wrong }))
}
