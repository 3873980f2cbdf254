//! What each shape must look like from its leaf.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wirespan_rulers::stacks::{Shape, Stack};

use crate::leaf::{Call, Gate, Query, State, parameters};

/// Milliseconds that a request of a load tells the leaf to wait.
pub const SHORT: u64 = 5;
/// Long enough to be told from no delay at all.
pub const LONG: u64 = 60;

/// One request, from the side of who asked.
#[derive(Clone, Debug)]
pub struct Asked {
    pub request: u64,
    pub shape: Shape,
    /// Its place in the tree.
    pub hop: &'static str,
    /// Of a chain.
    pub depth: Option<u32>,
    /// Milliseconds.
    pub delay: u64,
    pub sent: Instant,
}

impl Asked {
    /// Request number `request`, from which its place and the depth of its chain follow.
    pub fn new(request: u64, shape: Shape, delay: u64) -> Self {
        let hop = if request.is_multiple_of(2) { "0" } else { "0.1" };
        let depth = [None, Some(0), Some(1), Some(3)][(request % 4) as usize].filter(|_| shape == Shape::Chain);
        Self { request, shape, hop, depth, delay, sent: Instant::now() }
    }

    pub fn target(&self) -> String {
        format!("/hop/{}/{}?{}", self.request, self.hop, self.query())
    }

    fn query(&self) -> String {
        let depth = self.depth.map(|depth| format!("&depth={depth}")).unwrap_or_default();
        format!("shape={}{depth}&delay={}", self.shape, self.delay)
    }

    /// How many calls it has to make.
    pub fn calls(&self) -> usize {
        self.shape.calls() as usize
    }

    /// The calls that it has to make, by place.
    fn expected(&self, stack: &Stack) -> Vec<(String, Query)> {
        if stack.passes_through {
            return vec![(self.hop.to_owned(), parameters(&self.query()))];
        }
        let call = |n: u32| {
            let more = match (self.shape, n) {
                (Shape::Retry, 1) => "fail=1&".to_owned(),
                (Shape::Chain, _) => {
                    let below = self.depth.and_then(|depth| depth.checked_sub(1));
                    below.map(|depth| format!("shape=chain&depth={depth}&")).unwrap_or_default()
                }
                _ => String::new(),
            };
            (format!("{}.{n}", self.hop), parameters(&format!("{more}delay={}", self.delay)))
        };
        (1..=self.shape.calls()).map(call).collect()
    }
}

/// What the leaf waits for, so that what a shape promises does not hang on how fast this machine is.
pub fn gate(shape: Shape) -> Gate {
    match shape {
        Shape::Parallel => Gate::Calls(3),
        Shape::Forget => Gate::Answer,
        _ => Gate::Open,
    }
}

/// Whether the leaf has as many calls of these requests as there must be, all answered.
pub fn complete(state: &State, asked: &[Asked]) -> bool {
    let finished = |one: &Asked| state.of(one.request).filter(|call| call.answered.is_some()).count();
    asked.iter().all(|one| finished(one) >= one.calls())
}

/// Exactly the calls of the contract, in its order, when it wants them.
pub fn check(stack: &Stack, asked: &Asked, state: &State) -> Result<()> {
    let mut calls: Vec<&Call> = state.of(asked.request).collect();
    calls.sort_by(|a, b| a.hop.cmp(&b.hop));
    let found: Vec<(String, Query)> = calls.iter().map(|call| (call.hop.clone(), call.query.clone())).collect();
    let expected = asked.expected(stack);
    ensure!(found == expected, "{}: calls {found:?}, not {expected:?}", asked.target());
    if matches!(asked.shape, Shape::Sequence | Shape::Retry) {
        for pair in calls.windows(2) {
            let end = pair[0].answered.context("a call was not answered")?;
            ensure!(
                end <= pair[1].arrived,
                "{}: {} came before {} was answered",
                asked.target(),
                pair[1].hop,
                pair[0].hop
            );
        }
    }
    Ok(())
}

/// A call that has to wait came no sooner than that. Some stacks count whole milliseconds, from a moment ago.
pub fn check_wait(asked: &Asked, state: &State) -> Result<()> {
    let call = state.of(asked.request).next().context("no call")?;
    let (waited, wanted) = (call.arrived - asked.sent, Duration::from_millis(asked.delay - 5));
    ensure!(waited >= wanted, "{}: called after {waited:?}", asked.target());
    Ok(())
}

/// No more at a time than two workers, or two connections, can have under way in each of so many processes. One process
/// alone must have reached that.
pub fn check_load(processes: usize, shape: Shape, asked: &[Asked], state: &State) -> Result<()> {
    let fits = |found: usize| if processes == 1 { found == 2 } else { found <= 2 * processes };
    if matches!(shape, Shape::Pool | Shape::Queue) {
        ensure!(fits(state.peak), "{} calls under way at one time in {processes} processes", state.peak);
    }
    if shape == Shape::Pool {
        let mut connections: Vec<usize> =
            asked.iter().flat_map(|one| state.of(one.request)).map(|call| call.connection).collect();
        connections.sort_unstable();
        connections.dedup();
        ensure!(fits(connections.len()), "calls over {} connections from {processes} processes", connections.len());
    }
    Ok(())
}
