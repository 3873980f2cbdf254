//! A group of finished exchanges becomes the spans of one trace.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use wirespan_common::{AF_INET, AF_UNIX, Endpoints};
use wirespan_protocols::context::TraceContext;
use wirespan_protocols::exchange::{Event, Exchange, KeyValue, SpanKind, UNKNOWN, Value};
use wirespan_protocols::{GIVEN_UP, Role, given_up};

use super::Clock;
use super::book::Book;
use super::live::{Group, LiveSpan, Parent, Root, SpanKey, Spans};
use super::pieces;
use super::spent;
use crate::signal::Said;
use wirespan_signals::{Link, LogSpan, Span, SpanEvent};

/// It answers calls of others as well. The conventions have no name for it.
const SHARED: &str = "wirespan.batch.shared";
/// How long before a connection's first call it began to be opened, seconds. The conventions have a metric for it alone.
const CONNECT: &str = "wirespan.connect.time";

/// Spans of one trace, parents first.
pub struct Assembled {
    /// Not empty.
    pub spans: Vec<Span>,
    /// What was said for them, and for which.
    pub said: Vec<(Said, LogSpan)>,
    /// Whether the incoming context, if any, lets this trace be recorded.
    pub sampled: bool,
}

/// Takes the results out of the finished members of `group`, which keeps its trace id for what follows later.
pub fn assemble(spans: &mut Spans, group: &mut Group, book: &Book, clock: Clock) -> Option<Assembled> {
    for key in &group.members {
        // Found to export its own spans since: these would be duplicates.
        if spans[*key].exchange.is_some() && !spans[*key].process.is_traced() {
            spans[*key].exchange = None;
            spans[*key].dropped = true;
        }
    }
    let mut order: Vec<SpanKey> = group.members.iter().copied().filter(|k| spans[*k].exchange.is_some()).collect();
    if order.is_empty() {
        return None;
    }
    let place = |key: &SpanKey| (depth(spans, *key), spans[*key].request.first.time);
    match order.len() {
        0 | 1 => {}
        // Most traces are a call with both its ends: no memory is asked for to sort them.
        2..=8 => order.sort_by_key(place),
        _ => order.sort_by_cached_key(place),
    }
    pieces::put_together(spans, &order);
    order.retain(|key| spans[*key].exchange.is_some());
    agree_on_times(spans, &order);
    spent::tell(spans, &order, book);
    mark_shared(spans, &order);
    mark_given_up(spans, &order);
    let Root { trace_id, context, sampled } = fix_root(spans, group, order[0]);
    let (trace_id, context, sampled) = (*trace_id, context.as_ref(), *sampled);
    let (mut out, mut told) = (Vec::with_capacity(order.len()), Vec::new());
    for key in &order {
        let (parent_span_id, remote) = parent_of(spans, *key);
        let span = &mut spans[*key];
        let Some(exchange) = span.exchange.take() else { continue };
        // (What is not needed stays where it is.)
        let Exchange { end, name, status, attributes, events: within, .. } = *exchange;
        span.sent = true;
        let mut said = std::mem::take(&mut span.said);
        let events = said.iter_mut().filter_map(|said| said.event.take());
        let mut events: Vec<_> = within.into_iter().chain(events).map(|e| event(clock, e)).collect();
        // (What was said is told when it is whole, in whatever order.)
        events.sort_by_key(|event| event.time_unix_nano);
        let at = LogSpan { trace_id, span_id: span.span_id, flags: sampled.into() };
        told.extend(said.into_iter().filter(|said| said.log.is_some()).map(|said| (said, at)));
        let stated = span.context.as_ref().filter(|c| c.trace_id == trace_id).or(context).cloned();
        out.push(Span {
            trace_id,
            span_id: span.span_id,
            parent_span_id,
            flags: stated.as_ref().map_or(1, |c| c.flags),
            trace_state: stated.map(|c| c.trace_state).unwrap_or_default(),
            parent_is_remote: remote,
            kind: span.kind,
            start_unix_nano: clock.unix(span.request.first.time),
            end_unix_nano: clock.unix(end.max(span.request.first.time)),
            resource: Arc::clone(span.process.resource()),
            protocol: span.protocol,
            scope: None,
            events,
            links: links(span),
            name,
            status,
            attributes: with_link(with_connection(attributes, span), span),
        });
    }
    Some(Assembled { spans: out, said: told, sampled })
}

