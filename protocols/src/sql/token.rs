//! Words, names, literals and symbols of PostgreSQL and MySQL (PostgreSQL manual 4.1, MySQL manual 11.1 and 11.2).

use super::Dialect;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A keyword or a bare name.
    Word,
    /// A name in quotes.
    Quoted,
    /// A value.
    Literal,
    /// `?`, `$1`.
    Placeholder,
    /// Anything else, one byte.
    Symbol(u8),
}

/// A token.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'a> {
    pub kind: Kind,
    pub text: &'a [u8],
    /// Blanks or a comment come before it.
    pub spaced: bool,
}

/// Whether `text` is `word`, whatever its case.
pub(super) fn is(text: &[u8], word: &[u8]) -> bool {
    text.eq_ignore_ascii_case(word)
}

/// Splits a text; comments are left out.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    dialect: Dialect,
    /// Within `/*! … */`, which MySQL runs.
    conditional: bool,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        Self { text, at: 0, dialect, conditional: false }
    }

    fn rest(&self) -> &'a [u8] {
        &self.text[self.at..]
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.get(self.at + ahead).copied()
    }

    /// Passes blanks and comments. Whether there were any.
    fn blanks(&mut self) -> bool {
        let start = self.at;
        while let Some(byte) = self.byte(0) {
            match (byte, self.byte(1)) {
                (b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c | 0, _) => self.at += 1,
                // MySQL wants a blank behind the dashes: `5--1` is a sum.
                (b'-', Some(b'-')) if !self.dialect.mysql || self.byte(2).is_none_or(|b| b <= b' ') => self.line(),
                (b'#', _) if self.dialect.mysql => self.line(),
                (b'/', Some(b'*')) => self.block(),
                (b'*', Some(b'/')) if self.conditional => {
                    self.conditional = false;
                    self.at += 2;
                }
                _ => break,
            }
        }
        self.at > start
    }

    fn line(&mut self) {
        self.at += self.rest().iter().position(|b| *b == b'\n').unwrap_or(self.rest().len());
    }

    /// PostgreSQL's comments nest; of MySQL's, some are code.
    fn block(&mut self) {
        let code = if self.rest().starts_with(b"/*M!") { 4 } else { 3 };
        if self.dialect.mysql && (code == 4 || self.byte(2) == Some(b'!')) {
            self.conditional = true;
            self.at += code;
            self.at += self.rest().iter().take_while(|b| b.is_ascii_digit()).count();
            return;
        }
        self.at += 2;
        let mut depth = 1;
        while depth > 0 && self.at < self.text.len() {
            match (self.rest(), self.dialect.mysql) {
                ([b'*', b'/', ..], _) => {
                    depth -= 1;
                    self.at += 2;
                }
                ([b'/', b'*', ..], false) => {
                    depth += 1;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
    }

    /// Passes a text in `quote`s, at the first of which it stands. An end that is missing is the end of everything.
    fn quoted(&mut self, quote: u8, backslash: bool) {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            self.at += 1;
            if byte == b'\\' && backslash {
                self.at += 1;
            } else if byte == quote {
                if self.byte(0) != Some(quote) {
                    break;
                }
                self.at += 1;
            }
        }
        self.at = self.at.min(self.text.len());
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        self.at += self.rest().iter().take_while(|b| is_word(**b)).count();
        let word = &self.text[start..self.at];
        let quote = match self.byte(0) {
            Some(b'\'') => b'\'',
            Some(b'"') if self.dialect.mysql => b'"',
            _ => return if is(word, b"TRUE") || is(word, b"FALSE") { Kind::Literal } else { Kind::Word },
        };
        // `E'…'`, `B'…'`, `X'…'`, `N'…'`, and MySQL's `_utf8'…'`: the letter belongs to the value.
        let escapes = is(word, b"E") && !self.dialect.mysql;
        let prefix = matches!(word, [b'b' | b'B' | b'x' | b'X' | b'n' | b'N']) || escapes;
        if prefix || (self.dialect.mysql && word.first() == Some(&b'_')) {
            self.quoted(quote, self.dialect.backslash || escapes);
            return Kind::Literal;
        }
        Kind::Word
    }

    fn number(&mut self) -> Kind {
        let mut before = 0;
        while let Some(byte) = self.byte(0) {
            let sign = matches!(byte, b'+' | b'-') && matches!(before, b'e' | b'E');
            if !is_word(byte) && byte != b'.' && !sign {
                break;
            }
            before = byte;
            self.at += 1;
        }
        Kind::Literal
    }

    /// PostgreSQL: `$1`, `$$…$$`, `$tag$…$tag$`.
    fn dollar(&mut self) -> Kind {
        let rest = self.rest();
        let name = rest[1..].iter().take_while(|b| is_word(**b) && **b != b'$').count();
        let tag = &rest[..(name + 2).min(rest.len())];
        if tag.len() == name + 2 && tag.ends_with(b"$") {
            self.at += tag.len();
            let end = self.rest().windows(tag.len()).position(|w| w == tag);
            self.at = end.map_or(self.text.len(), |end| self.at + end + tag.len());
            return Kind::Literal;
        }
        let digits = rest[1..].iter().take_while(|b| b.is_ascii_digit()).count();
        self.at += 1 + name;
        // A tag that was cut off opens a text.
        if digits == name && digits > 0 { Kind::Placeholder } else { Kind::Literal }
    }

    fn symbol(&mut self, byte: u8) -> Kind {
        self.at += 1;
        if byte == b'?' { Kind::Placeholder } else { Kind::Symbol(byte) }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let spaced = self.blanks();
        let (start, byte) = (self.at, self.byte(0)?);
        let kind = match byte {
            b'\'' => {
                self.quoted(byte, self.dialect.backslash);
                Kind::Literal
            }
            b'"' if self.dialect.mysql => {
                self.quoted(byte, self.dialect.backslash);
                Kind::Literal
            }
            b'"' | b'`' => {
                self.quoted(byte, false);
                // What has no end may be anything.
                if self.text[start..self.at].len() > 1 && self.text[self.at - 1] == byte {
                    Kind::Quoted
                } else {
                    Kind::Literal
                }
            }
            b'$' if !self.dialect.mysql => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1).is_some_and(|b| b.is_ascii_digit()) => self.number(),
            byte if is_word(byte) => self.word(),
            byte => self.symbol(byte),
        };
        Some(Token { kind, text: &self.text[start..self.at], spaced })
    }
}
