//! The server itself: real connections that are large, slow, many, or do not read.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::serve::Patience;
use super::*;
use crate::store::{Limits, Settings, Store};
use wirespan_delivery::Account;
use wirespan_delivery::Bundle;
use wirespan_delivery::admission::Admission;
use wirespan_delivery::testing::{span_of, trace};
use wirespan_signals::Span;

/// A view with a store behind it.
pub(super) struct Viewed {
    view: Option<View>,
    store: Store,
    counters: Arc<Counters>,
    address: SocketAddr,
}

pub(super) fn viewed(patience: Patience) -> Viewed {
    let limits = Limits { bytes: 64 << 20, traces: 100_000 };
    let counters = Arc::new(Counters::default());
    let settings = Settings { limits, path: None, lines: 1 << 20 };
    let admission = Arc::new(Admission::new(1_000_000, Account::new(usize::MAX)));
    let store = Store::start(settings.clone(), admission, Arc::clone(&counters), Arc::default()).unwrap();
    let config =
        ViewConfig { listen: Some("127.0.0.1:0".parse().unwrap()), socket: None, token: None, store: settings };
    let (mut bound, problems) = Bound::new(&config);
    assert!(problems.is_empty(), "{problems:?}");
    bound.patience = patience;
    let address = bound.address().unwrap();
    let shown = Shown {
        reader: store.reader(),
        counters: Arc::clone(&counters),
        readings: Arc::clone(&counters) as _,
        linking: Arc::default(),
        persistent: false,
        otlp_listen: None,
        inventory: Arc::default(),
        probes: probes::Probes::new(
            || probes::Health::Ready,
            Arc::new(|format, take| {
                // More than the kernel takes for a reader that does not read.
                (0..2000).all(|n| take(format!("line {n} {format:?} {}\n", "x".repeat(10_000))));
            }),
        ),
    };
    Viewed { view: Some(bound.serve(shown).unwrap()), store, counters, address }
}

/// Whoever asks it, from any thread.
#[derive(Clone, Copy)]
pub(super) struct Asker(SocketAddr);

impl Asker {
    fn connect(self) -> TcpStream {
        let stream = TcpStream::connect(self.0).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream
    }

    /// What is answered to a request, until the connection ends.
    fn ask(self, request: &str) -> String {
        let mut stream = self.connect();
        // A server that refuses may close before everything is sent.
        let _ = stream.write_all(request.as_bytes());
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    pub(super) fn get(self, path: &str) -> String {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    }
}

impl Viewed {
    /// Where it is asked.
    pub(super) fn asker(&self) -> Asker {
        Asker(self.address)
    }

    fn connect(&self) -> TcpStream {
        self.asker().connect()
    }

    fn ask(&self, request: &str) -> String {
        self.asker().ask(request)
    }

    pub(super) fn get(&self, path: &str) -> String {
        self.asker().get(path)
    }

    /// Asks, and does not wait for the answer.
    pub(super) fn ask_and_leave(&self, path: &str) {
        let mut stream = self.connect();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    }

    pub(super) fn export(&self, traces: Vec<wirespan_signals::Trace>) {
        self.store.export(&Bundle::new(traces));
    }

    /// Waits until the counters are so.
    pub(super) fn until(&self, patience: Duration, wanted: impl Fn(&Counters) -> bool) -> bool {
        let deadline = Instant::now() + patience;
        while !wanted(&self.counters) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        wanted(&self.counters)
    }

    fn watch(&self) -> TcpStream {
        let mut stream = self.connect();
        stream.write_all(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        assert_eq!(&head, b"HTTP/1.1 200");
        stream
    }

    fn store(&self, number: u64) {
        let new = |n: u64| {
            let id = (u128::from(n) + 1).to_be_bytes();
            trace(vec![Span { trace_id: id, ..span_of("shop", "<script>alert(1)</script>") }])
        };
        let before = self.counters.store_traces.get();
        self.store.export(&Bundle::new((before..before + number).map(new).collect()));
        let deadline = Instant::now() + Duration::from_secs(20);
        while self.counters.store_traces.get() < before + number && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.counters.store_traces.get(), before + number);
    }
}

#[test]
fn every_answer_says_what_the_page_may_do_and_values_are_no_markup() {
    let viewed = viewed(Patience::default());
    viewed.store(1);
    for path in ["/", "/api/v1/search", "/nothing", "/api/traces?service=shop", "/assets/none"] {
        let answer = viewed.get(path);
        let head = answer.to_ascii_lowercase();
        assert!(head.contains("content-security-policy: default-src 'none'; script-src 'self'"), "{answer}");
        assert!(head.contains("x-content-type-options: nosniff") && !head.contains("access-control"), "{answer}");
    }
    // JSON is never taken for a page: its type and `nosniff` say so.
    let answer = viewed.get("/api/v1/search");
    assert!(answer.contains("content-type: application/json") && answer.contains("<script>"), "{answer}");
}

#[test]
fn a_request_that_is_too_large_is_refused() {
    let viewed = viewed(Patience::default());
    let header = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(64 << 10));
    assert!(viewed.ask(&header).starts_with("HTTP/1.1 431"));
    let address = format!("GET /{} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", "x".repeat(16 << 10));
    assert!(viewed.ask(&address).starts_with("HTTP/1.1 414"));
    let body = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 99999999\r\n\r\n";
    assert!(viewed.ask(body).starts_with("HTTP/1.1 413"));
    assert!(viewed.counters.view_refused.get() >= 2);
}

