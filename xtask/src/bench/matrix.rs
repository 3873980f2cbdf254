//! One subject with the agent and without, in pairs.
//!
//! A pair is two rounds, one without the agent (A) and one with it (B), next to each other in time; the order within the
//! pairs alternates, A B, B A, so that a drift of the machine falls on both. Each pair gives a ratio; the report has the
//! median of the ratios.

use anyhow::{Context, Result};

use super::agent::{Agent, Running};
use super::client::pace::{self, Options, Paced};
use super::load::Limit;
use super::report::{Aim, Measure, Report};
use super::sink::SETTLE;
use super::subjects::Subject;
use super::{Sink, Size, bpf};
use crate::shell;

/// What both rounds of a pair give.
struct Round {
    /// Requests a second at the limit.
    rate: f64,
    /// Seconds of the server's processor time per request at the limit.
    app_cpu: f64,
    /// At the fixed rate.
    paced: Option<pace::Round>,
    /// Requests made at the limit, and at the fixed rate.
    made: (f64, f64),
}

/// What a round with the agent gives besides; all per request.
struct With {
    round: Round,
    /// Seconds.
    agent_cpu: f64,
    records: f64,
    /// `None`: the agent is too old to count them.
    ring_bytes: Option<f64>,
    ring_lost: f64,
    server_spans: f64,
    client_spans: f64,
}

/// Measures one subject.
pub fn measure(subject: &Subject, agent: &Agent, size: &Size, report: &mut Report) -> Result<()> {
    shell::say(subject.title);
    let server = (subject.start)()?;
    let limit = Limit::find(subject, &server)?;
    let (mut without, mut with) = (Vec::new(), Vec::new());
    for pair in 0..size.pairs {
        if pair % 2 == 0 {
            without.push(round(&limit, size, || Ok(()))?);
            with.push(round_with(agent, &limit, size)?);
        } else {
            with.push(round_with(agent, &limit, size)?);
            without.push(round(&limit, size, || Ok(()))?);
        }
        let last = with.last().map_or(0.0, |with| with.round.rate);
        shell::say(format!("  pair {}: {:.0} 1/s without, {last:.0} with", pair + 1, without[pair].rate));
    }
    compare(subject, &without, &with, report);
    costs(subject, agent.sink, &with, report);
    behind(&limit, &without, &with, report);
    bpf::measure(agent, &limit, size, report).context("BPF run time")
}

/// A round; `between` runs when the load at the limit is over.
fn round(limit: &Limit, size: &Size, between: impl FnOnce() -> Result<()>) -> Result<Round> {
    let before = limit.server.cpu()?;
    let at_limit = limit.load(size.seconds)?;
    let app_cpu = (limit.server.cpu()? - before) / at_limit.requests;
    between()?;
    let paced = limit.fixed_rate().map(|rate| at_fixed_rate(limit, rate, size)).transpose()?;
    let made = (at_limit.requests, paced.map_or(0.0, |paced| paced.requests));
    Ok(Round { rate: at_limit.rate, app_cpu, paced, made })
}

fn at_fixed_rate(limit: &Limit, rate: f64, size: &Size) -> Result<pace::Round> {
    let options = Options {
        protocol: limit.subject.load.protocol().context("no client for a fixed rate")?,
        rate,
        seconds: size.paced_seconds,
        connections: limit.subject.connections,
        used: 0,
        threads: 8,
        addresses: vec![limit.server.address],
    };
    let mut client = Paced::open(&options, &limit.subject.load_prefix())?;
    client.go()?;
    let round = client.result()?;
    client.finish()?;
    Ok(round)
}

fn round_with(agent: &Agent, limit: &Limit, size: &Size) -> Result<With> {
    let running = agent.start(limit.subject.mark())?;
    let before = running.cpu()?;
    let mut after = before;
    let round = round(limit, size, || {
        // A trace is held before it leaves: its last work comes after the load.
        running.counts().wait_until_quiet(SETTLE);
        after = running.cpu()?;
        Ok(())
    })?;
    finish(running, round, after - before)
}

