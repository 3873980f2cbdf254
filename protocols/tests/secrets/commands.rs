//! Arguments, credentials, errors and unknown words of the other protocols.

use proptest::prelude::*;
use wirespan_protocols::exchange::Output;

use crate::wire::Wire;
use crate::{assert_hidden, secret};

fn told(protocol: &str, operations: &[(bool, Vec<u8>)]) -> Vec<Output> {
    let mut wire = Wire::new(protocol);
    for (asks, bytes) in operations {
        if *asks {
            wire.request(bytes)
        } else {
            wire.response(bytes)
        };
    }
    assert!(!wire.started().is_empty(), "no request in {operations:?}");
    wire.out
}

/// A command of Redis.
fn resp(words: &[&str]) -> Vec<u8> {
    let mut out = format!("*{}\r\n", words.len());
    for word in words {
        out.push_str(&format!("${}\r\n{word}\r\n", word.len()));
    }
    out.into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn redis_tells_no_word_that_it_does_not_know(secret in secret()) {
        let s = secret.as_str();
        let upper = s.to_uppercase();
        let commands: [&[&str]; 16] = [
            &[s], &[s, "x"], &["SET", s, s], &["AUTH", s], &["AUTH", "u", s], &["HELLO", "3", "AUTH", "u", s],
            &["CONFIG", s], &["CONFIG", "SET", "requirepass", s], &["CLIENT", s, s], &["FT.", s], &[&["FT.", s].concat()],
            &["EVALSHA", s, "0"], &["EVAL", s, "0"], &["ACL", "SETUSER", "u", &[">", s].concat()], &["MIGRATE", "h", s],
            &["sEt", s, s],
        ];
        let errors = [format!("-{upper} no\r\n"), format!("-ERR unknown command '{s}'\r\n"), format!("-{s}\r\n"),
            format!("!{}\r\n{upper} no\r\n", upper.len() + 3), format!("+{s}\r\n"), format!("${}\r\n{s}\r\n", s.len())];
        for command in commands {
            for answer in &errors {
                let operations = [(true, resp(&["PING"])), (false, b"+PONG\r\n".to_vec()), (true, resp(command)), (false, answer.clone().into_bytes())];
                assert_hidden(s, &told("redis", &operations), &format!("{command:?} {answer}"));
            }
        }
    }

    #[test]
    fn memcached_tells_no_word_that_it_does_not_know(secret in secret()) {
        let verb: String = secret.chars().filter(char::is_ascii_lowercase).chain("kqkqkq".chars()).take(12).collect();
        for (needle, command) in [
            (&secret, format!("get {secret}\r\n")),
            (&secret, format!("set k 0 0 {}\r\n{secret}\r\n", secret.len())),
            (&secret, format!("mg {secret} v\r\n")),
            (&verb, format!("{verb} x\r\n")),
            (&verb, format!("{verb}\r\n")),
        ] {
            for answer in [format!("ERROR {secret}\r\n"), format!("CLIENT_ERROR {secret}\r\n"), "END\r\n".to_owned()] {
                let operations = [(true, command.clone().into_bytes()), (false, answer.into_bytes())];
                assert_hidden(needle, &told("memcached", &operations), &command);
            }
        }
    }

    #[test]
    fn postgresql_tells_nothing_of_errors_and_credentials(secret in secret(), quote in 0..4usize) {
        let message = |kind: &str, body: String| {
            [kind.as_bytes(), &(body.len() as u32 + 4).to_be_bytes(), body.as_bytes()].concat()
        };
        let startup = |body: String| {
            [&(body.len() as u32 + 8).to_be_bytes()[..], &196_608u32.to_be_bytes(), body.as_bytes()].concat()
        };
        let upper = secret.to_uppercase();
        let sql = [
            format!(r"SELECT 'a\' {secret} b'"),
            format!("SELECT '{secret}' FROM t"),
            format!(r"SELECT 'a\', {secret} , ' b'"),
            format!("ALTER ROLE bob PASSWORD '{secret}'"),
        ][quote].clone();
        let error = format!("SERROR\0C42601\0Msyntax error at or near \"{secret}\"\0Dkey ({secret})\0W{secret}\0\0");
        let ready = || message("Z", "I".into());
        let told_mode = [message("R", "\0\0\0\0".into()), message("S", "standard_conforming_strings\0off\0".into()), ready()].concat();
        let query = (true, message("Q", format!("{sql}\0")));
        let failed = (false, [message("N", error.clone()), message("E", error), ready()].concat());
        let tag = (false, [message("C", format!("{upper} 1\0")), ready()].concat());
        let begun = (true, startup(format!("user\0app\0options\0-c k={secret}\0database\0d\0\0")));
        let proof = (true, message("p", format!("{secret}\0")));
        let unnamed = [message("B", "\0s1\0\0\0\0\0\0\0".into()), message("E", "\0\0\0\0\0".into()), message("S", String::new())].concat();
        // Its beginning seen, in another mode than usual; and not seen.
        if quote != 2 {
            assert_hidden(&secret, &told("postgresql", &[begun, proof, (false, told_mode), query.clone(), failed.clone()]), &sql);
        }
        if quote != 0 {
            assert_hidden(&secret, &told("postgresql", &[query.clone(), failed]), &sql);
        }
        assert_hidden(&secret, &told("postgresql", &[(true, message("Q", format!("SELECT 'a\\' {secret} b'\0")))]), &sql);
        assert_hidden(&secret, &told("postgresql", &[query.clone(), (false, ready()), (true, unnamed), tag]), &sql);
    }

    #[test]
    fn mysql_tells_nothing_of_errors_and_of_strings_in_unknown_modes(secret in secret(), mode: bool, late: bool) {
        let packet = |sequence: u8, body: &[u8]| [&(body.len() as u32).to_le_bytes()[..3], &[sequence], body].concat();
        // As a server without NO_BACKSLASH_ESCAPES reads it, and as one with it does.
        let sql = if mode { format!(r"SELECT 'a\', {secret} , ' b'") } else { format!(r"SELECT 'a\', '{secret}'") };
        let query = (true, packet(0, [b"\x03", sql.as_bytes()].concat().as_slice()));
        let error = (false, packet(1, &[b"\xff\x28\x04#42000near ", secret.as_bytes()].concat()));
        let status = if mode { 2u16 } else { 0x0202 }.to_le_bytes();
        let ok = packet(1, &[0, 0, 0, status[0], status[1], 0, 0]);
        let ping = [(true, packet(0, &[0x0e])), (false, ok)];
        let operations = if late { vec![query, error] } else { [&ping[..], &[query, error]].concat() };
        assert_hidden(&secret, &told("mysql", &operations), &sql);
    }
}

