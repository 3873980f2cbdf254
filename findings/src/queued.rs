//! Threads that had work, and no CPU.

use wirespan_signals::{SpanKind, Trace, Value};

use super::calls::duration;
use super::{Finding, Kind, time};

/// Who waits for less than this, or for a smaller part of its request, is not held up: nanoseconds, and one in so many.
const LEAST: u64 = 10_000_000;
const PART: u64 = 10;
/// Seconds of its own time that a span's thread waited for a CPU.
const RUN_QUEUE: &str = "wirespan.time.runqueue";

pub(crate) fn find(trace: &Trace, found: &mut Vec<Finding>) {
    let whole = trace.spans.first().map(duration).unwrap_or_default();
    for span in trace.spans.iter().filter(|span| span.kind == SpanKind::Server) {
        let Some(Value::Double(seconds)) = span.attribute(RUN_QUEUE) else { continue };
        let waited = (seconds.max(0.0) * 1e9) as u64;
        if waited < LEAST || waited < whole / PART {
            continue;
        }
        let service = span.resource.service_name();
        let evidence = format!(
            "{service} had work, and waited {} of the {} of {} for a CPU",
            time(waited),
            time(duration(span)),
            span.name
        );
        found.push(Finding { kind: Kind::RunQueue, evidence, span_id: span.span_id, cost: waited });
    }
}
