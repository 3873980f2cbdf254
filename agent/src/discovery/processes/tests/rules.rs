//! Which processes are traced.

use super::super::*;
use super::machine::{ID, Machine, SHOWN, Shown, TICK, exec};

#[test]
fn a_process_that_exports_spans_is_left_alone_with_the_children_that_it_forks() {
    let machine = Machine::new();
    machine.show(7, &SHOWN).show(8, &SHOWN);
    let mut processes = machine.processes("");
    let held = processes.get(7).clone();
    assert!(held.is_traced());
    assert!(processes.mark_exports_telemetry(7));
    assert!(!held.is_traced(), "also for those who hold it already");
    processes.on_fork(9, 7, 200 * TICK);
    assert!(!processes.get(9).is_traced());
    assert!(processes.get(8).is_traced());
    processes.on_exec(&exec(9, 7, "curl\0", ""));
    assert!(processes.get(9).is_traced(), "another program");
}

#[test]
fn a_process_that_exports_spans_is_traced_where_duplicates_are_allowed() {
    let mut processes = Machine::new().processes("--allow-duplicate-spans");
    processes.on_exec(&exec(7, 3, "curl\0", ""));
    assert!(!processes.mark_exports_telemetry(7));
    assert!(processes.get(7).is_traced());
}

#[test]
fn rules_choose_processes_and_exclude_wins() {
    let machine = Machine::new();
    machine.show(7, &Shown { exe: "/usr/sbin/nginx", uid: 33, cgroup: &format!("/docker/{ID}"), ..SHOWN });
    let traced = |flags: &str| machine.processes(flags).get(7).is_traced();
    for included in ["nginx", "exe:*/nginx", "pid:7", "user:33", "cgroup:/docker/*", "container:3f1c0e", "pid:1,pid:7"]
    {
        assert!(traced(&format!("--include {included}")), "{included}");
        assert!(!traced(&format!("--exclude {included}")), "{included}");
        assert!(!traced(&format!("--include exe:/usr/* --exclude {included}")), "{included}");
    }
    for other in ["apache", "pid:8", "user:0", "cgroup:/system.slice/*", "container:shop"] {
        assert!(!traced(&format!("--include {other}")), "{other}");
        assert!(traced(&format!("--exclude {other}")), "{other}");
    }
}

#[test]
fn port_rules_are_about_connections_by_either_end() {
    let machine = Machine::new();
    machine.show(7, &SHOWN);
    let traced = |flags: &str, local, peer| {
        let mut processes = machine.processes(flags);
        let process = processes.get(7).clone();
        processes.selection().connection_selected(&process, local, peer)
    };
    assert!(traced("", 8080, 40000));
    assert!(traced("--include port:8080", 8080, 40000) && traced("--include port:8080", 40000, 8080));
    assert!(!traced("--include port:8080", 80, 40000));
    assert!(!traced("--exclude port:8080", 40000, 8080) && traced("--exclude port:8080", 80, 40000));
    assert!(traced("--include port:8080,exe:x", 80, 40000));
    assert!(!traced("--include port:8080 --exclude exe:x", 8080, 40000));
}

#[test]
fn the_agent_never_traces_itself() {
    let own = std::process::id();
    let machine = Machine::new();
    machine.show(own, &SHOWN);
    assert!(!machine.processes("--include exe:x").get(own).is_traced());
}

#[test]
fn a_rule_about_executables_fits_whatever_a_program_goes_by_and_however_short_it_lives() {
    let machine = Machine::new();
    machine.file("usr/bin/python3.11", "\x7fELF").link("usr/bin/python3", "python3.11");
    machine.file("usr/local/bin/tool", "#!/usr/bin/python3\n");
    let gone = |flags: &str, file: &str, args: &str| {
        let mut processes = machine.processes(flags);
        let file = [file.as_bytes(), b"\0"].concat();
        processes.on_exec(&ExecInfo { file: &file, ..exec(7, 3, args, "") });
        processes.on_exit(7);
        processes.get(7).is_traced()
    };
    let rules = ["exe:*/python3.11", "exe:/usr/bin/python3", "exe:python3*", "exe:python3", "exe:my-name"];
    for rule in rules {
        let flags = format!("--include {rule}");
        assert!(gone(&flags, "/usr/bin/python3", "my-name\0-c\0x\0"), "{rule}");
        machine.show(8, &Shown { exe: "/usr/bin/python3.11", args: &["my-name", "-c", "x"], ..SHOWN });
        let mut processes = machine.processes(&flags);
        processes.on_exec(&ExecInfo { file: b"/usr/bin/python3\0", ..exec(8, 3, "my-name\0-c\0x\0", "") });
        assert!(processes.get(8).is_traced(), "{rule}");
    }
    // Ended, and not waited for yet: there is a directory, and no executable in it.
    machine.show(9, &Shown { exe: "/none", args: &[], ..SHOWN });
    std::fs::remove_file(machine.dir.path().join("proc/9/exe")).unwrap();
    let mut processes = machine.processes("--include exe:*/python3.11");
    processes.on_exec(&ExecInfo { file: b"/usr/bin/python3\0", ..exec(9, 3, "my-name\0-c\0x\0", "") });
    assert!(processes.get(9).is_traced());
    for rule in ["exe:*/tool", "exe:*/python3.11", "exe:tool"] {
        let args = "/usr/bin/python3\0/usr/local/bin/tool\0";
        assert!(gone(&format!("--include {rule}"), "/usr/local/bin/tool", args), "{rule}");
    }
    for rule in ["exe:/opt/bin/python3", "exe:*/perl", "exe:my"] {
        assert!(!gone(&format!("--include {rule}"), "/usr/bin/python3", "my-name\0"), "{rule}");
    }
}

#[test]
fn a_rule_that_is_about_nothing_is_told() {
    let machine = Machine::new();
    machine.show(7, &SHOWN);
    let mut processes = machine.processes("--include exe:x --include exe:none --exclude pid:99 --include port:80");
    processes.get(7);
    let idle = |processes: &Processes| {
        processes.selection().idle_rules().into_iter().map(|(text, _)| text).collect::<Vec<_>>()
    };
    assert_eq!(idle(&processes), ["--include exe:none", "--include port:80", "--exclude pid:99"]);
    let process = processes.get(7).clone();
    assert_eq!(processes.selection().explain(process.reason()), "--include exe:x");
}
