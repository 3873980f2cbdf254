//! Nanoseconds of BPF per socket operation, as the kernel itself counts them (`kernel.bpf_stats_enabled`).

use std::collections::HashMap;
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use super::Size;
use super::agent::Agent;
use super::load::Limit;
use super::report::{Measure, Report};
use super::subjects;
use crate::{services, shell};

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// Run time and runs of one program.
#[derive(Clone, Copy, Default)]
struct Runs {
    nanoseconds: f64,
    count: f64,
}

/// Counting costs about as much as a short program, so these rounds serve no other figure.
pub fn measure(agent: &Agent, limit: &Limit, size: &Size, report: &mut Report) -> Result<()> {
    let _switch = Switch::on()?;
    let running = agent.start(limit.subject.mark())?;
    let names = names()?;
    let mut per_operation = Vec::new();
    let mut programs: HashMap<String, Vec<f64>> = HashMap::new();
    for _ in 0..size.bpf_rounds {
        let before = runs(running.pid())?;
        limit.load(1)?;
        let after = runs(running.pid())?;
        let (mut nanoseconds, mut operations) = (0.0, 0.0);
        for (id, after) in after {
            let before = before.get(&id).copied().unwrap_or_default();
            let spent = Runs { nanoseconds: after.nanoseconds - before.nanoseconds, count: after.count - before.count };
            if spent.count == 0.0 {
                continue;
            }
            let name = names.get(&id).cloned().unwrap_or_else(|| format!("program {id}"));
            nanoseconds += spent.nanoseconds;
            if is_operation(&name) {
                operations += spent.count;
            }
            programs.entry(name).or_default().push(spent.nanoseconds / spent.count);
        }
        ensure!(operations > 0.0, "no program of the agent ran: has it loaded any?");
        per_operation.push(nanoseconds / operations);
    }
    running.stop()?;
    report.add(limit.subject.key, &Measure::BPF_OPERATION, &per_operation);
    if !is_reference(limit) {
        return Ok(());
    }
    let mut programs: Vec<_> = programs.into_iter().collect();
    programs.sort_by(|a, b| a.0.cmp(&b.0));
    for (name, values) in programs {
        report.add(&format!("bpf.{name}"), &Measure::BPF_RUN, &values);
    }
    Ok(())
}

/// Each program is told apart for one subject only: what a run costs hardly depends on the server.
fn is_reference(limit: &Limit) -> bool {
    limit.subject.key == subjects::nginx::SUBJECT.key
}

/// The programs that run once a socket operation; the kernel keeps 15 characters of a name.
fn is_operation(name: &str) -> bool {
    ["wirespan_send", "wirespan_recv", "wirespan_exit"].iter().any(|operation| name.starts_with(operation))
}

/// The programs that the process holds, by id.
fn runs(pid: u32) -> Result<HashMap<u64, Runs>> {
    let folder = format!("/proc/{pid}/fdinfo");
    let mut found = HashMap::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {folder}"))?.flatten() {
        // A descriptor may be closed between the listing and the reading.
        let Ok(text) = fs::read_to_string(entry.path()) else { continue };
        let field = |name: &str| -> Option<f64> {
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok())
        };
        if let (Some(id), Some(nanoseconds), Some(count)) = (field("prog_id"), field("run_time_ns"), field("run_cnt")) {
            found.insert(id as u64, Runs { nanoseconds, count });
        }
    }
    Ok(found)
}

/// The names of all loaded programs, by id.
fn names() -> Result<HashMap<u64, String>> {
    let bpftool = services::find("bpftool").context("bpftool is not installed")?;
    let list = shell::read(Command::new(bpftool).args(["prog", "show", "--json"]))?;
    let list: Value = serde_json::from_str(&list).context("bpftool's list is no JSON")?;
    let programs = list.as_array().context("bpftool's list is no list")?;
    let name = |program: &Value| Some((program["id"].as_u64()?, program["name"].as_str()?.to_owned()));
    Ok(programs.iter().filter_map(name).collect())
}

/// Turns the kernel's counting on, and back to what it was.
struct Switch {
    before: String,
}

impl Switch {
    fn on() -> Result<Self> {
        let before = fs::read_to_string(SWITCH).with_context(|| format!("cannot read {SWITCH}"))?;
        fs::write(SWITCH, "1").with_context(|| format!("cannot write {SWITCH}"))?;
        Ok(Self { before })
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        if let Err(error) = fs::write(SWITCH, self.before.trim()) {
            shell::say(format!("{SWITCH} was {} and stays 1: {error}", self.before.trim()));
        }
    }
}
