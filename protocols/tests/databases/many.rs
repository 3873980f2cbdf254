//! Many commands of Redis that are one exchange: pipelines, transactions.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::End;
use wirespan_protocols::exchange::{Output, Reason, Value};

use crate::redis::command;
use crate::wire::{TICK, Wire, int, text};

const SIZE: &str = "db.operation.batch.size";

fn wire() -> Wire {
    Wire::new("redis")
}

fn sets(n: usize) -> String {
    (0..n).map(|n| command(&["SET", &format!("key:{n}"), "secret"])).collect()
}

/// A connection that was seen to wait for its answers.
fn waiting() -> Wire {
    let mut wire = wire();
    wire.request(command(&["PING"])).response("+PONG\r\n");
    wire
}

fn dropped(wire: &Wire, why: Reason) -> usize {
    wire.out.iter().filter(|o| matches!(o, Output::Dropped { reason, .. } if *reason == why)).count()
}

fn batched(wire: &Wire) -> usize {
    wire.out.iter().filter(|o| matches!(o, Output::Batched { .. })).count()
}

#[test]
fn few_commands_are_an_exchange_each_and_many_are_one() {
    for (n, expected) in [(32, 32), (33, 1), (100, 1), (5000, 1)] {
        let mut wire = wire();
        wire.request(sets(n)).response("+OK\r\n".repeat(n));
        assert_eq!(wire.summary().len(), expected, "{n}");
        assert_eq!((wire.dropped(), batched(&wire)), (0, n - expected), "{n}: each is announced");
        let last = wire.last();
        if expected == 1 {
            assert_eq!((&*last.name, int(last, SIZE)), ("PIPELINE SET", Some(n as i64)));
            assert_eq!(text(last, "db.operation.name"), Some("PIPELINE SET"));
            assert_eq!(text(last, "db.query.text"), Some("SET ? ?"));
            assert_eq!(int(last, "wirespan.pipeline.size"), None);
        } else {
            assert_eq!((&*last.name, int(last, "wirespan.pipeline.size")), ("SET", Some(n as i64)));
        }
        wire.request(sets(1)).response("+OK\r\n");
        assert_eq!((&*wire.last().name, int(wire.last(), SIZE)), ("SET", None), "the next one is for itself");
    }
}

/// As redis-py writes them: commands in pieces that end with the first command beyond 6000 bytes.
fn pieces(n: usize) -> Vec<String> {
    let mut pieces = vec![String::new()];
    for n in 0..n {
        if pieces.last().is_some_and(|piece| piece.len() > 6000) {
            pieces.push(String::new());
        }
        pieces.last_mut().unwrap().push_str(&command(&["SET", &format!("key:{n}"), "a value of twenty by"]));
    }
    pieces
}

/// Writes, and a read of all their answers.
fn run(wire: &mut Wire, writes: &[impl AsRef<[u8]>], answers: usize) {
    for write in writes {
        wire.request(write);
    }
    wire.response("+OK\r\n".repeat(answers));
}

#[test]
fn a_pipeline_that_is_sent_in_several_writes_is_one() {
    let mut wire = waiting();
    run(&mut wire, &pieces(2000), 2000);
    assert!(pieces(2000).len() > 10);
    assert_eq!(wire.summary()[1..], ["PIPELINE SET"]);
    assert_eq!(int(wire.last(), SIZE), Some(2000));
    assert_eq!((wire.dropped(), batched(&wire)), (0, 1999));
    // The last piece may be of few commands, and a failure has its place in the whole.
    let few = (0..).find(|n| pieces(n + 130).len() == 2).unwrap() + 132;
    for write in pieces(few) {
        wire.request(write);
    }
    wire.response(["+OK\r\n".repeat(few - 1), "-ERR no\r\n".into()].concat());
    assert_eq!(
        (wire.summary()[2..].to_vec(), int(wire.last(), SIZE)),
        (vec!["PIPELINE SET error ERR".into()], Some(few as i64))
    );
    assert_eq!(wire.last().events[0].attributes[0].value, Value::Int(few as i64 - 1));
    run(&mut wire, &[sets(1)], 1);
    assert_eq!(wire.summary()[3..], ["SET"], "the next one is for itself");
}

