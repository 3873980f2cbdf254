//! One connection says more than the agent can follow: others keep their spans.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use wirespan_tests::curl;
use wirespan_tests::scene::{Scene, test_process};
use wirespan_tests::services::nginx::{Nginx, Settings};
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};

/// More than a hold and a batch: nothing comes after it.
const QUIET: Duration = Duration::from_millis(1500);
/// Requests of the modest client.
const REQUESTS: usize = 200;

/// A connection of this process to itself on which hundreds of requests pass in each operation, as fast as can be.
struct Flood {
    stop: Arc<AtomicBool>,
    /// Gives the number of operations.
    thread: JoinHandle<usize>,
}

impl Flood {
    fn start() -> Self {
        // Not a port of the scene: these spans are not the test's matter.
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let mut client = TcpStream::connect(listener.local_addr().expect("an address")).expect("a connection");
        let (mut server, _) = listener.accept().expect("the same connection");
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let requests = b"GET / HTTP/1.1\r\n\r\n".repeat(227);
            let mut read = vec![0; requests.len()];
            let mut operations = 0;
            while !stopped.load(Ordering::Relaxed) {
                client.write_all(&requests).expect("the other end reads");
                server.read_exact(&mut read).expect("the other end writes");
                operations += 2;
            }
            operations
        });
        Self { stop, thread }
    }

    fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the flood ends")
    }
}

/// nginx with one worker, which answers at once.
fn modest(scene: &Scene) -> Nginx {
    Nginx::start(scene, &Settings { workers: 1, http: "", server: "location / { return 200 'yes'; }" })
}

/// Asks it at a modest rate.
fn ask(nginx: &Nginx) {
    let urls = nginx.url(&format!("/modest?n=[1-{REQUESTS}]"));
    assert_eq!(curl::run(&["--rate", "100/s", &urls]).exit, 0);
    assert_eq!(nginx.access_log().len(), REQUESTS, "each request was made");
}

/// How many client and server spans the modest connection has, once all have come.
fn spans_of_modest(scene: &mut Scene, nginx: &Nginx) -> (usize, usize) {
    assert!(scene.settles(QUIET), "spans keep arriving");
    scene.agent().stop();
    let spans = scene.spans();
    let of = |service: &str, kind: Kind| {
        let is = |span: &&Span| span.service() == service && span.kind == kind && span.concerns_port(&[nginx.port]);
        spans.iter().filter(is).count()
    };
    let (clients, servers) = (of("curl", Kind::Client), of("nginx", Kind::Server));
    assert!(clients.max(servers) <= REQUESTS, "{clients} client and {servers} server spans of {REQUESTS}");
    (clients, servers)
}

#[test]
fn a_flooding_connection_leaves_a_modest_one_its_spans() {
    let mut scene = Scene::new();
    let nginx = modest(&scene);
    scene.trace_with(&["--ring-bytes=1MiB", "--stats"]);
    let flood = Flood::start();
    ask(&nginx);
    let operations = flood.stop();
    let (clients, servers) = spans_of_modest(&mut scene, &nginx);
    let log = scene.agent().log();
    let (left_out, full) = (scene.agent().counter("kernel_over_budget"), scene.agent().try_counter("kernel_ring_full"));
    eprintln!(
        "{operations} operations of the flood: {left_out} left out, {full:?} found the ring full; {clients} + {servers} spans"
    );
    assert!(left_out > 0, "the flood was no flood: {operations} operations\n{log}");
    assert!(
        clients.min(servers) * 100 >= REQUESTS * 95,
        "{clients} client and {servers} server spans of {REQUESTS}\n{log}"
    );
    let name = test_process();
    assert!(log.contains(&format!("({name}) says more than the agent can follow")), "{log}");
    assert!(!log.contains("(nginx) says more"), "{log}");
}

/// What probes tell of its tasks is held against a program as what it sends is: it does not fill the ring for all.
#[test]
fn a_program_that_never_stops_making_tasks_does_not_fill_the_ring() {
    let mut scene = Scene::new();
    let nginx = modest(&scene);
    let restless = [Python::restless(&scene), Python::restless(&scene)];
    scene.trace_with(&["--ring-bytes=64KiB", "--stats"]);
    // (Their tasks are followed once they have answered.)
    for program in &restless {
        assert_eq!(curl::run(&[&format!("http://127.0.0.1:{}/", program.port)]).exit, 0);
    }
    ask(&nginx);
    drop(restless);
    let (clients, servers) = spans_of_modest(&mut scene, &nginx);
    let log = scene.agent().log();
    let (left_out, full) = (scene.agent().counter("kernel_over_budget"), scene.agent().try_counter("kernel_ring_full"));
    eprintln!("{left_out} left out, {full:?} found the ring full; {clients} + {servers} spans");
    assert!(log.contains("(restless) says more than the agent can follow"), "the flood was no flood\n{log}");
    assert!(full.unwrap_or(0) * 100 <= left_out, "{full:?} found the ring full, {left_out} were left out\n{log}");
}
