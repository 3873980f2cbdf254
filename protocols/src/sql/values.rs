//! Bare words that are values, and may be secret: `SET name = value`, and what looks like it in statements that define.

use super::token::{Kind, Token, is};

/// Where in a statement the next token is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Place {
    /// A statement begins.
    #[default]
    Start,
    /// In a statement that begins with `ALTER` or `CREATE`.
    Defines,
    /// Behind `SET`, or in a list of options: where a name stands.
    Name,
    /// Behind `=` or `TO`.
    Value,
    /// Not in such a statement.
    No,
}

/// Finds them, token by token.
#[derive(Debug)]
pub(super) struct Values {
    mysql: bool,
    place: Place,
    /// Open parentheses, and how many were open where the assignments stand.
    depth: u32,
    base: u32,
    /// The assignments are the options in a parenthesis, which closes to this depth.
    options: Option<u32>,
    /// MariaDB's `SET STATEMENT … FOR`.
    statement: bool,
    /// The next word is a variable's name, or a part of one.
    variable: bool,
    /// The last token was such a word.
    named: bool,
}

impl Values {
    pub(super) fn new(mysql: bool) -> Self {
        let (depth, base, options) = (0, 0, None);
        let (statement, variable, named) = (false, false, false);
        Self { mysql, place: Place::Start, depth, base, options, statement, variable, named }
    }

    /// `token`, as a literal if it is a value.
    pub(super) fn told<'a>(&mut self, token: Token<'a>) -> Token<'a> {
        let is_value = match token.kind {
            Kind::Symbol(symbol) => self.symbol(symbol),
            Kind::Word | Kind::Quoted => self.word(&token),
            Kind::Literal | Kind::Placeholder => false,
        };
        if is_value { Token { kind: Kind::Literal, ..token } } else { token }
    }

    /// Never a value.
    fn symbol(&mut self, symbol: u8) -> bool {
        let named = std::mem::take(&mut self.named);
        self.variable = symbol == b'@' || (symbol == b'.' && named);
        match symbol {
            b';' => *self = Self::new(self.mysql),
            b'(' => self.depth += 1,
            b')' => {
                self.depth = self.depth.saturating_sub(1);
                if self.options.is_some_and(|depth| self.depth <= depth) {
                    (self.options, self.place) = (None, Place::Defines);
                }
            }
            b'=' if self.place == Place::Name => self.place = Place::Value,
            // PostgreSQL's `SET` takes a list of values.
            b',' if self.place == Place::Value && self.depth == self.base && self.several() => self.place = Place::Name,
            _ => {}
        }
        false
    }

    fn word(&mut self, token: &Token<'_>) -> bool {
        let variable = std::mem::take(&mut self.variable);
        self.named = variable;
        let bare = token.kind == Kind::Word;
        let word = |word: &[u8]| bare && is(token.text, word);
        match self.place {
            Place::Start if word(b"SET") => self.assigns(None),
            Place::Start if word(b"ALTER") || word(b"CREATE") => self.place = Place::Defines,
            Place::Start => self.place = Place::No,
            Place::Defines if word(b"SET") => self.assigns(None),
            Place::Defines if token.called && (word(b"WITH") || word(b"OPTIONS")) => self.assigns(Some(self.depth)),
            Place::Name if word(b"TO") => self.place = Place::Value,
            Place::Name if word(b"STATEMENT") => self.statement = self.mysql,
            Place::Value => return self.value(token, variable),
            Place::Defines | Place::Name | Place::No => {}
        }
        false
    }

    /// Whether one assignment may follow on another.
    fn several(&self) -> bool {
        self.mysql || self.options.is_some()
    }

    fn assigns(&mut self, options: Option<u32>) {
        (self.place, self.options) = (Place::Name, options);
        self.base = self.depth + u32::from(options.is_some());
    }

    /// PostgreSQL takes any word for a text. So does MySQL, but it has expressions as well, in which words are names.
    fn value(&mut self, token: &Token<'_>, variable: bool) -> bool {
        if !self.mysql || self.options.is_some() {
            return true;
        }
        if self.statement && self.depth == self.base && is(token.text, b"FOR") {
            *self = Self::new(self.mysql);
            return false;
        }
        !variable && !token.called && self.depth <= self.base
    }
}
