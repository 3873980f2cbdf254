//! What holds for any conversation, however it is cut, and for any bytes at all.

use proptest::prelude::*;
use wirespan_protocols::{Direction, End, Progress, Role};

use crate::replay::assert_balanced;
use crate::wire::{TICK, Wire, int, text};

/// How a body travels.
#[derive(Clone, Copy, Debug)]
enum Body {
    Absent,
    Length(usize),
    Chunks(usize, usize),
}

/// One request and its response: the path's number tells which response is right.
#[derive(Clone, Debug)]
struct Call {
    method: &'static str,
    request: Body,
    response: Body,
}

impl Body {
    fn render(self) -> Vec<u8> {
        match self {
            Body::Absent => b"Content-Length: 0\r\n\r\n".to_vec(),
            Body::Length(n) => [format!("Content-Length: {n}\r\n\r\n").as_bytes(), &vec![b'x'; n]].concat(),
            Body::Chunks(count, size) => {
                let chunk = [format!("{size:x};e=1\r\n").as_bytes(), &vec![b'y'; size], b"\r\n"].concat();
                [b"Transfer-Encoding: chunked\r\n\r\n", &*chunk.repeat(count), b"0\r\nT: t\r\n\r\n"].concat()
            }
        }
    }
}

impl Call {
    fn request(&self, n: usize) -> Vec<u8> {
        [format!("{} /n/{n} HTTP/1.1\r\nHost: h\r\n", self.method).as_bytes(), &self.request.render()].concat()
    }

    fn response(&self, n: usize) -> Vec<u8> {
        let head = format!("HTTP/1.1 {} X\r\n", 200 + n);
        match self.method {
            "HEAD" => [head.as_bytes(), b"Content-Length: 77\r\n\r\n"].concat(),
            _ => [head.as_bytes(), &self.response.render()].concat(),
        }
    }
}

fn body() -> impl Strategy<Value = Body> {
    prop_oneof![
        Just(Body::Absent),
        (1..300usize).prop_map(Body::Length),
        (1..4usize, 1..90usize).prop_map(|(n, size)| Body::Chunks(n, size)),
    ]
}

fn call() -> impl Strategy<Value = Call> {
    (prop_oneof![Just("GET"), Just("HEAD"), Just("POST"), Just("PURGE")], body(), body())
        .prop_map(|(method, request, response)| Call { method, request, response })
}

/// Calls, grouped by how many go out before the first answer.
fn conversation(most_in_flight: usize) -> impl Strategy<Value = Vec<Vec<Call>>> {
    // Statuses 204 and 304 would have no body, so there are at most four calls: 200 to 203.
    prop::collection::vec(prop::collection::vec(call(), 1..=most_in_flight), 1..4)
        .prop_filter("too many", |groups| groups.iter().map(Vec::len).sum::<usize>() <= 4)
}

/// Each direction's bytes in causal order: all requests of a group, then their responses.
fn render(groups: &[Vec<Call>]) -> Vec<(Direction, Vec<u8>)> {
    let mut n = 0;
    let mut operations = Vec::new();
    for group in groups {
        let numbered: Vec<_> = group.iter().enumerate().map(|(i, call)| (n + i, call)).collect();
        n += group.len();
        operations.push((Direction::Request, numbered.iter().flat_map(|(n, c)| c.request(*n)).collect()));
        operations.push((Direction::Response, numbered.iter().flat_map(|(n, c)| c.response(*n)).collect()));
    }
    operations
}

fn cuts(bytes: &[u8], places: &[prop::sample::Index]) -> Vec<usize> {
    let mut cuts: Vec<_> = places.iter().map(|i| i.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts
}

/// Every exchange has the response that its path says.
fn assert_paired(wire: &Wire) {
    for exchange in wire.finished() {
        let path = text(exchange, "url.path").unwrap();
        let n: i64 = path.strip_prefix("/n/").and_then(|n| n.parse().ok()).unwrap_or_else(|| panic!("invented {path}"));
        if let Some(status) = int(exchange, "http.response.status_code") {
            assert_eq!(status, 200 + n, "{exchange:#?}");
        }
    }
}

/// An operation as it was captured: pieces, each of which may be lost.
type Loss = Vec<(prop::sample::Index, bool)>;

/// Replays with each operation cut where `losses` say, pieces as operations of their own, some of them lost.
fn lossy(groups: &[Vec<Call>], losses: &[Loss], separate: bool) -> Wire {
    let mut wire = Wire::server();
    for (at, (direction, bytes)) in render(groups).into_iter().enumerate() {
        let loss = &losses[at % losses.len()];
        let cuts = cuts(&bytes, &loss.iter().map(|(place, _)| *place).collect::<Vec<_>>());
        wire.time += TICK;
        for (n, piece) in cuts.windows(2).enumerate() {
            wire.time += u64::from(separate);
            match loss.get(n) {
                Some((_, true)) if separate => wire.lose(direction, (piece[1] - piece[0]) as u64),
                Some((_, true)) => wire.gap(direction, (piece[1] - piece[0]) as u64),
                _ => wire.data(direction, &bytes[piece[0]..piece[1]]),
            };
        }
    }
    wire.end(Direction::Response, End::Unwatched);
    wire
}

fn losses() -> impl Strategy<Value = Vec<Loss>> {
    prop::collection::vec(prop::collection::vec((any::<prop::sample::Index>(), any::<bool>()), 0..4), 1..8)
}

/// Bytes that come close to HTTP.
fn almost() -> impl Strategy<Value = Vec<u8>> {
    let known: Vec<&'static [u8]> = vec![
        b"GET / HTTP/1.1\r\n",
        b"POST /x HTTP/1.1\r\n",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 S\r\n",
        b"HTTP/1.1 100 C\r\n",
        b"HEAD /n HTTP/1.0\r\n",
        b"CONNECT a:1 HTTP/1.1\r\n",
        b"Content-Length: 10\r\n",
        b"Content-Length: 9999999999\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"\r\n",
        b"\n",
        b"5\r\nhello\r\n",
        b"0\r\n\r\n",
        b"ffffffffffffffff\r\n",
        b": \r\n",
        b" folded\r\n",
        b"traceparent: 00-",
        b"Host: [::1\r\n",
        b"Forwarded: for=\"\r\n",
    ];
    prop_oneof![4 => prop::sample::select(known).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..60)]
}

