//! `db.query.summary`: operations and their targets in the order of the text
//! (<https://opentelemetry.io/docs/specs/semconv/db/database-spans/#generating-a-summary-of-the-query>).

use super::Dialect;
use super::token::{Kind, Token, is};
use super::words::{BEFORE_NAME, CLAUSES, MODIFIERS, NAMED, OBJECTS, PLAIN, UNNAMED};

/// Longest summary, as the conventions have it.
const MAX_SUMMARY: usize = 255;
/// Room for most summaries.
const USUAL_SUMMARY: usize = 48;
/// Deepest parentheses that are told apart.
const MAX_DEPTH: usize = 32;
/// Most names of common table expressions that are known again.
const MAX_LOCALS: usize = 16;

fn among(word: &[u8], words: &[&[u8]]) -> bool {
    words.iter().any(|w| is(word, w))
}

/// Longest keyword that is looked for.
const MAX_KEYWORD: usize = 24;

/// A word in capitals; empty if it is longer than any keyword.
fn capitals<'b>(word: &[u8], buffer: &'b mut [u8; MAX_KEYWORD]) -> &'b [u8] {
    let Some(room) = buffer.get_mut(..word.len()) else { return b"" };
    room.copy_from_slice(word);
    room.make_ascii_uppercase();
    room
}

/// What parentheses enclose.
#[derive(Clone, Copy, Default)]
struct Level {
    /// A `SELECT` or `DELETE`, so that `FROM` names targets.
    reads: bool,
    /// A list of targets: what follows a comma is one.
    list: bool,
    /// The body of a common table expression.
    local: bool,
}

/// What the next word may be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// An operation.
    Operation,
    /// What is created, altered or dropped.
    Object,
    /// A target; a function's name is none, if `table`.
    Target { table: bool },
    /// The name of a common table expression.
    Local,
    /// Anything.
    Any,
    /// Nothing of interest in the whole statement.
    Rest,
}

/// A name in the making.
struct Name {
    text: Vec<u8>,
    table: bool,
    dotted: bool,
}

pub(super) struct Summary<'a> {
    dialect: Dialect,
    /// What encloses the next word, outermost first: so many of them as `depth` says.
    levels: [Level; MAX_DEPTH],
    /// At least 1: the statement itself.
    depth: usize,
    /// Parentheses beyond [`MAX_DEPTH`].
    deeper: usize,
    next: Next,
    before: &'a [u8],
    first: &'a [u8],
    name: Option<Name>,
    locals: Vec<Vec<u8>>,
    /// Between `WITH` and the statement that it serves.
    with: bool,
    text: String,
    full: bool,
    procedure: Option<String>,
    /// The first statement's summary.
    done: Option<String>,
    statements: u32,
    begun: bool,
    same: bool,
    /// The rest of the text is one body.
    opaque: bool,
}

