//! Batches of PostgreSQL: one statement, many rows, one exchange.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::End;
use wirespan_protocols::exchange::{Output, Reason, Value};

use crate::postgresql::{bind, connected, done, error, execute, message, parse, ready, row, sync};
use crate::wire::{TICK, Wire, int, text};

const SIZE: &str = "db.operation.batch.size";

fn insert() -> Vec<u8> {
    parse("s", "INSERT INTO t VALUES ($1)")
}

fn rows(n: usize) -> Vec<u8> {
    [bind("s"), execute()].concat().repeat(n)
}

fn one() -> Vec<u8> {
    [message(b'2', ""), done("INSERT 0 1")].concat()
}

fn prepared() -> Wire {
    let mut wire = connected();
    wire.request([insert(), sync()].concat()).response([message(b'1', ""), ready()].concat());
    wire
}

#[test]
fn a_batch_is_one_exchange_from_its_first_byte_to_its_last() {
    let mut wire = connected();
    let three = [bind(""), execute()].concat().repeat(3);
    wire.request([parse("", "INSERT INTO t VALUES ($1)"), three, sync()].concat());
    wire.response([message(b'1', ""), one()].concat()).response(one()).response([one(), ready()].concat());
    assert_eq!(wire.summary(), ["BATCH INSERT t"]);
    let exchange = wire.last();
    assert_eq!((exchange.end / TICK, int(exchange, SIZE)), (6, Some(3)));
    assert_eq!(text(exchange, "db.query.summary"), Some("BATCH INSERT t"));
    assert_eq!(text(exchange, "db.query.text"), Some("INSERT INTO t VALUES ($1)"));
    assert_eq!(text(exchange, "db.operation.name"), None, "it is not taken out of SQL");
    wire.request([bind(""), execute(), sync()].concat()).response([one(), ready()].concat());
    assert_eq!((wire.summary()[1].as_str(), int(wire.last(), SIZE)), ("INSERT t", None), "a sequence of its own");
}

#[test]
fn a_hundred_thousand_rows_are_one_exchange_in_whatever_pieces_they_come() {
    for (asked, answered) in [(8192, 8192), (4096, 3000), (100_000, 999)] {
        let mut wire = prepared();
        let batch = [rows(100_000), sync()].concat();
        let answers = [one().repeat(100_000), ready()].concat();
        let mut answers = answers.chunks(answered);
        for (n, piece) in batch.chunks(asked).enumerate() {
            wire.request(piece);
            if n % 40 == 39 {
                wire.response(answers.next().unwrap());
            }
            assert!(wire.parser.buffered() < 16 * 1024, "{}", wire.parser.buffered());
        }
        answers.for_each(|piece| {
            wire.response(piece);
        });
        assert_eq!((wire.summary()[1..].to_vec(), wire.dropped()), (vec!["BATCH INSERT t".to_owned()], 0));
        assert_eq!(int(wire.last(), SIZE), Some(100_000));
    }
}

#[test]
fn a_row_that_fails_is_told_with_its_place() {
    let mut wire = connected();
    wire.request([insert(), rows(4), sync()].concat());
    wire.response([message(b'1', ""), one(), one(), error("23505"), ready()].concat());
    assert_eq!(wire.summary(), ["BATCH INSERT t error 23505"]);
    assert_eq!(int(wire.last(), SIZE), Some(4));
    let [event] = &wire.last().events[..] else { panic!("{:?}", wire.last().events) };
    assert_eq!((&*event.name, event.time / TICK), ("wirespan.batch.failure", 4));
    let told: Vec<String> = event.attributes.iter().map(|a| format!("{}={:?}", a.key, a.value)).collect();
    let code = "Str(\"23505\")";
    assert_eq!(
        told,
        [
            "wirespan.batch.index=Int(2)".to_owned(),
            format!("db.response.status_code={code}"),
            format!("error.type={code}")
        ]
    );
}

#[test]
fn rows_behind_one_that_failed_count_though_nobody_runs_them() {
    let mut wire = prepared();
    wire.request(rows(3)).response([one(), error("23505")].concat()).request([rows(2), sync()].concat());
    wire.response(ready());
    assert_eq!(wire.summary()[1..], ["BATCH INSERT t error 23505"]);
    assert_eq!((int(wire.last(), SIZE), wire.dropped()), (Some(5), 0));
}

