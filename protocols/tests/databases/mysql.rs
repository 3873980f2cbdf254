//! MySQL, packet by packet.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::exchange::Status;
use wirespan_protocols::{Detection, End, Progress, mysql::detect};

use crate::wire::{TICK, Wire, int, text};

pub fn packet(sequence: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&(body.len() as u32).to_le_bytes()[..3], &[sequence], body].concat()
}

pub fn query(sql: &str) -> Vec<u8> {
    packet(0, [b"\x03", sql.as_bytes()].concat())
}

pub fn ok(sequence: u8, status: u8) -> Vec<u8> {
    packet(sequence, [0, 0, 0, status, 0, 0, 0])
}

pub fn error(sequence: u8) -> Vec<u8> {
    packet(sequence, b"\xff\x26\x04#23000Duplicate entry 'secret'")
}

pub fn eof(sequence: u8, status: u8) -> Vec<u8> {
    packet(sequence, [0xfe, 0, 0, status, 0])
}

pub fn column(sequence: u8) -> Vec<u8> {
    packet(sequence, b"\x03def\x04shop\x01t\x01t\x02id\x02id\x0c\x3f\0\x0b\0\0\0\x03\0\0\0\0\0")
}

/// A result set of one column and one row, as older clients want it.
pub fn result(status: u8) -> Vec<u8> {
    [packet(1, [1]), column(2), eof(3, 2), packet(4, b"\x011"), eof(5, status)].concat()
}

pub fn wire() -> Wire {
    Wire::new("mysql")
}

#[test]
fn a_query_says_what_the_conventions_ask_for() {
    let mut wire = wire();
    wire.request(query("SELECT * FROM orders WHERE name = \"secret\"")).response(result(2));
    let exchange = wire.last();
    assert_eq!(&*exchange.name, "SELECT orders");
    assert_eq!(text(exchange, "db.system.name"), Some("mysql"));
    assert_eq!(text(exchange, "db.query.text"), Some("SELECT * FROM orders WHERE name = ?"));
    assert_eq!(text(exchange, "db.query.summary"), Some("SELECT orders"));
    assert_eq!(exchange.end, 2 * TICK);
}

#[test]
fn an_error_has_its_number_and_its_sqlstate_and_nothing_of_its_text() {
    let mut wire = wire();
    wire.request(query("INSERT INTO t VALUES (1)")).response(error(1));
    assert_eq!(wire.summary(), ["INSERT t error 1062"]);
    assert_eq!(text(wire.last(), "db.response.status_code"), Some("1062"));
    assert_eq!(wire.last().status, Status::Error("SQLSTATE 23000".into()));
    assert!(!format!("{:?}", wire.last()).contains("secret"));
}

#[test]
fn result_sets_come_with_and_without_eof() {
    let mut wire = wire();
    let without = [packet(1, [1]), column(2), packet(3, b"\x011"), packet(4, [0xfe, 0, 0, 2, 0, 0, 0])].concat();
    wire.request(query("SELECT 1 FROM a")).response(without);
    wire.request(query("SELECT 1 FROM b")).response(result(2));
    wire.request(query("SELECT 1 FROM c")).response([packet(1, [1]), column(2), eof(3, 2), error(4)].concat());
    assert_eq!(wire.summary(), ["SELECT a", "SELECT b", "SELECT c error 1062"]);
}

#[test]
fn several_results_answer_one_command() {
    let mut wire = wire();
    wire.request(query("CALL p(1)")).response(result(8 | 2)).response(ok(6, 2));
    assert_eq!((wire.summary(), wire.last().end), (vec!["CALL p".to_owned()], 3 * TICK));
    assert_eq!(text(wire.last(), "db.stored_procedure.name"), Some("p"));
    wire.request(query("SELECT 1; SELECT 2")).response([result(8 | 2), result(2)].concat());
    assert_eq!(int(wire.last(), "db.operation.batch.size"), Some(2));
}

#[test]
fn prepared_statements_are_known_by_their_number() {
    let mut wire = wire();
    wire.request(packet(0, b"\x16SELECT id FROM t WHERE id = ?"));
    let described = packet(1, [0, 7, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]);
    wire.response([described, column(2), eof(3, 2), column(4), eof(5, 2)].concat());
    wire.request(packet(0, b"\x17\x07\0\0\0\0\x01\0\0\0\0\x01\x03\0\x01\0\0\0")).response(result(2));
    wire.request(packet(0, b"\x19\x07\0\0\0"));
    wire.request(packet(0, b"\x17\x07\0\0\0\0\x01\0\0\0")).response(error(1));
    wire.request(packet(0, b"\x17\x63\0\0\0\0\x01\0\0\0")).response(ok(1, 2));
    assert_eq!(wire.summary(), ["PREPARE", "SELECT t", "EXECUTE error 1062", "EXECUTE"]);
    assert_eq!(text(wire.finished()[1], "db.query.text"), Some("SELECT id FROM t WHERE id = ?"));
    assert_eq!(text(wire.finished()[3], "db.query.text"), None);
}

