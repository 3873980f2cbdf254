//! Crowds that ask a service, whose every call is to be below the request that it was made for.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::time::Duration;

use wirespan_tests::raw::Crowd;
use wirespan_tests::scene::Scene;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

/// One at a time, and many.
const CROWDS: [Crowd; 2] = [Crowd { clients: 1, each: 16 }, Crowd { clients: 64, each: 5 }];
/// Before that, until all goes as it should: the agent finds the units of a program with its first requests, and so often at most.
const WARM_UP: Crowd = Crowd { clients: 2, each: 4 };
const ATTEMPTS: usize = 15;
const QUIET: Duration = Duration::from_millis(1500);
/// Requests of a crowd are counted from a multiple of this on.
const NUMBERS: usize = 1000;

/// What is asked for, with `N` for the request's number, and what becomes of the calls that each request makes.
#[derive(Clone, Copy)]
pub(crate) struct Asked {
    pub path: &'static str,
    /// So many calls each.
    pub calls: usize,
    /// On what it rests that each is below its request: one of these, `|` between them.
    pub evidence: &'static str,
    /// Calls may also be below nothing, for a reason that `docs/runtimes.md` has.
    pub roots: bool,
}

impl Asked {
    fn may_rest_on(&self, evidence: &str) -> bool {
        self.evidence.split('|').any(|one| one == evidence)
    }
}

/// Every call is below its request.
pub(crate) const fn all(path: &'static str, calls: usize, evidence: &'static str) -> Asked {
    Asked { path, calls, evidence, roots: false }
}

/// Which request a span is about: `/hop/NUMBER/HOP` and what is like it, the column that is named after it, the key, the method.
fn number(span: &Span) -> Option<usize> {
    let text =
        span.text("db.query.text").and_then(|text| text.rsplit_once(" AS ").or_else(|| text.rsplit_once("hop:")));
    let named =
        text.map(|(_, named)| named.trim_start_matches(['a', 'b'])).or_else(|| span.name.strip_prefix("shop.v1.Hop/R"));
    named.or_else(|| span.path().split('/').nth(2))?.parse().ok()
}

/// Has `service` asked, and checks its calls. Nothing is ever below another request.
pub(crate) fn assert_linked(mut scene: Scene, port: u16, service: &str, asked: &[Asked]) {
    scene.trace_with(&["--query-text"]);
    for (n, one) in asked.iter().enumerate() {
        let known = |attempt: &usize| is_known(&scene, port, *one, (n * ATTEMPTS + attempt) * WARM_UP.total());
        let Some(attempt) = (0..ATTEMPTS).find(known) else {
            panic!("{} is not linked by {}:\n{}", one.path, one.evidence, scene.agent().log())
        };
        println!("{}: known after {attempt} times {} requests", one.path, WARM_UP.total());
    }
    let before = scene.count();
    for (n, one) in asked.iter().enumerate() {
        for (m, crowd) in CROWDS.iter().enumerate() {
            let first = NUMBERS * (1 + n * CROWDS.len() + m);
            crowd.get(port, |request| one.path.replace('N', &(first + request).to_string()));
        }
    }
    // (Both ends of each. What is called after the answer comes as it likes.)
    let each = |one: &Asked| CROWDS.iter().map(Crowd::total).sum::<usize>() * 2 * (1 + one.calls);
    let all =
        if asked.iter().any(|one| one.roots) { usize::MAX } else { before + asked.iter().map(each).sum::<usize>() };
    assert!(scene.settles_with(all, QUIET), "spans keep arriving");
    scene.agent().stop();
    let spans = scene.spans();
    let by_id: HashMap<&str, &Span> = spans.iter().map(|span| (span.span_id.as_str(), span)).collect();
    for span in spans.iter().filter(|span| !span.parent.is_empty()) {
        let Some(above) = by_id.get(span.parent.as_str()) else { panic!("{} is below nothing", trace::line(span)) };
        // (A pool's own statements are about none.)
        let about = number(span);
        assert!(about.is_none() || about == number(above), "{}\n  is below\n{}", trace::line(span), trace::line(above));
        assert_eq!(span.trace_id, above.trace_id, "{}", trace::line(span));
    }
    for (n, one) in asked.iter().enumerate() {
        let numbers = NUMBERS * (1 + n * CROWDS.len())..NUMBERS * (1 + (n + 1) * CROWDS.len());
        let own =
            spans.iter().filter(|span| span.service() == service && number(span).is_some_and(|n| numbers.contains(&n)));
        assert_evidence(*one, &own.collect::<Vec<_>>(), &by_id);
    }
}

/// Whether the calls of some requests, counted from `first` on, rest on what they should.
fn is_known(scene: &Scene, port: u16, asked: Asked, first: usize) -> bool {
    WARM_UP.get(port, |n| asked.path.replace('N', &(first + n).to_string()));
    let are_linked = || are_linked(&scene.spans(), asked, first..first + WARM_UP.total());
    assert!(scene.settles_unless(QUIET, are_linked), "spans keep arriving");
    are_linked()
}

/// Whether the calls of requests with these numbers rest on what they should.
fn are_linked(spans: &[Span], asked: Asked, numbers: Range<usize>) -> bool {
    let own = |span: &&Span| number(span).is_some_and(|n| numbers.contains(&n));
    let above: HashSet<&str> = spans.iter().filter(|s| s.kind == Kind::Server).map(|s| s.span_id.as_str()).collect();
    let calls =
        spans.iter().filter(own).filter(|span| span.kind == Kind::Client && above.contains(span.parent.as_str()));
    let rest: Vec<&str> = calls.map(|call| call.text("wirespan.link.evidence").unwrap_or("exact")).collect();
    let enough = if asked.roots { 1 } else { asked.calls * numbers.len() };
    rest.len() >= enough && rest.iter().all(|evidence| asked.may_rest_on(evidence))
}

/// Each of the calls of a request is below it and rests on what it should.
fn assert_evidence(asked: Asked, spans: &[&Span], by_id: &HashMap<&str, &Span>) {
    let of = |kind: Kind| spans.iter().copied().filter(move |span| span.kind == kind);
    let requests: usize = CROWDS.iter().map(Crowd::total).sum();
    assert_eq!(of(Kind::Server).count(), requests, "{}: requests are missing", asked.path);
    let is_linked = |call: &&Span| by_id.get(call.parent.as_str()).is_some_and(|above| above.kind == Kind::Server);
    let (linked, roots): (Vec<&Span>, Vec<&Span>) = of(Kind::Client).partition(is_linked);
    let mut why: HashMap<Option<&str>, usize> = HashMap::new();
    roots.iter().for_each(|call| *why.entry(call.text("wirespan.link.missing")).or_default() += 1);
    let mut rests: HashMap<&str, usize> = HashMap::new();
    linked.iter().for_each(|c| *rests.entry(c.text("wirespan.link.evidence").unwrap_or("exact")).or_default() += 1);
    println!("{}: {rests:?} are linked, {why:?} are not", asked.path);
    // (A statement may be prepared first, which is a call of its own.)
    assert!(linked.len() + roots.len() >= asked.calls * requests, "{}: calls are missing", asked.path);
    assert!(asked.roots || roots.is_empty(), "{}: calls are below nothing: {why:?}", asked.path);
    let others = rests.keys().find(|rest| !asked.may_rest_on(rest));
    assert!(others.is_none() && !rests.is_empty(), "{}: {rests:?}", asked.path);
}
