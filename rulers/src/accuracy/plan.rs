//! What a cell's load is: how many requests, how fast, how long each takes.
//!
//! A *round* is one start of a stack's program, and has *phases*, one after the other; the cells of a phase share it. In the
//! full form a round is one phase of one cell. In the short form a stack has one round, and each level is a phase in which
//! all shapes are asked for at once.

use fastrand::Rng;

use super::driver::Arrival;
use crate::stacks::{Shape, Stack};

/// Exchanges a second that two shared cores, the slowest server and the agent manage without a queue.
const EXCHANGES: f64 = 160.0;
/// Of the time that a server with few workers needs for all requests, the least in which they arrive.
const RUSH: f64 = 0.25;
/// The shortest delay, seconds: shorter ones drown in the programs' own time.
const MIN_DELAY: f64 = 0.02;
/// Connections of the shape `pool`, and workers of the shape `queue`.
const BOTTLENECK: f64 = 2.0;
/// One request in so many travels alone on its connection.
const ALONE: u8 = 8;
/// Requests in flight at the level 0: mostly none, seldom two.
const SELDOM: f64 = 0.25;
/// Between two phases, seconds.
const PAUSE: f64 = 0.5;

/// Stack, shape and requests in flight.
#[derive(Clone, Copy)]
pub struct Cell {
    /// The stack.
    pub stack: &'static Stack,
    /// What its handler does.
    pub shape: Shape,
    /// Requests in flight on average; 0 for [`SELDOM`].
    pub level: u32,
}

/// A cell's load.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Load {
    /// Number of requests.
    pub requests: u32,
    /// Seconds in which they arrive.
    pub window: f64,
    /// Mean delay at the leaf, seconds; each request has its own, from 0.4 to 1.6 times this.
    pub delay: f64,
    /// Whether a second instance of the stack stands between the first and the leaf.
    pub deep: bool,
}

/// How much is asked of each stack.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// A round is one cell.
    Full,
    /// A round is a stack, with few requests for each cell.
    Short,
}

/// The cells of one phase, by their index, with their loads.
pub type Phase = Vec<(usize, Load)>;

/// All rounds of a stack.
pub fn rounds(cells: &[Cell], form: Form) -> Vec<Vec<Phase>> {
    match form {
        Form::Full => (0..cells.len()).map(|index| vec![phase(cells, &[index], form)]).collect(),
        Form::Short => {
            let mut levels: Vec<u32> = cells.iter().map(|cell| cell.level).collect();
            levels.sort_unstable();
            levels.dedup();
            let of_level = |level| (0..cells.len()).filter(|index| cells[*index].level == level).collect::<Vec<_>>();
            vec![levels.into_iter().map(|level| phase(cells, &of_level(level), form)).collect()]
        }
    }
}

/// One phase of cells of one stack and one level: delays and the time in which the requests arrive are chosen so that the
/// machine keeps up, and so many requests are in flight (Little's law).
fn phase(cells: &[Cell], chosen: &[usize], form: Form) -> Phase {
    let first = &cells[chosen[0]];
    let level = in_flight(first.level);
    let requests = match form {
        Form::Full => 40.0 * level.max(1.0).powf(0.45),
        Form::Short => 8.0 * level.max(1.0).powf(0.2),
    };
    let requests = requests.floor();
    let deep = |cell: &Cell| form == Form::Full && cell.shape == Shape::Chain && !cell.stack.passes_through;
    let sum = |of: &dyn Fn(&Cell) -> f64| chosen.iter().map(|index| of(&cells[*index])).sum::<f64>();
    let exchanges = sum(&|cell| f64::from(1 + cell.shape.calls().max(1) + u32::from(deep(cell))));
    let needed = requests * exchanges / EXCHANGES;
    let at_once = first.stack.serves.map_or(level, |serves| level.min(f64::from(serves)));
    let common = at_once * needed / (requests * sum(&|cell| delays(cell.shape)));
    let delay = |cell: &Cell| {
        let most = if has_bottleneck(cell.shape) { BOTTLENECK * needed / requests } else { f64::INFINITY };
        common.min(most).max(MIN_DELAY)
    };
    // What all requests take together, as if one came after the other.
    let work = requests * sum(&|cell| delays(cell.shape) * delay(cell));
    let total = requests * chosen.len() as f64;
    let can = if chosen.iter().any(|index| has_bottleneck(cells[*index].shape)) && chosen.len() == 1 {
        at_once.min(BOTTLENECK)
    } else {
        at_once
    };
    let window = if level > can { needed * (1.0 - 2.0 * level / total).max(RUSH) } else { needed.max(work / level) };
    let load = |cell: &Cell| Load { requests: requests as u32, window, delay: delay(cell), deep: deep(cell) };
    chosen.iter().map(|index| (*index, load(&cells[*index]))).collect()
}

