//! What a user does wrong: one sentence, and an exit status that tells usage from environment.

use std::process::{Command, Output};

use wirespan_tests::agent;

fn run(command: &mut Command) -> Output {
    // Limited, because an agent that accepts the mistake would run on.
    let mut limited = Command::new("timeout");
    limited.args(["--kill-after=2", "5"]).arg(command.get_program()).args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited.output().expect("timeout is installed")
}

fn assert_refused(command: &mut Command, status: i32, names: &[&str]) {
    let output = run(command);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(status), "{command:?} said:\n{said}");
    for name in names {
        assert!(said.contains(name), "{command:?} does not name {name}:\n{said}");
    }
    assert_eq!(said.trim().lines().count(), 1, "{command:?} does not say it in one sentence:\n{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn an_unknown_flag_is_a_usage_error() {
    assert_refused(agent::command().arg("--colour-blind"), 2, &["--colour-blind"]);
}

#[test]
fn an_endpoint_without_a_scheme_is_a_usage_error() {
    let mut command = agent::command();
    assert_refused(
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"),
        2,
        &["OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317"],
    );
}

#[test]
fn an_unknown_key_in_the_configuration_is_a_usage_error() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("wirespan.yaml");
    std::fs::write(&file, "includ: exe:nginx\n").expect("a configuration");
    assert_refused(agent::command().arg("--config").arg(&file), 2, &["includ", "wirespan.yaml"]);
}

#[test]
fn a_rule_that_makes_no_sense_is_a_usage_error() {
    assert_refused(agent::command().args(["--include", "port:http"]), 2, &["--include", "port:http"]);
}

#[test]
fn a_configuration_that_is_not_there_is_an_error_of_the_environment() {
    assert_refused(agent::command().args(["--config", "/nonexistent.yaml"]), 1, &["/nonexistent.yaml"]);
}

#[test]
fn no_privilege_is_an_error_of_the_environment() {
    let (_dir, copy) = agent::copy_for_everybody();
    let mut command = agent::unconfigured(Command::new("setpriv"));
    command.args(["--reuid=nobody", "--regid=nogroup", "--clear-groups", "--bounding-set=-all"]).arg(copy);
    assert_refused(&mut command, 1, &["CAP_BPF"]);
}

#[test]
fn a_view_that_others_reach_without_a_token_is_a_usage_error() {
    assert_refused(
        agent::command().args(["--listen", "0.0.0.0:4316"]),
        2,
        &["--listen", "0.0.0.0:4316", "--token-file"],
    );
}