#[test]
fn a_call_that_is_alone_has_no_events() {
    let mut wire = prepared();
    wire.request([rows(1), sync()].concat()).response([error("23505"), ready()].concat());
    assert_eq!((wire.summary()[1].as_str(), &wire.last().events[..]), ("INSERT t error 23505", &[][..]));
}

#[test]
fn statements_that_differ_are_exchanges_of_their_own() {
    let mut wire = connected();
    let one = |sql: &str| [parse("", sql), bind(""), execute()].concat();
    let (a, b) = ("INSERT INTO a VALUES (1)", "INSERT INTO b VALUES (1)");
    wire.request([one(a), one(b), one(a), one(a), sync()].concat());
    let answer = [message(b'1', ""), message(b'2', ""), done("INSERT 0 1")].concat();
    wire.response(answer.repeat(3)).response([answer, ready()].concat());
    assert_eq!(wire.summary(), ["INSERT a", "INSERT b", "BATCH INSERT a"]);
    let ends: Vec<_> = wire.finished().iter().map(|e| e.end / TICK).collect();
    assert_eq!(ends, [4, 4, 5]);
}

#[test]
fn a_batch_of_a_statement_that_is_older_than_the_agent_is_named_by_what_the_server_says() {
    let mut wire = connected();
    wire.request([rows(3), sync()].concat()).response([one().repeat(3), ready()].concat());
    assert_eq!(wire.summary(), ["BATCH INSERT shop"]);
    assert_eq!((text(wire.last(), "db.operation.name"), int(wire.last(), SIZE)), (Some("BATCH INSERT"), Some(3)));
    wire.request([bind("x"), execute(), bind("y"), execute(), sync()].concat());
    wire.response([one().repeat(2), ready()].concat());
    assert_eq!(wire.summary()[1..], ["INSERT shop"; 2], "two names may be two statements");
}

#[test]
fn what_is_answered_before_the_client_goes_on_is_for_itself() {
    let mut wire = prepared();
    let flush = || message(b'H', "");
    for _ in 0..2 {
        wire.request([rows(1), flush()].concat()).response(one());
    }
    assert_eq!(wire.summary()[1..], ["INSERT t"; 2], "it is told as soon as it is answered");
    wire.request(sync()).response(ready());
    assert_eq!((wire.summary().len(), wire.dropped()), (3, 0));
}

#[test]
fn a_batch_longer_than_the_capture_is_whole() {
    for captured in [50, 60].into_iter().chain(200..260).chain([4000]) {
        let mut wire = prepared();
        let batch = [rows(300), sync()].concat();
        let (seen, hidden) = batch.split_at(captured);
        wire.operation(Request, seen, hidden.len() as u64).response([one().repeat(300), ready()].concat());
        assert_eq!(wire.summary()[1..], ["BATCH INSERT t"], "{captured}");
        assert_eq!((int(wire.last(), SIZE), wire.dropped()), (Some(300), 0));
        assert!(wire.parser.wants_requests() && !wire.parser.wants_more(), "nothing of the answers is hidden");
        wire.request([rows(1), sync()].concat()).response([one(), ready()].concat());
        assert_eq!(wire.summary()[2..], ["INSERT t"], "its name is known, and it goes on at once");
    }
}

#[test]
fn a_batch_of_many_operations_longer_than_the_capture_is_whole() {
    let mut wire = prepared();
    let batch = [rows(1000), sync()].concat();
    for piece in batch.chunks(8192) {
        wire.operation(Request, &piece[..piece.len().min(4096)], piece.len().saturating_sub(4096) as u64);
    }
    wire.response([one().repeat(1000), ready()].concat());
    assert_eq!((wire.summary()[1..].to_vec(), wire.dropped()), (vec!["BATCH INSERT t".to_owned()], 0));
    assert_eq!(int(wire.last(), SIZE), Some(1000));
}

