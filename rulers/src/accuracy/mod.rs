//! Link accuracy against ground truth.

use std::process::ExitCode;

use clap::Args;

/// What `accuracy` takes.
#[derive(Args)]
pub struct Options {}

/// Measures.
pub fn command(_options: &Options) -> anyhow::Result<ExitCode> {
    anyhow::bail!("not written")
}
