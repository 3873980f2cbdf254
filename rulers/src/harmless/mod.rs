//! Whether anything is harmed: the same program runs without and with the agent at its most intrusive, and must say the same.
//!
//! | module | what it is |
//! |---|---|
//! | [`registry`] | every check, one line each |
//! | [`check`] | a check, what it gives, and the world it runs in |
//! | [`compare`] | two outcomes test by test; flaky or harmed |
//! | [`pairs`] | runs a check without and with, and again where they differ |
//! | [`agent`], [`sink`] | the intrusive agent, and where its spans go |
//! | [`process`], [`packages`] | commands with a deadline; suites and programs that are fetched |
//! | [`sockets`], [`transfers`] | programs of ours: socket semantics, files byte for byte |
//! | [`suites`] | applications' own tests |
//! | [`chaos`] | the agent killed, stopped and restarted under load |
//! | [`probed`] | programs that are probed, and what can happen to those |
//! | [`report`] | the table and the JSON |

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Args;

mod agent;
mod chaos;
mod check;
mod compare;
mod packages;
mod pairs;
mod probed;
mod process;
mod registry;
mod report;
pub mod sink;
mod sockets;
mod suites;
mod transfers;

use crate::verdict;
use check::World;

/// What `harmless` takes.
#[derive(Args)]
pub struct Options {
    /// The form for CI: socket semantics, small transfers, two modules of CPython's suite, a short chaos.
    #[arg(long)]
    short: bool,
    /// Only the checks whose name contains this; may be repeated.
    #[arg(long, value_name = "NAME")]
    only: Vec<String>,
    /// Writes the table into this file as well, and the JSON beside it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Says which checks there are.
    #[arg(long)]
    list: bool,
}

/// Runs the checks; the exit status is a failure if anything was harmed or a check could not run.
pub fn command(options: &Options) -> Result<ExitCode> {
    let chosen = registry::chosen(options.short, &options.only);
    if options.list {
        chosen.iter().for_each(|check| println!("{:<24} {}", check.name, check.what));
        return Ok(ExitCode::SUCCESS);
    }
    ensure!(!chosen.is_empty(), "no check is called so: see `--list`");
    let world = World::new(options.short)?;
    let mut report = report::Report::begin(&world);
    for check in chosen {
        eprintln!("harmless: {} …", check.name);
        let row = pairs::run(check, &world);
        eprintln!("harmless: {}", row.line());
        report.add(row);
        // What is known is kept, should a later check be interrupted.
        report.write(&world.results)?;
        if let Some(out) = &options.out {
            report.write_to(out)?;
        }
    }
    println!("{}", report.markdown());
    verdict::of(&report.harm())
}
