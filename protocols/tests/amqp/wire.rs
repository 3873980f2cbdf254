//! A connection made by hand: each call is one socket operation. And frames, made of their fields.

use wirespan_protocols::amqp::Amqp;
use wirespan_protocols::exchange::{Exchange, Mark, Output, SpanKind, Started, Status, Unit, Value};
use wirespan_protocols::{Direction, End, Parser, Progress, Role, Settings};

/// Time between two operations.
pub const TICK: u64 = 1000;

/// Feeds a parser and keeps what it says.
pub struct Wire {
    pub parser: Amqp,
    pub out: Vec<Output>,
    pub progress: Progress,
    pub time: u64,
    positions: [u64; 2],
}

impl Wire {
    pub fn new(role: Role) -> Self {
        let parser = Amqp::new(Settings::of(role));
        Self { parser, out: Vec::new(), progress: Progress::Continue, time: 0, positions: [10_000, 50_000] }
    }

    pub fn client() -> Self {
        Self::new(Role::Client)
    }

    /// A connection of which the beginning was seen, with channel 1 open.
    pub fn opened() -> Self {
        let mut wire = Self::client();
        wire.request(b"AMQP\0\0\x09\x01").request(method(1, 20, 10, b"\0")).response(method(1, 20, 11, &[0; 4]));
        wire
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

    pub fn dropped(&self) -> Vec<u64> {
        self.out.iter().filter_map(|o| if let Output::Dropped { id, .. } = o { Some(*id) } else { None }).collect()
    }

    /// Each finished exchange, in the order of beginning.
    pub fn summary(&self) -> Vec<String> {
        let mut finished = self.finished();
        finished.sort_by_key(|e| e.id);
        finished.into_iter().map(|e| self.describe(e)).collect()
    }

    /// `kind name`, with the state of a Celery task and `error TYPE` if there are such.
    pub fn describe(&self, exchange: &Exchange) -> String {
        let kind = match self.started().into_iter().find(|s| s.id == exchange.id).unwrap().kind {
            SpanKind::Producer => "producer",
            SpanKind::Consumer => "consumer",
            SpanKind::Client => "client",
            other => panic!("{other:?}"),
        };
        let state = text(exchange, "celery.state").map(|s| format!(" {s}")).unwrap_or_default();
        let error = match &exchange.status {
            Status::Error(_) => format!(" error {}", text(exchange, "error.type").expect("an error has a type")),
            Status::Unset | Status::Ok => {
                assert_eq!(value(exchange, "error.type"), None);
                String::new()
            }
        };
        format!("{kind} {}{state}{error}", exchange.name)
    }

    /// The only exchange.
    pub fn only(&self) -> &Exchange {
        match self.finished()[..] {
            [one] => one,
            ref other => panic!("one exchange expected: {other:#?}"),
        }
    }
}

pub fn value<'e>(exchange: &'e Exchange, key: &str) -> Option<&'e Value> {
    let mut found = exchange.attributes.iter().filter(|a| a.key == key);
    let value = found.next().map(|a| &a.value);
    assert!(found.next().is_none(), "{key} is there twice");
    value
}

pub fn text<'e>(exchange: &'e Exchange, key: &str) -> Option<&'e str> {
    value(exchange, key).map(|v| if let Value::Str(s) = v { s.as_ref() } else { panic!("{key} is no text: {v:?}") })
}

pub fn int(exchange: &Exchange, key: &str) -> Option<i64> {
    value(exchange, key).map(|v| if let Value::Int(n) = v { *n } else { panic!("{key} is no number: {v:?}") })
}

// ---- frames ----

pub fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let size = payload.len() as u32;
    [&[kind][..], &channel.to_be_bytes(), &size.to_be_bytes(), payload, &[0xce]].concat()
}

pub fn method(channel: u16, class: u16, method: u16, arguments: &[u8]) -> Vec<u8> {
    frame(1, channel, &[&class.to_be_bytes()[..], &method.to_be_bytes(), arguments].concat())
}

pub fn heartbeat() -> Vec<u8> {
    frame(8, 0, b"")
}

pub fn short(text: &str) -> Vec<u8> {
    [&[text.len() as u8][..], text.as_bytes()].concat()
}

/// A content header without properties.
pub fn header(channel: u16, body: u64) -> Vec<u8> {
    header_with(channel, body, 0, b"")
}

pub fn header_with(channel: u16, body: u64, flags: u16, properties: &[u8]) -> Vec<u8> {
    frame(2, channel, &[&[0, 60, 0, 0][..], &body.to_be_bytes(), &flags.to_be_bytes(), properties].concat())
}

/// A table of texts.
pub fn table(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, value) in entries {
        body.extend(short(name));
        body.push(b'S');
        body.extend((value.len() as u32).to_be_bytes());
        body.extend(value.as_bytes());
    }
    [&(body.len() as u32).to_be_bytes()[..], &body].concat()
}

pub fn publish_method(channel: u16, exchange: &str, key: &str, mandatory: bool) -> Vec<u8> {
    method(channel, 60, 40, &[&[0, 0][..], &short(exchange), &short(key), &[u8::from(mandatory)]].concat())
}

/// A whole message, in one body frame.
pub fn publish(exchange: &str, key: &str, body: &[u8]) -> Vec<u8> {
    [publish_method(1, exchange, key, false), header(1, body.len() as u64), frame(3, 1, body)].concat()
}

pub fn deliver_method(consumer: &str, tag: u64, exchange: &str, key: &str) -> Vec<u8> {
    method(1, 60, 60, &[&short(consumer)[..], &tag.to_be_bytes(), &[0], &short(exchange), &short(key)].concat())
}

/// A whole message, in one body frame.
pub fn deliver(consumer: &str, tag: u64, key: &str, body: &[u8]) -> Vec<u8> {
    [deliver_method(consumer, tag, "", key), header(1, body.len() as u64), frame(3, 1, body)].concat()
}

pub fn consume(consumer: &str, queue: &str, no_ack: bool) -> Vec<u8> {
    let bits = [if no_ack { 2 } else { 0 }];
    method(1, 60, 20, &[&[0, 0][..], &short(queue), &short(consumer), &bits, &[0; 4]].concat())
}

pub fn confirm_select() -> Vec<u8> {
    method(1, 85, 10, b"\0")
}

pub fn ack(tag: u64, multiple: bool) -> Vec<u8> {
    method(1, 60, 80, &[&tag.to_be_bytes()[..], &[u8::from(multiple)]].concat())
}

pub fn nack(tag: u64, multiple: bool) -> Vec<u8> {
    method(1, 60, 120, &[&tag.to_be_bytes()[..], &[u8::from(multiple)]].concat())
}

pub fn get(queue: &str) -> Vec<u8> {
    method(1, 60, 70, &[&[0, 0][..], &short(queue), &[0]].concat())
}

pub fn got(tag: u64, key: &str, body: &[u8]) -> Vec<u8> {
    let arguments = [&tag.to_be_bytes()[..], &[0], &short(""), &short(key), &[0; 4]].concat();
    [method(1, 60, 71, &arguments), header(1, body.len() as u64), frame(3, 1, body)].concat()
}
