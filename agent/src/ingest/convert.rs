//! OTLP's spans into ours, grouped by trace, parents first.
//!
//! Kept: everything that a span, its events and its links have, the resource's attributes, the scope. What an SDK
//! dropped itself is kept as the attributes that OpenTelemetry has for it (*non-OTLP exporters, Dropped Attributes
//! Count*). Not kept: the schema URL of a resource, entity references, flags of links.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1 as common;
use opentelemetry_proto::tonic::trace::v1 as otlp;

use crate::export::otlp::decode;
use crate::span::{KeyValue, Link, Resource, Scope, Span, SpanEvent, SpanKind, Trace};

/// What senders are told of spans that were refused.
pub(super) const WHY_REFUSED: &str = "refused spans without a trace id of 16 bytes, a span id of 8 bytes, or a time";

/// The most attributes, events and links that are kept in one place. SDKs keep 128 (*SDK, Attribute Limits*).
const MOST: usize = 1024;

/// Resources and scopes that are remembered, so that the many requests of few programs share them.
const REMEMBERED: usize = 64;

/// `Span.flags`: the next bit has a meaning.
const HAS_IS_REMOTE: u32 = 0x100;
/// `Span.flags`: the parent is in another process.
const IS_REMOTE: u32 = 0x200;

/// What became of a request.
pub(super) struct Converted {
    pub(super) traces: Vec<Trace>,
    /// Spans that can be none of a trace.
    pub(super) refused: u64,
}

/// Converts, and remembers what repeats.
#[derive(Default)]
pub(super) struct Converter {
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Arc<Scope>>,
}

impl Converter {
    /// All spans of a request.
    pub(super) fn convert(&mut self, request: ExportTraceServiceRequest) -> Converted {
        let mut by_trace: Vec<Vec<Span>> = Vec::new();
        let mut index: HashMap<[u8; 16], usize> = HashMap::new();
        let mut refused = 0;
        for group in request.resource_spans {
            let stated = group.resource.map(|r| attributes(r.attributes, &mut 0)).unwrap_or_default();
            let resource = shared(&mut self.resources, Resource { attributes: stated });
            for of_scope in group.scope_spans {
                let scope = shared(&mut self.scopes, scope(of_scope.scope, of_scope.schema_url));
                for span in of_scope.spans {
                    let Some(span) = convert(span, &resource, &scope) else {
                        refused += 1;
                        continue;
                    };
                    let at = *index.entry(span.trace_id).or_insert_with(|| {
                        by_trace.push(Vec::new());
                        by_trace.len() - 1
                    });
                    by_trace[at].push(span);
                }
            }
        }
        let traces = by_trace.into_iter().map(|spans| Trace { spans: parents_first(spans) }).collect();
        Converted { traces, refused }
    }
}

/// The same thing that was there before, if it was not long ago.
fn shared<T: PartialEq>(known: &mut Vec<Arc<T>>, new: T) -> Arc<T> {
    if let Some(at) = known.iter().position(|old| **old == new) {
        return Arc::clone(&known[at]);
    }
    if known.len() >= REMEMBERED {
        known.remove(0);
    }
    known.push(Arc::new(new));
    Arc::clone(&known[known.len() - 1])
}

fn scope(scope: Option<common::InstrumentationScope>, schema_url: String) -> Scope {
    let scope = scope.unwrap_or_default();
    Scope {
        name: scope.name.into(),
        version: scope.version.into(),
        attributes: attributes(scope.attributes, &mut 0),
        schema_url: schema_url.into(),
    }
}

