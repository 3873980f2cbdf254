//! What there is to point at, in an application that has each ailment beside what does the same and is well.

use wirespan_tests::scene::Scene;
use wirespan_tests::services::databases::Database;
use wirespan_tests::services::loops::{Hops, Server};
use wirespan_tests::services::node::Node;
use wirespan_tests::span::{Span, Value};
use wirespan_tests::view::View;
use wirespan_tests::{agent, curl, wait};

/// Who works for another in between is not told of: an ailment is asked for again.
const TRIES: usize = 20;
/// What has nothing to do with the program: a machine that is busy.
const BUSY: &str = "run_queue";

const SICK: [(&str, &str); 7] = [
    ("lazy", "n_plus_one"),
    ("each_item", "n_plus_one"),
    ("again", "repeated_call"),
    ("tries_again", "retries"),
    ("swallows", "error_swallowed"),
    ("slow", "slow_statement"),
    ("connects_each_time", "connection_per_call"),
];
const WELL: [&str; 13] = [
    "eager",
    "few",
    "page_by_page",
    "some_items",
    "polls",
    "after_writing",
    "twice",
    "passes_on",
    "not_there",
    "another_server",
    "quick",
    "connects_once",
    "expected_conflict",
];

/// An application, and what it stands on.
struct World {
    scene: Scene,
    application: Hops,
    _downstream: Node,
    _postgres: Database,
}

impl World {
    /// What is told of a request, on the root of its trace.
    fn told(&self, what: &str) -> Vec<String> {
        let path = format!("/do/{what}");
        let roots = |spans: &[Span]| -> Vec<Span> {
            spans.iter().filter(|span| span.parent.is_empty() && span.path() == path).cloned().collect()
        };
        let known = roots(&self.scene.spans()).len();
        curl::run(&[&format!("http://127.0.0.1:{}{path}", self.application.port)]);
        let found = roots(&self.scene.wait_for(|spans| roots(spans).len() > known));
        assert_eq!(found.len(), known + 1, "{what} has no trace");
        let kinds = match found[known].attributes.get("wirespan.findings") {
            Some(Value::Array(kinds)) => kinds.clone(),
            _ => Vec::new(),
        };
        let text = |kind| match kind {
            Value::Str(kind) => kind,
            other => panic!("{other:?}"),
        };
        kinds.into_iter().map(text).filter(|kind| kind != BUSY).collect()
    }
}

#[test]
fn what_is_sick_is_found_and_what_is_well_is_not() {
    let scene = Scene::new();
    let (downstream, postgres) = (Node::faults(&scene), Database::postgres(&scene));
    let url = format!("http://127.0.0.1:{}", downstream.port);
    let application = Hops::start(&scene, Server::Ailing, &url, &[("POSTGRES", postgres.port.to_string())]);
    let view = View::new(&scene);
    let mut world = World { scene, application, _downstream: downstream, _postgres: postgres };
    curl::get(&format!("http://127.0.0.1:{}/prepare", world.application.port), 200);
    world.scene.trace_with(&["--listen", &view.listen()]);
    // Its connections are open, and its libraries loaded.
    for what in ["eager", "some_items"] {
        let _ = world.told(what);
    }
    for what in WELL {
        let told = world.told(what);
        assert!(told.is_empty(), "{what} is well, and {told:?} is told");
    }
    for (what, kind) in SICK {
        let is_told = |told: Vec<String>| {
            assert!(told.iter().all(|other| other == kind), "{what} is sick of {kind}, and {told:?} is told");
            !told.is_empty()
        };
        assert!((0..TRIES).any(|_| is_told(world.told(what))), "{what} is sick of {kind}, which is not told");
        assert!(wait::until_true(wait::PATIENCE, || lists(&view, kind)), "query --finding {kind} does not list {what}");
    }
}

/// Whether `wirespan query --finding` lists what it should.
fn lists(view: &View, kind: &str) -> bool {
    let arguments = ["query", "--address", &view.listen(), "--output", "json", "--finding", kind, "--limit", "100"];
    let output = agent::command().args(arguments).output().expect("wirespan runs");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    !lines.is_empty() && lines.lines().all(|line| line.contains("/do/"))
}
