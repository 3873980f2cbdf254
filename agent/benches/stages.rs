//! What a call costs the agent between the ring and the exporters: nanoseconds, and how often memory is asked for.
//! `cargo bench -p wirespan --bench stages`.
//!
//! Both ends of one connection on this host are fed as the kernel would report them, so each call makes two spans that
//! are joined, held, and assembled into a trace. Reading, parsing and linking run on one thread here; in the agent they
//! have two. Kernel, discovery and exporters are left out.
#![allow(missing_docs, reason = "criterion's macro makes a public function")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use wirespan_agent::config::{Config, Settings, Surroundings};
use wirespan_agent::connections::{Connections, Limits as ConnectionLimits, Signal};
use wirespan_agent::discovery::{HostInfo, Process, Processes};
use wirespan_agent::memory::Account;
use wirespan_agent::metrics::Counters;
use wirespan_agent::traces::{Limits, Traces};
use wirespan_common::{AF_INET, EGRESS, Endpoints, INGRESS, IoEvent, Kind, UnitId};

/// Counts what is asked of the system's allocator.
struct Counting;

static ASKED: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise is handed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ASKED.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promise is handed on.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls between two looks at what may leave: about what the reader hands over at once.
const BATCH: usize = 256;
/// A trace leaves this much later, nanoseconds: after ten batches.
const HOLD: u64 = 10_000_000;

/// One end: socket, process, positions.
struct End {
    cookie: u64,
    endpoints: Endpoints,
    process: Arc<Process>,
    tx: u64,
    rx: u64,
}

/// Both stages, and a connection between two processes of this host.
struct Host {
    connections: Connections,
    traces: Traces,
    client: End,
    server: End,
    signals: Vec<Signal>,
    now: u64,
    /// Time that an operation takes, nanoseconds.
    step: u64,
    spans: usize,
}

fn end(processes: &mut Processes, tgid: u32, ports: (u16, u16)) -> End {
    let mut endpoints = Endpoints { family: AF_INET, local_port: ports.0, peer_port: ports.1, ..Endpoints::default() };
    endpoints.local[..4].copy_from_slice(&[10, 0, 0, 1]);
    endpoints.peer[..4].copy_from_slice(&[10, 0, 0, 1]);
    End { cookie: u64::from(tgid), endpoints, process: Arc::clone(processes.get(tgid)), tx: 1, rx: 1 }
}

impl Host {
    fn new(step: u64) -> Self {
        let surroundings =
            Surroundings { environment: Default::default(), read: &|_| Err(std::io::ErrorKind::NotFound.into()) };
        let settings = Settings::resolve(&Default::default(), &surroundings).expect("the defaults are valid");
        let config = Config::from_settings(&settings, &surroundings).expect("the defaults are valid");
        let counters = Arc::new(Counters::default());
        let limits = ConnectionLimits {
            max_connections: 100,
            max_connection_buffer: 1 << 20,
            memory: Account::new(1 << 24),
            idle_timeout: u64::MAX / 100,
            keep_query_values: false,
            keep_query_text: false,
            rules: None,
        };
        let mut processes =
            Processes::new(&config, PathBuf::from("/nonexistent"), HostInfo::read("/nonexistent".as_ref()));
        Self {
            connections: Connections::new(limits, Arc::clone(&counters)),
            traces: Traces::new(
                Limits { hold: HOLD, inferred: true, max_spans: 200_000, max_bytes: usize::MAX },
                Arc::clone(&counters.links),
            ),
            client: end(&mut processes, 100, (40_000, 6379)),
            server: end(&mut processes, 200, (6379, 40_000)),
            signals: Vec::new(),
            now: 1_000_000_000,
            step,
            spans: 0,
        }
    }