/// The requests of a round in their order. `number` gives a cell's first number. Random gaps, the same in every run.
pub fn arrivals(cells: &[Cell], phases: &[Phase], number: impl Fn(usize) -> u64) -> Vec<Arrival> {
    let mut all: Vec<Arrival> = Vec::new();
    let mut begin = 0.0;
    for phase in phases {
        for (index, load) in phase {
            all.extend(arrivals_of(&cells[*index], load, begin, number(*index)));
        }
        let longest = phase.iter().map(|(index, load)| 1.6 * load.delay * delays(cells[*index].shape));
        let last = all.iter().map(|arrival| arrival.at).max().unwrap_or_default();
        begin = last as f64 / 1e6 + longest.fold(0.0, f64::max) + PAUSE;
    }
    all.sort_by_key(|arrival| arrival.at);
    all
}

fn arrivals_of(cell: &Cell, load: &Load, begin: f64, first: u64) -> Vec<Arrival> {
    let mut random = Rng::with_seed(first);
    let mut at = begin;
    let depth = if load.deep { "&depth=1" } else { "" };
    let arrival = |request: u64| {
        at += -(1.0 - random.f64()).ln() * load.window / f64::from(load.requests);
        let delay = 1e3 * load.delay * (0.4 + 1.2 * random.f64());
        Arrival {
            at: (at * 1e6) as u64,
            request,
            target: format!("/hop/{request}/0?shape={}&delay={delay:.0}{depth}", cell.shape),
            alone: random.u8(..).is_multiple_of(ALONE),
        }
    };
    (first..first + u64::from(load.requests)).map(arrival).collect()
}

/// What a level aims at.
fn in_flight(level: u32) -> f64 {
    if level == 0 { SELDOM } else { f64::from(level) }
}

/// How many delays of the leaf (or of its own) a request of this shape lasts.
fn delays(shape: Shape) -> f64 {
    match shape {
        Shape::Sequence => 3.0,
        Shape::Retry | Shape::Forget | Shape::Timer | Shape::Token => 2.0,
        _ => 1.0,
    }
}

fn has_bottleneck(shape: Shape) -> bool {
    matches!(shape, Shape::Pool | Shape::Queue | Shape::Semaphore)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stacks;

    fn cell(stack: &'static Stack, shape: Shape, level: u32) -> Cell {
        Cell { stack, shape, level }
    }

    fn endless() -> &'static Stack {
        stacks::all().into_iter().find(|it| it.serves.is_none() && !it.passes_through).expect("there is one")
    }

    fn only(cell: Cell) -> Load {
        rounds(&[cell], Form::Full)[0][0][0].1
    }

    #[test]
    fn so_many_requests_are_in_flight_as_the_level_says() {
        for shape in Shape::USUAL.into_iter().filter(|shape| !has_bottleneck(*shape)) {
            for level in [0, 1, 8, 64, 256] {
                let load = only(cell(endless(), shape, level));
                let found = f64::from(load.requests) * delays(shape) * load.delay / load.window;
                assert!((found / in_flight(level) - 1.0).abs() < 0.01, "{shape} at {level}: {found}");
            }
        }
    }

    #[test]
    fn no_load_asks_for_more_than_the_machine_does() {
        for shape in Shape::USUAL {
            for level in [1, 8, 64, 256] {
                let load = only(cell(endless(), shape, level));
                let calls = f64::from(1 + shape.calls() + u32::from(load.deep));
                let rate = f64::from(load.requests) * calls / load.window;
                let most = if has_bottleneck(shape) { EXCHANGES / RUSH } else { EXCHANGES };
                assert!(rate <= 1.01 * most, "{shape} at {level}: {rate}");
            }
        }
    }

    #[test]
    fn two_connections_are_enough_for_all_requests_in_the_end() {
        for level in [1, 8, 64, 256] {
            let load = only(cell(endless(), Shape::Pool, level));
            let lasts = f64::from(load.requests) * load.delay / BOTTLENECK;
            assert!(lasts < 20.0, "{level}: {lasts} s");
        }
    }

    #[test]
    fn phases_of_a_short_round_come_one_after_the_other_and_hold_every_shape() {
        let cells: Vec<Cell> =
            [1, 8].iter().flat_map(|level| Shape::USUAL.map(|shape| cell(endless(), shape, *level))).collect();
        let rounds = rounds(&cells, Form::Short);
        assert_eq!((rounds.len(), rounds[0].len(), rounds[0][0].len()), (1, 2, 8));
        let all = arrivals(&cells, &rounds[0], |index| index as u64 * 1000);
        assert!(all.is_sorted_by_key(|arrival| arrival.at));
        let level = |arrival: &Arrival| cells[(arrival.request / 1000) as usize].level;
        assert!(all.is_sorted_by_key(level), "all of level 1 before all of level 8");
    }

    #[test]
    fn the_same_cell_has_the_same_requests_every_time() {
        let cells = [cell(endless(), Shape::Retry, 8)];
        let rounds = rounds(&cells, Form::Full);
        let made = || arrivals(&cells, &rounds[0], |_| 100);
        assert_eq!(made(), made());
        assert!(made().iter().any(|arrival| arrival.alone) && made().iter().any(|arrival| !arrival.alone));
    }
}
