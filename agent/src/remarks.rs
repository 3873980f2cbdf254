//! What is remarked on traces that are complete, before anybody sees them: attributes that belong on the root, and findings.

use std::sync::Arc;

use wirespan_findings::Limits;
use wirespan_protocols::rules::UNREAD;

use crate::config::Config;
use crate::metrics::Counters;
use crate::span::{Span, Trace};

/// What is to be remarked.
pub struct Remarks {
    on_root: Vec<String>,
    asked: bool,
    findings: Option<Limits>,
    counters: Arc<Counters>,
}

impl Remarks {
    /// As configured.
    pub fn new(config: &Config, counters: Arc<Counters>) -> Self {
        let on_root = config.attributes.iter().filter(|rule| rule.on_root).map(|rule| rule.key.clone()).collect();
        Self { on_root, asked: !config.attributes.is_empty(), findings: config.findings, counters }
    }

    /// Remarks it.
    pub fn make(&self, traces: &mut [Trace]) {
        for trace in traces {
            if self.asked {
                let unread = |span: &&Span| span.attributes.iter().any(|attribute| attribute.key == UNREAD);
                self.counters.attributes_unread.add(trace.spans.iter().filter(unread).count() as u64);
            }
            if !self.on_root.is_empty() {
                to_root(&self.on_root, &mut trace.spans);
            }
            if let Some(limits) = &self.findings
                && wirespan_findings::mark(trace, limits)
            {
                self.counters.traces_with_findings.inc();
            }
        }
    }
}

/// Attributes of these names go to the first span of a trace, which is its root; the first of several stays.
fn to_root(keys: &[String], spans: &mut [Span]) {
    let Some((root, others)) = spans.split_first_mut() else { return };
    for span in others {
        while let Some(at) = span.attributes.iter().position(|attribute| keys.iter().any(|key| *key == attribute.key)) {
            let attribute = span.attributes.remove(at);
            if root.attributes.iter().all(|known| known.key != attribute.key) {
                root.attributes.push(attribute);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use wirespan_delivery::testing::{child_of, span};

    use super::*;
    use crate::span::KeyValue;

    #[test]
    fn what_belongs_on_the_root_goes_there_and_nothing_else() {
        let root = span("root");
        let mut spans = vec![root.clone(), child_of(&root, "shop", "a"), child_of(&root, "shop", "b")];
        spans[1].attributes = vec![KeyValue::str("tenant", "acme"), KeyValue::str("order.id", "7")];
        spans[2].attributes = vec![KeyValue::str("tenant", "other")];
        to_root(&["tenant".to_owned()], &mut spans);
        assert_eq!(spans[0].attributes, [KeyValue::str("tenant", "acme")]);
        assert_eq!(spans[1].attributes, [KeyValue::str("order.id", "7")]);
        assert!(spans[2].attributes.is_empty());
    }
}
