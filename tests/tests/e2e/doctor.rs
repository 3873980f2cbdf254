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
fn doctor_speaks_json() {
    let output = agent::command().args(["doctor", "--output", "json"]).output().expect("the agent");
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert!(report.to_string().contains("sock_send_length"), "{report}");
}

#[test]
fn doctor_says_whether_the_view_can_listen() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let said = |address: &str| {
        let output =
            agent::command().args(["doctor", "--socket", "off", "--listen", address]).output().expect("the agent");
        assert!(output.status.success(), "a view that cannot be had is no reason not to trace");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.lines().find(|line| line.contains("local view")).unwrap_or_default().to_owned()
    };
    assert!(said(&address).contains("off") && said(&address).contains(&address), "{}", said(&address));
    assert!(said("127.0.0.1:0").contains("ok") && said("127.0.0.1:0").contains("in memory"), "{}", said("127.0.0.1:0"));
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
