//! Connections that are opened for a call each.

use rustc_hash::FxHashMap;
use wirespan_signals::{Span, Value};

use super::calls::{Calls, place, succeeded};
use super::{Finding, Kind, time};

/// So many calls to one place, one after the other, and each on a connection of its own: whoever keeps connections opens one.
const SEVERAL: usize = 3;
/// Seconds from when the connection of a call began to be opened until the call was made on it: on its first call.
const CONNECT: &str = "wirespan.connect.time";

/// How long before a call its connection began to be opened, nanoseconds, if it is that connection's first.
fn opened_before(call: &Span) -> Option<u64> {
    match call.attribute(CONNECT)? {
        Value::Double(seconds) if seconds.is_finite() && *seconds >= 0.0 => Some((seconds * 1e9) as u64),
        _ => None,
    }
}

pub(crate) fn find(calls: &Calls<'_>, found: &mut Vec<Finding>) {
    let mut by_place: FxHashMap<_, Vec<&Span>> = FxHashMap::default();
    for call in calls.calls.iter().copied().filter(|call| call.number("server.port").is_some()) {
        by_place.entry(place(call)).or_default().push(call);
    }
    for (place, calls_there) in by_place.into_iter().filter(|(_, calls)| calls.len() >= SEVERAL) {
        // What failed may have taken its connection along.
        if !calls_there.iter().all(|call| succeeded(call)) || !one_by_one(&calls_there) {
            continue;
        }
        let begin = calls.parent.start_unix_nano;
        let opened =
            |call: &&Span| opened_before(call).filter(|before| call.start_unix_nano.saturating_sub(*before) >= begin);
        let times: Vec<u64> = calls_there.iter().filter_map(opened).collect();
        if times.len() < calls_there.len() {
            continue;
        }
        let cost = times.iter().sum();
        let to = format!("{}:{}", place.0.unwrap_or_default(), place.1.unwrap_or_default());
        let evidence = format!(
            "{} calls to {to}, one after the other, and a connection opened for each: {} for that",
            times.len(),
            time(cost)
        );
        found.push(Finding { kind: Kind::ConnectionPerCall, evidence, span_id: calls_there[0].span_id, cost });
    }
}

/// Whether each connection began to be opened after the call before had ended: that one was free.
fn one_by_one(calls: &[&Span]) -> bool {
    calls.windows(2).all(|pair| {
        let opened = pair[1].start_unix_nano.saturating_sub(opened_before(pair[1]).unwrap_or_default());
        pair[0].end_unix_nano <= opened
    })
}
