//! Message heads: start line and header fields, and the framing that follows from them.

use std::borrow::Cow;
use std::mem::MaybeUninit;

use httparse::{Header, ParserConfig, Status};

use super::body::Framing;
use super::start_line::{self, Fit};
use crate::grpc;
use crate::http::attributes::{Gateway, Request, Target};
use crate::http::fields::{self, Length};
use crate::rules::{Applied, Asked};

/// Heads with more fields than this are read a second time, into a list on the heap.
const FIELDS: usize = 64;
/// Heads with more fields than this are not read. Go allows any number, nginx and Apache about 100.
const MAX_FIELDS: usize = 1024;

/// What became of bytes that should be a head.
pub(super) enum Parsed<T> {
    /// A head of so many bytes.
    Whole(T, usize),
    /// More bytes are needed.
    Partial,
    /// They are no head.
    Invalid,
}

/// A request's head.
pub(super) struct RequestHead<'a> {
    pub method: &'a str,
    /// Bytes that are not UTF-8 are replaced.
    pub target: Cow<'a, str>,
    /// 0 or 1.
    pub minor: u8,
    pub fields: Fields<'a>,
}

/// A response's head.
pub(super) struct ResponseHead {
    pub status: u16,
    /// 0 or 1.
    pub minor: u8,
    pub size: Size,
    /// `grpc-status`, of a gRPC-Web response without a body.
    pub call_status: Option<grpc::Code>,
    /// Its body is a stream of events.
    pub events: bool,
}

/// The two fields that frame a body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub length: Length,
    pub coding: Coding,
}

impl Size {
    /// Looks at one field, and says whether it is one of the two.
    fn offer(&mut self, name: &str, value: &[u8]) -> bool {
        self.length.offer(name, value) || self.coding.offer(name, value)
    }
}

/// `Transfer-Encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Coding {
    #[default]
    Absent,
    /// The last coding is *chunked*.
    Chunked,
    Other,
}

/// A request's header fields.
#[derive(Default)]
pub(super) struct Fields<'a> {
    /// Those that matter whatever the version of HTTP.
    pub common: fields::Fields<'a>,
    pub coding: Coding,
    pub expects_continue: bool,
    /// `Upgrade: h2c` (RFC 7540 §3.2).
    pub upgrades_to_http2: bool,
    /// Those that people ask for.
    pub asked: Vec<(&'a str, &'a [u8])>,
}

impl<'a> Fields<'a> {
    fn read(headers: &[Header<'a>], rules: Option<Applied>) -> Self {
        let mut fields = Self::default();
        for header in headers {
            if rules.is_some_and(|rules| rules.wants(header.name)) {
                fields.asked.push((header.name, header.value));
            }
            if fields.coding.offer(header.name, header.value) {
                continue;
            }
            match header.name.len() {
                6 if header.name.eq_ignore_ascii_case("expect") => {
                    fields.expects_continue |= header.value.eq_ignore_ascii_case(b"100-continue");
                }
                7 if header.name.eq_ignore_ascii_case("upgrade") => {
                    fields.upgrades_to_http2 |= header.value.eq_ignore_ascii_case(b"h2c");
                }
                _ => fields.common.offer(header.name, header.value),
            }
        }
        fields
    }
}

impl Coding {
    /// Looks at one field, and says whether it is this one.
    fn offer(&mut self, name: &str, value: &[u8]) -> bool {
        let found = name.len() == 17 && name.eq_ignore_ascii_case("transfer-encoding");
        if found {
            *self = self.and(value);
        }
        found
    }

    /// A further `Transfer-Encoding`: the last coding of the last field counts.
    fn and(self, value: &[u8]) -> Self {
        match value.split(|b| *b == b',').map(<[u8]>::trim_ascii).rfind(|c| !c.is_empty()) {
            Some(coding) if coding.eq_ignore_ascii_case(b"chunked") => Coding::Chunked,
            Some(_) => Coding::Other,
            None => self,
        }
    }
}

impl RequestHead<'_> {
    /// What HTTP says whatever its version.
    pub(super) fn common(&self) -> Request<'_> {
        let version = if self.minor == 0 { "1.0" } else { "1.1" };
        let target = Target::parse(self.method, &self.target);
        let fields = &self.fields.common;
        Request { method: Some(self.method), version: Some(version), target, fields, gateway: Gateway::default() }
    }

    /// What rules look at.
    pub(super) fn asked<'b>(&'b self, target: &Target<'b>, is_call: bool) -> Asked<'b> {
        let fields = &self.fields.asked;
        let content_type = self.fields.common.content_type;
        Asked { method: self.method, path: target.path, query: target.query(), fields, content_type, is_call }
    }

    /// RFC 9112 §6.3, items 3 to 7.
    pub(super) fn framing(&self) -> Framing {
        match (self.fields.coding, self.fields.common.length) {
            // Transfer-Encoding in HTTP/1.0 is faulty framing (§6.1), as is a request body without a last chunk.
            (Coding::Chunked, _) if self.minor > 0 => Framing::Chunked,
            (Coding::Chunked | Coding::Other, _) | (_, Length::Invalid) => Framing::Unknown,
            (Coding::Absent, Length::Known(0) | Length::Absent) => Framing::Empty,
            (Coding::Absent, Length::Known(n)) => Framing::Length(n),
        }
    }
}

