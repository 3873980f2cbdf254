//! How often a byte is looked at, whatever the bytes: counted, not timed.

use std::cell::Cell;
use std::ops::Range;

use wirespan_protocols::exchange::{Mark, Output};
use wirespan_protocols::registry::{PROTOCOLS, Protocol};
use wirespan_protocols::{Detection as Opinion, Direction, End, Parser, Progress, Settings as ParserSettings};

use super::*;
use crate::connections::detection::{MUTE_TURNS, TRIALS};

thread_local! {
    /// Bytes that were shown to a `detect`, and to a parser; parsers that were made.
    static SHOWN: Cell<u64> = const { Cell::new(0) };
    static READ: Cell<u64> = const { Cell::new(0) };
    static MADE: Cell<u64> = const { Cell::new(0) };
}

fn add(count: &'static std::thread::LocalKey<Cell<u64>>, n: usize) {
    count.set(count.get() + n as u64);
}

/// A real protocol, whose work is counted.
struct Counted(Box<dyn Parser>);

impl Parser for Counted {
    fn data(&mut self, direction: Direction, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        add(&READ, bytes.len());
        self.0.data(direction, bytes, mark, out)
    }

    fn gap(&mut self, direction: Direction, len: u64, mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.0.gap(direction, len, mark, out)
    }

    fn end(&mut self, direction: Direction, end: End, mark: &Mark, out: &mut Vec<Output>) {
        self.0.end(direction, end, mark, out);
    }

    fn buffered(&self) -> usize {
        self.0.buffered()
    }

    fn under_way(&self, began: &Range<u64>, tell: &mut dyn FnMut(u64, std::borrow::Cow<'static, str>)) {
        self.0.under_way(began, tell);
    }
}

fn counted<const N: usize>() -> Protocol {
    fn detect<const N: usize>(bytes: &[u8]) -> Opinion {
        add(&SHOWN, bytes.len());
        (PROTOCOLS[N].detect)(bytes)
    }
    fn parser<const N: usize>(settings: ParserSettings) -> Box<dyn Parser> {
        add(&MADE, 1);
        Box::new(Counted((PROTOCOLS[N].parser)(settings)))
    }
    let Protocol { name, streams, pages, .. } = PROTOCOLS[N];
    Protocol { name, streams, detect: detect::<N>, parser: parser::<N>, pages }
}

/// Every protocol of streams, counted.
fn registry() -> Registry {
    let all = vec![
        counted::<0>(),
        counted::<1>(),
        counted::<2>(),
        counted::<3>(),
        counted::<4>(),
        counted::<5>(),
        counted::<6>(),
        counted::<7>(),
        counted::<8>(),
        counted::<9>(),
        counted::<10>(),
    ];
    assert_eq!(all.len(), PROTOCOLS.len());
    Registry { streams: Vec::leak(all), datagrams: &[] }
}

/// Most looks at a byte: by each `detect`, each time that a message's beginning is asked about; and by each parser.
const MOST_SHOWN: u64 = 24 * PROTOCOLS.len() as u64;
const MOST_READ: u64 = PROTOCOLS.len() as u64;

/// Reads a conversation, and asserts how often its bytes were looked at.
fn assert_bounded(what: &str, said: &[Said]) {
    let counts = [&SHOWN, &READ, &MADE];
    counts.iter().for_each(|count| count.set(0));
    let bytes: usize = said.iter().map(|(Said::Request(b) | Said::Response(b))| b.len()).sum();
    let mut server = Server::with(registry());
    server.converse(&mut Socket::new(1), said);
    let (shown, read) = (SHOWN.get(), READ.get());
    assert!(shown <= MOST_SHOWN * bytes as u64, "{what}: {bytes} bytes, shown {shown}");
    assert!(read <= MOST_READ * bytes as u64, "{what}: {bytes} bytes, read {read}");
    assert_eq!(server.counters.connections_failed.get(), 0);
}

#[test]
fn each_byte_of_a_capture_is_looked_at_a_bounded_number_of_times_however_it_is_cut() {
    for (name, said) in captures() {
        assert_bounded(&name, &said);
        for cut in [1, 7, 100] {
            let pieces = |said: &Said| match said {
                Said::Request(bytes) => bytes.chunks(cut).map(client).collect::<Vec<_>>(),
                Said::Response(bytes) => bytes.chunks(cut).map(server).collect(),
            };
            let said: Vec<Said> = said.iter().flat_map(pieces).collect();
            assert_bounded(&format!("{name} by {cut}"), &said);
        }
    }
}

#[test]
fn each_byte_of_a_random_conversation_is_looked_at_a_bounded_number_of_times() {
    let captures = captures();
    let mut random = fastrand::Rng::with_seed(7);
    for round in 0..4000 {
        let mut said = Vec::new();
        for _ in 0..random.usize(1..40) {
            let (_, capture) = &captures[random.usize(..captures.len())];
            let (Said::Request(bytes) | Said::Response(bytes)) = &capture[random.usize(..capture.len())];
            let from = if random.bool() { 0 } else { random.usize(..bytes.len()) };
            let to = random.usize(from..bytes.len()) + 1;
            let mut bytes = bytes[from..to.min(from + 2000)].to_vec();
            if random.bool() {
                let at = random.usize(..bytes.len());
                bytes[at] = random.u8(..);
            }
            said.push(if random.bool() { Said::Request(bytes) } else { Said::Response(bytes) });
        }
        assert_bounded(&format!("round {round}"), &said);
    }
}

/// Knows everything, and then it makes no sense.
fn liar(_: &[u8]) -> Opinion {
    Opinion::Match(Direction::Request)
}

/// Always wants more.
fn ditherer(_: &[u8]) -> Opinion {
    Opinion::NeedMore
}

struct Lost;

impl Parser for Lost {
    fn data(&mut self, _: Direction, bytes: &[u8], _: &Mark, _: &mut Vec<Output>) -> Progress {
        add(&READ, bytes.len());
        Progress::LostSync
    }

