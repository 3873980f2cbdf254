//! Requests at a fixed rate that the server can stand, so that their latency is the server's and not a queue's.
//!
//! Each request has a time at which it is due. A few threads share the requests and the connections; a thread that finds
//! itself late, because an earlier response was, counts from when the request was due, so that a stall of the server is not
//! left out of the percentiles ("coordinated omission"). A thread that slept counts from when it sent: how exactly a
//! kernel wakes a sleeper is not the server's doing.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};

use super::Client;
use crate::bench::mark::mark;
use crate::bench::stats::percentile;

/// How to ask, and how to tell that the answer is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Protocol {
    /// A GET of [`mark`]; the response must have a `Content-Length`.
    Http,
    /// A GET of the key [`mark`].
    Redis,
}

/// Arguments of `bench-client pace`, and of [`Paced::open`].
#[derive(Args, Clone)]
pub struct Options {
    #[arg(long, value_enum)]
    pub protocol: Protocol,
    /// Requests a second over all connections.
    #[arg(long)]
    pub rate: f64,
    /// How long.
    #[arg(long)]
    pub seconds: f64,
    /// Open connections, spread over the addresses.
    #[arg(long)]
    pub connections: u32,
    /// Only so many of the connections are used after their first request; 0 for all.
    #[arg(long, default_value = "0")]
    pub used: u32,
    /// Threads that make requests: so many can be under way at one time.
    #[arg(long, default_value = "8")]
    pub threads: u32,
    pub addresses: Vec<SocketAddr>,
}

impl Options {
    fn arguments(&self) -> Vec<String> {
        let protocol = self.protocol.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
        let mut words: Vec<String> = ["pace", "--protocol", &protocol].map(Into::into).into();
        words.extend([format!("--rate={}", self.rate), format!("--seconds={}", self.seconds)]);
        words.extend([format!("--connections={}", self.connections), format!("--used={}", self.used)]);
        words.push(format!("--threads={}", self.threads));
        words.extend(self.addresses.iter().map(ToString::to_string));
        words
    }
}

/// What a run at a fixed rate gave.
#[derive(Clone, Copy, Debug)]
pub struct Round {
    /// Requests made, with the first on each connection.
    pub requests: f64,
    /// A second, while it was measured.
    pub rate: f64,
    /// Seconds.
    pub p50: f64,
    /// Seconds.
    pub p99: f64,
}

/// A paced client whose connections are open.
pub struct Paced(Client);

impl Paced {
    /// Opens the connections and makes one request on each.
    pub fn open(options: &Options, prefix: &[String]) -> Result<Self> {
        let mut client = Client::spawn(&options.arguments(), options.connections, prefix)?;
        match client.line()?.as_str() {
            "ready" => Ok(Self(client)),
            other => bail!("`{}` says `{other}`", client.shown),
        }
    }

    /// Starts the requests.
    pub fn go(&mut self) -> Result<()> {
        self.0.tell("go")
    }

    /// Waits for the last request; the connections stay open.
    pub fn result(&mut self) -> Result<Round> {
        let line = self.0.line()?;
        let json: Value = serde_json::from_str(&line).with_context(|| format!("the client says `{line}`"))?;
        let field = |name: &str| json[name].as_f64().with_context(|| format!("no {name} in `{line}`"));
        Ok(Round { requests: field("requests")?, rate: field("rate")?, p50: field("p50")?, p99: field("p99")? })
    }

    /// Closes the connections.
    pub fn finish(self) -> Result<()> {
        self.0.finish()
    }
}

/// The `bench-client pace` command: `ready`, a line of input, the result in a line of JSON.
pub fn command(options: &Options) -> Result<()> {
    let mut hands = open(options)?;
    println!("ready");
    let mut word = String::new();
    std::io::stdin().read_line(&mut word).context("standard input is broken")?;

    let start = Instant::now();
    let times = run(&mut hands, options, start)?;
    let seconds = start.elapsed().as_secs_f64();
    let at = |share: f64| percentile(&times, share) as f64 / 1e9;
    let made = times.len() as f64;
    let requests = made + f64::from(options.connections);
    println!("{}", json!({ "requests": requests, "rate": made / seconds, "p50": at(0.5), "p99": at(0.99) }));
    super::until_input_ends()
}

/// Opens the connections, makes a request on each, and deals them out to the threads.
fn open(options: &Options) -> Result<Vec<Hand>> {
    let threads = options.threads.min(options.connections).max(1);
    let mut hands: Vec<Hand> = (0..threads).map(|_| Hand { connections: Vec::new() }).collect();
    for n in 0..options.connections {
        let address = options.addresses[n as usize % options.addresses.len()];
        let mut connection = Connection::open(address, options.protocol).with_context(|| format!("connection {n}"))?;
        connection.exchange().with_context(|| format!("the first request on connection {n}"))?;
        hands[(n % threads) as usize].connections.push(connection);
    }
    Ok(hands)
}

/// Makes all requests; returns how long each took, in nanoseconds, sorted.
fn run(hands: &mut [Hand], options: &Options, start: Instant) -> Result<Vec<u64>> {
    let threads = hands.len();
    let used = if options.used == 0 { options.connections } else { options.used } as usize;
    let work = |(n, hand): (usize, &mut Hand)| hand.run(n, used.div_ceil(threads), threads, options, start);
    let times: Result<Vec<Vec<u64>>> = thread::scope(|scope| {
        let running: Vec<_> = hands.iter_mut().enumerate().map(|it| scope.spawn(move || work(it))).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked"))).collect()
    });
    let mut times: Vec<u64> = times?.concat();
    times.sort_unstable();
    Ok(times)
}

