//! A place in a body of JSON, found while the body passes: nothing of it is kept but the value that is looked for. Depth and
//! lengths are bounded, and each byte is looked at once.

use super::MAX_VALUE;

/// Deepest nesting that is followed.
const MAX_DEPTH: usize = 64;
/// Longest name that may be one that is looked for.
const MAX_NAME: usize = 256;
/// Bytes of a body that are looked at.
const MAX_BODY: usize = 1 << 20;

/// A place: `order.items[0].price`, with or without `$.` in front.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path(Vec<Step>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Item(u32),
}

impl Path {
    /// Reads a place.
    ///
    /// # Errors
    /// What is wrong, and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let rest = text.strip_prefix('$').map_or(text, |rest| rest.strip_prefix('.').unwrap_or(rest));
        let mut steps = Vec::new();
        for part in rest.split('.') {
            let (name, items) = part.split_at(part.find('[').unwrap_or(part.len()));
            if name.is_empty() && (items.is_empty() || !steps.is_empty()) {
                return Err(format!("{text:?} has an empty name; write names with `.` between, such as order.id"));
            }
            if !name.is_empty() {
                steps.push(Step::Name(name.to_owned()));
            }
            for item in items.split('[').skip(1) {
                let number = item.strip_suffix(']').and_then(|digits| digits.parse().ok());
                let wrong = || format!("[{item} is no place in a list; write a number, such as items[0]");
                steps.push(Step::Item(number.ok_or_else(wrong)?));
            }
        }
        if steps.len() > MAX_DEPTH {
            return Err(format!("it is deeper than {MAX_DEPTH}; make it shorter"));
        }
        Ok(Self(steps))
    }

    /// The last name in it: what its value is called.
    pub fn name(&self) -> &str {
        self.0
            .iter()
            .rev()
            .find_map(|step| if let Step::Name(name) = step { Some(name.as_str()) } else { None })
            .unwrap_or_default()
    }
}

/// What a container is, and where in it the body is.
#[derive(Clone, Copy, Debug)]
enum Level {
    /// In an object.
    Object,
    /// At this place of a list.
    List(u32),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// A value, or the end of a list that is empty.
    Value,
    /// A name, or the end of an object.
    Name,
    /// `:`.
    Colon,
    /// `,`, or the end of a container.
    After,
    /// More of a string; whether it is a name.
    Text { name: bool },
    /// What stands behind a backslash.
    Escape { name: bool },
    /// Digits of `\u`.
    Hex { name: bool, left: u8, code: u32 },
    /// More of a number or a word.
    Word,
    /// Nothing: it is over, or not understood.
    Done,
}

/// Looks for one place in one body.
#[derive(Debug)]
pub(super) struct Finder {
    path: Path,
    levels: Vec<Level>,
    /// How many steps of the path the way to here has.
    matched: usize,
    state: State,
    /// The name or the value that is being read, as far as it matters.
    text: Vec<u8>,
    /// It is longer than what is kept.
    long: bool,
    /// The first half of a character that `\u` writes in two.
    surrogate: Option<u32>,
    seen: usize,
    /// The body is not understood, or is larger or deeper than what is looked at.
    broken: bool,
    found: Option<String>,
}

impl Finder {
    pub(super) fn new(path: Path) -> Self {
        Self {
            path,
            levels: Vec::new(),
            matched: 0,
            state: State::Value,
            text: Vec::new(),
            long: false,
            surrogate: None,
            seen: 0,
            broken: false,
            found: None,
        }
    }

