//! memcached, line by line and frame by frame.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::exchange::Value;
use wirespan_protocols::{Detection, End, Progress, memcached::detect};

use crate::wire::{TICK, Wire, int, text};

fn wire() -> Wire {
    Wire::new("memcached")
}

fn frame(magic: u8, opcode: u8, status: u16, opaque: u32, body: usize) -> Vec<u8> {
    let mut head = vec![magic, opcode, 0, body.min(3) as u8, 0, 0];
    head.extend(status.to_be_bytes());
    head.extend((body as u32).to_be_bytes());
    head.extend(opaque.to_be_bytes());
    head.extend([0; 8]);
    head.extend(vec![b'x'; body]);
    head
}

#[test]
fn a_command_says_what_the_conventions_ask_for() {
    let mut wire = wire();
    wire.request("set user:17 0 60 6\r\nsecret\r\n").response("STORED\r\n");
    let exchange = wire.last();
    assert_eq!((&*exchange.name, text(exchange, "db.system.name")), ("set", Some("memcached")));
    assert_eq!(text(exchange, "db.operation.name"), Some("set"));
    assert_eq!(text(exchange, "db.query.text"), Some("set ? ? ? ?"));
    assert!(!format!("{exchange:?}").contains("secret"));
}

#[test]
fn values_end_with_end() {
    let mut wire = wire();
    wire.request("get a b\r\n").response("VALUE a 0 5\r\nEND\r\n\r\n").response("VALUE b 0 1\r\nx\r\nEND\r\n");
    wire.request("get a\r\n").response("END\r\n");
    assert_eq!((wire.summary(), wire.finished()[0].end), (vec!["get".to_owned(); 2], 3 * TICK));
}

#[test]
fn data_is_skipped_to_the_byte() {
    let mut wire = wire();
    wire.operation(Request, b"set a 0 0 100000\r\nabc", 99_997 + 2).response("STORED\r\n");
    wire.request("get a\r\n").operation(Response, b"VALUE a 0 100000\r\nabc", 99_997).response("\r\nEND\r\n");
    wire.request("incr a 1\r\n").response("CLIENT_ERROR cannot increment\r\n");
    assert_eq!(
        (wire.summary(), wire.dropped()),
        (vec!["set".into(), "get".into(), "incr error CLIENT_ERROR".into()], 0)
    );
}

#[test]
fn commands_that_want_no_answer_get_none() {
    let mut wire = wire();
    wire.request("set a 0 0 1 noreply\r\nx\r\nget a\r\n").response("VALUE a 0 1\r\nx\r\nEND\r\n");
    assert_eq!(wire.summary(), ["set", "get"]);
    assert!(wire.finished()[0].response.is_none());
}

#[test]
fn an_answer_that_may_be_a_quiet_commands_is_nobodys() {
    let mut wire = wire();
    wire.request("mg a v q\r\nmg b v\r\n").response("VA 1\r\nx\r\n");
    assert_eq!((wire.summary(), wire.dropped()), (vec!["mg".to_owned()], 1));
    wire.request("mg a v q\r\nmn\r\n").response("VA 1\r\nx\r\nMN\r\n");
    assert_eq!(wire.summary(), ["mg", "mg", "mn"]);
}

#[test]
fn frames_are_paired_by_opcode_and_mark() {
    let mut wire = wire();
    wire.request([frame(0x80, 0x09, 0, 1, 3), frame(0x80, 0x09, 0, 2, 3), frame(0x80, 0x0a, 0, 3, 0)].concat());
    wire.response([frame(0x81, 0x09, 0, 2, 9), frame(0x81, 0x0a, 0, 3, 0)].concat());
    assert_eq!(wire.summary(), ["get", "get", "noop"]);
    assert!(wire.finished()[0].response.is_none() && wire.finished()[1].response.is_some());
    wire.request(frame(0x80, 0x01, 0, 4, 3)).response(frame(0x81, 0x01, 0x82, 4, 0));
    wire.request(frame(0x80, 0x00, 0, 5, 3)).response(frame(0x81, 0x00, 1, 5, 0));
    assert_eq!(wire.summary()[3..], ["set error 130", "get"]);
}

#[test]
fn statistics_end_with_an_empty_frame() {
    let mut wire = wire();
    wire.request(frame(0x80, 0x10, 0, 1, 0))
        .response([frame(0x81, 0x10, 0, 1, 9), frame(0x81, 0x10, 0, 1, 9)].concat());
    assert!(wire.finished().is_empty());
    wire.response(frame(0x81, 0x10, 0, 1, 0));
    assert_eq!(wire.summary(), ["stats"]);
}