#[test]
fn who_does_not_finish_a_request_is_cut_off() {
    let patience = Patience { head: Duration::from_millis(300), ..Patience::default() };
    let viewed = viewed(patience);
    let begun = Instant::now();
    let mut stream = viewed.connect();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: local").unwrap();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    assert!(viewed.get("/api/v1/status").starts_with("HTTP/1.1 200"));
}

#[test]
fn who_does_not_read_is_cut_off() {
    let patience = Patience { stall: Duration::from_millis(300), ..Patience::default() };
    let viewed = viewed(patience);
    viewed.store(5_000);
    let mut stream = viewed.connect();
    // Far more than the kernel takes for a reader that does not read.
    for _ in 0..40 {
        if stream.write_all(b"GET /api/v1/search?limit=1000 HTTP/1.1\r\nHost: localhost\r\n\r\n").is_err() {
            break;
        }
    }
    let gone = || matches!(stream.write(b"x"), Err(error) if error.kind() != std::io::ErrorKind::WouldBlock);
    let mut gone = gone;
    let deadline = Instant::now() + Duration::from_secs(10);
    while !gone() && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(Instant::now() < deadline, "the connection lives on");
}

#[test]
fn there_is_a_bound_on_watchers_and_a_slow_one_is_told_how_much_it_missed() {
    let viewed = viewed(Patience::default());
    let mut watchers: Vec<TcpStream> = (0..live::MAX_WATCHERS).map(|_| viewed.watch()).collect();
    assert!(viewed.get("/api/v1/live").starts_with("HTTP/1.1 503"));
    viewed.store(20_000);
    // What 100 at a time, five times a second, cannot tell is told as a number.
    let mut told = 0;
    let mut text = String::new();
    let mut buffer = [0; 65_536];
    let deadline = Instant::now() + Duration::from_secs(20);
    while told < 20_000 && Instant::now() < deadline {
        let read = watchers[0].read(&mut buffer).unwrap();
        text.push_str(&String::from_utf8_lossy(&buffer[..read]));
        let events = text.lines().filter_map(|line| line.strip_prefix("data: "));
        told = events
            .filter_map(|event| serde_json::from_str::<serde_json::Value>(event).ok())
            .map(|event| event["traces"].as_array().unwrap().len() as u64 + event["skipped"].as_u64().unwrap())
            .sum();
    }
    assert_eq!(told, 20_000);
    assert!(viewed.counters.view_live_skipped.get() > 10_000);
    // One that goes away makes room.
    watchers.truncate(1);
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        viewed.store(1);
        let mut stream = viewed.connect();
        stream.write_all(b"GET /api/v1/live HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
        let mut head = [0; 12];
        stream.read_exact(&mut head).unwrap();
        if &head == b"HTTP/1.1 200" || Instant::now() > deadline {
            assert_eq!(&head, b"HTTP/1.1 200");
            break;
        }
    }
}

#[test]
fn open_connections_do_not_hold_the_end_up() {
    let mut viewed = viewed(Patience::default());
    let _watchers: Vec<TcpStream> = (0..10).map(|_| viewed.watch()).collect();
    let begun = Instant::now();
    viewed.view.take().unwrap().stop();
    // (They may go on for half a minute.)
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
}

#[test]
fn the_page_is_sent_compressed_once() {
    let viewed = viewed(Patience::default());
    let answer = viewed.get("/search?x=1");
    assert!(answer.starts_with("HTTP/1.1 200") && answer.contains("text/html") && answer.contains("<!doctype html>"));
    let tag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().to_owned();
    let again = format!("GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nIf-None-Match: {tag}\r\n\r\n");
    assert!(viewed.ask(&again).starts_with("HTTP/1.1 304"));
}

