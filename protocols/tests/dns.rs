//! The DNS parser, through its public face.

use std::path::Path;

use proptest::prelude::*;
use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::dns::{Dns, detect};
use wirespan_protocols::exchange::{Exchange, Mark, Output, SpanKind, Status, Value};
use wirespan_protocols::{Detection, Direction, End, Parser, Progress, Role, Settings};

const TICK: u64 = 1000;

struct Wire {
    parser: Dns,
    out: Vec<Output>,
    time: u64,
    progress: Progress,
}

impl Wire {
    fn new(role: Role) -> Self {
        let parser = Dns::new(Settings::of(role));
        Self { parser, out: Vec::new(), time: 0, progress: Progress::Continue }
    }

    fn data(&mut self, direction: Direction, bytes: &[u8]) -> &mut Self {
        self.time += TICK;
        let mark = Mark { time: self.time, ..Mark::default() };
        self.progress = self.parser.data(direction, bytes, &mark, &mut self.out);
        self
    }

    fn end(&mut self, end: End) -> &mut Self {
        self.time += TICK;
        let mark = Mark { time: self.time, ..Mark::default() };
        self.parser.end(Request, end, &mark, &mut self.out);
        self
    }

    fn finished(&self) -> Vec<&Exchange> {
        self.out.iter().filter_map(|o| if let Output::Finished(e) = o { Some(&**e) } else { None }).collect()
    }

    fn dropped(&self) -> Vec<u64> {
        self.out.iter().filter_map(|o| if let Output::Dropped { id, .. } = o { Some(*id) } else { None }).collect()
    }

    fn summary(&self) -> Vec<String> {
        self.finished().into_iter().map(describe).collect()
    }
}

fn value<'e>(exchange: &'e Exchange, key: &str) -> Option<&'e Value> {
    exchange.attributes.iter().find(|a| a.key == key).map(|a| &a.value)
}

fn text(exchange: &Exchange, key: &str) -> Option<String> {
    value(exchange, key).map(|v| if let Value::Str(s) = v { s.to_string() } else { panic!("{key}: {v:?}") })
}

fn int(exchange: &Exchange, key: &str) -> Option<i64> {
    value(exchange, key).map(|v| if let Value::Int(n) = v { *n } else { panic!("{key}: {v:?}") })
}

fn describe(exchange: &Exchange) -> String {
    let code = text(exchange, "dns.response_code").map(|c| format!(" {c}")).unwrap_or_default();
    let answers = int(exchange, "dns.answers_count").map(|n| format!(" {n}")).unwrap_or_default();
    let truncated = if value(exchange, "dns.truncated").is_some() { " truncated" } else { "" };
    let resent = int(exchange, "dns.resend_count").map(|n| format!(" resent {n}")).unwrap_or_default();
    let error = match exchange.status {
        Status::Error(_) => format!(" error {}", text(exchange, "error.type").unwrap()),
        Status::Unset | Status::Ok => String::new(),
    };
    format!("{}{code}{answers}{truncated}{resent}{error}", exchange.name)
}

struct Capture {
    name: String,
    exchanges: Vec<String>,
    datagrams: Vec<(Direction, Vec<u8>)>,
}

fn captures() -> Vec<Capture> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/dns");
    let read = |path: &Path| {
        let json: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let datagrams = json["operations"].as_array().unwrap().iter().filter_map(|operation| {
            let direction = match operation[0].as_str().unwrap() {
                "request" => Request,
                "response" => Response,
                _ => return None,
            };
            let text = operation[1].as_str().unwrap();
            Some((direction, text.chars().map(|c| u8::try_from(c).unwrap()).collect()))
        });
        Capture {
            name: path.file_stem().unwrap().to_string_lossy().into(),
            exchanges: json["exchanges"].as_array().unwrap().iter().map(|e| e.as_str().unwrap().into()).collect(),
            datagrams: datagrams.collect(),
        }
    };
    let mut all: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| read(&e.unwrap().path())).collect();
    all.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(all.len() >= 10);
    all
}

