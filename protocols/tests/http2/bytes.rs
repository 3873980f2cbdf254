//! Frames made by hand.

pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;

/// One frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

pub fn data(flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    frame(0, flags, stream, payload)
}

pub fn settings() -> Vec<u8> {
    frame(4, 0, 0, &[0, 3, 0, 0, 0, 100])
}

pub fn settings_ack() -> Vec<u8> {
    frame(4, 1, 0, &[])
}

pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(3, 0, stream, &code.to_be_bytes())
}

pub fn goaway(last: u32) -> Vec<u8> {
    frame(7, 0, 0, &[last.to_be_bytes(), [0; 4]].concat())
}

/// What a client and a server say first.
pub fn greetings() -> (Vec<u8>, Vec<u8>) {
    ([PREFACE, &settings()].concat(), [settings(), settings_ack()].concat())
}

/// A gRPC message.
pub fn message(len: usize) -> Vec<u8> {
    [&[0][..], &(len as u32).to_be_bytes(), &vec![b'm'; len]].concat()
}

/// Makes header blocks as a peer does: what it says once it inserts, and says by index from then on.
#[derive(Default)]
pub struct Peer {
    /// Newest first.
    table: Vec<(String, String)>,
}

/// The static entries that the tests use (RFC 7541, appendix A).
const STATIC: [(usize, &str, &str); 10] = [
    (1, ":authority", ""),
    (2, ":method", "GET"),
    (3, ":method", "POST"),
    (4, ":path", "/"),
    (6, ":scheme", "http"),
    (8, ":status", "200"),
    (9, ":status", "204"),
    (13, ":status", "404"),
    (31, "content-type", ""),
    (32, "cookie", ""),
];

impl Peer {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn block(&mut self, fields: &[(&str, &str)]) -> Vec<u8> {
        let mut block = Vec::new();
        for (name, value) in fields {
            let fixed = STATIC.iter().find(|(_, n, v)| n == name && v == value).map(|(index, ..)| *index);
            let inserted = self.table.iter().position(|(n, v)| n == name && v == value).map(|at| at + 62);
            if let Some(index) = fixed.or(inserted) {
                integer(0x80, 7, index, &mut block);
                continue;
            }
            let named = STATIC.iter().find(|(_, n, _)| n == name).map(|(index, ..)| *index);
            let named = named.or(self.table.iter().position(|(n, _)| n == name).map(|at| at + 62));
            integer(0x40, 6, named.unwrap_or(0), &mut block);
            for text in named.is_none().then_some(name).into_iter().chain([value]) {
                integer(0, 7, text.len(), &mut block);
                block.extend_from_slice(text.as_bytes());
            }
            self.table.insert(0, (name.to_string(), value.to_string()));
            while self.table.iter().map(|(n, v)| n.len() + v.len() + 32).sum::<usize>() > 4096 {
                self.table.pop();
            }
        }
        block
    }

    pub fn head(&mut self, flags: u8, stream: u32, fields: &[(&str, &str)]) -> Vec<u8> {
        frame(1, flags | END_HEADERS, stream, &self.block(fields))
    }

    /// A GET with nothing behind it.
    pub fn get(&mut self, stream: u32, path: &str) -> Vec<u8> {
        let fields = [(":method", "GET"), (":scheme", "http"), (":path", path), (":authority", "shop.test:8080")];
        self.head(END_STREAM, stream, &fields)
    }

    /// The head of a call.
    pub fn call(&mut self, stream: u32, path: &str, more: &[(&str, &str)]) -> Vec<u8> {
        let common = [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "shop.test:8080")];
        let fields = [&common[..], &[("te", "trailers"), ("content-type", "application/grpc")], more].concat();
        self.head(0, stream, &fields)
    }

    pub fn status(&mut self, flags: u8, stream: u32, status: &str) -> Vec<u8> {
        self.head(flags, stream, &[(":status", status)])
    }

    /// The head of a call's response.
    pub fn reply(&mut self, stream: u32) -> Vec<u8> {
        self.head(0, stream, &[(":status", "200"), ("content-type", "application/grpc")])
    }

    pub fn trailers(&mut self, stream: u32, code: &str) -> Vec<u8> {
        self.head(END_STREAM, stream, &[("grpc-status", code), ("grpc-message", "")])
    }
}

/// RFC 7541 §5.1.
fn integer(pattern: u8, prefix: u32, mut number: usize, block: &mut Vec<u8>) {
    let mask = (1 << prefix) - 1;
    if number < mask {
        return block.push(pattern | number as u8);
    }
    block.push(pattern | mask as u8);
    number -= mask;
    while number >= 128 {
        block.push(number as u8 | 0x80);
        number >>= 7;
    }
    block.push(number as u8);
}
