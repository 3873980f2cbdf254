//! memcached, line by line and frame by frame.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::{Detection, Progress, memcached::detect};

use crate::wire::{TICK, Wire, text};

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
