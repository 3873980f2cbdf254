//! Applications' own tests, with and without the agent.

use std::process::ExitCode;

use clap::Args;

/// What `harmless` takes.
#[derive(Args)]
pub struct Options {}

/// Measures.
pub fn command(_options: &Options) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written")
}