#[test]
fn a_parameter_longer_than_the_capture_costs_nothing() {
    let mut wire = prepared();
    let large = message(b'B', [&b"\0s\0\0\0\0\x01\0\0\x27\x10"[..], &[b'x'; 10_000], b"\0\0"].concat());
    let call = [large, execute(), sync()].concat();
    wire.operation(Request, &call[..4096], (call.len() - 4096) as u64).response([one(), ready()].concat());
    assert_eq!((wire.summary()[1..].to_vec(), wire.dropped()), (vec!["INSERT t".to_owned()], 0));
    assert_eq!((int(wire.last(), SIZE), wire.last().end / TICK), (None, 6));
}

#[test]
fn another_statement_where_nobody_looked_is_not_taken_for_the_first() {
    let prepares = [message(b'1', ""), message(b'2', ""), done("INSERT 0 1"), ready()].concat();
    let deletes = [message(b'2', ""), done("DELETE 3"), ready()].concat();
    for (n, hidden) in [prepares, deletes].into_iter().enumerate() {
        let mut wire = prepared();
        wire.operation(Request, &rows(2), 100).response([one(), one()].concat()).response(one()).response(hidden);
        assert_eq!(wire.summary()[1..], ["BATCH INSERT t"]);
        assert_eq!((int(wire.last(), SIZE), wire.last().end / TICK), (Some(3), 7 + n as u64), "{n}");
    }
    let mut wire = prepared();
    wire.operation(Request, &rows(1), 100).response([one(), one(), one(), ready()].concat());
    assert_eq!(
        (wire.summary()[1..].to_vec(), int(wire.last(), SIZE)),
        (vec!["INSERT t".to_owned()], None),
        "no batch was seen"
    );
}

#[test]
fn sequences_where_nobody_looked_end_nothing_twice() {
    let mut wire = prepared();
    let hidden = [rows(8), sync(), rows(10), sync()].concat();
    wire.operation(Request, &rows(2), hidden.len() as u64);
    wire.response([one().repeat(10), ready(), one().repeat(10), ready()].concat());
    assert_eq!((wire.summary()[1..].to_vec(), int(wire.last(), SIZE)), (vec!["BATCH INSERT t".to_owned()], Some(10)));
    wire.request([rows(1), sync()].concat()).response([one(), ready()].concat());
    assert_eq!(wire.summary()[2..], ["INSERT t"]);
}

#[test]
fn a_lost_record_within_a_batch_costs_it_and_no_more() {
    let mut wire = prepared();
    wire.request(rows(2)).lose(Request, 400).request([rows(1), sync()].concat());
    wire.response([one().repeat(9), ready()].concat());
    assert_eq!(wire.summary().len(), 1, "what was lost may be anything");
    for _ in 0..12 {
        wire.request([rows(1), sync()].concat()).response([one(), ready()].concat());
    }
    assert_eq!(wire.summary()[1..].last().map(String::as_str), Some("INSERT shop"));
}

#[test]
fn answers_longer_than_the_capture_cost_the_batch_nothing() {
    let mut wire = prepared();
    wire.request([rows(2000), sync()].concat());
    let answers = [one().repeat(2000), ready()].concat();
    for piece in answers.chunks(16_000) {
        wire.operation(Response, &piece[..4000], piece.len() as u64 - 4000);
    }
    assert_eq!(wire.summary().len(), 1, "where it ends shows with the next");
    wire.request([rows(1), sync()].concat()).response([one(), ready()].concat());
    assert_eq!(wire.summary()[1..], ["BATCH INSERT t", "INSERT t"]);
    assert_eq!((int(wire.finished()[1], SIZE), wire.dropped()), (Some(2000), 0));
}

#[test]
fn a_batch_goes_on_behind_answers_longer_than_the_capture() {
    let mut wire = prepared();
    wire.request(rows(500)).operation(Response, &one().repeat(100), 200 * one().len() as u64);
    wire.request([rows(500), sync()].concat()).response([one().repeat(700), ready()].concat());
    wire.request([rows(1), sync()].concat()).response([one(), ready()].concat());
    assert_eq!(wire.summary()[1..], ["BATCH INSERT t", "INSERT t"]);
    assert_eq!((int(wire.finished()[1], SIZE), wire.dropped()), (Some(1000), 0));
}

