//! SQL loses its literals, keeps its shape, and gets a summary.

use proptest::prelude::*;
use wirespan_protocols::sql::{Dialect, Query};

fn postgresql(text: &str) -> String {
    Query::read(text.as_bytes(), Dialect::POSTGRESQL, false).text
}

fn mysql(text: &str) -> String {
    Query::read(text.as_bytes(), Dialect::MYSQL, false).text
}

fn summary(text: &str) -> String {
    Query::read(text.as_bytes(), Dialect::POSTGRESQL, false).summary.unwrap_or_default()
}

#[test]
fn literals_become_question_marks() {
    for (text, clean) in [
        ("SELECT * FROM t WHERE a = 'x''y' AND b = 12", "SELECT * FROM t WHERE a = ? AND b = ?"),
        ("select 1.5, .5, 1e10, 1.5e-3, 0xff, 1_000", "select ?, ?, ?, ?, ?, ?"),
        ("SELECT t1.c2 FROM t1", "SELECT t1.c2 FROM t1"),
        ("SELECT TRUE, false, NULL", "SELECT ?, ?, NULL"),
        ("SELECT -5 + a", "SELECT -? + a"),
        ("SELECT DATE '2020-01-01', INTERVAL '1 day'", "SELECT DATE ?, INTERVAL ?"),
        ("SELECT B'101', x'1F', N'a', n'b'", "SELECT ?, ?, ?, ?"),
        ("  SELECT\n\t1  ", "SELECT ?"),
    ] {
        assert_eq!(postgresql(text), clean);
        assert_eq!(mysql(text), clean);
    }
}

#[test]
fn postgresql_quotes_in_its_own_ways() {
    for (text, clean) in [
        (r"SELECT E'it\'s secret', 'plain\', a", "SELECT ?, ?, a"),
        ("SELECT $$it's$$, $tag$a $$ b$tag$, $1", "SELECT ?, ?, $1"),
        ("SELECT \"a column\", \"we\"\"ird\"", "SELECT \"a column\", \"we\"\"ird\""),
        ("SELECT a::text, b #> c, d->>'k' -- comment 'x'\n FROM t", "SELECT a::text, b #> c, d->>? FROM t"),
        ("SELECT /* a /* nested */ secret */ 1", "SELECT ?"),
        ("SELECT U&'d\\0061t'", "SELECT U&?"),
        ("SELECT $1::int, $12", "SELECT $1::int, $12"),
    ] {
        assert_eq!(postgresql(text), clean);
    }
    let backslash = Dialect { backslash: Some(true), ..Dialect::POSTGRESQL };
    assert_eq!(Query::read(br"SELECT 'it\'s', a", backslash, false).text, "SELECT ?, a");
}

