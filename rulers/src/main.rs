//! The rulers: is every link right, is nothing harmed. Run by `cargo xtask accuracy` and `cargo xtask harmless`, which
//! build the agent and install what the programs need.
//!
//! | module | what it is |
//! |---|---|
//! | [`accuracy`] | link accuracy against ground truth |
//! | [`stacks`] | the programs that accuracy runs |
//! | [`harmless`] | applications' own tests with and without the agent |

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wirespan_rulers::stacks;

mod accuracy;
mod harmless;

/// Measures the agent that WIRESPAN_BIN names, or the release build of this workspace.
#[derive(Parser)]
#[command(name = "wirespan-rulers", version, disable_help_subcommand = true)]
struct Arguments {
    #[command(subcommand)]
    ruler: Ruler,
}

#[derive(Subcommand)]
enum Ruler {
    /// Link accuracy against ground truth.
    Accuracy(accuracy::Options),
    /// Applications' own tests, with and without the agent.
    Harmless(harmless::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().ruler {
        Ruler::Accuracy(options) => accuracy::command(&options),
        Ruler::Harmless(options) => harmless::command(&options),
    }
}
