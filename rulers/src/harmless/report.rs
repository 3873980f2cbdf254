//! The table and the JSON.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use serde_json::{Value, json};

use super::agent::Witness;
use super::check::{Check, Outcome, World, write};
use super::compare::{Difference, Verdict};

/// Counters of the agent that show that it was at work.
const WITNESSES: [&str; 4] = ["events", "bytes", "connections", "spans_finished"];

/// One check, run.
pub struct Row {
    /// The check.
    pub check: &'static Check,
    /// What it found, or why it could not run.
    pub found: Result<Found, String>,
    /// How long all its runs took.
    pub took: Duration,
}

/// What a check found.
pub enum Found {
    /// Runs without and with the agent.
    Pairs {
        /// What the first run without the agent said.
        outcome: Outcome,
        /// What was left out, and why.
        left_out: Vec<String>,
        /// The tests that did not say the same at once.
        differences: Vec<Difference>,
        /// What the agent saw meanwhile.
        witness: Witness,
    },
    /// A run under torment.
    Ordeal {
        /// Requests made and checked.
        requests: u64,
        /// What failed.
        harms: Vec<String>,
        /// Measurements.
        figures: Vec<(String, String)>,
    },
}

impl Row {
    /// Whether nothing was harmed and the check could run.
    pub fn is_clean(&self) -> bool {
        match &self.found {
            Ok(Found::Pairs { differences, .. }) => differences.iter().all(|it| it.verdict() != Verdict::Harmed),
            Ok(Found::Ordeal { harms, .. }) => harms.is_empty(),
            Err(_) => false,
        }
    }

    /// Name, tests, differences, verdict and time, as cells of the table.
    fn cells(&self) -> [String; 5] {
        let (tests, differing) = match &self.found {
            Ok(Found::Pairs { outcome, differences, .. }) => (tests(outcome), told(differences)),
            Ok(Found::Ordeal { requests, harms, .. }) => {
                (format!("{requests} requests"), format!("{} failed", harms.len()))
            }
            Err(_) => ("–".to_owned(), "–".to_owned()),
        };
        let verdict = match (&self.found, self.is_clean()) {
            (Err(_), _) => "**could not run**",
            (_, true) => "unharmed",
            (_, false) => "**harmed**",
        };
        [self.check.name.to_owned(), tests, differing, verdict.to_owned(), format!("{:.0} s", self.took.as_secs_f64())]
    }

    /// The row in a line, for the terminal.
    pub fn line(&self) -> String {
        let [name, tests, differing, verdict, took] = self.cells();
        format!("{name}: {tests}; {differing}; {verdict}; {took}")
    }

    fn json(&self) -> Value {
        let found = match &self.found {
            Ok(Found::Pairs { outcome, left_out, differences, witness }) => json!({
                "outcome": outcome, "left_out": left_out,
                "differences": differences.iter().map(difference).collect::<Vec<_>>(),
                "agent": { "json_spans": witness.json_spans, "exports": witness.exports, "counters": witness.counters },
            }),
            Ok(Found::Ordeal { requests, harms, figures }) => {
                let figures: serde_json::Map<_, _> =
                    figures.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
                json!({ "requests": requests, "harms": harms, "figures": figures })
            }
            Err(error) => json!({ "error": error }),
        };
        json!({
            "name": self.check.name, "what": self.check.what, "clean": self.is_clean(),
            "seconds": self.took.as_secs_f64(), "found": found,
        })
    }
}

fn difference(it: &Difference) -> Value {
    json!({ "test": it.test, "verdict": it.verdict().word(), "without": it.without, "with": it.with })
}

/// `1213 tests: 1180 passed, 33 skipped`, or how many results there are where these are not words.
fn tests(outcome: &Outcome) -> String {
    let mut words: Vec<(&str, usize)> = Vec::new();
    for said in outcome.values() {
        match words.iter_mut().find(|(word, _)| word == said) {
            Some((_, count)) => *count += 1,
            None => words.push((said, 1)),
        }
    }
    let total = outcome.len();
    if words.iter().any(|(word, _)| !matches!(*word, "passed" | "failed" | "skipped" | "error" | "expected failure")) {
        return format!("{total} results");
    }
    words.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let words: Vec<String> = words.into_iter().map(|(word, count)| format!("{count} {word}")).collect();
    format!("{total} tests: {}", words.join(", "))
}

