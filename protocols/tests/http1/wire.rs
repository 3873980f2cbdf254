//! A connection made by hand: each call is one socket operation. Shared by the tests of both versions of HTTP, and of gateways.

use wirespan_protocols::exchange::{Exchange, KeyValue, Mark, Output, Started, Status, Unit, Value};
use wirespan_protocols::{Direction, End, Parser, Progress, Role, Settings};

/// Time between two operations.
pub const TICK: u64 = 1000;

/// Feeds a parser and keeps what it says.
pub struct Wire {
    pub parser: Box<dyn Parser>,
    pub out: Vec<Output>,
    pub progress: Progress,
    pub time: u64,
    positions: [u64; 2],
}

impl Wire {
    pub fn new(role: Role) -> Self {
        let parser = crate::parser(Settings::of(role));
        Self { parser, out: Vec::new(), progress: Progress::Continue, time: 0, positions: [10_000, 50_000] }
    }

    pub fn server() -> Self {
        Self::new(Role::Server)
    }

    pub fn client() -> Self {
        Self::new(Role::Client)
    }

    fn mark(&mut self, direction: Direction, len: u64) -> Mark {
        let (own, other) = (direction as usize, 1 - direction as usize);
        let mark = Mark {
            time: self.time,
            position: self.positions[own],
            opposite: self.positions[other],
            unit: Unit { tgid: 7, tid: 7, ..Unit::default() },
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
    #[allow(dead_code, reason = "the tests of HTTP/2 share this file")]
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

    /// An operation whose head only was captured.
    #[allow(dead_code, reason = "the tests of gateways share this file")]
    pub fn request_cut(&mut self, bytes: impl AsRef<[u8]>, hidden: u64) -> &mut Self {
        self.operation(Direction::Request, bytes.as_ref(), hidden)
    }

    /// An operation whose head only was captured.
    #[allow(dead_code, reason = "the tests of gateways share this file")]
    pub fn response_cut(&mut self, bytes: impl AsRef<[u8]>, hidden: u64) -> &mut Self {
        self.operation(Direction::Response, bytes.as_ref(), hidden)
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
        finished(&self.out)
    }

    pub fn dropped(&self) -> Vec<u64> {
        self.out.iter().filter_map(|o| if let Output::Dropped { id, .. } = o { Some(*id) } else { None }).collect()
    }

    /// Each finished exchange as `name status` or `name error`.
    pub fn summary(&self) -> Vec<String> {
        self.finished().into_iter().map(summary).collect()
    }

    /// The only exchange.
    pub fn only(&self) -> &Exchange {
        match self.finished()[..] {
            [one] => one,
            ref other => panic!("one exchange expected: {other:#?}"),
        }
    }
}

pub fn finished(out: &[Output]) -> Vec<&Exchange> {
    out.iter().filter_map(|o| if let Output::Finished(e) = o { Some(&**e) } else { None }).collect()
}

pub fn summary(exchange: &Exchange) -> String {
    let code = int(exchange, "http.response.status_code").map(|c| format!(" {c}"));
    let code = code.or_else(|| text(exchange, "rpc.response.status_code").map(|c| format!(" {c}"))).unwrap_or_default();
    let error = match &exchange.status {
        Status::Error(_) => format!(" error {}", text(exchange, "error.type").expect("an error has a type")),
        Status::Unset | Status::Ok => String::new(),
    };
    format!("{}{code}{error}", exchange.name)
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