#[test]
fn a_cursors_rows_are_fetched_by_commands_of_their_own() {
    let mut wire = wire();
    let opened = [packet(1, [1]), column(2), eof(3, 0x42)].concat();
    wire.request(packet(0, b"\x17\x07\0\0\0\x01\x01\0\0\0")).response(opened);
    wire.request(packet(0, b"\x1c\x07\0\0\0\x0a\0\0\0")).response([packet(1, b"\0\0\x01"), eof(2, 0x82)].concat());
    assert_eq!(wire.summary(), ["EXECUTE", "FETCH"]);
}

#[test]
fn a_file_that_is_sent_is_no_command() {
    let mut wire = wire();
    wire.request(query("LOAD DATA LOCAL INFILE 'x' INTO TABLE t")).response(packet(1, b"\xfbx"));
    wire.request(packet(2, b"\x03SELECT 'not a query'")).request(packet(3, b"")).response(ok(4, 2));
    wire.request(query("SELECT 1 FROM a")).response(result(2));
    assert_eq!(wire.summary(), ["LOAD t", "SELECT a"]);
    assert_eq!(wire.finished()[0].request.last.time, 4 * TICK);
}

#[test]
fn the_database_is_the_one_that_was_selected_last() {
    let mut wire = wire();
    wire.request(packet(0, b"\x02other")).response(ok(1, 2));
    wire.request(query("SELECT 1")).response(result(2));
    wire.request(query("USE `third`")).response(ok(1, 2));
    wire.request(packet(0, b"\x02missing")).response(error(1));
    wire.request(packet(0, b"\x0e")).response(ok(1, 2));
    let found: Vec<_> = wire.finished().iter().map(|e| text(e, "db.namespace").unwrap_or("").to_owned()).collect();
    assert_eq!(found, ["", "other", "other", "third", "third"]);
    assert_eq!(wire.summary()[4], "PING third");
}

/// MySQL's greeting, with all that it can save compression and TLS, and a client's answer to it.
fn greeted(version: &str) -> [Vec<u8>; 2] {
    let capabilities: u32 = 0x01ff_f7df;
    let [a, b, c, d] = capabilities.to_le_bytes();
    let greeting = [
        &[10][..],
        version.as_bytes(),
        &[0, 8, 0, 0, 0],
        b"12345678\0",
        &[a, b, 0xff, 2, 0, c, d, 21],
        &[0; 10],
        b"123456789012\0caching_sha2_password\0",
    ];
    let introduction = [
        &[a, b, c & 0xdf, d, 0, 0, 0, 1, 0xff][..],
        &[0; 23],
        b"app\0\x20abcdefghijklmnopqrstuvwxyz012345shop\0caching_sha2_password\0",
    ];
    [packet(0, greeting.concat()), packet(1, introduction.concat())]
}

#[test]
fn proof_of_who_one_is_may_take_many_turns_and_makes_no_span() {
    let mut wire = wire();
    let [greeting, introduction] = greeted("8.4.2");
    wire.response(greeting).request(introduction);
    // caching_sha2_password without TLS: everything must be said, the server's key is asked for, then used.
    wire.response(packet(2, [1, 4])).request(packet(3, [2])).response(packet(4, b"\x01-----BEGIN PUBLIC KEY-----"));
    wire.request(packet(5, [0x17; 256])).response(packet(6, [0, 0, 0, 2, 0, 0, 0]));
    assert_eq!((wire.out.len(), wire.progress), (0, Progress::Continue));
    // The client has CLIENT_QUERY_ATTRIBUTES: their number comes before the text.
    wire.request(packet(0, b"\x03\0\x01SELECT 1 FROM t")).response(ok(1, 2));
    assert_eq!(wire.summary(), ["SELECT t"]);
    assert_eq!(text(wire.last(), "db.namespace"), Some("shop"));
    assert_eq!(text(wire.last(), "db.system.name"), Some("mysql"));
}

#[test]
fn another_way_to_prove_it_may_be_asked_for() {
    let mut wire = wire();
    let [greeting, introduction] = greeted("5.5.5-10.11.6-MariaDB");
    wire.response(greeting).request(introduction);
    wire.response(packet(2, b"\xfemysql_native_password\x0012345678901234567890\0")).request(packet(3, [7; 20]));
    wire.response(packet(4, [0, 0, 0, 2, 0, 0, 0])).request(packet(0, b"\x0e")).response(ok(1, 2));
    assert_eq!(wire.summary(), ["PING shop"]);
    assert_eq!(text(wire.last(), "db.system.name"), Some("mariadb"));
}

