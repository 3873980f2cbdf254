//! What a run leaves: figures with stable keys, the table, and whether it passes.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::driver::Outcome;
use super::judge::{Rests, Tally};
use super::plan::Cell;
use super::run::{LOST_RECORDS, LOST_SPANS, Run, is_answered};
use crate::stacks::{Prepared, output};

/// Version of the file's layout.
const FORMAT: u32 = 1;

/// Everything.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Report {
    /// [`FORMAT`].
    pub format: u32,
    /// Of this workspace, with `-dirty` where files differ from it.
    pub commit: String,
    /// What the agent calls itself.
    pub agent: String,
    /// Linux release.
    pub kernel: String,
    /// UTC, when it began.
    pub date: String,
    /// Of this machine.
    pub cpus: usize,
    /// `full` or `short`.
    pub form: String,
    /// By name.
    pub stacks: BTreeMap<String, StackReport>,
    /// In the order of measurement.
    pub cells: Vec<CellReport>,
}

/// A stack's run.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct StackReport {
    /// Of what it is made of.
    pub versions: Vec<(String, String)>,
    /// The agent's own losses in the whole run, by its counters, those that are not zero.
    pub losses: BTreeMap<String, u64>,
    /// What could not be measured, and why.
    pub errors: Vec<String>,
}

/// One cell.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct CellReport {
    /// Name.
    pub stack: String,
    /// Name.
    pub shape: String,
    /// Requests in flight that were aimed at.
    pub level: u32,
    /// Requests in flight that there were on average.
    pub in_flight: f64,
    /// Mean delay at the leaf, milliseconds.
    pub delay_ms: f64,
    /// Requests made.
    pub requests: u64,
    /// Of these, answered with 200.
    pub answered: u64,
    /// Of those that were not, how many by reason.
    pub failures: BTreeMap<String, u64>,
    /// The links.
    #[serde(flatten)]
    pub tally: Tally,
}

impl Report {
    /// A report without cells yet.
    pub fn begin(form: &str) -> Self {
        let said = |program: &str, arguments: &[&str]| {
            output(Command::new(program).args(arguments)).unwrap_or_else(|_| "unknown".to_owned())
        };
        let commit = said("git", &["-c", "safe.directory=*", "describe", "--always", "--abbrev=12", "--dirty"]);
        let agent = wirespan_tests::agent::binary().display().to_string();
        Self {
            format: FORMAT,
            commit,
            agent: said(&agent, &["--version"]),
            kernel: said("uname", &["-r"]),
            date: said("date", &["-u", "+%FT%TZ"]),
            cpus: std::thread::available_parallelism().map_or(1, usize::from),
            form: form.to_owned(),
            ..Self::default()
        }
    }

    /// Adds a stack's run.
    pub fn add(&mut self, prepared: &Prepared, cells: &[Cell], run: &Run, tallies: Vec<Tally>) {
        let losses = run.losses.iter().map(|(name, lost)| ((*name).to_owned(), *lost)).collect();
        let missing: u64 = run.rounds.iter().map(|round| round.calls_missing).sum();
        let missing = (missing > 0).then(|| format!("{missing} calls that answered requests must make never came"));
        let errors = run.errors.iter().cloned().chain(missing).collect();
        let stack = StackReport { versions: prepared.versions.clone(), losses, errors };
        self.stacks.insert(cells[0].stack.name.to_owned(), stack);
        let mut measured: BTreeMap<usize, CellReport> = BTreeMap::new();
        for (index, load, outcomes) in run.rounds.iter().flat_map(|round| &round.cells) {
            let cell = &cells[*index];
            let mut failures = BTreeMap::new();
            for outcome in outcomes.iter().filter(|it| !is_answered(it)) {
                let status = outcome.status.map(|status| format!("status {status}"));
                let reason = status.or_else(|| outcome.error.clone()).unwrap_or_default();
                *failures.entry(reason).or_default() += 1;
            }
            let report = CellReport {
                stack: cell.stack.name.to_owned(),
                shape: cell.shape.name().to_owned(),
                level: cell.level,
                in_flight: in_flight(outcomes),
                delay_ms: (1e3 * load.delay).round(),
                requests: outcomes.len() as u64,
                answered: outcomes.iter().filter(|it| is_answered(it)).count() as u64,
                failures,
                tally: tallies[*index].clone(),
            };
            measured.insert(*index, report);
        }
        self.cells.extend(measured.into_values());
    }

    /// Notes that a stack could not be measured.
    pub fn add_failure(&mut self, stack: &str, error: &anyhow::Error) {
        self.stacks.entry(stack.to_owned()).or_default().errors.push(format!("{error:#}"));
    }

