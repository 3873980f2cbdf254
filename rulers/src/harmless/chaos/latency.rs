//! What the agent does to the latency of a server: without, attached, attached and stopped, in turn.
//!
//! Method: in each round the three states follow each other in an order that rotates; each is measured for one slice with the same client. The
//! p50 and p99 of a slice are compared with those of the slice without in the same round; reported are the median of these ratios over
//! the rounds and their quartiles. So a slow change of the machine's speed cancels out, and one disturbed slice does not move the result.

use std::thread;
use std::time::Duration;

use anyhow::Result;
use rustix::process::Signal;

use super::client::Client;
use super::target::Target;
use super::{CONNECTIONS, judge};
use crate::harmless::agent::Agent;
use crate::harmless::check::{Ordeal, World};

/// The states, by index.
const STATES: [&str; 3] = ["without", "attached", "stopped"];

/// p50 and p99 of a slice, in seconds.
type Slice = [f64; 2];

/// Measures `target` and adds the figures.
pub fn measure(world: &World, target: &Target, ordeal: &mut Ordeal) -> Result<()> {
    let (rounds, length) = if world.short { (3, 1000) } else { (9, 1500) };
    let mut slices: [Vec<Slice>; 3] = Default::default();
    for round in 0..rounds {
        for turn in 0..STATES.len() {
            let state = (round + turn) % STATES.len();
            slices[state].push(slice(world, target, state, Duration::from_millis(length), ordeal)?);
        }
    }
    for (at, quantile) in ["p50", "p99"].into_iter().enumerate() {
        let of = |state: usize| slices[state].iter().map(move |slice| slice[at]);
        let base = quartiles(of(0).collect());
        ordeal.figures.push((format!("{}: {quantile} without", target.name), format!("{:.0} µs", base[1] * 1e6)));
        for state in [1, 2] {
            let [low, middle, high] = quartiles(of(state).zip(of(0)).map(|(with, without)| with / without).collect());
            let name = format!("{}: {quantile} {} ÷ without", target.name, STATES[state]);
            ordeal.figures.push((name, format!("{middle:.3} (quartiles {low:.3} to {high:.3})")));
        }
        let [low, middle, high] = quartiles(of(2).zip(of(1)).map(|(stopped, attached)| stopped / attached).collect());
        let name = format!("{}: {quantile} stopped ÷ attached", target.name);
        ordeal.figures.push((name, format!("{middle:.3} (quartiles {low:.3} to {high:.3})")));
    }
    Ok(())
}

fn slice(world: &World, target: &Target, state: usize, length: Duration, ordeal: &mut Ordeal) -> Result<Slice> {
    let agent = if state == 0 { None } else { Some(Agent::start(world)?) };
    if let (2, Some(agent)) = (state, &agent) {
        agent.signal(Signal::STOP)?;
        // The ring is full before the slice begins: what counts is what a stopped agent does for as long as it is stopped.
        judge(target, "stopped", &during(target, length / 2)?, ordeal);
    }
    let mut tally = during(target, length)?;
    if let Some(agent) = agent {
        agent.signal(Signal::CONT)?;
        agent.stop()?;
    }
    judge(target, STATES[state], &tally, ordeal);
    tally.seconds.sort_by(f64::total_cmp);
    Ok([0.5, 0.99].map(|share| quantile(&tally.seconds, share)))
}

fn during(target: &Target, length: Duration) -> Result<super::Tally> {
    let client = Client::start(target, CONNECTIONS)?;
    thread::sleep(length);
    Ok(client.stop())
}

/// The value below which `share` of the sorted values lie; not a number if there are none.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    // Indices are far below 2^52, where floating point has gaps.
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or(f64::NAN)
}

fn quartiles(mut values: Vec<f64>) -> [f64; 3] {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1) as f64;
    // Between two values lies their weighted mean, so that few rounds have quartiles, too.
    [0.25, 0.5, 0.75].map(|share| {
        let at = last * share;
        let (low, high) = (quantile(&values, at.floor() / last), quantile(&values, at.ceil() / last));
        low + (high - low) * at.fract()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_disturbed_slice_does_not_move_the_median() {
        assert_eq!(quartiles(vec![1.0, 1.1, 50.0, 0.9, 1.0])[1], 1.0);
    }

    #[test]
    fn quartiles_lie_between_the_values_that_were_seen() {
        assert_eq!(quartiles(vec![1.0, 2.0, 3.0, 4.0]), [1.75, 2.5, 3.25]);
        assert_eq!(quartiles(vec![1.0, 2.0, 3.0]), [1.5, 2.0, 2.5]);
    }

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let values: Vec<f64> = (0..=100).map(f64::from).collect();
        assert_eq!(quantile(&values, 0.5), 50.0);
        assert_eq!(quantile(&values, 0.99), 99.0);
        assert!(quantile(&[], 0.5).is_nan());
    }
}
