//! A connection made by hand: each call is one socket operation.

use wirespan_protocols::exchange::{Exchange, KeyValue, Mark, Output, Started, Status, Unit, Value};
use wirespan_protocols::registry::PROTOCOLS;
use wirespan_protocols::{Direction, End, Parser, Progress, Role, Settings};

/// Time between two operations.
pub const TICK: u64 = 1000;

/// Feeds a parser and keeps what it says.
pub struct Wire {
    pub parser: Box<dyn Parser>,
    pub out: Vec<Output>,
    pub progress: Progress,
    pub time: u64,
    pub positions: [u64; 2],
    /// Who moves the bytes of each direction.
    pub threads: [u32; 2],
}

/// A parser of the registry.
pub fn parser(protocol: &str, settings: Settings) -> Box<dyn Parser> {
    let found = PROTOCOLS.iter().find(|p| p.name == protocol).unwrap_or_else(|| panic!("no protocol {protocol}"));
    (found.parser)(settings)
}

impl Wire {
    pub fn with(protocol: &str, settings: Settings) -> Self {
        let parser = parser(protocol, settings);
        Self {
            parser,
            out: Vec::new(),
            progress: Progress::Continue,
            time: 0,
            positions: [10_000, 50_000],
            threads: [7; 2],
        }
    }

    pub fn new(protocol: &str) -> Self {
        Self::with(protocol, Settings::of(Role::Client))
    }

    fn mark(&mut self, direction: Direction, len: u64) -> Mark {
        let (own, other) = (direction as usize, 1 - direction as usize);
        let mark = Mark {
            time: self.time,
            position: self.positions[own],
            opposite: self.positions[other],
            unit: Unit { tgid: 7, tid: self.threads[own], ..Unit::default() },
            lost: false,
            wire: None,
        };
        self.positions[own] = self.positions[own].wrapping_add(len);
        mark
    }

    /// One operation of which `bytes` were captured, and then `hidden` bytes were not.
    pub fn operation(&mut self, direction: Direction, bytes: &[u8], hidden: u64) -> &mut Self {
        self.time += TICK;
        self.data(direction, bytes).gap(direction, hidden)
    }

    /// More bytes of the present operation.
    pub fn data(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        let mark = self.mark(direction, bytes.len() as u64);
        if self.progress == Progress::Continue && !bytes.is_empty() {
            self.progress = self.parser.data(direction, bytes, &mark, &mut self.out);
        }
        self
    }

    /// Bytes of the present operation that were not captured.
    pub fn gap(&mut self, direction: Direction, len: u64) -> &mut Self {
        let mark = self.mark(direction, len);
        if self.progress == Progress::Continue && len > 0 {
            self.progress = self.parser.gap(direction, len, &mark, &mut self.out);
        }
        self
    }

    /// Bytes of an operation that nobody saw.
    pub fn lose(&mut self, direction: Direction, len: u64) -> &mut Self {
        let mark = Mark { lost: true, ..self.mark(direction, len) };
        if self.progress == Progress::Continue && len > 0 {
            self.progress = self.parser.gap(direction, len, &mark, &mut self.out);
        }
        self
    }

    /// Bytes that passed before anybody watched.
    pub fn skip(&mut self, direction: Direction, len: u64) {
        self.mark(direction, len);
    }

    pub fn request(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.operation(Direction::Request, bytes.as_ref(), 0)
    }

    pub fn response(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.operation(Direction::Response, bytes.as_ref(), 0)
    }

    pub fn end(&mut self, direction: Direction, end: End) -> &mut Self {
        self.time += TICK;
        let mark = self.mark(direction, 0);
        self.parser.end(direction, end, &mark, &mut self.out);
        self
    }

    pub fn started(&self) -> Vec<&Started> {
        self.out.iter().filter_map(|o| if let Output::Started(s) = o { Some(s) } else { None }).collect()
    }

    pub fn finished(&self) -> Vec<&Exchange> {
        self.out.iter().filter_map(|o| if let Output::Finished(e) = o { Some(&**e) } else { None }).collect()
    }

    pub fn dropped(&self) -> usize {
        self.out.iter().filter(|o| matches!(o, Output::Dropped { .. })).count()
    }

    /// Each finished exchange as `name` or `name error TYPE`.
    pub fn summary(&self) -> Vec<String> {
        self.finished().into_iter().map(summary).collect()
    }

    /// The last exchange.
    pub fn last(&self) -> &Exchange {
        self.finished().last().unwrap_or_else(|| panic!("no exchange: {:#?}", self.out))
    }
}

pub fn summary(exchange: &Exchange) -> String {
    match &exchange.status {
        Status::Error(_) => {
            format!("{} error {}", exchange.name, text(exchange, "error.type").expect("an error has a type"))
        }
        Status::Unset | Status::Ok => exchange.name.to_string(),
    }
}

pub fn value<'e>(exchange: &'e Exchange, key: &str) -> Option<&'e Value> {
    let mut found = exchange.attributes.iter().filter(|a| a.key == key);
    let value = found.next().map(|KeyValue { value, .. }| value);
    assert!(found.next().is_none(), "{key} is there twice");
    value
}

pub fn text<'e>(exchange: &'e Exchange, key: &str) -> Option<&'e str> {
    value(exchange, key).map(|v| if let Value::Str(s) = v { s.as_ref() } else { panic!("{key} is no text: {v:?}") })
}

pub fn int(exchange: &Exchange, key: &str) -> Option<i64> {
    value(exchange, key).map(|v| if let Value::Int(n) = v { *n } else { panic!("{key} is no number: {v:?}") })
}
