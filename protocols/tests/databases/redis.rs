//! Redis, command by command.

use wirespan_protocols::Direction::{Request, Response};
use wirespan_protocols::{Detection, End, Progress, Role, Settings, redis::detect};

use crate::wire::{TICK, Wire, int, text};

pub fn command(words: &[&str]) -> String {
    let head = format!("*{}\r\n", words.len());
    words.iter().fold(head, |all, word| format!("{all}${}\r\n{word}\r\n", word.len()))
}

fn wire() -> Wire {
    Wire::new("redis")
}

#[test]
fn arguments_are_masked() {
    let mut wire = wire();
    wire.request(command(&["SET", "user:17", "secret"])).response("+OK\r\n");
    let exchange = wire.last();
    assert_eq!((&*exchange.name, text(exchange, "db.query.text")), ("SET", Some("SET ? ?")));
    assert_eq!(text(exchange, "db.operation.name"), Some("SET"));
    assert_eq!(text(exchange, "db.system.name"), Some("redis"));
    assert_eq!(text(exchange, "db.namespace"), None, "nobody saw which database was selected");
}

#[test]
fn arguments_are_kept_on_request_but_no_credentials() {
    let settings = Settings { keep_query_text: true, ..Settings::of(Role::Server) };
    let mut wire = Wire::with("redis", settings);
    wire.request(command(&["SET", "user:17", "tea"])).response("+OK\r\n");
    assert_eq!(text(wire.last(), "db.query.text"), Some("SET user:17 tea"));
    for words in [
        &["AUTH", "hunter2"][..],
        &["HELLO", "3", "AUTH", "me", "hunter2"],
        &["CONFIG", "SET", "requirepass", "hunter2"],
        &["ACL", "SETUSER", "me", ">hunter2"],
    ] {
        wire.request(command(words)).response("+OK\r\n");
        assert!(!format!("{:?}", wire.last()).contains("hunter2"), "{words:?}");
    }
}

#[test]
fn a_command_without_a_sound_name_is_not_named_after_its_bytes() {
    let mut wire = wire();
    wire.request(command(&["GET", "a"])).response("$-1\r\n");
    wire.request(command(&["my secret", "a"])).response("-ERR unknown command\r\n");
    assert_eq!(wire.summary(), ["GET", "redis error ERR"]);
}

#[test]
fn a_selected_database_is_noted_when_its_reply_came() {
    let mut wire = wire();
    wire.request([command(&["SELECT", "3"]), command(&["GET", "a"])].concat()).response("+OK\r\n$-1\r\n");
    wire.request(command(&["SELECT", "99"])).response("-ERR DB index is out of range\r\n");
    wire.request(command(&["GET", "a"])).response("$-1\r\n");
    let namespaces: Vec<_> = wire.finished().iter().map(|e| text(e, "db.namespace").map(str::to_owned)).collect();
    assert_eq!(namespaces, [None, Some("3".into()), Some("3".into()), Some("3".into())]);
    assert_eq!(int(wire.finished()[0], "wirespan.pipeline.size"), Some(2));
}

#[test]
fn scripts_and_functions_are_procedures() {
    let mut wire = wire();
    wire.request(command(&["FCALL", "refresh", "0"])).response("+OK\r\n");
    assert_eq!((&*wire.last().name, text(wire.last(), "db.stored_procedure.name")), ("FCALL refresh", Some("refresh")));
    wire.request(command(&["EVALSHA", &"a".repeat(40), "0"])).response("+OK\r\n");
    assert_eq!(&*wire.last().name, "EVALSHA");
}

#[test]
fn messages_answer_nothing() {
    let mut wire = wire();
    wire.request(command(&["SUBSCRIBE", "a", "b"]));
    wire.response("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n");
    assert!(wire.finished().is_empty());
    wire.response("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nb\r\n:2\r\n");
    wire.response("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n");
    wire.request(command(&["PING"]))
        .response("*3\r\n$7\r\nmessage\r\n$1\r\na\r\n$2\r\nhi\r\n")
        .response("*2\r\n$4\r\npong\r\n$0\r\n\r\n");
    wire.request(command(&["UNSUBSCRIBE"]));
    wire.response("*3\r\n$11\r\nunsubscribe\r\n$1\r\na\r\n:1\r\n*3\r\n$11\r\nunsubscribe\r\n$1\r\nb\r\n:0\r\n");
    wire.request(command(&["LRANGE", "l", "0", "1"])).response("*1\r\n$7\r\nmessage\r\n");
    assert_eq!(wire.summary(), ["SUBSCRIBE", "PING", "UNSUBSCRIBE", "LRANGE"]);
    assert_eq!(wire.finished()[0].end, 3 * TICK);
}

#[test]
fn pushes_answer_nothing_and_attributes_belong_to_what_follows() {
    let mut wire = wire();
    wire.request(command(&["GET", "a"]));
    wire.response(">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n");
    assert!(wire.finished().is_empty());
    wire.response("|1\r\n+ttl\r\n:3600\r\n$1\r\nx\r\n");
    wire.request(command(&["GET", "a"])).response("!10\r\nWRONG type\r\n");
    assert_eq!(wire.summary(), ["GET", "GET error _OTHER"]);
}

