//! The language of rules: one a line.
//!
//! ```text
//! order.id    = path /orders/{id}
//! customer.id = query customer_id for shop
//! tenant      = header x-tenant at /api/* on root
//! session     = cookie sid hash
//! order.total = json request order.items[0].price at POST /orders
//! ```

use std::fmt;

use super::json::Path;
use crate::Direction;

/// Most rules.
pub const MAX_RULES: usize = 64;
/// Longest rule, bytes.
const MAX_RULE: usize = 1024;

/// Where a value stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A segment of the path of a URL: the one at this place of the pattern that the path has to fit.
    Path(Pattern, usize),
    /// A parameter of the query string.
    Query(String),
    /// A field of a request's head, in small letters.
    Header(String),
    /// A cookie of a request.
    Cookie(String),
    /// A place in a body of JSON: the request's, or the response's.
    Json(Part, Path),
    /// A field of a form.
    Form(String),
    /// A field of the metadata of a gRPC call, in small letters.
    Metadata(String),
    /// A member of W3C `baggage`.
    Baggage(String),
    /// A key of a comment in SQL, as sqlcommenter writes them.
    SqlComment(String),
}

/// Which message a body belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The request.
    Request,
    /// The response.
    Response,
}

/// What is done to a value before anybody sees it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cover {
    /// Nothing, unless the name of what it is taken from says that it is a secret.
    #[default]
    Open,
    /// A hash of it: equal ones are found, and what they were is not told.
    Hash,
    /// All but its last characters are hidden.
    Mask,
}

/// A path of which some segments may be anything: `/orders/{id}`, `/api/*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    /// `None` stands for any one segment.
    segments: Vec<Option<String>>,
    /// More segments may follow.
    open: bool,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The attribute.
    pub key: String,
    /// Where its value stands.
    pub source: Source,
    /// Only of requests with this method.
    pub method: Option<String>,
    /// Only of requests with such a path.
    pub at: Option<Pattern>,
    /// Only of this service; `*` stands for any characters.
    pub service: Option<String>,
    /// What is done to the value.
    pub cover: Cover,
    /// Put it on the root of the trace instead of on the span.
    pub on_root: bool,
}

/// Why a rule cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Where in the rule, from 1, in characters.
    pub column: usize,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.problem)
    }
}

const SOURCES: &str =
    "path, query, header, cookie, json request, json response, form, metadata, baggage or sql-comment";

/// The words of a rule, each with its column.
struct Words<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Words<'a> {
    /// Where the next word begins, in characters from 1.
    fn column(&self) -> usize {
        self.text[..self.at].chars().count() + 1
    }

    fn peek(&mut self) -> Option<&'a str> {
        self.at += self.text[self.at..].len() - self.text[self.at..].trim_start().len();
        let rest = &self.text[self.at..];
        let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
        (end > 0).then(|| &rest[..end])
    }

    fn next(&mut self) -> Option<&'a str> {
        let word = self.peek()?;
        self.at += word.len();
        Some(word)
    }

    fn wrong<T>(&self, problem: impl Into<String>) -> Result<T, RuleError> {
        Err(RuleError { column: self.column(), problem: problem.into() })
    }

    /// The next word, which has to be there.
    fn wanted(&mut self, what: &str) -> Result<&'a str, RuleError> {
        match self.peek() {
            Some(_) => Ok(self.next().unwrap_or_default()),
            None => self.wrong(format!("{what} is missing")),
        }
    }
}

impl Rule {
    /// The direction of the body that it looks into, if it does.
    pub(super) fn body(&self) -> Option<Direction> {
        match self.source {
            Source::Json(Part::Request, _) | Source::Form(_) => Some(Direction::Request),
            Source::Json(Part::Response, _) => Some(Direction::Response),
            _ => None,
        }
    }

