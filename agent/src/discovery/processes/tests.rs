//! Lives of processes, on trees like `/proc` that begin from captured files (`tests/fixtures/proc/template`).

mod machine;

use std::path::Path;

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
fn the_name_is_looked_for_in_the_stated_order() {
    let machine = Machine::new();
    machine.file(
        &format!("var/lib/docker/containers/{ID}/config.v2.json"),
        r#"{"Name":"/proj-shop-1","Config":{"Image":"acme/shop:2","Labels":{"com.docker.compose.service":"shop-box"}}}"#,
    );
    let docker = format!("/docker/{ID}");
    let args = &["/opt/shopd"];
    let of = |flags: &str, env: &[&str], cgroup: &str| {
        machine.show(7, &Shown { exe: "/opt/shopd", args, env, cgroup, ..SHOWN });
        service(&mut machine.processes(flags), 7)
    };
    let both = ["OTEL_SERVICE_NAME=stated", "OTEL_RESOURCE_ATTRIBUTES=service.name=attribute,service.version=3"];
    assert_eq!(of("--service-name exe:shopd=ruled", &both, "/system.slice/unit.service"), "ruled");
    assert_eq!(of("--service-name exe:other=ruled", &both, "/system.slice/unit.service"), "stated");
    assert_eq!(of("", &both[1..], "/system.slice/unit.service"), "attribute");
    assert_eq!(of("", &["A=b"], "/system.slice/unit.service"), "unit");
    assert_eq!(of("", &["A=b"], &docker), "shop-box");
    assert_eq!(of("", &["A=b"], "/"), "shopd");
}

#[test]
fn a_container_without_a_name_gives_its_id_and_the_program_gives_the_name() {
    let machine = Machine::new();
    machine.show(7, &Shown { exe: "/usr/sbin/nginx", cgroup: &format!("/docker/{ID}"), ..SHOWN });
    let mut processes = machine.processes("");
    assert_eq!(service(&mut processes, 7), "nginx");
    assert_eq!(processes.get(7).resource.get("container.id"), Some(ID));
}

#[test]
fn a_kubernetes_container_is_called_as_its_deployment() {
    let machine = Machine::new();
    machine.file(&format!("var/log/containers/shop-7d4b9c6f5-x2k8q_prod_web-{ID}.log"), "");
    machine.show(7, &Shown { cgroup: &format!("/kubepods/burstable/pod1/{ID}"), ..SHOWN });
    let mut processes = machine.processes("");
    let resource = processes.get(7).resource.clone();
    assert_eq!(resource.service_name(), "shop");
    assert_eq!(resource.get("k8s.namespace.name"), Some("prod"));
    assert_eq!(resource.get("k8s.container.name"), Some("web"));
}

#[test]
fn a_podman_container_is_called_as_its_storage_lists_it() {
    let machine = Machine::new();
    let list = format!(r#"[{{"id":"{ID}","names":["shop"]}}]"#);
    machine.file("var/lib/containers/storage/overlay-containers/containers.json", list);
    machine.show(7, &Shown { cgroup: &format!("/machine.slice/libpod-{ID}.scope"), ..SHOWN });
    assert_eq!(service(&mut machine.processes(""), 7), "shop");
}

#[test]
fn stated_resource_attributes_are_taken_over_save_who_made_the_telemetry() {
    let machine = Machine::new();
    let env = ["OTEL_RESOURCE_ATTRIBUTES=service.version=1%2E2,host.name=mine,telemetry.sdk.name=theirs"];
    machine.show(7, &Shown { env: &env, ..SHOWN });
    let mut processes = machine.processes("");
    let resource = &processes.get(7).resource;
    assert_eq!(resource.get("service.version"), Some("1.2"));
    assert_eq!(resource.get("host.name"), Some("mine"));
    assert_eq!(resource.get("telemetry.sdk.name"), Some("wirespan"));
    let mut keys: Vec<_> = resource.attributes.iter().map(|a| a.key.clone()).collect();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), resource.attributes.len(), "an attribute is there twice");
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
fn a_port_rule_names_the_process_that_serves_the_port() {
    let machine = Machine::new();
    machine.show(7, &SHOWN);
    let mut processes = machine.processes("--service-name port:8080=shop");
    let before = processes.get(7).clone();
    assert_eq!(before.resource.service_name(), "x");
    assert!(!processes.on_server_port(7, 9090));
    assert!(processes.on_server_port(7, 8080));
    assert!(!processes.on_server_port(7, 8080), "once is enough");
    assert_eq!(service(&mut processes, 7), "shop");
    let instance = |process: &Process| process.resource.get("service.instance.id").unwrap().to_string();
    assert_eq!(instance(processes.get(7)), instance(&before));
}