    fn gap(&mut self, _: Direction, _: u64, _: &Mark, _: &mut Vec<Output>) -> Progress {
        Progress::LostSync
    }

    fn end(&mut self, _: Direction, _: End, _: &Mark, _: &mut Vec<Output>) {}

    fn buffered(&self) -> usize {
        0
    }
}

fn lost(_: ParserSettings) -> Box<dyn Parser> {
    add(&MADE, 1);
    Box::new(Lost)
}

static LIARS: &[Protocol] = &[
    Protocol { name: "liar", streams: false, detect: liar, parser: lost, pages: &[] },
    Protocol { name: "ditherer", streams: false, detect: ditherer, parser: lost, pages: &[] },
    Protocol { name: "another liar", streams: false, detect: liar, parser: lost, pages: &[] },
];

#[test]
fn protocols_that_hand_bytes_to_each_other_are_each_disproved_and_then_asked_no_more() {
    on_a_small_stack(|| {
        READ.set(0);
        MADE.set(0);
        let mut server = Server::with(Registry { streams: LIARS, datagrams: &[] });
        let mut socket = Socket::new(1);
        let mut operations = 0;
        let mut verdict = Verdict::Continue;
        while verdict == Verdict::Continue {
            operations += 1;
            verdict = if operations % 2 == 0 {
                server.request(&mut socket, b"1234")
            } else {
                server.response(&mut socket, b"5678")
            };
        }
        assert_eq!((verdict, operations), (Verdict::Mute, MUTE_TURNS + 1));
        assert_eq!(MADE.get(), 2 * u64::from(TRIALS));
        assert!(READ.get() <= 4 * MADE.get() * u64::from(MUTE_TURNS));
    });
}

#[test]
fn what_is_kept_of_an_undecided_beginning_is_bounded_in_pieces_and_bytes() {
    let mut server = Server::with(Registry { streams: &LIARS[1..2], datagrams: &[] });
    let mut socket = Socket::new(1);
    let mut most = 0;
    for n in 0..20_000u32 {
        server.request(&mut socket, &b"x".repeat(if n % 999 == 0 { 5000 } else { 1 }));
        most = most.max(server.connections.bytes);
    }
    assert!((1..64 * 1024).contains(&most), "{most}");
}
