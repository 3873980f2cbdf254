//! A span as one line of JSON. The fields are documented in `docs/output.md` and do not change their meaning.

use std::io::{self, Write};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::ser::{Serialize, SerializeMap, SerializeSeq, Serializer};

use wirespan_signals::{KeyValue, Link, Span, SpanEvent, Status, Value, hex, kind};

use super::words::is_harmful;

/// Appends the span's line.
pub fn line(span: &Span, out: &mut Vec<u8>) {
    let start = out.len();
    // Writing to memory does not fail and the map's keys are texts; if it did, no half line may stay behind.
    match Line(span).serialize(&mut serde_json::Serializer::with_formatter(&mut *out, Harmless)) {
        Ok(()) => out.push(b'\n'),
        Err(_) => out.truncate(start),
    }
}

/// Compact JSON that escapes more than JSON must: a terminal may show these lines too.
struct Harmless;

impl serde_json::ser::Formatter for Harmless {
    fn write_string_fragment<W: ?Sized + Write>(&mut self, out: &mut W, text: &str) -> io::Result<()> {
        let mut rest = text;
        while let Some((at, c)) = rest.char_indices().find(|(_, c)| is_harmful(*c)) {
            out.write_all(&rest.as_bytes()[..at])?;
            write!(out, "\\u{:04x}", u32::from(c))?;
            rest = &rest[at + c.len_utf8()..];
        }
        out.write_all(rest.as_bytes())
    }
}

struct Line<'a>(&'a Span);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let span = self.0;
        let parent = (span.parent_span_id != [0; 8]).then(|| hex(&span.parent_span_id));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("trace_id", &hex(&span.trace_id))?;
        map.serialize_entry("span_id", &hex(&span.span_id))?;
        map.serialize_entry("parent_span_id", &parent)?;
        map.serialize_entry("parent_is_remote", &span.parent_is_remote)?;
        map.serialize_entry("name", &span.name)?;
        map.serialize_entry("kind", kind(span.kind))?;
        map.serialize_entry("start_unix_nano", &span.start_unix_nano)?;
        map.serialize_entry("end_unix_nano", &span.end_unix_nano)?;
        map.serialize_entry("duration_ns", &span.end_unix_nano.saturating_sub(span.start_unix_nano))?;
        map.serialize_entry("status", &StatusObject(&span.status))?;
        map.serialize_entry("attributes", &Attributes(&span.attributes))?;
        map.serialize_entry("resource", &Attributes(&span.resource.attributes))?;
        map.serialize_entry("scope", &span.scope_name())?;
        map.serialize_entry("flags", &span.flags)?;
        map.serialize_entry("trace_state", &span.trace_state)?;
        map.serialize_entry("links", &List(&span.links, Linked))?;
        map.serialize_entry("events", &List(&span.events, Event))?;
        map.end()
    }
}

struct StatusObject<'a>(&'a Status);

impl Serialize for StatusObject<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (code, message) = match self.0 {
            Status::Unset => ("unset", ""),
            Status::Error(message) => ("error", &**message),
            Status::Ok => ("ok", ""),
        };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("code", code)?;
        map.serialize_entry("message", message)?;
        map.end()
    }
}

struct Attributes<'a>(&'a [KeyValue]);

impl Serialize for Attributes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|a| (&a.key, Plain(&a.value))))
    }
}

/// A value in JSON's own types.
pub struct Plain<'a>(pub &'a Value);

impl Serialize for Plain<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Str(text) => serializer.serialize_str(text),
            Value::Int(int) => serializer.serialize_i64(*int),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::Double(double) => serializer.serialize_f64(*double),
            Value::StrArray(texts) => serializer.collect_seq(texts),
            Value::Bytes(bytes) => serializer.serialize_str(&BASE64_STANDARD.encode(bytes)),
            Value::List(values) => serializer.collect_seq(values.iter().map(Plain)),
            Value::Map(entries) => Attributes(entries).serialize(serializer),
            Value::Empty => serializer.serialize_unit(),
        }
    }
}

/// A list whose items are shown through a wrapper.
struct List<'a, T, W>(&'a [T], fn(&'a T) -> W);

impl<T, W: Serialize> Serialize for List<'_, T, W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(Some(self.0.len()))?;
        for item in self.0 {
            list.serialize_element(&(self.1)(item))?;
        }
        list.end()
    }
}

struct Linked<'a>(&'a Link);

impl Serialize for Linked<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("trace_id", &hex(&self.0.trace_id))?;
        map.serialize_entry("span_id", &hex(&self.0.span_id))?;
        map.serialize_entry("attributes", &Attributes(&self.0.attributes))?;
        map.end()
    }
}

struct Event<'a>(&'a SpanEvent);

impl Serialize for Event<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(3))?;
        map.serialize_entry("time_unix_nano", &self.0.time_unix_nano)?;
        map.serialize_entry("name", &self.0.name)?;
        map.serialize_entry("attributes", &Attributes(&self.0.attributes))?;
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use crate::testing::full_span;

    use super::*;

    #[test]
    fn every_documented_field_is_on_the_line() {
        let mut out = Vec::new();
        line(&full_span(), &mut out);
        assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
        assert_eq!(out.last(), Some(&b'\n'));
        let read: Json = serde_json::from_slice(&out).unwrap();
        let expected = json!({
            "trace_id": "01010101010101010101010101010101",
            "span_id": "0202020202020202",
            "parent_span_id": "0303030303030303",
            "parent_is_remote": true,
            "name": "GET /a\nb",
            "kind": "server",
            "start_unix_nano": 1_700_000_000_000_000_001_u64,
            "end_unix_nano": 1_700_000_000_000_000_501_u64,
            "duration_ns": 500,
            "status": {"code": "error", "message": "broken"},
            "attributes": {"s": "x", "i": -1, "b": true, "d": 1.5, "a": ["p", "q"]},
            "resource": {"service.name": "full"},
            "scope": "wirespan/http",
            "flags": 1,
            "trace_state": "k=v",
            "links": [{"trace_id": "04040404040404040404040404040404", "span_id": "0505050505050505", "attributes": {"l": 1}}],
            "events": [{"time_unix_nano": 1_700_000_000_000_000_100_u64, "name": "e", "attributes": {"e": "v"}}],
        });
        assert_eq!(read, expected);
    }

    #[test]
    fn text_from_the_wire_steers_no_terminal_and_is_not_changed() {
        let name = "a\x1b[2J\u{9b}31m\x7f\u{202e}é日\"\\\n\u{2028}z";
        let mut out = Vec::new();
        line(&Span { name: name.into(), ..full_span() }, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(!text.trim_end().chars().any(is_harmful), "{text}");
        let read: Json = serde_json::from_str(&text).unwrap();
        assert_eq!(read["name"], name);
    }

    #[test]
    fn a_root_has_no_parent() {
        let mut out = Vec::new();
        line(&Span { parent_span_id: [0; 8], ..full_span() }, &mut out);
        let read: Json = serde_json::from_slice(&out).unwrap();
        assert_eq!(read["parent_span_id"], Json::Null);
    }
}