impl<'a> Summary<'a> {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            levels: [Level::default(); MAX_DEPTH],
            depth: 1,
            deeper: 0,
            next: Next::Operation,
            before: b"",
            first: b"",
            name: None,
            locals: Vec::new(),
            with: false,
            text: String::with_capacity(USUAL_SUMMARY),
            full: false,
            procedure: None,
            done: None,
            statements: 0,
            begun: false,
            same: true,
            opaque: false,
        }
    }

    fn level(&mut self) -> &mut Level {
        &mut self.levels[self.depth - 1]
    }

    pub(super) fn token(&mut self, token: &Token<'a>) {
        if self.opaque {
            return;
        }
        if token.kind == Kind::Symbol(b';') {
            return self.end_statement();
        }
        self.begun = true;
        if self.next == Next::Rest {
            return;
        }
        if self.continues_name(token) {
            return;
        }
        match token.kind {
            Kind::Word => self.word(token.text),
            Kind::Quoted => self.quoted(token.text),
            Kind::Symbol(b'(') => self.open(),
            Kind::Symbol(b')') => self.close(),
            Kind::Symbol(b',') => self.comma(),
            _ if matches!(self.next, Next::Target { .. }) => self.next = Next::Any,
            _ => {}
        }
        self.before = if token.kind == Kind::Word { token.text } else { b"" };
    }

    /// `a.b.c` is one name. Any other token completes it.
    fn continues_name(&mut self, token: &Token<'a>) -> bool {
        let Some(name) = &mut self.name else { return false };
        match token.kind {
            Kind::Symbol(b'.') if !name.dotted => {
                name.text.push(b'.');
                name.dotted = true;
                return true;
            }
            Kind::Word | Kind::Quoted if name.dotted => {
                name.text.extend_from_slice(token.text);
                name.dotted = false;
                return true;
            }
            _ => {}
        }
        let function = token.kind == Kind::Symbol(b'(');
        self.end_name(function);
        false
    }

    fn end_name(&mut self, function: bool) {
        let Some(name) = self.name.take() else { return };
        let local = self.locals.iter().any(|l| is(l, &name.text));
        if local || (function && name.table) {
            return;
        }
        let text = super::into_text(name.text);
        if is(self.first, b"CALL") && self.procedure.is_none() {
            self.procedure = Some(text.clone());
        }
        self.push(&text);
    }

    fn push(&mut self, part: &str) {
        let blank = usize::from(!self.text.is_empty());
        self.full |= self.text.len() + blank + part.len() > MAX_SUMMARY;
        if self.full {
            return;
        }
        if blank > 0 {
            self.text.push(' ');
        }
        self.text.push_str(part);
    }

    fn push_word(&mut self, word: &[u8]) {
        self.push(&String::from_utf8_lossy(word));
    }

    fn start_name(&mut self, text: &[u8], table: bool) {
        self.name = Some(Name { text: text.to_vec(), table, dotted: false });
        self.next = Next::Any;
    }

    fn quoted(&mut self, text: &[u8]) {
        match self.next {
            Next::Target { table } => self.start_name(text, table),
            Next::Local => self.local(text),
            _ => {}
        }
    }

    fn local(&mut self, name: &[u8]) {
        if self.locals.len() < MAX_LOCALS {
            self.locals.push(name.to_vec());
        }
        self.next = Next::Any;
    }

    fn word(&mut self, word: &'a [u8]) {
        if is(word, b"SELECT") {
            return self.select(word);
        }
        match self.next {
            Next::Operation => self.operation(word),
            Next::Object => self.object(word),
            Next::Local if is(word, b"RECURSIVE") => {}
            Next::Local => self.local(word),
            Next::Target { .. } if among(word, &BEFORE_NAME) => {}
            Next::Target { .. } if among(word, &CLAUSES) => self.clause(word),
            Next::Target { table } => self.start_name(word, table),
            Next::Any | Next::Rest => self.clause(word),
        }
    }

    fn select(&mut self, word: &'a [u8]) {
        self.begin(word);
        *self.level() = Level { reads: true, list: false, ..*self.level() };
        self.next = Next::Any;
    }

    fn begin(&mut self, word: &'a [u8]) {
        let main = self.with && self.depth == 1;
        if self.first.is_empty() || main {
            self.first = word;
        }
        self.with &= !main;
        self.push_word(word);
    }

    fn operation(&mut self, word: &'a [u8]) {
        let statement = self.depth == 1 && self.first.is_empty();
        self.next = match capitals(word, &mut [0; MAX_KEYWORD]) {
            b"WITH" => {
                self.with = true;
                self.next = Next::Local;
                return;
            }
            b"INSERT" | b"REPLACE" | b"MERGE" => Next::Target { table: false },
            b"UPDATE" => {
                self.level().list = true;
                Next::Target { table: true }
            }
            b"DELETE" => {
                self.level().reads = true;
                Next::Any
            }
            b"EXPLAIN" if statement => Next::Operation,
            b"CREATE" | b"ALTER" | b"DROP" if statement => Next::Object,
            b"CALL" | b"PREPARE" if statement => Next::Target { table: false },
            b"LOAD" | b"DECLARE" | b"VALUES" if statement => Next::Any,
            b"TABLE" => Next::Target { table: true },
            _ if statement && among(word, &NAMED) => Next::Target { table: false },
            _ if statement && among(word, &PLAIN) => Next::Rest,
            // Options of EXPLAIN, or no operation at all.
            _ if is(self.first, b"EXPLAIN") && self.depth == 1 => return,
            _ => {
                self.next = if statement && !self.with { Next::Rest } else { Next::Any };
                return;
            }
        };
        self.begin(word);
    }

    fn object(&mut self, word: &'a [u8]) {
        if among(word, &MODIFIERS) {
            return;
        }
        self.next = Next::Rest;
        if !among(word, &OBJECTS) {
            if among(word, &UNNAMED) {
                self.push_word(word);
            }
            return;
        }
        self.push_word(word);
        self.next = Next::Target { table: false };
        let several = is(word, b"TABLE") || is(word, b"VIEW");
        self.level().list = several && is(self.first, b"DROP");
    }

    /// A word that is no name: it may say that a target follows.
    fn clause(&mut self, word: &'a [u8]) {
        let reads = self.level().reads;
        self.next = match capitals(word, &mut [0; MAX_KEYWORD]) {
            b"FROM" if reads && !is(self.before, b"DISTINCT") => {
                self.level().list = true;
                Next::Target { table: true }
            }
            b"JOIN" | b"STRAIGHT_JOIN" if reads || is(self.first, b"UPDATE") => Next::Target { table: true },
            b"USING" if is(self.first, b"MERGE") || is(self.first, b"DELETE") => Next::Target { table: true },
            b"FROM" if is(self.first, b"UPDATE") && self.depth == 1 => {
                self.level().list = true;
                Next::Target { table: true }
            }
            b"INTO" if is(self.first, b"LOAD") => Next::Target { table: false },
            b"AS" if is(self.first, b"PREPARE") && self.depth == 1 => Next::Operation,
            // What follows a common table expression is the statement that it is for.
            b"INSERT" | b"UPDATE" | b"DELETE" | b"MERGE" | b"REPLACE" if self.with && self.depth == 1 => {
                return self.operation(word);
            }
            b"BEGIN" if self.dialect.mysql && is(self.first, b"CREATE") => {
                self.opaque = true;
                return;
            }
            _ if among(word, &CLAUSES) && !is(word, b"ON") && !is(word, b"USING") => {
                self.level().list = false;
                Next::Any
            }
            _ => Next::Any,
        };
    }

    fn open(&mut self) {
        if self.depth == MAX_DEPTH {
            self.deeper += 1;
            return;
        }
        let body = is(self.before, b"AS") || is(self.before, b"MATERIALIZED");
        self.levels[self.depth] = Level { local: self.with && self.depth == 1 && body, ..Level::default() };
        self.depth += 1;
        self.next = if self.level().local { Next::Operation } else { Next::Any };
    }

    fn close(&mut self) {
        if self.deeper > 0 {
            self.deeper -= 1;
            return;
        }
        self.depth = (self.depth - 1).max(1);
        let options = is(self.first, b"EXPLAIN") && self.text.len() == self.first.len();
        self.next = if options { Next::Operation } else { Next::Any };
    }

    fn comma(&mut self) {
        if self.deeper > 0 {
            return;
        }
        self.next = match (self.with && self.depth == 1, self.level().list) {
            (true, _) => Next::Local,
            (false, true) => Next::Target { table: !is(self.first, b"DROP") },
            _ => Next::Any,
        };
    }

    fn end_statement(&mut self) {
        self.end_name(false);
        if self.begun {
            let text = std::mem::take(&mut self.text);
            self.same &= self.done.as_ref().is_none_or(|first| *first == text);
            self.done.get_or_insert(text);
            self.statements += 1;
        }
        (self.levels[0], self.depth) = (Level::default(), 1);
        self.locals.clear();
        (self.next, self.before, self.first) = (Next::Operation, b"", b"");
        (self.deeper, self.with, self.begun, self.full) = (0, false, false, false);
    }

    /// Summary, stored procedure, number of statements.
    pub(super) fn finish(mut self) -> (Option<String>, Option<String>, u32) {
        self.end_statement();
        let first = self.done.take().filter(|s| !s.is_empty());
        let summary = match (first, self.statements) {
            (first, 0 | 1) => first,
            (Some(first), _) if self.same && first.len() + 6 <= MAX_SUMMARY => Some(["BATCH ", &first].concat()),
            _ => Some("BATCH".to_owned()),
        };
        let procedure = self.procedure.filter(|_| self.statements == 1);
        (summary, procedure, self.statements)
    }
}
