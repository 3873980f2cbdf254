//! The rulers: is every link right, is nothing harmed, is memory bounded. Run by `cargo xtask accuracy`, `harmless` and `memory`, which
//! build the agent and install what the programs need.
//!
//! | module | what it is |
//! |---|---|
//! | [`accuracy`] | link accuracy against ground truth |
//! | [`stacks`] | the programs that accuracy runs |
//! | [`harmless`] | applications' own tests with and without the agent |
//! | [`memory`] | whether the bound on memory holds |
//! | [`kubernetes`] | pods by their names, with the real API server |
//! | [`losses`] | responses never go to another request where records are lost |
//! | [`timesplit`] | where the time of requests went |
//! | [`verdict`] | what a ruler says last |

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use wirespan_rulers::stacks;

mod accuracy;
mod harmless;
mod kubernetes;
mod losses;
mod memory;
mod timesplit;
mod verdict;

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
    /// Whether the bound on memory holds under attack.
    Memory(memory::Options),
    /// Pods by their names, with the real API server.
    Kubernetes(kubernetes::Options),
    /// Numbered requests and responses while records are lost.
    Losses(losses::Options),
    /// Where spans say that their time went, against what their threads' own clocks say.
    Timesplit(timesplit::Options),
}

fn main() -> anyhow::Result<ExitCode> {
    match Arguments::parse().ruler {
        Ruler::Accuracy(options) => accuracy::command(&options),
        Ruler::Harmless(options) => harmless::command(&options),
        Ruler::Memory(options) => memory::command(&options),
        Ruler::Kubernetes(options) => kubernetes::command(&options),
        Ruler::Losses(options) => losses::command(&options),
        Ruler::Timesplit(options) => timesplit::command(&options),
    }
}
