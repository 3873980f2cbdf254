//! Attributes that people ask for: what stands in requests and responses that no convention names, an order's number or a
//! tenant's name. Rules say where (`parse`); values are taken out where the bytes pass, and covered there.
//!
//! | module | what it is |
//! |---|---|
//! | `parse` | the language of rules |
//! | `json`, `form` | one value out of a body while it passes: bounded, nothing else of it is kept |
//! | `secret` | values that nobody is told |

pub(crate) mod form;
mod json;
mod parse;
pub(crate) mod secret;

use std::fmt;

pub use parse::{Cover, MAX_RULES, Part, Pattern, Rule, RuleError, Source};

use crate::exchange::{KeyValue, Value};
use crate::http::fields::media;
use crate::{Direction, weight};

/// Which attributes were looked for in a body of which a part was not seen, or that was not understood: too long, too
/// deep, compressed.
pub const UNREAD: &str = "wirespan.attributes.unread";

/// All rules, for as long as the program runs.
#[derive(Debug)]
pub struct Rules(Vec<Rule>);

impl Rules {
    /// At most [`MAX_RULES`] of them.
    pub fn new(mut rules: Vec<Rule>) -> &'static Self {
        rules.truncate(MAX_RULES);
        Box::leak(Box::new(Self(rules)))
    }

    /// Those that are about a service, if there are any.
    pub fn of(&'static self, service: &str) -> Option<Applied> {
        let about = |rule: &Rule| rule.service.as_ref().is_none_or(|glob| fits(glob, service));
        let which = self.0.iter().enumerate().filter(|(_, rule)| about(rule)).fold(0, |all, (n, _)| all | 1 << n);
        (which != 0).then(|| Applied::new(self, which))
    }
}

/// Whether a text fits a pattern in which `*` stands for any characters.
fn fits(glob: &str, text: &str) -> bool {
    let mut parts = glob.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// The rules that are about one connection.
#[derive(Clone, Copy)]
pub struct Applied {
    rules: &'static Rules,
    which: u64,
    /// Whether one looks into bodies, by their direction: asked for every operation.
    reads: [bool; 2],
}

impl fmt::Debug for Applied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Applied({:#x})", self.which)
    }
}

/// A request, as rules see it.
pub(crate) struct Asked<'a> {
    pub method: &'a str,
    /// Without the query.
    pub path: &'a str,
    pub query: Option<&'a str>,
    /// The fields of the head that a rule wants, see [`Applied::wants`].
    pub fields: &'a [(&'a str, &'a [u8])],
    /// What its body is, if it says so.
    pub content_type: Option<&'a [u8]>,
    pub is_call: bool,
}

impl Applied {
    fn new(rules: &'static Rules, which: u64) -> Self {
        let mut applied = Self { rules, which, reads: [false; 2] };
        for direction in applied.iter().filter_map(|rule| rule.body()) {
            applied.reads[direction as usize] = true;
        }
        applied
    }

