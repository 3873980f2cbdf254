//! Programs that make one call for each request: what the agent adds to their processor time, with probes and without.
//!
//! Three states follow each other in rounds, in an order that alternates, and give ratios within the round. Whom they call is
//! nginx, which costs next to nothing.

use std::net::SocketAddr;
use std::process::Command;

use anyhow::{Context, Result};

use super::Size;
use super::agent::Agent;
use super::load;
use super::mark::mark;
use super::report::{Measure, Report};
use super::server::{Place, Server, get};
use super::subjects::{go, nginx};
use crate::{services, shell};

const CONNECTIONS: u32 = 8;
/// Seconds of load before a measurement: the agent finds out what a program is made with once it serves.
const WARM_UP: u32 = 2;

/// A program that asks somebody else for each request.
pub struct Caller {
    /// Part of the keys in the JSON file: never changed.
    pub key: &'static str,
    pub title: &'static str,
    /// Starts it; it asks the server at this address for [`mark`].
    start: fn(SocketAddr) -> Result<Server>,
}

/// All of them, in the order of the report.
pub const CALLERS: [Caller; 5] = [
    Caller { key: "calls_go", title: "Go, `net/http`, which calls by it", start: go_caller },
    Caller { key: "calls_aiohttp", title: "aiohttp, which calls by it", start: aiohttp },
    Caller { key: "calls_fastapi", title: "FastAPI under uvicorn, which calls by httpx", start: fastapi },
    Caller { key: "calls_threads", title: "Flask under gunicorn's threads, which calls by urllib3", start: threads },
    Caller { key: "calls_node", title: "Node, `http`, which calls by it", start: node_caller },
];

fn go_caller(leaf: SocketAddr) -> Result<Server> {
    let place = Place::new("calls_go")?;
    let program = go::build(&place, include_str!("subjects/programs/calls.go"))?;
    let mut command = Command::new(program);
    command.arg(place.address.to_string()).arg(url(leaf));
    Server::start(command, place, |address| get(address, mark()).map(drop))
}

fn aiohttp(leaf: SocketAddr) -> Result<Server> {
    let place = Place::new("calls_aiohttp")?;
    let program = place.write("calls_aiohttp.py", include_str!("subjects/programs/calls_aiohttp.py"))?;
    let mut command = Command::new(services::python()?);
    command.arg(program).arg(place.address.port().to_string()).arg(url(leaf));
    Server::start(command, place, |address| get(address, mark()).map(drop))
}

fn fastapi(leaf: SocketAddr) -> Result<Server> {
    let place = Place::new("calls_fastapi")?;
    place.write("calls_fastapi.py", include_str!("subjects/programs/calls_fastapi.py"))?;
    let mut command = Command::new(services::async_python()?);
    command.args(["-m", "uvicorn", "--loop", "asyncio", "--log-level", "error", "--port"]);
    command.arg(place.address.port().to_string()).arg("calls_fastapi:app");
    command.env("LEAF", url(leaf)).current_dir(&place.folder);
    Server::start(command, place, |address| get(address, mark()).map(drop))
}

fn threads(leaf: SocketAddr) -> Result<Server> {
    let place = Place::new("calls_threads")?;
    place.write("calls_threads.py", include_str!("subjects/programs/calls_threads.py"))?;
    let mut command = Command::new(services::python()?);
    command.args(["-m", "gunicorn", "--workers", "1", "--threads", "8", "--keep-alive", "60", "--log-level", "error"]);
    command.arg("--bind").arg(place.address.to_string()).arg("calls_threads:app");
    command.env("LEAF", url(leaf)).current_dir(&place.folder);
    Server::start(command, place, |address| get(address, mark()).map(drop))
}

fn node_caller(leaf: SocketAddr) -> Result<Server> {
    let place = Place::new("calls_node")?;
    let program = place.write("calls_node.js", include_str!("subjects/programs/calls_node.js"))?;
    let mut command = Command::new(services::find("node").context("node is not installed")?);
    command.arg(program).arg(place.address.port().to_string()).arg(url(leaf));
    Server::start(command, place, |address| get(address, mark()).map(drop))
}

fn url(leaf: SocketAddr) -> String {
    format!("http://{leaf}{}", mark())
}

/// What is running beside the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Nothing,
    Unprobed,
    Probed,
}

/// Measures all of them.
pub fn measure(agent: &Agent, size: &Size, report: &mut Report) -> Result<()> {
    let leaf = nginx::start()?;
    for caller in &CALLERS {
        shell::say(caller.title);
        let server = (caller.start)(leaf.address).context(caller.title)?;
        let mut rounds: Vec<[f64; 3]> = Vec::new();
        for round in 0..size.pairs {
            let mut order = [State::Nothing, State::Unprobed, State::Probed];
            order.rotate_left(round % 3);
            if round % 2 == 1 {
                order.reverse();
            }
            let mut spent = [0.0; 3];
            for state in order {
                spent[state as usize] = beside(state, agent, &server, size).context(caller.title)?;
            }
            rounds.push(spent);
        }
        let ratios =
            |of: State, to: State| rounds.iter().map(|r| r[of as usize] / r[to as usize]).collect::<Vec<f64>>();
        report.add(caller.key, &Measure::CALLS_CPU, &ratios(State::Probed, State::Nothing));
        report.add(caller.key, &Measure::CALLS_CPU_UNPROBED, &ratios(State::Unprobed, State::Nothing));
        report.add(caller.key, &Measure::CALLS_PROBES, &ratios(State::Probed, State::Unprobed));
        let without: Vec<f64> = rounds.iter().map(|round| round[State::Nothing as usize] * 1e6).collect();
        report.add(caller.key, &Measure::CALLS_CPU_WITHOUT, &without);
    }
    Ok(())
}

/// Seconds of the program's processor time for each request in a state.
fn beside(state: State, agent: &Agent, server: &Server, size: &Size) -> Result<f64> {
    let probes = if state == State::Probed { "on" } else { "off" };
    let arguments = [&agent.arguments[..], &["--probes".to_owned(), probes.to_owned()]].concat();
    let agent = Agent { binary: agent.binary.clone(), sink: agent.sink, arguments };
    let running = if state == State::Nothing { None } else { Some(agent.start(mark())?) };
    asked(server, WARM_UP)?;
    let before = server.cpu()?;
    let requests = asked(server, size.seconds)?;
    let spent = (server.cpu()? - before) / requests;
    if let Some(running) = running {
        running.stop()?;
    }
    Ok(spent)
}

/// How many requests a server answered in so many seconds.
fn asked(server: &Server, seconds: u32) -> Result<f64> {
    let mut command = Command::new(services::find("wrk").context("wrk is not installed")?);
    Ok(load::wrk(&mut command, server, CONNECTIONS, seconds)?.requests)
}