/// Decides on the trace id of the group that `member` belongs to, if it is not decided.
pub fn fix_root<'a>(spans: &Spans, group: &'a mut Group, member: SpanKey) -> &'a mut Root {
    let root = &spans[root_of(spans, member)];
    group.root.get_or_insert_with(|| {
        let context = root.context.clone();
        let trace_id = context.as_ref().map_or_else(|| fastrand::u128(1..).to_be_bytes(), |c| c.trace_id);
        let sampled = context.as_ref().map_or(!root.denied, |c| c.sampled());
        Root { trace_id, context, sampled }
    })
}

fn event(clock: Clock, happened: Event) -> SpanEvent {
    let Event { time, name, attributes } = happened;
    SpanEvent { time_unix_nano: clock.unix(time), name, attributes }
}

/// Links to senders of messages, and to the request that a call may well be for, if it hangs below none.
fn links(span: &mut LiveSpan) -> Vec<Link> {
    let mut links: Vec<Link> = std::mem::take(&mut span.links).into_iter().map(link).collect();
    if let Some((to, evidence)) = span.likely.take().filter(|_| span.missing_link().is_some()) {
        links.push(Link { attributes: vec![KeyValue::str("wirespan.link.evidence", evidence.name())], ..link(to) });
    }
    links
}

fn link(to: TraceContext) -> Link {
    Link { trace_id: to.trace_id, span_id: to.span_id, trace_state: to.trace_state, attributes: Vec::new() }
}

/// Hangs spans that stay below what remains of their parents when those that are finished, or dropped, are gone.
pub fn hang_anew(spans: &mut Spans, members: &[SpanKey]) {
    for member in members {
        spans[*member].parent = parent_that_stays(spans, *member);
    }
}

fn parent_that_stays(spans: &Spans, key: SpanKey) -> Parent {
    let mut parent = spans[key].parent;
    while let Parent::Live(at) = parent
        && let Some(above) = spans.get(at)
    {
        match (above.dropped, above.sent) {
            (true, _) => {
                let stated = above.context.as_ref().filter(|_| above.parent == Parent::None);
                parent = stated.map_or(parent_above(spans, above), |context| Parent::Sent(context.span_id));
            }
            (false, true) => return Parent::Sent(above.span_id),
            (false, false) => return parent,
        }
    }
    parent
}

/// What hangs below a span that was dropped hangs below this.
fn parent_above(spans: &Spans, dropped: &LiveSpan) -> Parent {
    let together = |batch: &SpanKey| spans.get(*batch).is_some_and(|batch| batch.group == dropped.group);
    dropped.batch.filter(together).map_or(dropped.parent, Parent::Live)
}

/// The parent's id, and whether it is known only from the request itself. A parent that was dropped is passed over.
fn parent_of(spans: &Spans, key: SpanKey) -> ([u8; 8], bool) {
    let span = &spans[key];
    let parent = if span.dropped { parent_above(spans, span) } else { span.parent };
    match parent {
        Parent::Live(parent) => match spans.get(parent) {
            Some(p) if p.dropped => parent_of(spans, parent),
            Some(p) => (p.span_id, false),
            None => ([0; 8], false),
        },
        Parent::Sent(id) => (id, false),
        Parent::None => span.context.as_ref().map_or(([0; 8], false), |c| (c.span_id, true)),
    }
}

pub fn root_of(spans: &Spans, mut key: SpanKey) -> SpanKey {
    while let Parent::Live(parent) = spans[key].parent
        && spans.contains_key(parent)
    {
        key = parent;
    }
    key
}

fn depth(spans: &Spans, mut key: SpanKey) -> usize {
    let mut depth = 0;
    while let Parent::Live(parent) = spans[key].parent
        && spans.contains_key(parent)
    {
        key = parent;
        depth += 1;
    }
    depth
}