    fn iter(self) -> impl Iterator<Item = &'static Rule> {
        self.rules.0.iter().enumerate().filter(move |(n, _)| self.which >> n & 1 == 1).map(|(_, rule)| rule)
    }

    /// Whether a rule wants this field of a head.
    pub(crate) fn wants(self, name: &str) -> bool {
        self.iter().any(|rule| match &rule.source {
            Source::Header(wanted) | Source::Metadata(wanted) => name.eq_ignore_ascii_case(wanted),
            Source::Cookie(_) => name.eq_ignore_ascii_case("cookie"),
            Source::Baggage(_) => name.eq_ignore_ascii_case("baggage"),
            _ => false,
        })
    }

    /// Whether a rule looks into bodies of this direction.
    pub(crate) fn reads(self, direction: Direction) -> bool {
        self.reads[direction as usize]
    }

    /// What a request's head says, and what is looked for in the bodies; `None` if there is neither.
    pub(crate) fn request(self, asked: &Asked<'_>) -> Option<Box<Answers>> {
        let mut answers = Answers::default();
        for rule in self.iter().filter(|rule| applies(rule, asked)) {
            match Wanted::of(rule) {
                Some(wanted) => answers.wanted.push(wanted),
                None => answers.found.extend(of_head(rule, asked).and_then(|value| attribute(rule, &value))),
            }
        }
        let any = !(answers.found.is_empty() && answers.wanted.is_empty());
        any.then(|| Box::new(answers))
    }

    /// What the comment at the end of a statement says.
    pub(crate) fn sql(self, text: &[u8]) -> Vec<KeyValue> {
        let found = |rule: &'static Rule| {
            let Source::SqlComment(key) = &rule.source else { return None };
            let end = &text[text.len().saturating_sub(MAX_COMMENT)..];
            attribute(rule, &form::sql_comment(std::str::from_utf8(end).ok()?, key)?)
        };
        self.iter().filter_map(found).collect()
    }
}

/// Longest value that is kept; what is longer is not told.
const MAX_VALUE: usize = 256;
/// The most that is held of a body while it is looked at, bytes: a pair of a form, or a name.
const MAX_READ: usize = 1024;
/// What forms are called.
const FORM: &[u8] = b"application/x-www-form-urlencoded";
/// Bytes at the end of a statement that are looked at.
const MAX_COMMENT: usize = 2048;

fn applies(rule: &Rule, asked: &Asked<'_>) -> bool {
    let is_form = || asked.content_type.is_none_or(|kind| media(kind).eq_ignore_ascii_case(FORM));
    (!matches!(rule.source, Source::Form(_)) || is_form())
        && rule.method.as_ref().is_none_or(|method| method == asked.method)
        && rule.at.as_ref().is_none_or(|pattern| pattern.fits(asked.path))
}

/// The value that stands in a request's head.
fn of_head(rule: &Rule, asked: &Asked<'_>) -> Option<String> {
    let field = |name: &str| {
        let (_, value) = asked.fields.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok().map(str::trim)
    };
    let owned = |text: &str| Some(text.to_owned());
    match &rule.source {
        Source::Path(pattern, place) => {
            let part = asked.path.split('/').skip(1).nth(*place).filter(|_| pattern.fits(asked.path))?;
            form::decoded(part, false).map(|value| value.into_owned())
        }
        Source::Query(name) => {
            let value = form::pair(asked.query?, '&', name)?;
            form::decoded(value, true).map(|value| value.into_owned())
        }
        Source::Header(name) => field(name).and_then(owned),
        Source::Metadata(name) => field(name).filter(|_| asked.is_call).and_then(owned),
        Source::Cookie(name) => form::pair(field("cookie")?, ';', name).and_then(owned),
        Source::Baggage(name) => form::baggage(field("baggage")?, name),
        Source::Json(..) | Source::Form(_) | Source::SqlComment(_) => None,
    }
}

/// The attribute of a rule, covered.
fn attribute(rule: &'static Rule, value: &str) -> Option<KeyValue> {
    if value.is_empty() || value.len() > MAX_VALUE {
        return None;
    }
    let taken_from = match &rule.source {
        Source::Query(name)
        | Source::Header(name)
        | Source::Cookie(name)
        | Source::Form(name)
        | Source::Metadata(name)
        | Source::Baggage(name)
        | Source::SqlComment(name) => name,
        Source::Json(_, path) => path.name(),
        Source::Path(..) => "",
    };
    let value = match rule.cover {
        _ if secret::is_secret(taken_from) || secret::is_secret(&rule.key) => secret::HIDDEN.to_owned(),
        Cover::Open => value.to_owned(),
        Cover::Hash => secret::hashed(value),
        Cover::Mask => secret::masked(value),
    };
    Some(KeyValue::str(&rule.key, value))
}

