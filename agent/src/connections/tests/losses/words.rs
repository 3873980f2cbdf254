//! What is said: requests and responses of each protocol that has no ids.

/// A protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Words {
    Http,
    Redis,
    Memcached,
    PostgreSql,
    /// Several messages a call, up to `Sync`.
    PostgreSqlExtended,
    MySql,
}

/// All of them.
pub const ALL: [Words; 6] =
    [Words::Http, Words::Redis, Words::Memcached, Words::PostgreSql, Words::PostgreSqlExtended, Words::MySql];

/// A message of PostgreSQL.
fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32 + 4).to_be_bytes()[..], body].concat()
}

/// A packet of MySQL.
fn packet(sequence: u8, body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32).to_le_bytes()[..3], &[sequence], body].concat()
}

/// What is carried: mostly short, sometimes longer than what is captured if it may be `long`.
fn filler(long: bool, random: &mut fastrand::Rng) -> String {
    let len = if long && random.u8(..5) == 0 { random.usize(200..4000) } else { random.usize(1..40) };
    "x".repeat(len)
}

impl Words {
    /// Request `n`.
    pub fn request(self, n: usize, long: bool, random: &mut fastrand::Rng) -> Vec<u8> {
        let filler = filler(long, random);
        match self {
            Words::Http if random.bool() => format!("GET /n/{n} HTTP/1.1\r\nHost: h\r\n\r\n").into_bytes(),
            Words::Http => {
                let len = filler.len();
                format!("POST /n/{n} HTTP/1.1\r\nHost: h\r\nContent-Length: {len}\r\n\r\n{filler}").into_bytes()
            }
            Words::Redis => format!("*2\r\n$3\r\nGET\r\n${}\r\n{filler}\r\n", filler.len()).into_bytes(),
            Words::Memcached if random.bool() => format!("get key{n}\r\n").into_bytes(),
            Words::Memcached => format!("set key{n} 0 0 {}\r\n{filler}\r\n", filler.len()).into_bytes(),
            Words::PostgreSql => message(b'Q', format!("SELECT '{filler}' /* {n} */\0").as_bytes()),
            Words::PostgreSqlExtended => [
                message(b'P', format!("\0SELECT '{filler}' /* {n} */\0\0\0").as_bytes()),
                message(b'B', b"\0\0\0\0\0\0\0\0"),
                message(b'D', b"P\0"),
                message(b'E', b"\0\0\0\0\0"),
                message(b'S', b""),
            ]
            .concat(),
            Words::MySql => packet(0, format!("\x03SELECT '{filler}' /* {n} */").as_bytes()),
        }
    }

    /// The response to request `n`.
    pub fn response(self, n: usize, long: bool, random: &mut fastrand::Rng) -> Vec<u8> {
        let filler = filler(long, random);
        let len = filler.len();
        match self {
            Words::Http if random.u8(..3) == 0 => {
                let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
                format!("{head}{len:x}\r\n{filler}\r\n0\r\n\r\n").into_bytes()
            }
            Words::Http => format!("HTTP/1.1 200 OK\r\nContent-Length: {len}\r\n\r\n{filler}").into_bytes(),
            Words::Redis if random.bool() => b"$-1\r\n".to_vec(),
            Words::Redis => format!("*2\r\n$2\r\nab\r\n${len}\r\n{filler}\r\n").into_bytes(),
            // `set` and `get` are both answered by something that fits what was asked.
            Words::Memcached => format!("SERVER_ERROR {n}\r\n").into_bytes(),
            Words::PostgreSql | Words::PostgreSqlExtended => {
                let begin = match self {
                    Words::PostgreSql => Vec::new(),
                    _ => [message(b'1', b""), message(b'2', b"")].concat(),
                };
                let column = b"\0\x01?column?\0\0\0\0\0\0\0\0\0\0\x19\xff\xff\xff\xff\xff\xff\0\0";
                let row = [b"\0\x01", &(len as u32).to_be_bytes()[..], filler.as_bytes()].concat();
                let rows = [message(b'T', column), message(b'D', &row), message(b'C', b"SELECT 1\0")].concat();
                [begin, rows, message(b'Z', b"I")].concat()
            }
            Words::MySql if random.bool() => packet(1, b"\0\0\0\x02\0\0\0"),
            Words::MySql => {
                let column = b"\x03def\0\0\0\x01?\0\x0c\x3f\0\x01\0\0\0\x08\x81\0\0\0\0";
                let short = &filler[..filler.len().min(200)];
                let row = [&[short.len() as u8], short.as_bytes()].concat();
                let end = b"\xfe\0\0\x02\0";
                [packet(1, b"\x01"), packet(2, column), packet(3, end), packet(4, &row), packet(5, end)].concat()
            }
        }
    }
}
