//! Feeds arbitrary operations to every protocol of the registry: nothing may panic, grow, or end an exchange twice.
//!
//! The input is a list of operations: a byte that says what and on which direction, a length byte, then bytes.
#![no_main]

use std::collections::HashSet;

use libfuzzer_sys::fuzz_target;
use wirespan_protocols::exchange::{Mark, Output};
use wirespan_protocols::registry::{DATAGRAM_PROTOCOLS, PROTOCOLS, Protocol};
use wirespan_protocols::{Direction, End, Parser, Progress, Role, Settings, context, redact, template};

/// What a parser may hold, bytes.
const MAX_BUFFERED: usize = 4 * 1024 * 1024;

struct Run {
    parser: Box<dyn Parser>,
    out: Vec<Output>,
    open: HashSet<u64>,
    mark: Mark,
    positions: [u64; 2],
}

impl Run {
    fn new(protocol: &Protocol, flags: u8) -> Self {
        let role = if flags & 1 == 0 { Role::Server } else { Role::Client };
        let parser =
            (protocol.parser)(Settings { role, keep_query_values: flags & 2 != 0, keep_query_text: flags & 4 != 0, missed: flags & 8 != 0, secured: flags & 16 != 0 });
        Self { parser, out: Vec::new(), open: HashSet::new(), mark: Mark::default(), positions: [0; 2] }
    }

    /// Does one operation, and says whether the parser goes on.
    fn operation(&mut self, what: u8, bytes: &[u8]) -> bool {
        let (direction, own) = if what & 1 == 0 { (Direction::Request, 0) } else { (Direction::Response, 1) };
        self.mark.time += u64::from(what & 2 == 0);
        self.mark.position = self.positions[own];
        self.mark.opposite = self.positions[1 - own];
        let (len, progress) = match what >> 2 {
            0..=3 => {
                let len = bytes.iter().take(8).fold(0, |n: u64, b| n << 8 | u64::from(*b)) >> (what >> 2);
                (len, self.parser.gap(direction, len, &self.mark, &mut self.out))
            }
            4 => {
                let end = [End::Finished, End::Reset, End::Closed, End::Unwatched][bytes.len() % 4];
                self.parser.end(direction, end, &self.mark, &mut self.out);
                (0, Progress::Continue)
            }
            _ => (bytes.len() as u64, self.parser.data(direction, bytes, &self.mark, &mut self.out)),
        };
        self.positions[own] = self.positions[own].wrapping_add(len);
        self.check();
        progress == Progress::Continue
    }

    fn check(&mut self) {
        for output in self.out.drain(..) {
            match output {
                Output::Started(started) => assert!(self.open.insert(started.id)),
                Output::Finished(exchange) => assert!(self.open.remove(&exchange.id)),
                Output::Dropped { id, .. } => assert!(self.open.remove(&id)),
                Output::Batched { id, into } => assert!(self.open.remove(&id) && self.open.contains(&into)),
                Output::Task(event) => assert!(self.open.contains(&event.exchange)),
                Output::ExportsTelemetry | Output::Secured(_) => {}
            }
        }
        assert!(self.parser.buffered() < MAX_BUFFERED);
    }

    fn end(mut self) {
        self.parser.end(Direction::Response, End::Unwatched, &self.mark, &mut self.out);
        self.check();
        assert!(self.open.is_empty());
    }
}

fuzz_target!(|input: &[u8]| {
    for protocol in PROTOCOLS.iter().chain(DATAGRAM_PROTOCOLS) {
        (protocol.detect)(input);
        let mut run = Run::new(protocol, input.first().copied().unwrap_or_default());
        let mut rest = input;
        while let [what, len, bytes @ ..] = rest {
            let (bytes, next) = bytes.split_at((usize::from(*len) * 4).min(bytes.len()));
            if !run.operation(*what, bytes) {
                break;
            }
            rest = next;
        }
        run.end();
    }
    if let Ok(text) = std::str::from_utf8(input) {
        assert!(template::template(text).len() <= 200);
        assert!(redact::query(text, false).len() <= 2048);
    }
    let mut carrier = context::Carrier::default();
    for (line, name) in input.split(|b| *b == b'\n').zip(["traceparent", "tracestate", "b3", "uber-trace-id"]) {
        carrier.offer(name, line);
    }
    carrier.context();
});
