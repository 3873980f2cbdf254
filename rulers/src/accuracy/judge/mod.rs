//! Compares spans with the truth. Knows nothing of programs, agents or time.
//!
//! - A span's true parent: of a SERVER span the CLIENT span of the same exchange (a *join*), of a CLIENT span the SERVER
//!   span of the exchange that its caller was serving (a *call*), of the driver's CLIENT span none.
//! - A span that is missing does not make its children wrong: they are right below the next true ancestor that was found.
//! - Spans of other protocols in between (a FastCGI hop, for instance) are passed through if they name the same request.
//! - A trace is mixed when its spans name two requests, or one and something that is no request of ours.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use wirespan_tests::span::{Kind, Span};

use super::truth::{Key, Truth, key_of, parse_path};

mod tally;
#[cfg(test)]
mod tests;

pub use tally::{Rests, Tally};

/// Number of what no request asked for.
const NOBODY: u64 = 0;
/// On a CLIENT span whose parent is not exactly proven: what speaks for it.
pub const EVIDENCE: &str = "wirespan.link.evidence";

/// What a span's parent turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Verdict {
    Right,
    Wrong(String),
    /// It has none, though the truth has.
    Orphan,
    /// Its parent's id is no span's.
    Dangling,
}

/// Every span of a run, findable.
struct Run<'a> {
    truth: &'a Truth,
    by_id: HashMap<&'a str, &'a Span>,
    found: HashMap<(Key, bool), u32>,
}

/// Traces with wrong links: whether one of them is exact.
#[derive(Default)]
struct Broken<'a>(HashMap<&'a str, bool>);

impl<'a> Broken<'a> {
    fn insert(&mut self, trace: &'a str, inferred: bool) {
        *self.0.entry(trace).or_default() |= !inferred;
    }

    /// Whether inferred links alone are to blame.
    fn by_inference(&self, trace: &str) -> bool {
        self.0.get(trace) == Some(&false)
    }
}

/// The result of each of `cells` cells.
pub fn judge(truth: &Truth, cells: usize, spans: &[Span]) -> Vec<Tally> {
    let mut tallies = vec![Tally::default(); cells];
    let mut run = Run { truth, by_id: HashMap::new(), found: HashMap::new() };
    for span in spans {
        run.by_id.insert(&span.span_id, span);
        if let Some(key) = key_of(span).filter(|key| truth.contains_key(key)) {
            *run.found.entry((key, is_server(span))).or_default() += 1;
        }
    }
    count_spans(&run, &mut tallies);
    let mut broken = Broken::default();
    for span in spans {
        let Some((key, exchange)) = key_of(span).and_then(|key| truth.get_key_value(&key)) else {
            run.stray(span, &mut tallies, &mut broken);
            continue;
        };
        let tally = &mut tallies[exchange.cell];
        let links = match (is_server(span), &exchange.parent) {
            (true, _) => &mut tally.joins,
            (false, Some(_)) => &mut tally.calls,
            (false, None) => &mut tally.roots,
        };
        let evidence = span.text(EVIDENCE);
        let inferred = evidence.is_some();
        let verdict = run.verdict(key, span);
        if let Some(evidence) = evidence
            && matches!(verdict, Verdict::Right | Verdict::Wrong(_))
        {
            tally.evidence.entry(evidence.to_owned()).or_default().add(verdict == Verdict::Right);
        }
        match verdict {
            Verdict::Wrong(why) => {
                links.wrong.add(inferred);
                broken.insert(&span.trace_id, inferred);
                tally.sample(format!("{} {why}", describe(span)));
            }
            // Of what the driver gave up, pieces may be reported, and only what is wrong with them counts.
            _ if exchange.must == 0 => {}
            Verdict::Right => links.right.add(inferred),
            Verdict::Orphan => links.orphans += 1,
            Verdict::Dangling => links.dangling += 1,
        }
    }
    mixed(truth, spans, &mut tallies, &broken);
    tallies
}

/// Spans expected, found, and found too often.
fn count_spans(run: &Run<'_>, tallies: &mut [Tally]) {
    for (key, exchange) in run.truth {
        let tally = &mut tallies[exchange.cell];
        for server in [false, true] {
            let found = run.found.get(&(key.clone(), server)).copied().unwrap_or_default();
            tally.expected += u64::from(exchange.must);
            tally.found += u64::from(found.min(exchange.must));
            tally.duplicates += u64::from(found.saturating_sub(exchange.may.max(exchange.must)));
            let links = match (server, &exchange.parent) {
                (true, _) => &mut tally.joins,
                (false, Some(_)) => &mut tally.calls,
                (false, None) => &mut tally.roots,
            };
            links.expected += u64::from(exchange.must);
        }
    }
}

