//! Numbered requests and responses of which records are lost: none is ever given another one's response, and a connection
//! is seen again when the losses end.

mod talk;
mod words;

use std::collections::HashSet;

use wirespan_common::{AF_INET, AF_UNIX, Endpoints, IoEvent, Kind, UnitId};
use wirespan_protocols::exchange::Exchange;

use super::{Server, Signal};
use talk::{Manner, Plan, Record, Talk, talk};
use words::{ALL, Words};

/// As many bytes of an operation are captured.
const CAPTURE: usize = 1000;
/// Between two looks at what time demands, nanoseconds.
const TICK: u64 = 5_000_000;
/// Where positions of a TCP connection begin: near the end of what 32 bits hold.
const BEGIN: u64 = 0xffff_f000;

/// What is known after one end was replayed.
struct Seen {
    /// Requests whose response was told.
    right: HashSet<usize>,
    /// Requests that were given another one's response.
    wrong: Vec<(usize, usize, usize)>,
}

/// Which kind of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Socket {
    Tcp,
    Unix,
}

impl Socket {
    fn raw(self, offset: u64) -> u64 {
        match self {
            Socket::Tcp => (BEGIN + offset) & 0xffff_ffff,
            Socket::Unix => offset,
        }
    }

    fn offset(self, position: u64) -> u64 {
        match self {
            Socket::Tcp => u64::from((position as u32).wrapping_sub(BEGIN as u32)),
            Socket::Unix => position,
        }
    }
}

/// Shows the agent those records of one end that are not `lost`.
fn watch(talk: &Talk, end: usize, socket: Socket, lost: &HashSet<usize>) -> Seen {
    let mut agent = Server::new();
    let mut next_tick = TICK;
    let mut signals = Vec::new();
    for (n, record) in talk.ends[end].iter().enumerate() {
        while agent.now + next_tick < record.time {
            agent.now += next_tick;
            agent.connections.tick(agent.now, &mut agent.out);
            next_tick = TICK;
        }
        agent.now = record.time;
        if !lost.contains(&n) {
            show(&mut agent, record, end, socket);
        }
        signals.append(&mut agent.out);
    }
    for _ in 0..30 {
        agent.now += TICK;
        agent.connections.tick(agent.now, &mut agent.out);
    }
    agent.connections.finish(agent.now, &mut agent.out);
    signals.append(&mut agent.out);
    judge(talk, socket, &signals)
}

fn show(agent: &mut Server, record: &Record, end: usize, socket: Socket) {
    let captured = &record.bytes[..record.bytes.len().min(CAPTURE)];
    let (local_port, peer_port) = if end == 0 { (40_000, 80) } else { (80, 40_000) };
    let family = if socket == Socket::Tcp { AF_INET } else { AF_UNIX };
    let event = IoEvent {
        kind: Kind::Io as u8,
        direction: record.direction,
        flags: 0,
        reserved: 0,
        captured: captured.len() as u32,
        result: record.bytes.len() as i32,
        epoch: u32::from(socket == Socket::Unix),
        time: record.time,
        cookie: 1,
        tx_position: socket.raw(record.tx),
        rx_position: socket.raw(record.rx),
        unit: UnitId { tgid: agent.process.tgid, tid: 7, ..UnitId::default() },
        endpoints: Endpoints { family, local_port, peer_port, ..Endpoints::default() },
        inode: 0,
        fd: 0,
        ran: 0,
        queued: 0,
        reserved2: 0,
    };
    let process = agent.process.clone();
    agent.connections.operation(&event, captured, &process, &mut agent.out);
}

fn judge(talk: &Talk, socket: Socket, signals: &[Signal]) -> Seen {
    let of = |starts: &[u64], position: u64| starts.partition_point(|s| *s <= socket.offset(position)) - 1;
    let mut seen = Seen { right: HashSet::new(), wrong: Vec::new() };
    for signal in signals {
        let Signal::Finished(_, exchange, _) = signal else { continue };
        let Exchange { request, response: Some(response), .. } = &**exchange else { continue };
        let n = of(&talk.requests, request.first.position);
        let (first, last) = (of(&talk.responses, response.first.position), of(&talk.responses, response.last.position));
        // Where the last operation begins another response may end.
        if first != n || last > n {
            seen.wrong.push((n, first, last));
        } else {
            seen.right.insert(n);
        }
    }
    seen
}

/// The first request that begins after all the records that are lost.
fn after(talk: &Talk, end: usize, lost: &HashSet<usize>) -> usize {
    let Some(last) = lost.iter().max() else { return 0 };
    let record = &talk.ends[end][*last];
    let moved = if end == 0 { record.tx } else { record.rx };
    talk.requests.partition_point(|start| *start < moved)
}

/// Whether everything is right, and seen again behind the losses: so many requests later at most. How many were seen.
fn check(
    plan: Plan,
    talk: &Talk,
    (socket, end): (Socket, usize),
    lost: &HashSet<usize>,
    needed: Option<usize>,
) -> usize {
    let seen = watch(talk, end, socket, lost);
    assert!(seen.wrong.is_empty(), "{plan:?}, end {end}, {socket:?}, lost {lost:?}: wrong {:?}", seen.wrong);
    if let Some(needed) = needed {
        for n in after(talk, end, lost) + needed..plan.count {
            assert!(seen.right.contains(&n), "{plan:?}, end {end}, {socket:?}, lost {lost:?}: {n} is not seen");
        }
    }
    seen.right.len()
}

