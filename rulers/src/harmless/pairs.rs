//! Runs a check without and with the agent, and again where they differ.

use std::time::Instant;

use anyhow::{Context, Result};

use super::agent::{Agent, Witness};
use super::check::{Check, Kind, Ordeal, Run, Selection, World};
use super::compare::{Difference, RUNS, differing};
use super::report::{Found, Row};

/// Runs `check`. An error of the check itself is in the row, too: nothing is skipped in silence.
pub fn run(check: &'static Check, world: &World) -> Row {
    let begun = Instant::now();
    let found = match check.kind {
        Kind::Paired(program) => paired(world, program),
        Kind::Chaos(program) => program(world).map(tormented),
    };
    Row { check, found: found.map_err(|error| format!("{error:#}")), took: begun.elapsed() }
}

fn tormented(ordeal: Ordeal) -> Found {
    let Ordeal { requests, harms, figures } = ordeal;
    Found::Ordeal { requests, harms, figures }
}

type Program = fn(&World, &Selection) -> Result<Run>;

fn paired(world: &World, program: Program) -> Result<Found> {
    let all = Selection::default();
    let without = program(world, &all).context("without the agent")?;
    without.ensure_sound()?;
    let (with, witness) = attached(world, program, &all)?;
    let mut differences: Vec<Difference> =
        differing(&without.outcome, &with.outcome).into_iter().map(Difference::new).collect();
    differences.iter_mut().for_each(|difference| difference.add(&without.outcome, &with.outcome));
    if !differences.is_empty() {
        let again = Selection(differences.iter().map(|difference| difference.test.clone()).collect());
        eprintln!("harmless:   {} differ; {} runs more each way", again.0.len(), RUNS - 1);
        for _ in 1..RUNS {
            let without = program(world, &again).context("without the agent, again")?;
            let (with, _) = attached(world, program, &again)?;
            differences.iter_mut().for_each(|difference| difference.add(&without.outcome, &with.outcome));
        }
    }
    Ok(Found::Pairs { outcome: without.outcome, left_out: without.left_out, differences, witness })
}

fn attached(world: &World, program: Program, selection: &Selection) -> Result<(Run, Witness)> {
    let agent = Agent::start(world)?;
    let run = program(world, selection).context("with the agent")?;
    Ok((run, agent.stop()?))
}
