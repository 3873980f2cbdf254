//! PostgreSQL, message by message.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::exchange::{SpanKind, Status, Value};
use wirespan_protocols::{Detection, End, Progress, Role, Settings, postgresql::detect};

use crate::wire::{TICK, Wire, int, text};

pub fn message(kind: u8, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    [&[kind][..], &(body.len() as u32 + 4).to_be_bytes(), body].concat()
}

fn query(sql: &str) -> Vec<u8> {
    message(b'Q', format!("{sql}\0"))
}

pub fn parse(name: &str, sql: &str) -> Vec<u8> {
    message(b'P', format!("{name}\0{sql}\0\0\0"))
}

pub fn bind(statement: &str) -> Vec<u8> {
    message(b'B', format!("\0{statement}\0\0\0\0\0\0\0"))
}

pub fn execute() -> Vec<u8> {
    message(b'E', "\0\0\0\0\0")
}

pub fn sync() -> Vec<u8> {
    message(b'S', "")
}

pub fn ready() -> Vec<u8> {
    message(b'Z', "I")
}

pub fn done(tag: &str) -> Vec<u8> {
    message(b'C', format!("{tag}\0"))
}

pub fn error(code: &str) -> Vec<u8> {
    message(b'E', format!("SERROR\0VERROR\0C{code}\0Mwrong: 'secret'\0\0"))
}

pub fn row() -> Vec<u8> {
    message(b'D', b"\0\x01\0\0\0\x03abc")
}

fn startup(parameters: &str) -> Vec<u8> {
    let body = [&196_608u32.to_be_bytes()[..], parameters.as_bytes(), b"\0"].concat();
    [&(body.len() as u32 + 4).to_be_bytes()[..], &body].concat()
}

/// A connection whose beginning was seen.
pub fn connected() -> Wire {
    let mut wire = Wire::new("postgresql");
    wire.request(startup("user\0app\0database\0shop\0"));
    wire.response([message(b'R', 0u32.to_be_bytes()), message(b'S', "TimeZone\0UTC\0"), ready()].concat());
    wire
}

#[test]
fn a_query_says_what_the_conventions_ask_for() {
    let mut wire = connected();
    wire.request(query("SELECT * FROM orders WHERE name = 'secret'"));
    wire.response([row(), done("SELECT 1"), ready()].concat());
    let exchange = wire.last();
    assert_eq!(&*exchange.name, "SELECT orders");
    for (key, value) in [
        ("db.system.name", Some("postgresql")),
        ("db.namespace", Some("shop")),
        ("db.query.summary", Some("SELECT orders")),
        ("db.query.text", Some("SELECT * FROM orders WHERE name = ?")),
        ("db.operation.name", None),
        ("db.collection.name", None),
        ("db.response.status_code", None),
    ] {
        assert_eq!(text(exchange, key), value, "{key}");
    }
    assert_eq!((exchange.request.first.time, exchange.end), (3 * TICK, 4 * TICK));
    assert_eq!(wire.started()[0].kind, SpanKind::Client);
}

#[test]
fn the_databases_own_end_is_a_server() {
    let settings = Settings { keep_query_text: true, ..Settings::of(Role::Server) };
    let mut wire = Wire::with("postgresql", settings);
    wire.request(query("SELECT 'kept'")).response([done("SELECT 1"), ready()].concat());
    assert_eq!(wire.started()[0].kind, SpanKind::Server);
    assert_eq!(text(wire.last(), "db.query.text"), Some("SELECT 'kept'"));
}

#[test]
fn an_error_says_what_its_condition_is_called_and_nothing_that_it_quotes() {
    let said = |code: &str, text: &str| {
        let mut wire = connected();
        let fields = format!("SERROR\0VERROR\0C{code}\0M{text}\0DKey (id)=(s3cret)\0\0");
        wire.request(query("SELECT 1")).response([message(b'E', &fields), ready()].concat());
        match &wire.last().status {
            Status::Error(text) => text.to_string(),
            other => panic!("{other:?}"),
        }
    };
    let missing = "relation \"s3cret\" does not exist";
    assert_eq!(said("42P01", missing), "undefined_table: relation ? does not exist");
    assert_eq!(said("22012", "division by zero"), "division_by_zero: division by zero");
    assert_eq!(said("42P01", "Relation «s3cret» existiert nicht"), "undefined_table: Relation");
    assert_eq!(said("P0001", "no user s3cret"), "raise_exception");
    assert_eq!(said("ZZ999", "no user s3cret"), "");
}