/// Losses one by one, in bursts, or both, up to two thirds of what there is.
fn losses(records: usize, from: usize, random: &mut fastrand::Rng) -> HashSet<usize> {
    let mut lost = HashSet::new();
    let (rare, long) = (random.u8(3..40), random.usize(1..12));
    let until = records * 2 / 3;
    let mut at = from;
    while at < until {
        if random.u8(..rare) == 0 {
            let burst = random.usize(1..=long);
            lost.extend(at..(at + burst).min(until));
            at += burst;
        }
        at += 1;
    }
    lost
}

/// The first record that may be lost. What is seen first of a TCP connection is taken for its beginning: one cannot see that
/// it is the middle of a batch.
fn first(manner: Manner, socket: Socket) -> usize {
    if manner == Manner::Batches && socket == Socket::Tcp { 2 } else { 0 }
}

/// Both ends of both kinds of socket.
const ENDS: [(Socket, usize); 4] = [(Socket::Tcp, 0), (Socket::Tcp, 1), (Socket::Unix, 0), (Socket::Unix, 1)];

/// Everything is short, and every message is one operation.
fn plan(words: Words, manner: Manner, seed: u64) -> Plan {
    Plan { words, manner, count: 60, ragged: false, long_from: usize::MAX, seed }
}

#[test]
fn nothing_is_missed_where_nothing_is_lost() {
    for words in ALL {
        for manner in [Manner::Waits, Manner::Batches, Manner::Overlaps(4), Manner::Window(3)] {
            for seed in 0..6 {
                let plan = Plan { count: 20, ..plan(words, manner, seed) };
                let talk = talk(plan);
                // Of a sequence whose beginning one sees, one does not know that it is.
                let all = if words == Words::PostgreSqlExtended { 16 } else { 20 };
                for end in ENDS {
                    let seen = check(plan, &talk, end, &HashSet::new(), None);
                    assert!(seen >= all, "{plan:?}, {end:?}: {seen}");
                }
            }
        }
    }
}

#[test]
fn what_is_longer_than_the_capture_hides_nothing_of_a_connection_that_waits() {
    for words in ALL.into_iter().filter(|words| *words != Words::PostgreSqlExtended) {
        for seed in 0..10 {
            let plan = Plan { count: 20, long_from: 0, ragged: seed > 5, ..plan(words, Manner::Waits, seed) };
            let talk = talk(plan);
            for end in ENDS {
                assert_eq!(check(plan, &talk, end, &HashSet::new(), None), 20, "{plan:?}, {end:?}");
            }
        }
    }
}

#[test]
fn each_single_record_and_each_pair_may_be_lost() {
    for words in ALL {
        for (manner, needed) in [(Manner::Waits, Some(2)), (Manner::Batches, None)] {
            let plan = Plan { count: 10, ..plan(words, manner, 1) };
            let talk = talk(plan);
            for (socket, end) in ENDS {
                for one in first(manner, socket)..talk.ends[end].len().min(15) {
                    for other in one..talk.ends[end].len().min(15) {
                        check(plan, &talk, (socket, end), &HashSet::from([one, other]), needed);
                    }
                }
            }
        }
    }
}

#[test]
fn random_losses_pair_nothing_wrong_and_end() {
    for words in ALL {
        for (manner, needed) in [(Manner::Waits, 2), (Manner::Batches, 60)] {
            let (mut right, mut all) = (0, 0);
            for seed in 0..16 {
                let count = if manner == Manner::Waits { 60 } else { 240 };
                let plan = Plan { count, ..plan(words, manner, seed) };
                let (talk, mut random) = (talk(plan), fastrand::Rng::with_seed(!seed));
                for (socket, end) in ENDS {
                    let lost = losses(talk.ends[end].len(), first(manner, socket), &mut random);
                    right += check(plan, &talk, (socket, end), &lost, Some(needed));
                    all += count;
                }
            }
            assert!(right * 4 > all, "{words:?} {manner:?}: {right} of {all}");
        }
    }
}

#[test]
fn losses_among_pieces_and_long_messages_pair_nothing_wrong() {
    for words in ALL {
        for manner in [Manner::Waits, Manner::Batches] {
            for seed in 0..20 {
                let plan = Plan { ragged: true, long_from: 8, ..plan(words, manner, seed) };
                let (talk, mut random) = (talk(plan), fastrand::Rng::with_seed(!seed));
                for (socket, end) in ENDS {
                    let lost = losses(talk.ends[end].len(), first(manner, socket), &mut random);
                    check(plan, &talk, (socket, end), &lost, None);
                }
            }
        }
    }
}

#[test]
fn a_connection_that_overlaps_in_plain_sight_pairs_nothing_wrong() {
    for words in ALL {
        for manner in [Manner::Overlaps(3), Manner::Overlaps(6), Manner::Window(2), Manner::Window(6)] {
            for seed in 0..16 {
                let plan = Plan { count: 80, ragged: seed % 2 == 0, ..plan(words, manner, seed) };
                let (talk, mut random) = (talk(plan), fastrand::Rng::with_seed(!seed));
                for (socket, end) in ENDS {
                    let records = talk.ends[end].len();
                    check(plan, &talk, (socket, end), &losses(records, records / 2, &mut random), None);
                }
            }
        }
    }
}
