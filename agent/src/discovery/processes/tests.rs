//! Lives of processes, on trees like `/proc` that begin from captured files (`tests/fixtures/proc/template`).

pub(super) mod machine;
mod names;
mod real;
mod rules;

use super::*;
use crate::span::Value;
use machine::{ID, Machine, SHOWN, Shown, TICK, exec, service};

#[test]
fn a_process_older_than_the_agent_is_read_from_proc() {
    let machine = Machine::new();
    machine.file("etc/passwd", "shop:x:33:33::/:/bin/sh\n");
    machine.show(7, &Shown { exe: "/usr/bin/python3.11", args: &["python3", "app.py"], uid: 33, parent: 3, ..SHOWN });
    let mut processes = machine.processes("");
    let resource = processes.get(7).resource.clone();
    let number = |key: &str| resource.attributes.iter().find(|a| a.key == key).map(|a| a.value.clone());
    assert_eq!(resource.service_name(), "app");
    assert_eq!(number("process.pid"), Some(Value::Int(7)));
    assert_eq!(number("process.parent_pid"), Some(Value::Int(3)));
    for (key, value) in [
        ("process.executable.name", "python3.11"),
        ("process.executable.path", "/usr/bin/python3.11"),
        ("process.owner", "shop"),
        ("host.name", "box"),
        ("host.id", "m1"),
        ("host.arch", "amd64"),
        ("os.type", "linux"),
        ("telemetry.sdk.name", "wirespan"),
        ("telemetry.sdk.language", "python"),
        ("telemetry.distro.name", "wirespan"),
    ] {
        assert_eq!(resource.get(key), Some(value), "{key}");
    }
    assert!(resource.get("container.id").is_none() && resource.get("process.command_args").is_none());
}

#[test]
fn a_process_that_is_gone_before_proc_is_read_is_named_by_its_exec() {
    let mut processes = Machine::new().processes("");
    processes.on_exec(&exec(7, 3, "curl\0-s\0http://localhost/\0", "PATH=/bin\0"));
    processes.on_exit(7);
    assert_eq!(service(&mut processes, 7), "curl");
    assert!(processes.get(7).is_traced());
}

#[test]
fn a_process_that_is_gone_is_where_its_parent_is() {
    let machine = Machine::new();
    machine.show(3, &Shown { exe: "/bin/sh", cgroup: &format!("/system.slice/docker-{ID}.scope"), ..SHOWN });
    let mut processes = machine.processes("");
    processes.on_exec(&exec(7, 3, "curl\0", ""));
    assert_eq!(processes.get(7).resource.get("container.id"), Some(ID));
    assert_eq!(service(&mut processes, 7), "curl");
}

#[test]
fn a_process_that_is_gone_is_in_the_control_group_that_its_exec_names() {
    use std::os::unix::fs::MetadataExt;
    let machine = Machine::new();
    let group = format!("sys/fs/cgroup/system.slice/docker-{ID}.scope");
    machine.file(&format!("{group}/cgroup.procs"), "");
    machine.show(3, &Shown { exe: "/usr/bin/containerd-shim", cgroup: "/system.slice/containerd.service", ..SHOWN });
    let cgroup_id = std::fs::metadata(machine.dir.path().join(&group)).unwrap().ino();
    let mut processes = machine.processes("");
    processes.on_exec(&ExecInfo { cgroup_id, ..exec(7, 3, "curl\0", "") });
    assert_eq!(processes.get(7).resource.get("container.id"), Some(ID));
    processes.on_exec(&ExecInfo { cgroup_id: 1, ..exec(8, 3, "curl\0", "") });
    assert_eq!(processes.get(8).resource.get("container.id"), None);
}

#[test]
fn a_process_of_which_nothing_is_known_has_its_id_only() {
    let mut processes = Machine::new().processes("");
    let process = processes.get(7).clone();
    assert_eq!(process.resource.service_name(), "unknown_service");
    assert!(process.resource.attributes.contains(&crate::span::KeyValue::int("process.pid", 7)));
}

#[test]
fn a_program_that_rewrote_its_title_and_environment_keeps_what_its_exec_said() {
    let machine = Machine::new();
    let title =
        Shown { exe: "/usr/bin/python3.11", args: &["gunicorn: worker [other:app]", "", ""], env: &["", ""], ..SHOWN };
    let args = "/usr/bin/python3\0/usr/bin/gunicorn\0shop:app\0";
    machine.show(7, &title).show(8, &Shown { parent: 7, ..title });
    let mut processes = machine.processes("");
    processes.on_exec(&exec(7, 3, args, "OTEL_RESOURCE_ATTRIBUTES=team=a\0"));
    processes.on_fork(8, 7, 100 * TICK + 9);
    for tgid in [7, 8] {
        assert_eq!(service(&mut processes, tgid), "shop", "{tgid}");
        assert_eq!(processes.get(tgid).resource.get("team"), Some("a"), "{tgid}");
    }
}

