//! Requests a second with the agent ÷ without it.

use anyhow::{Context, Result, bail};

use super::Size;
use super::agent::{Agent, Running};
use super::report::{Aim, Report};
use super::server::Server;
use crate::{services, shell};

/// What wrk says of one round.
#[derive(Debug, PartialEq)]
pub struct Round {
    /// Responses read.
    pub requests: f64,
    /// A second.
    pub rate: f64,
}

/// Loads `server` for `seconds`.
pub fn wrk(server: &Server, seconds: u32) -> Result<Round> {
    let mut command = server.load_generator();
    command.arg(services::find("wrk").context("wrk is not installed")?);
    command.args(["--threads", "1", "--connections", &server.connections.to_string()]);
    command.args(["--duration", &format!("{seconds}s")]).arg(server.url());
    let output = shell::read(&mut command)?;
    let round = parse(&output).with_context(|| format!("wrk says:\n{output}"))?;
    if output.contains("Non-2xx") || output.contains("Socket errors") {
        bail!("requests failed:\n{output}");
    }
    Ok(round)
}

/// `  151331 requests in 5.10s, 46.61MB read` and `Requests/sec:  29672.60`.
fn parse(output: &str) -> Option<Round> {
    let requests = output.lines().find_map(|line| line.split_once(" requests in ")?.0.trim().parse().ok())?;
    let rate = output.lines().find_map(|line| line.strip_prefix("Requests/sec:")?.trim().parse().ok())?;
    Some(Round { requests, rate })
}

/// One round with the agent, and what the agent did meanwhile.
struct With {
    rate: f64,
    cpu_per_1000: f64,
    delivered: f64,
    clients: f64,
}

/// Measures pairs of rounds; the order within a pair alternates, so that a drift of the machine cancels out.
pub fn measure(name: &str, agent: &Agent, server: &Server, size: &Size, report: &mut Report) -> Result<()> {
    wrk(server, 1).context("warming up")?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for pair in 0..size.rounds {
        if pair % 2 == 0 {
            without.push(wrk(server, size.seconds)?.rate);
            with.push(round_with(agent, server, size)?);
        } else {
            with.push(round_with(agent, server, size)?);
            without.push(wrk(server, size.seconds)?.rate);
        }
        let last = with.last().map_or(0.0, |round| round.rate);
        shell::say(format!("  pair {}: {:.0} without, {last:.0} with", pair + 1, without[pair]));
    }
    let all = |field: fn(&With) -> f64| with.iter().map(field).collect::<Vec<f64>>();
    let ratios: Vec<f64> = with.iter().zip(&without).map(|(with, without)| with.rate / without).collect();
    let aim = if name.starts_with("nginx") { 0.90 } else { 0.98 };
    report.add(&format!("{name}: requests/s with ÷ without"), "", &ratios, Some(Aim::AtLeast(aim)));
    report.add(&format!("{name}: requests/s without"), "1/s", &without, None);
    report.add(&format!("{name}: requests/s with"), "1/s", &all(|round| round.rate), None);
    report.add(&format!("{name}: agent CPU per 1 000 requests"), "s", &all(|round| round.cpu_per_1000), None);
    let delivered = all(|round| round.delivered);
    report.add(&format!("{name}: SERVER spans delivered ÷ requests made"), "", &delivered, Some(Aim::AtLeast(1.0)));
    report.add(&format!("{name}: CLIENT spans delivered ÷ requests made"), "", &all(|round| round.clients), None);
    Ok(())
}

fn round_with(agent: &Agent, server: &Server, size: &Size) -> Result<With> {
    let running = agent.start()?;
    let round = load(&running, server, size.seconds)?;
    Ok(With { rate: round.0.rate, ..finish(running, round)? })
}

/// wrk's round, the requests made, and the agent's processor time.
fn load(running: &Running, server: &Server, seconds: u32) -> Result<(Round, f64, f64)> {
    let (cpu, answered) = (running.cpu()?, server.answered()?);
    let round = wrk(server, seconds)?;
    // nginx also counts what wrk left behind when its time was over, and our own question.
    let made = match (answered, server.answered()?) {
        (Some(before), Some(after)) => (after - before - 1) as f64,
        _ => round.requests,
    };
    Ok((round, made, running.cpu()? - cpu))
}

fn finish(running: Running, (round, made, cpu): (Round, f64, f64)) -> Result<With> {
    let counts = running.counts().clone();
    running.stop()?;
    Ok(With {
        rate: round.rate,
        cpu_per_1000: cpu / made * 1000.0,
        delivered: counts.server() as f64 / made,
        clients: counts.client() as f64 / made,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_output_of_wrk_is_understood() {
        let output = "Running 5s test @ http://127.0.0.1\n  151331 requests in 5.10s, 46.61MB read\n\
                      Requests/sec:  29672.60\nTransfer/sec:      9.14MB\n";
        assert_eq!(parse(output), Some(Round { requests: 151_331.0, rate: 29_672.6 }));
    }
}
