//! What happens to the agent's memory and processor time as load, connections and processes grow ×1, ×10, ×100.
//!
//! Each step has an agent of its own, so that one step's heap is not another's; the steps of all axes are gone through in
//! turn, so that a drift of the machine falls on all.

use std::net::SocketAddr;
use std::time::Instant;

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::Size;
use super::agent::Agent;
use super::client::Client;
use super::client::pace::{Options, Paced, Protocol};
use super::mark::mark;
use super::report::{Measure, Report};
use super::server::Server;
use super::sink::SETTLE;
use super::stats::{interval, log_slope, median};
use super::subjects::nginx;

/// Differences below these are noise: MiB of memory, processors.
const MEMORY_RESOLUTION: f64 = 1.0;
const CPU_RESOLUTION: f64 = 0.002;
/// ×100 may add a quarter to what counts as bounded.
const BOUNDED: f64 = 0.05;
/// An exponent of the steps up to here is proportional, as well as three points can tell.
const LINEAR: f64 = 1.15;

/// One thing that grows, and what the agent does.
pub struct Axis {
    pub key: &'static str,
    pub title: &'static str,
    pub points: Vec<Point>,
    pub cpu: Law,
    pub memory: Law,
}

/// One step: how large it was, and what was measured in each round.
#[derive(Clone, Default)]
pub struct Point {
    pub size: f64,
    cpu: Vec<f64>,
    memory: Vec<f64>,
}

impl Axis {
    /// The group of a point's figures in the report.
    pub fn group(&self, n: usize) -> String {
        format!("growth.{}.x{}", self.key, 10_u32.pow(n as u32))
    }

    /// For the JSON file; the figures themselves are among the measures.
    pub fn json(&self) -> Value {
        let sizes: Vec<f64> = self.points.iter().map(|point| point.size).collect();
        json!({ "title": self.title, "sizes": sizes, "cpu": self.cpu.json(), "memory": self.memory.json() })
    }
}

/// How something grows, from one judgement for each round.
#[derive(Debug, PartialEq)]
pub struct Law {
    /// Slope of the logarithms of the figures themselves.
    pub exponents: Vec<f64>,
    /// The same without what is there at any size: for `base + a·sizeᵇ` it is exactly `b`; 0 where no step exceeds the
    /// noise.
    pub steps: Vec<f64>,
    pub verdict: &'static str,
}

impl Law {
    /// Judges rounds of three figures whose sizes are in one ratio to each other.
    fn of(rounds: &[[(f64, f64); 3]], resolution: f64) -> Self {
        let exponents: Vec<f64> = rounds.iter().map(|points| log_slope(points)).collect();
        let steps: Vec<f64> = rounds.iter().map(|points| step_exponent(points, resolution)).collect();
        let verdict = verdict(&exponents, &steps);
        Self { exponents, steps, verdict }
    }

    fn json(&self) -> Value {
        let of = |values: &[f64]| json!({ "median": median(values), "values": values });
        json!({ "exponent": of(&self.exponents), "steps_exponent": of(&self.steps), "verdict": self.verdict })
    }
}

/// y = base + a·x^b at x, kx, k²x: the second step is k^b times the first.
fn step_exponent(points: &[(f64, f64); 3], resolution: f64) -> f64 {
    let [(x1, y1), (_, y2), (x3, y3)] = *points;
    let (first, second) = (y2 - y1, y3 - y2);
    if first.max(second).max(y3 - y1) <= resolution {
        return 0.0;
    }
    (second.max(resolution) / first.max(resolution)).ln() / (x3 / x1).sqrt().ln()
}

/// What all rounds agree on: the whole interval must be on one side.
fn verdict(exponents: &[f64], steps: &[f64]) -> &'static str {
    let ends = |values: &[f64]| interval(values).unwrap_or((median(values), median(values)));
    if ends(exponents).1 <= BOUNDED || ends(steps).1 <= 0.0 {
        "bounded"
    } else if ends(steps).1 <= LINEAR {
        "linear or better"
    } else if steps.len() > 1 && ends(steps).0 > LINEAR {
        "worse than linear"
    } else {
        "not decided: the rounds differ"
    }
}

/// What is varied, and how a step of it is set up.
struct Plan {
    key: &'static str,
    title: &'static str,
    sizes: [f64; 3],
    /// From the size, nginx's address, and the seconds of the step.
    set_up: fn(f64, SocketAddr, f64) -> Result<Step>,
}

/// A step's load, and the servers that must live as long.
struct Step {
    load: Options,
    servers: Vec<Client>,
}

const PLANS: [Plan; 3] = [
    Plan {
        key: "load",
        title: "requests/s to nginx, 16 connections",
        sizes: [100.0, 1_000.0, 10_000.0],
        set_up: |rate, nginx, seconds| Ok(Step { load: load(vec![nginx], rate, 16, seconds), servers: Vec::new() }),
    },
    Plan {
        key: "connections",
        title: "open connections to nginx, 500 requests/s in all",
        sizes: [100.0, 1_000.0, 10_000.0],
        set_up: |count, nginx, seconds| {
            Ok(Step { load: load(vec![nginx], 500.0, count as u32, seconds), servers: Vec::new() })
        },
    },
    Plan {
        key: "processes",
        title: "server processes, half of them idle, 300 requests/s in all",
        sizes: [3.0, 30.0, 300.0],
        set_up: processes,
    },
];