#[test]
fn a_batch_whose_size_nobody_can_know_says_so() {
    let mut wire = prepared();
    wire.operation(Request, &rows(3), 5000).operation(Response, &one().repeat(100), 3000);
    wire.request([rows(1), sync()].concat()).response([one(), ready()].concat());
    assert_eq!((wire.summary()[1].as_str(), int(wire.finished()[1], SIZE)), ("BATCH INSERT t", None));
    let unknown = wire.finished()[1].attributes.iter().find(|a| a.key == "wirespan.unknown").map(|a| a.value.clone());
    assert_eq!(unknown, Some(Value::StrArray(vec![SIZE.into()])));
}

#[test]
fn what_is_asked_behind_a_batch_of_which_both_directions_are_hidden_is_told() {
    let mut wire = prepared();
    let batch = [rows(500), sync()].concat();
    let answers = [one().repeat(500), ready()].concat();
    // As a server reads and writes: eight kilobytes at a time, of which four are captured.
    let move_piece = |wire: &mut Wire, direction, piece: &[u8]| {
        let (seen, hidden) = piece.split_at(piece.len().min(4096));
        wire.operation(direction, seen, hidden.len() as u64);
    };
    let (asked, answered): (Vec<_>, Vec<_>) = (batch.chunks(8192).collect(), answers.chunks(8192).collect());
    move_piece(&mut wire, Request, asked[0]);
    move_piece(&mut wire, Response, answered[0]);
    move_piece(&mut wire, Request, asked[1]);
    move_piece(&mut wire, Response, answered[1]);
    wire.request(message(b'Q', "DELETE FROM t\0")).response([done("DELETE 500"), ready()].concat());
    assert_eq!((wire.summary()[1..].to_vec(), wire.dropped()), (vec!["BATCH INSERT t".into(), "DELETE t".into()], 0));
    assert_eq!(int(wire.finished()[1], SIZE), None, "rows and answers are hidden");
}

#[test]
fn a_batch_that_is_cut_off_fails() {
    let mut wire = prepared();
    wire.request([rows(3), sync()].concat()).response(one()).end(Response, End::Reset);
    assert_eq!(wire.summary()[1..], ["BATCH INSERT t error connection_reset"]);
}

#[test]
fn a_batch_of_selects_has_rows_of_its_own() {
    let mut wire = connected();
    let select = [bind(""), message(b'D', "P\0"), execute()].concat();
    wire.request([parse("", "SELECT a FROM t WHERE id = $1"), select.repeat(3), sync()].concat());
    let answer = [message(b'2', ""), message(b'n', ""), row(), row(), done("SELECT 2")].concat();
    wire.response([message(b'1', ""), answer.repeat(3), ready()].concat());
    assert_eq!((wire.summary(), int(wire.last(), SIZE)), (vec!["BATCH SELECT t".to_owned()], Some(3)));
}

#[test]
fn what_is_not_told_is_counted_once_with_its_reason() {
    let reasons = |wire: &Wire| -> Vec<Reason> {
        let reason = |o: &Output| if let Output::Dropped { reason, .. } = o { Some(*reason) } else { None };
        wire.out.iter().filter_map(reason).collect()
    };
    let mut wire = connected();
    let other = |sql: &str| [parse("", sql), bind(""), execute()].concat();
    // What is sent when the server has begun to pass over everything, a statement that is only prepared among it.
    wire.request(other("SELECT 1 FROM a")).response(error("42601"));
    wire.request([other("SELECT 2 FROM b"), insert(), sync()].concat()).response(ready());
    assert_eq!(
        (wire.summary(), reasons(&wire)),
        (vec!["SELECT a error 42601".to_owned()], vec![Reason::Unanswered; 2])
    );
    // Behind a loss, nothing can be told of a sequence.
    let mut wire = prepared();
    wire.request(rows(1)).lose(Request, 400).request([insert(), sync()].concat());
    assert_eq!(reasons(&wire), [Reason::Gap, Reason::Gap]);
    wire.response([one(), ready(), ready()].concat()).end(Response, End::Unwatched);
    assert_eq!(reasons(&wire).len(), 2, "each of them once");
}
