//! Runs one stack: the agent, the leaf, and round after round an instance of the stack with the driver in front of it.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;
use wirespan_tests::agent::{self, Agent};
use wirespan_tests::program::Program;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::span::Span;
use wirespan_tests::wait;

use super::driver::{self, Arrival, Outcome};
use super::facts;
use super::fence::Fence;
use super::leaf;
use super::plan::{Cell, Load, Phase, arrivals};
use super::truth::{Exchange, Key, Truth, parent_hop, parse_path};
use crate::stacks::{Prepared, Stack, Start};

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long work in the background may take after the last answer.
const BACKGROUND: Duration = Duration::from_secs(20);
/// After so long without a new span none is expected any more.
const QUIET: Duration = Duration::from_secs(3);
/// Ports beyond those that are needed.
const SPARE_PORTS: usize = 8;
/// Requests of a cell are numbered within so many.
const NUMBERS: u64 = 100_000;
/// What the agent says that it lost of what the kernel saw: one record may be worth many spans.
pub const LOST_RECORDS: [&str; 10] = [
    "kernel_ring_full",
    "kernel_over_budget",
    "kernel_missed",
    "kernel_faults",
    "kernel_io_uring",
    "events_malformed",
    "gaps",
    "connections_evicted",
    "connections_failed",
    "connections_lost_sync",
];
/// What the agent says that it lost of spans.
pub const LOST_SPANS: [&str; 4] = ["exchanges_dropped", "spans_evicted", "exporter_queue_dropped", "spans_rejected"];

/// What a round was and how its requests ended.
pub struct Round {
    /// Index of each cell, its load, and its requests' outcomes.
    pub cells: Vec<(usize, Load, Vec<Outcome>)>,
    /// The ports of the first instance and of the second.
    ports: [u16; 2],
    /// Calls that answered requests should have made and the leaf never answered.
    pub calls_missing: u64,
}

/// All that is known after a stack's run.
pub struct Run {
    /// Rounds in their order.
    pub rounds: Vec<Round>,
    /// Why rounds came to nothing, where they did.
    pub errors: Vec<String>,
    /// What took place.
    pub truth: Truth,
    /// What the agent saw.
    pub spans: Vec<Span>,
    /// What the agent says that it lost, by its counters; those that are not zero.
    pub losses: Vec<(&'static str, u64)>,
}

/// Ends the agent first: what is killed after it leaves no trace.
struct Stage<'a> {
    facts: Option<&'a Path>,
    /// Of all instances.
    pids: RefCell<HashSet<u32>>,
    agent: Agent,
    leaf: Program,
    leaf_port: u16,
    receiver: Receiver,
    prepared: &'a Prepared,
    cells: &'a [Cell],
    stack: &'static Stack,
    ports: RefCell<Vec<u16>>,
    // After all processes: it can be taken away when nobody is in it.
    fence: Fence,
    dir: TempDir,
}

/// Runs `cells`, which are of one stack, in rounds. What linking was told goes into the folder `facts`, if there is one.
///
/// # Errors
///
/// When a program does not start, or ends before its time.
pub fn run(prepared: &Prepared, cells: &[Cell], plan: &[Vec<Phase>], facts: Option<&Path>) -> Result<Run> {
    let stack = cells[0].stack;
    let dir = tempfile::Builder::new().prefix("wirespan-accuracy-").tempdir()?;
    fs::set_permissions(dir.path(), Permissions::from_mode(0o777))?;
    let receiver = Receiver::start(Protocol::Http);
    let leaf_port = wait::free_port();
    let ports: Vec<u16> = (0..2 * plan.len() + SPARE_PORTS).map(|_| wait::free_port()).collect();
    let mut command = agent::exporting_to(&receiver);
    let fence = Fence::new(&[ports.as_slice(), &[leaf_port]].concat());
    for rule in fence.rules() {
        command.arg("--include").arg(rule);
    }
    if facts.is_some() {
        command.arg("--record-facts").arg(dir.path().join(facts::FILE));
    }
    // The agent never traces itself; inside the fence, it ends with the rest when we are interrupted.
    let agent = Agent::start(dir.path(), &mut fence.enter(&command));
    let mut leaf = Program::try_start("leaf", dir.path(), &mut fence.enter(&ourselves("leaf", leaf_port)?))?;
    leaf.try_ready("answer", |_| is_ready(leaf_port))?;
    let ports = RefCell::new(ports);
    let stage = Stage {
        facts,
        pids: RefCell::default(),
        agent,
        leaf,
        leaf_port,
        receiver,
        prepared,
        cells,
        stack,
        ports,
        fence,
        dir,
    };
    let (mut rounds, mut errors) = (Vec::new(), Vec::new());
    for (number, phases) in plan.iter().enumerate() {
        let first = &cells[phases[0][0].0];
        match stage.round(number, phases) {
            Ok(round) => rounds.push(round),
            Err(error) => errors.push(format!("{} at level {}: {error:#}", first.shape, first.level)),
        }
    }
    stage.finish(rounds, errors)
}