#[test]
fn what_is_no_memcached_loses_sync() {
    for bytes in [&b"GET / HTTP/1.1\r\n"[..], b"get \x01\r\n", b"\0\0\0\0\n"] {
        let mut wire = wire();
        wire.request(bytes);
        assert_eq!(wire.progress, Progress::LostSync, "{}", bytes.escape_ascii());
    }
}

#[test]
fn it_is_recognised_by_whole_lines_and_heads() {
    let (request, response) = (Detection::Match(Request), Detection::Match(Response));
    for (bytes, expected) in [
        (b"get a b c\r\n".to_vec(), request),
        (b"set a 0 0 5\r\nhello\r\n".to_vec(), request),
        (b"cas a 0 0 5 7 noreply\r\n".to_vec(), request),
        (b"mg key v\r\n".to_vec(), request),
        (b"VALUE a 0 5\r\nhello\r\nEND\r\n".to_vec(), response),
        (b"STORED\r\n".to_vec(), response),
        (frame(0x80, 1, 0, 0, 3), request),
        (frame(0x81, 1, 0, 0, 0), response),
        (b"set a 0 0\r\n".to_vec(), Detection::No),
        (b"set a b c d\r\n".to_vec(), Detection::No),
        (b"get\r\n".to_vec(), Detection::No),
        (b"GET a\r\n".to_vec(), Detection::No),
        (b"quit\r\n".to_vec(), Detection::No),
        (b"help\r\n".to_vec(), Detection::No),
        (b"OK\r\n".to_vec(), Detection::No),
        (b"END\r\n".to_vec(), Detection::No),
        (b"gets".to_vec(), Detection::NeedMore),
        (b"HTTP/1.1 200 OK\r\n".to_vec(), Detection::No),
    ] {
        assert_eq!(detect(&bytes), expected, "{}", bytes.escape_ascii());
    }
}

const SIZE: &str = "db.operation.batch.size";

fn sets(n: usize) -> String {
    (0..n).map(|n| format!("set key:{n} 0 0 6\r\nsecret\r\n")).collect()
}

#[test]
fn few_commands_are_an_exchange_each_and_many_are_one() {
    for (n, expected) in [(32, 32), (33, 1), (100, 1), (2000, 1)] {
        let mut wire = wire();
        wire.request(sets(n)).response("STORED\r\n".repeat(n));
        assert_eq!(wire.summary().len(), expected, "{n}");
        assert_eq!(wire.dropped(), 0, "{n}");
        let last = wire.last();
        if expected == 1 {
            assert_eq!((&*last.name, int(last, SIZE)), ("PIPELINE set", Some(n as i64)));
            assert_eq!(text(last, "db.operation.name"), Some("PIPELINE set"));
            assert_eq!(text(last, "db.query.text"), Some("set ? ? ? ?"));
        } else {
            assert_eq!((&*last.name, int(last, SIZE)), ("set", None));
        }
        wire.request("get a\r\n").response("END\r\n");
        assert_eq!((&*wire.last().name, int(wire.last(), SIZE)), ("get", None), "the next one is for itself");
    }
}

#[test]
fn a_pipeline_lasts_to_its_last_answer_whatever_its_commands_are_answered_by() {
    let mut wire = wire();
    let answer = "STORED\r\nVALUE k 0 4\r\nEND\r\r\nEND\r\nVA 1\r\nx\r\nMN\r\n";
    wire.request("set k 0 0 1\r\nx\r\nget k\r\nmg k v\r\nmn\r\n".repeat(10));
    wire.response(answer.repeat(9)).response(answer.split_at(40).0).response(answer.split_at(40).1);
    let exchange = wire.last();
    assert_eq!((&*exchange.name, int(exchange, SIZE)), ("PIPELINE", Some(40)));
    assert_eq!(text(exchange, "db.query.text"), Some("set ? ? ? ?; get ?; mg ? ?; mn"));
    assert_eq!((exchange.request.first.time / TICK, exchange.end / TICK, wire.summary().len()), (1, 4, 1));
}

#[test]
fn commands_of_a_pipeline_that_fail_are_told_with_their_places() {
    let mut wire = wire();
    wire.request(sets(40));
    wire.response(["STORED\r\n".repeat(7), "SERVER_ERROR no\r\n".into(), "STORED\r\n".repeat(30)].concat());
    wire.response("CLIENT_ERROR no\r\nSTORED\r\n");
    assert_eq!(wire.summary(), ["PIPELINE set error SERVER_ERROR"]);
    let told: Vec<_> = wire.last().events.iter().map(|e| (e.time / TICK, e.attributes[0].value.clone())).collect();
    assert_eq!(told, [(2, Value::Int(7)), (3, Value::Int(38))]);
    wire.request(sets(1000)).response("ERROR\r\n".repeat(1000));
    assert_eq!((wire.last().events.len(), int(wire.last(), SIZE)), (16, Some(1000)));
}

