//! Which service asks which: both ends of a call, found by the ids that say so, as the service graph of Tempo's
//! metrics-generator counts them.
//!
//! Most calls are seen with both ends in one piece of a trace. Where only one is there, it waits for the other for a while,
//! in a number that is bounded. Nothing is paired but by ids: a callee says whose call it answers, a receiver which message it
//! received.

use std::collections::VecDeque;

use opentelemetry_semantic_conventions::attribute as key;
use rustc_hash::{FxHashMap, FxHashSet};
use wirespan_signals::{Span, SpanKind};

use crate::spans::seconds;

/// How long one end waits for the other, nanoseconds.
const WAIT: u64 = 10_000_000_000;
/// How many ends wait.
const MAX_WAITING: usize = 10_000;
/// Who asks where nobody is known to.
const USER: &str = "user";

type SpanId = ([u8; 16], [u8; 8]);

/// A call between two services, or one that has no second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Edge<'a> {
    pub(crate) client: &'a str,
    pub(crate) server: &'a str,
    /// What is between them, as Tempo calls it; empty for a plain call.
    pub(crate) connection: &'static str,
    pub(crate) client_seconds: Option<f64>,
    pub(crate) server_seconds: Option<f64>,
    pub(crate) failed: bool,
    /// One end was not seen, and nothing says who it is.
    pub(crate) unpaired: bool,
}

/// Ends that wait.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    waiting: FxHashMap<SpanId, Half>,
    order: VecDeque<(u64, SpanId)>,
    /// Ends that found no room to wait.
    pub(crate) dropped: u64,
}

#[derive(Debug)]
struct Half {
    caller: bool,
    service: Box<str>,
    /// Where a caller says that it asked, and who asked whom, if that is known.
    place: Box<str>,
    seconds: f64,
    failed: bool,
    message: bool,
    /// A receiver met it.
    met: bool,
    /// It says that nobody it knows asked.
    root: bool,
}

fn is_caller(span: &Span) -> bool {
    matches!(span.kind, SpanKind::Client | SpanKind::Producer)
}

fn is_callee(span: &Span) -> bool {
    matches!(span.kind, SpanKind::Server | SpanKind::Consumer)
}

/// Whose call a callee answers: its parent, or of a message that came without one its sender.
fn asked_by(span: &Span) -> Option<SpanId> {
    if span.parent_span_id != [0; 8] {
        return Some((span.trace_id, span.parent_span_id));
    }
    let sender = span.links.first().filter(|_| span.kind == SpanKind::Consumer)?;
    Some((sender.trace_id, sender.span_id))
}

