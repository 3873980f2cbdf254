//! Time from the start of the agent to its first span, while requests come all the time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Size;
use super::agent::Agent;
use super::mark::mark;
use super::report::{Measure, Report};
use super::server::{self, Server};

const PATIENCE: Duration = Duration::from_secs(30);

/// Starts an agent once a round.
pub fn measure(agent: &Agent, server: &Server, size: &Size, report: &mut Report) -> Result<()> {
    let enough = AtomicBool::new(false);
    let times = thread::scope(|scope| {
        scope.spawn(|| {
            // A request every 5 ms; one that fails is seen by the others' absence.
            while !enough.load(Ordering::Relaxed) {
                let _ = server::get(server.address, mark());
                thread::sleep(Duration::from_millis(5));
            }
        });
        let times: Result<Vec<f64>> = (0..size.pairs.min(5)).map(|_| once(agent)).collect();
        enough.store(true, Ordering::Relaxed);
        times
    })?;
    report.add("agent", &Measure::FIRST_SPAN, &times);
    Ok(())
}

fn once(agent: &Agent) -> Result<f64> {
    let start = Instant::now();
    let running = agent.spawn(mark())?;
    while running.counts().first().is_none() {
        if start.elapsed() > PATIENCE {
            bail!("no span within {} s", PATIENCE.as_secs());
        }
        thread::sleep(Duration::from_millis(1));
    }
    let first = running.counts().first().unwrap_or(start);
    running.stop()?;
    Ok(first.duration_since(start).as_secs_f64())
}