#[test]
fn writes_that_end_within_a_command_go_on_with_the_next() {
    let all = sets(300);
    let mut wire = waiting();
    run(&mut wire, &all.as_bytes().chunks(4096).collect::<Vec<_>>(), 300);
    assert_eq!((wire.summary()[1..].to_vec(), int(wire.last(), SIZE)), (vec!["PIPELINE SET".into()], Some(300)));
}

#[test]
fn writes_that_nothing_cut_off_are_calls_of_their_own() {
    let many = |n: usize| pieces(n).concat();
    // Two requests' pipelines: of any size, of the very size, by another unit, with an answer in between.
    let mut wire = waiting();
    run(&mut wire, &[sets(50), sets(60)], 110);
    let full = pieces(2000)[1].clone();
    let in_one = full.matches("SET").count();
    run(&mut wire, &[&full, &full, &full], 3 * in_one);
    wire.request(&full);
    wire.threads[0] = 8;
    run(&mut wire, &[many(40)], in_one + 40);
    wire.request(&full).response("+OK\r\n");
    run(&mut wire, &[many(40)], in_one + 39);
    let sizes: Vec<_> = wire.finished()[1..].iter().map(|exchange| int(exchange, SIZE)).collect();
    let full = in_one as i64;
    assert_eq!(sizes, [50, 60, full, full, full, full, 40, full, 40].map(Some));
}

#[test]
fn few_commands_in_several_writes_are_an_exchange_each() {
    let value = "v".repeat(1500);
    let one = command(&["SET", "key", &value]);
    let mut wire = waiting();
    run(&mut wire, &[one.repeat(4), one.repeat(2)], 6);
    assert_eq!(wire.summary()[1..], ["SET"; 6]);
    let mut writes = vec![one.repeat(4); 9];
    writes.push(one.repeat(2));
    run(&mut wire, &writes, 38);
    assert_eq!((wire.summary()[7..].to_vec(), int(wire.last(), SIZE)), (vec!["PIPELINE SET".into()], Some(38)));
}

#[test]
fn a_pipeline_lasts_from_its_first_byte_to_its_last() {
    let mut wire = wire();
    wire.request(sets(60)).response("+OK\r\n".repeat(10)).response("+OK\r\n".repeat(50));
    let exchange = wire.last();
    assert_eq!((exchange.request.first.time / TICK, exchange.end / TICK, wire.summary().len()), (1, 3, 1));
    assert_eq!(wire.started()[0].id, exchange.id);
}

#[test]
fn commands_that_differ_are_all_named_in_the_text_once() {
    let mut wire = wire();
    let one = [command(&["GET", "a"]), command(&["SET", "a", "secret"])].concat();
    wire.request(one.repeat(20)).response("$1\r\nx\r\n+OK\r\n".repeat(20));
    let exchange = wire.last();
    assert_eq!((&*exchange.name, int(exchange, SIZE)), ("PIPELINE", Some(40)));
    assert_eq!(text(exchange, "db.query.text"), Some("GET ?; SET ? ?"));
}

#[test]
fn commands_that_fail_are_told_with_their_places() {
    let mut wire = wire();
    wire.request(sets(40));
    wire.response(["+OK\r\n".repeat(7), "-WRONGTYPE no\r\n".into(), "+OK\r\n".repeat(30)].concat());
    wire.response("-ERR no\r\n+OK\r\n");
    assert_eq!(wire.summary(), ["PIPELINE SET error WRONGTYPE"]);
    assert_eq!(text(wire.last(), "db.response.status_code"), Some("WRONGTYPE"));
    let told: Vec<_> = wire.last().events.iter().map(|e| (e.time / TICK, e.attributes[0].value.clone())).collect();
    assert_eq!(told, [(2, Value::Int(7)), (3, Value::Int(38))]);
    assert_eq!(wire.last().events[1].attributes[2].value, Value::Str("ERR".into()));
}

#[test]
fn however_many_fail_few_are_told() {
    let mut wire = wire();
    wire.request(sets(1000)).response("-ERR no\r\n".repeat(1000));
    assert_eq!((wire.last().events.len(), int(wire.last(), SIZE)), (16, Some(1000)));
}

