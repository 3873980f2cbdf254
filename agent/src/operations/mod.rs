//! What operations are called: the name of a request's span, and its `url.template`.
//!
//! The parser makes a template of each path alone. Which of the words that are left are values is known only from many
//! requests, so it is learnt here, by service ([`tree`]), when a trace is complete, before anybody sees it. The two ends of
//! one exchange get one name, the callee's. `docs/naming.md` says what comes of it.
//!
//! It is bounded in bytes: `MAX_BYTES` for all services together. The service that was asked least recently is forgotten,
//! and learnt anew should it come back.

pub mod tree;

use std::sync::Arc;

use rustc_hash::FxHashMap as HashMap;

use crate::span::{KeyValue, OpenList, OpenRequests, OpenSpan, Span, SpanKind, Trace, Value};
use tree::Tree;

/// Most memory that is spent on what was learnt, bytes.
const MAX_BYTES: usize = 8 << 20;
/// Most services and places that are remembered.
const MAX_TREES: usize = 4096;
/// How many traces pass until the memory in use is looked at.
const LOOK_EVERY: u64 = 256;

const TEMPLATE: &str = "url.template";

/// Everything that was learnt.
#[derive(Debug, Default)]
pub struct Operations {
    /// By service, or by caller and place.
    trees: HashMap<Box<str>, Known>,
    /// Which service answers at an address and port, where both ends were seen.
    answers: HashMap<(Box<str>, i64), Box<str>>,
    traces: u64,
    listed: Option<Arc<OpenList>>,
}

#[derive(Debug, Default)]
struct Known {
    tree: Tree,
    /// The number of the trace that asked last.
    asked: u64,
}

impl Operations {
    /// Names the spans of traces that are complete.
    pub fn name(&mut self, traces: &mut [Trace]) {
        for trace in traces {
            self.traces += 1;
            self.name_trace(&mut trace.spans);
            if self.traces.is_multiple_of(LOOK_EVERY) {
                self.forget();
            }
        }
    }

    fn name_trace(&mut self, spans: &mut [Span]) {
        // Callees first, since they decide: whose parent is what, and what their template was before.
        let mut callees: Vec<([u8; 8], usize, Box<str>)> = Vec::new();
        for (at, span) in spans.iter_mut().enumerate().filter(|(_, span)| span.kind == SpanKind::Server) {
            if is_ours(span)
                && let Some(template) = span.text(TEMPLATE)
            {
                callees.push((span.parent_span_id, at, template.into()));
                self.name_callee(span);
            }
        }
        callees.sort_unstable();
        for at in 0..spans.len() {
            if !is_ours(&spans[at]) || spans[at].kind != SpanKind::Client {
                continue;
            }
            let Some(own) = spans[at].text(TEMPLATE) else { continue };
            let first = callees.partition_point(|(parent, ..)| *parent < spans[at].span_id);
            // (What a proxy in between asked for is another path.)
            let callee = callees.get(first).filter(|(parent, _, path)| *parent == spans[at].span_id && **path == *own);
            match callee.map(|(_, callee, _)| &spans[*callee]) {
                Some(callee) => {
                    let (template, service) =
                        (callee.text(TEMPLATE).unwrap_or(own).to_owned(), service(callee).to_owned());
                    self.note_answer(&spans[at], &service);
                    rename(&mut spans[at], &template);
                }
                None => self.name_caller(&mut spans[at]),
            }
        }
    }

    fn name_callee(&mut self, span: &mut Span) {
        let Some(template) = span.text(TEMPLATE) else { return };
        let accepted = accepted(span);
        let name = self.learn(service(span), template, accepted);
        name.iter().for_each(|name| rename(span, name));
    }

    /// A call of which the other end was not seen: what is learnt is about this caller and that place.
    fn name_caller(&mut self, span: &mut Span) {
        let Some(template) = span.text(TEMPLATE) else { return };
        let place = [service(span), "\n", span.text("server.address").unwrap_or_default()].concat();
        let place = format!("{place}:{}", span.number("server.port").unwrap_or(0));
        let accepted = accepted(span);
        let name = self.learn(&place, template, accepted);
        name.iter().for_each(|name| rename(span, name));
    }

