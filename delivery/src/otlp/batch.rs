//! Gathers spans, as they come, into the body of one export request.
//!
//! A span is encoded when it arrives and then let go, so a waiting batch costs its encoded size only. Spans are grouped
//! by resource (the process) and then by scope (the protocol).

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_semantic_conventions::SCHEMA_URL;

use wirespan_signals::{Resource, Scope, Span};

use super::{encode, wire};
use crate::gather::Body;

/// An export request under construction.
#[derive(Default)]
pub struct Gathering {
    resources: Vec<ResourceGroup>,
    /// Index into `resources` by address; the group's `Arc` keeps the address from being reused.
    by_address: HashMap<usize, usize>,
    bytes: usize,
}

struct ResourceGroup {
    resource: Arc<Resource>,
    scopes: Vec<ScopeGroup>,
    /// Index into `scopes` by protocol and by the address of the scope, which its group keeps from being reused.
    by_maker: HashMap<(&'static str, usize), usize>,
}

struct ScopeGroup {
    protocol: &'static str,
    /// The scope of spans that applications made.
    foreign: Option<Arc<Scope>>,
    /// Encoded `ScopeSpans.spans` fields.
    spans: Vec<u8>,
}

impl Body for Gathering {
    fn push(&mut self, span: &Span) {
        let address = Arc::as_ptr(&span.resource) as usize;
        let index = *self.by_address.entry(address).or_insert_with(|| {
            self.resources.push(ResourceGroup::new(&span.resource));
            self.resources.len() - 1
        });
        let buffer = self.resources[index].scope(span);
        let before = buffer.len();
        encode::span(buffer, 2, span);
        self.bytes += buffer.len() - before;
    }

    fn bytes(&self) -> usize {
        self.bytes
    }

    /// An `ExportTraceServiceRequest`.
    fn take(&mut self) -> Vec<u8> {
        let gathered = std::mem::take(self);
        // Resources repeat per batch and take about half a kilobyte each.
        let mut body = Vec::with_capacity(gathered.bytes + gathered.resources.len() * 768);
        for group in &gathered.resources {
            wire::message(&mut body, 1, |b| {
                encode::resource(b, 1, &group.resource);
                for scope in &group.scopes {
                    wire::message(b, 2, |b| {
                        let foreign = scope.foreign.as_deref();
                        encode::scope(b, 1, scope.protocol, foreign);
                        b.extend_from_slice(&scope.spans);
                        wire::text(b, 3, foreign.map_or(SCHEMA_URL, |s| &s.schema_url));
                    });
                }
                // A resource that an application stated keeps to the conventions that it says, which we do not keep.
                let ours = group.scopes.iter().all(|scope| scope.foreign.is_none());
                wire::text(b, 3, if ours { SCHEMA_URL } else { "" });
            });
        }
        body
    }
}

impl ResourceGroup {
    fn new(resource: &Arc<Resource>) -> Self {
        Self { resource: Arc::clone(resource), scopes: Vec::new(), by_maker: HashMap::new() }
    }

    fn scope(&mut self, span: &Span) -> &mut Vec<u8> {
        let address = span.scope.as_ref().map_or(0, |scope| Arc::as_ptr(scope) as usize);
        let index = *self.by_maker.entry((span.protocol, address)).or_insert_with(|| {
            let foreign = span.scope.clone();
            self.scopes.push(ScopeGroup { protocol: span.protocol, foreign, spans: Vec::new() });
            self.scopes.len() - 1
        });
        &mut self.scopes[index].spans
    }
}