#[test]
fn an_environment_too_long_for_the_event_is_completed_from_proc() {
    let machine = Machine::new();
    machine.show(7, &Shown { env: &["LONG=1", "OTEL_SERVICE_NAME=late"], ..SHOWN });
    let mut processes = machine.processes("");
    processes.on_exec(&ExecInfo { env_truncated: true, ..exec(7, 3, "x\0", "LONG=1\0OTEL_SERV") });
    assert_eq!(service(&mut processes, 7), "late");
}

#[test]
fn a_forked_child_is_what_its_parent_is_even_if_it_is_gone() {
    let machine = Machine::new();
    machine.show(3, &Shown { exe: "/usr/bin/python3", args: &["python3", "app.py"], ..SHOWN });
    let mut processes = machine.processes("");
    processes.on_fork(7, 3, 200 * TICK);
    processes.on_fork(8, 7, 201 * TICK);
    assert_eq!(service(&mut processes, 8), "app");
    assert_eq!(service(&mut processes, 7), "app");
    let instance = |p: &mut Processes, tgid| p.get(tgid).resource.get("service.instance.id").unwrap().to_string();
    assert_ne!(instance(&mut processes, 7), instance(&mut processes, 3));
    assert_eq!(processes.get(7).tgid, 7);
}

#[test]
fn a_child_of_a_script_is_not_the_shell_that_started_the_script() {
    let machine = Machine::new();
    let bash = Shown { exe: "/bin/bash", args: &["bash", "outer.sh"], ..SHOWN };
    machine.show(3, &bash).show(7, &Shown { args: &["bash", "inner.sh"], ..bash });
    machine.show(8, &Shown { args: &["bash", "inner.sh"], parent: 7, ..bash });
    let mut processes = machine.processes("");
    assert_eq!(service(&mut processes, 3), "outer");
    processes.on_fork(7, 3, 100 * TICK);
    processes.on_exec(&exec(7, 3, "bash\0inner.sh\0", "A=b\0"));
    processes.on_fork(8, 7, 100 * TICK + 7);
    assert_eq!(service(&mut processes, 8), "inner");
    machine.hide(9);
    processes.on_fork(9, 8, 100 * TICK + 8);
    assert_eq!(service(&mut processes, 9), "inner", "gone at once");
}

#[test]
fn a_new_thread_changes_nothing() {
    let mut processes = Machine::new().processes("");
    processes.on_exec(&exec(7, 3, "first\0", ""));
    let before = processes.get(7).clone();
    processes.on_fork(7, 7, 100 * TICK);
    assert!(Arc::ptr_eq(&before, processes.get(7)));
}

#[test]
fn exec_ends_what_fork_began() {
    let mut processes = Machine::new().processes("");
    processes.on_exec(&exec(3, 1, "bash\0run.sh\0", "OTEL_SERVICE_NAME=script\0"));
    processes.on_fork(7, 3, 100 * TICK + 6);
    assert_eq!(service(&mut processes, 7), "script");
    processes.on_exec(&exec(7, 3, "curl\0", ""));
    assert_eq!(service(&mut processes, 7), "curl");
}

#[test]
fn a_reused_id_never_keeps_the_old_name() {
    let machine = Machine::new();
    let mut processes = machine.processes("");
    processes.on_exec(&exec(7, 3, "first\0", ""));
    assert_eq!(service(&mut processes, 7), "first");
    processes.on_exit(7);
    assert_eq!(service(&mut processes, 7), "first", "sockets close after the exit");
    processes.on_exec(&exec(7, 3, "second\0", ""));
    assert_eq!(service(&mut processes, 7), "second");
}

#[test]
fn a_late_question_about_a_dead_process_is_not_answered_with_its_successor() {
    let machine = Machine::new();
    machine.show(7, &Shown { exe: "/usr/bin/successor", start_ticks: 5000, ..SHOWN });
    let mut processes = machine.processes("");
    processes.on_exec(&exec(7, 3, "first\0", ""));
    assert_eq!(service(&mut processes, 7), "first");
}

#[test]
fn a_sweep_finds_lives_whose_end_was_never_told() {
    let machine = Machine::new();
    machine.show(7, &SHOWN).show(8, &Shown { exe: "/usr/bin/stays", ..SHOWN }).show(9, &SHOWN);
    let mut processes = machine.processes("");
    for tgid in [7, 8, 9] {
        assert_ne!(service(&mut processes, tgid), "unknown_service");
    }
    machine.show(7, &Shown { exe: "/usr/bin/successor", start_ticks: 9000, ..SHOWN }).hide(9);
    processes.sweep();
    assert!(processes.table[&9].exited && !processes.table.contains_key(&7));
    assert_eq!(service(&mut processes, 7), "successor");
    assert_eq!(service(&mut processes, 8), "stays");
}

#[test]
fn the_table_is_bounded_by_the_living_and_a_few_dead() {
    let mut processes = Machine::new().processes("");
    for tgid in 10..10 + 3 * RECENT as u32 {
        processes.on_exec(&exec(tgid, 3, "curl\0", ""));
        processes.on_exit(tgid);
        processes.on_exit(tgid);
    }
    assert_eq!(processes.len(), RECENT);
    assert!(processes.exited.len() <= RECENT);
}