#[test]
fn mysql_quotes_in_its_own_ways() {
    for (text, clean) in [
        (r#"SELECT 'it\'s', "a ""b"" c", `t``x`"#, "SELECT ?, ?, `t``x`"),
        ("SELECT _utf8mb4'abc', _binary 'x'", "SELECT ?, _binary ?"),
        ("SELECT 5--1, a # comment\n, b -- more\n, c", "SELECT ?--?, a , b , c"),
        ("SELECT /*!40001 SQL_NO_CACHE */ 'x' FROM t /* plain */", "SELECT SQL_NO_CACHE ? FROM t"),
        ("SELECT @v := 5, @@global.x, ?", "SELECT @v := ?, @@global.x, ?"),
        ("CREATE USER 'bob'@'%' IDENTIFIED BY 'secret'", "CREATE USER ?@? IDENTIFIED BY ?"),
    ] {
        assert_eq!(mysql(text), clean);
    }
}

#[test]
fn secrets_do_not_get_out() {
    for text in [
        "CREATE USER bob WITH PASSWORD 'hunter2'",
        "ALTER ROLE bob PASSWORD $$hunter2$$",
        "ALTER USER bob SET my.token = hunter2",
        "SET my.token = hunter2",
        "SET my.token TO 'a', hunter2",
        "SET PASSWORD FOR 'bob' = PASSWORD('hunter2')",
        "CREATE SUBSCRIPTION s CONNECTION 'host=a password=hunter2' PUBLICATION p",
        "SELECT 1 -- hunter2",
        "SELECT 1 /* hunter2 */",
        "SELECT 1 /* hunter2",
        "SELECT 'hunter2",
        "SELECT $a$hunter2",
        "SELECT E'\\'hunter2",
        "SELECT \"hunter2",
        "CREATE USER 'bob' IDENTIFIED BY \"hunter2\"",
        "SELECT 0hunter2",
    ] {
        let dialects: &[Dialect] = match text.contains('"') || text.contains("'bob'") {
            true => &[Dialect::MYSQL],
            false => &[Dialect::POSTGRESQL],
        };
        for dialect in dialects {
            let query = Query::read(text.as_bytes(), *dialect, false);
            assert!(!query.text.contains("hunter2"), "{text}: {query:?}");
            assert!(!query.summary.unwrap_or_default().contains("hunter2"), "{text}");
        }
    }
}

#[test]
fn lists_of_values_are_one() {
    assert_eq!(postgresql("SELECT 1 WHERE a IN (1, 2,3) AND b IN ('x')"), "SELECT ? WHERE a IN (?) AND b IN (?)");
    assert_eq!(postgresql("SELECT 1 WHERE a in ($1, $2, -3)"), "SELECT ? WHERE a in (?)");
    assert_eq!(postgresql("SELECT 1 WHERE a IN (b, 2)"), "SELECT ? WHERE a IN (b, ?)");
    assert_eq!(postgresql("SELECT 1 WHERE a IN (SELECT 2)"), "SELECT ? WHERE a IN (SELECT ?)");
    assert_eq!(postgresql("INSERT INTO t VALUES (1, 2)"), "INSERT INTO t VALUES (?, ?)");
}

#[test]
fn the_text_is_kept_on_request() {
    let query = Query::read(b" SELECT 'x' /* c */ ", Dialect::POSTGRESQL, true);
    assert_eq!((query.text.as_str(), query.summary.as_deref()), ("SELECT 'x' /* c */", Some("SELECT")));
}

#[test]
fn summaries_are_those_of_the_conventions() {
    for (text, expected) in [
        ("SELECT * FROM wuser_table WHERE username = ?", "SELECT wuser_table"),
        (
            "INSERT INTO shipping_details (order_id, address) SELECT order_id, address FROM orders WHERE order_id = ?",
            "INSERT shipping_details SELECT orders",
        ),
        ("SELECT * FROM songs, artists WHERE songs.artist_id = artists.id", "SELECT songs artists"),
        (
            "SELECT order_date FROM (SELECT * FROM orders o JOIN customers c ON o.customer_id = c.customer_id)",
            "SELECT SELECT orders customers",
        ),
        ("SELECT * FROM \"song list\", artists", "SELECT \"song list\" artists"),
        ("call some_stored_procedure(1)", "call some_stored_procedure"),
    ] {
        assert_eq!(summary(text), expected, "{text}");
    }
}

#[test]
fn summaries_name_operations_and_targets() {
    for (text, expected) in [
        ("select 1", "select"),
        (
            "SELECT a.b FROM public.users u, \"s\".\"t\" AS x JOIN c USING (id), d",
            "SELECT public.users \"s\".\"t\" c d",
        ),
        ("SELECT EXTRACT(year FROM ts), trim(both 'x' FROM b) FROM t", "SELECT t"),
        ("SELECT a IS DISTINCT FROM b FROM t", "SELECT t"),
        ("SELECT * FROM generate_series(1, 10) g, t", "SELECT t"),
        ("SELECT * FROM t WHERE a IN (SELECT b FROM u) FOR UPDATE", "SELECT t SELECT u"),
        ("SELECT 1 FROM a UNION ALL SELECT 2 FROM b ORDER BY 1, 2", "SELECT a SELECT b"),
        ("SELECT replace(a, 'x', 'y'), insert(b, 1, 2, 'c') FROM t", "SELECT t"),
        ("UPDATE ONLY accounts SET b = b + 1 FROM other WHERE id = 1", "UPDATE accounts other"),
        ("UPDATE a JOIN b ON a.x = b.x SET a.y = 1", "UPDATE a b"),
        ("DELETE FROM t USING u WHERE t.a = u.a", "DELETE t u"),
        ("INSERT INTO t(a) VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 2", "INSERT t"),
        ("INSERT IGNORE INTO t VALUES (1) ON DUPLICATE KEY UPDATE a = 2", "INSERT t"),
        ("REPLACE INTO t VALUES (1)", "REPLACE t"),
        ("MERGE INTO t USING s ON t.a = s.a WHEN MATCHED THEN UPDATE SET b = 1", "MERGE t s"),
        (
            "WITH x AS (SELECT * FROM a), y(c) AS MATERIALIZED (SELECT 1 FROM b) SELECT * FROM x, y, z",
            "SELECT a SELECT b SELECT z",
        ),
        ("WITH x AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM x", "DELETE a INSERT b SELECT"),
        ("CREATE TABLE IF NOT EXISTS t (a int)", "CREATE TABLE t"),
        ("CREATE UNIQUE INDEX CONCURRENTLY i ON t (a)", "CREATE INDEX i"),
        ("CREATE TEMP TABLE t AS SELECT * FROM u", "CREATE TABLE t SELECT u"),
        ("DROP TABLE IF EXISTS a, b.c CASCADE", "DROP TABLE a b.c"),
        ("ALTER TABLE t ADD COLUMN x int DEFAULT 5", "ALTER TABLE t"),
        ("CREATE USER bob PASSWORD 'x'", "CREATE USER"),
        ("TRUNCATE TABLE t", "TRUNCATE t"),
        ("COPY t (a, b) FROM STDIN", "COPY t"),
        ("COPY (SELECT * FROM t) TO STDOUT", "COPY SELECT t"),
        ("EXPLAIN ANALYZE SELECT * FROM t", "EXPLAIN SELECT t"),
        ("EXPLAIN (ANALYZE, BUFFERS) DELETE FROM t", "EXPLAIN DELETE t"),
        ("BEGIN", "BEGIN"),
        ("START TRANSACTION READ ONLY", "START"),
        ("SAVEPOINT sp_1234", "SAVEPOINT"),
        ("SET search_path TO a, b", "SET"),
        ("DECLARE c CURSOR FOR SELECT * FROM t", "DECLARE SELECT t"),
        ("PREPARE q AS SELECT * FROM t", "PREPARE q SELECT t"),
        ("EXECUTE q(1, 'x')", "EXECUTE q"),
        ("USE shop", "USE shop"),
        ("/* hi */ SELECT 1 FROM t;", "SELECT t"),
        ("(SELECT 1 FROM a) UNION (SELECT 2 FROM b)", "SELECT a SELECT b"),
        ("hello world", ""),
        ("", ""),
        (";;", ""),
        ("'just a literal'", ""),
    ] {
        assert_eq!(summary(text), expected, "{text}");
    }
}

#[test]
fn several_statements_are_a_batch() {
    let query = |text: &str| Query::read(text.as_bytes(), Dialect::POSTGRESQL, false);
    let same = query("INSERT INTO t VALUES (1); INSERT INTO t VALUES (2);");
    assert_eq!((same.summary.as_deref(), same.statements), (Some("BATCH INSERT t"), 2));
    let mixed = query("BEGIN; INSERT INTO t VALUES (1); COMMIT");
    assert_eq!((mixed.summary.as_deref(), mixed.statements), (Some("BATCH"), 3));
    assert_eq!(query("SELECT 1;").statements, 1);
}

#[test]
fn a_routine_of_mysql_is_one_statement() {
    let text = "CREATE PROCEDURE p() BEGIN SELECT 1 FROM a; SELECT 2 FROM b; END";
    let query = Query::read(text.as_bytes(), Dialect::MYSQL, false);
    assert_eq!((query.summary.as_deref(), query.statements), (Some("CREATE PROCEDURE p"), 1));
}

#[test]
fn a_called_procedure_is_named() {
    let query = |text: &str| Query::read(text.as_bytes(), Dialect::MYSQL, false).procedure;
    assert_eq!(query("CALL shop.refresh('x')").as_deref(), Some("shop.refresh"));
    assert_eq!(query("SELECT f(1)"), None);
}

#[test]
fn summaries_and_texts_are_bounded() {
    let tables = (0..100).map(|n| format!("table_{n}")).collect::<Vec<_>>().join(", ");
    let query = Query::read(format!("SELECT * FROM {tables}").as_bytes(), Dialect::POSTGRESQL, false);
    let summary = query.summary.unwrap();
    assert!(summary.len() <= 255 && summary.ends_with(|c: char| c.is_ascii_digit()), "{summary}");
    assert!(tables.contains(summary.rsplit(' ').next().unwrap()));
    let long = format!("SELECT {}", "a, ".repeat(10_000));
    assert!(Query::read(long.as_bytes(), Dialect::POSTGRESQL, false).text.len() <= 4096);
    let deep = format!("SELECT {}1{} FROM t", "(".repeat(5000), ")".repeat(5000));
    assert_eq!(Query::read(deep.as_bytes(), Dialect::POSTGRESQL, false).statements, 1);
}

fn fragment() -> impl Strategy<Value = Vec<u8>> {
    let parts: Vec<&'static [u8]> = vec![
        b"SELECT ",
        b"FROM ",
        b"'",
        b"''",
        b"\"",
        b"`",
        b"$$",
        b"$a$",
        b"$1",
        b"E'",
        b"\\",
        b"--",
        b"\n",
        b"/*",
        b"*/",
        b"/*!5",
        b"(",
        b")",
        b",",
        b";",
        b".",
        b"1",
        b"1e",
        b"WITH ",
        b" AS (",
        b"INSERT INTO ",
        b"IN (",
        b"SET ",
        b"=",
        b"t",
        b"\xff",
        b"#",
        b"CREATE TABLE ",
        b"EXPLAIN ",
        b"JOIN ",
        b"_x'",
        b"DELETE ",
        b"CALL p",
    ];
    prop_oneof![6 => prop::sample::select(parts).prop_map(<[u8]>::to_vec), 1 => prop::collection::vec(any::<u8>(), 0..8)]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_panic_or_grow(parts in prop::collection::vec(fragment(), 0..60), mysql: bool, keep: bool) {
        let dialect = if mysql { Dialect::MYSQL } else { Dialect::POSTGRESQL };
        let query = Query::read(&parts.concat(), dialect, keep);
        prop_assert!(query.text.len() <= 4096 && query.summary.unwrap_or_default().len() <= 255);
    }

    #[test]
    fn a_string_never_gets_out_however_the_text_is_cut(before in "[a-z(),=]{0,20}", at in 0usize..60, mysql: bool) {
        let dialect = if mysql { Dialect::MYSQL } else { Dialect::POSTGRESQL };
        let text = format!("SELECT {before} 'SECRETSECRET' , $1");
        let query = Query::read(&text.as_bytes()[..at.min(text.len())], dialect, false);
        prop_assert!(!query.text.contains("SECRET"));
    }
}