#[test]
fn a_mode_that_was_told_counts() {
    let text = |wire: &Wire| crate::wire::text(wire.last(), "db.query.text").unwrap_or_default().to_owned();
    let message =
        |kind: &str, body: &str| [kind.as_bytes(), &(body.len() as u32 + 4).to_be_bytes(), body.as_bytes()].concat();
    let sql = message("Q", "SELECT 'a\\', b, 'c'\0");
    let done = [message("C", "SELECT 1\0"), message("Z", "I")].concat();
    let mut wire = Wire::new("postgresql");
    wire.request(&sql).response(&done);
    assert_eq!(text(&wire), "SELECT ?", "nobody told a mode");
    wire.request(message("Q", "SET standard_conforming_strings = on\0"));
    wire.response(
        [message("S", "standard_conforming_strings\0on\0"), message("C", "SET\0"), message("Z", "I")].concat(),
    );
    wire.request(&sql).response(&done);
    assert_eq!(text(&wire), "SELECT ?, b, ?", "a string ends at each quote");
    wire.request(message("Q", "SELECT set_config('standard_conforming_strings', 'off', false)\0"));
    wire.request(&sql);
    wire.response([message("S", "standard_conforming_strings\0off\0"), done.clone()].concat()).response(&done);
    assert_eq!(text(&wire), "SELECT ?", "what is in flight may change it");
    wire.request(&sql).response(&done);
    assert_eq!(text(&wire), "SELECT ?c?", "a backslash escapes");
}
