//! One trace with everything that is known of it.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::store::packed::Packed;
use crate::store::query::millis;
use wirespan_delivery::text::json::Plain;
use wirespan_signals::{KeyValue, Resource, Span, Status, hex, kind};

/// A trace.
#[derive(Serialize)]
pub struct Detail {
    trace_id: String,
    start_unix_ns: String,
    start_ms: f64,
    duration_ns: u64,
    resources: Vec<ResourceDetail>,
    spans: Vec<SpanDetail>,
}

#[derive(Serialize)]
struct ResourceDetail {
    service: String,
    attributes: Attributes,
}

#[derive(Serialize)]
struct SpanDetail {
    span_id: String,
    parent_span_id: Option<String>,
    name: String,
    kind: &'static str,
    resource: usize,
    start_ns: u64,
    duration_ns: u64,
    status: &'static str,
    status_message: String,
    scope: String,
    parent_is_remote: bool,
    attributes: Attributes,
    events: Vec<EventDetail>,
    links: Vec<LinkDetail>,
}

#[derive(Serialize)]
struct EventDetail {
    name: String,
    at_ns: u64,
    attributes: Attributes,
}

#[derive(Serialize)]
struct LinkDetail {
    trace_id: String,
    span_id: String,
    attributes: Attributes,
}

/// Attributes as an object. A key that is there twice keeps its last value, as JSON readers would.
pub(super) struct Attributes(pub(super) Vec<KeyValue>);

impl Serialize for Attributes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        // Looked up, and not through: a span may have a thousand.
        let last: HashMap<&str, usize> = self.0.iter().enumerate().map(|(at, a)| (a.key.as_ref(), at)).collect();
        for (at, attribute) in self.0.iter().enumerate() {
            if last.get(attribute.key.as_ref()) == Some(&at) {
                map.serialize_entry(&attribute.key, &Plain(&attribute.value))?;
            }
        }
        map.end()
    }
}

/// The resources of a trace's spans, each once.
#[derive(Default)]
pub struct Resources {
    /// In the order of their first span.
    pub all: Vec<Arc<Resource>>,
    /// By address, which `all` keeps from being reused.
    places: HashMap<usize, usize>,
}

impl Resources {
    /// Its place in the list, to which it is added if need be.
    pub fn place(&mut self, resource: &Arc<Resource>) -> usize {
        *self.places.entry(Arc::as_ptr(resource) as usize).or_insert_with(|| {
            self.all.push(Arc::clone(resource));
            self.all.len() - 1
        })
    }
}

/// Reads a whole trace id.
pub fn trace_id(text: &str) -> Option<[u8; 16]> {
    (text.len() == 32).then(|| u128::from_str_radix(text, 16).ok()).flatten().map(u128::to_be_bytes)
}

impl Detail {
    /// A trace of these spans.
    pub fn new(packed: &Packed, spans: Vec<Span>) -> Self {
        let mut resources = Resources::default();
        let order = parents_first(&spans);
        let mut spans: Vec<Option<Span>> = spans.into_iter().map(Some).collect();
        let ordered = order.into_iter().filter_map(|at| spans[at].take());
        let spans = ordered.map(|span| SpanDetail::new(span, packed.start, &mut resources)).collect();
        let resource = |resource: Arc<Resource>| ResourceDetail {
            service: resource.service_name().to_owned(),
            attributes: Attributes(resource.attributes.clone()),
        };
        Self {
            trace_id: hex(&packed.id),
            start_unix_ns: packed.start.to_string(),
            start_ms: millis(packed.start),
            duration_ns: packed.duration,
            resources: resources.all.into_iter().map(resource).collect(),
            spans,
        }
    }
}

impl SpanDetail {
    fn new(span: Span, begin: u64, resources: &mut Resources) -> Self {
        let resource = resources.place(&span.resource);
        let scope = span.scope_name().into_owned();
        let (status, status_message) = match span.status {
            Status::Unset => ("unset", String::new()),
            Status::Ok => ("ok", String::new()),
            Status::Error(message) => ("error", message.into_owned()),
        };
        let events = span.events.into_iter().map(|event| EventDetail {
            name: event.name.into_owned(),
            at_ns: event.time_unix_nano.saturating_sub(begin),
            attributes: Attributes(event.attributes),
        });
        let links = span.links.into_iter().map(|link| LinkDetail {
            trace_id: hex(&link.trace_id),
            span_id: hex(&link.span_id),
            attributes: Attributes(link.attributes),
        });
        Self {
            span_id: hex(&span.span_id),
            parent_span_id: (span.parent_span_id != [0; 8]).then(|| hex(&span.parent_span_id)),
            name: span.name.into_owned(),
            kind: kind(span.kind),
            resource,
            start_ns: span.start_unix_nano.saturating_sub(begin),
            duration_ns: span.end_unix_nano.saturating_sub(span.start_unix_nano),
            status,
            status_message,
            scope,
            parent_is_remote: span.parent_is_remote,
            attributes: Attributes(span.attributes),
            events: events.collect(),
            links: links.collect(),
        }
    }
}

/// The order in which a waterfall shows spans: each before its children, these by their start.
fn parents_first(spans: &[Span]) -> Vec<usize> {
    let known: HashMap<[u8; 8], usize> = spans.iter().enumerate().map(|(at, span)| (span.span_id, at)).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); spans.len()];
    let mut roots = Vec::new();
    for (at, span) in spans.iter().enumerate() {
        match known.get(&span.parent_span_id).filter(|parent| **parent != at) {
            Some(parent) => children[*parent].push(at),
            None => roots.push(at),
        }
    }
    let latest_first = |list: &mut Vec<usize>| list.sort_by_key(|at| std::cmp::Reverse(spans[*at].start_unix_nano));
    latest_first(&mut roots);
    children.iter_mut().for_each(latest_first);
    let (mut order, mut done) = (Vec::with_capacity(spans.len()), vec![false; spans.len()]);
    // Spans that are each other's ancestors hang below no root: they are begun with in turn.
    for start in roots.into_iter().rev().chain(0..spans.len()) {
        let mut open = vec![start];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut done[at], true) {
                order.push(at);
                open.extend(&children[at]);
            }
        }
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirespan_delivery::testing::{child_of, span};

    #[test]
    fn a_parent_comes_before_its_children_which_come_in_order_of_time() {
        let root = span("root");
        let mut late = child_of(&root, "s", "late");
        late.start_unix_nano += 10;
        let early = child_of(&root, "s", "early");
        let leaf = child_of(&late, "s", "leaf");
        let spans = [leaf, late, early, root];
        let names: Vec<_> = parents_first(&spans).into_iter().map(|at| spans[at].name.as_ref()).collect();
        assert_eq!(names, ["root", "early", "late", "leaf"]);
    }

    #[test]
    fn spans_that_are_each_other_s_parents_are_shown_once_each() {
        let (mut a, mut b) = (span("a"), span("b"));
        (a.parent_span_id, b.parent_span_id) = (b.span_id, a.span_id);
        let own = {
            let mut own = span("own");
            own.parent_span_id = own.span_id;
            own
        };
        let mut order = parents_first(&[a, b, own]);
        order.sort_unstable();
        assert_eq!(order, [0, 1, 2]);
    }

    #[test]
    fn a_trace_id_is_32_digits() {
        assert_eq!(trace_id("4bf92f3577b34da6a3ce929d0e0e4736").unwrap()[..2], [0x4b, 0xf9]);
        assert!(trace_id("4bf9").is_none() && trace_id("+bf92f3577b34da6a3ce929d0e0e473x").is_none());
    }
}
