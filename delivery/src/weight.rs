//! What spans are taken for that pass between stages, bytes.

use wirespan_protocols::weight::{ALLOCATION, attributes, piece, status, text};
use wirespan_signals::{Link, Span, SpanEvent, Trace};

/// A span, with its place in a list. What it shares with others is theirs.
pub fn span(span: &Span) -> usize {
    let event = |event: &SpanEvent| text(&event.name) + attributes(&event.attributes);
    let link = |link: &Link| piece(link.trace_state.len()) + attributes(&link.attributes);
    size_of::<Span>()
        + text(&span.name)
        + status(&span.status)
        + piece(span.trace_state.len())
        + attributes(&span.attributes)
        + piece(span.events.capacity() * size_of::<SpanEvent>())
        + span.events.iter().map(event).sum::<usize>()
        + piece(span.links.capacity() * size_of::<Link>())
        + span.links.iter().map(link).sum::<usize>()
}

/// A trace, with its place in a list.
pub fn trace(trace: &Trace) -> usize {
    2 * size_of::<Trace>() + ALLOCATION + trace.spans.iter().map(span).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{full_span, span as bare};

    #[test]
    fn a_span_with_more_in_it_weighs_more() {
        let light = span(&bare("a"));
        assert!(light >= size_of::<Span>());
        assert!(span(&full_span()) > light);
        let named = span(&bare(&"n".repeat(10_000)));
        assert!((9_900..10_200).contains(&(named - light)), "{named} {light}");
    }

    #[test]
    fn a_trace_weighs_what_its_spans_do() {
        let one = trace(&Trace { spans: vec![bare("a")] });
        let ten = trace(&Trace { spans: (0..10).map(|_| bare("a")).collect() });
        assert_eq!(ten - one, 9 * span(&bare("a")));
    }
}
