//! The table and the JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::json;

use super::attack::Attack;
use super::subject::Resident;
use super::{AFTER, BASE, REST, may_stay};

/// What refuses, and the counter that says so.
const REFUSALS: [(&str, &str); 8] = [
    ("requests", "exchanges_refused"),
    ("connections", "connections_evicted_for_memory"),
    ("spans", "spans_evicted_for_memory"),
    ("hurried", "spans_hurried"),
    ("queues", "exporter_queue_full_bytes"),
    ("store", "store_evicted_traces"),
    ("budget", "kernel_over_budget"),
    ("ring", "kernel_ring_full"),
];

/// One attack against one bound; sizes in MiB.
pub struct Row {
    pub attack: &'static Attack,
    pub bound: u64,
    /// What passed.
    pub sent: u64,
    /// Resident of its own before.
    pub idle: u64,
    /// Resident at the most.
    pub peak: Resident,
    /// Resident of its own in the end.
    pub after: u64,
    /// How long that took.
    pub took: Duration,
    /// What the agent said that it held in the end.
    pub held: u64,
    /// As much of that are the view's traces.
    pub kept: u64,
    pub counters: BTreeMap<String, u64>,
}

impl Row {
    /// Whether the bound held and memory went back.
    pub fn holds(&self) -> bool {
        self.problems().is_empty()
    }

    /// Whether it had taken more than may stay.
    pub fn shows_the_way_back(&self) -> bool {
        self.beyond() > 0
    }

    /// How much more that was, MiB.
    pub fn beyond(&self) -> i64 {
        self.peak.own.cast_signed() - may_stay(self.idle, self.held).cast_signed()
    }

    fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        if self.peak.all > self.bound + BASE {
            problems.push(format!("{} MiB resident, and {} allowed", self.peak.all, self.bound + BASE));
        }
        let may_stay = may_stay(self.idle, self.held);
        if self.after > may_stay {
            problems.push(format!("{} MiB stayed, of which {} are held and {may_stay} allowed", self.after, self.held));
        }
        if self.held > self.kept + REST {
            problems.push(format!("{} MiB are still held, of which the view keeps {}", self.held, self.kept));
        }
        if self.counter("memory_highest") >> 20 > self.bound + 8 {
            problems.push(format!("{} MiB held by its own account", self.counter("memory_highest") >> 20));
        }
        if self.counter("events") < 1000 {
            problems.push("the agent saw nothing of it".to_owned());
        }
        problems
    }

    fn counter(&self, name: &str) -> u64 {
        self.counters.get(name).copied().unwrap_or(0)
    }

    fn refused(&self) -> String {
        let some = REFUSALS.iter().map(|(place, name)| (place, self.counter(name))).filter(|(_, n)| *n > 0);
        let texts: Vec<String> = some.map(|(place, n)| format!("{place} {n}")).collect();
        texts.join(", ")
    }

    /// For people who wait.
    pub fn line(&self) -> String {
        let Self { attack, bound, idle, peak, after, held, took, .. } = self;
        let verdict = if self.holds() { "holds".to_owned() } else { self.problems().join("; ") };
        let took = took.as_secs_f64();
        format!(
            "{} against {bound} MiB: {} MiB resident; of its own {idle} → {} → {after} MiB (of which {held} held) in {took:.1} s: \
             {verdict}",
            attack.name, peak.all, peak.own
        )
    }
}

/// The table.
pub fn markdown(rows: &[Row]) -> String {
    let mut out = format!(
        "Bound on what is resident: `max-memory` and {BASE} MiB. Of its own after: idle, what is held and a third of that, and {AFTER} \
         MiB.\n\n| Attack | `max-memory` | Sent | Resident at most | Own: idle | at most | after | Held after | Went back in | What found \
         no room | Verdict |\n|---|---|---|---|---|---|---|---|---|---|---|\n"
    );
    for row in rows {
        let verdict = if row.holds() { "holds".to_owned() } else { row.problems().join("; ") };
        let _ = writeln!(
            out,
            "| {} | {} | {} MiB | {} MiB | {} MiB | {} MiB | {} MiB | {} MiB | {} | {} | {verdict} |",
            row.attack.name,
            row.bound,
            row.sent,
            row.peak.all,
            row.idle,
            row.peak.own,
            row.after,
            row.held,
            if row.shows_the_way_back() { format!("{:.1} s", row.took.as_secs_f64()) } else { "–".to_owned() },
            row.refused()
        );
    }
    out
}

/// Writes both into the target directory, and into the files that were asked for.
pub fn write(rows: &[Row], out: Option<&Path>) -> Result<()> {
    let json: Vec<_> = rows
        .iter()
        .map(|row| {
            json!({ "attack": row.attack.name, "max_memory": row.bound, "sent": row.sent, "idle": row.idle, "peak": row.peak.all, "peak_own": row.peak.own,
                    "after": row.after, "took": row.took.as_secs_f64(), "held": row.held, "holds": row.holds(), "counters": row.counters })
        })
        .collect();
    let json = format!("{:#}\n", serde_json::Value::Array(json));
    let dir = wirespan_tests::agent::target_dir().join("memory");
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let files = [dir.join("report.md"), dir.join("report.json")];
    let asked = out.map(|path| [path.to_owned(), path.with_extension("json")]);
    for [table, data] in std::iter::once(files).chain(asked) {
        fs::write(&table, markdown(rows)).with_context(|| format!("cannot write {}", table.display()))?;
        fs::write(&data, &json).with_context(|| format!("cannot write {}", data.display()))?;
    }
    Ok(())
}
