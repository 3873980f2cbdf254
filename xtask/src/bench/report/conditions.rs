//! Where and how the figures were made.

use std::fs;
use std::process::Command;

use serde_json::{Value, json};

use crate::bench::agent::Agent;
use crate::bench::{Sink, Size};
use crate::{paths, shell};

/// Names and values, in the order of the report.
pub struct Conditions(Vec<(&'static str, String)>);

impl Conditions {
    /// Those of now.
    pub fn read(agent: &Agent, size: &Size) -> Self {
        let spans = match agent.sink {
            Sink::Otlp => "OTLP over HTTP to a receiver on the same machine",
            Sink::Json => "`--output json` into a pipe",
            Sink::None => "nowhere: the agent's own cost, without a receiver's",
        };
        let here = paths::workspace();
        Self::of(&[
            ("date", said("date", &["-u", "+%Y-%m-%d %H:%M UTC"])),
            ("commit", said("git", &["-C", &here.to_string_lossy(), "rev-parse", "--short=12", "HEAD"])),
            // Not necessarily of that commit: `--agent` names any.
            ("agent", command_line(agent)),
            ("kernel", said("uname", &["-srm"])),
            ("processor", processor()),
            ("memory", field("/proc/meminfo", "MemTotal")),
            // Figures from a machine that others use at the same time are not worth much.
            ("load before", said("cut", &["-d", " ", "-f", "1-3", "/proc/loadavg"])),
            ("spans go to", spans.to_owned()),
            (
                "rounds",
                format!(
                    "{} pairs (ABBA) of {} s at the limit and {} s at the fixed rate",
                    size.pairs, size.seconds, size.paced_seconds
                ),
            ),
        ])
    }

    /// These.
    pub fn of(conditions: &[(&'static str, String)]) -> Self {
        Self(conditions.to_vec())
    }

    /// In order.
    pub fn iter(&self) -> impl Iterator<Item = &(&'static str, String)> {
        self.0.iter()
    }

    /// As an object.
    pub fn json(&self) -> Value {
        self.0.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect()
    }
}

fn command_line(agent: &Agent) -> String {
    let mut words = vec![agent.binary.display().to_string()];
    words.extend_from_slice(&agent.arguments);
    words.join(" ")
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
