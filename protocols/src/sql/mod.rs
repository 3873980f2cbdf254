//! SQL, as far as a span needs it: the text without its literals, and a summary.
//!
//! | module | what it is |
//! |---|---|
//! | `token`, `comments` | words, names, literals, symbols, of two dialects |
//! | `values` | words that stand where values do |
//! | `summary`, `words` | operations and their targets, in order |
//!
//! Nothing here validates SQL. Whatever the bytes are, cut short or no SQL at all, a literal never gets out: what is not
//! understood, or reads differently in a mode that nobody told, is taken for a literal rather than for a word. What the conventions ask:
//! <https://opentelemetry.io/docs/specs/semconv/db/database-spans/#sanitization-of-dbquerytext>.

mod comments;
mod summary;
mod token;
mod values;
mod words;

use summary::Summary;
use token::{Kind, Token, Tokens, is};
use values::Values;
pub(crate) use words::known_tag;

use crate::exchange::KeyValue;
use crate::redact::clip;
use crate::rules::Applied;
use crate::weight::attributes;

/// Most bytes of a text that are read.
pub(crate) const MAX_READ: usize = 16 * 1024;
/// Longest text that is kept, bytes.
const MAX_TEXT: usize = 4096;

/// Whose SQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dialect {
    /// MySQL and MariaDB; else PostgreSQL.
    pub mysql: bool,
    /// Whether a backslash in a plain string escapes what follows it; `None` if nobody said.
    pub backslash: Option<bool>,
}

impl Dialect {
    /// PostgreSQL as it is set up: `standard_conforming_strings` is on.
    pub const POSTGRESQL: Self = Self { mysql: false, backslash: Some(false) };
    /// MySQL and MariaDB as they are set up: `NO_BACKSLASH_ESCAPES` is off.
    pub const MYSQL: Self = Self { mysql: true, backslash: Some(true) };

    /// The same, in a mode that nobody told.
    #[must_use]
    pub const fn unsure(self) -> Self {
        Self { backslash: None, ..self }
    }
}

/// What is known of a query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// `db.query.text`: without literals and comments, blanks collapsed, at most 4096 bytes.
    pub text: String,
    /// `db.query.summary`, if an operation was recognised: at most 255 bytes.
    pub summary: Option<String>,
    /// `db.stored_procedure.name`, if the query calls one and does nothing else.
    pub procedure: Option<String>,
    /// How many statements there are.
    pub statements: u32,
    /// What people ask for, see [`crate::rules`].
    pub asked: Vec<KeyValue>,
}

impl Query {
    /// Reads a text, of which the end may be missing. With `keep`, the text stays as it is; else literals become `?`.
    pub fn read(text: &[u8], dialect: Dialect, keep: bool) -> Self {
        let text = &text[..text.len().min(MAX_READ)];
        let room = if keep { 0 } else { text.len().min(MAX_TEXT) };
        let mut clean = Clean { out: Vec::with_capacity(room), ..Clean::default() };
        let mut summary = Summary::new(dialect);
        let mut values = Values::new(dialect.mysql);
        for token in Tokens::new(text, dialect) {
            let token = values.told(token);
            summary.token(&token);
            if !keep {
                clean.token(&token);
            }
        }
        let (summary, procedure, statements) = summary.finish();
        let mut text = if keep { String::from_utf8_lossy(text).trim().to_owned() } else { clean.finish() };
        text.truncate(clip(&text, MAX_TEXT).len());
        Self { text, summary, procedure, statements, asked: Vec::new() }
    }

    /// The end of the text is missing, and with it perhaps more statements.
    #[must_use]
    pub fn cut(self) -> Self {
        Self { statements: 1, procedure: None, ..self }
    }

    /// With what rules find in its text, if there are any.
    #[must_use]
    pub(crate) fn with(self, rules: Option<Applied>, text: &[u8]) -> Self {
        Self { asked: rules.map(|rules| rules.sql(text)).unwrap_or_default(), ..self }
    }

    /// Bytes held beyond its own size.
    pub(crate) fn weight(&self) -> usize {
        self.text.capacity()
            + self.summary.as_ref().map_or(0, String::capacity)
            + self.procedure.as_ref().map_or(0, String::capacity)
            + attributes(&self.asked)
    }
}

/// Bytes that should be UTF-8, as text.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// Puts the text together again.
#[derive(Default)]
struct Clean {
    out: Vec<u8>,
    /// The word before was `IN`.
    in_word: bool,
    /// Within the parentheses behind it: where they open, and how many elements came.
    list: Option<(usize, usize)>,
}

impl Clean {
    fn token(&mut self, token: &Token<'_>) {
        if self.out.len() > MAX_TEXT {
            return;
        }
        if token.spaced && !self.out.is_empty() {
            self.out.push(b' ');
        }
        self.out.extend_from_slice(if token.kind == Kind::Literal { b"?" } else { token.text });
        self.collapse(token);
    }

    /// `IN (?, ?, ?)` says no more than `IN (?)`.
    fn collapse(&mut self, token: &Token<'_>) {
        let in_word = std::mem::take(&mut self.in_word);
        match (&mut self.list, token.kind) {
            (_, Kind::Word) => {
                self.list = None;
                self.in_word = is(token.text, b"IN");
            }
            (_, Kind::Symbol(b'(')) => self.list = in_word.then_some((self.out.len(), 0)),
            (Some((_, count)), Kind::Literal | Kind::Placeholder) => *count += 1,
            (Some(_), Kind::Symbol(b',' | b'-' | b'+')) => {}
            (Some((open, count)), Kind::Symbol(b')')) => {
                if *count > 1 {
                    self.out.truncate(*open);
                    self.out.extend_from_slice(b"?)");
                }
                self.list = None;
            }
            _ => self.list = None,
        }
    }

    fn finish(self) -> String {
        into_text(self.out)
    }
}