#[test]
fn a_database_selected_within_a_pipeline_is_known() {
    let mut wire = wire();
    wire.request([command(&["SELECT", "5"]), sets(50)].concat()).response("+OK\r\n".repeat(51));
    wire.request(sets(1)).response("+OK\r\n");
    assert_eq!(text(wire.last(), "db.namespace"), Some("5"));
}

#[test]
fn a_pipeline_longer_than_the_capture_is_whole() {
    let mut wire = waiting();
    let all = sets(200);
    wire.operation(Request, &all.as_bytes()[..4096], (all.len() - 4096) as u64);
    assert!(wire.parser.wants_requests() && !wire.parser.wants_more(), "nothing of the answers is hidden");
    wire.response("+OK\r\n".repeat(150)).response("+OK\r\n".repeat(50));
    assert_eq!(wire.summary().len(), 1, "whether more comes shows with the next");
    wire.request(sets(1)).response("+OK\r\n");
    assert_eq!(wire.summary()[1..], ["PIPELINE", "SET"], "what the others were nobody saw");
    let exchange = wire.finished()[1].clone();
    assert_eq!((int(&exchange, SIZE), exchange.end / TICK), (Some(200), 5));
    assert_eq!(text(&exchange, "db.query.text"), Some("SET ? ?; ..."));
    assert_eq!(wire.dropped(), 0);
}

#[test]
fn a_value_longer_than_the_capture_costs_nothing() {
    let mut wire = waiting();
    let large = command(&["SET", "large", &"x".repeat(20_000)]);
    wire.operation(Request, &large.as_bytes()[..4096], (large.len() - 4096) as u64).response("+OK\r\n");
    wire.request(command(&["GET", "large"]));
    let reply = format!("$20000\r\n{}\r\n", "x".repeat(20_000));
    wire.operation(Response, &reply.as_bytes()[..4096], (reply.len() - 4096) as u64);
    assert_eq!((wire.summary()[1..].to_vec(), wire.dropped()), (vec!["SET".into(), "GET".to_owned()], 0));
}

#[test]
fn a_pipeline_behind_a_command_that_is_not_answered_yet_is_dropped_if_its_end_is_hidden() {
    let mut wire = waiting();
    wire.request(command(&["BLPOP", "queue", "5"])).operation(Request, sets(60).as_bytes(), 900);
    wire.response("*-1\r\n").response("+OK\r\n".repeat(90));
    assert_eq!(wire.summary(), ["PING", "BLPOP"]);
    assert_eq!(dropped(&wire, Reason::Gap), 1, "its end is unknown");
}

#[test]
fn replies_longer_than_the_capture_cost_a_pipeline_nothing() {
    let mut wire = waiting();
    let gets: String = (0..100).map(|n| command(&["GET", &n.to_string()])).collect();
    let reply = format!("$300\r\n{}\r\n", "x".repeat(300)).repeat(100);
    wire.request(gets);
    for piece in reply.as_bytes().chunks(16_000) {
        wire.operation(Response, &piece[..4096.min(piece.len())], piece.len().saturating_sub(4096) as u64);
    }
    wire.request(command(&["GET", "x"])).response("$-1\r\n");
    assert_eq!(wire.summary()[1..], ["PIPELINE GET", "GET"]);
    assert_eq!(int(wire.finished()[1], SIZE), Some(100));
}

#[test]
fn a_pipeline_that_is_cut_off_fails() {
    let mut wire = waiting();
    wire.request(sets(50)).response("+OK\r\n".repeat(20)).end(Response, End::Reset);
    assert_eq!(wire.summary()[1..], ["PIPELINE SET error connection_reset"]);
}

