//! What tells who asked, taken out of what tells what was asked: values of query strings, user information of URLs.

use std::borrow::Cow;

/// What replaces a value, as the semantic conventions for `url.query` spell it.
const REDACTED: &str = "REDACTED";
/// What replaces user information, as those for `url.full` spell it.
pub(crate) const USER: &str = "REDACTED:REDACTED@";
/// Credentials in pre-signed URLs, which the semantic conventions for `url.query` want redacted in any case: those of
/// 1.43, and two that earlier ones had.
const ALWAYS: [&str; 7] = [
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "sig",
    "X-Goog-Signature",
    "AWSAccessKeyId",
    "Signature",
];
/// A lone word longer than this is more likely a token than a name.
const MAX_WORD: usize = 24;
/// Longest name that is kept whole.
const MAX_NAME: usize = 64;
/// Longest name without a sign of where one word of it ends.
const MAX_STRETCH: usize = 32;
/// Longest result. What goes beyond is cut between parameters.
const MAX_QUERY: usize = 1024;

/// The query string `query` (without `?`) with each value replaced by `REDACTED`, or, with `keep_values`, only those
/// that the semantic conventions call credentials. What stands alone, without a value, may be a name or a token.
pub fn query(query: &str, keep_values: bool) -> String {
    let mut redacted = String::with_capacity(query.len().min(MAX_QUERY));
    for parameter in query.split('&') {
        let (name, value) = match parameter.split_once('=') {
            // `dG9rZW4=`: the sign belongs to the word before it.
            Some((name, value)) if !name.is_empty() && !value.is_empty() && value.bytes().all(|b| b == b'=') => {
                (if keep_values { name } else { REDACTED }, Some(value))
            }
            Some((name, value)) => (name, Some(value)),
            None => (parameter, None),
        };
        let hide = !keep_values || ALWAYS.contains(&name);
        let (name, value) = match value {
            Some(value) => (name, Some(if hide && !value.is_empty() { REDACTED } else { value })),
            None if hide && !is_word(name) => (REDACTED, None),
            None => (name, None),
        };
        let name = match keep_values {
            true => name,
            false if value.is_some() && !is_name(name) => REDACTED,
            false => clip(name, MAX_NAME),
        };
        if redacted.len() + name.len() + value.map_or(0, str::len) + 2 > MAX_QUERY {
            break;
        }
        if !redacted.is_empty() {
            redacted.push('&');
        }
        redacted.push_str(name);
        if let Some(value) = value {
            redacted.push('=');
            redacted.push_str(value);
        }
    }
    redacted
}

/// Whether what stands alone is a name: short, of letters, with two digits at most (`wsdl`, `v2`, `object-lock`).
fn is_word(text: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"-_.;".contains(&b);
    text.len() <= MAX_WORD && text.bytes().all(sound) && text.bytes().filter(u8::is_ascii_digit).count() <= 2
}

/// Whether what stands before a value is a name, and no token: no stretch of it is long and has digits throughout.
fn is_name(text: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric()).all(|stretch| {
        let digits = stretch.bytes().filter(u8::is_ascii_digit).count();
        let hex = stretch.bytes().all(|b| b.is_ascii_hexdigit());
        stretch.len() <= MAX_STRETCH && !(stretch.len() >= 16 && (digits >= 4 || hex))
    })
}

/// The host and port of an authority, without user information. `None` if it is none: what cannot be a host may be part
/// of a password (`u:p` of `//u:p/w@h`).
pub(crate) fn authority(text: &str) -> Option<&str> {
    let host = text.rsplit_once('@').map_or(text, |(_, host)| host);
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((name, port)) => {
            let sound = name.bytes().all(|b| b.is_ascii_alphanumeric() || b":.%-_".contains(&b));
            (Some(name).filter(|_| sound), port.strip_prefix(':').or(port.is_empty().then_some("")))
        }
        // An IPv6 address without brackets.
        None if host.matches(':').count() > 1 => {
            (Some(host).filter(|h| h.bytes().all(|b| b.is_ascii_hexdigit() || b":.".contains(&b))), Some(""))
        }
        None => {
            let (name, port) = host.split_once(':').unwrap_or((host, ""));
            let sound = name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b) || b >= 0x80);
            (Some(name).filter(|_| sound), Some(port))
        }
    };
    let sound = name.is_some_and(|name| !name.is_empty()) && port?.bytes().all(|b| b.is_ascii_digit());
    sound.then_some(host)
}

