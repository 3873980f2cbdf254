//! The figures: kept with all that was measured for them, written as Markdown for `docs/performance.md` and as JSON.
//!
//! | module | what it is |
//! |---|---|
//! | [`measure`] | every measure: key, title, which way is better, aim |
//! | [`conditions`] | where and how it was measured |
//! | [`markdown`] | the tables |
//! | [`compare`] | two JSON files |

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::growth::Axis;
use super::stats::{interval, median};
use crate::shell;

pub mod compare;
mod conditions;
mod markdown;
mod measure;

pub use conditions::Conditions;
pub use measure::{Aim, Measure, Table};

/// Of the JSON file: raised when a key changes its meaning.
const FORMAT: u32 = 2;

/// One figure.
struct Row {
    /// What was measured: a subject's key, `agent`, `bpf.PROGRAM`, `growth.AXIS.xN`.
    group: String,
    measure: &'static Measure,
    /// In the order in which they were measured.
    values: Vec<f64>,
    aim: Option<Aim>,
}

impl Row {
    fn median(&self) -> f64 {
        median(&self.values)
    }
}

/// All figures of one run.
pub struct Report {
    conditions: Conditions,
    rows: Vec<Row>,
    growth: Vec<Axis>,
}

impl Report {
    /// Without a figure yet.
    pub fn new(conditions: Conditions) -> Self {
        Self { conditions, rows: Vec::new(), growth: Vec::new() }
    }

    /// Adds a figure with all that was measured for it.
    pub fn add(&mut self, group: &str, measure: &'static Measure, values: &[f64]) {
        self.add_aimed(group, measure, values, measure.aim);
    }

    /// As [`add`](Self::add), with an aim that holds for this one only.
    pub fn add_aimed(&mut self, group: &str, measure: &'static Measure, values: &[f64], aim: Option<Aim>) {
        let row = Row { group: group.to_owned(), measure, values: values.to_vec(), aim };
        shell::say(format!("  {group}: {}: {}", measure.title, markdown::with_interval(&row)));
        self.rows.push(row);
    }

    /// Adds what the agent does when something grows.
    pub fn add_growth(&mut self, axis: Axis) {
        self.growth.push(axis);
    }

    /// A list of the conditions and the tables.
    pub fn markdown(&self) -> String {
        markdown::write(self)
    }

    /// Writes `bench.md` and `bench.json` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        fs::write(folder.join("bench.md"), self.markdown()).context("cannot write bench.md")?;
        let json = serde_json::to_string_pretty(&self.json()).context("the report is no JSON")?;
        fs::write(folder.join("bench.json"), json + "\n").context("cannot write bench.json")
    }

    fn json(&self) -> Value {
        let mut measures = Map::new();
        for row in &self.rows {
            let (least, most) = match row.aim {
                Some(Aim::AtLeast(value)) => (Some(value), None),
                Some(Aim::AtMost(value)) => (None, Some(value)),
                None => (None, None),
            };
            let ends = interval(&row.values);
            let entry = json!({
                "title": row.measure.title, "unit": row.measure.unit, "better": row.measure.better.key(),
                "median": row.median(), "low": ends.map(|it| it.0), "high": ends.map(|it| it.1),
                "values": row.values, "aim_at_least": least, "aim_at_most": most,
            });
            measures.insert(format!("{}.{}", row.group, row.measure.key), entry);
        }
        let growth: Map<String, Value> = self.growth.iter().map(|axis| (axis.key.to_owned(), axis.json())).collect();
        json!({
            "format": FORMAT, "conditions": self.conditions.json(), "measures": measures, "growth": growth,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report() -> Report {
        let mut report = Report::new(Conditions::of(&[("machine", "a test".to_owned())]));
        report.add_aimed("nginx", &Measure::THROUGHPUT, &[0.5, 0.7, 0.6], Some(Aim::AtLeast(0.9)));
        report.add("agent", &Measure::MEMORY_IDLE, &[20.0]);
        report
    }

    #[test]
    fn a_figure_has_a_stable_key_and_an_interval() {
        let json = report().json();
        let nginx = &json["measures"]["nginx.throughput_ratio"];
        assert_eq!(nginx["median"], 0.6);
        assert_eq!((nginx["low"].as_f64(), nginx["high"].as_f64()), (Some(0.5), Some(0.7)));
        assert_eq!((&nginx["better"], &nginx["aim_at_least"]), (&json!("higher"), &json!(0.9)));
        assert_eq!(json["measures"]["agent.memory_idle"]["low"], Value::Null);
    }

    #[test]
    fn a_table_says_what_was_missed() {
        let text = report().markdown();
        assert!(text.contains("| nginx, tiny static file | 0.6000 (0.5000 to 0.7000); aim ≥ 0.9 missed |"), "{text}");
        assert!(text.contains("| resident memory, idle | 20.0 MiB | one value | ≤ 50 | met |"), "{text}");
    }
}
