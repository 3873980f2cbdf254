//! The figures, as a Markdown table for `docs/performance.md` and as JSON.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::{Sink, Size};
use crate::{paths, shell};

/// What the figure should be.
#[derive(Clone, Copy)]
pub enum Aim {
    AtLeast(f64),
    AtMost(f64),
}

impl Aim {
    fn text(self) -> String {
        match self {
            Self::AtLeast(value) => format!("≥ {value}"),
            Self::AtMost(value) => format!("≤ {value}"),
        }
    }

    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtLeast(least) => value >= least,
            Self::AtMost(most) => value <= most,
        }
    }
}

struct Row {
    name: String,
    unit: &'static str,
    /// In the order in which they were measured.
    values: Vec<f64>,
    aim: Option<Aim>,
}

/// All figures of one run.
pub struct Report {
    conditions: Vec<(&'static str, String)>,
    rows: Vec<Row>,
}

impl Report {
    /// Notes where and how.
    pub fn new(sink: Sink, size: &Size) -> Result<Self> {
        let sink = match sink {
            Sink::Otlp => "OTLP over HTTP to a receiver on the same machine",
            Sink::Json => "`--output json` into a pipe",
        };
        let conditions = vec![
            ("date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            ("commit", said("git", &["-C", &paths::workspace().to_string_lossy(), "rev-parse", "--short=12", "HEAD"])),
            ("kernel", said("uname", &["-srm"])),
            ("processor", processor()),
            ("memory", field("/proc/meminfo", "MemTotal")),
            // Figures from a machine that others use at the same time are not worth much.
            ("load before", said("cut", &["-d", " ", "-f", "1-3", "/proc/loadavg"])),
            ("spans go to", sink.to_owned()),
            ("rounds", format!("{} pairs of {} s", size.rounds, size.seconds)),
        ];
        Ok(Self { conditions, rows: Vec::new() })
    }

    /// Adds a figure with all that was measured for it.
    pub fn add(&mut self, name: &str, unit: &'static str, values: &[f64], aim: Option<Aim>) {
        let row = Row { name: name.to_owned(), unit, values: values.to_vec(), aim };
        shell::say(format!("  {name}: {}", figure(median(&row.values), row.unit)));
        self.rows.push(row);
    }

    /// A list of the conditions and a table of the figures.
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        for (name, value) in &self.conditions {
            let _ = writeln!(text, "- {name}: {value}");
        }
        text.push_str("\n| Measure | Median | Lowest to highest | Aim | |\n|---|---|---|---|---|\n");
        for row in &self.rows {
            let middle = median(&row.values);
            let (low, high) = range(&row.values);
            let spread = if row.values.len() < 2 {
                "one value".to_owned()
            } else {
                format!("{} to {}", figure(low, row.unit), figure(high, row.unit))
            };
            let aim = row.aim.map(Aim::text).unwrap_or_default();
            let met = row.aim.map(|aim| if aim.is_met(middle) { "met" } else { "missed" }).unwrap_or_default();
            let _ = writeln!(text, "| {} | {} | {spread} | {aim} | {met} |", row.name, figure(middle, row.unit));
        }
        text
    }

    /// Writes `bench.md` and `bench.json` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(folder.join("bench.md"), self.markdown()).context("cannot write bench.md")?;
        let json = serde_json::to_string_pretty(&self.json()).context("the report is no JSON")?;
        fs::write(folder.join("bench.json"), json + "\n").context("cannot write bench.json")
    }

    fn json(&self) -> Value {
        let row = |row: &Row| {
            let (low, high) = range(&row.values);
            let (least, most) = match row.aim {
                Some(Aim::AtLeast(value)) => (Some(value), None),
                Some(Aim::AtMost(value)) => (None, Some(value)),
                None => (None, None),
            };
            json!({
                "name": row.name, "unit": row.unit, "median": median(&row.values), "min": low, "max": high,
                "values": row.values, "aim_at_least": least, "aim_at_most": most,
            })
        };
        let conditions: Value =
            self.conditions.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
        json!({ "conditions": conditions, "measures": self.rows.iter().map(row).collect::<Vec<Value>>() })
    }
}

/// Three significant digits, more only for what is at least a thousand; four decimals for a ratio, lest 0.9996 look like 1.
fn figure(value: f64, unit: &str) -> String {
    let digits = match value.abs() {
        _ if unit.is_empty() => 4,
        size if size >= 100.0 => 0,
        size if size >= 10.0 => 1,
        size if size >= 1.0 => 2,
        size if size >= 0.1 || size == 0.0 => 3,
        _ => 5,
    };
    let text = format!("{value:.digits$}");
    if unit.is_empty() { text } else { format!("{text} {unit}") }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.get(sorted.len().saturating_sub(1) / 2), sorted.get(sorted.len() / 2)) {
        (Some(low), Some(high)) => (low + high) / 2.0,
        _ => f64::NAN,
    }
}

fn range(values: &[f64]) -> (f64, f64) {
    values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), &value| (low.min(value), high.max(value)))
}

/// What a command prints, or "unknown": a report without it is still one.
fn said(program: &str, arguments: &[&str]) -> String {
    shell::read(Command::new(program).args(arguments)).map_or_else(|_| "unknown".into(), |text| text.trim().into())
}

fn field(file: &str, name: &str) -> String {
    let text = fs::read_to_string(file).unwrap_or_default();
    let value = text.lines().find_map(|line| line.split_once(':').filter(|(key, _)| key.trim() == name));
    value.map_or_else(|| "unknown".into(), |(_, value)| value.trim().to_owned())
}

fn processor() -> String {
    let count = std::thread::available_parallelism().map_or(0, usize::from);
    format!("{count} × {}", field("/proc/cpuinfo", "model name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_between_the_two_in_the_middle() {
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(median(&[]).is_nan());
    }

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(figure(0.999_64, ""), "0.9996");
        assert_eq!(figure(31_234.5, "1/s"), "31234 1/s");
        assert_eq!(figure(0.012_345, "s"), "0.01235 s");
    }
}