impl Graph {
    /// What one piece of a trace says.
    pub(crate) fn note(&mut self, spans: &[Span], now: u64, mut each: impl FnMut(Edge<'_>)) {
        let id = |span: &Span| (span.trace_id, span.span_id);
        let mut callees: FxHashMap<SpanId, &Span> = FxHashMap::default();
        let (mut callers, mut others) = (FxHashSet::default(), FxHashSet::default());
        for span in spans {
            if is_caller(span) {
                callers.insert(id(span));
            } else {
                others.insert(span.span_id);
            }
            if let Some(caller) = asked_by(span).filter(|_| is_callee(span)) {
                callees.entry(caller).or_insert(span);
            }
        }
        for span in spans {
            if is_caller(span) {
                match callees.get(&id(span)) {
                    Some(callee) => each(pair(span, callee)),
                    None => self.caller_waits(span, now, &mut each),
                }
                continue;
            }
            // An inner span, or a task's delivery, is nobody's other end.
            let inner = others.contains(&span.parent_span_id);
            if is_callee(span) && asked_by(span).is_none_or(|id| !callers.contains(&id)) && !inner {
                self.callee_waits(span, now, &mut each);
            }
        }
    }

    fn caller_waits(&mut self, span: &Span, now: u64, each: &mut impl FnMut(Edge<'_>)) {
        let (id, service) = ((span.trace_id, span.span_id), span.resource.service_name());
        let (seconds, failed) = (seconds(span), span.is_error());
        if let Some(callee) = self.waiting.get(&id).filter(|half| !half.caller) {
            let connection = connection(span);
            each(Edge {
                client: service,
                server: &callee.service,
                connection,
                client_seconds: Some(seconds),
                server_seconds: Some(callee.seconds),
                failed: failed || callee.failed,
                unpaired: false,
            });
            self.waiting.remove(&id);
            return;
        }
        if let Some(system) = span.text(key::DB_SYSTEM_NAME) {
            // A database's own end is seen at the same time, if it is.
            let namespace = || span.text(key::DB_NAMESPACE);
            let server = peer(span).or_else(namespace).or_else(|| span.text(key::SERVER_ADDRESS)).unwrap_or(system);
            let client_seconds = Some(seconds);
            let connection = "database";
            let (client, server_seconds) = (service, None);
            return each(Edge { client, server, connection, client_seconds, server_seconds, failed, unpaired: false });
        }
        let place = peer(span).or_else(|| span.text(key::SERVER_ADDRESS)).unwrap_or_default().into();
        let message = span.kind == SpanKind::Producer;
        let half =
            Half { caller: true, service: service.into(), place, seconds, failed, message, met: false, root: false };
        self.waits(id, half, now);
    }

    fn callee_waits(&mut self, span: &Span, now: u64, each: &mut impl FnMut(Edge<'_>)) {
        let service = span.resource.service_name();
        let (seconds, failed) = (seconds(span), span.is_error());
        let Some(id) = asked_by(span) else {
            let server_seconds = Some(seconds);
            let connection = "virtual_node";
            let (client, server, client_seconds) = (peer(span).unwrap_or(USER), service, None);
            return each(Edge { client, server, connection, client_seconds, server_seconds, failed, unpaired: false });
        };
        if let Some(caller) = self.waiting.get_mut(&id).filter(|half| half.caller) {
            caller.met = true;
            each(Edge {
                client: &caller.service,
                server: service,
                connection: if caller.message { "messaging_system" } else { "" },
                client_seconds: Some(caller.seconds),
                server_seconds: Some(seconds),
                failed: failed || caller.failed,
                unpaired: false,
            });
            // A message may have more receivers.
            if !caller.message {
                self.waiting.remove(&id);
            }
            return;
        }
        let half = Half {
            caller: false,
            service: service.into(),
            place: peer(span).unwrap_or_default().into(),
            seconds,
            failed,
            message: span.kind == SpanKind::Consumer,
            met: false,
            root: span.parent_is_remote,
        };
        self.waits(id, half, now);
    }

    fn waits(&mut self, id: SpanId, half: Half, now: u64) {
        if self.order.len() >= MAX_WAITING {
            self.dropped += 1;
            return;
        }
        self.order.push_back((now + WAIT, id));
        self.waiting.insert(id, half);
    }

    /// Tells of ends that waited long enough.
    pub(crate) fn expire(&mut self, now: u64, mut each: impl FnMut(Edge<'_>)) {
        while let Some((_, id)) = self.order.pop_front_if(|(due, _)| *due <= now) {
            let Some(half) = self.waiting.remove(&id).filter(|half| !half.met) else { continue };
            let (failed, seconds) = (half.failed, Some(half.seconds));
            if half.caller {
                let known = !half.place.is_empty();
                let (client, server) = (&*half.service, &*half.place);
                let connection = if half.message { "messaging_system" } else { "virtual_node" };
                let (client_seconds, server_seconds) = (seconds, None);
                let unpaired = !known;
                each(Edge { client, server, connection, client_seconds, server_seconds, failed, unpaired });
                continue;
            }
            let unknown = if half.root { USER } else { "" };
            let (client, server) = (if half.place.is_empty() { unknown } else { &*half.place }, &*half.service);
            let connection = if half.message { "messaging_system" } else { "virtual_node" };
            let (client_seconds, server_seconds) = (None, seconds);
            let unpaired = client.is_empty();
            each(Edge { client, server, connection, client_seconds, server_seconds, failed, unpaired });
        }
    }

    /// Bytes of what waits, about.
    pub(crate) fn bytes(&self) -> usize {
        self.order.len() * (size_of::<Half>() + 2 * size_of::<(u64, SpanId)>() + 96)
    }
}

/// Which service is at the other end, if its address says that.
fn peer(span: &Span) -> Option<&str> {
    span.text(key::SERVICE_PEER_NAME)
}

fn connection(caller: &Span) -> &'static str {
    match caller.kind {
        SpanKind::Producer => "messaging_system",
        _ if caller.text(key::DB_SYSTEM_NAME).is_some() => "database",
        _ => "",
    }
}

fn pair<'a>(caller: &'a Span, callee: &'a Span) -> Edge<'a> {
    Edge {
        client: caller.resource.service_name(),
        server: callee.resource.service_name(),
        connection: connection(caller),
        client_seconds: Some(seconds(caller)),
        server_seconds: Some(seconds(callee)),
        failed: caller.is_error() || callee.is_error(),
        unpaired: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{child, span};
    use wirespan_signals::KeyValue;

    fn told(graph: &mut Graph, spans: &[Span]) -> Vec<String> {
        let mut edges = Vec::new();
        graph.note(spans, 0, |edge| edges.push(line(edge)));
        edges
    }

    fn expired(graph: &mut Graph) -> Vec<String> {
        let mut edges = Vec::new();
        graph.expire(WAIT, |edge| edges.push(line(edge)));
        edges
    }

    fn line(edge: Edge<'_>) -> String {
        let ends = (edge.client_seconds.is_some(), edge.server_seconds.is_some());
        let unpaired = if edge.unpaired { " unpaired" } else { "" };
        format!("{}>{} {} {ends:?}{unpaired}", edge.client, edge.server, edge.connection)
    }

    #[test]
    fn both_ends_in_one_piece_are_a_call() {
        for others in [0, 40] {
            let root = span("front", SpanKind::Server);
            let call = child(&root, "front", SpanKind::Client);
            let mut spans = vec![root, call.clone(), child(&call, "stock", SpanKind::Server)];
            spans.extend((0..others).map(|_| child(&call, "stock", SpanKind::Internal)));
            let expected = ["user>front virtual_node (false, true)", "front>stock  (true, true)"];
            assert_eq!(told(&mut Graph::default(), &spans), expected);
        }
    }

    #[test]
    fn ends_in_different_pieces_meet_in_either_order() {
        let call = span("front", SpanKind::Client);
        let answer = child(&call, "stock", SpanKind::Server);
        for (first, second) in [(&call, &answer), (&answer, &call)] {
            let mut graph = Graph::default();
            assert!(told(&mut graph, std::slice::from_ref(first)).is_empty());
            assert_eq!(told(&mut graph, std::slice::from_ref(second)), ["front>stock  (true, true)"]);
            assert!(expired(&mut graph).is_empty());
        }
    }

    #[test]
    fn a_message_has_all_its_receivers() {
        let sender = span("shop", SpanKind::Producer);
        let mut graph = Graph::default();
        assert!(told(&mut graph, std::slice::from_ref(&sender)).is_empty());
        for service in ["mail", "bill"] {
            let mut receiver = span(service, SpanKind::Consumer);
            receiver.links.push(wirespan_signals::Link {
                trace_id: sender.trace_id,
                span_id: sender.span_id,
                trace_state: "".into(),
                attributes: Vec::new(),
            });
            assert_eq!(told(&mut graph, &[receiver]), [format!("shop>{service} messaging_system (true, true)")]);
        }
        assert!(expired(&mut graph).is_empty());
    }

    #[test]
    fn an_end_without_another_is_told_as_such_after_a_while() {
        let mut outside = span("front", SpanKind::Client);
        outside.attributes.push(KeyValue::str("server.address", "api.example"));
        let nowhere = span("front", SpanKind::Client);
        let mut answer = child(&span("x", SpanKind::Client), "stock", SpanKind::Server);
        answer.parent_is_remote = true;
        let mut database = span("front", SpanKind::Client);
        database.attributes.push(KeyValue::str("db.system.name", "postgresql"));
        let mut graph = Graph::default();
        assert!(told(&mut graph, &[outside]).is_empty() && told(&mut graph, &[nowhere]).is_empty());
        assert!(told(&mut graph, &[answer]).is_empty());
        assert_eq!(told(&mut graph, &[database]), ["front>postgresql database (true, false)"]);
        let expected = [
            "front>api.example virtual_node (true, false)",
            "front> virtual_node (true, false) unpaired",
            "user>stock virtual_node (false, true)",
        ];
        assert_eq!(expired(&mut graph), expected);
        assert_eq!(graph.bytes(), 0);
    }

    #[test]
    fn an_end_that_was_not_seen_is_called_as_its_address_says() {
        let peer = |name: &str| KeyValue::str("service.peer.name", name.to_owned());
        let mut call = span("front", SpanKind::Client);
        call.attributes.extend([KeyValue::str("server.address", "10.96.0.7"), peer("cart")]);
        let mut root = span("front", SpanKind::Server);
        root.attributes.push(peer("edge"));
        let mut answer = child(&span("x", SpanKind::Client), "stock", SpanKind::Server);
        answer.attributes.push(peer("shop"));
        let mut graph = Graph::default();
        assert_eq!(told(&mut graph, &[root]), ["edge>front virtual_node (false, true)"]);
        assert!(told(&mut graph, &[call]).is_empty() && told(&mut graph, &[answer]).is_empty());
        let expected = ["front>cart virtual_node (true, false)", "shop>stock virtual_node (false, true)"];
        assert_eq!(expired(&mut graph), expected);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut graph = Graph::default();
        for _ in 0..MAX_WAITING + 5 {
            told(&mut graph, &[span("front", SpanKind::Client)]);
        }
        assert_eq!((graph.order.len(), graph.dropped), (MAX_WAITING, 5));
    }
}
