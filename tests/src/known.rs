//! Programs that are asked until the agent knows them: what it learns from their first requests is not asserted (decision 066).

use std::collections::HashSet;
use std::ops::RangeFrom;
use std::time::Duration;

use crate::curl;
use crate::scene::Scene;
use crate::span::Span;
use crate::trace;

/// After this time without spans none is on its way.
const QUIET: Duration = Duration::from_millis(1500);
/// So many requests at most.
const ATTEMPTS: usize = 15;

/// The spans of all traces with a request whose path has this number in it, `/…/NUMBER` or `/…/NUMBER/…`.
pub fn of_number(spans: &[Span], number: usize) -> Vec<Span> {
    let number = number.to_string();
    let is_its = |span: &&Span| span.path().split('/').any(|part| part == number);
    let traces: HashSet<&str> = spans.iter().filter(is_its).map(|span| span.trace_id.as_str()).collect();
    spans.iter().filter(|span| traces.contains(span.trace_id.as_str())).cloned().collect()
}

/// Asks with curl, each time with another number, until all of a request is one trace with so many spans.
///
/// # Panics
///
/// When that does not come.
pub fn until_whole(scene: &mut Scene, numbers: &mut RangeFrom<usize>, size: usize, url: impl Fn(usize) -> String) {
    let mut last = Vec::new();
    let known = numbers.take(ATTEMPTS).any(|number| {
        let reply = curl::run(&["-k", "--http1.1", &url(number)]);
        assert_eq!(reply.code, 200, "{}: {}", url(number), String::from_utf8_lossy(&reply.body));
        let whole = || {
            let spans = of_number(&scene.spans(), number);
            spans.len() == size && trace::forest(&spans).len() == 1
        };
        scene.settles_unless(QUIET, whole);
        last = of_number(&scene.spans(), number);
        whole()
    });
    let said: Vec<String> = last.iter().map(trace::line).collect();
    assert!(known, "{} is not known: {said:#?}\n{}", url(0), scene.agent().log());
}