/// What rules ask of one exchange: what its head said, and what is looked for in its bodies.
#[derive(Debug, Default)]
pub(crate) struct Answers {
    found: Vec<KeyValue>,
    wanted: Vec<Wanted>,
}

#[derive(Debug)]
struct Wanted {
    rule: &'static Rule,
    direction: Direction,
    finder: Finder,
    /// All of it was.
    complete: bool,
}

#[derive(Debug)]
enum Finder {
    Json(json::Finder),
    Form(form::Finder),
}

impl Finder {
    /// Whether a part of the body was not seen, or not understood.
    fn is_broken(&self) -> bool {
        match self {
            Self::Json(json) => json.is_broken(),
            Self::Form(form) => form.is_broken(),
        }
    }
}

impl Wanted {
    /// What a rule looks for, if it looks into a body.
    fn of(rule: &'static Rule) -> Option<Self> {
        let finder = match &rule.source {
            Source::Json(_, path) => Finder::Json(json::Finder::new(path.clone())),
            Source::Form(name) => Finder::Form(form::Finder::new(name.clone())),
            _ => return None,
        };
        Some(Self { rule, direction: rule.body()?, finder, complete: false })
    }

    fn is_done(&self) -> bool {
        match &self.finder {
            Finder::Json(json) => json.is_done(),
            Finder::Form(form) => form.is_done(),
        }
    }
}

impl Answers {
    /// What is looked for in bodies of this direction.
    fn of(&mut self, direction: Direction) -> impl Iterator<Item = &mut Wanted> {
        self.wanted.iter_mut().filter(move |wanted| wanted.direction == direction)
    }

    /// Part of a body.
    pub(crate) fn feed(&mut self, direction: Direction, bytes: &[u8]) {
        for wanted in self.of(direction) {
            match &mut wanted.finder {
                Finder::Json(json) => json.feed(bytes),
                Finder::Form(form) => form.feed(bytes),
            }
        }
    }

    /// Part of a body was not seen.
    pub(crate) fn lose(&mut self, direction: Direction) {
        for wanted in self.of(direction).filter(|wanted| !wanted.is_done()) {
            match &mut wanted.finder {
                Finder::Json(json) => json.lose(),
                Finder::Form(form) => form.lose(),
            }
        }
    }

    /// A body has been seen to its end.
    pub(crate) fn complete(&mut self, direction: Direction) {
        self.of(direction).for_each(|wanted| wanted.complete = true);
    }

    /// Bytes of memory that it takes, about, with what it may hold of a body.
    pub(crate) fn bytes(&self) -> usize {
        let held = |wanted: &Wanted| match &wanted.finder {
            Finder::Json(json) => json.bytes(),
            Finder::Form(form) => form.bytes(),
        };
        let bodies = self.wanted.capacity() * size_of::<Wanted>() + self.wanted.iter().map(held).sum::<usize>();
        let room = if self.wanted.is_empty() { 0 } else { MAX_READ };
        size_of::<Self>() + weight::attributes(&self.found) + bodies + room
    }