/// Traces that hold more than one request, counted in every cell that they touch.
fn mixed(truth: &Truth, spans: &[Span], tallies: &mut [Tally], broken: &Broken<'_>) {
    let cells: HashMap<u64, usize> = truth.iter().map(|(key, exchange)| (key.request, exchange.cell)).collect();
    let mut traces: BTreeMap<&str, BTreeSet<Option<u64>>> = BTreeMap::new();
    for span in spans {
        let request = parse_path(span.path()).map(|(request, _)| request).filter(|request| cells.contains_key(request));
        traces.entry(&span.trace_id).or_default().insert(request);
    }
    for (trace, requests) in traces.into_iter().filter(|(_, requests)| requests.len() > 1) {
        let touched: BTreeSet<usize> = requests.iter().flatten().map(|request| cells[request]).collect();
        let named: Vec<String> = requests.iter().take(5).map(name_request).collect();
        for cell in touched {
            if broken.by_inference(trace) {
                tallies[cell].mixed_inferred += 1;
                continue;
            }
            tallies[cell].mixed += 1;
            tallies[cell].sample(format!("trace {trace} holds {}", named.join(", ")));
        }
    }
}

impl<'a> Run<'a> {
    /// A call that is nobody's in particular must hang below no request.
    fn stray(&self, span: &'a Span, tallies: &mut [Tally], broken: &mut Broken<'a>) {
        let nobodys = parse_path(span.path()).is_some_and(|(request, _)| request == NOBODY);
        let parent = self.by_id.get(span.parent.as_str()).filter(|_| nobodys && span.kind == Kind::Client);
        let above = parent.and_then(|parent| key_of(parent)).and_then(|key| self.truth.get(&key));
        let Some(exchange) = above else { return };
        let (tally, evidence) = (&mut tallies[exchange.cell], span.text(EVIDENCE));
        tally.strays.add(evidence.is_some());
        broken.insert(&span.trace_id, evidence.is_some());
        if let Some(evidence) = evidence {
            tally.evidence.entry(evidence.to_owned()).or_default().add(false);
        }
        tally.sample(format!("{} is nobody's, and has a parent ({evidence:?})", describe(span)));
    }

    fn verdict(&self, key: &Key, span: &Span) -> Verdict {
        let mut above = span;
        let mut passed = HashSet::new();
        loop {
            if above.parent.is_empty() {
                let rootless = is_server(span) || self.truth[key].parent.is_some();
                return if rootless { Verdict::Orphan } else { Verdict::Right };
            }
            let Some(parent) = self.by_id.get(above.parent.as_str()) else { return Verdict::Dangling };
            if parent.trace_id != above.trace_id {
                return Verdict::Wrong(format!("has the parent {} in another trace", describe(parent)));
            }
            if !passed.insert(parent.span_id.as_str()) {
                return Verdict::Wrong("is its own ancestor".to_owned());
            }
            match key_of(parent) {
                Some(other) if self.truth.contains_key(&other) => return self.compare(key, span, &other, parent),
                _ if parse_path(parent.path()).is_some_and(|(request, _)| request == key.request) => above = parent,
                _ => return Verdict::Wrong(format!("hangs below {}", describe(parent))),
            }
        }
    }

    /// Whether `parent`, which is about the exchange `other`, is the lowest true ancestor of `span` that was found.
    fn compare(&self, key: &Key, span: &Span, other: &Key, parent: &Span) -> Verdict {
        let below = format!("hangs below {}", describe(parent));
        let evidence = span.text(EVIDENCE).map(|evidence| format!(" ({evidence})")).unwrap_or_default();
        let mut at = self.above((key.clone(), is_server(span)));
        while let Some(node) = at {
            if node.0 == *other && node.1 == is_server(parent) {
                return Verdict::Right;
            }
            if self.found.contains_key(&node) {
                return Verdict::Wrong(format!("{below}{evidence}, and not below the true parent, which is there"));
            }
            at = self.above(node);
        }
        Verdict::Wrong(format!("{below}{evidence}"))
    }

    /// The true parent of an exchange's SERVER or CLIENT span.
    fn above(&self, (key, server): (Key, bool)) -> Option<(Key, bool)> {
        if server {
            return Some((key, false));
        }
        self.truth.get(&key)?.parent.clone().map(|parent| (parent, true))
    }
}

fn is_server(span: &Span) -> bool {
    span.kind == Kind::Server
}

fn name_request(request: &Option<u64>) -> String {
    request.map_or_else(|| "a span of no request".to_owned(), |number| format!("request {number}"))
}

fn describe(span: &Span) -> String {
    let port = span.int("server.port").unwrap_or_default();
    format!("{} {} at {port} (span {} of trace {})", span.kind, span.path(), span.span_id, span.trace_id)
}