    fn operation(&mut self, of_client: bool, direction: u8, bytes: &[u8]) {
        self.now += self.step;
        let end = if of_client { &mut self.client } else { &mut self.server };
        let position = if direction == EGRESS { &mut end.tx } else { &mut end.rx };
        *position = (*position + bytes.len() as u64) & 0xffff_ffff;
        let event = IoEvent {
            kind: Kind::Io as u8,
            direction,
            flags: 0,
            reserved: 0,
            captured: bytes.len() as u32,
            result: bytes.len() as i32,
            epoch: 0,
            time: self.now,
            cookie: end.cookie,
            tx_position: end.tx,
            rx_position: end.rx,
            unit: UnitId { tgid: end.process.tgid, tid: end.process.tgid, ..UnitId::default() },
            endpoints: end.endpoints,
            inode: 0,
            fd: 0,
            ran: 0,
            queued: 0,
            reserved2: 0,
        };
        self.connections.operation(&event, black_box(bytes), &end.process, &mut self.signals);
    }

    /// A request and its answer, at both ends.
    fn call(&mut self, request: &[u8], response: &[u8]) {
        self.operation(true, EGRESS, request);
        self.operation(false, INGRESS, request);
        self.operation(false, EGRESS, response);
        self.operation(true, INGRESS, response);
    }

    /// The second stage: links, and takes what is ready.
    fn link(&mut self) {
        for signal in self.signals.drain(..) {
            self.traces.signal(signal, self.now);
        }
        let mut out = Vec::new();
        self.traces.tick(self.now, &mut out);
        self.spans += out.iter().map(|trace| trace.spans.len()).sum::<usize>();
    }
}

/// What this thread has used of its processor: what else runs on the machine counts little.
fn processor_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Measures calls of which one operation carries `each`.
fn run(criterion: &mut Criterion, name: &str, each: usize, request: &[u8], response: &[u8]) {
    let operations = BATCH.div_ceil(each);
    let mut host = Host::new(HOLD / 10 / (4 * operations as u64));
    let round = |host: &mut Host| {
        for _ in 0..operations {
            host.call(request, response);
        }
        host.link();
    };
    // Until as much leaves as comes.
    (0..100).for_each(|_| round(&mut host));
    let (asked, spans) = (ASKED.load(Ordering::Relaxed), host.spans);
    (0..100).for_each(|_| round(&mut host));
    let (asked, spans) = (ASKED.load(Ordering::Relaxed) - asked, host.spans - spans);
    assert_eq!(spans, 100 * operations * each * 2, "both ends of every call");
    println!("{name}: {:.2} allocations a span", asked as f64 / spans as f64);
    let mut group = criterion.benchmark_group(name);
    group.throughput(Throughput::Elements((operations * each * 2) as u64));
    group.bench_function("span", |bencher| {
        bencher.iter_custom(|rounds| {
            let begin = processor_time();
            (0..rounds).for_each(|_| round(&mut host));
            processor_time() - begin
        });
    });
    group.finish();
}

fn all_protocols(criterion: &mut Criterion) {
    let (get, value) = (b"*2\r\n$3\r\nGET\r\n$12\r\nuser:1234567\r\n", b"$8\r\nxxxxxxxx\r\n");
    run(criterion, "redis, GET", 1, get, value);
    run(criterion, "redis, 16 GET in a write", 16, &get.repeat(16), &value.repeat(16));
    let pg = |kind: u8, body: &[u8]| [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat();
    let query = pg(b'Q', b"SELECT abalance FROM pgbench_accounts WHERE aid = 12345;\0");
    let rows = [pg(b'T', &[0; 33]), pg(b'D', b"\0\x01\0\0\0\x010"), pg(b'C', b"SELECT 1\0"), pg(b'Z', b"I")].concat();
    run(criterion, "postgresql, simple query", 1, &query, &rows);
    let (request, response) = (
        b"GET /orders/42?x=1 HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: curl/7.88.1\r\nAccept: */*\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello",
    );
    run(criterion, "http, GET", 1, request, response);
}

criterion_group!(all, all_protocols);
criterion_main!(all);
