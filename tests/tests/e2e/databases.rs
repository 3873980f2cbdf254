//! Databases: calls below the request that makes them, with the database's own end below each.

use std::collections::HashSet;
use std::process::Command;
use std::time::Duration;

use wirespan_tests::curl;
use wirespan_tests::db::{Database, Deviation};
use wirespan_tests::expect::{Expected, Want};
use wirespan_tests::http::{client, server};
use wirespan_tests::program::Program;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::clients;
use wirespan_tests::services::databases::{self, Database as Server};
use wirespan_tests::services::gunicorn::Gunicorn;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span, Value};
use wirespan_tests::{trace, wait};

/// PostgreSQL, MariaDB, Redis, memcached, and an application that uses them.
struct Stack {
    /// It goes first: PostgreSQL waits for its clients to leave.
    app: Gunicorn,
    postgres: Server,
    mariadb: Server,
    redis: Server,
    memcached: Server,
}

impl Stack {
    fn start(scene: &Scene) -> Self {
        let (postgres, mariadb) = (Server::postgres(scene), Server::mariadb(scene));
        let (redis, memcached) = (Server::redis(scene), Server::memcached(scene));
        let ports = [
            ("POSTGRES", postgres.port),
            ("MARIADB", mariadb.port),
            ("REDIS", redis.port),
            ("MEMCACHED", memcached.port),
        ];
        let app = Gunicorn::stack(scene, &ports);
        Self { app, postgres, mariadb, redis, memcached }
    }

    fn postgres(&self) -> Database<'_> {
        let (port, namespace) = (self.postgres.port, Some("shop"));
        Database { caller: "stack", service: "postgres", system: "postgresql", namespace, port }
    }

    fn mariadb(&self) -> Database<'_> {
        let (port, namespace) = (self.mariadb.port, Some("shop"));
        Database { caller: "stack", service: "mariadbd", system: "mariadb", namespace, port }
    }

    fn redis(&self) -> Database<'_> {
        let port = self.redis.port;
        Database { caller: "stack", service: "redis-server", system: "redis", namespace: None, port }
    }

    fn memcached(&self) -> Database<'_> {
        let port = self.memcached.port;
        Database { caller: "stack", service: "memcached", system: "memcached", namespace: None, port }
    }

    /// curl asking the application, which makes `calls`.
    fn request(&self, path: &str, calls: Vec<Expected>) -> Expected {
        let url = self.app.url(path);
        let handler = calls.into_iter().fold(server("stack", "GET", &url, 200), Expected::child);
        client("curl", "GET", &url, 200).child(handler)
    }
}

/// The spans of the traces in which `path` was asked for.
fn of_path(spans: &[Span], path: &str) -> Vec<Span> {
    let traces: HashSet<&str> = spans.iter().filter(|s| s.path() == path).map(|s| s.trace_id.as_str()).collect();
    spans.iter().filter(|s| traces.contains(s.trace_id.as_str())).cloned().collect()
}

fn assert_nothing_leaks(spans: &[Span]) {
    let speaks = |value: &Value| matches!(value, Value::Str(text) if text.contains("secret"));
    let leak = spans.iter().find(|span| span.name.contains("secret") || span.attributes.values().any(speaks));
    assert!(leak.is_none(), "a literal got out: {}", trace::line(leak.expect("a leak")));
}

