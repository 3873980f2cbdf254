//! RESP2 and RESP3 (<https://redis.io/docs/latest/develop/reference/protocol-spec/>), read piece by piece.

/// Longest line: an integer, an error, a status, an inline command.
const MAX_LINE: usize = 64 * 1024;
/// Deepest nesting; Redis itself answers no deeper than a handful.
const MAX_DEPTH: usize = 16;

/// What was read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Token<'a> {
    /// Nothing complete yet.
    Nothing,
    /// A line, without its end: the type's byte, and the text behind it.
    Line(u8, &'a [u8]),
    /// Bytes of a string whose length was announced.
    Bulk(&'a [u8]),
    /// Such a string ended.
    BulkEnd,
}

/// The bytes are no RESP.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid;

#[derive(Clone, Copy, Debug)]
struct Level {
    left: u64,
    /// An attribute (`|`): it comes before a value, and is none.
    attribute: bool,
}

/// Where in which value the next byte is.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// A line of which the end is yet to come.
    line: Vec<u8>,
    /// The line in `line` was handed out.
    spent: bool,
    /// Bytes left of a string, its line end included.
    bulk: Option<u64>,
    levels: Vec<Level>,
    /// A value at the top is complete.
    complete: bool,
}

/// A length, or a number of elements: -1 is *null*.
pub(super) fn number(text: &[u8]) -> Option<i64> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let n = digits.iter().fold(0i64, |n, d| n * 10 + i64::from(d - b'0'));
    Some(if digits.len() < text.len() { -n } else { n })
}

impl Reader {
    /// Bytes held.
    pub(super) fn held(&self) -> usize {
        self.line.capacity() + self.levels.capacity() * size_of::<Level>()
    }

    /// Whether the next byte begins a value at the top.
    pub(super) fn at_boundary(&self) -> bool {
        self.levels.is_empty() && self.bulk.is_none() && (self.line.is_empty() || self.spent)
    }

    /// Whether a string is in transfer.
    pub(super) fn in_string(&self) -> bool {
        self.bulk.is_some()
    }

    /// Whether the line in transfer, with `more` of it, may be an inline command.
    pub(super) fn begins_with_a_name(&self, more: &[u8]) -> bool {
        let line = if self.spent { &[] } else { self.line.as_slice() };
        let name = line.iter().chain(more).take(64).take_while(|b| !b.is_ascii_whitespace()).count();
        name <= super::names::MAX_NAME
    }

    /// How deep the value in transfer is nested.
    pub(super) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// Says, once, that a value at the top is complete.
    pub(super) fn take_complete(&mut self) -> bool {
        std::mem::take(&mut self.complete)
    }

    /// Reads one token at the start of `bytes`, and says how long it was. `inline` lines have no type.
    pub(super) fn next<'a>(&'a mut self, bytes: &'a [u8], inline: bool) -> Result<(usize, Token<'a>), Invalid> {
        if let Some(left) = self.bulk {
            return Ok(self.string(bytes, left));
        }
        if std::mem::take(&mut self.spent) {
            self.line.clear();
            self.line.shrink_to(256);
        }
        let end = bytes.iter().position(|b| *b == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if self.line.len() + taken > MAX_LINE {
            return Err(Invalid);
        }
        if end.is_none() {
            self.line.extend_from_slice(bytes);
            return Ok((taken, Token::Nothing));
        }
        if self.line.is_empty() {
            let line = whole_line(&bytes[..taken], inline)?;
            self.value(line)?;
            return Ok((taken, Token::Line(line[0], &line[1..])));
        }
        self.line.extend_from_slice(&bytes[..taken]);
        self.spent = true;
        let line = std::mem::take(&mut self.line);
        let sound = whole_line(&line, inline).and_then(|line| self.value(line).map(|()| line.len()));
        self.line = line;
        let len = sound?;
        Ok((taken, Token::Line(self.line[0], &self.line[1..len])))
    }

    fn string<'a>(&mut self, bytes: &'a [u8], left: u64) -> (usize, Token<'a>) {
        let text = usize::try_from(left.saturating_sub(2)).unwrap_or(usize::MAX).min(bytes.len());
        if text > 0 {
            self.bulk = Some(left - text as u64);
            return (text, Token::Bulk(&bytes[..text]));
        }
        let taken = bytes.len().min(left as usize);
        self.bulk = Some(left - taken as u64);
        if self.bulk != Some(0) {
            return (taken, Token::Nothing);
        }
        self.bulk = None;
        self.element();
        (taken, Token::BulkEnd)
    }

    /// What the line of a value says of what follows (RESP3: `redis-specifications/protocol/RESP3.md`).
    fn value(&mut self, line: &[u8]) -> Result<(), Invalid> {
        let (kind, text) = (line[0], &line[1..]);
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => self.element(),
            b'$' | b'!' | b'=' => match number(text) {
                Some(-1) => self.element(),
                Some(len) if len >= 0 => self.bulk = Some(len as u64 + 2),
                _ => return Err(Invalid),
            },
            b'*' | b'%' | b'~' | b'>' | b'|' => {
                let per = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
                match number(text) {
                    Some(-1 | 0) => self.empty(kind),
                    Some(n) if n > 0 && self.levels.len() < MAX_DEPTH => {
                        self.levels.push(Level { left: n as u64 * per, attribute: kind == b'|' });
                    }
                    _ => return Err(Invalid),
                }
            }
            // An inline command; only requests have those.
            _ => self.element(),
        }
        Ok(())
    }

    fn empty(&mut self, kind: u8) {
        if kind != b'|' {
            self.element();
        }
    }

    /// One more element of the innermost aggregate is complete.
    fn element(&mut self) {
        while let Some(level) = self.levels.last_mut() {
            level.left -= 1;
            if level.left > 0 {
                return;
            }
            let attribute = level.attribute;
            self.levels.pop();
            if attribute {
                return;
            }
        }
        self.complete = true;
    }

    /// `len` bytes were not captured. Whether it is still known where values begin.
    pub(super) fn skip(&mut self, len: u64) -> bool {
        match self.bulk {
            Some(left) if len < left => self.bulk = Some(left - len),
            Some(left) if len == left => {
                self.bulk = None;
                self.element();
            }
            _ => return false,
        }
        true
    }
}

/// A line without its end, which is CR LF; inline commands may leave out the CR.
fn whole_line(line: &[u8], inline: bool) -> Result<&[u8], Invalid> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = match line.strip_suffix(b"\r") {
        Some(line) => line,
        None if inline => line,
        None => return Err(Invalid),
    };
    let known = b"+-:$*_#,(!=%~>|".contains(line.first().unwrap_or(&0));
    if line.is_empty() || (!known && !inline) { Err(Invalid) } else { Ok(line) }
}