fn replay(capture: &Capture, role: Role) -> Wire {
    let mut wire = Wire::new(role);
    for (direction, bytes) in &capture.datagrams {
        wire.data(*direction, bytes);
    }
    wire.end(End::Closed);
    wire
}

fn question(name: &[&str], kind: u16) -> Vec<u8> {
    let labels = name.iter().flat_map(|l| [&[l.len() as u8][..], l.as_bytes()].concat());
    labels.chain([0]).chain(kind.to_be_bytes()).chain([0, 1]).collect()
}

fn query(id: u16, name: &[&str], kind: u16) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[1, 0, 0, 1, 0, 0, 0, 0, 0, 0], &question(name, kind)].concat()
}

/// An answer of one record, whose name points to the question's.
fn answer(id: u16, name: &[&str], kind: u16) -> Vec<u8> {
    let record = [&[0xc0, 12][..], &kind.to_be_bytes(), &[0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]].concat();
    [&id.to_be_bytes()[..], &[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], &question(name, kind), &record].concat()
}

/// An answer without records.
fn refusal(id: u16, name: &[&str], kind: u16, code: u8) -> Vec<u8> {
    [&id.to_be_bytes()[..], &[0x81, 0x80 | code, 0, 1, 0, 0, 0, 0, 0, 0], &question(name, kind)].concat()
}

#[test]
fn whole_captures_give_the_queries_that_were_made() {
    for capture in captures() {
        assert_eq!(replay(&capture, Role::Client).summary(), capture.exchanges, "{}", capture.name);
        let server = replay(&capture, Role::Server);
        let answered = capture.exchanges.iter().filter(|e| !e.ends_with("no_answer")).count();
        assert_eq!(server.finished().len(), answered, "{}", capture.name);
        assert!(server.finished().iter().all(|e| e.status == Status::Unset), "NXDOMAIN is no failure of the server");
    }
}

#[test]
fn every_datagram_is_detected_and_none_of_its_beginnings() {
    for capture in captures() {
        for (direction, bytes) in &capture.datagrams {
            assert_eq!(detect(bytes), Detection::Match(*direction), "{}", capture.name);
            for cut in 0..bytes.len() {
                assert_eq!(detect(&bytes[..cut]), Detection::No, "{} {cut}", capture.name);
            }
            assert_eq!(detect(&[bytes.as_slice(), b"\0"].concat()), Detection::No, "{}", capture.name);
        }
    }
}

#[test]
fn lost_datagrams_answer_nothing_wrong() {
    for capture in captures() {
        for lost in 0u32..1 << capture.datagrams.len() {
            let mut wire = Wire::new(Role::Client);
            for (n, (direction, bytes)) in capture.datagrams.iter().enumerate() {
                if lost >> n & 1 == 0 {
                    wire.data(*direction, bytes);
                }
            }
            wire.end(End::Unwatched);
            for told in wire.summary() {
                let told = told.replace(" resent 1", "");
                assert!(capture.exchanges.iter().any(|e| e.starts_with(&told)), "{} {lost:b} {told}", capture.name);
            }
        }
    }
}

#[test]
fn the_beginning_of_a_datagram_tells_what_is_in_it() {
    for capture in captures() {
        for limit in (12..1000).step_by(7) {
            let mut wire = Wire::new(Role::Client);
            for (direction, bytes) in &capture.datagrams {
                wire.data(*direction, &bytes[..limit.min(bytes.len())]);
            }
            for (told, real) in wire.summary().iter().zip(&capture.exchanges) {
                assert_eq!(told, real, "{} {limit}", capture.name);
            }
        }
    }
}

