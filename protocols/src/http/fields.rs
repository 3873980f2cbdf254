//! The header fields that matter.

use crate::context::Carrier;

/// Fields of a request, first occurrence.
#[derive(Debug, Default)]
pub(crate) struct Fields<'a> {
    pub carrier: Carrier<'a>,
    pub length: Length,
    pub host: Option<&'a [u8]>,
    pub user_agent: Option<&'a [u8]>,
    pub content_type: Option<&'a [u8]>,
    pub forwarded: Option<&'a [u8]>,
    pub forwarded_for: Option<&'a [u8]>,
    pub forwarded_host: Option<&'a [u8]>,
    pub forwarded_port: Option<&'a [u8]>,
    pub forwarded_proto: Option<&'a [u8]>,
}

impl<'a> Fields<'a> {
    /// Looks at one field. Names are compared without regard to case.
    pub fn offer(&mut self, name: &str, value: &'a [u8]) {
        if self.length.offer(name, value) || self.carrier.offer(name, value) {
            return;
        }
        let is = |known: &str| name.eq_ignore_ascii_case(known);
        let slot = match name.len() {
            4 if is("host") => &mut self.host,
            9 if is("forwarded") => &mut self.forwarded,
            10 if is("user-agent") => &mut self.user_agent,
            12 if is("content-type") => &mut self.content_type,
            15 if is("x-forwarded-for") => &mut self.forwarded_for,
            16 if is("x-forwarded-host") => &mut self.forwarded_host,
            16 if is("x-forwarded-port") => &mut self.forwarded_port,
            17 if is("x-forwarded-proto") => &mut self.forwarded_proto,
            _ => return,
        };
        slot.get_or_insert(value);
    }
}

/// `Content-Length`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Length {
    #[default]
    Absent,
    Known(u64),
    /// Not a number, or several that differ.
    Invalid,
}

impl Length {
    /// Looks at one field, and says whether it is this one.
    pub fn offer(&mut self, name: &str, value: &[u8]) -> bool {
        let found = name.len() == 14 && name.eq_ignore_ascii_case("content-length");
        if found {
            *self = self.and(value);
        }
        found
    }

    /// The length, if it is known.
    pub fn known(self) -> Option<u64> {
        match self {
            Length::Known(length) => Some(length),
            Length::Absent | Length::Invalid => None,
        }
    }

    /// A further `Content-Length`. Repeating the same number, in one field or several, is valid (RFC 9110 §8.6).
    fn and(self, value: &[u8]) -> Self {
        value.split(|b| *b == b',').map(|v| number(v.trim_ascii())).fold(self, |known, next| match (known, next) {
            (Length::Absent, Some(n)) => Length::Known(n),
            (Length::Known(n), Some(m)) if n == m => known,
            _ => Length::Invalid,
        })
    }
}

fn number(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok().filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
    digits.parse().ok()
}

/// The media type of a `Content-Type`, without parameters.
pub(crate) fn media(content_type: &[u8]) -> &[u8] {
    content_type.split(|b| *b == b';').next().unwrap_or_default().trim_ascii()
}

/// Whether a `Content-Type` says that a body is a stream of events, which has no end but that its reader leaves
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html>), of pictures that replace one another, or of what changes
/// in Kubernetes.
pub(crate) fn is_events(content_type: &[u8]) -> bool {
    let is = |a: &[u8], b: &[u8]| a.trim_ascii().eq_ignore_ascii_case(b);
    let media = media(content_type);
    is(media, b"text/event-stream")
        || is(media, b"multipart/x-mixed-replace")
        || content_type.split(|b| *b == b';').skip(1).any(|parameter| is(parameter, b"stream=watch"))
}
