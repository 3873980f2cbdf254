//! What stands in a query string, a form, a list of cookies, baggage, or a comment of SQL.

use std::borrow::Cow;

use super::MAX_VALUE;

/// Bytes of a form that are looked at.
const MAX_BODY: usize = 64 * 1024;

/// A text without its percent-encoding; `plus` stands for a blank in forms.
pub(super) fn decoded(text: &str, plus: bool) -> Option<Cow<'_, str>> {
    if text.len() > 3 * MAX_VALUE {
        return None;
    }
    let is_encoded = text.contains('%') || (plus && text.contains('+'));
    if !is_encoded {
        return Some(Cow::Borrowed(text));
    }
    String::from_utf8(percent_decoded(text.as_bytes(), plus)).ok().map(Cow::Owned)
}

/// The same of bytes, however many.
pub(crate) fn percent_decoded(bytes: &[u8], plus: bool) -> Vec<u8> {
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while let Some(byte) = bytes.get(at) {
        let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
                continue;
            }
            (b'+', ..) if plus => out.push(b' '),
            _ => out.push(*byte),
        }
        at += 1;
    }
    out
}

/// The value of a name in `name=value` pairs.
pub(super) fn pair<'a>(pairs: &'a str, separator: char, name: &str) -> Option<&'a str> {
    let named = |pair: &'a str| {
        let (key, value) = pair.split_once('=')?;
        let key = key.trim();
        (key == name || decoded(key, true).is_some_and(|key| key == name)).then_some(value.trim())
    };
    pairs.split(separator).find_map(named)
}

/// A member of W3C `baggage`, without its properties.
pub(super) fn baggage(header: &str, name: &str) -> Option<String> {
    let value = pair(header, ',', name)?.split(';').next()?.trim();
    decoded(value, false).map(Cow::into_owned)
}

/// A key of the comment at the end of a statement, as sqlcommenter writes it: `/*action='list',route='%2Forders'*/`.
pub(super) fn sql_comment(sql: &str, name: &str) -> Option<String> {
    let sql = sql.trim_end_matches(|c: char| c.is_whitespace() || c == ';' || c == '\0');
    // What ends in `*/` ends in a comment: a text in quotes would end in a quote.
    let comment = sql.strip_suffix("*/")?;
    let comment = &comment[comment.rfind("/*")? + 2..];
    let value = pair(comment, ',', name)?;
    let value = value.strip_prefix('\'')?.strip_suffix('\'')?;
    decoded(&value.replace("\\'", "'"), false).map(Cow::into_owned)
}

/// Looks for one field of a form while it passes.
#[derive(Debug)]
pub(super) struct Finder {
    name: String,
    /// The pair that is being read.
    pair: Vec<u8>,
    /// It is longer than what is kept.
    long: bool,
    seen: usize,
    done: bool,
    /// A part of the form is missing, or it is none, or larger than what is looked at.
    broken: bool,
    found: Option<String>,
}

impl Finder {
    pub(super) fn new(name: String) -> Self {
        Self { name, pair: Vec::new(), long: false, seen: 0, done: false, broken: false, found: None }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// Whether it ended with something that is not understood, or not seen.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Part of the form is missing, or it is not understood.
    pub(super) fn lose(&mut self) {
        self.broken = true;
        self.end();
    }

    fn end(&mut self) {
        self.done = true;
        self.pair = Vec::new();
    }

    pub(super) fn bytes(&self) -> usize {
        self.pair.capacity()
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.done {
                return;
            }
            self.seen += 1;
            if self.seen > MAX_BODY {
                return self.lose();
            }
            match byte {
                b'&' => self.pair_ended(),
                _ if self.pair.len() >= 4 * MAX_VALUE => self.long = true,
                _ => self.pair.push(*byte),
            }
        }
    }

    fn pair_ended(&mut self) {
        let pair = std::mem::take(&mut self.pair);
        let long = std::mem::take(&mut self.long);
        let Ok(text) = std::str::from_utf8(&pair) else { return self.lose() };
        if let Some(value) = self::pair(text, '&', &self.name).filter(|_| !long) {
            self.found = decoded(value, true).map(Cow::into_owned);
            self.end();
        }
    }

    /// What was found, the body being complete.
    pub(super) fn take(&mut self) -> Option<String> {
        if !self.done {
            self.pair_ended();
        }
        self.found.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_decoded() {
        assert_eq!(
            pair("a=1&order%5Bid%5D=7%2B&b=", '&', "order[id]").and_then(|v| decoded(v, true)).as_deref(),
            Some("7+")
        );
        assert_eq!(pair("sid=x; theme=dark", ';', "theme"), Some("dark"));
        assert_eq!(pair("abc", '&', "abc"), None);
        assert_eq!(decoded("a%2", false).as_deref(), Some("a%2"));
        assert_eq!(decoded("%ff", false), None);
        assert_eq!(baggage("user=a, tenant=b%20c;secure, x=y", "tenant").as_deref(), Some("b c"));
    }

    #[test]
    fn a_comment_of_sql_is_read_at_its_end_alone() {
        let sql =
            "SELECT * FROM orders WHERE note = '/*action=''x''*/' /*action='list',route='%2Forders%2F%7Bid%7D'*/;";
        assert_eq!(sql_comment(sql, "action").as_deref(), Some("list"));
        assert_eq!(sql_comment(sql, "route").as_deref(), Some("/orders/{id}"));
        assert_eq!(sql_comment("SELECT '/*action=''x''*/'", "action"), None);
        assert_eq!(sql_comment("SELECT 1 /*action=x*/", "action"), None, "that is not how it is written");
    }

    #[test]
    fn a_field_is_found_however_the_form_is_cut() {
        let find = |body: &[u8], size: usize| {
            let mut finder = Finder::new("order".into());
            body.chunks(size).for_each(|chunk| finder.feed(chunk));
            finder.take()
        };
        for size in [1, 3, 1000] {
            assert_eq!(find(b"a=1&order=4+2&b=3", size).as_deref(), Some("4 2"));
            assert_eq!(find(b"order=17", size).as_deref(), Some("17"));
            assert_eq!(find(&[b"order=".as_slice(), &[b'x'; 5000]].concat(), size), None);
            assert_eq!(find(b"{\"order\": 1}", size), None);
        }
        let mut lost = Finder::new("order".into());
        lost.feed(b"order=1");
        lost.lose();
        assert_eq!(lost.take(), None, "more may have followed");
    }
}
