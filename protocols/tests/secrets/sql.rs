//! Literals of SQL, written by a program that knows the server's mode and read by a parser that may not.

use proptest::prelude::*;
use wirespan_protocols::sql::{Dialect, Query};

use crate::{assert_hidden, secret};

/// Statements; each `@` is a literal.
const STATEMENTS: [&str; 26] = [
    "SELECT a FROM t WHERE b = @ AND c = @",
    "SELECT @ @, (@)",
    "INSERT INTO t (a, b) VALUES (@, @), (@, @)",
    "UPDATE t SET a = @, b = f(@) WHERE c LIKE @ ESCAPE @",
    "DELETE FROM t WHERE a IN (@, @, @)",
    "WITH x AS (SELECT @) SELECT * FROM x WHERE y BETWEEN @ AND @",
    "SELECT 1; SELECT @; INSERT INTO t VALUES (@)",
    "SET a = 1; SELECT @ FROM t WHERE b = @",
    "CALL p(@, @)",
    "EXECUTE q(@)",
    "SET k = @",
    "SET SESSION k TO @",
    "SET PASSWORD FOR bob = @",
    "ALTER ROLE bob PASSWORD @",
    "ALTER USER bob IDENTIFIED BY @ REPLACE @",
    "CREATE USER bob IDENTIFIED WITH plugin BY @",
    "CREATE USER MAPPING FOR bob SERVER s OPTIONS (user @, password @)",
    "CREATE SUBSCRIPTION s CONNECTION @ PUBLICATION p",
    "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET k = @ AS @",
    "CREATE TABLE t (a int DEFAULT @) COMMENT @",
    "COPY t FROM PROGRAM @ WITH (DELIMITER @)",
    "LOAD DATA INFILE @ INTO TABLE t FIELDS TERMINATED BY @",
    "COMMENT ON TABLE t IS @",
    "CHANGE MASTER TO MASTER_PASSWORD=@, MASTER_USER=@",
    "DO @",
    "EXPLAIN SELECT * FROM t WHERE a = @ -- tail\n AND b = @",
];

/// What a literal holds besides the secret.
const PARTS: [&str; 18] =
    ["'", "\\", "''", "\"", "`", "--", "/*", "*/", ";", "$$", "$t$", "?", " ", "\n", "#", "é", "x = y", "\\\\"];

/// How the server reads.
#[derive(Clone, Copy, Debug)]
struct Server {
    mysql: bool,
    backslash: bool,
}