/// What may happen to a parser.
#[derive(Clone, Debug)]
enum Event {
    Data(bool, Vec<u8>, bool),
    Gap(bool, u64),
    End(bool, End),
}

fn event() -> impl Strategy<Value = Event> {
    let end = prop::sample::select(vec![End::Finished, End::Reset, End::Closed, End::Unwatched]);
    prop_oneof![
        30 => (any::<bool>(), prop::collection::vec(almost(), 1..6), any::<bool>())
            .prop_map(|(up, parts, fresh)| Event::Data(up, parts.concat(), fresh)),
        5 => (any::<bool>(), prop_oneof![0..30u64, any::<u64>()]).prop_map(|(up, len)| Event::Gap(up, len)),
        1 => (any::<bool>(), end).prop_map(|(up, end)| Event::End(up, end)),
    ]
}

fn direction(up: bool) -> Direction {
    if up { Direction::Request } else { Direction::Response }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_splits_equal_the_whole(groups in conversation(4), places in prop::collection::vec(any::<prop::sample::Index>(), 0..30)) {
        let (mut whole, mut split) = (Wire::server(), Wire::server());
        for (direction, bytes) in render(&groups) {
            whole.operation(direction, &bytes, 0);
            split.time += TICK;
            for piece in cuts(&bytes, &places).windows(2) {
                split.data(direction, &bytes[piece[0]..piece[1]]);
            }
        }
        prop_assert_eq!(&whole.out, &split.out);
        prop_assert_eq!(whole.finished().len(), groups.iter().map(Vec::len).sum::<usize>());
        assert_paired(&whole);
    }

    #[test]
    fn losses_never_pair_wrong_while_the_client_waits(groups in conversation(1), losses in losses(), separate: bool) {
        let wire = lossy(&groups, &losses, separate);
        assert_paired(&wire);
        assert_balanced(&wire.out, "");
    }

    #[test]
    fn losses_never_pair_wrong_when_batches_go_out_at_once(groups in conversation(4), losses in losses(), separate: bool) {
        let wire = lossy(&groups, &losses, separate);
        assert_paired(&wire);
        assert_balanced(&wire.out, "");
    }

    #[test]
    fn no_bytes_make_it_panic_or_grow(events in prop::collection::vec(event(), 0..60), client: bool) {
        let mut wire = Wire::new(if client { Role::Client } else { Role::Server });
        for event in events {
            match event {
                Event::Data(up, bytes, fresh) => {
                    wire.time += u64::from(fresh);
                    wire.data(direction(up), &bytes);
                }
                Event::Gap(up, len) => {
                    wire.gap(direction(up), len >> 1);
                }
                Event::End(up, end) => {
                    wire.end(direction(up), end);
                }
            }
            prop_assert!(wire.parser.buffered() < 2 * 1024 * 1024);
            if wire.progress != Progress::Continue {
                wire = Wire::new(Role::Server);
            }
        }
        wire.end(Direction::Request, End::Unwatched);
        assert_balanced(&wire.out, "");
    }

    #[test]
    fn no_path_makes_a_long_or_empty_name(path in "\\PC{0,300}") {
        let template = wirespan_protocols::template::template(&path);
        prop_assert!((1..=200).contains(&template.len()));
    }

    #[test]
    fn no_query_keeps_a_value(names in prop::collection::vec("[a-z]{1,5}", 1..5)) {
        let query = names.iter().map(|n| format!("{n}=SECRET")).collect::<Vec<_>>().join("&");
        prop_assert!(!wirespan_protocols::redact::query(&query, false).contains("SECRET"));
    }
}