impl Stage<'_> {
    fn round(&self, number: usize, phases: &[Phase]) -> Result<Round> {
        let ports = [self.port()?, self.port()?];
        let loads = || phases.iter().flatten();
        let deep = loads().any(|(_, load)| load.deep);
        let mut next = self.leaf_port;
        let mut instances = Vec::new();
        for (index, port) in ports.iter().enumerate().rev().filter(|(index, _)| *index == 0 || deep) {
            instances.push(self.instance(&format!("{number}-{index}"), *port, next)?);
            next = *port;
        }
        let arrivals = arrivals(self.cells, phases, first_number);
        let outcomes = self.drive(number, ports[0], &arrivals)?;
        let answered = outcomes.iter().filter(|it| is_answered(it));
        let asked: u64 = answered.map(|it| u64::from(self.cells[cell_of(it.request)].shape.calls())).sum();
        poll(BACKGROUND, || self.calls(&outcomes) >= asked);
        let calls_missing = asked.saturating_sub(self.calls(&outcomes));
        let of_cell = |index: usize| outcomes.iter().filter(|it| cell_of(it.request) == index).cloned().collect();
        let cells = loads().map(|(index, load)| (*index, *load, of_cell(*index))).collect();
        let round = Round { cells, ports, calls_missing };
        self.settle(&round);
        Ok(round)
    }

    /// One of the ports that the agent knows. They were all free when it began, which may be an hour ago.
    fn port(&self) -> Result<u16> {
        let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
        let next = || self.ports.borrow_mut().pop();
        std::iter::from_fn(next).find(is_free).context("others took the ports that the agent was told")
    }

    fn instance(&self, name: &str, port: u16, next: u16) -> Result<Program> {
        let dir = self.dir.path().join(name);
        fs::create_dir(&dir)?;
        fs::set_permissions(&dir, Permissions::from_mode(0o777))?;
        let mode = self.stack.mode;
        let mut command = (self.stack.start)(self.prepared, &Start { port, next, mode, dir: &dir })?;
        command.env("PORT", port.to_string()).env("NEXT", format!("http://127.0.0.1:{next}")).env("STACK_MODE", mode);
        let mut program = Program::try_start(
            &format!("{}-{name}", self.stack.name),
            self.dir.path(),
            &mut self.fence.enter(&command),
        )?;
        program.try_ready("answer", |_| is_ready(port))?;
        self.pids.borrow_mut().insert(program.pid());
        Ok(program)
    }

    fn drive(&self, number: usize, port: u16, arrivals: &[Arrival]) -> Result<Vec<Outcome>> {
        let schedule = self.dir.path().join(format!("{number}.schedule"));
        fs::write(&schedule, serde_json::to_vec(arrivals)?)?;
        let mut command = ourselves("driver", port)?;
        command.arg("--schedule").arg(schedule).arg("--timeout").arg(TIMEOUT.as_millis().to_string());
        let mut driver =
            Program::try_start(&format!("driver-{number}"), self.dir.path(), &mut self.fence.enter(&command))?;
        let last = arrivals.last().map_or(Duration::ZERO, |arrival| Duration::from_micros(arrival.at));
        let status = driver.wait(last + TIMEOUT + Duration::from_secs(15)).context("the driver does not end")?;
        ensure!(status.success(), "the driver ended with {status}:\n{}", driver.log());
        let outcomes = driver::outcomes(&driver.log())?;
        ensure!(outcomes.len() == arrivals.len(), "the driver reports {} of {}", outcomes.len(), arrivals.len());
        Ok(outcomes)
    }

    /// Answers that the leaf gave for those of `outcomes` that were answered.
    fn calls(&self, outcomes: &[Outcome]) -> u64 {
        let wanted: HashSet<u64> = outcomes.iter().filter(|it| is_answered(it)).map(|it| it.request).collect();
        let log = self.leaf.log();
        leaf::answered(&log).filter(|(request, _)| wanted.contains(request)).count() as u64
    }

    /// Waits until all spans of a round are there, or no more come.
    fn settle(&self, round: &Round) {
        let truth = truth(std::slice::from_ref(round), &self.leaf.log(), self.leaf_port, self.stack);
        let expected = truth.values().map(|it| 2 * it.must as usize).sum::<usize>();
        let count = || self.receiver.count(|span| parse_path(span.path()).is_some_and(|it| truth_has(round, it.0)));
        let mut last = (count(), Instant::now());
        poll(Duration::from_secs(60), || {
            let now = count();
            if now != last.0 {
                last = (now, Instant::now());
            }
            now >= expected || last.1.elapsed() > QUIET
        });
    }

    fn finish(mut self, rounds: Vec<Round>, errors: Vec<String>) -> Result<Run> {
        self.agent.try_stop()?;
        if let Some(folder) = self.facts {
            facts::write(folder, self.stack.name, &self.dir.path().join(facts::FILE), &self.pids.borrow())?;
        }
        let truth = truth(&rounds, &self.leaf.log(), self.leaf_port, self.stack);
        let losses =
            LOST_RECORDS.into_iter().chain(LOST_SPANS).filter_map(|name| Some((name, self.agent.try_counter(name)?)));
        let losses = losses.filter(|(_, lost)| *lost > 0).collect();
        Ok(Run { rounds, errors, truth, spans: self.receiver.spans(), losses })
    }
}

