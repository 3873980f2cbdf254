//! What loggers write: its severity, its message, what else it names; which of it is its writer's own; and whatever bytes there are.

use wirespan_errors::{Context, Field, Found, MAX_FIELDS, MAX_LINE, Reader, Record};

/// Records of writes, with what is known of whose they are.
fn read(pieces: &[&[u8]]) -> Vec<Found<usize>> {
    let mut reader = Reader::of_records();
    pieces.iter().enumerate().for_each(|(n, piece)| reader.write(piece, true, &n));
    reader.idle();
    assert!(!reader.is_open());
    reader.take()
}

fn lines(pieces: &[&str]) -> Vec<(String, bool)> {
    let bytes: Vec<&[u8]> = pieces.iter().map(|piece| piece.as_bytes()).collect();
    read(&bytes).into_iter().filter_map(|found| Some((found.line?, found.is_own))).collect()
}

fn own(pieces: &[&str]) -> Vec<String> {
    lines(pieces).into_iter().filter(|(_, is_own)| *is_own).map(|(line, _)| line).collect()
}

#[test]
fn the_usual_forms_of_text_say_their_severity_and_their_message() {
    for (line, severity, level, message) in [
        ("2026-11-30 09:12:17,512 ERROR shop: no such order", 17, "ERROR", "shop: no such order"),
        ("[2026-11-30 09:12:17 +0000] [12] [INFO] Booting worker", 9, "INFO", "Booting worker"),
        ("INFO:root:it is so", 9, "INFO", "root:it is so"),
        ("WARNING: it is so", 13, "WARNING", "it is so"),
        ("warn: it is so", 13, "warn", "it is so"),
        (
            "INFO:     127.0.0.1:5000 - \"GET /x HTTP/1.1\" 200 OK",
            9,
            "INFO",
            "127.0.0.1:5000 - \"GET /x HTTP/1.1\" 200 OK",
        ),
        (
            "2026-11-30T09:12:17.512Z  WARN 12 --- [nio-1] c.e.Shop : it is so",
            13,
            "WARN",
            "12 --- [nio-1] c.e.Shop : it is so",
        ),
        ("09:12:17.512 [main] DEBUG c.e.Shop - it is so", 5, "DEBUG", "c.e.Shop - it is so"),
        ("2026/11/30 09:12:17 [error] 12#12: *7 open() failed", 17, "error", "12#12: *7 open() failed"),
        ("[2026-11-30T09:12:17.5+00:00] app.CRITICAL: it is so [] []", 18, "CRITICAL", "it is so [] []"),
        ("E, [2026-11-30T09:12:17.5 #12] ERROR -- shop: it is so", 17, "ERROR", "shop: it is so"),
        ("I, [2026-11-30T09:12:17.5 #12]  INFO -- : it is so", 9, "INFO", "it is so"),
        ("W1130 09:12:17.512345      12 shop.go:7] it is so", 13, "W", "it is so"),
        ("[2026-11-30T09:12:17Z INFO  shop::orders] it is so", 9, "INFO", "it is so"),
        ("2026-11-30T09:12:17.5Z  INFO shop::orders: it is so", 9, "INFO", "shop::orders: it is so"),
        ("<3>it is so", 17, "3", "it is so"),
        ("Nov 30 09:12:17 host shop[12]: ERROR it is so", 17, "ERROR", "it is so"),
        ("2026-11-30 09:12:17.5 UTC [12] LOG:  it is so", 9, "LOG", "it is so"),
        ("\u{1b}[32mINFO\u{1b}[0m it is so", 9, "INFO", "it is so"),
        ("TRACE it", 1, "TRACE", "it"),
        ("FATAL it", 21, "FATAL", "it"),
    ] {
        let record = Record::parse(line);
        let said = (record.severity.map(|s| s.number()), &*record.level, &*record.message);
        assert_eq!(said, (Some(severity), level, message), "{line}");
    }
}

#[test]
fn what_has_no_level_is_a_message() {
    for line in [
        "error in the midst of nothing",
        "there is an ERROR in it",
        "127.0.0.1 - - [30/Nov/2026:09:12:17 +0000] \"GET /x HTTP/1.1\" 200 2",
        "a=1 b=2",
        "{\"a\":1}",
        "{\"level\":\"info\"",
        "ERROR",
        "[] [] [] []",
    ] {
        let record = Record::parse(line);
        assert_eq!((record.severity, &*record.level, &*record.message), (None, "", line));
        assert!(record.fields.is_empty() && record.context.is_none());
    }
}