    /// Reads a rule.
    ///
    /// # Errors
    /// Where it goes wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, RuleError> {
        let mut words = Words { text, at: 0 };
        if text.len() > MAX_RULE {
            return words.wrong(format!("it is longer than {MAX_RULE} bytes; make it shorter"));
        }
        words.peek();
        let Some(equals) = text[words.at..].find('=') else {
            return words.wrong("there is no `=`; write a rule as NAME = SOURCE, such as order.id = path /orders/{id}");
        };
        let key = text[words.at..words.at + equals].trim();
        if !is_key(key) {
            return words.wrong(format!("{key:?} is no name of an attribute; use letters, digits, `.`, `_` and `-`"));
        }
        words.at += equals + 1;
        let source = source(&mut words)?;
        let mut rule = Self {
            key: key.to_owned(),
            source,
            method: None,
            at: None,
            service: None,
            cover: Cover::Open,
            on_root: false,
        };
        while words.peek().is_some() {
            rule.condition(&mut words)?;
        }
        Ok(rule)
    }

    fn condition(&mut self, words: &mut Words<'_>) -> Result<(), RuleError> {
        words.peek();
        let before = words.at;
        match words.next().unwrap_or_default() {
            "hash" if self.cover == Cover::Open => self.cover = Cover::Hash,
            "mask" if self.cover == Cover::Open => self.cover = Cover::Mask,
            "for" if self.service.is_none() => {
                self.service = Some(words.wanted("the name of a service behind `for`")?.to_owned())
            }
            "on" if !self.on_root => {
                words.peek();
                if words.peek() != Some("root") {
                    return words.wrong("only `on root` is known: the attribute is put on the root of the trace");
                }
                words.next();
                self.on_root = true;
            }
            "at" if self.at.is_none() => {
                let mut word = words.wanted("a path behind `at`")?;
                if !word.starts_with('/') {
                    if !word.bytes().all(|b| b.is_ascii_uppercase()) {
                        words.at = before;
                        return words.wrong(
                            "`at` wants a path that begins with `/`, with or without a method such as POST in front",
                        );
                    }
                    self.method = Some(word.to_owned());
                    word = words.wanted("a path behind the method")?;
                }
                self.at = Some(pattern(word, words)?);
            }
            known @ ("hash" | "mask" | "for" | "on" | "at") => {
                words.at = before;
                return words.wrong(format!("`{known}` is there twice, or beside what it excludes; keep one"));
            }
            word => {
                words.at = before;
                return words.wrong(format!("{word:?} is not known here; use at, for, hash, mask or on root"));
            }
        }
        Ok(())
    }
}

fn is_key(key: &str) -> bool {
    let sound = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    (1..=128).contains(&key.len()) && key.bytes().all(sound) && key.as_bytes()[0].is_ascii_alphabetic()
}

fn source(words: &mut Words<'_>) -> Result<Source, RuleError> {
    if words.peek().is_none() {
        return words.wrong(format!("the source is missing; write {SOURCES}"));
    }
    let before = words.at;
    let kind = words.next().unwrap_or_default();
    Ok(match kind {
        "path" => path(words)?,
        "query" => Source::Query(words.wanted("the name of a parameter")?.to_owned()),
        "header" => Source::Header(words.wanted("the name of a header")?.to_ascii_lowercase()),
        "cookie" => Source::Cookie(words.wanted("the name of a cookie")?.to_owned()),
        "form" => Source::Form(words.wanted("the name of a field")?.to_owned()),
        "metadata" => Source::Metadata(words.wanted("the key of metadata")?.to_ascii_lowercase()),
        "baggage" => Source::Baggage(words.wanted("the key of a member of baggage")?.to_owned()),
        "sql-comment" => Source::SqlComment(words.wanted("the key of a comment")?.to_owned()),
        "json" => {
            let part = match words.peek() {
                Some("request") => Part::Request,
                Some("response") => Part::Response,
                _ => return words.wrong("say which body: `json request PATH` or `json response PATH`"),
            };
            words.next();
            words.peek();
            let (column, text) = (words.column(), words.wanted("a place in the body, such as order.id")?);
            let place = Path::parse(text).map_err(|problem| RuleError { column, problem })?;
            Source::Json(part, place)
        }
        _ => {
            words.at = before;
            return words.wrong(format!("{kind:?} is no source; use {SOURCES}"));
        }
    })
}