/// `/order` in all its parts.
fn order(stack: &Stack) -> Expected {
    let (postgres, mariadb, redis, memcached) = (stack.postgres(), stack.mariadb(), stack.redis(), stack.memcached());
    let of_two = |span: Expected| span.both("wirespan.pipeline.size", 2i64);
    stack.request(
        "/order/7",
        vec![
            postgres.sql("INSERT orders", "INSERT INTO orders VALUES (?, ?)"),
            postgres.sql("BEGIN", "BEGIN"),
            postgres.sql("SELECT orders", "SELECT name FROM orders WHERE id = $1"),
            postgres.sql("COMMIT", "COMMIT"),
            mariadb.sql("INSERT stock", "INSERT INTO stock VALUES (?, ?)"),
            mariadb.sql("SELECT stock", "SELECT * FROM stock WHERE name = ?"),
            redis.operation("SET", "SET", Some("SET ? ?")),
            of_two(redis.operation("GET", "GET", Some("GET ?"))),
            of_two(redis.operation("INCRBY", "INCRBY", Some("INCRBY ? ?"))),
            memcached.operation("set", "set", Some("set ? ? ? ?")),
            memcached.operation("get", "get", Some("get ?")),
        ],
    )
}

#[test]
fn a_request_through_every_database_is_one_trace() {
    let mut scene = Scene::new();
    let stack = Stack::start(&scene);
    scene.trace();
    for path in ["/warm", "/order/7", "/wrong"] {
        curl::get(&stack.app.url(path), 200);
    }
    let wrong = stack.request(
        "/wrong",
        vec![
            stack.postgres().sql("SELECT nowhere", "SELECT ? FROM nowhere").refused("42P01"),
            stack.mariadb().sql("SELECT nowhere", "SELECT ? FROM nowhere").refused("1146"),
            stack.redis().operation("LPUSH", "LPUSH", Some("LPUSH ? ?")).refused("WRONGTYPE"),
        ],
    );
    let expected = [order(&stack), wrong];
    let enough = |spans: &[Span]| {
        let count = of_path(spans, "/order/7").len() + of_path(spans, "/wrong").len();
        count >= expected.iter().map(Expected::size).sum()
    };
    scene.wait_for(enough);
    scene.agent().stop();
    let spans = scene.spans();
    assert_nothing_leaks(&spans);
    let mut judged = of_path(&spans, "/order/7");
    judged.extend(of_path(&spans, "/wrong"));
    trace::assert_traces(&expected, &judged);
}

#[test]
fn a_statement_prepared_before_the_agent_looked_is_joined_and_called_what_the_server_says() {
    let mut scene = Scene::new();
    let postgres = Server::postgres(&scene);
    let app = Gunicorn::stack(&scene, &[("POSTGRES", postgres.port)]);
    curl::get(&app.url("/prepared/1"), 200);
    scene.trace();
    // What was sent before may be unanswered yet, so nothing is told of the first call that is seen.
    for (number, answer) in [(2, "43"), (3, "44")] {
        assert_eq!(curl::get(&app.url(&format!("/prepared/{number}")), 200).body, answer.as_bytes());
    }
    let request = |path| {
        let url = app.url(path);
        (client("curl", "GET", &url, 200), server("stack", "GET", &url, 200))
    };
    let port = postgres.port;
    let known = Database { caller: "stack", service: "postgres", system: "postgresql", namespace: None, port };
    let (first, second) = (request("/prepared/2"), request("/prepared/3"));
    let unknown = Want::Is(Value::Array(vec![Value::Str("db.query.text".to_owned())]));
    let call = known.operation("SELECT", "SELECT", None).both("wirespan.unknown", unknown);
    scene.expect(&[first.0.child(first.1), second.0.child(second.1.child(call))]);
}

/// Checks that there is a pair of spans for each of `made` calls, with nothing mixed.
fn assert_pairs(scene: &Scene, made: usize, is_meant: impl Fn(&Span) -> bool) {
    let spans = scene.spans();
    let ends = |kind| spans.iter().filter(|span| span.kind == kind && is_meant(span)).count();
    let (clients, servers) = (ends(Kind::Client), ends(Kind::Server));
    eprintln!("calls {made}, client spans {clients}, server spans {servers}, all spans {}", spans.len());
    assert_eq!((clients, servers), (made, made), "spans found, and calls made");
    let forest = trace::forest(&spans);
    let wrong: Vec<&trace::Node<'_>> = forest.iter().filter(|root| !is_a_pair(root)).collect();
    let shown: Vec<String> = wrong.iter().take(5).flat_map(|root| root.flat()).map(trace::line).collect();
    assert!(wrong.is_empty(), "{} traces are not a pair, such as\n{}", wrong.len(), shown.join("\n"));
}