#[test]
fn a_server_that_refuses_makes_no_span() {
    let mut wire = wire();
    let [greeting, introduction] = greeted("8.4.2");
    wire.response(greeting).request(introduction);
    wire.response(packet(2, b"\xff\x15\x04#28000Access denied for user 'secret'")).end(Response, End::Finished);
    assert!(wire.out.is_empty(), "{:?}", wire.out);
    // It may refuse before it greets.
    let refusal = packet(0, b"\xff\x10\x04#08004Too many connections");
    let mut wire = Wire::new("mysql");
    wire.response(refusal).end(Response, End::Finished);
    assert!(wire.out.is_empty(), "{:?}", wire.out);
}

#[test]
fn rows_are_skipped_to_the_byte() {
    let mut wire = wire();
    let row = packet(4, vec![b'x'; 100_000]);
    let head = [packet(1, [1]), column(2), eof(3, 2), row[..100].to_vec()].concat();
    wire.request(query("SELECT 1 FROM a")).operation(Response, &head, row.len() as u64 - 100).response(eof(5, 2));
    wire.request(query("SELECT 1 FROM b")).response(error(1));
    assert_eq!(wire.summary(), ["SELECT a", "SELECT b error 1062"]);
    assert_eq!(wire.finished()[0].end, 3 * TICK);
}

#[test]
fn results_of_which_the_end_is_hidden_end_before_the_next_command() {
    let mut wire = wire();
    wire.request(query("SELECT 1 FROM a")).operation(Response, &result(2)[..30], 10_000).response("middle of a row");
    wire.request(query("SELECT 1 FROM b")).response(error(1));
    assert_eq!((wire.summary(), wire.dropped()), (vec!["SELECT a".into(), "SELECT b error 1062".into()], 0));
}

#[test]
fn the_backslash_follows_the_servers_mode() {
    let mut wire = wire();
    let mode = packet(1, [0, 0, 0, 2, 2, 0, 0]);
    wire.request(query("SET sql_mode = 'NO_BACKSLASH_ESCAPES'")).response(mode);
    wire.request(query(r"SELECT 'a\', secret")).response(result(2));
    assert_eq!(text(wire.last(), "db.query.text"), Some("SELECT ?, secret"));
}

#[test]
fn a_report_of_progress_is_no_error() {
    let mut wire = wire();
    let report = packet(1, b"\xff\xff\xff\x01\x01\x02\x00\x10\x00\x04copy");
    wire.request(query("ALTER TABLE t ADD x int")).response(report).response(ok(2, 2));
    assert_eq!((wire.summary(), wire.last().end), (vec!["ALTER TABLE t".to_owned()], 3 * TICK));
}

#[test]
fn a_server_that_reads_heads_by_themselves_is_found_again_after_a_loss() {
    let mut wire = wire();
    let exchange = |wire: &mut Wire, sql: &str| {
        let request = query(sql);
        wire.request(&request[..4]).request(&request[4..]).response(ok(1, 2));
    };
    exchange(&mut wire, "SELECT 1");
    wire.lose(Request, 13).response(ok(1, 2));
    exchange(&mut wire, "INSERT INTO probe VALUES (1)");
    exchange(&mut wire, "UPDATE t SET a = 1");
    assert_eq!(wire.summary(), ["SELECT", "UPDATE t"]);
    assert_eq!(wire.dropped(), 1);
}

#[test]
fn a_broken_connection_fails_the_query() {
    let mut wire = wire();
    wire.request(query("SELECT 1")).end(Response, End::Closed);
    assert_eq!(wire.summary(), ["SELECT error connection_closed"]);
}

#[test]
fn what_is_no_mysql_loses_sync() {
    for (direction, bytes) in [(Request, packet(0, [0x99])), (Request, packet(3, "x")), (Response, packet(1, ""))] {
        let mut wire = wire();
        if direction == Response {
            wire.request(query("SELECT 1"));
        }
        wire.operation(direction, &bytes, 0);
        assert_eq!(wire.progress, Progress::LostSync, "{}", bytes.escape_ascii());
    }
}

#[test]
fn it_is_recognised_from_any_packet_that_says_enough() {
    let (request, response) = (Detection::Match(Request), Detection::Match(Response));
    let greeting = [b"\x0a8.0.36\0", &[7; 22][..], &[0; 30]].concat();
    for (bytes, expected) in [
        (packet(0, greeting), response),
        (query("SELECT 1"), request),
        (query(&"SELECT 'x' ".repeat(1000))[..4096].to_vec(), request),
        (packet(0, b"\x0e"), request),
        (packet(0, b"\x17\x07\0\0\0\0\x01\0\0\0"), request),
        (error(1), response),
        (result(2), response),
        (ok(1, 2), response),
        (packet(0, b"\x03\x01\x02"), Detection::No),
        ([query("SELECT 1"), vec![0]].concat(), Detection::No),
        (b"\x16\x03\x01\x02\0\x01".to_vec(), Detection::No),
        (b"GET / HTTP/1.1\r\n".to_vec(), Detection::No),
        (vec![5, 0], Detection::NeedMore),
    ] {
        assert_eq!(detect(&bytes), expected, "{}", bytes[..bytes.len().min(60)].escape_ascii());
    }
}