#[test]
fn an_error_has_its_sqlstate_and_nothing_of_its_details() {
    let mut wire = connected();
    wire.request(query("INSERT INTO t VALUES (1)")).response([error("23505"), ready()].concat());
    assert_eq!(wire.summary(), ["INSERT t error 23505"]);
    assert_eq!(text(wire.last(), "db.response.status_code"), Some("23505"));
    assert!(!format!("{:?}", wire.last()).contains("secret"));
}

#[test]
fn a_warning_has_a_code_and_is_no_failure() {
    let mut wire = connected();
    let notice = message(b'N', "SWARNING\0VWARNING\0C01000\0Mx\0\0");
    wire.request(query("DO $$ $$")).response([notice, done("DO"), ready()].concat());
    assert_eq!(wire.summary(), ["DO"]);
    assert_eq!(text(wire.last(), "db.response.status_code"), Some("01000"));
}

#[test]
fn a_statement_prepared_before_anybody_looked_says_what_the_server_says() {
    let mut wire = Wire::new("postgresql");
    let call = [bind("S_1"), execute(), sync()].concat();
    // Of what comes first, earlier parts may be missing.
    wire.request(&call).response([message(b'2', ""), done("SELECT 5"), ready()].concat());
    assert_eq!((wire.summary().len(), wire.dropped()), (0, 1));
    wire.request(&call).response([message(b'2', ""), row(), done("INSERT 0 5"), ready()].concat());
    wire.request(&call).response([message(b'2', ""), error("57014"), ready()].concat());
    assert_eq!(wire.summary(), ["INSERT", "EXECUTE error 57014"]);
    let exchange = wire.finished()[0];
    assert_eq!((text(exchange, "db.operation.name"), text(exchange, "db.query.text")), (Some("INSERT"), None));
    let unknown = exchange.attributes.iter().find(|a| a.key == "wirespan.unknown").map(|a| a.value.clone());
    assert_eq!(unknown, Some(Value::StrArray(vec!["db.query.text".into()])));
}

#[test]
fn prepared_statements_are_known_again_until_closed() {
    let mut wire = connected();
    wire.request([parse("a", "SELECT $1 FROM t"), sync()].concat()).response([message(b'1', ""), ready()].concat());
    assert_eq!(wire.summary(), ["PREPARE shop"]);
    assert_eq!(text(wire.last(), "db.query.summary"), None, "it was not run");
    wire.request([bind("a"), execute(), sync()].concat());
    wire.response([message(b'2', ""), done("SELECT 1"), ready()].concat());
    assert_eq!(text(wire.last(), "db.query.text"), Some("SELECT $1 FROM t"));
    wire.request([message(b'C', "Sa\0"), sync()].concat()).response([message(b'3', ""), ready()].concat());
    wire.request([bind("a"), execute(), sync()].concat()).response([error("26000"), ready()].concat());
    assert_eq!(wire.summary()[1..], ["SELECT t", "CLOSE shop", "EXECUTE shop error 26000"]);
}

#[test]
fn more_of_what_is_asked_is_wanted_from_the_start() {
    let mut wire = connected();
    assert!(wire.parser.wants_requests(), "a batch may come");
    wire.operation(Request, &bind("s"), 300);
    assert!(!wire.parser.wants_more(), "answers are as they were");
}

#[test]
fn an_error_takes_what_follows_until_sync_and_no_more() {
    let mut wire = connected();
    let one = |sql: &str| [parse("", sql), bind(""), execute()].concat();
    wire.request(
        [
            one("SELECT 1 FROM a"),
            one("SELECT 2 FROM b"),
            one("SELECT 3 FROM c"),
            sync(),
            one("SELECT 4 FROM d"),
            sync(),
        ]
        .concat(),
    );
    let fine = [message(b'1', ""), message(b'2', ""), done("SELECT 1")].concat();
    wire.response([&fine[..], &error("42601"), &ready(), &fine, &ready()].concat());
    let expected = ["SELECT a", "SELECT b error 42601", "SELECT c error pipeline_aborted", "SELECT d"];
    assert_eq!(wire.summary(), expected);
}

#[test]
fn encryption_refused_goes_on_and_granted_leaves() {
    let ask = [8u32.to_be_bytes(), 80_877_103u32.to_be_bytes()].concat();
    let mut wire = Wire::new("postgresql");
    wire.request(&ask).response("N").request(startup("user\0app\0")).response(ready());
    wire.request(query("SELECT 1")).response([done("SELECT 1"), ready()].concat());
    assert_eq!(wire.summary(), ["SELECT"]);
    assert_eq!(text(wire.last(), "db.namespace"), Some("app"), "called like the user");
    let mut wire = Wire::new("postgresql");
    wire.request(&ask).response("S");
    assert_eq!(wire.progress, Progress::Left);
}

