//! Words, names, literals and symbols of PostgreSQL and MySQL (PostgreSQL manual 4.1, MySQL manual 11.1 and 11.2).
//!
//! Where a literal ends may depend on what nobody told: the server's mode, its version, the client's character set. Where
//! two readings of a text part, the rest of it is one literal (`docs/decisions/024-unknown-is-literal.md`).

use super::Dialect;
use super::comments;

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
    /// It is a word, and a parenthesis opens behind it.
    pub called: bool,
}

/// Whether `text` is `word`, whatever its case.
pub(super) fn is(text: &[u8], word: &[u8]) -> bool {
    text.eq_ignore_ascii_case(word)
}

/// What the token before leaves open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    /// `E'…'`: what follows in quotes may go on with it, escapes included.
    Escapes,
    Other,
}

/// Splits a text; comments are left out.
pub(super) struct Tokens<'a> {
    text: &'a [u8],
    at: usize,
    dialect: Dialect,
    /// Within `/*! … */`, which MySQL runs.
    conditional: bool,
    /// The text is UTF-8, so no character of several bytes ends in one that looks like a backslash or a quote.
    utf8: bool,
    before: Before,
    /// The present statement's first word.
    first: Option<&'a [u8]>,
    /// Readings part here.
    unclear: bool,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | 0x80..)
}

/// Statements that change no mode of the session.
const TAME: [&[u8]; 5] = [b"SELECT", b"INSERT", b"UPDATE", b"DELETE", b"REPLACE"];