/// A server that reads what several calls asked for in one operation takes them for one batch. The first call says
/// how many it asked for: if that is less, the server's span is of other calls as well, and says so.
fn mark_shared(spans: &mut Spans, members: &[SpanKey]) {
    let size = |span: &LiveSpan| pieces::size(span.exchange.as_ref()?);
    for key in members {
        let Parent::Live(caller) = spans[*key].parent else { continue };
        if !spans[*key].joined {
            continue;
        }
        let knows = |caller: &&LiveSpan| {
            caller.exchange.as_ref().is_some_and(|e| !e.attributes.iter().any(|a| a.key == UNKNOWN))
        };
        let asked = spans.get(caller).map(Box::as_ref).filter(knows).map(|caller| size(caller).unwrap_or(1));
        let shared = size(&spans[*key]).zip(asked).is_some_and(|(done, asked)| done > asked);
        if let Some(exchange) = spans[*key].exchange.as_mut().filter(|_| shared) {
            exchange.attributes.push(KeyValue { key: SHARED.into(), value: Value::Bool(true) });
        }
    }
}

/// The hook runs after the operation, so over loopback a callee can seem to start before its caller sent, or to end
/// after its caller received, by microseconds. Sending precedes receiving: the caller's span is made to contain it.
fn agree_on_times(spans: &mut Spans, parents_first: &[SpanKey]) {
    for key in parents_first.iter().rev() {
        let (start, parent) = (spans[*key].request.first.time, spans[*key].parent);
        if let (true, Parent::Live(parent)) = (spans[*key].joined, parent)
            && let Some(parent) = spans.get_mut(parent)
        {
            parent.request.first.time = parent.request.first.time.min(start);
        }
    }
    for key in parents_first {
        let Parent::Live(parent) = spans[*key].parent else { continue };
        if !spans[*key].joined {
            continue;
        }
        // A caller that gave up before the end of the response says nothing about when its callee ended.
        let complete = |e: &&Exchange| e.response.as_ref().is_some_and(|r| r.last.time == e.end);
        let Some(limit) = spans.get(parent).and_then(|p| p.exchange.as_deref()).filter(complete) else { continue };
        let limit = limit.end;
        if let Some(exchange) = &mut spans[*key].exchange {
            exchange.end = exchange.end.min(limit);
        }
    }
}

/// Marks what a caller on this host gave up before it was answered.
fn mark_given_up(spans: &mut Spans, members: &[SpanKey]) {
    for key in members {
        let Parent::Live(parent) = spans[*key].parent else { continue };
        let given_up_at = |s: &LiveSpan| s.exchange.as_ref().filter(|e| was_given_up(e)).map(|e| e.end);
        let Some(at) = spans.get(parent).filter(|_| spans[*key].joined).and_then(|s| given_up_at(s)) else { continue };
        let mark = given_up();
        if let Some(exchange) = spans[*key].exchange.as_mut().filter(|e| e.end >= at)
            && exchange.attributes.iter().all(|a| a.key != mark.key)
        {
            exchange.attributes.push(mark);
        }
    }
}

/// Whether the caller let go before the end of the response.
fn was_given_up(exchange: &Exchange) -> bool {
    exchange.attributes.iter().any(|a| a.key == "error.type" && a.value == Value::Str(GIVEN_UP.into()))
}

/// A client's request that names no host has no `url.full` yet; the socket knows what it was sent to.
fn complete_url(attributes: &mut [KeyValue], address: &str, port: u16) {
    if attributes.iter().any(|a| a.key == "url.full") {
        return;
    }
    let Some(path) = attributes.iter_mut().find(|a| a.key == "url.path") else { return };
    if let Value::Str(text) = &path.value
        && text.starts_with('/')
    {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        path.value = Value::Str(format!("http://{host}:{port}{text}").into());
        path.key = "url.full".into();
    }
}