#[test]
fn both_kinds_of_encryption_may_be_refused_one_after_the_other() {
    let ask = |code: u32| [8u32.to_be_bytes(), code.to_be_bytes()].concat();
    let mut wire = Wire::new("postgresql");
    assert_eq!(detect(&ask(80_877_104)), Detection::Match(Request));
    wire.request(ask(80_877_104)).response("N").request(ask(80_877_103)).response("N");
    wire.request(startup("user\0app\0database\0shop\0"))
        .response([message(b'R', 0u32.to_be_bytes()), ready()].concat());
    wire.request(query("SELECT 1")).response([done("SELECT 1"), ready()].concat());
    assert_eq!(wire.summary(), ["SELECT"]);
    // What a server says that knows neither.
    let mut wire = Wire::new("postgresql");
    wire.request(ask(80_877_104)).response(error("0A000")).end(Response, End::Finished);
    assert!(wire.out.is_empty(), "{:?}", wire.out);
}

#[test]
fn a_server_that_refuses_makes_no_span() {
    let mut wire = Wire::new("postgresql");
    wire.request(startup("user\0app\0database\0shop\0"));
    wire.response(message(b'R', 3u32.to_be_bytes())).request(message(b'p', "hunter2\0"));
    wire.response(error("28P01")).end(Response, End::Finished);
    assert!(wire.out.is_empty(), "{:?}", wire.out);
}

#[test]
fn notifications_and_changed_parameters_answer_nothing() {
    let mut wire = connected();
    let news = || [message(b'A', b"\0\0\0\x07news\0secret\0"), message(b'S', "TimeZone\0CET\0")].concat();
    wire.request(query("LISTEN news")).response([done("LISTEN"), ready()].concat());
    wire.response(news());
    wire.request(query("SELECT 1 FROM a"))
        .response(news())
        .response([row(), done("SELECT 1"), news(), ready()].concat());
    wire.response(news());
    wire.request(query("SELECT 1 FROM b")).response([done("SELECT 0"), ready()].concat());
    assert_eq!(wire.summary(), ["LISTEN", "SELECT a", "SELECT b"]);
    assert_eq!(wire.finished()[1].response.unwrap().first.time, 8 * TICK, "a notification is no answer");
    assert_eq!(wire.dropped(), 0);
}

#[test]
fn a_portal_that_is_suspended_goes_on_in_calls_of_their_own() {
    let mut wire = connected();
    let rows = [row(), message(b's', "")].concat();
    wire.request([parse("", "SELECT 1 FROM t"), bind(""), execute(), sync()].concat());
    wire.response([message(b'1', ""), message(b'2', ""), rows.clone(), ready()].concat());
    wire.request([execute(), sync()].concat()).response([rows, ready()].concat());
    wire.request([execute(), sync()].concat()).response([done("SELECT 1"), ready()].concat());
    assert_eq!(wire.summary(), ["SELECT t"; 3]);
}

#[test]
fn rows_that_are_sent_before_the_server_asks_are_no_requests() {
    let mut wire = connected();
    let rows = message(b'd', vec![b'x'; 9000]);
    let all = [query("COPY t FROM STDIN"), rows, message(b'c', "")].concat();
    wire.operation(Request, &all[..4096], all.len() as u64 - 4096);
    wire.response([message(b'G', b"\0\0\0"), done("COPY 9"), ready()].concat());
    wire.request(query("SELECT 1 FROM t")).response([done("SELECT 1"), ready()].concat());
    assert_eq!((wire.summary(), wire.dropped()), (vec!["COPY t".into(), "SELECT t".into()], 0));
}

#[test]
fn rows_are_skipped_to_the_byte() {
    let mut wire = connected();
    wire.request(query("SELECT 1 FROM a"));
    let row = message(b'D', vec![b'x'; 100_000]);
    wire.operation(Response, &row[..50], row.len() as u64 - 50).response([done("SELECT 1"), ready()].concat());
    wire.request(query("SELECT 1 FROM b")).response([error("42P01"), ready()].concat());
    assert_eq!(wire.summary(), ["SELECT a", "SELECT b error 42P01"]);
    assert_eq!(wire.finished()[0].end, 5 * TICK);
}

