//! Many rows of MySQL and MariaDB that are one exchange.

use wirespan_protocols::End;
use wirespan_protocols::exchange::{Output, Value};

use crate::mysql::{column, eof, error, ok, packet, query, wire};
use crate::wire::{TICK, Wire, int, text, value};

const SIZE: &str = "db.operation.batch.size";

/// A connection with the statement 7: `INSERT INTO t VALUES (?, ?)`.
fn prepared() -> Wire {
    let mut wire = wire();
    wire.request(packet(0, b"\x16INSERT INTO t VALUES (?, ?)"));
    let described = packet(1, [0, 7, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    wire.response([described, column(2), column(3), eof(4, 2)].concat());
    wire
}

fn execute(statement: u8) -> Vec<u8> {
    packet(0, [0x17, statement, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 0, 1, 0, 0, 0])
}

/// A bulk of rows of a number and a text, with types or without; each third text is null.
fn bulk(rows: u32, types: bool) -> Vec<u8> {
    let mut body = vec![0xfa, 7, 0, 0, 0, if types { 128 } else { 0 }, 0];
    body.extend(if types { &[3, 0, 15, 0][..] } else { &[] });
    for row in 0..rows {
        body.push(0);
        body.extend(row.to_le_bytes());
        body.extend(if row % 3 == 2 { &b"\x01"[..] } else { b"\0\x06secret" });
    }
    packet(0, body)
}

fn batched(wire: &Wire) -> usize {
    wire.out.iter().filter(|o| matches!(o, Output::Batched { .. })).count()
}

/// What came after the statement was prepared: names, sizes.
fn seen(wire: &Wire) -> Vec<(String, Option<i64>)> {
    wire.finished()[1..].iter().map(|e| (e.name.to_string(), int(e, SIZE))).collect()
}

#[test]
fn a_bulk_says_how_many_rows_it_brings() {
    let mut wire = prepared();
    for (rows, types) in [(1000, true), (3, false), (1, false)] {
        wire.request(bulk(rows, types)).response(ok(1, 2));
    }
    let batch = || "BATCH INSERT t".to_owned();
    assert_eq!(seen(&wire), [(batch(), Some(1000)), (batch(), Some(3)), ("INSERT t".to_owned(), None)]);
    let first = wire.finished()[1].clone();
    assert_eq!(text(&first, "db.query.summary"), Some("BATCH INSERT t"));
    assert_eq!(text(&first, "db.query.text"), Some("INSERT INTO t VALUES (?, ?)"));
    assert!(!format!("{:?}", wire.out).contains("secret"));
}

/// As MariaDB's connector for C does, and so Python's: the statement is the one that was prepared last.
#[test]
fn a_bulk_that_is_sent_with_its_preparation_says_how_many_rows_it_brings() {
    let last = |rows: u32| {
        let mut sent = bulk(rows, true);
        sent[5..9].copy_from_slice(&[0xff; 4]);
        sent
    };
    let mut wire = wire();
    for number in [7, 8] {
        wire.request([packet(0, b"\x16INSERT INTO t VALUES (?, ?)"), last(200)].concat());
        let described = packet(1, [0, number, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
        wire.response([described, column(2), column(3), eof(4, 2), ok(1, 2)].concat());
        wire.request(last(3)).response(ok(1, 2));
    }
    let sizes: Vec<_> = wire.finished().iter().map(|exchange| int(exchange, SIZE)).collect();
    assert_eq!(sizes, [None, Some(200), Some(3), None, Some(200), Some(3)]);
    assert_eq!(wire.last().name, "BATCH INSERT t");
    assert!(!format!("{:?}", wire.out).contains("secret"));
}

#[test]
fn a_bulk_of_which_not_all_was_captured_is_a_batch_of_unknown_size() {
    let mut wire = prepared();
    let all = bulk(9000, true);
    wire.operation(wirespan_protocols::Direction::Request, &all[..30_000], (all.len() - 30_000) as u64);
    wire.response(ok(1, 2));
    assert_eq!(seen(&wire), [("BATCH INSERT t".to_owned(), None)]);
    assert_eq!(value(wire.last(), "wirespan.unknown"), Some(&Value::StrArray(vec![SIZE.into()])));
    wire.request(bulk(2, false)).response(ok(1, 2));
    assert_eq!(seen(&wire)[1].1, Some(2), "of which types its values are was said");
}

#[test]
fn a_bulk_that_fails_fails_once() {
    let mut wire = prepared();
    wire.request(bulk(5, true)).response(error(1));
    assert_eq!(wire.summary()[1..], ["BATCH INSERT t error 1062"]);
    assert_eq!(int(wire.last(), SIZE), Some(5));
}

#[test]
fn few_commands_that_do_not_wait_are_an_exchange_each_and_many_are_one() {
    for (n, expected) in [(2, 2), (32, 32), (33, 1), (500, 1)] {
        let mut wire = prepared();
        wire.request(execute(7).repeat(n)).response(ok(1, 2).repeat(n));
        assert_eq!(seen(&wire).len(), expected, "{n}");
        assert_eq!((wire.dropped(), batched(&wire)), (0, if expected == 1 { n - 1 } else { 0 }), "{n}");
        if expected == 1 {
            assert_eq!(seen(&wire), [("BATCH INSERT t".to_owned(), Some(n as i64))]);
        } else {
            assert_eq!(seen(&wire)[n - 1], ("INSERT t".to_owned(), None));
        }
        wire.request(execute(7)).response(ok(1, 2));
        assert_eq!(seen(&wire).last(), Some(&("INSERT t".to_owned(), None)), "the next one is for itself");
    }
}

/// Each command goes out by itself, and another thread reads what is answered meanwhile.
fn side_by_side(wire: &mut Wire, commands: usize, command: impl Fn(usize) -> Vec<u8>) {
    for n in 0..commands {
        wire.request(command(n));
        if n > 2 {
            wire.response(ok(1, 2));
        }
    }
    wire.response(ok(1, 2).repeat(commands.min(3)));
}

#[test]
fn a_batch_is_one_although_some_of_it_is_answered_before_all_is_asked_for() {
    let mut wire = prepared();
    wire.threads = [7, 8];
    side_by_side(&mut wire, 200, |_| execute(7));
    assert_eq!(seen(&wire), [("BATCH INSERT t".to_owned(), Some(200))]);
    let batch = wire.last();
    assert_eq!((batch.request.first.time, batch.end), (3 * TICK, wire.time), "from the first byte to the last");
    assert_eq!(batch.response.expect("answers").first.time, 7 * TICK);
    assert_eq!(wire.dropped(), 0);
}

#[test]
fn few_that_are_answered_meanwhile_end_when_they_did() {
    let mut wire = prepared();
    wire.threads = [7, 8];
    side_by_side(&mut wire, 20, |_| execute(7));
    assert_eq!(seen(&wire), vec![("INSERT t".to_owned(), None); 20]);
    let ends: Vec<_> = wire.finished()[1..].iter().map(|e| e.end / TICK).collect();
    assert!(ends.is_sorted() && ends[0] == 7 && ends[16] < ends[17], "{ends:?}");
}

#[test]
fn texts_that_differ_in_their_values_are_a_batch_and_other_texts_are_not() {
    let mut wire = prepared();
    wire.threads = [7, 8];
    side_by_side(&mut wire, 100, |n| query(&format!("INSERT INTO t VALUES ({n}, 'secret')")));
    assert_eq!(seen(&wire), [("BATCH INSERT t".to_owned(), Some(100))]);
    let mut wire = prepared();
    wire.threads = [7, 8];
    side_by_side(&mut wire, 100, |n| query(&format!("SELECT * FROM t{n}")));
    assert_eq!(seen(&wire).len(), 100);
}

#[test]
fn commands_of_a_thread_that_reads_answers_between_them_are_no_batch() {
    let mut wire = prepared();
    side_by_side(&mut wire, 200, |_| execute(7));
    assert_eq!(seen(&wire).len(), 200);
    assert_eq!((wire.dropped(), batched(&wire)), (0, 0));
}

#[test]
fn commands_of_several_threads_are_no_batch() {
    let mut wire = prepared();
    for n in 0..100 {
        wire.threads = [n, 1000];
        wire.request(execute(7));
    }
    wire.threads = [1000; 2];
    wire.response(ok(1, 2).repeat(100));
    assert_eq!((seen(&wire).len(), batched(&wire)), (100, 0));
}

#[test]
fn commands_that_wait_for_their_answers_are_no_batch() {
    let mut wire = prepared();
    wire.threads = [7, 8];
    for _ in 0..100 {
        wire.request(execute(7)).response(ok(1, 2));
    }
    assert_eq!((seen(&wire).len(), batched(&wire)), (100, 0));
}

#[test]
fn each_command_of_a_batch_that_fails_is_told() {
    let mut wire = prepared();
    wire.threads = [7, 8];
    wire.request(execute(7).repeat(20)).response([ok(1, 2), error(1)].concat());
    wire.request(execute(7).repeat(30)).response([error(1), ok(1, 2).repeat(46), error(1)].concat());
    assert_eq!(wire.summary()[1..], ["BATCH INSERT t error 1062"]);
    let index = |attribute: &wirespan_protocols::exchange::KeyValue| match attribute.value {
        Value::Int(index) => Some(index),
        _ => None,
    };
    let failed: Vec<_> = wire.last().events.iter().filter_map(|e| e.attributes.iter().find_map(index)).collect();
    assert_eq!((failed, int(wire.last(), SIZE)), (vec![1, 2, 49], Some(50)));
}

#[test]
fn another_command_ends_a_batch_and_waits_for_its_own_answer() {
    let mut wire = prepared();
    wire.threads = [7, 8];
    wire.request([execute(7).repeat(40), query("COMMIT")].concat()).response(ok(1, 2).repeat(40)).response(ok(1, 2));
    assert_eq!(seen(&wire), [("BATCH INSERT t".to_owned(), Some(40)), ("COMMIT".to_owned(), None)]);
    wire.request([execute(7).repeat(10), query("COMMIT")].concat()).response(ok(1, 2).repeat(11));
    assert_eq!(seen(&wire).len(), 13);
}

#[test]
fn a_batch_whose_connection_breaks_is_told_and_so_is_what_was_answered() {
    let mut wire = prepared();
    wire.threads = [7, 8];
    wire.request(execute(7).repeat(40))
        .response(ok(1, 2).repeat(9))
        .end(wirespan_protocols::Direction::Response, End::Reset);
    assert_eq!(wire.summary()[1..], ["BATCH INSERT t error connection_reset"]);
    let mut wire = prepared();
    wire.threads = [7, 8];
    wire.request(execute(7).repeat(4))
        .response(ok(1, 2).repeat(2))
        .end(wirespan_protocols::Direction::Response, End::Reset);
    let broken = "INSERT t error connection_reset";
    assert_eq!(wire.summary()[1..], ["INSERT t", "INSERT t", broken, broken]);
}