    /// Everything that must not be; empty when the run passes.
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        for (name, stack) in &self.stacks {
            complaints.extend(stack.errors.iter().map(|error| format!("{name}: {error}")));
        }
        for cell in &self.cells {
            let tally = &cell.tally;
            let is_lossy = self.is_lossy(&cell.stack);
            let mut faults = Vec::new();
            let mut fault = |count: u64, what: &str| {
                if count > 0 {
                    faults.push(format!("{count} {what}"));
                }
            };
            fault(tally.wrong().exact, "wrong exact parents");
            fault(tally.mixed, "mixed traces");
            fault(tally.duplicates, "duplicates");
            if !is_lossy {
                fault(tally.expected - tally.found, "spans missing without a counted loss");
                fault(tally.dangling(), "parents that are no span");
            }
            if cell.answered == 0 {
                faults.push("no request was answered".to_owned());
            }
            if !faults.is_empty() {
                let place = format!("{} {} at level {}", cell.stack, cell.shape, cell.level);
                complaints.push(format!("{place}: {}\n    {}", faults.join(", "), tally.samples.join("\n    ")));
            }
        }
        complaints.extend(self.inferred_too_often_wrong());
        complaints
    }

    /// Inferred links of a stack and shape that are wrong more often than once in a thousand; in the short form, where there are
    /// few, of a stack, and once in a hundred.
    fn inferred_too_often_wrong(&self) -> Vec<String> {
        let short = self.form == "short";
        let mut groups: BTreeMap<String, Vec<&CellReport>> = BTreeMap::new();
        for cell in &self.cells {
            let shape = if short { "" } else { &cell.shape };
            groups.entry(format!("{} {shape}", cell.stack)).or_default().push(cell);
        }
        let mut complaints = Vec::new();
        for (group, cells) in groups {
            let wrong: u64 = cells.iter().map(|cell| cell.tally.wrong().inferred).sum();
            let right: u64 = cells.iter().map(|cell| cell.tally.calls.right.inferred).sum();
            if wrong * if short { 100 } else { 1000 } > right + wrong {
                let samples: Vec<&str> =
                    cells.iter().flat_map(|c| &c.tally.samples).map(String::as_str).take(5).collect();
                complaints.push(format!(
                    "{}: {wrong} inferred parents are wrong, and {right} right\n    {}",
                    group.trim_end(),
                    samples.join("\n    ")
                ));
            }
        }
        complaints
    }

    /// Inferred links of some cells, by what they rest on.
    pub fn evidence_of(&self, wanted: impl Fn(&CellReport) -> bool) -> BTreeMap<String, Rests> {
        let mut all: BTreeMap<String, Rests> = BTreeMap::new();
        for cell in self.cells.iter().filter(|cell| wanted(cell)) {
            for (evidence, found) in &cell.tally.evidence {
                let sum = all.entry(evidence.clone()).or_default();
                (sum.right, sum.wrong) = (sum.right + found.right, sum.wrong + found.wrong);
            }
        }
        all
    }

    /// Whether what is missing of a stack's spans is explained by what the agent counted.
    fn is_lossy(&self, name: &str) -> bool {
        let Some(stack) = self.stacks.get(name) else { return false };
        let lost = |counters: &[&str]| counters.iter().filter_map(|name| stack.losses.get(*name)).sum::<u64>();
        let cells = self.cells.iter().filter(|cell| cell.stack == name);
        let missing: u64 = cells.map(|cell| cell.tally.expected - cell.tally.found).sum();
        lost(&LOST_RECORDS) > 0 || lost(&LOST_SPANS) >= missing.max(1)
    }

    /// One line a cell, in markdown.
    pub fn table(&self) -> String {
        let mut text = String::from(HEADER);
        for cell in &self.cells {
            let (tally, links) = (&cell.tally, &cell.tally.calls);
            let lossy = self.stacks.get(&cell.stack).is_some_and(|it| {
                ["kernel_ring_full", "kernel_over_budget"].iter().any(|name| it.losses.contains_key(*name))
            });
            let failed = cell.requests - cell.answered;
            text += &format!(
                "| {} | {} | {} | {:.1} | {}{} | {}/{}{} | {}/{} | {} | {} | {}/{} | {}/{} | {} | {} | {} | {} |\n",
                cell.stack,
                cell.shape,
                cell.level,
                cell.in_flight,
                cell.requests,
                if failed > 0 { format!(" ({failed} failed)") } else { String::new() },
                tally.found,
                tally.expected,
                if lossy { " (ring full)" } else { "" },
                links.right.exact,
                links.expected,
                links.wrong.exact,
                links.orphans,
                links.right.inferred,
                links.wrong.inferred,
                tally.joins.right.total(),
                tally.joins.expected,
                tally.joins.wrong.total() + tally.roots.wrong.total() + tally.strays.total(),
                tally.mixed,
                tally.duplicates,
                tally.dangling(),
            );
        }
        text += "\n| stack | evidence | right | wrong |\n|---|---|--:|--:|\n";
        for stack in self.stacks.keys() {
            for (evidence, found) in self.evidence_of(|cell| cell.stack == *stack) {
                text += &format!("| {stack} | {evidence} | {} | {} |\n", found.right, found.wrong);
            }
        }
        text
    }

    /// Writes the figures to a file.
    pub fn write(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::write(path, serde_json::to_vec_pretty(self)?).with_context(|| path.display().to_string())
    }

    /// Reads a file that [`Report::write`] left.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| path.display().to_string())?;
        serde_json::from_slice(&text).with_context(|| path.display().to_string())
    }
}

const HEADER: &str = "| stack | shape | level | in flight | requests | spans | calls right | wrong | orphans | \
inferred right/wrong | joins right | wrong | mixed | twice | dangling |\n\
|---|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|\n";

/// Requests in flight on average from the first arrival to the last.
fn in_flight(outcomes: &[Outcome]) -> f64 {
    let first = outcomes.iter().map(|it| it.at).min().unwrap_or_default();
    let last = outcomes.iter().map(|it| it.at).max().unwrap_or_default();
    let within: u64 = outcomes.iter().map(|it| it.took.min(last - it.at)).sum();
    let mean = within as f64 / last.saturating_sub(first).max(1) as f64;
    (10.0 * mean).round() / 10.0
}