fn finish(running: Running, round: Round, agent_cpu: f64) -> Result<With> {
    let counts = running.counts().clone();
    let counters = running.stop()?.counters;
    let all = round.made.0 + round.made.1;
    let counter = |name: &str| counters.get(name).map(|value| value / all);
    Ok(With {
        agent_cpu: agent_cpu / round.made.0,
        records: counter("events").context("the agent has read no record")?,
        ring_bytes: counter("ring_bytes"),
        ring_lost: ["kernel_ring_full", "kernel_over_budget"].iter().filter_map(|name| counter(name)).sum(),
        server_spans: counts.server() as f64 / all,
        client_spans: counts.client() as f64 / all,
        round,
    })
}

/// The ratios of the pairs.
fn compare(subject: &Subject, without: &[Round], with: &[With], report: &mut Report) {
    let ratios = |of: fn(&Round) -> Option<f64>| -> Vec<f64> {
        with.iter().zip(without).filter_map(|(with, without)| Some(of(&with.round)? / of(without)?)).collect()
    };
    let throughput = ratios(|round| Some(round.rate));
    report.add_aimed(subject.key, &Measure::THROUGHPUT, &throughput, subject.aim.map(Aim::AtLeast));
    if subject.rate.is_some() {
        report.add(subject.key, &Measure::P50, &ratios(|round| Some(round.paced?.p50)));
        report.add(subject.key, &Measure::P99, &ratios(|round| Some(round.paced?.p99)));
    }
    report.add(subject.key, &Measure::APP_CPU, &ratios(|round| Some(round.app_cpu)));
}

fn costs(subject: &Subject, sink: Sink, with: &[With], report: &mut Report) {
    let all = |of: fn(&With) -> f64| with.iter().map(of).collect::<Vec<f64>>();
    // Seconds per request are thousandfold what milliseconds per 1 000 requests are: 1e6 of the one is 1 of the other.
    report.add(subject.key, &Measure::AGENT_CPU, &all(|with| with.agent_cpu * 1e6));
    report.add(subject.key, &Measure::RECORDS, &all(|with| with.records));
    let bytes: Option<Vec<f64>> = with.iter().map(|with| with.ring_bytes).collect();
    match bytes {
        Some(bytes) => report.add(subject.key, &Measure::RING_BYTES, &bytes),
        None => shell::say("  this agent does not count `ring_bytes`: no figure of bytes on the ring"),
    }
    report.add(subject.key, &Measure::RING_LOSSES, &all(|with| with.ring_lost));
    if sink == Sink::None {
        return;
    }
    let aim = subject.spans.then_some(Aim::AtLeast(1.0));
    report.add_aimed(subject.key, &Measure::SERVER_SPANS, &all(|with| with.server_spans), aim);
    report.add(subject.key, &Measure::CLIENT_SPANS, &all(|with| with.client_spans));
}

/// The figures that the ratios are made of.
fn behind(limit: &Limit, without: &[Round], with: &[With], report: &mut Report) {
    let key = limit.subject.key;
    let off = |of: fn(&Round) -> Option<f64>| without.iter().filter_map(of).collect::<Vec<f64>>();
    let on = |of: fn(&Round) -> Option<f64>| with.iter().filter_map(|with| of(&with.round)).collect::<Vec<f64>>();
    report.add(key, &Measure::RATE_WITHOUT, &off(|round| Some(round.rate)));
    report.add(key, &Measure::RATE_WITH, &on(|round| Some(round.rate)));
    // What the ratio of two rounds is when nothing differs but the time.
    let noise: Vec<f64> = without.windows(2).map(|pair| pair[1].rate / pair[0].rate).collect();
    report.add(key, &Measure::NOISE, &noise);
    report.add(key, &Measure::APP_CPU_WITHOUT, &off(|round| Some(round.app_cpu * 1e6)));
    if let Some(rate) = limit.fixed_rate() {
        report.add(key, &Measure::FIXED_RATE, &[rate]);
        report.add(key, &Measure::P50_WITHOUT, &off(|round| Some(round.paced?.p50 * 1e3)));
        report.add(key, &Measure::P50_WITH, &on(|round| Some(round.paced?.p50 * 1e3)));
        report.add(key, &Measure::P99_WITHOUT, &off(|round| Some(round.paced?.p99 * 1e3)));
        report.add(key, &Measure::P99_WITH, &on(|round| Some(round.paced?.p99 * 1e3)));
    }
}