#[test]
fn a_query_and_its_answer_are_one_exchange() {
    let mut wire = Wire::new(Role::Client);
    wire.data(Request, &query(7, &["Web", "example", "com"], 1))
        .data(Response, &answer(7, &["web", "EXAMPLE", "com"], 1));
    let [Output::Started(started), Output::Finished(exchange)] = &wire.out[..] else { panic!("{:?}", wire.out) };
    assert_eq!((started.kind, started.request.first.time), (SpanKind::Client, TICK));
    assert_eq!((exchange.name.as_ref(), exchange.end), ("DNS A", 2 * TICK));
    assert_eq!(text(exchange, "dns.question.name").as_deref(), Some("Web.example.com"), "as it was asked");
    assert_eq!(text(exchange, "dns.question.type").as_deref(), Some("A"));
    assert_eq!(value(exchange, "dns.answers_types"), Some(&Value::StrArray(vec!["A".into()])));
    assert!(
        exchange.attributes.iter().all(|a| !format!("{:?}", a.value).contains("192.0.2")),
        "no address is recorded"
    );
}

#[test]
fn answers_find_their_queries_in_any_order() {
    let mut wire = Wire::new(Role::Client);
    wire.data(Request, &query(1, &["a"], 1)).data(Request, &query(2, &["a"], 28));
    wire.data(Response, &refusal(2, &["a"], 28, 3)).data(Response, &answer(1, &["a"], 1));
    assert_eq!(wire.summary(), ["DNS AAAA NXDOMAIN 0 error NXDOMAIN", "DNS A NOERROR 1"]);
}

#[test]
fn an_answer_to_another_question_is_not_taken() {
    let mut wire = Wire::new(Role::Client);
    wire.data(Request, &query(1, &["a"], 1))
        .data(Response, &answer(1, &["b"], 1))
        .data(Response, &answer(2, &["a"], 1));
    assert!(wire.finished().is_empty());
    wire.data(Response, &answer(1, &["a"], 1)).data(Response, &answer(1, &["a"], 1));
    assert_eq!(wire.finished().len(), 1, "a second answer is nobody's");
}

#[test]
fn a_query_sent_again_is_the_same() {
    let mut wire = Wire::new(Role::Client);
    wire.data(Request, &query(1, &["a"], 1)).data(Request, &query(1, &["a"], 1)).data(Response, &answer(1, &["a"], 1));
    assert_eq!(wire.summary(), ["DNS A NOERROR 1 resent 1"]);
    let span = wire.finished()[0];
    assert_eq!((span.request.first.time, span.request.last.time, span.end), (TICK, 2 * TICK, 3 * TICK));
}

#[test]
fn an_id_used_again_drops_the_query_before_it() {
    let mut wire = Wire::new(Role::Client);
    wire.data(Request, &query(1, &["a"], 1)).data(Request, &query(1, &["b"], 1)).data(Response, &answer(1, &["b"], 1));
    assert_eq!((wire.dropped(), wire.summary()), (vec![0], vec!["DNS A NOERROR 1".to_owned()]));
}

#[test]
fn queries_without_answers_are_bounded_in_number_and_age() {
    let mut wire = Wire::new(Role::Client);
    for id in 0..1000 {
        wire.data(Request, &query(id, &["a"], 1));
        assert!(wire.parser.buffered() < 64 * 1024);
    }
    assert_eq!(wire.dropped().len(), 1000 - 256);
    wire.time += 61_000_000_000;
    wire.data(Request, &query(1000, &["a"], 1));
    assert_eq!(wire.dropped().len(), 1000);
}

#[test]
fn a_server_does_not_fail_for_want_of_an_answer() {
    let mut wire = Wire::new(Role::Server);
    wire.data(Request, &query(1, &["a"], 1))
        .data(Request, &query(2, &["b"], 1))
        .data(Response, &refusal(2, &["b"], 1, 2));
    wire.end(End::Closed);
    assert_eq!((wire.summary(), wire.dropped()), (vec!["DNS A SERVFAIL 0 error SERVFAIL".to_owned()], vec![0]));
}

#[test]
fn names_are_told_as_they_are() {
    let mut wire = Wire::new(Role::Client);
    for name in [&["a.b", "c\\"][..], &["\u{1}x y"], &[]] {
        wire.data(Request, &query(1, name, 1)).data(Response, &answer(1, name, 1));
    }
    let names: Vec<_> = wire.finished().iter().map(|e| text(e, "dns.question.name").unwrap()).collect();
    assert_eq!(names, ["a\\.b.c\\\\", "\\001x\\032y", "."]);
}

