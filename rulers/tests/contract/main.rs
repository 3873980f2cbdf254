//! Every stack keeps the contract of `rulers/programs/README.md`: real programs, each shape, 64 requests at a time,
//! against a leaf that remembers every call. `STACK=<name>` runs one stack alone.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, test_kill_process_group};
use wirespan_rulers::stacks::{self, Place, Shape, Stack, Start};
use wirespan_tests::agent::target_dir;
use wirespan_tests::program::Program;
use wirespan_tests::wait;

use crate::client::Client;
use crate::leaf::{Gate, Leaf};
use crate::shapes::Asked;

mod client;
mod leaf;
mod shapes;

/// gunicorn's sync worker closes each connection after its answer (its documentation: "does not support persistent
/// connections").
const CLOSES: [&str; 1] = ["flask-gunicorn-sync"];
/// Stacks of more than one process, each with its own pool and its own workers behind a queue.
const PROCESSES: [(&str, usize); 1] = [("flask-gunicorn-sync", 4)];

/// Requests at one time.
const CONCURRENCY: u64 = 64;
/// Requests over each connection.
const REPEATS: u64 = 3;
/// How long calls that nobody waits for may take, and how long a program may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

#[test]
fn every_stack_makes_the_calls_of_the_contract_and_no_others() {
    let only = std::env::var("STACK").ok();
    let chosen: Vec<_> =
        stacks::all().into_iter().filter(|it| only.as_ref().is_none_or(|name| it.name == name)).collect();
    assert!(!chosen.is_empty(), "no stack is called {only:?}");
    let mut failures = Vec::new();
    for stack in chosen {
        let begin = Instant::now();
        let result = try_stack(stack);
        eprintln!("{:24} {} in {:.1?}", stack.name, if result.is_ok() { "good" } else { "FAILED" }, begin.elapsed());
        failures.extend(result.err().map(|error| format!("{}: {error:#}", stack.name)));
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_stack_says_of_every_shape_whether_it_can() {
    for stack in stacks::all() {
        let left_out = stack.left_out.iter().map(|(shape, _)| *shape);
        let mut named: Vec<Shape> = stack.shapes.iter().copied().chain(left_out).collect();
        named.sort_unstable();
        assert!(named == Shape::USUAL || named == Shape::HARD, "{}: {named:?}", stack.name);
    }
}

#[test]
fn no_two_stacks_bear_the_same_name() {
    let names: Vec<_> = stacks::all().into_iter().map(|stack| stack.name).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
}

/// A running instance with the leaf behind it.
struct Instance {
    stack: &'static Stack,
    program: Program,
    port: u16,
    leaf: Leaf,
    /// The number of the next request.
    next: u64,
    /// Calls that all requests so far have to make.
    owed: usize,
}

fn try_stack(stack: &'static Stack) -> Result<()> {
    let prepared = (stack.prepare)(&Place::new(&target_dir())).context("prepare")?;
    ensure!(prepared.versions.iter().all(|(name, version)| !name.is_empty() && !version.is_empty()), "no versions");
    let dir = tempfile::tempdir()?;
    let (port, leaf) = (wait::free_port(), Leaf::start()?);
    let start = Start { port, next: leaf.port, mode: stack.mode, dir: dir.path() };
    let mut command = (stack.start)(&prepared, &start).context("start")?;
    command.env("PORT", port.to_string()).env("STACK_MODE", stack.mode);
    command.env("NEXT", format!("http://127.0.0.1:{}", leaf.port));
    let is_ready =
        |_: &Program| Client::connect(port).is_ok_and(|mut it| it.get("/ready").is_ok_and(|code| code == 200));
    let mut program = Program::try_start(stack.name, dir.path(), &mut command)?;
    program.try_ready("answer /ready", is_ready)?;
    let mut instance = Instance { stack, program, port, leaf, next: 1, owed: 0 };
    let result = instance.examine();
    if result.is_err() {
        eprintln!("--- {} said:\n{}", stack.name, instance.program.log());
    }
    result
}

impl Instance {
    fn examine(&mut self) -> Result<()> {
        if self.stack.shapes.iter().all(|shape| Shape::HARD.contains(shape)) {
            return self.examine_hard();
        }
        let (log, began) = (self.program.log(), self.next);
        self.keeps_connections().context("keep-alive of its client")?;
        for &shape in self.stack.shapes {
            self.load(shape).with_context(|| shape.to_string())?;
            if matches!(shape, Shape::Forget | Shape::Timer) {
                self.waits(shape).with_context(|| shape.to_string())?;
            }
        }
        // A proxy knows no shapes.
        for (shape, _) in self.stack.left_out.iter().filter(|_| !self.stack.passes_through) {
            self.refuses(*shape).with_context(|| shape.to_string())?;
        }
        self.logged(&log, began)?;
        self.ends()?;
        let state = self.leaf.state();
        ensure!(self.stack.passes_through || state.readies == 0, "/ready makes calls");
        ensure!(state.calls.len() == self.owed, "{} calls in all, not {}", state.calls.len(), self.owed);
        Ok(())
    }

    /// Fails if it wrote as much since `before` as who logs requests: a line for each. (What is still starting writes a few.)
    fn logged(&self, before: &str, began: u64) -> Result<()> {
        let said = self.program.log();
        let said = said.get(before.len()..).unwrap_or(&said);
        ensure!((said.lines().count() as u64) < (self.next - began) / 2, "it logs requests: {said}");
        Ok(())
    }

    /// Of hard shapes, who calls depends on who comes when: at least the calls that each has to make, and none of another place.
    fn examine_hard(&mut self) -> Result<()> {
        let (log, began) = (self.program.log(), self.next);
        self.leaf.expect(Gate::Open);
        for &shape in self.stack.shapes {
            self.load_hard(shape).with_context(|| shape.to_string())?;
        }
        for (shape, _) in self.stack.left_out {
            self.refuses(*shape).with_context(|| shape.to_string())?;
        }
        self.logged(&log, began)?;
        ensure!(self.leaf.state().readies == 0, "/ready makes calls");
        self.ends()
    }

    fn load_hard(&mut self, shape: Shape) -> Result<()> {
        let (asked, _) = self.ask_many(shape)?;
        wait::until_true(PATIENCE, || shapes::complete(&self.leaf.state(), &asked));
        let state = self.leaf.state();
        for one in &asked {
            ensure!(state.of(one.request).count() >= one.calls(), "{}: too few calls", one.target());
            let below = format!("{}.", one.hop);
            let stranger = state.of(one.request).find(|call| !call.hop.starts_with(&below));
            ensure!(stranger.is_none(), "{}: calls {stranger:?}", one.target());
        }
        Ok(())
    }

    /// Makes many requests of one shape at a time. All of them, and how often a connection had to be made anew.
    fn ask_many(&mut self, shape: Shape) -> Result<(Vec<Asked>, usize)> {
        let first = self.next;
        self.next += CONCURRENCY * REPEATS;
        let (port, leaf) = (self.port, &self.leaf);
        let ask = |client: u64| -> Result<(Vec<Asked>, usize)> {
            let mut connection = Client::connect(port)?;
            let numbers = first + client * REPEATS..first + (client + 1) * REPEATS;
            let load = numbers.map(|number| Asked::new(number, shape, shapes::SHORT));
            let asked = load.map(|one| ask(&mut connection, leaf, one)).collect::<Result<Vec<_>>>()?;
            Ok((asked, connection.reconnected()))
        };
        let of_each: Vec<(Vec<Asked>, usize)> = thread::scope(|scope| {
            let clients: Vec<_> = (0..CONCURRENCY).map(|client| scope.spawn(move || ask(client))).collect();
            clients.into_iter().map(|it| it.join().expect("a client does not panic")).collect::<Result<_>>()
        })?;
        let (asked, reconnected): (Vec<_>, Vec<_>) = of_each.into_iter().unzip();
        Ok((asked.concat(), reconnected.iter().sum()))
    }

    /// Many requests of one shape at a time.
    fn load(&mut self, shape: Shape) -> Result<()> {
        self.leaf.expect(shapes::gate(shape));
        self.owed += (CONCURRENCY * REPEATS) as usize * shape.calls() as usize;
        let (asked, reconnected) = self.ask_many(shape)?;
        ensure!(CLOSES.contains(&self.stack.name) || reconnected == 0, "it ends connections");
        wait::until_true(PATIENCE, || shapes::complete(&self.leaf.state(), &asked));
        let state = self.leaf.state();
        ensure!(state.complaints.is_empty(), "the leaf complains: {}", state.complaints[0]);
        for one in &asked {
            shapes::check(self.stack, one, &state)?;
        }
        let processes = PROCESSES.iter().find(|(name, _)| *name == self.stack.name).map_or(1, |(_, count)| *count);
        shapes::check_load(processes, shape, &asked, &state)
    }

    /// The call of one request alone comes no sooner than the delay.
    fn waits(&mut self, shape: Shape) -> Result<()> {
        let asked = ask(&mut Client::connect(self.port)?, &self.leaf, Asked::new(self.next, shape, shapes::LONG))?;
        self.next += 1;
        self.owed += asked.calls();
        let all = [asked];
        wait::until_true(PATIENCE, || shapes::complete(&self.leaf.state(), &all));
        let state = self.leaf.state();
        shapes::check(self.stack, &all[0], &state)?;
        shapes::check_wait(&all[0], &state)
    }

    fn refuses(&mut self, shape: Shape) -> Result<()> {
        let asked = Asked::new(self.next, shape, shapes::SHORT);
        self.next += 1;
        let code = Client::connect(self.port)?.get(&asked.target())?;
        ensure!(code == 501, "answered {code}, not 501");
        ensure!(self.leaf.state().of(asked.request).count() == 0, "called all the same");
        Ok(())
    }

    /// Calls that come one after the other share connections.
    fn keeps_connections(&mut self) -> Result<()> {
        if !self.stack.shapes.contains(&Shape::Sequence) {
            return Ok(());
        }
        self.leaf.expect(Gate::Open);
        let mut client = Client::connect(self.port)?;
        let mut used = BTreeSet::new();
        const REQUESTS: u64 = 5;
        for _ in 0..REQUESTS {
            let asked = ask(&mut client, &self.leaf, Asked::new(self.next, Shape::Sequence, shapes::SHORT))?;
            self.next += 1;
            self.owed += asked.calls();
            used.extend(self.leaf.state().of(asked.request).map(|call| call.connection));
        }
        ensure!(used.len() as u64 <= REQUESTS, "{} connections for {} calls", used.len(), REQUESTS * 3);
        Ok(())
    }

    /// On SIGTERM to it alone, in spite of a connection that is kept, and with its children.
    fn ends(&mut self) -> Result<()> {
        let group = Pid::from_raw(self.program.pid().cast_signed()).context("a process id")?;
        let mut idle = Client::connect(self.port)?;
        idle.get("/ready")?;
        self.program.signal(Signal::TERM);
        ensure!(self.program.wait(PATIENCE).is_some(), "it does not end on SIGTERM");
        let gone = wait::until_true(PATIENCE, || test_kill_process_group(group).is_err());
        ensure!(gone, "children of it live on");
        Ok(())
    }
}

fn ask(client: &mut Client, leaf: &Leaf, mut asked: Asked) -> Result<Asked> {
    asked.sent = Instant::now();
    let code = client.get(&asked.target()).with_context(|| asked.target())?;
    leaf.note_answer(asked.request);
    ensure!(code == 200, "{} answered {code}", asked.target());
    Ok(asked)
}