#[test]
fn results_of_which_the_end_is_hidden_end_before_the_next_query() {
    let mut wire = connected();
    wire.request(query("SELECT 1 FROM a")).operation(Response, &row(), 10_000).response("middle of a row");
    wire.request(query("SELECT 1 FROM b")).response([error("42P01"), ready()].concat());
    assert_eq!((wire.summary(), wire.dropped()), (vec!["SELECT a".into(), "SELECT b error 42P01".into()], 0));
    assert_eq!(wire.finished()[0].end, 5 * TICK);
}

#[test]
fn a_long_query_of_which_the_end_is_hidden_is_named_after_its_beginning() {
    let mut wire = connected();
    let long = query(&format!("INSERT INTO t VALUES {}('secret')", "('x'), ".repeat(2000)));
    wire.operation(Request, &long[..4096], long.len() as u64 - 4096).response([done("INSERT 0 1"), ready()].concat());
    assert_eq!(wire.summary(), ["INSERT t"]);
    assert!(text(wire.last(), "db.query.text").unwrap().starts_with("INSERT INTO t VALUES (?), (?)"));
}

#[test]
fn several_statements_in_one_message_are_a_batch() {
    let mut wire = connected();
    wire.request(query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2)"));
    wire.response([done("INSERT 0 1"), done("INSERT 0 1"), ready()].concat());
    assert_eq!((&*wire.last().name, int(wire.last(), "db.operation.batch.size")), ("BATCH INSERT t", Some(2)));
}

#[test]
fn a_broken_connection_fails_the_query() {
    let mut wire = connected();
    wire.request(query("SELECT 1")).end(Response, End::Reset);
    assert_eq!(wire.summary(), ["SELECT error connection_reset"]);
    let mut wire = connected();
    wire.request(query("SELECT 1")).response(error("57P01")).end(Response, End::Finished);
    assert_eq!(wire.summary(), ["SELECT error 57P01"]);
}

#[test]
fn what_is_never_answered_stays_within_bounds() {
    let mut wire = connected();
    for n in 0..3000 {
        wire.request([parse(&format!("s{n}"), &format!("SELECT {n} FROM t")), bind(""), execute()].concat().repeat(4));
        assert!(wire.parser.buffered() < 2 * 1024 * 1024);
    }
}

#[test]
fn it_is_recognised_from_any_message_that_says_enough() {
    let (request, response) = (Detection::Match(Request), Detection::Match(Response));
    for (bytes, expected) in [
        (startup("user\0app\0"), request),
        ([8u32.to_be_bytes(), 80_877_103u32.to_be_bytes()].concat(), request),
        (query("SELECT 1"), request),
        (query("select * from t where name = 'ünïcode'"), request),
        ([parse("", "BEGIN"), bind(""), execute(), sync()].concat(), request),
        ([bind("S_1"), execute(), sync()].concat(), request),
        (query(&"SELECT 'x' ".repeat(1000))[..4096].to_vec(), request),
        ([done("SELECT 1"), ready()].concat(), response),
        ([row(), done("SELECT 1"), ready()].concat(), response),
        ([error("42601"), ready()].concat(), response),
        ([message(b'1', ""), message(b'2', ""), message(b'n', "")].concat(), response),
        (message(b'Q', "\x01\x02\0"), Detection::No),
        (message(b'Q', "SELECT 1"), Detection::No),
        (b"Q\0\0".to_vec(), Detection::NeedMore),
        (b"QUIT\r\n".to_vec(), Detection::No),
        (b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(), Detection::No),
        (b"\0\0\0\x08\x04\xd2\x16\x30".to_vec(), request),
        (b"\0\0\0\x08\0\0\0\x01".to_vec(), Detection::No),
    ] {
        assert_eq!(detect(&bytes), expected, "{}", bytes[..bytes.len().min(60)].escape_ascii());
    }
}

#[test]
fn what_a_comment_says_is_read_if_people_ask_for_it() {
    use wirespan_protocols::rules::{Rule, Rules};
    let rules = Rules::new(vec![Rule::parse("action = sql-comment action").unwrap()]);
    let mut wire = Wire::with("postgresql", Settings { rules: rules.of("any"), ..Settings::of(Role::Server) });
    wire.request(query("SELECT 'secret' /*action='list',db_driver='x'*/"))
        .response([done("SELECT 1"), ready()].concat());
    assert_eq!(text(wire.last(), "action"), Some("list"));
    assert_eq!(text(wire.last(), "db.query.text"), Some("SELECT ?"));
}
