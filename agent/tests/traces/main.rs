//! Whole traces from raw records: two ends of sockets as the kernel would report them, real HTTP bytes, real parser.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use wirespan_agent::traces::court::SETTLED;
use wirespan_agent::traces::facts::{Fact, UnitKey};
use wirespan_agent::traces::{Limits, Traces};
use wirespan_common::{
    AF_INET, AF_UNIX, EGRESS, Endpoints, FLAG_DATAGRAM, FLAG_ONLY_THREAD, INGRESS, IoEvent, Kind, StateEvent, UnitId,
};

use wirespan_agent::config::{Config, Settings, Surroundings};
use wirespan_agent::connections::{Connections, ExchangeKey, Limits as ConnectionLimits, Signal, Verdict};
use wirespan_agent::discovery::{HostInfo, Process, Processes};
use wirespan_agent::memory::Account;
use wirespan_agent::metrics::Counters;
use wirespan_agent::span::{Span, SpanKind, Status, Value};

mod batches;
#[path = "../assembled/heap.rs"]
mod heap;
mod links;
mod memory;
mod messages;
mod opaque;
mod open;
mod said;
mod spent;
mod streams;
mod tasks;
mod wire;

const HOLD: u64 = 1_000;

/// A machine whose processes are only numbers.
struct World {
    connections: Connections,
    traces: Traces,
    processes: Processes,
    counters: Arc<Counters>,
    signals: Vec<Signal>,
    /// Exchanges that began, with the sockets that they were seen on.
    started: Vec<(u64, ExchangeKey)>,
    now: u64,
    cookies: u64,
    /// Threads that were seen, by process.
    threads: HashMap<u32, BTreeSet<u32>>,
    /// How long whoever does something has run, and waited for a CPU.
    clocks: (u32, u32),
    /// Flags of whatever is received.
    reads: u8,
}

/// A socket: its cookie, its ends, its positions.
#[derive(Clone, Copy)]
struct Socket {
    cookie: u64,
    endpoints: Endpoints,
    epoch: u32,
    tx: u64,
    rx: u64,
}

fn thread(tgid: u32, tid: u32) -> UnitId {
    UnitId { tgid, tid, ..UnitId::default() }
}

impl World {
    fn new() -> Self {
        Self::with(1 << 24, Limits { hold: HOLD, inferred: true, max_spans: 1000, max_bytes: 64 << 20 })
    }

    /// Connections may take so many bytes, and spans what these limits say.
    fn with(connections: usize, limits: Limits) -> Self {
        let surroundings =
            Surroundings { environment: Default::default(), read: &|_| Err(std::io::ErrorKind::NotFound.into()) };
        let settings = Settings::resolve(&Default::default(), &surroundings).unwrap();
        let config = Config::from_settings(&settings, &surroundings).unwrap();
        let counters = Arc::new(Counters::default());
        let connections = ConnectionLimits {
            max_connections: 100,
            max_connection_buffer: 1 << 20,
            memory: Account::new(connections),
            idle_timeout: u64::MAX / 100,
            keep_query_values: false,
            keep_query_text: false,
            rules: None,
        };
        Self {
            connections: Connections::new(connections, Arc::clone(&counters)),
            traces: Traces::new(limits, Arc::clone(&counters.links)),
            processes: Processes::new(&config, PathBuf::from("/nonexistent"), HostInfo::read("/nonexistent".as_ref())),
            counters,
            signals: Vec::new(),
            started: Vec::new(),
            now: 1_000_000,
            cookies: 0,
            threads: HashMap::new(),
            clocks: (0, 0),
            reads: 0,
        }
    }

    fn process(&mut self, tgid: u32) -> Arc<Process> {
        Arc::clone(self.processes.get(tgid))
    }

    /// Two ends of a TCP connection that is already open; the client's port makes it unique.
    fn connect(&mut self, port: u16) -> (Socket, Socket) {
        self.cookies += 2;
        let (client, server) = ([127, 0, 0, 1], [127, 0, 0, 2]);
        let ends = |local: [u8; 4], local_port, peer: [u8; 4], peer_port| {
            let mut ends = Endpoints { family: AF_INET, local_port, peer_port, ..Endpoints::default() };
            ends.local[..4].copy_from_slice(&local);
            ends.peer[..4].copy_from_slice(&peer);
            ends
        };
        let (a, b) = (0xffff_fff0 + u64::from(port), 77 * u64::from(port));
        let socket = |cookie, endpoints, tx: u64, rx: u64| Socket { cookie, endpoints, epoch: 0, tx, rx };
        (
            socket(self.cookies, ends(client, 40_000 + port, server, port), a, b),
            socket(self.cookies + 1, ends(server, port, client, 40_000 + port), b, a),
        )
    }

    fn connect_unix(&mut self) -> (Socket, Socket) {
        self.cookies += 2;
        let ends = |peer_cookie| Endpoints { family: AF_UNIX, peer_cookie, ..Endpoints::default() };
        let socket = |cookie, peer| Socket { cookie, endpoints: ends(peer), epoch: 7, tx: 0, rx: 0 };
        (socket(self.cookies, self.cookies + 1), socket(self.cookies + 1, self.cookies))
    }