fn convert(span: otlp::Span, resource: &Arc<Resource>, scope: &Arc<Scope>) -> Option<Span> {
    let trace_id = id::<16>(&span.trace_id)?;
    let span_id = id::<8>(&span.span_id)?;
    let start = [span.start_time_unix_nano, span.end_time_unix_nano].into_iter().find(|t| *t > 0)?;
    let kind = decode::kind(span.kind());
    let mut lost = Lost {
        attributes: span.dropped_attributes_count.into(),
        events: span.dropped_events_count.into(),
        links: span.dropped_links_count.into(),
    };
    lost.events += excess(span.events.len());
    lost.links += excess(span.links.len());
    let status = span.status.map(decode::status).unwrap_or_default();
    let mut kept = attributes(span.attributes, &mut lost.attributes);
    lost.state(&mut kept);
    Some(Span {
        trace_id,
        span_id,
        parent_span_id: id::<8>(&span.parent_span_id).unwrap_or_default(),
        trace_state: span.trace_state.into(),
        flags: (span.flags & 0xff) as u8,
        // Older SDKs do not say; the parent of a server or consumer is elsewhere by the meaning of these words.
        parent_is_remote: match span.flags & HAS_IS_REMOTE {
            0 => !span.parent_span_id.is_empty() && matches!(kind, SpanKind::Server | SpanKind::Consumer),
            _ => span.flags & IS_REMOTE != 0,
        },
        name: span.name.into(),
        kind,
        start_unix_nano: start,
        end_unix_nano: span.end_time_unix_nano.max(start),
        attributes: kept,
        status,
        events: span.events.into_iter().take(MOST).map(event).collect(),
        links: span.links.into_iter().take(MOST).filter_map(link).collect(),
        resource: Arc::clone(resource),
        protocol: "",
        scope: Some(Arc::clone(scope)),
    })
}

/// How much of a span is missing: what its SDK dropped, and what is beyond our limits.
struct Lost {
    attributes: u64,
    events: u64,
    links: u64,
}

impl Lost {
    fn state(self, attributes: &mut Vec<KeyValue>) {
        for (key, count) in [
            ("otel.dropped_attributes_count", self.attributes),
            ("otel.dropped_events_count", self.events),
            ("otel.dropped_links_count", self.links),
        ] {
            if count > 0 {
                attributes.push(KeyValue::int(key, i64::try_from(count).unwrap_or(i64::MAX)));
            }
        }
    }
}

fn excess(number: usize) -> u64 {
    number.saturating_sub(MOST) as u64
}

/// An id of exactly `N` bytes that are not all zero.
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    <[u8; N]>::try_from(bytes).ok().filter(|id| *id != [0; N])
}

fn event(event: otlp::span::Event) -> SpanEvent {
    let mut lost = event.dropped_attributes_count.into();
    let mut kept = attributes(event.attributes, &mut lost);
    Lost { attributes: lost, events: 0, links: 0 }.state(&mut kept);
    SpanEvent { time_unix_nano: event.time_unix_nano, name: event.name.into(), attributes: kept }
}

/// A link to nothing is none.
fn link(link: otlp::span::Link) -> Option<Link> {
    let mut lost = link.dropped_attributes_count.into();
    let mut kept = attributes(link.attributes, &mut lost);
    Lost { attributes: lost, events: 0, links: 0 }.state(&mut kept);
    Some(Link {
        trace_id: id(&link.trace_id)?,
        span_id: id(&link.span_id)?,
        trace_state: link.trace_state.into(),
        attributes: kept,
    })
}

/// At most [`MOST`] attributes; the others are added to `lost`. A key must not be empty (*Common, Attribute*).
fn attributes(list: Vec<common::KeyValue>, lost: &mut u64) -> Vec<KeyValue> {
    let total = list.len();
    let mut kept: Vec<KeyValue> =
        list.into_iter().filter(|pair| !pair.key.is_empty()).take(MOST).map(attribute).collect();
    kept.shrink_to_fit();
    *lost += (total - kept.len()) as u64;
    kept
}

fn attribute(pair: common::KeyValue) -> KeyValue {
    KeyValue { key: Cow::Owned(pair.key), value: decode::value(pair.value) }
}

/// Spans of one trace by their start, each after its parent. A circle of parents begins anywhere.
fn parents_first(mut spans: Vec<Span>) -> Vec<Span> {
    spans.sort_by_key(|span| span.start_unix_nano);
    let position: HashMap<[u8; 8], usize> = spans.iter().enumerate().rev().map(|(i, s)| (s.span_id, i)).collect();
    let mut order = Vec::with_capacity(spans.len());
    let mut placed = vec![false; spans.len()];
    for at in 0..spans.len() {
        // What must come before this span: its ancestors that are not placed yet.
        let mut above = vec![at];
        let mut next = at;
        while let Some(parent) = position.get(&spans[next].parent_span_id).copied() {
            if placed[parent] || above.len() > spans.len() || parent == next {
                break;
            }
            above.push(parent);
            next = parent;
        }
        for span in above.into_iter().rev() {
            if !std::mem::replace(&mut placed[span], true) {
                order.push(span);
            }
        }
    }
    let mut slots: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| slots[at].take()).collect()
}