#[test]
fn a_cluster_sends_elsewhere() {
    let mut wire = wire();
    wire.request(command(&["GET", "a"])).response("-MOVED 3999 127.0.0.1:6381\r\n");
    wire.request(command(&["GET", "b"])).response("-ASK 3999 127.0.0.1:6381\r\n");
    wire.request([command(&["ASKING"]), command(&["GET", "b"])].concat()).response("+OK\r\n$-1\r\n");
    assert_eq!(wire.summary(), ["GET error MOVED", "GET error ASK", "ASKING", "GET"]);
    assert!(!format!("{:?}", wire.finished()).contains("127.0.0.1"), "only the error's word is kept");
}

#[test]
fn a_blocking_command_lasts_until_it_is_answered() {
    let mut wire = wire();
    wire.request(command(&["BLPOP", "queue", "5"]));
    wire.time += 5_000_000_000;
    wire.response("*-1\r\n");
    assert_eq!(wire.summary(), ["BLPOP"]);
    assert_eq!(wire.last().end - wire.last().request.first.time, 5_000_000_000 + TICK);
}

#[test]
fn commands_that_nobody_answers_end_with_themselves() {
    let mut wire = wire();
    wire.request([command(&["CLIENT", "REPLY", "OFF"]), command(&["SET", "a", "1"])].concat());
    wire.request(command(&["SET", "b", "1"]));
    wire.request([command(&["CLIENT", "REPLY", "ON"]), command(&["GET", "a"])].concat());
    wire.response("+OK\r\n$1\r\n1\r\n");
    assert_eq!(wire.summary(), ["CLIENT REPLY", "SET", "SET", "CLIENT REPLY", "GET"]);
    assert!(wire.finished()[2].response.is_none());
    assert_eq!(text(wire.last(), "db.operation.name"), Some("GET"));
}

#[test]
fn every_kind_of_value_is_passed() {
    let replies = [
        "+OK\r\n",
        ":1\r\n",
        "$-1\r\n",
        "*-1\r\n",
        "*0\r\n",
        "_\r\n",
        "#t\r\n",
        ",1.5\r\n",
        "(12345678901234567890\r\n",
        "=6\r\ntxt:hi\r\n",
        "%1\r\n+a\r\n*2\r\n:1\r\n:2\r\n",
        "~2\r\n+a\r\n+b\r\n",
        "*2\r\n*0\r\n*1\r\n$-1\r\n",
        "$0\r\n\r\n",
    ];
    let mut wire = wire();
    for reply in replies {
        wire.request(command(&["GET", "a"])).response(reply);
    }
    assert_eq!(wire.summary(), vec!["GET"; replies.len()]);
}