#[test]
fn a_transaction_is_one_exchange_in_whatever_pieces_it_is_sent() {
    let commands = [command(&["MULTI"]), command(&["INCR", "a"]), command(&["INCR", "b"]), command(&["EXEC"])];
    let replies = ["+OK\r\n", "+QUEUED\r\n", "+QUEUED\r\n", "*2\r\n:1\r\n:2\r\n"];
    let mut at_once = waiting();
    at_once.request(commands.concat()).response(replies.concat());
    let mut one_by_one = waiting();
    for (command, reply) in commands.iter().zip(replies) {
        one_by_one.request(command).response(reply);
    }
    for wire in [&at_once, &one_by_one] {
        assert_eq!((wire.summary()[1..].to_vec(), wire.dropped()), (vec!["MULTI INCR".to_owned()], 0));
        let exchange = wire.last();
        assert_eq!((int(exchange, SIZE), text(exchange, "db.query.text")), (Some(2), Some("INCR ?")));
    }
    assert_eq!((at_once.last().end / TICK, one_by_one.last().end / TICK), (4, 10));
    one_by_one.request(sets(1)).response("+OK\r\n");
    assert_eq!((&*one_by_one.last().name, one_by_one.dropped()), ("SET", 0), "it is counted on");
}

#[test]
fn a_transaction_of_one_command_is_no_batch_and_one_of_none_has_no_size() {
    let mut wire = waiting();
    wire.request([command(&["MULTI"]), command(&["INCR", "a"]), command(&["EXEC"])].concat());
    wire.response("+OK\r\n+QUEUED\r\n*1\r\n:1\r\n");
    assert_eq!((&*wire.last().name, int(wire.last(), SIZE)), ("MULTI INCR", None));
    wire.request([command(&["MULTI"]), command(&["DISCARD"])].concat()).response("+OK\r\n+OK\r\n");
    assert_eq!((&*wire.last().name, int(wire.last(), SIZE)), ("MULTI", Some(0)));
}

#[test]
fn what_fails_within_a_transaction_is_told() {
    let mut wire = waiting();
    let commands = [command(&["MULTI"]), sets(2), command(&["LPUSH", "a", "secret"]), command(&["EXEC"])].concat();
    wire.request(commands).response("+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n+OK\r\n+OK\r\n-WRONGTYPE no\r\n");
    assert_eq!(wire.summary()[1..], ["MULTI error WRONGTYPE"]);
    assert_eq!(wire.last().events.len(), 1);
    assert_eq!(wire.last().events[0].attributes[0].value, Value::Int(2));
    wire.request([command(&["MULTI"]), command(&["SET", "a"]), command(&["EXEC"])].concat());
    wire.response("+OK\r\n-ERR wrong number\r\n-EXECABORT no\r\n");
    assert_eq!((wire.summary()[2].as_str(), wire.last().events.len()), ("MULTI SET error ERR", 2));
}

#[test]
fn a_transaction_on_a_database_of_its_own_changes_what_follows() {
    let mut wire = waiting();
    let commands = [command(&["MULTI"]), command(&["SELECT", "5"]), command(&["INCR", "a"]), command(&["EXEC"])];
    wire.request(commands.concat()).response("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n:1\r\n");
    wire.request(sets(1)).response("+OK\r\n");
    assert_eq!(text(wire.last(), "db.namespace"), Some("5"));
}

#[test]
fn a_loss_within_a_transaction_costs_it_and_no_more() {
    let mut wire = waiting();
    wire.request(command(&["MULTI"])).response("+OK\r\n");
    wire.lose(Request, 40).lose(Response, 9);
    wire.request(command(&["EXEC"])).response("*1\r\n:1\r\n");
    for _ in 0..3 {
        wire.request(sets(1)).response("+OK\r\n");
    }
    assert!(wire.summary()[1..].iter().all(|name| name == "SET" || name == "EXEC"), "{:?}", wire.summary());
    assert_eq!(wire.summary().last().map(String::as_str), Some("SET"));
}

#[test]
fn nothing_grows_with_the_length_of_a_transaction_or_a_pipeline() {
    let mut wire = waiting();
    wire.request(command(&["MULTI"]));
    for _ in 0..20 {
        wire.request(command(&["SELECT", "1"]).repeat(1000));
    }
    assert!(wire.parser.buffered() < 32 * 1024, "{}", wire.parser.buffered());
    let mut wire = waiting();
    wire.request(sets(200_000));
    assert!(wire.parser.buffered() < 32 * 1024, "{}", wire.parser.buffered());
}
