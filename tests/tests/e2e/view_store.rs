//! `--store`: traces outlive the agent however it ends, and a disk that fails stops nothing.

use std::collections::HashSet;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::view::View;
use wirespan_tests::{agent, curl, wait};

fn start(scene: &mut Scene, view: &View, store: &Path) {
    let store = store.to_str().expect("UTF-8").to_owned();
    scene.trace_by(agent::command().args(["--listen", &view.listen(), "--store", &store, "--output", "none"]));
}

/// The paths of this test's requests that the view knows.
fn paths(view: &View) -> HashSet<String> {
    let of = |trace: serde_json::Value| trace["name"].as_str().unwrap_or_default().to_owned();
    view.search("service=faults&limit=1000").into_iter().map(of).collect()
}

#[test]
fn killed_the_agent_loses_at_most_the_last_second() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let (view, store) = (View::new(&scene), scene.dir().join("traces.redb"));
    start(&mut scene, &view, &store);
    // The file is written twice a second; a busy machine may be late.
    let due = |known: &[(String, Instant)]| -> HashSet<String> {
        known.iter().filter(|(_, at)| at.elapsed() > Duration::from_secs(3)).map(|(name, _)| name.clone()).collect()
    };
    // Requests all the while, each with a name of its own and the moment at which the view had it.
    let mut known: Vec<(String, Instant)> = Vec::new();
    let begun = Instant::now();
    let mut n = 0;
    while due(&known).len() < 5 || begun.elapsed() < Duration::from_secs(5) {
        assert!(begun.elapsed() < Duration::from_secs(60), "{known:?}");
        let path =
            format!("/request-{}", ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"][n % 10].repeat(n / 10 + 1));
        curl::get(&faults.url(&path), 200);
        n += 1;
        let seen = paths(&view);
        for name in seen {
            if !known.iter().any(|(other, _)| *other == name) {
                known.push((name, Instant::now()));
            }
        }
    }
    let due = due(&known);
    scene.agent().kill();

    let again = View::new(&scene);
    start(&mut scene, &again, &store);
    let back = || due.is_subset(&paths(&again));
    assert!(
        wait::until_true(wait::PATIENCE, back),
        "missing: {:?}",
        due.difference(&paths(&again)).collect::<Vec<_>>()
    );
    let trace = &again.search("service=faults")[0];
    let detail = again.get(&format!("/api/v1/trace/{}", trace["trace_id"].as_str().expect("an id")));
    assert_eq!(detail["spans"].as_array().map(Vec::len), Some(2), "with everything that it had: {detail}");
    assert_eq!(again.get("/api/v1/status")["persistent"], true);
    scene.agent().stop();
}

#[test]
fn a_damaged_file_is_set_aside_and_tracing_goes_on() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let (view, store) = (View::new(&scene), scene.dir().join("traces.redb"));
    start(&mut scene, &view, &store);
    curl::get(&faults.url("/before"), 200);
    assert!(wait::until_true(wait::PATIENCE, || paths(&view).contains("GET /before")));
    scene.agent().stop();
    let mut bytes = std::fs::read(&store).expect("the store");
    let half = bytes.len() / 2;
    bytes[4096..4096 + half].fill(0xa5);
    std::fs::write(&store, bytes).expect("a damaged store");

    let again = View::new(&scene);
    start(&mut scene, &again, &store);
    curl::get(&faults.url("/after"), 200);
    assert!(wait::until_true(wait::PATIENCE, || paths(&again).contains("GET /after")));
    let log = scene.agent().log();
    assert!(log.contains("is damaged") && log.contains("set aside as"), "{log}");
    let names = std::fs::read_dir(scene.dir()).expect("the directory").flatten();
    let aside = names.filter(|e| e.file_name().to_string_lossy().starts_with("traces.redb.damaged-")).count();
    assert_eq!(aside, 1, "{log}");
    scene.agent().stop();
}

#[test]
fn somebody_else_s_file_is_refused_and_left_alone() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let (view, store) = (View::new(&scene), scene.dir().join("notes.txt"));
    std::fs::write(&store, "my notes").expect("a file");
    start(&mut scene, &view, &store);
    curl::get(&faults.url("/seen"), 200);
    assert!(wait::until_true(wait::PATIENCE, || paths(&view).contains("GET /seen")));
    assert!(scene.agent().log().contains("it is not a store of wirespan"), "{}", scene.agent().log());
    scene.agent().stop();
    assert_eq!(std::fs::read_to_string(&store).expect("the file"), "my notes");
}

/// Runs a command where the agent's own file systems are.
fn beside(pid: u32, command: &[&str]) {
    let pid = pid.to_string();
    let status = Command::new("nsenter").args(["-t", &pid, "-m"]).args(command).status().expect("nsenter runs");
    assert!(status.success(), "{command:?}: {status}");
}

#[test]
fn a_full_disk_is_said_and_stops_nothing_and_is_written_again_when_there_is_room() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let view = View::new(&scene);
    let disk = scene.dir().join("small");
    std::fs::create_dir(&disk).expect("a directory");
    let disk = disk.to_str().expect("UTF-8").to_owned();
    // A file system of its own, of 300 KiB, which nobody else sees.
    let script = format!("mount -t tmpfs -o size=300k tmpfs {disk} && exec \"$@\"");
    let mut command = agent::unconfigured(Command::new("unshare"));
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(agent::binary());
    command.args(["--listen", &view.listen(), "--store", &format!("{disk}/traces.redb"), "--output", "none"]);
    scene.trace_by(&mut command);
    let said = |scene: &mut Scene, text: &str| scene.agent().log().contains(text);
    let begun = Instant::now();
    let mut n = 0;
    while !said(&mut scene, "traces are kept in memory only") {
        assert!(begun.elapsed() < Duration::from_secs(60), "no word of a full disk: {}", scene.agent().log());
        curl::get(&faults.url(&format!("/fill/{n}?{}", "x=y&".repeat(400))), 200);
        n += 1;
    }
    let log = scene.agent().log();
    assert!(log.to_lowercase().contains("no space left"), "{log}");
    curl::get(&faults.url("/still-seen"), 200);
    assert!(wait::until_true(wait::PATIENCE, || paths(&view).contains("GET /still-seen")), "tracing goes on");
    assert!(view.get("/api/v1/status")["lost"]["store_disk_errors"].as_u64() >= Some(1));

    let pid = scene.agent().pid();
    beside(pid, &["mount", "-o", "remount,size=64m", &disk]);
    let again = wait::until_true(wait::PATIENCE, || said(&mut scene, "traces are written again"));
    assert!(again, "{}", scene.agent().log());
    curl::get(&faults.url("/after-all"), 200);
    assert!(wait::until_true(wait::PATIENCE, || paths(&view).contains("GET /after-all")));
    // The file system would end with the agent.
    let kept = std::fs::File::open(format!("/proc/{pid}/ns/mnt")).expect("the agent's namespace");
    let namespace = format!("--mount=/proc/{}/fd/{}", std::process::id(), kept.as_raw_fd());
    scene.agent().stop();
    let copy = scene.dir().join("copy.redb");
    let copied =
        Command::new("nsenter").arg(namespace).arg("cp").arg(format!("{disk}/traces.redb")).arg(&copy).status();
    assert!(copied.expect("nsenter runs").success());
    let other = View::new(&scene);
    start(&mut scene, &other, &copy);
    let all = || paths(&other).is_superset(&HashSet::from(["GET /still-seen".to_owned(), "GET /after-all".to_owned()]));
    assert!(wait::until_true(wait::PATIENCE, all), "what came while the disk was full is there too");
    scene.agent().stop();
}
