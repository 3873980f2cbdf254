//! Connections of TLS that are older than the agent: what passes on them is read from then on, and both ends are joined.

use std::fs;
use std::process::Command;

use wirespan_tests::program::{Program, START};
use wirespan_tests::python;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::install;
use wirespan_tests::services::tls::{Secure, until_all_are_read};
use wirespan_tests::span::Span;

use crate::tls_libraries::assert_pairs;

#[test]
fn ends_of_connections_that_are_older_than_the_agent_are_joined_by_their_records() {
    const CLIENTS: usize = 8;
    const EACH: usize = 20;
    let mut scene = Scene::new();
    let vault = Secure::python(&scene, "");
    let location = format!("location / {{ proxy_pass https://localhost:{}; }}", vault.port);
    let proxy = Secure::nginx(&scene, &location);
    let script = install("tls_kept.py", scene.dir());
    let clients = [("direct", vault.port), ("proxied", proxy.port)].map(|(name, port)| {
        let mut command = Command::new(python::bin("python"));
        command.current_dir(scene.dir()).env("PYTHONDONTWRITEBYTECODE", "1").arg(&script);
        command.args([&format!("https://localhost:{port}/{name}"), &CLIENTS.to_string(), &EACH.to_string()]);
        Program::start(name, scene.dir(), &mut command).ready("open", |program| program.log().contains("opened"))
    });
    scene.trace();
    until_all_are_read(&mut scene);
    fs::write(scene.dir().join("go"), "").expect("a file");
    for mut client in clients {
        assert!(client.wait(START).is_some_and(|status| status.success()), "{}", client.log());
        assert!(client.log().contains("all is well"), "{}", client.log());
    }
    // (The server waits for the first request of each within a call whose beginning nobody saw.)
    let is_counted = |span: &Span, name: &str| {
        let number = span.path().strip_prefix(name).and_then(|number| number.parse::<usize>().ok());
        number.is_some_and(|number| number % EACH != 0)
    };
    let requests = CLIENTS * (EACH - 1);
    // Directly; and through nginx, which opens a connection for each.
    let wanted = [("/direct/", 1), ("/proxied/", 2)].map(|(name, hops)| (name, hops * requests));
    let of = |spans: &[Span], name: &str| -> Vec<Span> {
        spans.iter().filter(|span| is_counted(span, name)).cloned().collect()
    };
    scene.wait_for(|spans| wanted.iter().all(|(name, pairs)| of(spans, name).len() >= 2 * pairs));
    let spans = scene.finish(0);
    for (name, pairs) in wanted {
        let ours = of(&spans, name);
        assert_pairs(&ours, pairs);
        assert_eq!(ours.len(), 2 * pairs, "{name}");
    }
    for counter in ["tls_conflicts", "tls_untied"] {
        assert_eq!(scene.agent().try_counter(counter).unwrap_or_default(), 0, "{counter}");
    }
}