/// A path without what looks like user information in it (`//u:p@h`, `/http:/u:p@h`), and without the values of its
/// matrix parameters (`;jsessionid=…`), unless `keep_values`. One that begins with no slash is anything at all.
pub(crate) fn path(path: &str, keep_values: bool) -> Cow<'_, str> {
    if !path.contains(['@', ';']) && !path.contains("%40") {
        return Cow::Borrowed(path);
    }
    let mut clean = String::with_capacity(path.len());
    let mut foreign = !path.starts_with('/');
    for (n, segment) in path.split('/').enumerate() {
        if n > 0 {
            clean.push('/');
        }
        // Behind `//`, an authority stands.
        foreign |= n > 0 && segment.is_empty();
        let user = segment.rfind('@').map(|at| (at, at + 1)).or_else(|| segment.rfind("%40").map(|at| (at, at + 3)));
        let rest = match user {
            Some((at, behind)) if foreign || names_two(&segment[..at]) => {
                clean.push_str(USER);
                &segment[behind..]
            }
            _ => segment,
        };
        foreign &= segment.is_empty();
        for (m, part) in rest.split(';').enumerate() {
            match part.split_once('=') {
                Some((name, _)) if m > 0 && !keep_values => clean.extend([";", name, "=", REDACTED]),
                _ if m > 0 => clean.extend([";", part]),
                _ => clean.push_str(part),
            }
        }
    }
    Cow::Owned(clean)
}

/// Whether this may be a user and a password.
fn names_two(text: &str) -> bool {
    text.contains(':') || text.contains("%3A") || text.contains("%3a")
}

