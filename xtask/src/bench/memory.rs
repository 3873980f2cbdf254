//! Resident memory of the agent: idle, with many open connections, and after many short ones.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::Size;
use super::agent::{Agent, Running};
use super::client::{self, Task};
use super::report::{Aim, Report};
use super::server::Server;

const AIM: Aim = Aim::AtMost(50.0);

/// One agent goes through all of it, as it would in an hour.
pub fn measure(agent: &Agent, server: &Server, size: &Size, report: &mut Report) -> Result<()> {
    let running = agent.start()?;
    let idle = settled(&running)?;
    report.add("resident memory, idle", "MiB", &[idle], Some(AIM));

    let held = client::spawn(Task::Hold, server.address, size.connections)?;
    let many = settled(&running)?;
    let name = format!("resident memory, {} open connections", size.connections);
    report.add(&name, "MiB", &[many], Some(AIM));
    held.finish()?;

    client::spawn(Task::Churn, server.address, size.churn)?.finish()?;
    let after = settled(&running)?;
    report.add(&format!("resident memory, after {} short connections", size.churn), "MiB", &[after], Some(AIM));
    report.add("resident memory, peak", "MiB", &[running.memory("VmHWM")?], None);
    let seen = running.counts().clone();
    let took = running.stop()?;
    let made = f64::from(size.connections + size.churn);
    let name = "short connections: SERVER spans delivered ÷ requests made";
    report.add(name, "", &[seen.server() as f64 / made], Some(Aim::AtLeast(1.0)));
    report.add("time from SIGTERM to exit", "s", &[took.as_secs_f64()], Some(Aim::AtMost(2.0)));
    Ok(())
}

/// Waits until the agent has digested what it saw: its memory is then the same for a second.
fn settled(running: &Running) -> Result<f64> {
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