fn told(differences: &[Difference]) -> String {
    if differences.is_empty() {
        return "none".to_owned();
    }
    let count = |verdict| differences.iter().filter(|it| it.verdict() == verdict).count();
    let words = [Verdict::Harmed, Verdict::Unclear, Verdict::Flaky].map(|verdict| (count(verdict), verdict.word()));
    let words: Vec<String> =
        words.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
    words.join(", ")
}

/// Everything that was run.
pub struct Report {
    facts: Vec<(&'static str, String)>,
    rows: Vec<Row>,
}

impl Report {
    /// An empty report on this machine.
    pub fn begin(world: &World) -> Self {
        let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
        let said = |program: &str, arguments: &[&str]| {
            let output = std::process::Command::new(program).args(arguments).output();
            output.map(|it| String::from_utf8_lossy(&it.stdout).trim().to_owned()).unwrap_or_default()
        };
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        let facts = vec![
            ("date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            ("commit", said("git", &["rev-parse", "--short=12", "HEAD"])),
            ("agent", said(&world.binary.to_string_lossy(), &["--version"])),
            ("kernel", read("/proc/sys/kernel/osrelease")),
            ("cores", cores.to_string()),
            ("load before", read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")),
            ("form", if world.short { "short" } else { "full" }.to_owned()),
        ];
        Self { facts, rows: Vec::new() }
    }

    /// Adds a check's row.
    pub fn add(&mut self, row: Row) {
        self.rows.push(row);
    }

    /// Each check by which something was harmed or that could not run, with what there is to say.
    pub fn harm(&self) -> Vec<String> {
        let told = |row: &Row| {
            let mut text = row.line();
            details(row, &mut text);
            text
        };
        self.rows.iter().filter(|row| !row.is_clean()).map(told).collect()
    }

    /// The table, and below it what it cannot hold.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        self.facts.iter().for_each(|(name, value)| text.push_str(&format!("- {name}: {value}\n")));
        text.push_str("\n| Check | Ran | Differences | Verdict | Took |\n|---|---|---|---|---|\n");
        self.rows.iter().for_each(|row| text.push_str(&format!("| {} |\n", row.cells().join(" | "))));
        self.rows.iter().for_each(|row| details(row, &mut text));
        text
    }

    /// Writes `report.md` and `report.json` into a folder.
    pub fn write(&self, folder: &Path) -> Result<()> {
        self.write_to(&folder.join("report.md"))
    }

    /// Writes the table into a file, and the JSON beside it.
    pub fn write_to(&self, file: &Path) -> Result<()> {
        write(file, self.markdown())?;
        let facts: serde_json::Map<_, _> =
            self.facts.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        let rows: Vec<Value> = self.rows.iter().map(Row::json).collect();
        let all = json!({ "facts": facts, "clean": self.harm().is_empty(), "checks": rows });
        write(&file.with_extension("json"), serde_json::to_string_pretty(&all)?)
    }
}

/// A section on a check that has more to say than its row.
fn details(row: &Row, text: &mut String) {
    let _ = writeln!(text, "\n### {}\n\n{}.\n", row.check.name, row.check.what);
    match &row.found {
        Err(error) => text.push_str(&format!("Could not run: {error}\n")),
        Ok(Found::Ordeal { harms, figures, .. }) => {
            harms.iter().for_each(|harm| text.push_str(&format!("- **{harm}**\n")));
            text.push_str("| Figure | Value |\n|---|---|\n");
            figures.iter().for_each(|(name, value)| text.push_str(&format!("| {name} | {value} |\n")));
        }
        Ok(Found::Pairs { left_out, differences, witness, .. }) => {
            let counters = WITNESSES.map(|name| format!("{name} {}", witness.counters.get(name).unwrap_or(&0)));
            let (lines, exports) = (witness.json_spans, witness.exports);
            let _ = writeln!(
                text,
                "- the agent meanwhile: {}, JSON lines {lines}, OTLP requests {exports}",
                counters.join(", ")
            );
            for it in differences {
                let _ = writeln!(text, "- {} `{}`: {}", it.verdict().word(), it.test, it.summary());
            }
            left_out.iter().for_each(|it| text.push_str(&format!("- left out: {it}\n")));
        }
    }
}
