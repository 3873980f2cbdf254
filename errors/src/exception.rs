//! An exception, as its program printed it.

use std::borrow::Cow;

use crate::MAX_EXCEPTION;

/// Whose grammar it is printed in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Language {
    /// CPython's tracebacks.
    Python,
    /// `Throwable.printStackTrace`, and what logging libraries of the JVM make of it.
    Jvm,
    /// V8's `Error.stack`, and what `util.inspect` adds.
    Node,
    /// `Exception.ToString` of .NET.
    DotNet,
    /// A panic, and what `runtime/debug.Stack` prints.
    Go,
    /// `Exception#full_message`, and what servers make of it.
    Ruby,
    /// What PHP says of an uncaught exception.
    Php,
    /// A panic with its backtrace.
    Rust,
}

/// What a line of it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum What {
    /// Its type, or that of a cause, and what it says of itself.
    Head,
    /// Where it passed, or what the grammar puts between such lines: nothing but the program.
    Frame,
    /// More of what it says.
    Text,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it says.
    pub what: What,
    /// How many bytes of the text stand before the message.
    pub message: usize,
    /// It, without the line's end.
    pub text: String,
}

/// One that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// Whose grammar.
    pub language: Language,
    /// The name of its type, or `panic`.
    pub kind: String,
    /// What it says of itself, possibly empty; in several lines, the first.
    pub message: String,
    /// All of it, as it was printed.
    pub lines: Vec<Line>,
    /// There were more lines than are kept.
    pub is_cut: bool,
    bytes: usize,
}

impl Exception {
    pub(crate) fn new(language: Language, kind: &str, message: &str) -> Self {
        let (kind, message) = (kind.to_owned(), message.to_owned());
        Self { language, kind, message, lines: Vec::new(), is_cut: false, bytes: 0 }
    }

    /// One, and the line that says so much of it: `Type: message`.
    pub(crate) fn with_head(language: Language, kind: &str, message: &str) -> (String, Self) {
        let head = if message.is_empty() { kind.to_owned() } else { format!("{kind}: {message}") };
        (head, Self::new(language, kind, message))
    }

    pub(crate) fn push(&mut self, what: What, text: &str, message: usize) {
        self.bytes += text.len() + 1;
        if self.bytes > MAX_EXCEPTION {
            self.is_cut = true;
        } else {
            self.lines.push(Line { what, message: message.min(text.len()), text: text.to_owned() });
        }
    }

    /// The stack trace. What lines say beyond types and places goes through `redact`.
    pub fn trace(&self, redact: impl Fn(&str) -> String) -> String {
        let mut trace = String::with_capacity(self.bytes.min(MAX_EXCEPTION));
        for (n, line) in self.lines.iter().enumerate() {
            if n > 0 {
                trace.push('\n');
            }
            match line.what {
                What::Frame => trace.push_str(&without_arguments(self.language, &line.text)),
                What::Head | What::Text => {
                    let (name, message) = line.text.split_at(line.text.floor_char_boundary(line.message));
                    trace.push_str(name);
                    trace.push_str(&redact(message));
                }
            }
        }
        trace
    }

    /// Bytes that it takes, about.
    pub(crate) fn weight(&self) -> usize {
        self.bytes.min(MAX_EXCEPTION) + self.lines.capacity() * size_of::<Line>()
    }

    /// How many lines are frames, or what stands between them.
    pub fn frames(&self) -> usize {
        self.lines.iter().filter(|line| line.what == What::Frame).count()
    }
}

/// A frame without the values of arguments, which PHP and Go print.
fn without_arguments(language: Language, line: &str) -> Cow<'_, str> {
    let open = match language {
        // `#0 /a.php(12): C->f('x', 1)`
        Language::Php => line.find("): ").and_then(|at| Some(at + line[at..].find('(')?)),
        // `main.(*T).f(0xc0000, 0x1)`, `main.f({0xc…}, …)`
        Language::Go if !line.starts_with(['\t', ' ']) => crate::go::arguments(line),
        _ => None,
    };
    match (open, line.rfind(')')) {
        (Some(open), Some(close)) if close > open + 1 => {
            Cow::Owned(format!("{}(...){}", &line[..open], &line[close + 1..]))
        }
        _ => Cow::Borrowed(line),
    }
}