/// One thread's connections.
struct Hand {
    connections: Vec<Connection>,
}

impl Hand {
    /// Makes every request whose number is `n` modulo `threads`; returns how long each took, in nanoseconds.
    fn run(&mut self, n: usize, used: usize, threads: usize, options: &Options, start: Instant) -> Result<Vec<u64>> {
        let mut times = Vec::new();
        let used = used.min(self.connections.len()).max(1);
        for turn in 0.. {
            let number = (turn * threads + n) as f64;
            let after = number / options.rate;
            if after >= options.seconds {
                break;
            }
            let due = start + Duration::from_secs_f64(after);
            let wait = due.saturating_duration_since(Instant::now());
            let from = if wait.is_zero() {
                due
            } else {
                thread::sleep(wait);
                Instant::now()
            };
            let connection = self.connections.get_mut(turn % used).context("a thread without a connection")?;
            connection.exchange().with_context(|| format!("request {number}"))?;
            times.push(u64::try_from(from.elapsed().as_nanos()).unwrap_or(u64::MAX));
        }
        Ok(times)
    }
}

/// An open connection.
struct Connection {
    stream: TcpStream,
    protocol: Protocol,
    response: Vec<u8>,
}

impl Connection {
    fn open(address: SocketAddr, protocol: Protocol) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("cannot connect to {address}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, protocol, response: Vec::new() })
    }

    /// A request, and its complete response.
    fn exchange(&mut self) -> Result<()> {
        let request = match self.protocol {
            Protocol::Http => format!("GET {} HTTP/1.1\r\nHost: bench\r\n\r\n", mark()),
            Protocol::Redis => format!("*2\r\n$3\r\nGET\r\n${}\r\n{}\r\n", mark().len(), mark()),
        };
        self.stream.write_all(request.as_bytes()).context("cannot send")?;
        self.response.clear();
        let mut buffer = [0; 4096];
        loop {
            let length = self.stream.read(&mut buffer).context("no response")?;
            if length == 0 {
                bail!("the server closed the connection");
            }
            self.response.extend_from_slice(&buffer[..length]);
            let whole = match self.protocol {
                Protocol::Http => http_length(&self.response)?,
                Protocol::Redis => redis_length(&self.response)?,
            };
            match whole {
                Some(whole) if whole == self.response.len() => return Ok(()),
                Some(whole) if whole < self.response.len() => bail!("more than a response"),
                _ => {}
            }
        }
    }
}

/// The length of a successful response with `Content-Length`, once its head is there.
fn http_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    if !head.starts_with("http/1.1 200") {
        bail!("the server answers {}", head.lines().next().unwrap_or_default());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    Ok(Some(end + 4 + length.context("a response without Content-Length")?))
}

/// The length of a bulk string (RESP, redis.io/docs/reference/protocol-spec), once its first line is there.
fn redis_length(bytes: &[u8]) -> Result<Option<usize>> {
    let Some(end) = bytes.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
    let line = String::from_utf8_lossy(&bytes[..end]);
    let length = line.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
    Ok(Some(end + 4 + length.with_context(|| format!("Redis answers {line}"))?))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A server that answers, but not before the first response has waited for `stall`.
    fn server(stall: Duration) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                thread::spawn(move || {
                    let mut buffer = [0; 4096];
                    for n in 0.. {
                        if stream.read(&mut buffer).is_ok_and(|length| length == 0) {
                            break;
                        }
                        // The one after the opening.
                        if n == 1 {
                            thread::sleep(stall);
                        }
                        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
                    }
                });
            }
        });
        address
    }

    fn paced(connections: u32, stall: Duration) -> Vec<u64> {
        let addresses = vec![server(stall)];
        let protocol = Protocol::Http;
        let options = Options { protocol, rate: 200.0, seconds: 0.5, connections, used: 0, threads: 3, addresses };
        let mut hands = open(&options).expect("a server");
        run(&mut hands, &options, Instant::now()).expect("all answered")
    }

    #[test]
    fn exactly_the_requests_that_are_due_are_made() {
        assert_eq!(paced(7, Duration::ZERO).len(), 100);
    }

    #[test]
    fn requests_that_a_stalled_server_keeps_waiting_count_from_when_they_were_due() {
        let times = paced(1, Duration::from_millis(200));
        // 200 a second for 200 ms were due meanwhile, and half of them waited for 100 ms and more.
        let late = times.iter().filter(|&&time| time >= 100_000_000).count();
        assert!(late >= 20, "{late} of {} requests were late", times.len());
    }

    #[test]
    fn a_response_of_http_ends_with_its_content() {
        let response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        assert_eq!(http_length(response).expect("200"), Some(response.len()));
        assert_eq!(http_length(&response[..20]).expect("nothing wrong yet"), None);
        assert!(http_length(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").is_err());
    }

    #[test]
    fn a_response_of_redis_ends_with_its_string() {
        assert_eq!(redis_length(b"$2\r\nok\r\n").expect("a string"), Some(8));
        assert!(redis_length(b"$-1\r\n").is_err(), "the key is missing");
    }
}