    /// What a template is called in a tree ([`Tree::learn`]).
    fn learn(&mut self, key: &str, template: &str, accepted: bool) -> Option<String> {
        let asked = self.traces;
        // (As good as always it is known, and no key has to be made.)
        if let Some(known) = self.trees.get_mut(key) {
            known.asked = asked;
            return known.tree.learn(template, accepted);
        }
        self.trees.entry(key.into()).or_insert(Known { tree: Tree::default(), asked }).tree.learn(template, accepted)
    }

    fn note_answer(&mut self, caller: &Span, service: &str) {
        let (Some(address), Some(port)) = (caller.text("network.peer.address"), caller.number("network.peer.port"))
        else {
            return;
        };
        let key = (Box::from(address), port);
        if self.answers.get(&key).is_some_and(|known| **known == *service) {
            return;
        }
        if self.answers.len() >= MAX_TREES {
            self.answers.clear();
        }
        self.answers.insert(key, service.into());
    }

    /// Forgets services until the rest fits.
    fn forget(&mut self) {
        let weigh = |key: &str, known: &Known| key.len() + size_of::<Known>() + known.tree.bytes();
        let mut bytes: usize = self.trees.iter().map(|(key, known)| weigh(key, known)).sum();
        if bytes <= MAX_BYTES && self.trees.len() <= MAX_TREES {
            return;
        }
        let mut by_age: Vec<(u64, Box<str>)> =
            self.trees.iter().map(|(key, known)| (known.asked, key.clone())).collect();
        by_age.sort_unstable();
        for (_, key) in by_age {
            if bytes <= MAX_BYTES / 2 && self.trees.len() <= MAX_TREES / 2 {
                break;
            }
            bytes -= self.trees.remove(&key).map_or(0, |known| weigh(&key, &known));
        }
    }

    /// Names requests that are under way as they will be named when they end, if they end as others did.
    pub fn name_open(&mut self, open: &OpenRequests) {
        let list = open.get();
        if self.listed.as_ref().is_some_and(|listed| Arc::ptr_eq(listed, &list)) {
            return;
        }
        let spans = list.spans.iter().map(|span| self.open(span)).collect();
        let named = OpenList { total: list.total, spans, active: list.active.clone() };
        self.listed = Some(open.set(named));
    }

    fn open(&self, span: &OpenSpan) -> OpenSpan {
        let mut span = span.clone();
        let service = match (span.kind, &span.peer) {
            (SpanKind::Server, _) => Some(span.resource.service_name()),
            (SpanKind::Client, Some((address, port))) => {
                self.answers.get(&(address.to_string().into(), i64::from(*port))).map(AsRef::as_ref)
            }
            _ => None,
        };
        if let Some(known) = service.and_then(|service| self.trees.get(service))
            && let Some((method, template)) = span.name.as_deref().and_then(|name| name.split_once(" /"))
            && let Some(name) = known.tree.name(&["/", template].concat())
        {
            span.name = Some([method, " ", &name].concat().into());
        }
        span
    }
}

/// Whether a span is of ours, and not one that an application sent.
fn is_ours(span: &Span) -> bool {
    span.scope.is_none()
}

fn service(span: &Span) -> &str {
    span.resource.service_name()
}

/// Whether the answer shows that there is such a thing: who scans for holes makes no operations, nor does who may not look.
fn accepted(span: &Span) -> bool {
    span.number("http.response.status_code").is_some_and(|code| !(400..500).contains(&code))
}

/// Gives a span another template, and the name that goes with it.
fn rename(span: &mut Span, template: &str) {
    let Some(KeyValue { value: Value::Str(before), .. }) = span.attributes.iter_mut().find(|a| a.key == TEMPLATE)
    else {
        return;
    };
    if **before == *template {
        return;
    }
    let before = std::mem::replace(before, template.to_owned().into());
    if let Some(method) = span.name.strip_suffix(before.as_ref()) {
        span.name = [method, template].concat().into();
    }
}

#[cfg(test)]
mod tests;