#[test]
fn huge_strings_are_skipped_to_the_byte() {
    let mut wire = wire();
    wire.operation(Request, b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1000000\r\nabc", 400_000);
    wire.operation(Request, b"xyz", 599_994 + 2).response("+OK\r\n");
    wire.request(command(&["GET", "a"])).operation(Response, b"$1000000\r\nabc", 999_997).response("\r\n");
    wire.request(command(&["INCR", "a"])).response("-ERR not an integer\r\n");
    assert_eq!(wire.summary(), ["SET", "GET", "INCR error ERR"]);
    assert_eq!(text(wire.finished()[0], "db.query.text"), Some("SET ? ?"));
    assert_eq!(wire.dropped(), 0);
}

#[test]
fn a_large_list_of_which_the_end_is_hidden_ends_before_the_next_command() {
    let mut wire = wire();
    wire.request(command(&["LRANGE", "a", "0", "-1"]))
        .operation(Response, b"*2\r\n$5\r\nabc", 5000)
        .operation(Response, b"more", 0);
    wire.request(command(&["GET", "a"])).response("$1\r\nx\r\n");
    assert_eq!(wire.summary(), ["LRANGE", "GET"]);
    assert_eq!((wire.finished()[0].end, wire.dropped()), (3 * TICK, 0));
}

#[test]
fn a_gap_in_the_replies_to_a_batch_drops_the_batch_and_nothing_more() {
    let mut wire = wire();
    let batch = command(&["GET", "a"]).repeat(4);
    wire.request(&batch).operation(Response, b"$1\r\nx\r\n$1\r\n", 30);
    wire.request(&batch).response("$1\r\nx\r\n".repeat(4));
    assert_eq!((wire.summary().len(), wire.dropped()), (5, 3));
}

#[test]
fn commands_hidden_in_a_gap_are_not_given_to_others() {
    let mut wire = wire();
    wire.request(command(&["GET", "a"])).operation(Request, b"*2\r\n$3\r\nGET\r\n$1\r\nb", 100);
    wire.response("$1\r\nx\r\n$1\r\nx\r\n+OK\r\n");
    wire.request(command(&["GET", "c"])).response("$1\r\nx\r\n");
    assert_eq!(wire.summary(), ["GET", "GET", "GET"]);
}

#[test]
fn a_broken_connection_fails_what_is_in_flight() {
    for (end, error) in [(End::Reset, "connection_reset"), (End::Closed, "connection_closed")] {
        let mut wire = wire();
        wire.request(command(&["BLPOP", "q", "0"])).end(Response, end);
        assert_eq!(wire.summary(), [format!("BLPOP error {error}")]);
    }
}

#[test]
fn what_is_no_redis_loses_sync() {
    for (direction, bytes) in
        [(Request, &b"\x16\x03\x01"[..]), (Response, b"HTTP/1.1 200 OK\r\n"), (Request, b"*x\r\n")]
    {
        let mut wire = wire();
        wire.operation(direction, bytes, 0);
        assert_eq!(wire.progress, Progress::LostSync, "{}", bytes.escape_ascii());
        assert_eq!(wire.parser.buffered(), 0);
    }
}

#[test]
fn hostile_values_stay_within_bounds() {
    let mut wire = wire();
    wire.request(command(&["GET", "a"])).response("*1\r\n".repeat(100));
    assert_eq!(wire.progress, Progress::LostSync);
    let mut wire = self::wire();
    wire.request("*3\r\n$1000000000\r\n");
    for _ in 0..100 {
        wire.request([b'x'; 10_000]);
        assert!(wire.parser.buffered() < 64 * 1024);
    }
    let mut wire = self::wire();
    for _ in 0..5000 {
        wire.request(command(&["GET", "a"]).repeat(10));
        assert!(wire.parser.buffered() < 2 * 1024 * 1024);
    }
    let mut wire = self::wire();
    while wire.progress == Progress::Continue {
        wire.request("x".repeat(1000));
        assert!(wire.parser.buffered() < 256 * 1024 && wire.time < 200 * TICK);
    }
}

#[test]
fn a_list_counts_as_a_command_if_it_begins_with_one() {
    let request = Detection::Match(Request);
    for (bytes, expected) in [
        ("*1\r\n$4\r\nPING\r\n", request),
        ("*2\r\n$3\r\nget\r\n$1\r\na", request),
        ("*2\r\n$9\r\nFT.SEARCH\r\n$1\r\na", request),
        ("*3\r\n$9\r\nSUBSCRIBE\r\n$1\r\na\r\n$1\r\nb\r\n", request),
        ("*3\r\n$9\r\nsubscribe\r\n$1\r\na\r\n:1\r\n", Detection::Match(Response)),
        ("*2\r\n$5\r\nhello\r\n$1\r\na\r\n", request),
        ("*2\r\n$5\r\nworld\r\n$1\r\na\r\n", Detection::No),
        ("*2\r\n:1\r\n:2\r\n", Detection::No),
        ("$5\r\nhello\r\n", Detection::Match(Response)),
        (">2\r\n+message\r\n+x\r\n", Detection::Match(Response)),
        ("+OK\r\n", Detection::No),
        ("-ERR no\r\n", Detection::No),
        ("*", Detection::NeedMore),
        ("*2\r\n$3\r\nGE", Detection::NeedMore),
        ("*99999999\r\n", Detection::No),
        ("PING\r\n", Detection::No),
        ("$ ls\r\n", Detection::No),
    ] {
        assert_eq!(detect(bytes.as_bytes()), expected, "{bytes:?}");
    }
}

/// `error.type` and whether it was given up, of a command whose client leaves before it is answered, at both ends.
fn left(words: &[&str]) -> [(Option<String>, bool); 2] {
    [Role::Client, Role::Server].map(|role| {
        let mut wire = Wire::with("redis", Settings::of(role));
        wire.request(command(&["GET", "a"])).response("$-1\r\n").request(command(words));
        match role {
            Role::Client => wire.end(Response, End::LetGo),
            // The server reads the end, and closes.
            Role::Server => wire.end(Request, End::Finished).end(Response, End::LetGo),
        };
        let exchange = wire.last();
        let given_up = exchange.attributes.iter().any(|a| a.key == "wirespan.given_up");
        (text(exchange, "error.type").map(str::to_owned), given_up)
    })
}

#[test]
fn a_client_that_leaves_is_no_error_of_the_server_s() {
    assert_eq!(left(&["EVAL", "return 1", "0"]), [(Some("given_up".to_owned()), false), (None, true)]);
}

#[test]
fn who_leaves_while_nothing_comes_has_lost_nothing() {
    let patient = [
        &["BLPOP", "jobs", "0"][..],
        &["brpop", "jobs", "0"],
        &["BZPOPMIN", "jobs", "0"],
        &["XREAD", "BLOCK", "0", "STREAMS", "s", "$"],
        &["XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "BLOCK", "0", "STREAMS", "s", ">"],
    ];
    for words in patient {
        assert_eq!(left(words), [(None, false), (None, false)], "{words:?}");
    }
    for words in [&["XREAD", "STREAMS", "s", "0"][..], &["LPOP", "jobs"]] {
        assert_eq!(left(words)[0].0.as_deref(), Some("given_up"), "{words:?}");
    }
}
