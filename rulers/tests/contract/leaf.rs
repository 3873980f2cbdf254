//! The end of every tree: answers after the time that it is told, and remembers who called.

use std::collections::{BTreeMap, HashSet};
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::{Duration, Instant};

/// How long a call is held for what has to happen first.
const PATIENCE: Duration = Duration::from_secs(10);

/// Parameters by name.
pub type Query = BTreeMap<String, String>;

/// One call, as it came in.
#[derive(Clone, Debug)]
pub struct Call {
    pub request: u64,
    pub hop: String,
    pub query: Query,
    /// Which connection it came over.
    pub connection: usize,
    pub arrived: Instant,
    pub answered: Option<Instant>,
}

/// What has to happen before a call is answered.
#[derive(Clone, Copy, Default)]
pub enum Gate {
    /// Nothing.
    #[default]
    Open,
    /// The request has made this many calls.
    Calls(usize),
    /// The request has been answered.
    Answer,
}

/// What the leaf knows.
#[derive(Default)]
pub struct State {
    pub calls: Vec<Call>,
    /// What it did not understand, and calls that waited at the gate in vain.
    pub complaints: Vec<String>,
    /// The most calls that were under way at one time since [`Leaf::expect`].
    pub peak: usize,
    /// How often it was asked for `/ready`.
    pub readies: usize,
    under_way: usize,
    gate: Gate,
    answered: HashSet<u64>,
}

/// A running leaf; its threads end with the test's process.
#[derive(Clone)]
pub struct Leaf {
    pub port: u16,
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Leaf {
    pub fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let state = State::default();
        let leaf = Self { port: listener.local_addr()?.port(), shared: Arc::new((Mutex::new(state), Condvar::new())) };
        let accepting = leaf.clone();
        thread::spawn(move || {
            for (connection, stream) in listener.incoming().flatten().enumerate() {
                let leaf = accepting.clone();
                // A caller that goes away in mid-call shows in what is missing.
                thread::spawn(move || leaf.serve(stream, connection));
            }
        });
        Ok(leaf)
    }

    /// What it knows by now.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().expect("no thread of the leaf panics")
    }

    /// Sets the gate for the calls to come.
    pub fn expect(&self, gate: Gate) {
        let mut state = self.state();
        state.gate = gate;
        state.peak = 0;
    }

    /// The caller of `request` has its answer.
    pub fn note_answer(&self, request: u64) {
        self.state().answered.insert(request);
        self.shared.1.notify_all();
    }

    fn serve(&self, mut stream: TcpStream, connection: usize) -> std::io::Result<()> {
        stream.set_nodelay(true)?;
        let mut lines = BufReader::new(stream.try_clone()?).lines();
        while let Some(first) = lines.next().transpose()? {
            while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
            let status = match parse(&first, connection) {
                Some(call) => self.answer(call),
                None if first.starts_with("GET /ready ") => {
                    self.state().readies += 1;
                    "200 OK"
                }
                None => {
                    self.state().complaints.push(format!("not a call: {first}"));
                    "404 Not Found"
                }
            };
            let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nleaf\n");
            stream.write_all(head.as_bytes())?;
        }
        Ok(())
    }

    /// Waits as long as the call says and the gate demands.
    fn answer(&self, call: Call) -> &'static str {
        let delay =
            call.query.get("delay").and_then(|ms| ms.parse().ok()).map_or(Duration::ZERO, Duration::from_millis);
        let status =
            if call.query.get("fail").is_some_and(|it| it == "1") { "503 Service Unavailable" } else { "200 OK" };
        let request = call.request;
        let index = {
            let mut state = self.state();
            state.calls.push(call);
            state.under_way += 1;
            state.peak = state.peak.max(state.under_way);
            state.calls.len() - 1
        };
        self.shared.1.notify_all();
        thread::sleep(delay);
        let closed = |state: &mut State| !state.may_answer(request);
        let (mut state, wait) =
            self.shared.1.wait_timeout_while(self.state(), PATIENCE, closed).expect("no thread of the leaf panics");
        if wait.timed_out() {
            let call = format!("{:?} waited in vain", state.calls[index]);
            state.complaints.push(call);
        }
        state.calls[index].answered = Some(Instant::now());
        state.under_way -= 1;
        status
    }
}

impl State {
    /// The calls of one request, as they came in.
    pub fn of(&self, request: u64) -> impl Iterator<Item = &Call> {
        self.calls.iter().filter(move |call| call.request == request)
    }

    fn may_answer(&self, request: u64) -> bool {
        match self.gate {
            // Who waited once in vain would only wait again.
            _ if !self.complaints.is_empty() => true,
            Gate::Open => true,
            Gate::Calls(count) => self.of(request).count() >= count,
            Gate::Answer => self.answered.contains(&request),
        }
    }
}

/// `GET /hop/<request>/<hop>?<query> HTTP/1.1`
fn parse(line: &str, connection: usize) -> Option<Call> {
    let target = line.strip_prefix("GET ")?.strip_suffix(" HTTP/1.1")?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (request, hop) = path.strip_prefix("/hop/")?.split_once('/')?;
    let call = Call {
        request: request.parse().ok()?,
        hop: hop.to_owned(),
        query: parameters(query),
        connection,
        arrived: Instant::now(),
        answered: None,
    };
    Some(call)
}

/// `a=1&b=2`
pub fn parameters(query: &str) -> Query {
    query.split('&').filter_map(|pair| pair.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}
