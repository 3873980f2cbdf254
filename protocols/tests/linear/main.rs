//! The work of a parser grows with the bytes that it reads, and not faster, whatever is said to it.
//!
//! What one byte costs is measured in processor time of this thread, which what else runs on the machine does not add to,
//! for conversations of the same shape that are 8 and 64 times as long. A parser that looks at a byte again for each byte
//! that comes costs 8 times as much a byte in the longer one; caches and the like make 2 of it at most.

mod shapes;

use rustix::time::{ClockId, clock_gettime};
use shapes::Shape;
use wirespan_protocols::exchange::{Mark, Output, Unit};
use wirespan_protocols::registry::{DATAGRAM_PROTOCOLS, PROTOCOLS, Protocol};
use wirespan_protocols::{Direction, End, Progress, Role, Settings};

/// Lengths of the conversations, bytes: the limits of heads, lines and requests in flight lie in between.
const LENGTHS: [usize; 3] = [1024, 8 * 1024, 64 * 1024];
/// How much more a byte may cost in a conversation that is 8 times as long.
const MOST: f64 = 3.0;
/// Bytes that are read for one measurement, in as many conversations as it takes.
const ENOUGH: usize = 64 * 1024;
/// Measurements of which the least counts: more are made only while they say that it costs too much.
const TRIES: usize = 8;

/// What happens on a connection.
#[derive(Clone, Debug)]
pub enum Step {
    /// One operation.
    Bytes(Direction, Vec<u8>),
    /// Bytes of an operation that were not captured.
    Gap(Direction, u64),
}

/// Processor time of this thread, nanoseconds.
fn clock() -> u64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// One connection from its beginning; where a parser gives up, the next one begins.
fn run(protocol: &Protocol, role: Role, steps: &[Step]) {
    let new = || (protocol.parser)(Settings::of(role));
    let (mut parser, mut out, mut positions, mut time) = (new(), Vec::<Output>::new(), [0u64; 2], 0);
    for step in steps {
        let (Step::Bytes(direction, _) | Step::Gap(direction, _)) = step;
        let (own, other) = (*direction as usize, 1 - *direction as usize);
        time += u64::from(matches!(step, Step::Bytes(..))) * 1000;
        let unit = Unit { tgid: 7, tid: 7, ..Unit::default() };
        let mark = Mark { time, position: positions[own], opposite: positions[other], unit, lost: false, wire: None };
        let progress = match step {
            Step::Bytes(_, bytes) => {
                positions[own] += bytes.len() as u64;
                parser.data(*direction, bytes, &mark, &mut out)
            }
            Step::Gap(_, len) => {
                positions[own] += len;
                parser.gap(*direction, *len, &mark, &mut out)
            }
        };
        assert!(out.len() < 200_000, "{} says without end", protocol.name);
        out.clear();
        if progress != Progress::Continue {
            parser = new();
        }
    }
    parser.end(Direction::Request, End::Closed, &Mark { time, ..Mark::default() }, &mut out);
}

/// What a byte costs, nanoseconds.
fn cost(protocol: &Protocol, role: Role, steps: &[Step], length: usize) -> f64 {
    let times = ENOUGH.div_ceil(length);
    let before = clock();
    for _ in 0..times {
        run(protocol, role, steps);
    }
    (clock() - before) as f64 / (times * length) as f64
}

/// What is wrong with one shape.
fn judge(protocol: &Protocol, shape: &Shape, role: Role) -> Option<String> {
    let conversations = LENGTHS.map(|length| shape.steps(length));
    let mut costs = [f64::INFINITY; 3];
    for _ in 0..TRIES {
        for (least, (steps, length)) in costs.iter_mut().zip(conversations.iter().zip(LENGTHS)) {
            *least = least.min(cost(protocol, role, steps, length));
        }
        if costs.windows(2).all(|pair| pair[1] <= MOST * pair[0]) {
            return None;
        }
    }
    Some(format!("{}: {} as {role:?}: {costs:.1?} ns a byte for {LENGTHS:?} bytes", protocol.name, shape.name))
}

#[test]
fn no_parser_works_more_than_in_proportion_to_what_it_reads() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    for protocol in PROTOCOLS.iter().chain(DATAGRAM_PROTOCOLS) {
        let shapes = shapes::of(protocol.name);
        assert!(shapes.len() > 10, "{} has captures", protocol.name);
        for (shape, role) in shapes.iter().zip([Role::Server, Role::Client].into_iter().cycle()) {
            judged += 1;
            wrong.extend(judge(protocol, shape, role));
        }
    }
    assert!(wrong.is_empty(), "{} of {judged} grow faster than their input:\n{}", wrong.len(), wrong.join("\n"));
}