#[test]
fn the_nearest_package_names_a_node_program() {
    let machine = Machine::new();
    let node = Shown { exe: "/usr/bin/node", args: &["node", "dist/server.js"], ..SHOWN };
    machine.show(7, &node).link("proc/7/cwd", "/srv/shop");
    machine.file("proc/7/root/srv/shop/package.json", r#"{"name":"@acme/shop"}"#);
    machine.show(8, &node).link("proc/8/cwd", "/srv/other");
    let mut processes = machine.processes("");
    assert_eq!(service(&mut processes, 7), "@acme/shop");
    assert_eq!(service(&mut processes, 8), "other");
}

#[test]
fn hostile_files_of_a_traced_program_do_no_harm() {
    let machine = Machine::new();
    machine.show(7, &Shown { exe: "/usr/bin/node", args: &["node", "/a/b/../../../../server.js"], ..SHOWN });
    machine.file("proc/7/root/package.json", "{\"name\": [[[[[");
    machine.show(8, &Shown { exe: "/usr/bin/node", args: &["node", "/server.js"], ..SHOWN });
    std::fs::create_dir_all(machine.dir.path().join("proc/8/root/package.json")).unwrap();
    machine.file("proc/9/stat", b"\xff\xff garbage (((");
    let mut processes = machine.processes("");
    assert_eq!(service(&mut processes, 7), "server");
    assert_eq!(service(&mut processes, 8), "server");
    assert_eq!(service(&mut processes, 9), "unknown_service");
    processes.on_exec(&ExecInfo { comm: b"\xff\xfe\0", ..exec(10, 0, "", "\0\0=\0==\0") });
    assert!(!service(&mut processes, 10).is_empty());
}

#[test]
fn a_generic_name_gives_way_to_the_project_s() {
    let machine = Machine::new();
    let python = |pid: u32, args: &[&str], cwd: &str| {
        machine.show(pid, &Shown { exe: "/usr/bin/python3.11", args, ..SHOWN }).link(&format!("proc/{pid}/cwd"), cwd);
    };
    python(7, &["python3", "app.py"], "/srv/orders");
    python(8, &["python3", "app.py"], "/srv/billing");
    python(9, &["python3", "src/main.py"], "/srv/x1/shop");
    machine.file("proc/9/root/srv/x1/shop/pyproject.toml", "[project]\nname = \"tea-shop\"\n");
    python(10, &["python3", "/venv/bin/uvicorn", "app.main:app"], "/srv/payments");
    machine.file("proc/10/root/srv/payments/app/main.py", "");
    machine.show(11, &Shown { exe: "/usr/bin/java", args: &["java", "-jar", "/srv/app.jar"], ..SHOWN });
    machine.show(12, &Shown { exe: "/srv/stock/bin/server", args: &["./server"], ..SHOWN });
    let mut processes = machine.processes("");
    for (pid, name, source) in [
        (7, "orders", Source::Folder),
        (8, "billing", Source::Folder),
        (9, "tea-shop", Source::File("pyproject.toml")),
        (10, "payments", Source::Folder),
        (11, "app", Source::CommandLine),
        (12, "stock", Source::Folder),
    ] {
        assert_eq!(service(&mut processes, pid), name);
        assert_eq!(processes.get(pid).named_by, source, "{name}");
    }
}

#[test]
fn namesakes_are_told_apart_and_keep_their_names_when_started_again() {
    let machine = Machine::new();
    let node = |pid: u32, folder: &str| {
        let args = ["node", &format!("{folder}/server.js")];
        machine.show(pid, &Shown { exe: "/usr/bin/node", args: &args, start_ticks: u64::from(pid), ..SHOWN });
    };
    node(7, "/a/orders");
    node(8, "/b/orders");
    node(9, "/b/orders");
    let mut processes = machine.processes("");
    assert_eq!(service(&mut processes, 7), "orders");
    assert_eq!(service(&mut processes, 8), "b/orders");
    assert_eq!(service(&mut processes, 7), "a/orders", "which was seen first is chance");
    assert_eq!(service(&mut processes, 9), "b/orders", "the same program twice");
    processes.on_exit(7);
    node(10, "/a/orders");
    assert_eq!(service(&mut processes, 10), "a/orders");
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

#[test]
fn a_program_of_no_known_runtime_is_in_the_language_that_its_file_says() {
    let machine = Machine::new();
    let exe = std::env::current_exe().unwrap();
    let exe = exe.to_str().unwrap();
    machine.show(7, &Shown { exe, args: &[exe], ..SHOWN });
    // Its command line says what it is, whatever it was made with.
    machine.show(8, &Shown { exe: "/nowhere/python3.11", args: &["python3", "app.py"], ..SHOWN });
    let mut processes = machine.processes("");
    let resource = processes.get(7).resource.clone();
    assert_eq!(resource.get("telemetry.sdk.language"), Some("rust"));
    assert_eq!(resource.get("process.runtime.name"), Some("rust"));
    assert!(resource.get("process.runtime.version").is_some_and(|version| version.starts_with("1.")));
    assert!(!processes.get(7).has_units);
    let resource = processes.get(8).resource.clone();
    assert_eq!(resource.get("telemetry.sdk.language"), Some("python"));
    assert_eq!(resource.get("process.runtime.name"), None);
}