#[test]
fn pointers_never_loop_and_lengths_never_lie() {
    let head =
        |counts: [u8; 4]| [&[0, 1, 0x81, 0x80][..], &[0, counts[0], 0, counts[1], 0, counts[2], 0, counts[3]]].concat();
    let tail = [0, 1, 0, 1, 0, 0, 0, 60, 0, 0];
    let asked = question(&["a"], 1);
    let record = |name: &[u8]| [&head([1, 1, 0, 0])[..], &asked, name, &tail].concat();
    assert_eq!(detect(&record(&[0xc0, 12])), Detection::Match(Response));
    let here = 12 + asked.len() as u8;
    for name in
        [&[0xc0, here][..], &[0xc0, here + 2], &[1, b'x', 0xc0, here], &[0xc0, 200], &[0xc0, 3], &[0x40, 0], &[0x80, 0]]
    {
        assert_eq!(detect(&record(name)), Detection::No, "{name:?}");
    }
    let long = "x".repeat(63);
    assert_eq!(detect(&query(1, &[&long, &long, &long, &long[..61]], 1)), Detection::Match(Request));
    assert_eq!(detect(&query(1, &[&long, &long, &long, &long], 1)), Detection::No, "256 bytes");
}

#[test]
fn other_datagrams_are_not_dns() {
    let mut update = query(1, &["a"], 6);
    update[2] = 0x28;
    let multicast = query(0, &["printer", "local"], 12);
    let mut unicast_wanted = query(0, &["printer", "test"], 12);
    let at = unicast_wanted.len() - 2;
    unicast_wanted[at] = 0x80;
    let announcement =
        [&[0, 0, 0x84, 0, 0, 0, 0, 1, 0, 0, 0, 0][..], &question(&["a", "local"], 1), &[0, 0, 0, 9, 0, 0]].concat();
    let others: [&[u8]; 10] = [
        &update,
        &multicast,
        &unicast_wanted,
        &announcement,
        b"",
        b"<14>Nov 23 syslog message of some length",
        b"metric.name:1|c|#tag:value,other:thing",
        &[0; 48],
        &[0x1b; 48],
        b"\xc3\0\0\0\x01\x08\x83\x94\xc8\xf0\x3e\x51\x57\x08\0\0\x44\x9e",
    ];
    for other in others {
        assert_eq!(detect(other), Detection::No, "{}", other.escape_ascii());
    }
}

#[test]
fn a_socket_that_speaks_something_else_is_given_up() {
    let mut wire = Wire::new(Role::Client);
    wire.data(Request, &query(1, &["a"], 1)).data(Response, b"what?").data(Response, b"what?").data(Response, b"what?");
    assert_eq!((wire.progress, wire.dropped().len()), (Progress::Continue, 0), "strays are no reason");
    wire.data(Response, b"what?");
    assert_eq!((wire.progress, wire.dropped()), (Progress::LostSync, vec![0]));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_datagrams_are_not_dns(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert_eq!(detect(&bytes), Detection::No);
    }

    #[test]
    fn no_datagram_makes_it_panic_or_grow(
        datagrams in prop::collection::vec((any::<bool>(), 0..10usize, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4)), 0..40),
        client: bool,
    ) {
        let captures = captures();
        let mut wire = Wire::new(if client { Role::Client } else { Role::Server });
        for (up, which, changes) in datagrams {
            let real = &captures[which].datagrams;
            let mut bytes = real[usize::from(!up) % real.len()].1.clone();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            wire.data(if up { Request } else { Response }, &bytes);
            prop_assert!(wire.parser.buffered() < 256 * 1024);
        }
        wire.end(End::Unwatched);
        let count = |f: fn(&Output) -> bool| wire.out.iter().filter(|o| f(o)).count();
        prop_assert_eq!(count(|o| matches!(o, Output::Started(_))), count(|o| !matches!(o, Output::Started(_))));
    }
}