/// The protocol's attributes and what the socket knows (semantic conventions, *network* and *server*/*client*).
fn with_connection(mut attributes: Vec<KeyValue>, span: &LiveSpan) -> Vec<KeyValue> {
    let sent = span.request.first.time;
    let opened = span.connection.connect.filter(|_| span.connection.first && !span.connection.opening);
    if let Some(connect) = opened.filter(|connect| connect.time <= sent && span.kind == SpanKind::Client) {
        let seconds = ((sent - connect.time) / 1000) as f64 / 1e6;
        attributes.push(KeyValue { key: CONNECT.into(), value: Value::Double(seconds) });
    }
    let ends = &span.connection.endpoints;
    if ends.family == 0 {
        // No connection: the execution of a task.
        return attributes;
    }
    if ends.family == AF_UNIX {
        attributes.push(KeyValue::str("network.transport", "unix"));
        return attributes;
    }
    if span.connection.datagrams {
        attributes.push(KeyValue::str("network.transport", "udp"));
        if ends.peer_port == 0 {
            // A socket for all comers: who was at the other end is not known.
            return attributes;
        }
    }
    let peer = text(ends, ends.peer);
    match span.connection.role {
        Role::Client => {
            complete_url(&mut attributes, &peer, ends.peer_port);
            add_missing(&mut attributes, "server.address", || Value::Str(peer.clone()));
            add_missing(&mut attributes, "server.port", || Value::Int(i64::from(ends.peer_port)));
        }
        Role::Server => {
            add_missing(&mut attributes, "client.address", || Value::Str(peer.clone()));
            // (A socket for all comers may have no address of its own.)
            if ends.local != [0; 16] {
                add_missing(&mut attributes, "server.address", || Value::Str(text(ends, ends.local)));
            }
            add_missing(&mut attributes, "server.port", || Value::Int(i64::from(ends.local_port)));
        }
    }
    attributes.push(KeyValue::str("network.peer.address", peer));
    attributes.push(KeyValue::int("network.peer.port", i64::from(ends.peer_port)));
    attributes
}

/// A link that is not exact says what it rests on, and a call without one why that is (docs/links.md).
fn with_link(mut attributes: Vec<KeyValue>, span: &LiveSpan) -> Vec<KeyValue> {
    if let Some(evidence) = span.evidence {
        attributes.push(KeyValue::str("wirespan.link.evidence", evidence.name()));
    }
    if let Some(missing) = span.missing_link() {
        attributes.push(KeyValue::str("wirespan.link.missing", missing.name()));
    }
    attributes
}

fn add_missing(attributes: &mut Vec<KeyValue>, key: &'static str, value: impl Fn() -> Value) {
    if !attributes.iter().any(|a| a.key == key) {
        attributes.push(KeyValue { key: key.into(), value: value() });
    }
}

/// An address; IPv4 in its mapped form as IPv4.
pub fn address(ends: &Endpoints, of: [u8; 16]) -> IpAddr {
    if ends.family == AF_INET {
        return Ipv4Addr::new(of[0], of[1], of[2], of[3]).into();
    }
    Ipv6Addr::from(of).to_canonical()
}

/// An address as people write it.
fn text(ends: &Endpoints, of: [u8; 16]) -> Cow<'static, str> {
    match address(ends, of) {
        // Most of what is traced on both ends.
        IpAddr::V4(Ipv4Addr::LOCALHOST) => "127.0.0.1".into(),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => "::1".into(),
        IpAddr::V4(address) => ipv4(address).into(),
        IpAddr::V6(address) => address.to_string().into(),
    }
}

/// As the standard library writes it, in a quarter of its time: every span has two or three of them.
fn ipv4(address: Ipv4Addr) -> String {
    let mut out = String::with_capacity("255.255.255.255".len());
    for (n, part) in address.octets().into_iter().enumerate() {
        if n > 0 {
            out.push('.');
        }
        for (least, digit) in [(100, part / 100), (10, part / 10 % 10), (0, part % 10)] {
            if part >= least {
                out.push(char::from(b'0' + digit));
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn addresses_are_written_as_the_standard_library_does() {
        for part in 0..=255u8 {
            let address = std::net::Ipv4Addr::new(part, 255 - part, part / 2, part);
            assert_eq!(super::ipv4(address), address.to_string());
        }
    }
}