    fn datagram(&mut self, socket: &Socket, unit: UnitId, bytes: &[u8]) -> Verdict {
        self.flagged_operation(socket, unit, EGRESS, bytes.len() as i32, bytes, FLAG_DATAGRAM)
    }

    fn operation(&mut self, socket: &Socket, unit: UnitId, direction: u8, result: i32, bytes: &[u8]) -> Verdict {
        self.flagged_operation(socket, unit, direction, result, bytes, 0)
    }

    fn flagged_operation(
        &mut self,
        socket: &Socket,
        unit: UnitId,
        direction: u8,
        result: i32,
        bytes: &[u8],
        flags: u8,
    ) -> Verdict {
        self.now += 100;
        let threads = self.threads.entry(unit.tgid).or_default();
        threads.insert(unit.tid);
        let only = if threads.len() == 1 { FLAG_ONLY_THREAD } else { 0 };
        let tcp = socket.epoch == 0;
        let raw = |position: u64| if tcp { u64::from(position as u32) } else { position };
        let event = IoEvent {
            kind: Kind::Io as u8,
            direction,
            flags: flags | only,
            reserved: 0,
            captured: bytes.len() as u32,
            result,
            epoch: socket.epoch,
            time: self.now,
            cookie: socket.cookie,
            tx_position: raw(socket.tx),
            rx_position: raw(socket.rx),
            unit,
            endpoints: socket.endpoints,
            inode: 0,
            fd: 0,
            ran: self.clocks.0,
            queued: self.clocks.1,
            reserved2: 0,
        };
        let process = self.process(unit.tgid);
        let verdict = self.connections.operation(&event, bytes, &process, &mut self.signals);
        for signal in std::mem::take(&mut self.signals) {
            if let Signal::Started(started) = &signal {
                self.started.push((started.connection.cookie, started.key));
            }
            self.traces.signal(signal, self.now);
        }
        verdict
    }

    fn send(&mut self, socket: &mut Socket, unit: UnitId, text: &str) {
        socket.tx += text.len() as u64;
        self.operation(&*socket, unit, EGRESS, text.len() as i32, text.as_bytes());
    }

    fn receive(&mut self, socket: &mut Socket, unit: UnitId, text: &str) {
        socket.rx += text.len() as u64;
        self.flagged_operation(&*socket, unit, INGRESS, text.len() as i32, text.as_bytes(), self.reads);
    }

    /// One end sends, the other receives.
    fn pass(&mut self, from: &mut Socket, sender: UnitId, to: &mut Socket, receiver: UnitId, text: &str) {
        self.send(from, sender, text);
        self.receive(to, receiver, text);
    }

    fn created(&mut self, creator: UnitId, task: UnitId) {
        for unit in [creator, task] {
            self.threads.entry(unit.tgid).or_default().insert(unit.tid);
        }
        let thread = |unit: UnitId| UnitKey::thread(unit.tgid, unit.tid);
        let born = Fact::Born { unit: thread(task), of: Some(thread(creator)), site: 0, mark: 0, time: self.now };
        self.traces.signal(Signal::Fact(born), self.now);
    }

    fn ended(&mut self, task: UnitId) {
        let unit = UnitKey::thread(task.tgid, task.tid);
        self.traces.signal(Signal::Fact(Fact::Ended { unit, with_process: false, time: self.now }), self.now);
    }

    /// Everything that is finished after the hold, each trace's spans parents first.
    fn traces(&mut self) -> Vec<Vec<Span>> {
        let mut out = Vec::new();
        for _ in 0..5 {
            self.now += SETTLED / 4;
            self.connections.tick(self.now, &mut self.signals);
            for signal in std::mem::take(&mut self.signals) {
                self.traces.signal(signal, self.now);
            }
            self.traces.tick(self.now, &mut out);
        }
        out.into_iter().map(|trace| trace.spans).collect()
    }
}

const CLIENT: UnitId = UnitId { tgid: 10, tid: 10, kind: 0, switches: 0, id: 0, parent: 0, since: 0 };
const FRONT: UnitId = UnitId { tgid: 20, tid: 21, kind: 0, switches: 0, id: 0, parent: 0, since: 0 };
const BACK: UnitId = UnitId { tgid: 30, tid: 31, kind: 0, switches: 0, id: 0, parent: 0, since: 0 };
const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

fn get(path: &str, headers: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: shop\r\n{headers}\r\n")
}

/// A client calls the front service, which calls the back service on `caller`.
fn two_hops(world: &mut World, caller: UnitId) {
    let (mut a, mut b) = world.connect(80);
    let (mut c, mut d) = world.connect(81);
    let (first, second) = (get("/orders/1", ""), get("/stock/2", ""));
    world.pass(&mut a, CLIENT, &mut b, FRONT, &first);
    world.pass(&mut c, caller, &mut d, BACK, &second);
    world.pass(&mut d, BACK, &mut c, caller, OK);
    world.pass(&mut b, FRONT, &mut a, CLIENT, OK);
}

fn describe(spans: &[Span]) -> Vec<String> {
    spans
        .iter()
        .map(|s| {
            let parent = spans.iter().position(|p| p.span_id == s.parent_span_id);
            format!("{:?} {} parent={parent:?}", s.kind, s.name)
        })
        .collect()
}
