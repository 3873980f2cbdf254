//! How much memory a message takes once it is understood, from above, and before that: two bytes may become a structure of
//! hundreds.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, EntityRef, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

/// What a text takes beside its bytes: the allocator's part.
const TEXT: usize = 32;
/// Messages inside each other: one more than the decoder allows.
const DEEPEST: usize = 101;
/// In JSON, a span's own brace is the seventh of those and of the brackets around it.
const SPAN_DEPTH: usize = 7;

/// A message of the protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Request,
    ResourceSpans,
    ScopeSpans,
    Resource,
    Scope,
    Entity,
    Span,
    Event,
    Link,
    Status,
    KeyValue,
    Any,
    /// Of values.
    List,
    /// Of names and values.
    Map,
}

impl Kind {
    /// The message in a field of this one.
    fn inside(self, field: u64) -> Option<Self> {
        Some(match (self, field) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Resource,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ScopeSpans, 1) => Self::Scope,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::Resource, 3) => Self::Entity,
            (Self::Span, 11) => Self::Event,
            (Self::Span, 13) => Self::Link,
            (Self::Span, 15) => Self::Status,
            (Self::Resource | Self::Map, 1) | (Self::Scope | Self::Event, 3) | (Self::Span, 9) | (Self::Link, 4) => {
                Self::KeyValue
            }
            (Self::KeyValue, 2) | (Self::List, 1) => Self::Any,
            (Self::Any, 5) => Self::List,
            (Self::Any, 6) => Self::Map,
            _ => return None,
        })
    }

    /// What one takes: a vector may have room for twice as many, and what we make of it is there beside it for a moment.
    fn weight(self) -> usize {
        3 * match self {
            Self::Request => size_of::<ExportTraceServiceRequest>(),
            Self::ResourceSpans => size_of::<ResourceSpans>(),
            Self::ScopeSpans => size_of::<ScopeSpans>(),
            Self::Resource => size_of::<Resource>(),
            Self::Scope => size_of::<InstrumentationScope>(),
            Self::Entity => size_of::<EntityRef>(),
            Self::Span => size_of::<Span>(),
            Self::Event => size_of::<Event>(),
            Self::Link => size_of::<Link>(),
            Self::Status => size_of::<Status>(),
            Self::KeyValue => size_of::<KeyValue>(),
            Self::Any | Self::List | Self::Map => size_of::<AnyValue>(),
        }
    }
}

/// Of protobuf. What makes no sense ends it: the decoder gets no further either.
pub fn protobuf(bytes: &[u8]) -> usize {
    let (mut weight, mut at) = (bytes.len() + Kind::Request.weight(), 0);
    let mut around = vec![(Kind::Request, bytes.len())];
    while let Some(&(kind, end)) = around.last() {
        if at >= end {
            around.pop();
            continue;
        }
        let Some(key) = varint(bytes, &mut at) else { break };
        match key & 7 {
            0 => _ = varint(bytes, &mut at),
            1 => at += 8,
            5 => at += 4,
            2 => {
                let Some(length) = varint(bytes, &mut at).and_then(|n| usize::try_from(n).ok()) else { break };
                if length > end.saturating_sub(at) {
                    break;
                }
                match kind.inside(key >> 3) {
                    Some(inside) => {
                        weight += inside.weight();
                        if around.len() < DEEPEST {
                            around.push((inside, at + length));
                            continue;
                        }
                    }
                    None => weight += TEXT,
                }
                at += length;
            }
            // Groups, which this protocol has none of, are skipped as what they hold.
            _ => {}
        }
    }
    weight
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or_default();
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

/// Of JSON.
pub fn json(bytes: &[u8]) -> usize {
    let small = Kind::KeyValue.weight().max(Kind::Event.weight()).max(Kind::Link.weight());
    let (mut weight, mut depth, mut at) = (bytes.len() + Kind::Request.weight(), 0_usize, 0);
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'{' | b'[' => {
                depth += 1;
                weight += if depth <= SPAN_DEPTH { Kind::Span.weight() } else { small };
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                weight += TEXT;
                at = text_end(bytes, at);
            }
            _ => {}
        }
    }
    weight
}

/// Behind the quote that ends the text at `at`.
fn text_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{ArrayValue, KeyValueList};
    use prost::Message as _;

    use super::*;

    /// A request of one scope with these spans.
    fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }] }
    }

    #[test]
    fn what_is_nearly_nothing_on_the_wire_is_known_for_what_it_becomes() {
        let empty = request(vec![Span::default(); 1000]);
        let bytes = empty.encode_to_vec();
        assert!(bytes.len() < 4000, "{}", bytes.len());
        assert!(protobuf(&bytes) > 1000 * size_of::<Span>());
        let text = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}{{}}]}}]}}]}}", "{},".repeat(999));
        assert_eq!(serde_json::from_str::<ExportTraceServiceRequest>(&text).unwrap(), empty);
        assert!(json(text.as_bytes()) > 1000 * size_of::<Span>());
    }

    #[test]
    fn an_ordinary_message_is_not_taken_for_much_more_than_it_is() {
        let attribute = |n: usize| KeyValue {
            key: format!("a.name.of.an.attribute.{n}"),
            value: Some(AnyValue { value: Some(Value::StringValue("a value of some length, as they are".into())) }),
            ..KeyValue::default()
        };
        let span =
            Span { name: "GET /users/{id}".into(), attributes: (0..20).map(attribute).collect(), ..Span::default() };
        let bytes = request(vec![span; 512]).encode_to_vec();
        assert!(protobuf(&bytes) < 12 * bytes.len(), "{} of {}", protobuf(&bytes), bytes.len());
    }

    #[test]
    fn values_inside_values_count_each_and_depth_is_no_recursion() {
        let mut value = AnyValue { value: Some(Value::IntValue(1)) };
        for _ in 0..20 {
            value = AnyValue { value: Some(Value::ArrayValue(ArrayValue { values: vec![value] })) };
        }
        let values = vec![KeyValue { value: Some(value), ..KeyValue::default() }];
        let list = AnyValue { value: Some(Value::KvlistValue(KeyValueList { values })) };
        let attributes = vec![KeyValue { value: Some(list), ..KeyValue::default() }];
        let bytes = request(vec![Span { attributes, ..Span::default() }]).encode_to_vec();
        assert!(protobuf(&bytes) > 20 * size_of::<AnyValue>());
        // As deep as it can be told, which no decoder follows.
        let mut deep = Vec::new();
        for _ in 0..100_000 {
            deep.extend_from_slice(&[0x0a, 0xff, 0xff, 0x03]);
        }
        assert!(protobuf(&deep) >= deep.len());
        assert!(json("[".repeat(100_000).as_bytes()) > 100_000);
    }

    #[test]
    fn what_makes_no_sense_has_some_weight_and_ends() {
        for bytes in [&[0xff; 64][..], &[0x0a], &[0x0a, 0x7f], &[0x0b, 0x0c, 0x03], b"\"\\", b"{\"a\\\"b"] {
            assert!(protobuf(bytes) >= bytes.len());
            assert!(json(bytes) >= bytes.len());
        }
    }
}
