//! What processes are called, and by what.

use super::super::*;
use super::machine::{ID, Machine, SHOWN, Shown, exec, service};

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
    machine.file("var/lib/containers/storage/overlay-containers/containers.json", &list);
    machine.show(7, &Shown { cgroup: &format!("/machine.slice/libpod-{ID}.scope"), ..SHOWN });
    assert_eq!(service(&mut machine.processes(""), 7), "shop");
    // Where no file system can be laid upon another, as for users of some machines.
    let machine = Machine::new();
    machine.file("var/lib/containers/storage/vfs-containers/containers.json", list);
    machine.show(7, &Shown { cgroup: &format!("/libpod_parent/libpod-{ID}"), ..SHOWN });
    assert_eq!(service(&mut machine.processes(""), 7), "shop");
}

#[test]
fn a_users_own_podman_container_is_called_as_that_users_storage_lists_it() {
    let machine = Machine::new();
    machine.file("etc/passwd", "root:x:0:0::/root:/bin/sh\nann:x:1000:1000::/home/ann:/bin/sh\n");
    let list = format!(r#"[{{"id":"{ID}","names":["shop"]}}]"#);
    machine.file("home/ann/.local/share/containers/storage/overlay-containers/containers.json", list);
    let slice =
        |user: u32| format!("/user.slice/user-{user}.slice/user@{user}.service/user.slice/libpod-{ID}.scope/container");
    machine.show(7, &Shown { cgroup: &slice(1000), ..SHOWN });
    assert_eq!(service(&mut machine.processes(""), 7), "shop");
    machine.show(8, &Shown { cgroup: &slice(1001), ..SHOWN });
    assert_eq!(service(&mut machine.processes(""), 8), "x", "another user's");
}

#[test]
fn a_machine_of_lxc_or_nspawn_gives_its_name() {
    let machine = Machine::new();
    machine.show(7, &Shown { cgroup: "/lxc.payload.web/init.scope", ..SHOWN });
    machine.show(8, &Shown { cgroup: "/machine.slice/systemd-nspawn@db.service/payload", ..SHOWN });
    let mut processes = machine.processes("");
    assert_eq!((service(&mut processes, 7), service(&mut processes, 8)), ("web".into(), "db".into()));
    assert_eq!(processes.get(8).resource.get("container.name"), Some("db"));
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

/// Containers whose names nobody knows: each has a root of its own, and the same path in it.
#[test]
fn the_same_path_in_two_containers_is_two_programs_unless_it_is_the_same_file() {
    let machine = Machine::new();
    let show = |pid: u32, root: &str, group: &str, text: &str| {
        let args = ["python3", "/app/app.py"];
        machine.show(pid, &Shown { exe: "/usr/bin/python3", args: &args, cgroup: group, ..SHOWN });
        machine.file(&format!("{root}/app/app.py"), text);
        machine.link(&format!("proc/{pid}/root"), &format!("../../{root}"));
    };
    machine.file("host/etc/hostname", "box\n").file("proc/1/stat", "").link("proc/1/root", "../../host");
    show(7, "red", "/ct/red", "print('red')");
    show(8, "blue", "/ct/blue", "print('blue!')");
    show(9, "host", "/", "print('the host')");
    let mut processes = machine.processes("");
    assert_eq!(service(&mut processes, 7), "app");
    assert_eq!(service(&mut processes, 8), "app@../../blue");
    assert_eq!(service(&mut processes, 7), "app@../../red", "which was seen first is chance");
    assert_eq!(service(&mut processes, 9), "app");
    // The next release in the same container, and the same image once more.
    processes.on_exit(7);
    show(10, "red", "/ct/red", "print('red, and better')");
    assert_eq!(service(&mut processes, 10), "app@../../red");
    std::fs::create_dir_all(machine.dir.path().join("copy")).unwrap();
    std::fs::rename(machine.dir.path().join("blue/app"), machine.dir.path().join("copy/app")).unwrap();
    let file = machine.dir.path().join("copy/app/app.py");
    let written = std::fs::metadata(&file).unwrap().modified().unwrap();
    show(11, "copy", "/ct/copy", "print('blue!')");
    std::fs::File::options().write(true).open(file).unwrap().set_modified(written).unwrap();
    assert_eq!(service(&mut processes, 11), "app@../../blue", "the same program twice");
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