#[test]
fn json_says_its_severity_its_message_its_span_and_what_else_it_names() {
    let line = r#"{"time":"x","level":"warn","msg":"it is so","trace_id":"0af7651916cd43dd8448eb211c80319c",
        "span_id":"b7ad6b7169203331","user":{"id":7,"ok":true},"took":1.5,"tags":["a","b"],"none":null}"#;
    let record = Record::parse(&line.replace("\n        ", ""));
    assert_eq!((record.severity.unwrap().number(), &*record.level, &*record.message), (13, "warn", "it is so"));
    let context = Context {
        trace_id: 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes(),
        span_id: 0xb7ad_6b71_6920_3331_u64.to_be_bytes(),
    };
    assert_eq!(record.context, Some(context));
    let text = |text: &str| Field::Text(text.to_owned());
    let mut fields = record.fields;
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [
        ("tags", text("[\"a\",\"b\"]")),
        ("took", Field::Double(1.5)),
        ("user.id", Field::Int(7)),
        ("user.ok", Field::Bool(true)),
    ];
    assert_eq!(fields, expected.map(|(name, field)| (name.to_owned(), field)));
}

#[test]
fn levels_of_json_are_words_or_numbers() {
    for (level, severity) in [
        ("\"ERROR\"", Some(17)),
        ("\"Information\"", Some(9)),
        ("30", Some(9)),
        ("50", Some(17)),
        ("3", Some(17)),
        ("\"6\"", Some(9)),
        ("\"odd\"", None),
        ("99", None),
        ("-1", None),
    ] {
        let record = Record::parse(&format!("{{\"level\":{level},\"msg\":\"x\"}}"));
        assert_eq!(record.severity.map(|s| s.number()), severity, "{level}");
        assert_eq!(record.fields.len(), usize::from(severity.is_none()), "{level}");
    }
    let nested = Record::parse(r#"{"log":{"level":"debug"},"message":"x"}"#);
    assert_eq!(nested.severity.map(|s| s.number()), Some(5));
}

#[test]
fn logfmt_says_the_same() {
    let record = Record::parse(r#"ts=1 level=info msg="it \"is\" so" took=12ms empty="""#);
    assert_eq!((record.severity.unwrap().number(), &*record.message), (9, "it \"is\" so"));
    let text = |name: &str, text: &str| (name.to_owned(), Field::Text(text.to_owned()));
    assert_eq!(record.fields, [text("took", "12ms"), text("empty", "")]);
    for line in ["level=info and words", "msg=\"open", "a=\"b\"c"] {
        assert_eq!(Record::parse(line).severity, None, "{line}");
    }
}

#[test]
fn what_a_record_names_is_bounded() {
    let many: String = (0..100).map(|n| format!(",\"k{n}\":{n}")).collect();
    let record = Record::parse(&format!("{{\"msg\":\"x\"{many}}}"));
    assert!(record.is_cut && record.fields.len() == MAX_FIELDS);
    let deep = format!("{{\"msg\":\"x\",\"a\":{}1{}}}", "{\"a\":".repeat(100), "}".repeat(100));
    assert_eq!(Record::parse(&deep).message, "x");
}

#[test]
fn a_record_that_is_written_alone_is_its_writers_own_in_whatever_pieces() {
    assert_eq!(own(&["it is so\n"]), ["it is so"]);
    assert_eq!(own(&["it ", "is so", "\n", "and so\n"]), ["it is so", "and so"]);
    assert_eq!(own(&["it is so"]), ["it is so"], "without an end");
    assert_eq!(own(&["ERROR it\n  goes on\n\tand on\n"]), ["ERROR it\n  goes on\n\tand on"]);
    assert_eq!(own(&["it\r\n"]), ["it"]);
    assert_eq!(own(&["\n", " \n", "\u{1b}[0m\n", "Z\u{1b}\n"]), ["Z\u{1b}"]);
    assert_eq!(Record::parse("{\"level\":\"info\",\"msg\":\" \"}").message, "{\"level\":\"info\",\"msg\":\" \"}");
}

#[test]
fn what_was_gathered_is_nobodys_own() {
    for pieces in [
        &["one\ntwo\n"][..],
        &["one\ntwo", "\n"],
        &["one\ntw", "o\nthree\n"],
        &["ERROR one\nERROR two\n"],
        &["{\"msg\":\"a\",\"stack\":\"Error: x\\n    at f (/a.js:1:2)\"}\n{\"msg\":\"b\"}\n"],
    ] {
        assert_eq!(own(pieces), [""; 0], "{pieces:?}");
        assert!(lines(pieces).len() >= 2);
    }
    assert_eq!(own(&["one\ntwo\n", "three\n"]), ["three"], "the next is");
    let mut reader = Reader::of_records();
    reader.write(b"the beginning of more than is seen", false, &0);
    let found = reader.take();
    assert!(found.len() == 1 && !found[0].is_own && found[0].is_cut, "{found:?}");
}

#[test]
fn a_record_that_is_cut_ends_with_a_whole_word() {
    let url = "to postgres://bob:s3cret@h/x";
    for seen in "to p".len()..url.len() {
        let mut reader = Reader::of_records();
        reader.write(&url.as_bytes()[..seen], false, &0);
        assert_eq!(reader.take()[0].line.as_deref(), Some("to"), "{seen}");
    }
    let long = format!("{}{url} and so\n", "x".repeat(MAX_LINE - "to postgres://bob:s3".len()));
    let found = read(&[long.as_bytes()]);
    assert!(found[0].is_cut && found[0].line.as_ref().unwrap().ends_with("xto"), "{found:?}");
    for alone in ["word", "  word", "\u{1b}[1m word"] {
        let mut reader = Reader::of_records();
        reader.write(alone.as_bytes(), false, &0);
        assert_eq!(reader.take()[0].line.as_deref(), Some(alone));
    }
}

const TRACE: &str = "Traceback (most recent call last):\n  File \"/a.py\", line 9, in f\n    g()\nValueError: x\n";

#[test]
fn a_record_and_its_exception_are_two() {
    let found = read(&[format!("ERROR in app: it failed\n{TRACE}").as_bytes()]);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found.iter().all(|found| found.is_own));
    assert_eq!(found[0].line.as_deref(), Some("ERROR in app: it failed"));
    assert_eq!(found[1].exception.as_ref().unwrap().kind, "ValueError");
    let shared = read(&[format!("{TRACE}INFO of another\n").as_bytes()]);
    assert!(shared.len() == 2 && shared.iter().all(|found| !found.is_own), "{shared:#?}");
}

#[test]
fn the_head_of_an_exception_is_no_record_whenever_it_is_written() {
    let jvm = "java.lang.IllegalStateException: n=7\n\tat a.B.c(B.java:1)\n\tat a.B.d(B.java:2)\n";
    let by_line: Vec<&[u8]> = jvm.split_inclusive('\n').map(str::as_bytes).collect();
    for pieces in [&[jvm.as_bytes()][..], &by_line] {
        let found = read(pieces);
        assert!(found.len() == 1 && found[0].line.is_none(), "{found:#?}");
    }
    // And what looks like one and is none is told when the next is written, or nothing.
    assert_eq!(own(&["ShopError: it\n", "and so\n"]), ["ShopError: it", "and so"]);
    assert_eq!(own(&["ShopError: it\n"]), ["ShopError: it"]);
}

#[test]
fn a_record_of_json_carries_its_exception() {
    let line = r#"{"level":"error","msg":"it failed","stack":"TypeError: x\n    at f (/a.js:1:2)"}"#;
    let found = read(&[format!("{line}\n").as_bytes()]);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].is_own && found[0].line.as_deref() == Some(line));
    assert_eq!(found[0].exception.as_ref().unwrap().kind, "TypeError");
}

#[test]
fn whatever_bytes_there_are_is_read_within_bounds() {
    let half = read(&[b"\xc3\x28 \xf0\x9f half\n", b"\x1b[2J\x1b]0;title\x07 and\0 controls\n"]);
    assert_eq!(half.len(), 2);
    assert!(half[0].line.as_ref().unwrap().contains('\u{fffd}'));
    let long = vec![b'a'; 10 << 20];
    let found = read(&[&long, b"\nnext\n"]);
    assert!(found[0].is_cut && found[0].line.as_ref().unwrap().len() == MAX_LINE);
    assert_eq!(found.last().unwrap().line.as_deref(), Some("next"));
    let empty = vec![b'\n'; 1 << 20];
    assert!(read(&[&empty]).is_empty());
    for hostile in ["{".repeat(100_000), "[".repeat(100_000), "a=".repeat(100_000), "ERROR:".repeat(50_000)] {
        assert!(!Record::parse(&hostile).message.is_empty());
    }
    let deep = format!("{{\"msg\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000));
    assert_eq!(Record::parse(&deep).message, deep, "deeper than is read");
}
