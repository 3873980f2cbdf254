//! What a cell's load is: how many requests, how fast, how long each takes.

use fastrand::Rng;

use super::driver::Arrival;
use crate::stacks::{Shape, Stack};

/// Exchanges a second that two shared cores, the slowest server and the agent manage without a queue.
const EXCHANGES: f64 = 160.0;
/// How much more than a server with few workers can do is offered to it, so that requests wait.
const OVERLOAD: f64 = 3.0;
/// The shortest delay, milliseconds: shorter ones drown in the programs' own time.
const MIN_DELAY: f64 = 20.0;
/// Connections of the shape `pool`, and workers of the shape `queue`.
const BOTTLENECK: u32 = 2;
/// One request in so many travels alone on its connection.
const ALONE: u8 = 8;

/// Stack, shape and requests in flight.
#[derive(Clone, Copy)]
pub struct Cell {
    /// The stack.
    pub stack: &'static Stack,
    /// What its handler does.
    pub shape: Shape,
    /// Requests in flight on average, as far as the stack serves so many.
    pub level: u32,
}

/// A cell's load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Number of requests.
    pub requests: u32,
    /// Requests a second.
    pub rate: f64,
    /// Mean delay at the leaf, milliseconds; each request has its own, from 0.4 to 1.6 times this.
    pub delay: f64,
    /// Whether a second instance of the stack stands between the first and the leaf.
    pub deep: bool,
}

/// How much is asked of each round.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// A round is one cell.
    Full,
    /// All shapes of a stack share a round, with few requests each.
    Short,
}

impl Cell {
    /// Its load, when `sharing` cells are run at one time.
    pub fn load(&self, form: Form, sharing: u32) -> Load {
        let deep = form == Form::Full && self.shape == Shape::Chain && !self.stack.passes_through;
        let level = f64::from(self.level) / f64::from(sharing);
        let exchanges = f64::from(1 + self.shape.calls() + u32::from(deep));
        let most = EXCHANGES / exchanges / f64::from(sharing);
        let at_once = self.capacity().map_or(level, |capacity| level.min(f64::from(capacity) / f64::from(sharing)));
        let delays = delays(self.shape);
        let delay = (at_once / (delays * most) * 1e3).max(MIN_DELAY);
        let service = delays * delay / 1e3;
        let requests = match form {
            Form::Full => 40.0 * f64::from(self.level).powf(0.45),
            Form::Short => 10.0 * f64::from(self.level).powf(0.2),
        };
        Load { requests: requests as u32, rate: (level / service).min(OVERLOAD * most), delay, deep }
    }

    fn capacity(&self) -> Option<u32> {
        let bottleneck = matches!(self.shape, Shape::Pool | Shape::Queue).then_some(BOTTLENECK);
        match (self.stack.serves, bottleneck) {
            // What is done in the background occupies no worker.
            (_, None) if self.shape == Shape::Forget => None,
            (Some(serves), Some(few)) => Some(serves.min(few)),
            (serves, few) => serves.or(few),
        }
    }

    /// The requests, numbered from `first`: random gaps, the same in every run.
    pub fn arrivals(&self, load: &Load, first: u64) -> Vec<Arrival> {
        let mut random = Rng::with_seed(first ^ 0x5eed);
        let mut at = 0.0;
        let depth = if load.deep { "&depth=1" } else { "" };
        let arrival = |request: u64| {
            at += -(1.0 - random.f64()).ln() / load.rate;
            let delay = load.delay * (0.4 + 1.2 * random.f64());
            Arrival {
                at: (at * 1e6) as u64,
                request,
                target: format!("/hop/{request}/0?shape={}&delay={delay:.0}{depth}", self.shape),
                alone: random.u8(..) % ALONE == 0,
            }
        };
        (first..first + u64::from(load.requests)).map(arrival).collect()
    }
}

/// How many delays of the leaf (or of its own) a request of this shape lasts.
fn delays(shape: Shape) -> f64 {
    match shape {
        Shape::Chain | Shape::Parallel | Shape::Pool | Shape::Queue => 1.0,
        Shape::Retry | Shape::Forget | Shape::Timer => 2.0,
        Shape::Sequence => 3.0,
    }
}
