//! The agent killed, stopped, continued and restarted while nginx and a Python server are under load: not one request may fail.
//!
//! One client checks every byte of every answer and takes the time of each request; wrk presses nginx beside it.

mod client;
mod latency;
mod target;

use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use rustix::process::Signal;

use super::agent::Agent;
use super::check::{Ordeal, World};
use client::{Client, Tally};
use target::Target;

/// Connections of the checking client to each server.
const CONNECTIONS: usize = 4;
/// A request that takes longer than this while the agent is stopped was held up, whatever the machine's noise.
const STALL: Duration = Duration::from_secs(1);

/// Torment first, then latency.
pub fn run(world: &World) -> Result<Ordeal> {
    let mut ordeal = Ordeal::default();
    for target in [Target::nginx(world)?, Target::python(world)?] {
        torment(world, &target, &mut ordeal)?;
        latency::measure(world, &target, &mut ordeal)?;
    }
    Ok(ordeal)
}

/// Everything that can happen to an agent, under load.
fn torment(world: &World, target: &Target, ordeal: &mut Ordeal) -> Result<()> {
    let client = Client::start(target, CONNECTIONS)?;
    let wrk = target.wrk(world)?;
    let rounds = if world.short { 1 } else { 3 };
    let pause = Duration::from_secs(if world.short { 2 } else { 5 });
    for _ in 0..rounds {
        killed(world)?;
        stopped(world, target, &client, pause, ordeal)?;
        stopped_and_killed(world)?;
        restarted(world)?;
    }
    let tally = client.stop();
    judge(target, "torment", &tally, ordeal);
    if let Some(wrk) = wrk {
        let said = wrk.stop();
        // wrk's own figures of a run that is cut short count no error where there is none.
        for line in said.lines().filter(|line| line.contains("Socket errors") || line.contains("Non-2xx")) {
            ordeal.harms.push(format!("{}: wrk says: {}", target.name, line.trim()));
        }
    }
    Ok(())
}

/// Killed with -9 while it reads, several times, at different moments of its life.
fn killed(world: &World) -> Result<()> {
    for after in [0, 100, 700] {
        let agent = Agent::start(world)?;
        thread::sleep(Duration::from_millis(after));
        agent.kill()?;
    }
    Ok(())
}

/// Stopped for seconds, so that the ring overflows, and continued.
fn stopped(world: &World, target: &Target, client: &Client, pause: Duration, ordeal: &mut Ordeal) -> Result<()> {
    let agent = Agent::start(world)?;
    agent.signal(Signal::STOP)?;
    let began = Instant::now();
    client.take_slowest();
    thread::sleep(pause);
    let (slowest, still) = (client.take_slowest(), began.elapsed());
    agent.signal(Signal::CONT)?;
    if slowest > STALL {
        ordeal
            .harms
            .push(format!("{}: a request took {slowest:?} while the agent was stopped for {still:?}", target.name));
    }
    agent.stop().map(drop)
}

/// Killed while it is stopped.
fn stopped_and_killed(world: &World) -> Result<()> {
    let agent = Agent::start(world)?;
    agent.signal(Signal::STOP)?;
    thread::sleep(Duration::from_millis(500));
    agent.kill()
}

/// Stopped and started again and again, two at a time in between.
fn restarted(world: &World) -> Result<()> {
    let mut former: Option<Agent> = None;
    for _ in 0..4 {
        let agent = Agent::start(world)?;
        if let Some(former) = former.replace(agent) {
            former.stop()?;
        }
    }
    former.map_or(Ok(()), |last| last.stop().map(drop))
}

/// Every failed request is a harm; a load that did nothing is one, too.
fn judge(target: &Target, phase: &str, tally: &Tally, ordeal: &mut Ordeal) {
    ordeal.requests += tally.right() + tally.failures.len() as u64;
    let name = target.name;
    if tally.right() == 0 {
        ordeal.harms.push(format!("{name}, {phase}: not one request was answered"));
    }
    if !tally.failures.is_empty() {
        let first = &tally.failures[0];
        ordeal.harms.push(format!("{name}, {phase}: {} requests failed, the first: {first}", tally.failures.len()));
    }
}