/// A text between `quote`s.
fn quoted(content: &str, quote: char, backslash: bool, doubling: bool) -> String {
    let mut out = String::from(quote);
    for c in content.chars() {
        match c {
            '\\' if backslash => out.push_str("\\\\"),
            c if c == quote && backslash && !doubling => out.extend(['\\', c]),
            c if c == quote => out.extend([c, c]),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// The content as a literal that `server` understands.
fn literal(content: &str, form: u8, server: Server) -> String {
    let doubling = form & 16 != 0;
    let plain = quoted(content, '\'', server.backslash, doubling);
    let comment = content.replace("*/", "").replace("/*", "").replace(['*', '/'], "");
    match (form & 15, server.mysql) {
        (0, false) => ["E", &quoted(content, '\'', true, doubling)].concat(),
        (1, false) if !content.contains("$$") && !content.ends_with('$') => format!("$${content}$$"),
        (2, false) if !content.contains("$t$") => format!("$t${content} $t$"),
        (3, false) => format!("E'x'\n{}", quoted(content, '\'', true, doubling)),
        (4, false) if !server.backslash => ["U&", &plain].concat(),
        (0, true) => quoted(content, '"', server.backslash, doubling),
        (1, true) => ["_utf8mb4", &plain].concat(),
        (2, true) => format!("'x' {plain}"),
        (3, true) => format!("/*!99999 {comment} */ {plain}"),
        (4, true) => format!("/*!50003 {plain} */"),
        (5, true) => format!("{plain} # {}\n", content.replace('\n', "")),
        (6, _) => ["N", &plain].concat(),
        (7, _) => format!("/* {comment} */ {plain}"),
        (8, _) => format!("{plain} -- {}\n", content.replace('\n', "")),
        _ => plain,
    }
}

/// A statement with the secret in each of its literals.
fn statement(server: Server) -> impl Strategy<Value = (String, String)> {
    let part = || prop::collection::vec(prop::sample::select(&PARTS[..]), 0..4).prop_map(|parts| parts.concat());
    let slots = prop::collection::vec((part(), part(), any::<u8>()), 4);
    (secret(), prop::sample::select(&STATEMENTS[..]), slots).prop_map(move |(secret, statement, slots)| {
        let mut pieces = statement.split('@');
        let mut text = pieces.next().unwrap_or_default().to_owned();
        for (piece, (before, after, form)) in pieces.zip(slots.iter().cycle()) {
            text.push_str(&literal(&format!("{before}{secret}{after}"), form % 32, server));
            text.push_str(piece);
        }
        (secret, text)
    })
}

fn server() -> impl Strategy<Value = Server> {
    (any::<bool>(), any::<bool>()).prop_map(|(mysql, backslash)| Server { mysql, backslash })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 6000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_literal_gets_out_in_any_mode_known_or_not(
        (server, (secret, text)) in server().prop_flat_map(|server| (Just(server), statement(server))),
        told: bool,
        cut in 0usize..400,
    ) {
        let dialect = Dialect { mysql: server.mysql, backslash: told.then_some(server.backslash) };
        let query = Query::read(text.as_bytes(), dialect, false);
        assert_hidden(&secret, &query, &text);
        let query = Query::read(&text.as_bytes()[..cut.min(text.len())], dialect, false).cut();
        assert_hidden(&secret, &query, &text);
    }
}

#[test]
fn bare_words_that_are_values_do_not_get_out() {
    for text in [
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql SET k = kq4711zz AS $$SELECT 1$$",
        "CREATE PROCEDURE p() SET k TO kq4711zz LANGUAGE sql AS 'x'",
        "ALTER FUNCTION f() SET k = kq4711zz",
        "ALTER ROLE bob IN DATABASE d SET k TO kq4711zz, kq4711zz",
        "ALTER SYSTEM SET k = kq4711zz",
        "ALTER DATABASE d SET k = \"kq4711zz\"",
        "ALTER SUBSCRIPTION s SET (slot_name = kq4711zz, k = kq4711zz)",
        "CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (slot_name = kq4711zz)",
        "CREATE TABLE t (a int) WITH (k = kq4711zz, l = kq4711zz)",
        "CREATE SERVER s FOREIGN DATA WRAPPER w OPTIONS (k = kq4711zz)",
        "SET LOCAL k = kq4711zz",
        "SELECT 1; SET k TO kq4711zz",
        "SET k = q'[it's kq4711zz]'",
        "SELECT q'[it's kq4711zz]' FROM t",
        "SELECT nq'!it's kq4711zz!' FROM t",
    ] {
        for dialect in [Dialect::POSTGRESQL, Dialect::POSTGRESQL.unsure()] {
            assert_hidden("kq4711zz", &Query::read(text.as_bytes(), dialect, false), text);
        }
    }
    for text in [
        "SET k = kq4711zz",
        "SET GLOBAL k = kq4711zz, @@SESSION.l = kq4711zz",
        "SET @a = 1, k = kq4711zz",
        "SET NAMES utf8; SET k = kq4711zz",
        "CREATE FUNCTION f() RETURNS int LANGUAGE JAVASCRIPT AS $$ return kq4711zz $$",
        "CREATE FUNCTION f() RETURNS int LANGUAGE JAVASCRIPT AS $js$ kq4711zz",
        "SELECT 1 /*!99999 ' */, 'kq4711zz', ' */ '",
        "SELECT 1 /*M!99999 kq4711zz */ FROM t",
        "SELECT 1 /*!99999 kq4711zz */ FROM t",
        "SELECT 1 /*!999999 ' */ , 'kq4711zz'",
    ] {
        for dialect in [Dialect::MYSQL, Dialect::MYSQL.unsure()] {
            assert_hidden("kq4711zz", &Query::read(text.as_bytes(), dialect, false), text);
        }
    }
}

#[test]
fn a_character_of_several_bytes_hides_no_quote() {
    // 表 of Shift JIS, and a character of GBK that ends in a back-tick.
    for text in [&b"SELECT '\x95\\', 'kq4711zz'"[..], b"SELECT `\x81``, 'kq4711zz', `b` FROM t"] {
        for dialect in [Dialect::MYSQL, Dialect::MYSQL.unsure()] {
            assert_hidden("kq4711zz", &Query::read(text, dialect, false), &String::from_utf8_lossy(text));
        }
    }
}

#[test]
fn what_follows_an_unclear_string_is_one_literal_and_what_is_clear_stays() {
    let unsure = |text: &str| Query::read(text.as_bytes(), Dialect::POSTGRESQL.unsure(), false);
    let query = unsure(r"SELECT a FROM t WHERE b = 'x\' AND c = 'y'");
    assert_eq!((query.text.as_str(), query.summary.as_deref()), ("SELECT a FROM t WHERE b = ?", Some("SELECT t")));
    // Backslashes that are no concern of a quote's leave no doubt.
    assert_eq!(unsure(r"SELECT 'C:\dir', 'a\\', '\n\t' FROM t").text, "SELECT ?, ?, ? FROM t");
    assert_eq!(unsure(r"SELECT E'it\'s' FROM t").text, "SELECT ? FROM t");
    let mysql = |text: &str| Query::read(text.as_bytes(), Dialect::MYSQL, false).text;
    assert_eq!(mysql(r#"SELECT "a \" b", 'c' FROM t"#), "SELECT ?");
    assert_eq!(mysql("SELECT a /*!50100 , b */ /*!99999 , c */ FROM t"), "SELECT a , b FROM t");
    // The mode may be another behind a statement that may change it.
    assert_eq!(mysql(r"SET sql_mode = 'x'; SELECT 'a\' b', c"), "SET sql_mode = ?; SELECT ?");
    assert_eq!(mysql(r"INSERT INTO t VALUES ('a\'b'); SELECT 'a\'b', c"), "INSERT INTO t VALUES (?); SELECT ?, c");
}

#[test]
fn expressions_of_mysql_keep_their_shape() {
    for (text, clean) in [
        ("SET sql_mode = concat(@@sql_mode, ',STRICT_TRANS_TABLES')", "SET sql_mode = concat(@@sql_mode, ?)"),
        (
            "set session sql_mode=concat(@@session.sql_mode,',X'), autocommit=1",
            "set session sql_mode=concat(@@session.sql_mode,?), autocommit=?",
        ),
        (
            "SET @total = (SELECT sum(price) FROM orders), @b := 5",
            "SET @total = (SELECT sum(price) FROM orders), @b := ?",
        ),
        ("SET NAMES utf8mb4", "SET NAMES utf8mb4"),
        (
            "SET STATEMENT max_statement_time=5 FOR SELECT a FROM t WHERE b = 'x'",
            "SET STATEMENT max_statement_time=? FOR SELECT a FROM t WHERE b = ?",
        ),
    ] {
        assert_eq!(Query::read(text.as_bytes(), Dialect::MYSQL, false).text, clean);
    }
}