    /// What was found, and what was looked for in vain because it was not seen.
    pub(crate) fn finish(self) -> Vec<KeyValue> {
        let (mut found, mut unread) = (self.found, Vec::new());
        for mut wanted in self.wanted {
            let value = match &mut wanted.finder {
                Finder::Json(json) => json.take(),
                // (Of a form that goes on, the last field may not be whole.)
                Finder::Form(form) if wanted.complete || form.is_done() => form.take(),
                Finder::Form(_) => None,
            };
            match value {
                Some(value) => found.extend(attribute(wanted.rule, &value)),
                None if wanted.finder.is_broken() => unread.push(wanted.rule.key.as_str().into()),
                None => {}
            }
        }
        if !unread.is_empty() {
            found.push(KeyValue { key: UNREAD.into(), value: Value::StrArray(unread) });
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(lines: &[&str]) -> &'static Rules {
        Rules::new(lines.iter().map(|line| Rule::parse(line).unwrap()).collect())
    }

    fn told(attributes: &[KeyValue]) -> Vec<(String, String)> {
        let text = |value: &Value| match value {
            Value::Str(text) => text.to_string(),
            other => format!("{other:?}"),
        };
        attributes.iter().map(|a| (a.key.to_string(), text(&a.value))).collect()
    }

    fn ask(
        lines: &[&str],
        method: &str,
        path: &str,
        query: Option<&str>,
        fields: &[(&str, &[u8])],
    ) -> Vec<(String, String)> {
        let applied = rules(lines).of("shop").unwrap();
        let answers = applied.request(&Asked { method, path, query, fields, content_type: None, is_call: true });
        told(&answers.map(|answers| answers.finish()).unwrap_or_default())
    }

    #[test]
    fn what_a_head_says_is_found_where_the_rule_says() {
        let lines = [
            "order.id = path /orders/{id}",
            "page = query page at GET /orders/*",
            "tenant = header x-tenant",
            "session = cookie sid hash",
            "user = baggage user.id mask",
            "trace.token = metadata x-id",
        ];
        let fields: [(&str, &[u8]); 4] = [
            ("X-Tenant", b" acme "),
            ("cookie", b"a=b; sid=abc"),
            ("baggage", b"user.id=alice%40example.com"),
            ("x-id", b"7"),
        ];
        let found = ask(&lines, "GET", "/orders/4%322", Some("page=3&x=y"), &fields);
        let expected = [
            ("order.id", "422"),
            ("page", "3"),
            ("tenant", "acme"),
            ("session", "ba7816bf8f01cfea"),
            ("user", "****.com"),
            ("trace.token", "****"),
        ];
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(ask(&lines[..2], "POST", "/orders/1/lines", Some("page=3"), &[]), []);
    }

    #[test]
    fn services_are_chosen_by_name() {
        let rules = rules(&["a = query a for shop-*", "b = query b for stock"]);
        assert!(rules.of("shop").is_none());
        let count = |service| rules.of(service).map_or(0, |applied| applied.iter().count());
        assert_eq!((count("shop-eu"), count("stock"), count("stocks")), (1, 1, 0));
        assert!(fits("a*b*c", "a--b--c") && !fits("a*b*c", "a--c") && fits("*", ""));
    }

    #[test]
    fn bodies_are_read_while_they_pass_and_what_is_missing_is_told() {
        let lines = [
            "id = json request order.id",
            "total = json response total",
            "note = form note",
            "pin = json request card.pin",
        ];
        let make = || {
            let (fields, content_type) = (&[], None);
            let asked = Asked { method: "POST", path: "/", query: None, fields, content_type, is_call: false };
            *rules(&lines).of("shop").unwrap().request(&asked).unwrap()
        };
        let mut bodies = make();
        for piece in [r#"{"card": {"pin": 1234}, "ord"#, r#"er": {"id": "x1"}}"#] {
            bodies.feed(Direction::Request, piece.as_bytes());
        }
        bodies.complete(Direction::Request);
        bodies.feed(Direction::Response, br#"{"total": 12.50}"#);
        let found = told(&bodies.finish());
        assert_eq!(
            found,
            [("id", "x1"), ("total", "12.50"), ("pin", "****")].map(|(k, v)| (k.to_owned(), v.to_owned()))
        );
        let mut bodies = make();
        bodies.feed(Direction::Request, br#"{"order": {"#);
        bodies.lose(Direction::Request);
        bodies.feed(Direction::Request, br#""id": "x1"}}"#);
        bodies.feed(Direction::Response, b"\x1f\x8b\x08 compressed");
        let found = told(&bodies.finish());
        assert_eq!(found.len(), 1);
        assert!(
            found[0].0 == UNREAD && ["id", "total", "note", "pin"].iter().all(|key| found[0].1.contains(key)),
            "{found:?}"
        );
    }
}