/// A text without user information of the URLs in it.
pub(crate) fn text(text: &str) -> Cow<'_, str> {
    if !text.contains('@') || !text.contains("://") {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, url)) = rest.split_once("://") {
        clean.extend([before, "://"]);
        let end = url.find(|c: char| c.is_whitespace() || "<>\"'()".contains(c)).unwrap_or(url.len());
        rest = match url[..end].rfind('@') {
            Some(at) => {
                clean.push_str(USER);
                &url[at + 1..]
            }
            None => url,
        };
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

/// At most `max` bytes of `text`, cut between characters.
pub(crate) fn clip(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

/// Most bytes of a complaint.
pub(crate) const MAX_COMPLAINT: usize = 512;

/// The first line of what a program says of what went wrong. What follows it may be a trace with the arguments of calls.
/// What is quoted is a value, and becomes `?` unless it is to be kept; so does the rest of a line in which a quote has no end.
pub fn complaint(said: &str, keep_values: bool) -> String {
    let line = said.trim_start().lines().next().unwrap_or_default().trim_end();
    let line = clip(line.split("Stack trace:").next().unwrap_or_default(), MAX_COMPLAINT);
    let line = text(line);
    if keep_values {
        return line.into_owned();
    }
    let mut clean = String::with_capacity(line.len());
    let mut rest = &*line;
    while let Some((before, quote)) = rest.find(['\'', '"', '`']).map(|at| (&rest[..at], rest.as_bytes()[at])) {
        clean.extend([before, "?"]);
        let quoted = &rest[before.len() + 1..];
        rest = quoted.find(char::from(quote)).map_or("", |end| &quoted[end + 1..]);
    }
    clean.push_str(rest);
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_is_one_line_without_what_it_quotes() {
        let said = "PHP message: PHP Fatal error:  Uncaught PDOException: Access denied for user 'bob'@\"h\" in /a.php:3\nStack trace:\n#0 f('pw')";
        let clean = "PHP message: PHP Fatal error:  Uncaught PDOException: Access denied for user ?@? in /a.php:3";
        assert_eq!(complaint(said, false), clean);
        assert_eq!(complaint("it can't be 's3cret' so", false), "it can?s3cret?");
        assert_eq!(complaint("it 's so", true), "it 's so");
        assert_eq!(complaint("to http://u:p@h/ it went", false), "to http://REDACTED:REDACTED@h/ it went");
        assert_eq!(complaint(&"é".repeat(400), false).len(), MAX_COMPLAINT);
    }

    #[test]
    fn values_are_replaced_and_names_kept() {
        assert_eq!(query("user=alice&token=s3cret", false), "user=REDACTED&token=REDACTED");
        assert_eq!(query("a=1=2&b=&c&=x", false), "a=REDACTED&b=&c&=REDACTED");
        assert_eq!(query("", false), "");
        assert_eq!(query("a;b=1&&c", false), "a;b=REDACTED&&c");
    }

    #[test]
    fn a_lone_word_that_may_be_a_token_is_taken_for_one() {
        for name in ["wsdl", "singleWsdl", "v2", "object-lock", "publicAccessBlock", ""] {
            assert_eq!(query(name, false), name);
        }
        for token in ["9f86d081884c7d659a2feaa0c55ad015", "s3cr3t0", "dG9rZW4+", "u:p@h", &"x".repeat(25)] {
            assert_eq!(query(token, false), "REDACTED", "{token}");
        }
        assert_eq!(query("dG9rZW5z&b2Zs==&a", false), "dG9rZW5z&REDACTED=REDACTED&a");
        assert_eq!(
            query("9f86d081884c7d659a2feaa0c55ad015=1&filter[0][id]=2", false),
            "REDACTED=REDACTED&filter[0][id]=REDACTED"
        );
    }

    #[test]
    fn an_authority_has_no_user_and_is_a_host() {
        for (text, host) in [
            ("u:p@h", Some("h")),
            ("u:p@w@h:80", Some("h:80")),
            ("h:80", Some("h:80")),
            ("u@[::1]:80", Some("[::1]:80")),
            ("fe80::1", Some("fe80::1")),
            ("h_1.example-2.com", Some("h_1.example-2.com")),
            ("u:p", None),
            ("u:p%40h", None),
            ("u%3Ap%40h", None),
            ("[u:p", None),
            ("h:", Some("h:")),
            ("", None),
        ] {
            assert_eq!(authority(text), host, "{text}");
        }
    }

    #[test]
    fn a_path_has_no_user() {
        for (text, clean) in [
            ("/a/b@c/d", "/a/b@c/d"),
            ("//u:p@h/x", "//REDACTED:REDACTED@h/x"),
            ("//u@h/x", "//REDACTED:REDACTED@h/x"),
            ("/proxy/http://u:p@h/x", "/proxy/http://REDACTED:REDACTED@h/x"),
            ("/http:/u:p@h/x", "/http:/REDACTED:REDACTED@h/x"),
            ("/u:p%40h", "/REDACTED:REDACTED@h"),
            ("u:p@h/x", "REDACTED:REDACTED@h/x"),
            ("/a;jsessionid=1F/b;c;d=e", "/a;jsessionid=REDACTED/b;c;d=REDACTED"),
        ] {
            assert_eq!(path(text, false), clean, "{text}");
        }
        assert_eq!(path("/a;b=c", true), "/a;b=c");
    }

    #[test]
    fn urls_in_texts_have_no_user() {
        assert_eq!(text("bot (+http://u:p@h/; x@y)"), "bot (+http://REDACTED:REDACTED@h/; x@y)");
        assert_eq!(text("a@b"), "a@b");
    }

    #[test]
    fn kept_values_do_not_include_credentials() {
        assert_eq!(query("q=tea&sig=abc&Signature=def&Sig=x", true), "q=tea&sig=REDACTED&Signature=REDACTED&Sig=x");
        assert_eq!(
            query("AWSAccessKeyId=a&X-Goog-Signature=b", true),
            "AWSAccessKeyId=REDACTED&X-Goog-Signature=REDACTED"
        );
    }

    #[test]
    fn a_gigantic_query_is_cut_between_parameters() {
        let gigantic = (0..1000).map(|n| format!("name{n}=value")).collect::<Vec<_>>().join("&");
        let redacted = query(&gigantic, false);
        assert!(redacted.len() <= MAX_QUERY && redacted.ends_with("=REDACTED"), "{redacted}");
        assert!(query(&format!("{}=1", "é".repeat(5000)), false).len() <= MAX_NAME + 9);
    }
}
