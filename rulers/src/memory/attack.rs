//! What is sent, by a program of its own: one or more connections to itself, both ends of which the agent sees.

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// What an HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Empty SETTINGS, and their acknowledgement.
const SETTINGS: &[u8] = &[0, 0, 0, 4, 0, 0, 0, 0, 0];
const SETTINGS_ACK: &[u8] = &[0, 0, 0, 4, 1, 0, 0, 0, 0];
/// `:method GET`, `:scheme http`, `:path /` of HPACK's static table.
const GET: &[u8] = &[0x82, 0x86, 0x84];
/// About what one operation moves.
const CHUNK: usize = 4096;

/// Which way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Toward {
    Server,
    Client,
}

type Piece = (Toward, Vec<u8>);

/// One way to make the agent grow.
pub struct Attack {
    /// Its name.
    pub name: &'static str,
    /// What it does.
    pub what: &'static str,
    /// Connections at a time.
    connections: usize,
    /// What passes on a new connection.
    opening: fn() -> Vec<Piece>,
    /// What passes then, the so manieth time; nothing: another connection takes its place.
    step: fn(u32) -> Vec<Piece>,
}

/// Every attack.
pub static ATTACKS: [Attack; 10] = [
    Attack {
        name: "http-pipeline",
        what: "requests without an answer, hundreds an operation",
        connections: 1,
        opening: Vec::new,
        step: |_| requests(b"GET / HTTP/1.1\r\n\r\n"),
    },
    Attack {
        name: "http-pipelines",
        what: "the same on two hundred connections",
        connections: 200,
        opening: Vec::new,
        step: |_| requests(b"GET / HTTP/1.1\r\n\r\n"),
    },
    Attack {
        name: "memcached-pipeline",
        what: "commands without an answer",
        connections: 1,
        opening: || vec![(Toward::Server, b"get a\r\n".to_vec()), (Toward::Client, b"END\r\n".to_vec())],
        step: |_| requests(b"get a\r\n"),
    },
    Attack {
        name: "redis-pipeline",
        what: "commands without an answer",
        connections: 1,
        opening: || vec![(Toward::Server, b"*1\r\n$4\r\nPING\r\n".to_vec()), (Toward::Client, b"+PONG\r\n".to_vec())],
        step: |_| requests(b"PING\r\n"),
    },
    Attack {
        name: "http2-rapid-reset",
        what: "streams that are opened and reset at once",
        connections: 1,
        opening: greetings,
        step: |n| streams(n, true),
    },
    Attack {
        name: "http2-open",
        what: "streams that are opened and stay open, after a gap",
        connections: 1,
        opening: || [greetings(), vec![(Toward::Client, frame(0, 0, 1, &[0; 9000]))]].concat(),
        step: |n| streams(n, false),
    },
    Attack {
        name: "long-urls",
        what: "requests with three kilobytes that differ, answered",
        connections: 8,
        opening: Vec::new,
        step: |n| {
            let path: String = (0..180).map(|part| format!("/{:016x}", u64::from(n) * 1000 + part)).collect();
            let answer = b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec();
            vec![
                (Toward::Server, format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n").into_bytes()),
                (Toward::Client, answer),
            ]
        },
    },
    Attack {
        name: "unfinished-heads",
        what: "heads of sixty kilobytes that never end, on four hundred connections",
        connections: 400,
        opening: || vec![(Toward::Server, b"GET / HTTP/1.1\r\n".to_vec())],
        step: |n| if n < 15 { vec![(Toward::Server, header())] } else { Vec::new() },
    },
    Attack {
        name: "connections",
        what: "connections with a request each that are left open, four hundred at a time",
        connections: 400,
        opening: || requests(b"GET /left HTTP/1.1\r\n\r\n"),
        step: |_| Vec::new(),
    },
    Attack {
        name: "noise",
        what: "bytes of no protocol, and bodies without end",
        connections: 16,
        opening: || {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
            vec![(Toward::Server, b"GET /b HTTP/1.1\r\n\r\n".to_vec()), (Toward::Client, head)]
        },
        step: |n| {
            if n < 400 { vec![(Toward::Client, vec![b'x'; CHUNK]), (Toward::Server, vec![1; 300])] } else { Vec::new() }
        },
    },
];

fn requests(one: &[u8]) -> Vec<Piece> {
    vec![(Toward::Server, one.repeat(CHUNK / one.len()))]
}

fn greetings() -> Vec<Piece> {
    vec![(Toward::Server, [PREFACE, SETTINGS].concat()), (Toward::Client, [SETTINGS, SETTINGS_ACK].concat())]
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A hundred new streams, reset at once or not.
fn streams(n: u32, reset: bool) -> Vec<Piece> {
    let mut bytes = Vec::new();
    for at in 0..100 {
        let stream = (n * 100 + at) * 2 + 3;
        bytes.extend(frame(1, 5, stream, GET));
        if reset {
            bytes.extend(frame(3, 0, stream, &8_u32.to_be_bytes()));
        }
    }
    vec![(Toward::Server, bytes)]
}

fn header() -> Vec<u8> {
    format!("X-Long: {}\r\n", "y".repeat(CHUNK - 10)).into_bytes()
}

/// Both ends of a connection, and how often something passed since its opening.
struct Pair {
    client: TcpStream,
    server: TcpStream,
    steps: u32,
}

impl Attack {
    /// Attacks for a while. Returns the bytes that passed.
    pub fn run(&self, lasts: Duration) -> Result<u64> {
        let listener = TcpListener::bind("127.0.0.1:0").context("a port")?;
        let begun = Instant::now();
        let mut bytes = 0;
        let mut pairs: Vec<Pair> = Vec::new();
        for at in 0.. {
            if begun.elapsed() > lasts {
                break;
            }
            let at = at % self.connections;
            if at >= pairs.len() {
                pairs.push(Pair::open(&listener)?);
                bytes += pairs[at].pass(&(self.opening)())?;
                continue;
            }
            let pieces = (self.step)(pairs[at].steps);
            pairs[at].steps += 1;
            if pieces.is_empty() {
                pairs[at] = Pair::open(&listener)?;
                bytes += pairs[at].pass(&(self.opening)())?;
            } else {
                bytes += pairs[at].pass(&pieces)?;
            }
        }
        Ok(bytes)
    }
}

impl Pair {
    fn open(listener: &TcpListener) -> Result<Self> {
        let client = TcpStream::connect(listener.local_addr()?).context("connecting to ourselves")?;
        let (server, _) = listener.accept().context("accepting ourselves")?;
        Ok(Self { client, server, steps: 0 })
    }

    fn pass(&mut self, pieces: &[Piece]) -> Result<u64> {
        let mut buffer = [0; 16 * 1024];
        let mut passed = 0;
        for (toward, bytes) in pieces {
            let (from, to) = match toward {
                Toward::Server => (&mut self.client, &mut self.server),
                Toward::Client => (&mut self.server, &mut self.client),
            };
            from.write_all(bytes).context("writing to ourselves")?;
            let mut left = bytes.len();
            while left > 0 {
                match to.read(&mut buffer[..left.min(16 * 1024)]) {
                    Ok(0) => anyhow::bail!("we hung up"),
                    Ok(read) => left -= read,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error).context("reading from ourselves"),
                }
            }
            passed += bytes.len() as u64;
        }
        Ok(passed)
    }
}