#[test]
fn silent_connections_keep_nobody_out() {
    let viewed = viewed(Patience::default());
    let silent: Vec<TcpStream> = (0..serve::MAX_CONNECTIONS + 200)
        .map(|n| {
            let mut stream = viewed.connect();
            if n % 2 == 0 {
                stream.write_all(b"GET / HTTP/1.1\r\nHost: loc").unwrap();
            }
            stream
        })
        .collect();
    let begun = Instant::now();
    assert!(viewed.get("/api/v1/status").starts_with("HTTP/1.1 200"));
    // (They may be silent for a quarter of a minute.)
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    // The oldest made way, and the latest are still waited for.
    let mut rest = Vec::new();
    let mut first = silent.into_iter().next().unwrap();
    let _ = first.read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn people_get_a_page_where_programs_get_json() {
    let viewed = viewed(Patience::default());
    let browser = |path: &str, accept: &str| {
        viewed.ask(&format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: {accept}\r\nConnection: close\r\n\r\n"))
    };
    for (path, status) in
        [("/nothing", "404"), ("/api/v1/search?status=x", "400"), ("/api/traces", "400"), ("/assets/x", "404")]
    {
        let page = browser(path, "text/html,application/xhtml+xml,*/*;q=0.8");
        assert!(page.starts_with(&format!("HTTP/1.1 {status}")) && page.contains("content-type: text/html"), "{page}");
        assert!(
            page.contains("<h1>") && !page.contains("{\"error\"") && page.contains("content-security-policy"),
            "{page}"
        );
        let json = browser(path, "*/*");
        assert!(json.starts_with(&format!("HTTP/1.1 {status}")) && json.contains("application/json"), "{json}");
    }
    let evil = browser("/api/v1/search?status=%3Cscript%3E", "text/html");
    assert!(evil.contains("&lt;script&gt;") && !evil.contains("<script>"), "{evil}");
}

#[test]
fn the_socket_answers_whatever_becomes_of_the_port() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("w.sock");
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let limits = Limits { bytes: 64 << 20, traces: 1000 };
    let store = Settings { limits, path: None, lines: 0 };
    let counters = Arc::new(Counters::default());
    let admission = Arc::new(Admission::new(1000, Account::new(usize::MAX)));
    let kept = Store::start(store.clone(), admission, Arc::clone(&counters), Arc::default()).unwrap();
    let listen = Some(taken.local_addr().unwrap());
    let (bound, problems) = Bound::new(&ViewConfig { listen, socket: Some(path.clone()), token: None, store });
    assert_eq!((problems.len(), bound.address(), bound.is_empty()), (1, None, false));
    let linking = Arc::default();
    let inventory = Arc::default();
    let readings = Arc::clone(&counters) as _;
    let probes = probes::Probes::new(|| probes::Health::Ready, Arc::new(|_, _| {}));
    let (reader, persistent, otlp_listen) = (kept.reader(), false, None);
    let shown = Shown { reader, counters, readings, linking, inventory, persistent, otlp_listen, probes };
    let view = bound.serve(shown).unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET /api/v1/status HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    view.stop();
    assert!(!path.exists(), "its file goes with it");
}

#[test]
fn figures_are_written_while_they_are_sent_and_few_at_a_time() {
    let viewed = viewed(Patience::default());
    let answer = viewed.get("/metrics");
    assert!(answer.to_ascii_lowercase().contains("content-type: text/plain; version=0.0.4"), "{}", &answer[..300]);
    assert!(answer.contains("line 1999 Prometheus"));
    let ask = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nAccept: application/openmetrics-text\r\n\r\n";
    let silent: Vec<TcpStream> = (0..probes::AT_ONCE)
        .map(|_| {
            let mut stream = viewed.connect();
            stream.write_all(ask).unwrap();
            let mut head = [0; 12];
            stream.read_exact(&mut head).unwrap();
            assert_eq!(&head, b"HTTP/1.1 200");
            stream
        })
        .collect();
    assert!(viewed.get("/metrics").starts_with("HTTP/1.1 503"), "readers that do not read are not more than a few");
    assert!(viewed.get("/readyz").starts_with("HTTP/1.1 200") && viewed.get("/livez").ends_with("ok\n"));
    drop(silent);
    let deadline = Instant::now() + Duration::from_secs(20);
    while !viewed.get("/metrics").starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < deadline, "whoever leaves makes room");
    }
}