fn load(addresses: Vec<SocketAddr>, rate: f64, connections: u32, seconds: f64) -> Options {
    Options { protocol: Protocol::Http, rate, seconds, connections, used: 0, threads: 8, addresses }
}

/// Each server has one connection, with one request or with its share.
fn processes(count: f64, _: SocketAddr, seconds: f64) -> Result<Step> {
    let started: Result<Vec<(Client, SocketAddr)>> = (0..count as u32).map(|_| Client::serve()).collect();
    let (servers, addresses): (Vec<Client>, Vec<SocketAddr>) = started?.into_iter().unzip();
    let connections = count as u32;
    let load = Options { used: connections.div_ceil(2), ..load(addresses, 300.0, connections, seconds) };
    Ok(Step { load, servers })
}

/// Measures all of it.
pub fn measure(agent: &Agent, size: &Size, report: &mut Report) -> Result<()> {
    let server = nginx::start()?;
    let mut found: Vec<[Point; 3]> = PLANS.iter().map(|_| Default::default()).collect();
    for _ in 0..size.growth_rounds {
        for (plan, points) in PLANS.iter().zip(&mut found) {
            for (point, step) in points.iter_mut().zip(plan.sizes) {
                let context = || format!("growth of {}: {step}", plan.key);
                one(agent, plan, step, &server, size, point).with_context(context)?;
            }
        }
    }
    for (plan, points) in PLANS.iter().zip(found) {
        add(plan, points, report);
    }
    Ok(())
}

/// One step, once.
fn one(agent: &Agent, plan: &Plan, step: f64, server: &Server, size: &Size, point: &mut Point) -> Result<()> {
    let Step { load, servers } = (plan.set_up)(step, server.address, size.growth_seconds)?;
    let running = agent.start(mark())?;
    let mut client = Paced::open(&load, &[])?;
    // What the opening cost is not what being open costs.
    running.counts().wait_until_quiet(SETTLE);
    let (start, before) = (Instant::now(), running.cpu()?);
    client.go()?;
    let round = client.result()?;
    point.cpu.push((running.cpu()? - before) / start.elapsed().as_secs_f64());
    point.memory.push(running.memory("VmRSS")?);
    // A machine that cannot make the requests has had another load than we say.
    point.size = if plan.key == "load" { round.rate } else { step };
    client.finish()?;
    running.stop()?;
    servers.into_iter().try_for_each(Client::finish)
}

fn add(plan: &Plan, points: [Point; 3], report: &mut Report) {
    let law = |values: fn(&Point) -> &[f64], resolution| {
        let rounds = values(&points[0]).len();
        let round = |n: usize| [0, 1, 2].map(|step: usize| (points[step].size, values(&points[step])[n]));
        Law::of(&(0..rounds).map(round).collect::<Vec<_>>(), resolution)
    };
    let (cpu, memory) = (law(|it| &it.cpu, CPU_RESOLUTION), law(|it| &it.memory, MEMORY_RESOLUTION));
    let axis = Axis { key: plan.key, title: plan.title, points: points.to_vec(), cpu, memory };
    for (n, point) in axis.points.iter().enumerate() {
        report.add(&axis.group(n), &Measure::GROWTH_CPU, &point.cpu);
        report.add(&axis.group(n), &Measure::GROWTH_MEMORY, &point.memory);
    }
    report.add_growth(axis);
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: [f64; 3] = [1.0, 10.0, 100.0];

    /// Three rounds that agree.
    fn law(base: f64, factor: f64, exponent: f64) -> Law {
        Law::of(&[SIZES.map(|x| (x, base + factor * x.powf(exponent))); 3], 0.01)
    }

    #[test]
    fn what_does_not_grow_is_bounded() {
        assert_eq!(law(24.0, 0.0, 1.0).verdict, "bounded");
        assert_eq!(law(24.0, 0.04, 1.0).verdict, "bounded", "a sixth more for ×100");
    }

    #[test]
    fn a_large_base_does_not_hide_a_square() {
        let law = law(1000.0, 0.1, 2.0);
        assert!(law.exponents[0] < 0.5, "{law:?}");
        assert!((law.steps[0] - 2.0).abs() < 1e-6, "{law:?}");
        assert_eq!(law.verdict, "worse than linear");
    }

    #[test]
    fn what_grows_in_proportion_is_linear() {
        assert_eq!(law(1.0, 1.0, 1.0).verdict, "linear or better");
        assert_eq!(law(1.0, 1.0, 0.5).verdict, "linear or better");
    }

    #[test]
    fn noise_is_no_growth() {
        let law = Law::of(&[[(1.0, 24.0), (10.0, 23.5), (100.0, 24.4)]], 1.0);
        assert_eq!((law.steps.as_slice(), law.verdict), ([0.0].as_slice(), "bounded"));
    }

    #[test]
    fn rounds_that_disagree_decide_nothing() {
        let square = SIZES.map(|x| (x, 1.0 + x * x));
        let line = SIZES.map(|x| (x, 1.0 + x));
        assert_eq!(Law::of(&[square, line, line], 0.01).verdict, "not decided: the rounds differ");
        assert_eq!(Law::of(&[square], 0.01).verdict, "not decided: the rounds differ", "one round is no proof");
    }
}
