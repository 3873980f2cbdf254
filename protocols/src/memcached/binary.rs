//! The binary protocol.

use super::work::{Answer, Work};
use super::{Memcached, here};
use crate::db::{Frame, Layout, Read, Skip};
use crate::exchange::{Mark, Marks, Output, Reason};
use crate::{Detection, Direction, Progress};

/// First byte of a request.
pub(super) const REQUEST: u8 = 0x80;
/// First byte of a response.
pub(super) const RESPONSE: u8 = 0x81;
/// Length of a head.
const HEAD: usize = 24;
/// Most bytes behind a head.
const MAX_BODY: u32 = 1 << 30;
/// Statuses that say no, and are no failures: not found, exists already, not stored.
const ANSWERS: [u16; 4] = [0, 1, 2, 5];
/// The statistics' opcode: several frames answer it, the last one empty.
const STAT: u8 = 0x10;

/// Opcodes with their names; quiet ones are answered only if there is something to say.
const OPCODES: [(u8, &str, bool); 37] = [
    (0x00, "get", false),
    (0x01, "set", false),
    (0x02, "add", false),
    (0x03, "replace", false),
    (0x04, "delete", false),
    (0x05, "incr", false),
    (0x06, "decr", false),
    (0x07, "quit", false),
    (0x08, "flush", false),
    (0x09, "get", true),
    (0x0a, "noop", false),
    (0x0b, "version", false),
    (0x0c, "get", false),
    (0x0d, "get", true),
    (0x0e, "append", false),
    (0x0f, "prepend", false),
    (STAT, "stats", false),
    (0x11, "set", true),
    (0x12, "add", true),
    (0x13, "replace", true),
    (0x14, "delete", true),
    (0x15, "incr", true),
    (0x16, "decr", true),
    (0x17, "quit", true),
    (0x18, "flush", true),
    (0x19, "append", true),
    (0x1a, "prepend", true),
    (0x1b, "verbosity", false),
    (0x1c, "touch", false),
    (0x1d, "gat", false),
    (0x1e, "gat", true),
    (0x20, "sasl_list", false),
    (0x21, "sasl_auth", false),
    (0x22, "sasl_step", false),
    (0x23, "gat", false),
    (0x24, "gat", true),
    (0x40, "tap_connect", false),
];

fn be16(head: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([head[at], head[at + 1]])
}

fn be32(head: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]])
}

/// What follows a head, if that is one.
fn body(magic: u8, head: &[u8]) -> Option<u64> {
    let len = be32(head, 8);
    let parts = u32::from(be16(head, 2)) + u32::from(head[4]);
    (head[0] == magic && head[5] == 0 && len <= MAX_BODY && parts <= len).then_some(u64::from(len))
}

static REQUESTS: Layout = Layout { head: HEAD, length: |head| body(REQUEST, head), keep: |_| 0 };
static RESPONSES: Layout = Layout { head: HEAD, length: |head| body(RESPONSE, head), keep: |_| 0 };

fn opcode(byte: u8) -> Option<(&'static str, bool)> {
    OPCODES.iter().find(|o| o.0 == byte).map(|o| (o.1, o.2))
}

/// Whether bytes begin with a head of a known opcode.
pub(super) fn detect(bytes: &[u8]) -> Detection {
    let Some(head) = bytes.get(..HEAD) else {
        let known = bytes.get(1).is_none_or(|b| opcode(*b).is_some());
        return if known { Detection::NeedMore } else { Detection::No };
    };
    let (key, extras) = (be16(head, 2), head[4]);
    let sound = opcode(head[1]).is_some() && body(head[0], head).is_some() && key <= 250 && extras <= 20;
    // A status is small, and a bucket's number is hardly ever used.
    match (head[0], sound && be16(head, 6) <= 0x0400) {
        (_, false) => Detection::No,
        (REQUEST, _) => Detection::Match(Direction::Request),
        _ => Detection::Match(Direction::Response),
    }
}

