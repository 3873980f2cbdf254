//! Link accuracy against ground truth.
//!
//! Programs of many stacks form call graphs. Each request carries its identity in its path, which the agent never uses for
//! linking, so the true tree is known afterwards from the spans alone.
//!
//! | module | what it is |
//! |---|---|
//! | [`plan`] | a cell (stack, shape, level) and its load |
//! | [`run`] | one stack: agent, leaf, instances, driver |
//! | [`driver`], [`leaf`] | the client in front and the server behind, processes of their own |
//! | [`fence`] | keeps other traffic away |
//! | [`truth`] | what really happened |
//! | [`judge`] | compares spans with it |
//! | [`report`] | figures, table, verdict |
//! | [`compare`], [`docs`] | two reports; the page in `docs/` |
//! | [`dump`], [`facts`] | all spans in a file; what linking was told |

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::{Args, Subcommand};
use wirespan_tests::agent::target_dir;

use crate::stacks::{self, Place, Shape, Stack};
use crate::verdict;
use plan::{Cell, Form};
use report::Report;

mod compare;
mod docs;
mod driver;
mod dump;
mod facts;
mod fence;
mod judge;
mod leaf;
mod plan;
mod report;
mod run;
mod truth;

/// Requests in flight; 0 for mostly none and seldom two.
const LEVELS: [u32; 5] = [0, 1, 8, 64, 256];

/// What `accuracy` takes.
#[derive(Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Options {
    #[command(subcommand)]
    command: Option<Part>,
    /// Only stacks whose name contains this; may be given again.
    #[arg(long)]
    stack: Vec<String>,
    /// Only this shape; may be given again.
    #[arg(long)]
    shape: Vec<String>,
    /// Only this many requests in flight (0, 1, 8, 64, 256; 0 is mostly none and seldom two); may be given again.
    #[arg(long)]
    level: Vec<u32>,
    /// Few minutes: cheap stacks, levels up to 64, all shapes at one time.
    #[arg(long)]
    short: bool,
    /// Where the figures go (JSON); the table goes beside them (.md).
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Also leave all spans here, a file a stack.
    #[arg(long, value_name = "FOLDER")]
    spans: Option<PathBuf>,
    /// Also leave here what linking was told of the programs, a file a stack, to be replayed (links/captures).
    #[arg(long, value_name = "FOLDER")]
    record_facts: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Part {
    /// What two runs' figures differ in; fails when anything that must be zero grew.
    Compare(compare::Options),
    /// Writes docs/accuracy.md of the figures of a full run.
    Docs(docs::Options),
    /// The server behind everything.
    #[command(hide = true)]
    Leaf(leaf::Options),
    /// The client in front of everything.
    #[command(hide = true)]
    Driver(driver::Options),
}

/// Measures. Fails when a parent is wrong, a trace is mixed, or a span is missing without a counted loss.
pub fn command(options: &Options) -> Result<ExitCode> {
    match &options.command {
        Some(Part::Compare(options)) => compare::command(options),
        Some(Part::Docs(options)) => docs::command(options).map(|()| ExitCode::SUCCESS),
        Some(Part::Leaf(options)) => leaf::command(options).map(|()| ExitCode::SUCCESS),
        Some(Part::Driver(options)) => driver::command(options).map(|()| ExitCode::SUCCESS),
        None => measure(options),
    }
}

fn measure(options: &Options) -> Result<ExitCode> {
    fence::end_all_with_us()?;
    let form = if options.short { Form::Short } else { Form::Full };
    let place = Place::new(&target_dir());
    let chosen: Vec<&'static Stack> = stacks::all().into_iter().filter(|stack| options.wants(stack)).collect();
    ensure!(!chosen.is_empty(), "no stack has such a name");
    let mut report = Report::begin(if options.short { "short" } else { "full" });
    let out = options.out.clone().unwrap_or_else(|| target_dir().join("accuracy/accuracy.json"));
    for stack in chosen {
        eprintln!("{}", stack.name);
        if let Err(error) = measure_stack(options, form, &place, stack, &mut report) {
            eprintln!("{}: {error:#}", stack.name);
            report.add_failure(stack.name, &error);
        }
        // After each: a long run that is ended leaves what it knew.
        report.write(&out)?;
    }
    let table = report.table();
    std::fs::write(out.with_extension("md"), &table)?;
    println!("{table}");
    let complaints = report.complaints();
    println!("{} cells, {} complaints; figures in {}", report.cells.len(), complaints.len(), out.display());
    verdict::of(&complaints)
}

fn measure_stack(
    options: &Options,
    form: Form,
    place: &Place,
    stack: &'static Stack,
    report: &mut Report,
) -> Result<()> {
    let levels: Vec<u32> = LEVELS.into_iter().filter(|level| options.wants_level(*level)).collect();
    let shapes: Vec<Shape> = stack.shapes.iter().copied().filter(|shape| options.wants_shape(*shape)).collect();
    let cell = |level: &u32, shape: &Shape| Cell { stack, shape: *shape, level: *level };
    let cells: Vec<Cell> = shapes.iter().flat_map(|shape| levels.iter().map(move |level| cell(level, shape))).collect();
    ensure!(!cells.is_empty(), "nothing to measure of {}", stack.name);
    let prepared = (stack.prepare)(place)?;
    let run = run::run(&prepared, &cells, &plan::rounds(&cells, form), options.record_facts.as_deref())?;
    if let Some(folder) = &options.spans {
        dump::write(folder, stack.name, &run.spans)?;
    }
    let tallies = judge::judge(&run.truth, cells.len(), &run.spans);
    report.add(&prepared, &cells, &run, tallies);
    Ok(())
}

impl Options {
    fn wants(&self, stack: &Stack) -> bool {
        let named = self.stack.iter().any(|text| stack.name.contains(text.as_str()));
        if self.stack.is_empty() { stack.cheap || !self.short } else { named }
    }

    fn wants_shape(&self, shape: Shape) -> bool {
        self.shape.is_empty() || self.shape.iter().any(|name| name == shape.name())
    }

    fn wants_level(&self, level: u32) -> bool {
        let short = !self.short || (1..=64).contains(&level);
        if self.level.is_empty() { short } else { self.level.contains(&level) }
    }
}
