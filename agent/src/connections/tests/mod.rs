//! What bytes of strangers may do to one connection, and what not to the others.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use wirespan_common::{AF_INET, EGRESS, Endpoints, FLAG_DATAGRAM, INGRESS, IoEvent, Kind, UnitId};

use super::detection::Registry;
use super::{Connections, Limits, Signal, Verdict};
use crate::config::{Config, Settings, Surroundings};
use crate::discovery::{HostInfo, Process, Processes};
use crate::metrics::Counters;

mod bounds;
mod closing;
mod detection;
mod ends;
mod failure;
mod losses;
mod opaque;
mod sessions;

/// A thread with this much stack reads everything: recursion that input drives would not fit.
const SMALL_STACK: usize = 256 * 1024;

/// Does some work on a thread with little stack.
fn on_a_small_stack(work: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().stack_size(SMALL_STACK).spawn(work).unwrap();
    thread.join().unwrap();
}

/// The server's end of some TCP connections.
struct Server {
    connections: Connections,
    counters: Arc<Counters>,
    process: Arc<Process>,
    out: Vec<Signal>,
    now: u64,
    /// How far each socket has come.
    stand: HashMap<u64, Socket>,
}

/// One of them: bytes that its client has sent, and that it was sent.
#[derive(Clone, Copy, Default)]
struct Socket {
    cookie: u64,
    received: u64,
    sent: u64,
}

impl Server {
    fn new() -> Self {
        let surroundings =
            Surroundings { environment: Default::default(), read: &|_| Err(std::io::ErrorKind::NotFound.into()) };
        let settings = Settings::resolve(&Default::default(), &surroundings).unwrap();
        let config = Config::from_settings(&settings, &surroundings).unwrap();
        let mut processes =
            Processes::new(&config, PathBuf::from("/nonexistent"), HostInfo::read("/nonexistent".as_ref()));
        let counters = Arc::new(Counters::default());
        let connections = Connections::new(Limits::of(&config), Arc::clone(&counters));
        let process = Arc::clone(processes.get(0x7000_0000));
        Self { connections, counters, process, out: Vec::new(), now: 1_000_000, stand: HashMap::new() }
    }

    fn with(registry: Registry) -> Self {
        let mut server = Self::new();
        server.connections.shared.registry = registry;
        server
    }

    fn operation(&mut self, socket: &Socket, direction: u8, result: i32, bytes: &[u8]) -> Verdict {
        self.now += 1000;
        self.stand.insert(socket.cookie, *socket);
        let event = self.event(socket, direction, result, bytes);
        let process = Arc::clone(&self.process);
        self.connections.operation(&event, bytes, &process, &mut self.out)
    }

    fn event(&self, socket: &Socket, direction: u8, result: i32, bytes: &[u8]) -> IoEvent {
        IoEvent {
            kind: Kind::Io as u8,
            direction,
            flags: 0,
            reserved: 0,
            captured: bytes.len() as u32,
            result,
            epoch: 0,
            time: self.now,
            cookie: socket.cookie,
            tx_position: socket.sent & 0xffff_ffff,
            rx_position: socket.received & 0xffff_ffff,
            unit: UnitId { tgid: self.process.tgid, tid: self.process.tgid, ..UnitId::default() },
            endpoints: Endpoints { family: AF_INET, local_port: 80, peer_port: 40_000, ..Endpoints::default() },
            inode: 0,
            fd: 0,
            ran: 0,
            queued: 0,
            reserved2: 0,
        }
    }

    /// The client's bytes arrive.
    fn request(&mut self, socket: &mut Socket, bytes: &[u8]) -> Verdict {
        socket.received += bytes.len() as u64;
        self.operation(socket, INGRESS, bytes.len() as i32, bytes)
    }

    /// The server sends bytes.
    fn response(&mut self, socket: &mut Socket, bytes: &[u8]) -> Verdict {
        socket.sent += bytes.len() as u64;
        self.operation(socket, EGRESS, bytes.len() as i32, bytes)
    }

    /// Says all this, in order.
    fn converse(&mut self, socket: &mut Socket, said: &[Said]) {
        for said in said {
            match said {
                Said::Request(bytes) => self.request(socket, bytes),
                Said::Response(bytes) => self.response(socket, bytes),
            };
        }
    }

    /// Names of exchanges that ended, since this was last asked.
    fn finished(&mut self) -> Vec<String> {
        let name = |signal| match signal {
            Signal::Finished(_, exchange, _) => Some(exchange.name.to_string()),
            _ => None,
        };
        self.out.drain(..).filter_map(name).collect()
    }

    /// Whether a good request on this socket is seen.
    fn is_read(&mut self, socket: &mut Socket) -> bool {
        self.out.clear();
        self.converse(socket, &[request("/fine"), response()]);
        self.finished() == ["GET /fine"]
    }
}

impl Socket {
    fn new(cookie: u64) -> Self {
        Self { cookie, ..Self::default() }
    }
}

/// What one side says.
#[derive(Clone, Debug)]
enum Said {
    Request(Vec<u8>),
    Response(Vec<u8>),
}

fn request(path: &str) -> Said {
    Said::Request(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes())
}

fn response() -> Said {
    Said::Response(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec())
}

fn bad_request() -> Said {
    Said::Response(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec())
}

fn client(bytes: &[u8]) -> Said {
    Said::Request(bytes.to_vec())
}

fn server(bytes: &[u8]) -> Said {
    Said::Response(bytes.to_vec())
}

/// What real programs said to each other (`protocols/captures`), by name.
fn captures() -> Vec<(String, Vec<Said>)> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../protocols/captures");
    let mut found = Vec::new();
    let folders = ["amqp", "fastcgi", "http1", "http2", "memcached", "mysql", "postgresql", "redis", "scgi", "uwsgi"];
    for file in folders.iter().flat_map(|folder| std::fs::read_dir(root.join(folder)).unwrap()) {
        let path = file.unwrap().path();
        if path.extension().is_none_or(|ext| ext != "json") {
            continue;
        }
        let capture: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let said = |operation: &serde_json::Value| {
            let bytes = operation[1].as_str()?.chars().map(|c| c as u32 as u8).collect();
            match operation[0].as_str()? {
                "request" => Some(Said::Request(bytes)),
                "response" => Some(Said::Response(bytes)),
                _ => None,
            }
        };
        let said: Vec<Said> = capture["operations"].as_array().unwrap().iter().filter_map(said).collect();
        assert!(!said.is_empty(), "{}", path.display());
        found.push((path.file_stem().unwrap().to_string_lossy().into_owned(), said));
    }
    assert!(found.len() > 50);
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}
