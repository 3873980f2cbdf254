//! What the agent says of the machine, and of its configuration, without tracing.

use std::process::Command;

use wirespan_tests::agent;

#[test]
fn doctor_finds_nothing_wrong_on_the_machine_that_passes_these_tests() {
    let output = agent::command().arg("doctor").output().expect("the agent");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    for subject in ["sock_send_length", "sock_recv_length", "BTF"] {
        assert!(said.contains(subject), "doctor does not speak of {subject}:\n{said}");
    }
}

#[test]
fn doctor_speaks_json_and_the_verifier_is_soon_done_with_every_program() {
    let output = agent::command().args(["doctor", "--output", "json"]).output().expect("the agent");
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert!(report.to_string().contains("sock_send_length"), "{report}");
    let checks = report["checks"].as_array().expect("checks");
    let check = checks.iter().find(|check| check["name"] == "verifier").expect("what the verifier took");
    // (Beyond its bound it is `degraded`; where the kernel does not say, `partial`.)
    assert_eq!(check["state"], "available", "{check}");
    let detail = check["detail"].as_str().expect("a text");
    let programs: usize = detail.split(' ').next().and_then(|number| number.parse().ok()).expect("how many");
    // Those of sockets, of the fallback, of processes, and of probes.
    assert!(programs >= 16, "{check}");
}

#[test]
fn doctor_says_whether_the_view_can_listen() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("its address").to_string();
    let said = |address: &str| {
        let output =
            agent::command().args(["doctor", "--socket", "off", "--listen", address]).output().expect("the agent");
        assert!(output.status.success(), "a view that cannot be had is no reason not to trace");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find(|line| line.contains("local view")).unwrap_or_default().to_owned()
    };
    let (taken, free) = (said(&address), said("127.0.0.1:0"));
    assert!(taken.contains("off") && taken.contains(&address), "{taken}");
    assert!(free.contains("ok") && free.contains("in memory"), "{free}");
    assert!(said("off").contains("off"));
}

#[test]
fn doctor_names_the_missing_privilege() {
    let (_dir, copy) = agent::copy_for_everybody();
    let mut command = agent::unconfigured(Command::new("setpriv"));
    command
        .args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all"])
        .arg(copy)
        .arg("doctor");
    let output = command.output().expect("setpriv is installed");
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("CAP_BPF"), "{said}");
}

#[test]
fn config_prints_each_value_and_whence_it_comes() {
    let mut command = agent::command();
    command.args(["config", "--include", "exe:nginx"]).env("WIRESPAN_OUTPUT", "json");
    let output = command.output().expect("the agent");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let line = |name: &str| said.lines().find(|line| line.contains(name)).unwrap_or_default();
    assert!(line("include").contains("exe:nginx") && line("include").contains("--include"), "{said}");
    assert!(line("output").contains("json") && line("output").contains("WIRESPAN_OUTPUT"), "{said}");
}
