//! An OTLP receiver over HTTP that takes everything and keeps nothing.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::{Context, Result};

/// The answer of a receiver that took everything: an empty `ExportTraceServiceResponse` has no bytes.
const TAKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n";

/// A listening receiver, which ends with this process.
pub struct Sink {
    port: u16,
    requests: Arc<AtomicU64>,
}

impl Sink {
    /// Listens on a free port of the loopback interface.
    pub fn start() -> Result<Self> {
        Self::at(TcpListener::bind("127.0.0.1:0").context("no port for the receiver")?)
    }

    /// Answers who has connected there, and who will.
    pub fn at(listener: TcpListener) -> Result<Self> {
        let port = listener.local_addr()?.port();
        let requests = Arc::new(AtomicU64::new(0));
        let count = requests.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let count = count.clone();
                thread::spawn(move || serve(&stream, &count));
            }
        });
        Ok(Self { port, requests })
    }

    /// Where it listens.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many export requests it answered.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

/// Answers until the agent ends the connection.
fn serve(stream: &TcpStream, count: &AtomicU64) -> Option<()> {
    let (mut reader, mut writer) = (BufReader::new(stream), stream);
    loop {
        let length = body_length(&mut reader)?;
        std::io::copy(&mut reader.by_ref().take(length), &mut std::io::sink()).ok()?;
        count.fetch_add(1, Ordering::Relaxed);
        writer.write_all(TAKEN).ok()?;
    }
}

/// Reads a request's head; its `Content-Length`.
fn body_length(reader: &mut impl BufRead) -> Option<u64> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_ascii_lowercase();
        if line.is_empty() {
            return Some(length);
        }
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
    }
}