/// A path with one segment in braces, whose value it is.
fn path(words: &mut Words<'_>) -> Result<Source, RuleError> {
    words.peek();
    let before = words.at;
    let text = words.wanted("a path with a segment in braces, such as /orders/{id}")?;
    let pattern = pattern(text, words)?;
    let places: Vec<usize> =
        text.split('/').skip(1).enumerate().filter(|(_, s)| s.starts_with('{')).map(|(n, _)| n).collect();
    match places.as_slice() {
        [place] => Ok(Source::Path(pattern, *place)),
        _ => {
            words.at = before;
            words.wrong(
                "one segment has to stand in braces, such as /orders/{id}; write `*` for others that may be anything",
            )
        }
    }
}

fn pattern(text: &str, words: &Words<'_>) -> Result<Pattern, RuleError> {
    let wrong = |problem: &str| {
        let column = words.column().saturating_sub(text.chars().count());
        Err(RuleError { column, problem: problem.to_owned() })
    };
    if !text.starts_with('/') {
        return wrong("a path begins with `/`");
    }
    let mut segments = Vec::new();
    let parts: Vec<&str> = text.split('/').skip(1).collect();
    let open = parts.last() == Some(&"*");
    for part in &parts[..parts.len() - usize::from(open)] {
        let variable = *part == "*" || (part.len() > 2 && part.starts_with('{') && part.ends_with('}'));
        if !variable && part.contains(['*', '{', '}']) {
            return wrong("a segment is a word, `*`, or a name in braces; `*` at the end stands for all that follows");
        }
        segments.push((!variable).then(|| (*part).to_owned()));
    }
    Ok(Pattern { segments, open })
}

impl Pattern {
    /// Whether a path fits.
    pub fn fits(&self, path: &str) -> bool {
        let mut parts = path.strip_prefix('/').unwrap_or(path).split('/');
        let fits = self.segments.iter().all(|segment| {
            parts.next().is_some_and(|part| segment.as_ref().map_or(!part.is_empty(), |wanted| wanted == part))
        });
        fits && (self.open || parts.next().is_none())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Rule {
        Rule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn every_source_and_condition_is_read() {
        let rule = read("order.id = path /orders/{id}");
        let Source::Path(pattern, 1) = &rule.source else { panic!("{rule:?}") };
        assert!(pattern.fits("/orders/7") && !pattern.fits("/orders/7/lines") && !pattern.fits("/orders/"));
        let rule = read("  tenant=header X-Tenant at /api/* for shop-* on root mask");
        assert_eq!((&rule.source, rule.cover, rule.on_root), (&Source::Header("x-tenant".into()), Cover::Mask, true));
        assert_eq!(rule.service.as_deref(), Some("shop-*"));
        assert!(rule.at.as_ref().is_some_and(|at| at.fits("/api/v1/x") && at.fits("/api/") && !at.fits("/x")));
        let rule = read("order.total = json request order.items[0].price at POST /orders");
        assert_eq!(rule.method.as_deref(), Some("POST"));
        assert!(matches!(rule.source, Source::Json(Part::Request, _)));
        for text in [
            "a = query b",
            "a = cookie b hash",
            "a = form b",
            "a = metadata x-b",
            "a = baggage b",
            "a = sql-comment action",
            "a = json response $.b",
        ] {
            read(text);
        }
    }

    #[test]
    fn what_is_wrong_names_the_column_and_the_remedy() {
        for (text, column, expected) in [
            ("", 1, "there is no `=`"),
            ("order id = path /a/{b}", 1, "\"order id\" is no name of an attribute"),
            ("a =", 4, "the source is missing; write path, query"),
            ("a = body x", 5, "\"body\" is no source; use path"),
            ("a = header", 11, "the name of a header is missing"),
            ("a = path /orders/id", 10, "one segment has to stand in braces"),
            ("a = path orders/{id}", 10, "a path begins with `/`"),
            ("a = path /o{id}", 10, "a segment is a word"),
            ("a = json order.id", 10, "say which body"),
            ("a = json request a..b", 18, "an empty name"),
            ("a = query b salted", 13, "\"salted\" is not known here; use at, for, hash, mask or on root"),
            ("a = query b hash mask", 18, "there twice"),
            ("a = query b at orders", 13, "`at` wants a path"),
            ("a = query b on span", 16, "only `on root` is known"),
            ("ä = query b", 1, "is no name"),
        ] {
            let error = Rule::parse(text).unwrap_err();
            assert!(error.problem.contains(expected), "{text}: {error}");
            assert_eq!(error.column, column, "{text}: {error}");
        }
    }
}