#[test]
fn a_pipeline_beyond_the_capture_is_counted_by_its_answers() {
    let seen = sets(40);
    let mut wire = wire();
    wire.request("get a\r\n").response("END\r\n");
    wire.operation(Request, seen.as_bytes(), (sets(100).len() - seen.len()) as u64).response("STORED\r\n".repeat(100));
    wire.request("get a\r\n").response("END\r\n");
    assert_eq!(wire.summary(), ["get", "PIPELINE", "get"]);
    let exchange = &wire.finished()[1];
    assert_eq!((int(exchange, SIZE), text(exchange, "db.query.text")), (Some(100), Some("set ? ? ? ?; ...")));
    assert_eq!(wire.dropped(), 0);
}

#[test]
fn how_many_a_pipeline_has_is_unknown_if_that_may_be_hidden() {
    let seen = "set k 0 0 1\r\nx\r\nmn\r\n".repeat(20);
    let mut wire = wire();
    wire.request("get a\r\n").response("END\r\n");
    wire.operation(Request, seen.as_bytes(), seen.len() as u64).response("STORED\r\nMN\r\n".repeat(40));
    wire.request("get a\r\n").response("END\r\n");
    assert_eq!((wire.summary().len(), int(wire.finished()[1], SIZE)), (3, None));
    let unknown = Value::StrArray(vec!["db.operation.name".into(), SIZE.into()]);
    assert!(wire.finished()[1].attributes.iter().any(|a| a.key == "wirespan.unknown" && a.value == unknown));
}

#[test]
fn what_wants_no_answer_is_no_part_of_a_pipeline() {
    let mut wire = wire();
    let silent = "set k 0 0 1 noreply\r\nx\r\n";
    wire.request([silent.repeat(40), sets(20), silent.into(), sets(20)].concat()).response("STORED\r\n".repeat(40));
    assert_eq!((wire.summary().len(), wire.dropped()), (1 + 20 + 1 + 20, 0));
}

#[test]
fn a_pipeline_whose_server_goes_away_fails_as_one() {
    let mut wire = wire();
    wire.request(sets(50)).response("STORED\r\n".repeat(20)).end(Response, End::Reset);
    assert_eq!((wire.summary().len(), int(wire.last(), SIZE)), (1, Some(50)));
    assert!(text(wire.last(), "error.type").is_some());
}

fn silent_sets(n: usize) -> String {
    (0..n).map(|n| format!("set key:{n} 0 0 6 noreply\r\nsecret\r\n")).collect()
}

#[test]
fn few_commands_that_nothing_answers_are_an_exchange_each_and_many_are_one() {
    for (n, expected) in [(1, 1), (32, 32), (33, 1), (500, 1)] {
        let mut wire = wire();
        wire.request(silent_sets(n));
        assert_eq!(wire.summary().len(), expected, "{n}");
        let last = wire.last().clone();
        assert_eq!(
            (last.request.first.time, last.end, last.response),
            (TICK, TICK, None),
            "it ends with its own sending"
        );
        let batch = expected < n;
        assert_eq!(
            (&*last.name, int(&last, SIZE)),
            if batch { ("PIPELINE set", Some(n as i64)) } else { ("set", None) }
        );
        assert_eq!(text(&last, "db.query.text"), Some("set ? ? ? ? ?"));
        wire.request("get a\r\n").response("END\r\n");
        assert_eq!((&*wire.last().name, int(wire.last(), SIZE)), ("get", None), "the next one is for itself");
    }
}

#[test]
fn what_is_answered_ends_those_that_are_not() {
    let mut wire = wire();
    wire.request([silent_sets(40), "get a\r\n".to_owned(), silent_sets(2)].concat()).response("END\r\n");
    assert_eq!(wire.summary(), ["PIPELINE set", "set", "set", "get"]);
    assert_eq!(int(wire.finished()[0], SIZE), Some(40));
    assert_eq!(wire.dropped(), 0);
}

#[test]
fn how_many_wait_for_no_answer_is_unknown_where_they_are_cut() {
    let mut wire = wire();
    let all = silent_sets(500);
    wire.operation(Request, &all.as_bytes()[..4096], (all.len() - 4096) as u64);
    assert_eq!((wire.summary(), int(wire.last(), SIZE)), (vec!["PIPELINE".to_owned()], None));
}