impl Memcached {
    pub(super) fn request_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        let fresh = self.requests.begin(mark);
        if self.requests.lost {
            if !fresh || detect(bytes) != Detection::Match(Direction::Request) {
                self.calls.requests_hidden(out);
                return Progress::Continue;
            }
            self.requests.expect();
        }
        let mut at = 0;
        while at < bytes.len() {
            match self.requests.read(&REQUESTS, &bytes[at..], here(mark, at)) {
                Read::More => break,
                Read::Frame(len, frame) => {
                    at += len;
                    self.request(&frame, out);
                }
                Read::Invalid => {
                    let sound = self.requests.doubtful || self.calls.len() > 0;
                    self.requests.lose();
                    if !sound {
                        return Progress::LostSync;
                    }
                    self.calls.requests_hidden(out);
                    return Progress::Continue;
                }
            }
        }
        Progress::Continue
    }

    pub(super) fn request_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) {
        self.requests.begin(mark);
        if self.requests.lost {
            return self.calls.requests_hidden(out);
        }
        let lost = match self.requests.skip(len) {
            Skip::Within => false,
            Skip::Ended(frame, beyond) => {
                self.request(&frame, out);
                beyond
            }
            Skip::Lost => true,
        };
        if lost {
            self.requests.lose();
            self.calls.requests_hidden(out);
        }
    }

    fn request(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) {
        let head = frame.head();
        let (name, quiet) = opcode(head[1]).unwrap_or(("", false));
        let answer = Answer::Frame { opcode: head[1], opaque: be32(head, 12), quiet };
        let text = match be16(head, 2) {
            0 => name.to_owned(),
            _ => [name, " ?"].concat(),
        };
        let name = if name.is_empty() { format!("{:#04x}", head[1]).into() } else { name.into() };
        let work = Work { name: Some(name), text, answer, behind_quiet: false, bulk: None };
        let marks = Marks { first: frame.first, last: self.requests.operation };
        if head[1] == 0x17 {
            return;
        }
        let verdict = self.calls.pairs(&marks, out);
        let alone = self.calls.len() == 0;
        if self.calls.start(marks, work, verdict, out).is_some() && alone {
            self.responses.expect();
        }
    }

    pub(super) fn response_bytes(&mut self, bytes: &[u8], mark: &Mark, out: &mut Vec<Output>) -> Progress {
        self.responses.begin(mark);
        let mut at = 0;
        while at < bytes.len() {
            if self.responses.lost {
                self.unknown_response();
                break;
            }
            match self.responses.read(&RESPONSES, &bytes[at..], here(mark, at)) {
                Read::More => break,
                Read::Frame(len, frame) => {
                    at += len;
                    self.response(&frame, out);
                }
                Read::Invalid => {
                    let doubtful = self.responses.doubtful;
                    self.responses.lose();
                    if doubtful {
                        self.calls.disproved(out);
                        return Progress::Continue;
                    }
                    self.calls.forget(Reason::Nonsense, out);
                    return Progress::LostSync;
                }
            }
        }
        Progress::Continue
    }

    fn unknown_response(&mut self) {
        if self.calls.end_is_hidden() {
            self.calls.touch(&self.responses.operation, &self.responses.operation);
        } else {
            self.calls.responses_unread();
        }
    }

    pub(super) fn response_gap(&mut self, len: u64, mark: &Mark, out: &mut Vec<Output>) {
        self.responses.begin(mark);
        if self.responses.lost {
            return self.unknown_response();
        }
        let lost = match self.responses.skip(len) {
            Skip::Within => false,
            Skip::Ended(frame, beyond) => {
                self.response(&frame, out);
                beyond
            }
            Skip::Lost => true,
        };
        if lost {
            self.responses.lose();
            self.calls.response_end_hidden(false, out);
        }
    }

    /// Quiet requests before the one that is answered are answered by that.
    fn response(&mut self, frame: &Frame<'_>, out: &mut Vec<Output>) {
        let head = frame.head();
        let (code, mark) = (head[1], be32(head, 12));
        let (status, empty) = (be16(head, 6), frame.len == 0);
        self.responses.doubtful = false;
        let answers = |answer: &Answer| matches!(answer, Answer::Frame { opcode, opaque, .. } if (*opcode, *opaque) == (code, mark));
        if !self.calls.requests().any(|work| answers(&work.answer)) {
            return self.calls.response_to_nothing();
        }
        while let Some(call) = self.calls.oldest() {
            match call.request.answer {
                Answer::Frame { opcode, opaque, .. } if (opcode, opaque) == (code, mark) => break,
                Answer::Frame { quiet: true, .. } => self.calls.complete_silently(out),
                // A response was hidden.
                _ => return self.calls.responses_hidden(out),
            }
        }
        self.calls.touch(&frame.first, &self.responses.operation);
        if let Some(call) = self.calls.oldest().filter(|_| !ANSWERS.contains(&status)) {
            call.fail(status.to_string(), "");
        }
        if code != STAT || empty || status != 0 {
            self.calls.complete(out);
        }
    }
}
