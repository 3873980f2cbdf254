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

use super::limits::{Cutter, Limits, OF_PROCESS};
use crate::span::{KeyValue, Link, Resource, Scope, Span, SpanEvent, SpanKind, Trace};
use wirespan_delivery::otlp::decode;

/// What senders are told of spans that were refused.
pub(super) const WHY_REFUSED: &str = "refused spans without a trace id of 16 bytes, a span id of 8 bytes, or a time";

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
    /// Attributes, events and links beyond the limits.
    pub(super) dropped: u64,
    /// Texts that were not kept whole.
    pub(super) shortened: u64,
}

/// Converts, and remembers what repeats.
#[derive(Default)]
pub(super) struct Converter {
    resources: Vec<Arc<Resource>>,
    scopes: Vec<Arc<Scope>>,
    cutter: Cutter,
}

impl Converter {
    /// A converter that keeps to these limits.
    pub(super) fn new(limits: Limits) -> Self {
        Self { cutter: Cutter { limits, shortened: 0 }, ..Self::default() }
    }

    /// All spans of a request.
    pub(super) fn convert(&mut self, request: ExportTraceServiceRequest) -> Converted {
        let mut by_trace: Vec<Vec<Span>> = Vec::new();
        let mut index: HashMap<[u8; 16], usize> = HashMap::new();
        let mut refused = 0;
        let mut dropped = 0;
        let mut cutter = Cutter { shortened: 0, ..self.cutter };
        for group in request.resource_spans {
            let stated = group.resource.map(|r| r.attributes).unwrap_or_default();
            let stated = attributes(stated, OF_PROCESS, &mut cutter, &mut dropped);
            let resource = shared(&mut self.resources, Resource { attributes: stated });
            for of_scope in group.scope_spans {
                let scope =
                    shared(&mut self.scopes, scope(of_scope.scope, of_scope.schema_url, &mut cutter, &mut dropped));
                for span in of_scope.spans {
                    let Some(span) = convert(span, &resource, &scope, &mut cutter, &mut dropped) else {
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
        Converted { traces, refused, dropped, shortened: cutter.shortened }
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

fn scope(
    scope: Option<common::InstrumentationScope>,
    schema_url: String,
    cutter: &mut Cutter,
    dropped: &mut u64,
) -> Scope {
    let scope = scope.unwrap_or_default();
    Scope {
        name: cutter.name(scope.name).into(),
        version: cutter.name(scope.version).into(),
        attributes: attributes(scope.attributes, OF_PROCESS, cutter, dropped),
        schema_url: cutter.name(schema_url).into(),
    }
}

fn convert(
    span: otlp::Span,
    resource: &Arc<Resource>,
    scope: &Arc<Scope>,
    cutter: &mut Cutter,
    dropped: &mut u64,
) -> Option<Span> {
    let limits = cutter.limits;
    let trace_id = id::<16>(&span.trace_id)?;
    let span_id = id::<8>(&span.span_id)?;
    let start = [span.start_time_unix_nano, span.end_time_unix_nano].into_iter().find(|t| *t > 0)?;
    let kind = decode::kind(span.kind());
    let mut lost = Lost {
        attributes: span.dropped_attributes_count.into(),
        events: span.dropped_events_count.into(),
        links: span.dropped_links_count.into(),
    };
    let stated = lost.sum();
    lost.events += span.events.len().saturating_sub(limits.events) as u64;
    lost.links += span.links.len().saturating_sub(limits.links) as u64;
    let status = span.status.map(|status| {
        let message = cutter.text(status.message);
        decode::status(otlp::Status { message, ..status })
    });
    let mut kept = attributes(span.attributes, limits.attributes, cutter, &mut lost.attributes);
    *dropped += lost.sum() - stated;
    lost.state(&mut kept);
    let events = span.events.into_iter().take(limits.events).map(|event| self::event(event, cutter, dropped)).collect();
    let links =
        span.links.into_iter().take(limits.links).filter_map(|link| self::link(link, cutter, dropped)).collect();
    Some(Span {
        trace_id,
        span_id,
        parent_span_id: id::<8>(&span.parent_span_id).unwrap_or_default(),
        trace_state: cutter.trace_state(span.trace_state).into(),
        flags: (span.flags & 0xff) as u8,
        // Older SDKs do not say; the parent of a server or consumer is elsewhere by the meaning of these words.
        parent_is_remote: match span.flags & HAS_IS_REMOTE {
            0 => !span.parent_span_id.is_empty() && matches!(kind, SpanKind::Server | SpanKind::Consumer),
            _ => span.flags & IS_REMOTE != 0,
        },
        name: cutter.name(span.name).into(),
        kind,
        start_unix_nano: start,
        end_unix_nano: span.end_time_unix_nano.max(start),
        attributes: kept,
        status: status.unwrap_or_default(),
        events,
        links,
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
    fn sum(&self) -> u64 {
        self.attributes + self.events + self.links
    }

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

/// An id of exactly `N` bytes that are not all zero.
fn id<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    <[u8; N]>::try_from(bytes).ok().filter(|id| *id != [0; N])
}

fn event(event: otlp::span::Event, cutter: &mut Cutter, dropped: &mut u64) -> SpanEvent {
    let stated = u64::from(event.dropped_attributes_count);
    let mut lost = stated;
    let mut kept = attributes(event.attributes, cutter.limits.event_attributes, cutter, &mut lost);
    *dropped += lost - stated;
    Lost { attributes: lost, events: 0, links: 0 }.state(&mut kept);
    SpanEvent { time_unix_nano: event.time_unix_nano, name: cutter.name(event.name).into(), attributes: kept }
}

/// A link to nothing is none.
fn link(link: otlp::span::Link, cutter: &mut Cutter, dropped: &mut u64) -> Option<Link> {
    let stated = u64::from(link.dropped_attributes_count);
    let mut lost = stated;
    let mut kept = attributes(link.attributes, cutter.limits.link_attributes, cutter, &mut lost);
    *dropped += lost - stated;
    Lost { attributes: lost, events: 0, links: 0 }.state(&mut kept);
    Some(Link {
        trace_id: id(&link.trace_id)?,
        span_id: id(&link.span_id)?,
        trace_state: cutter.trace_state(link.trace_state).into(),
        attributes: kept,
    })
}

/// At most so many attributes; the others are added to `lost`.
fn attributes(list: Vec<common::KeyValue>, most: usize, cutter: &mut Cutter, lost: &mut u64) -> Vec<KeyValue> {
    let total = list.len();
    let kept = list.into_iter().filter(|pair| Cutter::is_key(&pair.key)).take(most);
    let mut kept: Vec<KeyValue> = kept.map(|pair| cutter.attribute(attribute(pair))).collect();
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
