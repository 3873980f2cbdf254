//! Takes the agent's spans and counts them: as lines of JSON, or as an OTLP receiver over HTTP.
//!
//! Only spans that bear a mark count, so that other traffic on the machine does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// Longer than the agent holds a span when nothing follows: what has not come by then does not come.
pub const SETTLE: Duration = Duration::from_millis(500);

/// Spans received, shared between threads.
#[derive(Clone)]
pub struct Counts(Arc<Inner>);

struct Inner {
    mark: &'static str,
    server: AtomicU64,
    client: AtomicU64,
    first: OnceLock<Instant>,
}

impl Counts {
    /// Counts spans that contain `mark`.
    pub fn of(mark: &'static str) -> Self {
        Self(Arc::new(Inner { mark, server: AtomicU64::new(0), client: AtomicU64::new(0), first: OnceLock::new() }))
    }

    fn are_marked_by(&self, span: &[u8]) -> bool {
        let mark = self.0.mark.as_bytes();
        span.windows(mark.len()).any(|window| window == mark)
    }

    /// SERVER spans.
    pub fn server(&self) -> u64 {
        self.0.server.load(Ordering::Relaxed)
    }

    /// CLIENT spans.
    pub fn client(&self) -> u64 {
        self.0.client.load(Ordering::Relaxed)
    }

    /// When the first span came.
    pub fn first(&self) -> Option<Instant> {
        self.0.first.get().copied()
    }

    fn add(&self, kind: u64) {
        match kind {
            otlp::SERVER => self.0.server.fetch_add(1, Ordering::Relaxed),
            otlp::CLIENT => self.0.client.fetch_add(1, Ordering::Relaxed),
            _ => return,
        };
        self.0.first.get_or_init(Instant::now);
    }

    /// Waits until nothing has come for `quiet`: what the agent wrote may still be in a pipe or a socket.
    pub fn wait_until_quiet(&self, quiet: Duration) {
        let mut last = None;
        loop {
            let now = (self.server(), self.client());
            if last == Some(now) {
                return;
            }
            last = Some(now);
            thread::sleep(quiet);
        }
    }
}

/// Counts spans written as one line of JSON each.
pub fn count_lines(mut input: impl BufRead, counts: &Counts) {
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        if counts.are_marked_by(&line) {
            if contains(&line, br#""kind":"server""#) {
                counts.add(otlp::SERVER);
            } else if contains(&line, br#""kind":"client""#) {
                counts.add(otlp::CLIENT);
            }
        }
        line.clear();
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

/// An OTLP receiver: accepts everything, keeps nothing.
pub struct Receiver {
    pub address: SocketAddr,
}

impl Receiver {
    /// Listens on a free port until the process ends.
    pub fn start(counts: Counts) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port for the OTLP receiver")?;
        let address = listener.local_addr().context("the OTLP receiver has no address")?;
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let counts = counts.clone();
                // A connection that breaks is the agent's to open again.
                thread::spawn(move || drop(serve(&stream, &counts)));
            }
        });
        Ok(Self { address })
    }
}

/// One keep-alive connection: HTTP/1.1 requests with `Content-Length`.
fn serve(stream: &TcpStream, counts: &Counts) -> Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, stream);
    let mut output = stream;
    let mut body = Vec::new();
    loop {
        let Some(length) = head(&mut input)? else { return Ok(()) };
        body.resize(length, 0);
        input.read_exact(&mut body)?;
        otlp::for_each_span(&body, |kind, span| {
            if counts.are_marked_by(span) {
                counts.add(kind);
            }
        });
        output.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")?;
    }
}

/// Reads up to the empty line and returns `Content-Length`, or `None` at the end of the connection.
fn head(input: &mut impl BufRead) -> Result<Option<usize>> {
    let mut length = 0;
    let mut line = String::new();
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(None);
        }
        if line.trim().is_empty() {
            return Ok(Some(length));
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().context("Content-Length is no number")?;
        }
    }
}

/// As much of protobuf and `opentelemetry/proto/trace/v1/trace.proto` as counting takes.
mod otlp {
    /// `SPAN_KIND_SERVER`.
    pub const SERVER: u64 = 2;
    /// `SPAN_KIND_CLIENT`.
    pub const CLIENT: u64 = 3;
    /// `Span.kind`.
    const KIND: u64 = 6;

    /// Calls `found` with the kind and the bytes of every span of an `ExportTraceServiceRequest`.
    pub fn for_each_span(request: &[u8], mut found: impl FnMut(u64, &[u8])) {
        // resource_spans = 1, scope_spans = 2, spans = 2.
        for resource in messages(request, 1) {
            for scope in messages(resource, 2) {
                for span in messages(scope, 2) {
                    let kind = fields(span).find_map(|field| match field {
                        (KIND, Field::Number(kind)) => Some(kind),
                        _ => None,
                    });
                    found(kind.unwrap_or(0), span);
                }
            }
        }
    }

    enum Field<'a> {
        Number(u64),
        Bytes(&'a [u8]),
        Fixed,
    }

    fn messages(message: &[u8], number: u64) -> impl Iterator<Item = &[u8]> {
        fields(message).filter_map(move |field| match field {
            (n, Field::Bytes(bytes)) if n == number => Some(bytes),
            _ => None,
        })
    }

    /// The fields of a message, up to the first that is malformed.
    fn fields(mut rest: &[u8]) -> impl Iterator<Item = (u64, Field<'_>)> {
        std::iter::from_fn(move || {
            let tag = varint(&mut rest)?;
            let field = match tag & 7 {
                0 => Field::Number(varint(&mut rest)?),
                1 => split(&mut rest, 8).map(|_| Field::Fixed)?,
                2 => {
                    let length = usize::try_from(varint(&mut rest)?).ok()?;
                    Field::Bytes(split(&mut rest, length)?)
                }
                5 => split(&mut rest, 4).map(|_| Field::Fixed)?,
                _ => return None,
            };
            Some((tag >> 3, field))
        })
    }

    fn split<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
        let (front, back) = rest.split_at_checked(length)?;
        *rest = back;
        Some(front)
    }

    fn varint(rest: &mut &[u8]) -> Option<u64> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let (&byte, back) = rest.split_first()?;
            *rest = back;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Field `number` of wire type 2.
    fn message(number: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).expect("short");
        [&[number << 3 | 2, length], content].concat()
    }

    #[test]
    fn spans_are_counted_by_kind() {
        let span = |kind: u8| [message(5, b"GET /wirespan-bench"), vec![6 << 3, kind]].concat();
        let scope = [message(2, &span(2)), message(2, &span(3)), message(2, &span(2))].concat();
        let request = message(1, &[message(1, b"resource"), message(2, &scope)].concat());
        let mut kinds = Vec::new();
        otlp::for_each_span(&request, |kind, _| kinds.push(kind));
        assert_eq!(kinds, [2, 3, 2]);
    }

    #[test]
    fn a_truncated_request_ends_the_count() {
        let mut kinds = 0;
        otlp::for_each_span(&[10, 200, 1, 2], |_, _| kinds += 1);
        assert_eq!(kinds, 0);
    }

    #[test]
    fn only_marked_lines_count() {
        let lines =
            "{\"kind\":\"server\",\"name\":\"GET /wirespan-bench\"}\n{\"kind\":\"server\",\"name\":\"GET /\"}\n";
        let counts = Counts::of("/wirespan-bench");
        count_lines(lines.as_bytes(), &counts);
        assert_eq!((counts.server(), counts.client()), (1, 0));
    }
}
