//! Processor time of others, from `/proc`.

use std::collections::HashMap;
use std::fs;

use anyhow::{Context, Result, ensure};

/// User and system time in `/proc` are in units of this many seconds: `USER_HZ` is 100 on every architecture we run on.
const TICK: f64 = 0.01;

/// Seconds that the process and all that descend from it used so far, those that have ended and were waited for included;
/// in steps of 10 ms.
pub fn of_tree(root: u32) -> Result<f64> {
    let mut processes = HashMap::new();
    for entry in fs::read_dir("/proc").context("cannot list /proc")?.flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        // A process may end between the listing and the reading.
        let Ok(text) = fs::read_to_string(entry.path().join("stat")) else { continue };
        if let Some(stat) = Stat::parse(&text) {
            processes.insert(pid, stat);
        }
    }
    ensure!(processes.contains_key(&root), "process {root} is gone");
    let belongs = |mut pid: u32| {
        while pid != root {
            match processes.get(&pid) {
                Some(stat) if stat.parent != 0 => pid = stat.parent,
                _ => return false,
            }
        }
        true
    };
    Ok(processes.iter().filter(|(pid, _)| belongs(**pid)).map(|(_, stat)| stat.ticks * TICK).sum())
}

/// Seconds that the living threads of one process used so far, to the microsecond: for what uses little, and whose threads
/// live as long as it does.
pub fn of_threads(pid: u32) -> Result<f64> {
    let folder = format!("/proc/{pid}/task");
    let mut nanoseconds = 0.0;
    for entry in fs::read_dir(&folder).with_context(|| format!("cannot list {folder}"))?.flatten() {
        let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
        // Time on a processor, time in a run queue, turns.
        let spent = text.split_whitespace().next().and_then(|field| field.parse::<f64>().ok());
        nanoseconds += spent.with_context(|| format!("{folder} has a schedstat that says `{text}`"))?;
    }
    ensure!(nanoseconds > 0.0, "{folder} knows no processor time: the kernel lacks CONFIG_SCHED_INFO");
    Ok(nanoseconds / 1e9)
}

/// What we want of `/proc/PID/stat`, proc_pid_stat(5).
struct Stat {
    parent: u32,
    /// utime, stime, and those of children that were waited for.
    ticks: f64,
}

impl Stat {
    fn parse(text: &str) -> Option<Self> {
        // The second field is the name in parentheses, which may hold anything; what follows it starts with field 3.
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let times = fields.get(11..15)?.iter().map(|field| field.parse::<f64>().ok());
        Some(Self { parent: fields.get(1)?.parse().ok()?, ticks: times.sum::<Option<f64>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_process_may_hold_anything() {
        let text = "42 (a) b (c) S 7 42 42 0 -1 4194304 1 2 3 4 100 20 3 1 20 0 1 0 100";
        let stat = Stat::parse(text).expect("a stat");
        assert_eq!((stat.parent, stat.ticks), (7, 124.0));
    }

    #[test]
    fn a_process_has_the_time_of_its_children() {
        let before = of_tree(std::process::id()).expect("we are here");
        let work = "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done";
        let status = std::process::Command::new("sh").args(["-c", work]).status().expect("sh");
        assert!(status.success());
        assert!(of_tree(std::process::id()).expect("we are here") > before);
    }

    #[test]
    fn our_threads_have_used_some_time() {
        assert!(of_threads(std::process::id()).expect("we are here") > 0.0);
    }
}
