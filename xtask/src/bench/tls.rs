//! What reading TLS costs the programs that speak it.
//!
//! HTTPS servers that answer with 1 KB, in four states that follow each other in rounds, in an order that alternates, and give
//! ratios within the round: without the agent, with one that reads no TLS, with one that reads it, and with one that reads it of
//! others only: of a library that programs share, the probes are there for all who use it. A state in which the agent did not do
//! what the state is called is an error, not a figure.

use std::net::TcpStream;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::agent::{Agent, Stopped};
use super::load::{self, Round};
use super::mark::mark;
use super::report::{Measure, Report};
use super::server::{Place, Server};
use super::subjects::{self, go, nginx};
use super::{Options, Size};
use crate::{services, shell};

const CONNECTIONS: u32 = 16;
/// Bytes of an answer's body.
const BODY: usize = 1024;
/// Seconds of load before a measurement: a program that brings its own library shows with its first sessions that it does.
const WARM_UP: u32 = 2;
/// Rounds, also in the long run: each has four states.
const ROUNDS: usize = 4;

/// A program that speaks TLS, and how it is asked.
pub struct Secured {
    /// Part of the keys in the JSON file, and what `--only` takes: never changed.
    pub key: &'static str,
    pub title: &'static str,
    start: fn() -> Result<Server>,
    /// What its program's file is called. (A rule about a port leaves connections alone, and not the process.)
    file: &'static str,
    /// Each request has a connection, and so a handshake, of its own.
    shakes: bool,
    /// Its library is the system's, which others use as well.
    shares: bool,
}

/// All of them, in the order of the report.
pub const SECURED: [Secured; 5] = [
    Secured {
        key: "tls_nginx",
        title: "nginx, connections kept",
        start: of_nginx,
        file: "nginx",
        shakes: false,
        shares: true,
    },
    Secured {
        key: "tls_handshakes",
        title: "nginx, a handshake each",
        start: of_nginx,
        file: "nginx",
        shakes: true,
        shares: true,
    },
    Secured { key: "tls_go", title: "Go, `net/http`", start: of_go, file: "server", shakes: false, shares: false },
    Secured { key: "tls_node", title: "Node, `https`", start: of_node, file: "node", shakes: false, shares: false },
    Secured {
        key: "tls_asyncio",
        title: "aiohttp on asyncio",
        start: of_asyncio,
        file: "python3*",
        shakes: false,
        shares: true,
    },
];

fn of_nginx() -> Result<Server> {
    let place = certified("tls_nginx")?;
    let (at, home) = (place.address, place.folder.display());
    let listen = format!("listen {at} ssl; ssl_certificate {home}/cert.pem; ssl_certificate_key {home}/key.pem;");
    nginx::serve(place, &listen, BODY, |address| Ok(TcpStream::connect(address).map(drop)?))
}

fn of_go() -> Result<Server> {
    let place = certified("tls_go")?;
    let program = go::build(&place, include_str!("subjects/programs/tls.go"))?;
    started(place, Command::new(program))
}

fn of_node() -> Result<Server> {
    let place = certified("tls_node")?;
    let program = place.write("tls.js", include_str!("subjects/programs/tls.js"))?;
    let mut command = subjects::pinned(services::find("node").context("node is not installed")?);
    command.arg(program);
    started(place, command)
}

fn of_asyncio() -> Result<Server> {
    let place = certified("tls_asyncio")?;
    let program = place.write("tls_aiohttp.py", include_str!("subjects/programs/tls_aiohttp.py"))?;
    let mut command = subjects::pinned(services::python()?);
    command.arg(program);
    started(place, command)
}

/// Starts a program that is told its port and finds its certificate where it runs.
fn started(place: Place, mut command: Command) -> Result<Server> {
    command.arg(place.address.port().to_string()).current_dir(&place.folder);
    Server::start(command, place, |address| Ok(TcpStream::connect(address).map(drop)?))
}

/// A place with a certificate in it.
fn certified(name: &str) -> Result<Place> {
    let place = Place::new(name)?;
    let mut command = Command::new("openssl");
    command.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]);
    command.args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"]).current_dir(&place.folder);
    shell::capture(&mut command)?;
    Ok(place)
}

/// What is running beside the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Nothing,
    Off,
    Read,
    /// It reads TLS, and does not trace the program.
    Unselected,
}

impl State {
    const ALL: [Self; 4] = [Self::Nothing, Self::Off, Self::Read, Self::Unselected];

    /// What the agent is told; `None` without one.
    fn arguments(self, file: &str) -> Option<Vec<String>> {
        let told = |words: &[&str]| Some(words.iter().map(|&word| word.to_owned()).collect());
        match self {
            Self::Nothing => None,
            Self::Off => told(&["--tls", "off"]),
            Self::Read => told(&["--tls", "auto"]),
            Self::Unselected => told(&["--tls", "auto", "--exclude", &format!("exe:*/{file}")]),
        }
    }

