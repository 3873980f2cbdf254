//! PostgreSQL by TLS that begins in the middle of a connection (`sslmode=require`): both ends, whole traces.

use std::process::Command;

use wirespan_tests::db::{Database, Deviation};
use wirespan_tests::expect::Expected;
use wirespan_tests::http::{client, server};
use wirespan_tests::known::{of_number, until_whole};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::databases::Database as Server;
use wirespan_tests::services::tls::{Secure, until_read};
use wirespan_tests::span::Span;
use wirespan_tests::{curl, python, trace};

/// What PostgreSQL is called by `caller`, which has asked for TLS.
fn secured<'a>(caller: &'a str, postgres: &Server) -> Database<'a> {
    Database { caller, service: "postgres", system: "postgresql", namespace: Some("shop"), port: postgres.port }
}

fn assert_nothing_is_lost(scene: &mut Scene) {
    for counter in ["tls_conflicts", "tls_untied", "tls_refused"] {
        assert_eq!(scene.agent().try_counter(counter).unwrap_or_default(), 0, "{counter}");
    }
}

#[test]
fn what_psql_asks_by_tls_is_seen_at_both_ends() {
    const ROUNDS: usize = 4;
    let mut scene = Scene::new();
    let postgres = Server::postgres_secure(&scene);
    scene.trace();
    until_read(&mut scene);
    let at = format!("host=127.0.0.1 port={} user=app dbname=shop sslmode=require", postgres.port);
    for _ in 0..ROUNDS {
        let mut psql = Command::new("psql");
        psql.args([&at, "-qAtc", "INSERT INTO orders VALUES (1, 'secret')", "-c", "DELETE FROM orders WHERE id = 1"]);
        psql.args(["-c", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"]);
        let output = psql.output().expect("psql is installed");
        assert_eq!(output.stdout, b"t\n", "{}", String::from_utf8_lossy(&output.stderr));
    }
    let postgres = secured("psql", &postgres);
    let statements = [
        ("INSERT orders", "INSERT INTO orders VALUES (?, ?)"),
        ("DELETE orders", "DELETE FROM orders WHERE id = ?"),
        ("SELECT pg_stat_ssl", "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"),
    ];
    let all = statements.map(|(summary, text)| postgres.sql(summary, text).both("tls.protocol.version", "1.3"));
    let expected: Vec<Expected> = (0..ROUNDS).flat_map(|_| all.clone()).collect();
    scene.expect(&expected);
    assert!(scene.spans().iter().all(|span| !format!("{span:?}").contains("secret")));
    assert_nothing_is_lost(&mut scene);
}

#[test]
fn what_drivers_with_libraries_of_their_own_ask_by_tls_is_below_the_request_it_is_for() {
    let mut scene = Scene::new();
    let postgres = Server::postgres_secure(&scene);
    let script = Command::new(python::bin("python"));
    let web = Secure::script(&scene, script, "sealed_orders.py", &postgres.port.to_string());
    scene.trace();
    until_read(&mut scene);
    let url = |driver: &str, number: usize| format!("http://127.0.0.1:{}/{driver}/{number}", web.port);
    let drivers = [("three", "$1"), ("two", "?")];
    let mut numbers = 100..;
    for (driver, _) in drivers {
        until_whole(&mut scene, &mut numbers, 4, |number| url(driver, number));
    }
    let before = scene.count();
    let asked: Vec<(usize, &str, &str)> =
        (7..15).map(|number| (number, drivers[number % 2].0, drivers[number % 2].1)).collect();
    for (number, driver, _) in &asked {
        curl::get(&url(driver, *number), 200);
    }
    let query = |parameter: &str| format!("SELECT name FROM orders WHERE id = {parameter}");
    let expected: Vec<Expected> = asked
        .iter()
        .map(|(number, driver, parameter)| {
            let postgres = secured("sealed_orders", &postgres);
            let call = postgres.sql("SELECT orders", &query(parameter)).both("tls.protocol.version", "1.3");
            let url = url(driver, *number);
            client("curl", "GET", &url, 200).child(server("sealed_orders", "GET", &url, 200).child(call))
        })
        .collect();
    let spans = scene.finish(before + expected.iter().map(Expected::size).sum::<usize>());
    let ours: Vec<Span> = asked.iter().flat_map(|(number, ..)| of_number(&spans, *number)).collect();
    trace::assert_traces(&expected, &ours);
    assert_nothing_is_lost(&mut scene);
}