impl ResponseHead {
    /// RFC 9112 §6.3, items 1 and 3 to 8.
    pub(super) fn framing(&self, to_head: bool) -> Framing {
        if to_head || matches!(self.status, 100..=199 | 204 | 304) {
            return Framing::Empty;
        }
        match (self.size.coding, self.size.length) {
            (Coding::Chunked, _) if self.minor > 0 => Framing::Chunked,
            (Coding::Chunked, _) | (Coding::Absent, Length::Invalid) => Framing::Unknown,
            (Coding::Other, _) | (_, Length::Absent) => Framing::UntilClose,
            (Coding::Absent, Length::Known(0)) => Framing::Empty,
            (Coding::Absent, Length::Known(n)) => Framing::Length(n),
        }
    }
}

/// Reads a request's head, which ends in an empty line.
pub(super) fn request(bytes: &[u8], rules: Option<Applied>) -> Parsed<RequestHead<'_>> {
    let line = match start_line::request_line(bytes) {
        Fit::Whole(line) => line,
        Fit::Prefix => return Parsed::Partial,
        Fit::No => return Parsed::Invalid,
    };
    let mut config = ParserConfig::default();
    config.ignore_invalid_headers_in_requests(true);
    let fields = match with_list(|list| {
        let mut request = httparse::Request::new(&mut []);
        Ok(match config.parse_request_with_uninit_headers(&mut request, bytes, list)? {
            Status::Complete(len) => Status::Complete((Fields::read(request.headers, rules), len)),
            Status::Partial => Status::Partial,
        })
    }) {
        // httparse wants a target in UTF-8; most servers do not.
        Parsed::Invalid => match header_lines(&bytes[line.len..], rules) {
            Parsed::Whole(fields, len) => Parsed::Whole(fields, line.len + len),
            other => other,
        },
        other => other,
    };
    match (fields, std::str::from_utf8(line.method)) {
        (Parsed::Whole(fields, len), Ok(method)) => {
            let target = String::from_utf8_lossy(line.target);
            Parsed::Whole(RequestHead { method, target, minor: line.minor, fields }, len)
        }
        (Parsed::Partial, _) => Parsed::Partial,
        _ => Parsed::Invalid,
    }
}

/// Reads header lines without a start line.
fn header_lines(bytes: &[u8], rules: Option<Applied>) -> Parsed<Fields<'_>> {
    let mut list = vec![httparse::EMPTY_HEADER; MAX_FIELDS];
    match httparse::parse_headers(bytes, &mut list) {
        Ok(Status::Complete((len, headers))) => Parsed::Whole(Fields::read(headers, rules), len),
        Ok(Status::Partial) => Parsed::Partial,
        Err(_) => Parsed::Invalid,
    }
}

/// Reads a response's head, which ends in an empty line.
pub(super) fn response(bytes: &[u8]) -> Parsed<ResponseHead> {
    let (minor, status) = match start_line::status_line(bytes) {
        Fit::Whole(line) => line,
        Fit::Prefix => return Parsed::Partial,
        Fit::No => return Parsed::Invalid,
    };
    let mut config = ParserConfig::default();
    config
        .ignore_invalid_headers_in_responses(true)
        .allow_obsolete_multiline_headers_in_responses(true)
        .allow_spaces_after_header_name_in_responses(true);
    with_list(|list| {
        let mut response = httparse::Response::new(&mut []);
        let Status::Complete(len) = config.parse_response_with_uninit_headers(&mut response, bytes, list)? else {
            return Ok(Status::Partial);
        };
        let (mut size, mut call_status, mut events) = (Size::default(), None, false);
        for header in response.headers.iter() {
            let is = |known: &str| header.name.eq_ignore_ascii_case(known);
            if size.offer(header.name, header.value) {
                continue;
            }
            match header.name.len() {
                11 if is("grpc-status") => call_status = grpc::Code::parse(header.value),
                12 if is("content-type") => events = fields::is_events(header.value),
                _ => {}
            }
        }
        Ok(Status::Complete((ResponseHead { status, minor, size, call_status, events }, len)))
    })
}

/// Runs `parse` on a list that is long enough for nearly all heads, and then on one that is for all.
fn with_list<'b, T>(
    mut parse: impl FnMut(&mut [MaybeUninit<Header<'b>>]) -> httparse::Result<(T, usize)>,
) -> Parsed<T> {
    let mut result = parse(&mut [const { MaybeUninit::uninit() }; FIELDS]);
    if matches!(result, Err(httparse::Error::TooManyHeaders)) {
        result = parse(&mut vec![MaybeUninit::uninit(); MAX_FIELDS]);
    }
    match result {
        Ok(Status::Complete((head, len))) => Parsed::Whole(head, len),
        Ok(Status::Partial) => Parsed::Partial,
        Err(_) => Parsed::Invalid,
    }
}
