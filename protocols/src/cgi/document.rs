//! The response of a script: a head of lines, an empty line, a body (RFC 3875 §6).

use crate::http::fields::{self, Length};
use crate::http::lines;

/// Longest head that is read.
const MAX_HEAD: usize = 16 * 1024;

/// How far a response has come.
#[derive(Debug)]
enum State {
    /// Its head, as far as it is here.
    Head(Vec<u8>),
    /// Its body.
    Body,
    /// Part of its head is not known.
    Hidden,
}

/// A response in transfer.
#[derive(Debug)]
pub(crate) struct Document {
    state: State,
    /// The status code, once it is known.
    pub code: Option<u16>,
    /// The body is a stream of events, which ends when its reader leaves.
    pub events: bool,
    /// `Content-Length`, where it is stated.
    length: Option<u64>,
    /// It answers `HEAD`: what is stated of its body does not come.
    bodiless: bool,
    body: u64,
    /// Not all of the body was seen to pass.
    missed: bool,
}

/// What a head says.
#[derive(Debug, Default)]
struct Said {
    code: Option<u16>,
    location: bool,
    events: bool,
    length: Length,
    /// The body is not as long as what passes.
    coded: bool,
}

impl Document {
    /// Nothing of it is here.
    pub(crate) fn new(bodiless: bool) -> Self {
        let (code, length) = (None, None);
        Self { state: State::Head(Vec::new()), code, events: false, length, bodiless, body: 0, missed: false }
    }

    /// Bytes held.
    pub(crate) fn held(&self) -> usize {
        if let State::Head(buffer) = &self.state { buffer.capacity() } else { 0 }
    }

    /// More of it came.
    pub(crate) fn feed(&mut self, bytes: &[u8]) {
        let State::Head(buffer) = &mut self.state else {
            self.body = self.body.saturating_add(bytes.len() as u64);
            return;
        };
        let before = buffer.len();
        buffer.extend_from_slice(&bytes[..bytes.len().min(MAX_HEAD - before)]);
        let Some(end) = lines::end(buffer, before.saturating_sub(3)) else {
            if buffer.len() == MAX_HEAD {
                self.hide();
            }
            return;
        };
        let buffer = std::mem::take(buffer);
        self.state = State::Body;
        let said = Said::read(&buffer[..end]);
        // RFC 3875 §6.2: what says no status is a success, or tells where to go.
        self.code = said.code.or(Some(if said.location { 302 } else { 200 }));
        (self.events, self.length, self.missed) = (said.events, said.length.known(), said.coded);
        self.body = (bytes.len() - (end - before)) as u64;
    }

    /// So many bytes of it passed that nobody saw.
    pub(crate) fn skip(&mut self, len: u64) {
        if len > 0 && self.is_in_head() {
            self.hide();
        }
        self.body = self.body.saturating_add(len);
    }

    /// An unknown number of bytes passed that nobody saw.
    pub(crate) fn lose(&mut self) {
        if self.is_in_head() {
            self.hide();
        }
        self.missed = true;
    }

    /// Of a head that cannot be read to its end, the whole lines count.
    fn hide(&mut self) {
        if let State::Head(buffer) = std::mem::replace(&mut self.state, State::Hidden)
            && let Some(closed) = lines::close(buffer)
        {
            let said = Said::read(&closed);
            (self.code, self.events) = (said.code, said.events);
        }
    }

    /// Whether its head has not ended.
    pub(crate) fn is_in_head(&self) -> bool {
        matches!(self.state, State::Head(_))
    }

    /// Whether its status may have been said where nobody saw it.
    pub(crate) fn is_status_hidden(&self) -> bool {
        self.code.is_none() && matches!(self.state, State::Hidden)
    }

    /// Whether all that was stated of its body has passed.
    pub(crate) fn is_complete(&self) -> bool {
        matches!(self.state, State::Body) && self.length.is_some_and(|length| self.body >= length)
    }

    /// Whether it may be over, if its body ends with the connection.
    pub(crate) fn may_end(&self) -> bool {
        match self.state {
            State::Head(_) => false,
            State::Body => self.bodiless || self.length.is_none_or(|length| self.body >= length),
            State::Hidden => true,
        }
    }

    /// Length of the body so far, if all of it is known to have passed.
    pub(crate) fn body(&self) -> Option<u64> {
        (matches!(self.state, State::Body) && !self.missed && !self.bodiless).then_some(self.body)
    }
}

impl Said {
    fn read(head: &[u8]) -> Self {
        let mut said = Self::default();
        for (n, line) in head.split(|b| *b == b'\n').enumerate() {
            let line = line.trim_ascii_end();
            // A script that writes its own status line (RFC 3875 §5), as those of SCGI and uwsgi do.
            if n == 0 && line.starts_with(b"HTTP/") {
                said.code = line.split(|b| *b == b' ').nth(1).and_then(code);
                continue;
            }
            let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
            let (name, value) = (&line[..colon], line[colon + 1..].trim_ascii());
            let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
            match name.len() {
                6 if is("status") => said.code = said.code.or(value.get(..3).and_then(code)),
                8 if is("location") => said.location = true,
                12 if is("content-type") => said.events = fields::is_events(value),
                17 if is("transfer-encoding") => said.coded = true,
                14 if is("content-length") => _ = said.length.offer("content-length", value),
                _ => {}
            }
        }
        said
    }
}

/// A status code.
fn code(digits: &[u8]) -> Option<u16> {
    let code: u16 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    (100..1000).contains(&code).then_some(code)
}
