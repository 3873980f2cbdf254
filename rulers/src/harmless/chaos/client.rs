//! The checking client: threads with blocking sockets that look at every byte of every answer.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::target::Target;

/// How long an answer may take before it counts as none.
const DEADLINE: Duration = Duration::from_secs(20);

/// What one connection asks again and again.
struct Question {
    address: SocketAddr,
    request: Vec<u8>,
    body: Vec<u8>,
}

/// A running client.
pub struct Client {
    end: Arc<AtomicBool>,
    slowest: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Tally>>,
}

/// What it saw.
#[derive(Default)]
pub struct Tally {
    /// Seconds that each right answer took.
    pub seconds: Vec<f64>,
    /// What was wrong with the others.
    pub failures: Vec<String>,
}

impl Tally {
    /// How many answers were right.
    pub fn right(&self) -> u64 {
        self.seconds.len() as u64
    }
}

impl Client {
    /// Starts `connections` threads; every other one opens a connection for each request.
    pub fn start(target: &Target, connections: usize) -> Result<Self> {
        let (end, slowest) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let mut threads = Vec::new();
        for number in 0..connections {
            let (end, slowest) = (end.clone(), slowest.clone());
            let keep = number % 2 == 0;
            let word = if keep { "keep-alive" } else { "close" };
            let request =
                format!("GET {}?n={number} HTTP/1.1\r\nHost: harmless\r\nConnection: {word}\r\n\r\n", target.path());
            let question = Question {
                address: SocketAddr::from(([127, 0, 0, 1], target.port)),
                request: request.into_bytes(),
                body: target.body.clone(),
            };
            let name = format!("client-{number}");
            let body = move || ask_until(&question, keep, &end, &slowest);
            threads.push(thread::Builder::new().name(name).spawn(body).context("no thread for the client")?);
        }
        Ok(Self { end, slowest, threads })
    }

    /// The longest time of a request since this was last asked, an unfinished one not included.
    pub fn take_slowest(&self) -> Duration {
        Duration::from_micros(self.slowest.swap(0, Ordering::Relaxed))
    }

    /// Ends it; what all threads saw.
    pub fn stop(self) -> Tally {
        self.end.store(true, Ordering::Relaxed);
        let mut all = Tally::default();
        for thread in self.threads {
            match thread.join() {
                Ok(tally) => {
                    all.seconds.extend(tally.seconds);
                    all.failures.extend(tally.failures);
                }
                Err(_) => all.failures.push("a thread of the client panicked".to_owned()),
            }
        }
        all
    }
}

fn ask_until(question: &Question, keep: bool, end: &AtomicBool, slowest: &AtomicU64) -> Tally {
    let mut tally = Tally::default();
    let mut connection = None;
    let mut buffer = Vec::new();
    while !end.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let asked = ask(question, &mut connection, &mut buffer);
        let took = begun.elapsed();
        slowest.fetch_max(u64::try_from(took.as_micros()).unwrap_or(u64::MAX), Ordering::Relaxed);
        match asked {
            Ok(()) => tally.seconds.push(took.as_secs_f64()),
            Err(error) => {
                connection = None;
                tally.failures.push(format!("{error:#}"));
            }
        }
        if !keep {
            connection = None;
        }
    }
    tally
}

/// One request, on the connection there is or a new one.
fn ask(question: &Question, connection: &mut Option<TcpStream>, buffer: &mut Vec<u8>) -> Result<()> {
    if connection.is_none() {
        let stream = TcpStream::connect_timeout(&question.address, DEADLINE).context("connect")?;
        stream.set_read_timeout(Some(DEADLINE)).context("deadline")?;
        stream.set_nodelay(true).context("TCP_NODELAY")?;
        *connection = Some(stream);
    }
    let Some(stream) = connection.as_mut() else { bail!("no connection") };
    stream.write_all(&question.request).context("write")?;
    buffer.clear();
    let mut piece = [0; 32_768];
    loop {
        let count = stream.read(&mut piece).context("read")?;
        ensure!(count > 0, "the connection ended after {} bytes of the answer", buffer.len());
        buffer.extend_from_slice(&piece[..count]);
        if let Some(body) = body_at(buffer)
            && buffer.len() >= body + question.body.len()
        {
            ensure!(buffer.starts_with(b"HTTP/1.1 200 "), "status {:?}", String::from_utf8_lossy(&buffer[..15]));
            ensure!(buffer[body..] == question.body, "the answer's body is not the file");
            return Ok(());
        }
    }
}

/// Where the body begins, once the head is whole.
fn body_at(answer: &[u8]) -> Option<usize> {
    answer.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    fn answered_with(answer: &'static [u8]) -> Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let question = Question {
            address: listener.local_addr().unwrap(),
            request: b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            body: b"right".to_vec(),
        };
        let server = thread::spawn(move || {
            let mut stream = listener.accept().unwrap().0;
            let _ = stream.read(&mut [0; 100]).unwrap();
            stream.write_all(answer).unwrap();
        });
        let asked = ask(&question, &mut None, &mut Vec::new());
        server.join().unwrap();
        asked
    }

    #[test]
    fn the_right_answer_is_right() {
        answered_with(b"HTTP/1.1 200 OK\r\n\r\nright").unwrap();
    }

    #[test]
    fn a_wrong_byte_a_wrong_status_and_an_early_end_are_failures() {
        assert!(answered_with(b"HTTP/1.1 200 OK\r\n\r\nwrong").is_err());
        assert!(answered_with(b"HTTP/1.1 500 No\r\n\r\nright").is_err());
        assert!(answered_with(b"HTTP/1.1 200 OK\r\n\r\nrig").is_err());
        assert!(answered_with(b"").is_err());
    }
}