    /// The order of a round: each state comes everywhere.
    fn order(round: usize) -> [Self; 4] {
        let mut order = Self::ALL;
        order.rotate_left(round % 4);
        if round % 2 == 1 {
            order.reverse();
        }
        order
    }
}

/// What a program did in a state.
#[derive(Clone, Copy, Default)]
struct Spent {
    /// Seconds of its processor time for each request.
    cpu: f64,
    /// Requests a second.
    rate: f64,
}

/// Measures those that are wanted.
pub fn measure(options: &Options, agent: &Agent, size: &Size, report: &mut Report) -> Result<()> {
    for secured in SECURED.iter().filter(|secured| options.wants(secured.key, size.all)) {
        shell::say(format!("TLS of {}", secured.title));
        let server = (secured.start)().context(secured.title)?;
        let mut rounds: Vec<[Spent; 4]> = Vec::new();
        for round in 0..ROUNDS {
            let mut spent = [Spent::default(); 4];
            for state in State::order(round) {
                spent[state as usize] = beside(state, secured, agent, &server, size)
                    .with_context(|| format!("{}: {state:?}", secured.key))?;
            }
            rounds.push(spent);
        }
        let ratios = |of: State, to: State, what: fn(&Spent) -> f64| -> Vec<f64> {
            rounds.iter().map(|round| what(&round[of as usize]) / what(&round[to as usize])).collect()
        };
        let mut add = |measure, values: &[f64]| report.add(secured.key, measure, values);
        add(&Measure::TLS_CPU, &ratios(State::Read, State::Nothing, |spent| spent.cpu));
        add(&Measure::TLS_CPU_OFF, &ratios(State::Off, State::Nothing, |spent| spent.cpu));
        add(&Measure::TLS_CPU_UNSELECTED, &ratios(State::Unselected, State::Nothing, |spent| spent.cpu));
        add(&Measure::TLS_CPU_READING, &ratios(State::Read, State::Off, |spent| spent.cpu));
        add(&Measure::TLS_RATE, &ratios(State::Read, State::Nothing, |spent| spent.rate));
        add(&Measure::TLS_RATE_OFF, &ratios(State::Off, State::Nothing, |spent| spent.rate));
        let without: Vec<f64> = rounds.iter().map(|round| round[State::Nothing as usize].cpu * 1e6).collect();
        add(&Measure::TLS_CPU_WITHOUT, &without);
    }
    Ok(())
}

/// Loads a program in a state.
fn beside(state: State, secured: &Secured, agent: &Agent, server: &Server, size: &Size) -> Result<Spent> {
    let running = state
        .arguments(secured.file)
        .map(|arguments| {
            let arguments = [&agent.arguments[..], &arguments].concat();
            Agent { binary: agent.binary.clone(), sink: agent.sink, arguments }.start(mark())
        })
        .transpose()?;
    asked(secured, server, WARM_UP)?;
    let before = server.cpu()?;
    let round = asked(secured, server, size.seconds)?;
    let spent = Spent { cpu: (server.cpu()? - before) / round.requests, rate: round.rate };
    if let Some(running) = running {
        let counts = running.counts().clone();
        check(state, secured, &running.stop()?, round.requests)?;
        let served = counts.server();
        ensure!(state != State::Unselected || served == 0, "{served} spans of a server that is excluded");
    }
    Ok(spent)
}

/// Whether the agent did what the state is called: of each request that is read at least the server's two ends pass.
fn check(state: State, secured: &Secured, stopped: &Stopped, requests: f64) -> Result<()> {
    let counted = |name: &str| stopped.counters.get(name).copied().unwrap_or_default();
    let (libraries, read) = (counted("tls_libraries"), counted("tls_plaintexts"));
    match state {
        State::Nothing => {}
        State::Off => ensure!(libraries + read == 0.0, "{libraries} libraries and {read} plaintexts were read"),
        // (wrk's own ends are read as well, and some records may be lost at the limit.)
        State::Read => ensure!(read >= 2.0 * requests, "only {read} plaintexts of {requests} requests were read"),
        State::Unselected if secured.shares => ensure!(libraries > 0.0, "its library is not probed"),
        State::Unselected => {}
    }
    Ok(())
}

/// Asks for so many seconds.
fn asked(secured: &Secured, server: &Server, seconds: u32) -> Result<Round> {
    let last = std::thread::available_parallelism().map_or(1, usize::from) - 1;
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", &last.to_string()]).arg(services::find("wrk").context("wrk is not installed")?);
    if secured.shakes {
        command.args(["--header", "Connection: close"]);
    }
    load::wrk_at(&mut command, &format!("https://{}{}", server.address, mark()), CONNECTIONS, seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_some_round_each_state_comes_before_each_other() {
        for (one, other) in State::ALL.into_iter().flat_map(|one| State::ALL.map(|other| (one, other))) {
            let place = |order: &[State; 4], state| order.iter().position(|of| *of == state);
            let orders: Vec<_> = (0..ROUNDS).map(State::order).collect();
            let before = orders.iter().filter(|order| place(order, one) < place(order, other)).count();
            assert!(one == other || before > 0, "{one:?} never comes before {other:?}");
        }
    }
}
