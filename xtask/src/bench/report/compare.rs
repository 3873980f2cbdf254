//! `cargo xtask bench compare OLD.json NEW.json`: which figures changed by more than their noise.

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::FORMAT;
use super::markdown::{between, figure};

/// Prints a line for each figure that both files have.
pub fn command(old: &Path, new: &Path) -> Result<()> {
    let (old, new) = (read(old)?, read(new)?);
    println!("{}", table(&old, &new));
    Ok(())
}

fn read(file: &Path) -> Result<Value> {
    let text = fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let json: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    let format = json["format"].as_u64();
    ensure!(
        format == Some(u64::from(FORMAT)),
        "{} has format {format:?} and not {FORMAT}: measure that commit again with this xtask and --agent",
        file.display()
    );
    Ok(json)
}

/// One figure of one file.
struct Figure<'a> {
    entry: &'a Value,
    median: f64,
    interval: Option<(f64, f64)>,
}

impl<'a> Figure<'a> {
    fn of(report: &'a Value, key: &str) -> Option<Self> {
        let entry = report["measures"].get(key)?;
        let interval = entry["low"].as_f64().zip(entry["high"].as_f64());
        Some(Self { entry, median: entry["median"].as_f64()?, interval })
    }

    fn text(&self) -> String {
        let unit = self.entry["unit"].as_str().unwrap_or_default();
        let middle = figure(self.median, unit);
        match self.interval {
            Some(ends) => format!("{middle}{}", between(ends, unit)),
            None => middle,
        }
    }
}

/// What two figures say. Intervals that overlap prove no difference; a single value proves nothing.
fn verdict(old: &Figure, new: &Figure) -> &'static str {
    let (Some((old_low, old_high)), Some((new_low, new_high))) = (old.interval, new.interval) else {
        return "one value: not judged";
    };
    let higher = new_low > old_high;
    if !higher && new_high >= old_low {
        return "within the noise";
    }
    match new.entry["better"].as_str() {
        Some("higher") => {
            if higher {
                "better"
            } else {
                "worse"
            }
        }
        Some("lower") => {
            if higher {
                "worse"
            } else {
                "better"
            }
        }
        _ => "changed",
    }
}

fn table(old: &Value, new: &Value) -> String {
    let mut text = String::new();
    for name in ["date", "commit", "agent", "processor", "kernel", "load before", "spans go to", "rounds"] {
        let of = |report: &Value| report["conditions"][name].as_str().unwrap_or("unknown").to_owned();
        let (before, after) = (of(old), of(new));
        let line = if before == after { before } else { format!("{before} → {after}") };
        let _ = writeln!(text, "- {name}: {line}");
    }
    text.push_str("\n| Measure | Old | New | Change | |\n|---|---|---|---|---|\n");
    let keys = |report: &Value| -> BTreeSet<String> {
        report["measures"].as_object().map(|measures| measures.keys().cloned().collect()).unwrap_or_default()
    };
    let (before, after) = (keys(old), keys(new));
    for key in before.intersection(&after) {
        let (Some(old), Some(new)) = (Figure::of(old, key), Figure::of(new, key)) else {
            let _ = writeln!(text, "| {key} | – | – | – | no figure |");
            continue;
        };
        let change = if old.median == 0.0 {
            "–".to_owned()
        } else {
            format!("{:+.1} %", (new.median / old.median - 1.0) * 100.0)
        };
        let _ = writeln!(text, "| {key} | {} | {} | {change} | {} |", old.text(), new.text(), verdict(&old, &new));
    }
    for key in before.symmetric_difference(&after) {
        let which = if before.contains(key) { "old" } else { "new" };
        let _ = writeln!(text, "| {key} | | | | only in the {which} file |");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(low: f64, high: f64, better: Option<&str>) -> Value {
        json!({ "measures": { "nginx.x": {
            "median": (low + high) / 2.0, "low": low, "high": high, "better": better, "unit": "",
        } } })
    }

    fn said(old: &Value, new: &Value) -> &'static str {
        let figure = |report| Figure::of(report, "nginx.x").expect("a figure");
        let (old, new) = (Figure::of(old, "nginx.x").expect("a figure"), figure(new));
        verdict(&old, &new)
    }

    #[test]
    fn only_intervals_that_do_not_meet_show_a_difference() {
        let of = |low, high| report(low, high, Some("higher"));
        assert_eq!(said(&of(0.5, 0.6), &of(0.7, 0.8)), "better");
        assert_eq!(said(&of(0.7, 0.8), &of(0.5, 0.6)), "worse");
        assert_eq!(said(&of(0.5, 0.6), &of(0.6, 0.8)), "within the noise");
        assert_eq!(said(&report(1.0, 2.0, Some("lower")), &report(3.0, 4.0, Some("lower"))), "worse");
        assert_eq!(said(&report(1.0, 2.0, None), &report(3.0, 4.0, None)), "changed");
    }

    #[test]
    fn a_measure_that_one_file_lacks_is_named() {
        let text = table(&report(1.0, 2.0, None), &json!({ "measures": {} }));
        assert!(text.contains("| nginx.x | | | | only in the old file |"), "{text}");
    }
}
