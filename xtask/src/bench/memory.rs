//! Resident memory of the agent: idle, with many open connections, and after many short ones.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::agent::{Agent, Running};
use super::client::Client;
use super::mark::mark;
use super::report::{Measure, Report};
use super::server::Server;
use super::{Sink, Size};

/// One agent goes through all of it, as it would in an hour.
pub fn measure(agent: &Agent, server: &Server, size: &Size, report: &mut Report) -> Result<()> {
    let running = agent.start(mark())?;
    report.add("agent", &Measure::MEMORY_IDLE, &[settled(&running)?]);

    let held = Client::hold(server.address, size.connections)?;
    report.add("agent", &Measure::MEMORY_CONNECTIONS, &[settled(&running)?]);
    held.finish()?;

    Client::churn(server.address, size.churn)?.finish()?;
    report.add("agent", &Measure::MEMORY_CHURN, &[settled(&running)?]);
    report.add("agent", &Measure::MEMORY_PEAK, &[running.memory("VmHWM")?]);
    let seen = running.counts().clone();
    let stopped = running.stop()?;
    let made = f64::from(size.connections + size.churn);
    if agent.sink != Sink::None {
        report.add("agent", &Measure::CHURN_SPANS, &[seen.server() as f64 / made]);
    }
    report.add("agent", &Measure::EXIT, &[stopped.took.as_secs_f64()]);
    Ok(())
}

/// Waits until the agent has digested what it saw: its memory is then the same for a second.
pub fn settled(running: &Running) -> Result<f64> {
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut last = f64::NAN;
    let mut since = Instant::now();
    loop {
        let now = running.memory("VmRSS")?;
        if now != last {
            last = now;
            since = Instant::now();
        } else if since.elapsed() > Duration::from_secs(1) {
            return Ok(now);
        }
        if Instant::now() > deadline {
            // It still breathes; what it is now is the honest answer.
            return if now.is_finite() { Ok(now) } else { bail!("no memory figure") };
        }
        thread::sleep(Duration::from_millis(50));
    }
}
