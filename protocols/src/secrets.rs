//! Secrets in what programs log: values that names say are secret, tokens whose form says it, user information and query strings of
//! URLs. What is a secret and looks like nothing cannot be known; lines are told only to who asks for them.

use std::borrow::Cow;

use crate::redact;
use crate::rules::secret;

/// What replaces one.
const REDACTED: &str = "REDACTED";
/// Parts of names whose values are secret in what is logged, besides those that are in attributes.
const NAMES: [&str; 4] = ["cookie", "sessionid", "session_id", "session-id"];
/// Names behind which everything is, up to the end of the line or of what is quoted.
const TO_THE_END: [&str; 2] = ["authorization", "cookie"];
/// Words behind which a token stands.
const SCHEMES: [&str; 3] = ["bearer", "basic", "digest"];
/// How tokens begin that are known by that, and how long they are at least.
const BEGINNINGS: [(&str, usize); 10] = [
    ("eyJ", 20),
    ("AKIA", 16),
    ("ASIA", 16),
    ("ghp_", 20),
    ("gho_", 20),
    ("github_pat_", 20),
    ("xoxb-", 16),
    ("xoxp-", 16),
    ("sk-", 20),
    ("glpat-", 16),
];
/// The longest name that is looked at.
const MAX_NAME: usize = 64;

/// Whether a name says that its value is secret.
pub fn is_secret(name: &str) -> bool {
    let name = &name[name.ceil_char_boundary(name.len().saturating_sub(MAX_NAME))..];
    !name.is_empty() && (secret::is_secret(name) || NAMES.iter().any(|part| contains(name, part)))
}

/// A text without the secrets in it; `keep_values`: query strings keep what is no secret.
pub fn without<'a>(text: &'a str, keep_values: bool) -> Cow<'a, str> {
    let mut clean = redact::text(text);
    for pass in [keys, tokens] {
        if let Some(cleaner) = pass(&clean) {
            clean = cleaner.into();
        }
    }
    match queries(&clean, keep_values) {
        Some(cleaner) => cleaner.into(),
        None => clean,
    }
}

/// Without the values of names that say that they are secret: `password=…`, `"password": "…"`, `Authorization: Bearer …`.
fn keys(text: &str) -> Option<String> {
    let mut clean = String::new();
    let (mut from, mut at) = (0, 0);
    while let Some(sign) = text[at..].find(['=', ':']).map(|sign| at + sign) {
        at = sign + 1;
        let name = name_before(&text[..sign]);
        if !is_secret(name) {
            continue;
        }
        let Some((begin, end)) = value(text, at, TO_THE_END.iter().any(|n| contains(name, n))) else { continue };
        clean.push_str(&text[from..begin]);
        clean.push_str(REDACTED);
        (from, at) = (end, end);
    }
    (from > 0).then(|| clean + &text[from..])
}

/// The name that ends where the text does, which may be quoted.
fn name_before(text: &str) -> &str {
    let text = text.trim_end_matches([' ', '"', '\'', '\\', '`']);
    let sound = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let begin = text.char_indices().rev().take(MAX_NAME).take_while(|(_, c)| sound(*c)).last();
    begin.map_or("", |(begin, _)| &text[begin..])
}

/// Where the value lies that begins at a place, or behind spaces and a quote there. There may be none.
fn value(text: &str, at: usize, to_the_end: bool) -> Option<(usize, usize)> {
    let rest = &text[at..];
    // (`=>` and `:=` are signs as well.)
    let trimmed = rest.trim_start_matches([' ', '>', '=', '\\']);
    let quote = trimmed.chars().next().filter(|c| "\"'`".contains(*c));
    let begin = text.len() - trimmed.len() + usize::from(quote.is_some());
    let value = &text[begin..];
    let length = match quote {
        Some(quote) => value.find(quote),
        None if to_the_end => value.find(['\n', '\r', '"', '\'']),
        None => value.find(|c: char| c.is_whitespace() || ",;&\"'`)}]".contains(c)),
    };
    let end = begin + length.unwrap_or(value.len());
    (end > begin).then_some((begin, end))
}

