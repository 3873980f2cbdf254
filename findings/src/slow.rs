//! Statements that take long.

use wirespan_signals::{SpanKind, Trace};

use super::calls::duration;
use super::{Finding, Kind, Limits, time};

pub(crate) fn find(trace: &Trace, limits: &Limits, found: &mut Vec<Finding>) {
    let limit = u64::try_from(limits.slow_statement.as_nanos()).unwrap_or(u64::MAX);
    for span in trace.spans.iter().filter(|span| span.kind == SpanKind::Client && duration(span) >= limit) {
        let Some(statement) = span.text("db.query.text").filter(|_| span.text("db.system.name").is_some()) else {
            continue;
        };
        let short: String = statement.chars().take(200).collect();
        let evidence = format!("{short} took {}, and {} is the limit", time(duration(span)), time(limit));
        found.push(Finding { kind: Kind::SlowStatement, evidence, span_id: span.span_id, cost: duration(span) });
    }
}
