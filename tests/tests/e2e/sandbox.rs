//! What the agent gives up once it traces.

use std::fs;

use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::{agent, curl};

/// DAC_READ_SEARCH, SYS_PTRACE, PERFMON and BPF.
const KEPT: u64 = 1 << 2 | 1 << 19 | 1 << 38 | 1 << 39;

/// The value of a field in every thread's `status`.
fn fields(pid: u32, name: &str) -> Vec<String> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).expect("its threads");
    let status = tasks.filter_map(|task| fs::read_to_string(task.ok()?.path().join("status")).ok());
    let field =
        |status: String| Some(status.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?.trim().to_owned());
    status.filter_map(field).collect()
}

#[test]
fn no_thread_keeps_more_privileges_or_system_calls_than_it_needs_and_tracing_goes_on() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace();
    let pid = scene.agent().pid();
    for set in ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"] {
        let all = fields(pid, set);
        assert!(all.len() > 5, "{all:?}");
        let more = |text: &String| u64::from_str_radix(text, 16).expect("a number") & !KEPT != 0;
        assert!(!all.iter().any(more), "{set}: {all:?}");
    }
    assert!(fields(pid, "NoNewPrivs").iter().all(|value| value == "1"));
    assert!(fields(pid, "Seccomp").iter().all(|value| value == "2"));
    // Programs that are started from now on, by whomever, are named and traced as before.
    let later = Node::orders(&scene, "");
    curl::get(&faults.url("/size/5"), 200);
    curl::get(&later.url("/size/5"), 200);
    let spans = scene.finish(4);
    let services: Vec<&str> = spans.iter().map(|span| span.service()).collect();
    assert!(["curl", "faults", "orders"].iter().all(|name| services.contains(name)), "{services:?}");
}

#[test]
fn the_sandbox_can_be_left_away_and_doctor_tells() {
    let mut scene = Scene::new();
    scene.trace_with(&["--sandbox", "off"]);
    let pid = scene.agent().pid();
    assert!(fields(pid, "Seccomp").iter().all(|value| value == "0"));
    scene.agent().stop();
    let doctor = |arguments: &[&str]| {
        let mut command = agent::command();
        let output = command.args(["doctor", "--socket", "off", "--listen", "off"]).args(arguments).output();
        String::from_utf8_lossy(&output.expect("wirespan runs").stdout).into_owned()
    };
    assert!(doctor(&[]).lines().any(|line| line.contains("sandbox") && line.contains("CAP_BPF")), "{}", doctor(&[]));
    let off = doctor(&["--sandbox", "off"]);
    assert!(off.lines().any(|line| line.contains("sandbox") && line.contains("--sandbox off")), "{off}");
}
