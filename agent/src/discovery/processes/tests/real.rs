//! Processes of this machine, as its own `/proc` shows them.

use std::path::Path;

use super::super::*;
use super::machine::{Machine, exec, service};

/// Waits until a child has left this test's program for its own: until then, its environment is ours.
fn await_environment(pid: u32, variable: &[u8]) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap();
        if environment.split(|b| *b == 0).any(|entry| entry == variable) {
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the child never called exec");
        std::thread::yield_now();
    }
}

#[test]
fn a_real_script_is_called_as_its_file() {
    let machine = Machine::new();
    machine.file("shopd.sh", "read line\n");
    let mut child = std::process::Command::new("sh")
        .arg(machine.dir.path().join("shopd.sh"))
        .env("MARK", "this-child")
        .stdin(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    await_environment(child.id(), b"MARK=this-child");
    let facts = facts::read(Path::new("/proc"), child.id(), None).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(crate::discovery::naming::program(&facts).name, "shopd");
    assert_eq!(facts.parent, std::process::id());
}

#[test]
fn what_the_real_proc_says_of_real_short_processes() {
    let mut processes = Machine::new().processes("");
    processes.proc_root = Path::new("/proc").to_path_buf();
    let mut child = std::process::Command::new("sleep")
        .arg("60")
        .env("OTEL_SERVICE_NAME", "sleeper")
        .env("OTEL_RESOURCE_ATTRIBUTES", "team=night")
        .spawn()
        .unwrap();
    await_environment(child.id(), b"OTEL_SERVICE_NAME=sleeper");
    let process = processes.get(child.id()).clone();
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(process.resource.service_name(), "sleeper");
    assert_eq!(process.resource.get("team"), Some("night"));
    assert!(process.resource.get("process.executable.path").is_some_and(|path| path.starts_with('/')));
    assert!(process.start.is_some_and(|start| start > 0));
    // Gone now: a fresh table knows only what an exec event tells.
    let id = child.id();
    let mut late = Machine::new().processes("");
    late.on_exec(&exec(id, std::process::id(), "sleep\x0060\0", ""));
    late.on_exit(id);
    assert_eq!(service(&mut late, id), "sleep");
}

#[test]
fn a_real_listener_is_named_by_a_rule_about_its_port() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut processes = Machine::new().processes(&format!("--service-name port:{port}=shop"));
    processes.proc_root = Path::new("/proc").to_path_buf();
    assert_eq!(service(&mut processes, std::process::id()), "shop");
}