/// What took place, by what the driver and the leaf wrote down.
fn truth(rounds: &[Round], leaf_log: &str, leaf_port: u16, stack: &Stack) -> Truth {
    let mut truth = Truth::new();
    let mut requests: HashMap<u64, (usize, [u16; 2], bool, bool)> = HashMap::new();
    for round in rounds {
        for (cell, load, outcomes) in &round.cells {
            for outcome in outcomes {
                let must = u32::from(is_answered(outcome));
                requests.insert(outcome.request, (*cell, round.ports, load.deep, must == 1));
                let key = |hop: &str, port| Key { request: outcome.request, hop: hop.to_owned(), port };
                let first = key("0", round.ports[0]);
                if load.deep {
                    let exchange = Exchange { cell: *cell, parent: Some(first.clone()), must, may: 1 };
                    truth.insert(key("0.1", round.ports[1]), exchange);
                }
                truth.insert(first, Exchange { cell: *cell, parent: None, must, may: 1 });
            }
        }
    }
    for (request, hop) in leaf::answered(leaf_log) {
        let Some((cell, ports, deep, answered)) = requests.get(&request) else { continue };
        let caller = if stack.passes_through { Some(hop) } else { parent_hop(hop) };
        let parent = caller.map(|hop| Key { request, hop: hop.to_owned(), port: ports[usize::from(*deep)] });
        let key = Key { request, hop: hop.to_owned(), port: leaf_port };
        let exchange = truth.entry(key).or_insert(Exchange { cell: *cell, parent, must: 0, may: 0 });
        exchange.must += u32::from(*answered);
        exchange.may += 1;
    }
    truth
}

/// Whether a request got what it asked for.
pub fn is_answered(outcome: &Outcome) -> bool {
    outcome.status == Some(200)
}

fn first_number(cell: usize) -> u64 {
    (cell as u64 + 1) * NUMBERS
}

fn cell_of(request: u64) -> usize {
    (request / NUMBERS - 1) as usize
}

fn truth_has(round: &Round, request: u64) -> bool {
    request >= NUMBERS && round.cells.iter().any(|(cell, ..)| *cell == cell_of(request))
}

/// A hidden subcommand of this very program, as a process of its own.
fn ourselves(command: &str, port: u16) -> Result<Command> {
    let mut ourselves = Command::new(std::env::current_exe()?);
    ourselves.args(["accuracy", command, "--port", &port.to_string()]);
    Ok(ourselves)
}

fn is_ready(port: u16) -> bool {
    let asked = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        let request = format!("GET /ready HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    asked().is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
}

/// Asks ten times a second; each answer is worth some work.
fn poll(deadline: Duration, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + deadline;
    while !condition() && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(100));
    }
}