    /// Whether nothing more can be found.
    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether it ended in the middle of something that is not understood.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }

    /// Part of the body is missing, or it is not understood: neither is what follows.
    pub(super) fn lose(&mut self) {
        self.broken = true;
        self.state = State::Done;
    }

    /// What was found. (A number that nothing follows may be the beginning of a longer one.)
    pub(super) fn take(&mut self) -> Option<String> {
        self.found.take()
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.capacity() + self.levels.capacity() * size_of::<Level>()
    }

    pub(super) fn feed(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if self.state == State::Done {
                return;
            }
            self.seen += 1;
            if self.seen > MAX_BODY {
                return self.lose();
            }
            self.step(*byte);
        }
    }

    fn step(&mut self, byte: u8) {
        match self.state {
            State::Text { name } => self.text_byte(name, byte),
            State::Escape { name } => self.escape(name, byte),
            State::Hex { name, left, code } => self.hex(name, left, code, byte),
            State::Word if byte.is_ascii_alphanumeric() || b"+-.".contains(&byte) => self.keep(byte),
            State::Word => {
                self.value_ended();
                if self.state != State::Done {
                    self.step(byte);
                }
            }
            _ if byte.is_ascii_whitespace() => {}
            State::Value => self.value(byte),
            State::Name => match byte {
                b'"' => self.begin(State::Text { name: true }),
                b'}' => self.close(byte),
                _ => self.lose(),
            },
            State::Colon if byte == b':' => self.state = State::Value,
            State::After => self.after(byte),
            State::Colon | State::Done => self.lose(),
        }
    }

    fn begin(&mut self, state: State) {
        self.text.clear();
        (self.long, self.surrogate, self.state) = (false, None, state);
    }

    /// Whether what comes now is the value that is looked for.
    fn is_wanted(&self) -> bool {
        self.matched == self.path.0.len() && self.levels.len() == self.matched
    }

    fn value(&mut self, byte: u8) {
        match byte {
            b'"' => self.begin(State::Text { name: false }),
            b'{' => self.open(Level::Object, State::Name),
            b'[' => {
                self.open(Level::List(0), State::Value);
                self.item();
            }
            b']' => self.close(byte),
            b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                self.begin(State::Word);
                self.keep(byte);
            }
            _ => self.lose(),
        }
    }

    fn open(&mut self, level: Level, state: State) {
        // What is looked for is a value, and not what has values.
        if self.levels.len() >= MAX_DEPTH || self.is_wanted() {
            return self.lose();
        }
        self.levels.push(level);
        self.state = state;
    }

    /// An item of a list begins: it is on the way if all before was, and its number is the path's.
    fn item(&mut self) {
        let depth = self.levels.len();
        let Some(Level::List(number)) = self.levels.last() else { return };
        if self.matched + 1 >= depth {
            let wanted = self.path.0.get(depth - 1) == Some(&Step::Item(*number));
            self.matched = if wanted { depth } else { depth - 1 };
        }
    }

    /// A name was read: the same.
    fn named(&mut self) {
        let depth = self.levels.len();
        self.state = State::Colon;
        if self.matched + 1 >= depth {
            let wanted = match self.path.0.get(depth - 1) {
                Some(Step::Name(name)) => !self.long && name.as_bytes() == self.text,
                _ => false,
            };
            self.matched = if wanted { depth } else { depth - 1 };
        }
    }

    fn after(&mut self, byte: u8) {
        match (byte, self.levels.last_mut()) {
            (b',', Some(Level::Object)) => self.state = State::Name,
            (b',', Some(Level::List(number))) => {
                *number = number.saturating_add(1);
                self.state = State::Value;
                self.item();
            }
            (b'}' | b']', Some(_)) => self.close(byte),
            _ => self.lose(),
        }
    }

    fn close(&mut self, byte: u8) {
        let fits = matches!((self.levels.pop(), byte), (Some(Level::Object), b'}') | (Some(Level::List(_)), b']'));
        if !fits {
            return self.lose();
        }
        if self.levels.is_empty() {
            self.state = State::Done;
            return;
        }
        self.matched = self.matched.min(self.levels.len());
        self.state = State::After;
    }

    fn text_byte(&mut self, name: bool, byte: u8) {
        match byte {
            b'"' if name => self.named(),
            b'"' => self.value_ended(),
            b'\\' => self.state = State::Escape { name },
            _ => self.keep(byte),
        }
    }

    fn escape(&mut self, name: bool, byte: u8) {
        self.state = State::Text { name };
        match byte {
            b'u' => self.state = State::Hex { name, left: 4, code: 0 },
            b'n' => self.keep(b'\n'),
            b't' => self.keep(b'\t'),
            b'r' => self.keep(b'\r'),
            b'b' => self.keep(8),
            b'f' => self.keep(12),
            b'"' | b'\\' | b'/' => self.keep(byte),
            _ => self.lose(),
        }
    }

    fn hex(&mut self, name: bool, left: u8, code: u32, byte: u8) {
        let Some(digit) = char::from(byte).to_digit(16) else { return self.lose() };
        let code = code << 4 | digit;
        if left > 1 {
            self.state = State::Hex { name, left: left - 1, code };
            return;
        }
        self.state = State::Text { name };
        let code = match (self.surrogate.take(), code) {
            (Some(high), 0xdc00..=0xdfff) => 0x10000 + ((high - 0xd800) << 10) + (code - 0xdc00),
            (None, 0xd800..=0xdbff) => {
                self.surrogate = Some(code);
                return;
            }
            _ => code,
        };
        let mut buffer = [0; 4];
        let text = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut buffer);
        text.bytes().for_each(|byte| self.keep(byte));
    }

    /// Keeps a byte of a name or a value, if it matters.
    fn keep(&mut self, byte: u8) {
        let name = matches!(self.state, State::Text { name: true });
        if !name && !self.is_wanted() {
            return;
        }
        if self.text.len() >= if name { MAX_NAME } else { MAX_VALUE } {
            self.long = true;
        } else {
            self.text.push(byte);
        }
    }

    fn value_ended(&mut self) {
        if self.is_wanted() {
            let text = std::mem::take(&mut self.text);
            if !self.long && text != b"null" {
                self.found = String::from_utf8(text).ok();
            }
            self.state = State::Done;
            return;
        }
        self.state = if self.levels.is_empty() { State::Done } else { State::After };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(path: &str, body: &str) -> Option<String> {
        let mut whole = Finder::new(Path::parse(path).unwrap());
        whole.feed(body.as_bytes());
        let found = whole.take();
        // However it is cut, it is the same.
        let mut cut = Finder::new(Path::parse(path).unwrap());
        body.as_bytes().chunks(1).for_each(|chunk| cut.feed(chunk));
        assert_eq!(cut.take(), found, "{body}");
        found
    }

    #[test]
    fn a_value_is_found_wherever_it_stands() {
        let body = r#" {"a": [1, {"id": 9}], "order": {"note": "id", "lines": [[], [{"id": 1}, {"id": "x\"\u00e9\ud83d\ude00"}]], "id": 17, "paid": true} } "#;
        assert_eq!(find("order.id", body).as_deref(), Some("17"));
        assert_eq!(find("$.order.paid", body).as_deref(), Some("true"));
        assert_eq!(find("order.lines[1][1].id", body).as_deref(), Some("x\"é😀"));
        assert_eq!(find("order.note", body).as_deref(), Some("id"));
        assert_eq!(find("a[0]", body).as_deref(), Some("1"));
        assert_eq!(find("a[1].id", body).as_deref(), Some("9"));
        assert_eq!(find("[1].id", r#"[{"id": 1}, {"id": 2}]"#).as_deref(), Some("2"));
        for none in ["id", "order.lines", "order.lines[0][0].id", "order.id.x", "a[2]", "b"] {
            assert_eq!(find(none, body), None, "{none}");
        }
        assert_eq!(find("a", r#"{"a": null}"#), None);
    }

    #[test]
    fn the_first_of_two_counts_and_nonsense_is_nothing() {
        assert_eq!(find("a", r#"{"a": 1, "a": 2}"#).as_deref(), Some("1"));
        for body in [
            "",
            "{",
            r#"{"a""#,
            r#"{"a" 1}"#,
            r#"{"a": }"#,
            "a=1",
            "\u{1f}\u{8b}",
            r#"{"a": "1"#,
            r#"]"a": 1"#,
            r#"{"a": "\x"}"#,
            r#"{"a": 12"#,
        ] {
            assert_eq!(find("a", body), None, "{body}");
        }
    }

    #[test]
    fn depth_and_length_are_bounded() {
        assert_eq!(find("a", &format!("{{\"b\": {}, \"a\": 1}}", "[".repeat(100_000))), None);
        let (name, value) = ("n".repeat(100_000), "v".repeat(100_000));
        let mut finder = Finder::new(Path::parse("a").unwrap());
        finder.feed(format!("{{\"{name}\": \"{value}\", \"b\": [1], \"a\": \"{value}\"}}").as_bytes());
        assert!(finder.bytes() < 4096 && finder.take().is_none());
        let mut finder = Finder::new(Path::parse("a").unwrap());
        finder.feed(b"{\"b\": \"");
        (0..2000).for_each(|_| finder.feed(&[b'x'; 1024]));
        assert!(finder.is_done());
    }
}