impl<'a> Tokens<'a> {
    pub(super) fn new(text: &'a [u8], dialect: Dialect) -> Self {
        let (before, utf8) = (Before::Other, std::str::from_utf8(text).is_ok());
        Self { text, at: 0, dialect, conditional: false, utf8, before, first: None, unclear: false }
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
                (b'/', Some(b'*')) => match comments::read(self.rest(), self.dialect.mysql) {
                    comments::Comment::Passed(len) => self.at += len,
                    comments::Comment::Code(len) => {
                        self.conditional = true;
                        self.at += len;
                    }
                    comments::Comment::Unclear => {
                        self.unclear = true;
                        break;
                    }
                },
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

    /// Passes a text in `quote`s, at the first of which it stands; `escapes` says whether backslashes escape, if that is
    /// known. Whether its end is there and beyond doubt: else it is the end of everything.
    fn quoted(&mut self, quote: u8, escapes: Option<bool>) -> bool {
        self.at += 1;
        while let Some(byte) = self.byte(0) {
            // A back-tick may be the second half of a character.
            let half = !self.utf8 && self.text[self.at - 1] >= 0x80;
            self.at += 1;
            match byte {
                b'\\' if escapes == Some(true) && !half => self.at += 1,
                b'\\' if escapes != Some(false) => {
                    let more = self.rest().iter().take_while(|b| **b == b'\\').count();
                    self.at += more;
                    if self.byte(0) == Some(quote) && (half || more.is_multiple_of(2)) {
                        self.unclear = true;
                        break;
                    }
                }
                b'`' if quote == b'`' && half => {
                    self.unclear = true;
                    break;
                }
                _ if byte != quote => {}
                _ if self.byte(0) == Some(quote) => self.at += 1,
                _ => return true,
            }
        }
        self.at = self.text.len();
        false
    }

    /// A string without a prefix.
    fn string(&mut self, quote: u8) -> Kind {
        let continues = self.before == Before::Escapes;
        let escapes = match quote {
            // A name, if MySQL runs with ANSI_QUOTES, of which it does not tell; and names have no escapes.
            b'"' => None,
            _ if continues => self.dialect.backslash.filter(|escapes| *escapes),
            _ => self.dialect.backslash,
        };
        if !self.quoted(quote, escapes) {
            return Kind::Literal;
        }
        // What continues it may be continued.
        self.before = if continues { Before::Escapes } else { Before::Other };
        Kind::Literal
    }

    fn word(&mut self) -> Kind {
        let start = self.at;
        self.at += self.rest().iter().take_while(|b| is_word(**b)).count();
        let word = &self.text[start..self.at];
        self.first.get_or_insert(word);
        let quote = match self.byte(0) {
            Some(b'\'') => b'\'',
            Some(b'"') if self.dialect.mysql => b'"',
            _ => return if is(word, b"TRUE") || is(word, b"FALSE") { Kind::Literal } else { Kind::Word },
        };
        if is(word, b"Q") || is(word, b"NQ") {
            return self.chosen_quotes(quote);
        }
        // `E'…'`, `B'…'`, `X'…'`, `N'…'`, and MySQL's `_utf8'…'`: the letter belongs to the value.
        if is(word, b"E") && !self.dialect.mysql {
            if self.quoted(quote, Some(true)) {
                self.before = Before::Escapes;
            }
            return Kind::Literal;
        }
        let prefix = matches!(word, [b'b' | b'B' | b'x' | b'X' | b'n' | b'N']);
        if prefix || (self.dialect.mysql && word.first() == Some(&b'_')) {
            return self.string(quote);
        }
        Kind::Word
    }

    /// `q'[it's]'`, which Oracle knows and some who speak PostgreSQL's protocol; else a name and a string.
    fn chosen_quotes(&mut self, quote: u8) -> Kind {
        let start = self.at;
        if !self.quoted(quote, self.dialect.backslash) {
            return Kind::Literal;
        }
        let close = match self.text.get(start + 1) {
            Some(b'[') => b']',
            Some(b'(') => b')',
            Some(b'{') => b'}',
            Some(b'<') => b'>',
            Some(other) => *other,
            None => quote,
        };
        let end = self.text[start + 2..].windows(2).position(|w| w == [close, quote]);
        self.unclear = end.map(|end| start + 4 + end) != Some(self.at);
        if self.unclear {
            self.at = self.text.len();
        }
        Kind::Literal
    }

    fn number(&mut self) -> Kind {
        let mut before = 0;
        while let Some(byte) = self.byte(0) {
            let sign = matches!(byte, b'+' | b'-') && matches!(before, b'e' | b'E');
            let dollar = byte == b'$' && !self.dialect.mysql;
            if dollar || (!is_word(byte) && byte != b'.' && !sign) {
                break;
            }
            before = byte;
            self.at += 1;
        }
        Kind::Literal
    }

    /// The `$tag$` at which it stands, or as much of one as there is.
    fn tag(&self) -> (&'a [u8], bool) {
        let rest = self.rest();
        let name = rest[1..].iter().take_while(|b| is_word(**b) && **b != b'$').count();
        let tag = &rest[..(name + 2).min(rest.len())];
        let whole = tag.len() == name + 2 && tag.ends_with(b"$");
        (if whole { tag } else { &rest[..=name] }, whole)
    }

    /// `$1`, `$$…$$`, `$tag$…$tag$`.
    fn dollar(&mut self) -> Kind {
        let (tag, whole) = self.tag();
        self.at += tag.len();
        if whole {
            let end = self.rest().windows(tag.len()).position(|w| w == tag);
            self.at = end.map_or(self.text.len(), |end| self.at + end + tag.len());
            return Kind::Literal;
        }
        // A tag that was cut off opens a text.
        let number = tag.len() > 1 && tag[1..].iter().all(u8::is_ascii_digit);
        if number { Kind::Placeholder } else { Kind::Literal }
    }

    fn symbol(&mut self, byte: u8) -> Kind {
        self.at += 1;
        if byte == b';' {
            // Each statement of MySQL's is read in the mode that the ones before it left.
            let tame = self.first.take().is_none_or(|first| TAME.iter().any(|word| is(first, word)));
            if self.dialect.mysql && !tame {
                self.dialect.backslash = None;
            }
        }
        if byte == b'?' { Kind::Placeholder } else { Kind::Symbol(byte) }
    }

    fn kind(&mut self, byte: u8) -> Kind {
        match byte {
            b'\'' => self.string(byte),
            b'"' if self.dialect.mysql => self.string(byte),
            b'"' | b'`' if byte == b'"' || self.dialect.mysql => {
                // What has no end may be anything.
                if self.quoted(byte, Some(false)) { Kind::Quoted } else { Kind::Literal }
            }
            // MySQL has such texts since its version 9, and names with dollars before.
            b'$' if !self.dialect.mysql || self.tag().1 => self.dollar(),
            b'0'..=b'9' => self.number(),
            b'.' if self.byte(1).is_some_and(|b| b.is_ascii_digit()) => self.number(),
            byte if is_word(byte) => self.word(),
            byte => self.symbol(byte),
        }
    }

    /// Whether a parenthesis opens next.
    fn opens(&self) -> bool {
        self.rest().iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'(')
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        let spaced = self.blanks();
        let (start, byte) = (self.at, self.byte(0)?);
        if self.unclear {
            self.at = self.text.len();
            return Some(Token { kind: Kind::Literal, text: &self.text[start..], spaced, called: false });
        }
        let before = self.before;
        let kind = self.kind(byte);
        if self.before == before && kind != Kind::Literal {
            self.before = Before::Other;
        }
        let called = kind == Kind::Word && self.opens();
        Some(Token { kind, text: &self.text[start..self.at], spaced, called })
    }
}