/// One call: the database's end below its caller's, with the same name, inside it.
fn is_a_pair(root: &trace::Node<'_>) -> bool {
    let [child] = root.children.as_slice() else { return false };
    let (caller, callee) = (root.span, child.span);
    caller.kind == Kind::Client
        && callee.kind == Kind::Server
        && caller.name == callee.name
        && caller.start <= callee.start
        && callee.end <= caller.end
        && child.children.is_empty()
}

#[test]
fn every_pipelined_command_of_redis_benchmark_has_its_pair_of_spans() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let redis = Server::redis(&scene);
    scene.trace_with(&["--stats"]);
    let mut benchmark = Command::new("redis-benchmark");
    benchmark.args(["-p", &redis.port.to_string(), "-P", "16", "-n", "20000", "-c", "8", "-t", "set", "-q"]);
    let output = benchmark.output().expect("redis-benchmark is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(scene.settles_with(2 * 20_000, Duration::from_millis(1500)), "spans keep arriving");
    scene.agent().stop();
    assert_pairs(&scene, 20_000, |span| span.name == "SET");
}

#[test]
fn every_statement_of_pgbench_has_its_pair_of_spans() {
    let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
    let postgres = Server::postgres(&scene);
    let run = |arguments: &[&str]| {
        let mut pgbench = Command::new(databases::postgres_programs().join("pgbench"));
        pgbench.args(["-h", "127.0.0.1", "-U", "app", "-p", &postgres.port.to_string()]).args(arguments).arg("shop");
        let output = pgbench.output().expect("pgbench is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["-i", "-q", "-s", "1"]);
    scene.trace_with(&["--stats"]);
    run(&["-n", "-c", "4", "-j", "2", "-t", "250", "-M", "extended"]);
    assert!(scene.settles_with(2 * 7_000, Duration::from_millis(1500)), "spans keep arriving");
    scene.agent().stop();
    // Seven statements a transaction.
    assert_pairs(&scene, 7_000, |span| span.text("db.query.text").is_some_and(|text| !text.starts_with("select")));
}

/// Calls of a statement that `client` prepared before the agent came: both ends of four, called `name`.
fn assert_unknown(scene: &mut Scene, mut client: Program, name: &str) {
    assert!(wait::until_true(wait::PATIENCE, || client.log().contains("waiting")), "{}", client.log());
    scene.trace();
    std::fs::write(scene.dir().join("go"), "").expect("a sign");
    assert!(client.wait(wait::PATIENCE).is_some_and(|s| s.success()), "{}", client.log());
    let spans = scene.finish(6);
    let calls: Vec<&Span> = spans.iter().filter(|span| span.name == name).collect();
    assert!(calls.len() >= 6, "{spans:?}");
    for span in calls {
        assert!(format!("{:?}", span.attributes.get("wirespan.unknown")).contains("db.query.text"), "{span:?}");
        assert!(!span.attributes.contains_key("db.query.text"), "{span:?}");
    }
}

#[test]
fn a_statement_that_was_prepared_before_the_agent_came_is_said_to_be_unknown() {
    let mut scene = Scene::new();
    let postgres = Server::postgres(&scene);
    let client = Python::start(&scene, "prepared.py", &[&postgres.port.to_string()]);
    assert_unknown(&mut scene, client, "SELECT");
}

#[test]
fn so_is_one_of_mariadb_which_does_not_say_what_it_ran_either() {
    let mut scene = Scene::new();
    let mariadb = Server::mariadb(&scene);
    let client = clients::start(&scene, "prepared.js", &[&mariadb.port.to_string()]);
    assert_unknown(&mut scene, client, "EXECUTE");
}