/// Without what is a token by its form, or behind the name of a scheme.
fn tokens(text: &str) -> Option<String> {
    if text.contains("-----BEGIN ") && text.contains("PRIVATE KEY") {
        let at = text.find("-----BEGIN ").unwrap_or_default();
        return Some(format!("{}{REDACTED}", &text[..at]));
    }
    let is_part = |c: char| c.is_ascii_alphanumeric() || "_-.+/=~".contains(c);
    let mut clean = String::new();
    let (mut from, mut at, mut behind_scheme) = (0, 0, false);
    while let Some(begin) = text[at..].find(is_part).map(|begin| at + begin) {
        let end = text[begin..].find(|c| !is_part(c)).map_or(text.len(), |end| begin + end);
        let word = &text[begin..end];
        // (A token may stand behind a sign: `key=eyJ…`.)
        let token = word.rsplit_once('=').map_or(word, |(_, last)| last);
        let known = BEGINNINGS.iter().any(|(sign, length)| token.len() >= *length && token.starts_with(sign));
        if known || (behind_scheme && word.len() >= 6 && word != REDACTED) {
            let begin = if known { end - token.len() } else { begin };
            clean.push_str(&text[from..begin]);
            clean.push_str(REDACTED);
            from = end;
        }
        behind_scheme = SCHEMES.iter().any(|scheme| word.eq_ignore_ascii_case(scheme));
        at = end;
    }
    (from > 0).then(|| clean + &text[from..])
}

/// Without the values of query strings: of what stands behind a `?` within a word, if it is a list of pairs.
fn queries(text: &str, keep_values: bool) -> Option<String> {
    let mut clean = String::new();
    let (mut from, mut at) = (0, 0);
    while let Some(mark) = text[at..].find('?').map(|mark| at + mark) {
        at = mark + 1;
        let end =
            text[at..].find(|c: char| c.is_whitespace() || "\"'`<>)]}".contains(c)).map_or(text.len(), |end| at + end);
        let within =
            text[..mark].chars().next_back().is_some_and(|c| c.is_ascii_alphanumeric() || "/._-~%".contains(c));
        if !within || !text[at..end].contains('=') {
            continue;
        }
        clean.push_str(&text[from..at]);
        clean.push_str(&redact::query(&text[at..end], keep_values));
        (from, at) = (end, end);
    }
    (from > 0).then(|| clean + &text[from..])
}

fn contains(name: &str, part: &str) -> bool {
    name.as_bytes().windows(part.len()).any(|window| window.eq_ignore_ascii_case(part.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_left_out_and_the_rest_stays() {
        for (text, clean) in [
            ("it is so", "it is so"),
            ("user=bob password=s3cret done", "user=bob password=REDACTED done"),
            ("password: s3cret, and", "password: REDACTED, and"),
            ("DB_PASSWORD='s3 cret' x", "DB_PASSWORD='REDACTED' x"),
            (r#"{"apiKey":"abc","n":1}"#, r#"{"apiKey":"REDACTED","n":1}"#),
            (r#"{\"token\":\"abc\"}"#, r#"{\"token\":\"REDACTED"}"#),
            ("Authorization: Bearer abc.def ghi", "Authorization: REDACTED"),
            ("sent \"Cookie: a=b; c=d\" there", "sent \"Cookie: REDACTED\" there"),
            ("with Bearer abcdef123 it", "with Bearer REDACTED it"),
            ("a eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.x-y z", "a REDACTED z"),
            ("key AKIAIOSFODNN7EXAMPLE.", "key REDACTED"),
            ("to postgres://u:p@h/x", "to postgres://REDACTED:REDACTED@h/x"),
            ("GET /a?q=tea&x=1 HTTP/1.1", "GET /a?q=REDACTED&x=REDACTED HTTP/1.1"),
            ("is it? a=b", "is it? a=b"),
            ("-----BEGIN RSA PRIVATE KEY-----\nabc", "REDACTED"),
            ("token=", "token="),
            ("secret => 'x'", "secret => 'REDACTED'"),
            ("passwörter: é", "passwörter: é"),
        ] {
            assert_eq!(without(text, false), clean, "{text}");
        }
        assert_eq!(without("GET /a?q=tea&sig=1", true), "GET /a?q=tea&sig=REDACTED");
        assert!(is_secret("db.Password") && is_secret("X-Api-Key") && !is_secret("path"));
    }

    #[test]
    fn long_texts_are_read_once() {
        for piece in ["a=", "token=x ", "?a=b ", "Bearer ", "eyJ", "\"'`", "=:", "é:"] {
            let text = piece.repeat((64 << 10) / piece.len());
            assert!(without(&text, false).len() <= 2 * text.len() + 16);
        }
    }
}
