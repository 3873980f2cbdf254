//! What every kernel of the matrix must do: load and attach every program, trace one request from curl through nginx to
//! Python with the right parents, read one that curl makes by TLS, stop when told, and have `wirespan doctor` approve.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;

use super::kernel::Kernel;
use super::machine::{self, Job};
use crate::paths;

/// An agent that stops within 2 s may take so long in a guest that is twenty times slower, milliseconds.
const STOP: u64 = 40_000;

/// From curl to nginx, and from that to Python.
const CHAIN: [(&str, &str); 4] = [("client", "curl"), ("server", "nginx"), ("client", "nginx"), ("server", "")];

/// Runs the test on `kernel`, and sums up what was seen.
pub fn run(kernel: &Kernel, agent: &Path) -> Result<String> {
    let script = paths::workspace().join("xtask/src/vm/smoke.sh");
    let job = Job {
        command: vec!["bash".into(), script.display().to_string(), agent.display().to_string()],
        memory: 3072,
        timeout: Duration::from_secs(480),
        share: None,
        verbose: false,
        echo: false,
    };
    let end = machine::run(kernel, &job)?;
    check(&end.output).with_context(|| format!("the guest (exit status {}) said:\n{}", end.status, end.output))
}

fn check(output: &str) -> Result<String> {
    let sections = sections(output);
    let section = |name: &str| sections.get(name).copied().unwrap_or_default().trim();
    ensure!(section("failure").is_empty(), "{}", section("failure"));
    check_chain(section("spans"), "/page", &CHAIN)?;
    let sealed = check_chain(section("sealed"), "/sealed", &CHAIN[..2]).context("TLS")?;
    for span in sealed {
        let version = &span["attributes"]["tls.protocol.version"];
        ensure!(version == "1.3", "what passed inside TLS has the version {version}");
    }
    let (status, stop) = section("stopped").split_once(' ').context("the agent was not stopped")?;
    ensure!(status == "0", "the agent's exit status after SIGTERM is {status}");
    let stop: u64 = stop.parse().context("no time of the stop")?;
    ensure!(stop <= STOP, "the agent took {stop} ms to stop");
    let doctor: Value =
        serde_json::from_str(section("doctor")).context("`wirespan doctor --output json` is no JSON")?;
    let verified = check_verifier(&doctor)?;
    let verdict = section("doctor-status");
    ensure!(verdict.lines().next() == Some("0"), "`wirespan doctor` ended with {verdict}");
    Ok(format!("4 spans, 2 of TLS, stopped in {stop} ms; the verifier: {verified}"))
}

/// The verifier is soon done with every program, and this kernel has a place for all that it does not lack by its age.
fn check_verifier(doctor: &Value) -> Result<&str> {
    let checks = doctor["checks"].as_array().context("doctor checks nothing")?;
    let check = checks.iter().find(|check| check["name"] == "verifier").context("doctor does not ask the verifier")?;
    let detail = check["detail"].as_str().context("no detail")?;
    ensure!(check["state"] == "available", "the verifier takes too long: {detail}");
    Ok(detail)
}

/// The spans of `path`: of one trace, each the parent of the next, of these kinds and services (any, if it is empty).
fn check_chain(lines: &str, path: &str, wanted: &[(&str, &str)]) -> Result<Vec<Value>> {
    let spans: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).with_context(|| format!("no JSON: {line}")))
        .collect::<Result<_>>()?;
    let spans: Vec<Value> = spans.into_iter().filter(|span| is_about(span, path)).collect();
    ensure!(spans.len() == wanted.len(), "{} spans of {path} instead of {}", spans.len(), wanted.len());
    let mut parent = Value::Null;
    let trace = &spans[0]["trace_id"];
    for (kind, service) in wanted {
        let Some(span) = spans.iter().find(|span| span["parent_span_id"] == parent) else {
            bail!("no {kind} span has the parent {parent}");
        };
        let name = &span["resource"]["service.name"];
        ensure!(span["kind"] == *kind, "the child of {parent} is {} and not {kind}", span["kind"]);
        ensure!(service.is_empty() || name == service, "the {kind} span belongs to {name}, not {service}");
        ensure!(span["trace_id"] == *trace, "the spans are not of one trace");
        parent = span["span_id"].clone();
    }
    Ok(spans)
}

fn is_about(span: &Value, path: &str) -> bool {
    let text = |key: &str| span["attributes"][key].as_str().unwrap_or_default();
    text("url.path") == path || text("url.full").ends_with(path)
}

/// The text after each line `== name`, up to the next.
fn sections(output: &str) -> HashMap<&str, &str> {
    let mut found = HashMap::new();
    for part in output.split("== ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap_or((part, ""));
        found.insert(name.trim(), text);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(id: &str, parent: Option<&str>, kind: &str, service: &str) -> String {
        let attributes = serde_json::json!({ "url.path": "/page" });
        let resource = serde_json::json!({ "service.name": service });
        serde_json::json!({
            "trace_id": "t", "span_id": id, "parent_span_id": parent, "kind": kind,
            "attributes": attributes, "resource": resource,
        })
        .to_string()
    }

    #[test]
    fn a_chain_of_four_passes_in_any_order() {
        let lines = [
            span("d", Some("c"), "server", "http.server"),
            span("a", None, "client", "curl"),
            span("c", Some("b"), "client", "nginx"),
            span("b", Some("a"), "server", "nginx"),
        ];
        check_chain(&lines.join("\n"), "/page", &CHAIN).expect("the chain is right");
    }

    #[test]
    fn a_program_that_takes_the_verifier_long_fails() {
        let doctor =
            |state: &str| serde_json::json!({ "checks": [{ "name": "verifier", "state": state, "detail": "1" }] });
        assert_eq!(check_verifier(&doctor("available")).expect("soon done"), "1");
        assert!(check_verifier(&doctor("degraded")).is_err());
        assert!(check_verifier(&serde_json::json!({ "checks": [] })).is_err());
    }

    #[test]
    fn a_root_in_the_middle_fails() {
        let lines = [
            span("a", None, "client", "curl"),
            span("b", Some("a"), "server", "nginx"),
            span("c", None, "client", "nginx"),
            span("d", Some("c"), "server", "http.server"),
        ];
        assert!(check_chain(&lines.join("\n"), "/page", &CHAIN).is_err());
    }
}
