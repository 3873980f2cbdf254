//! Made-up spans, right and wrong in every way that the judge must tell apart.

use wirespan_tests::span::{Attributes, Status, Value};

use super::*;
use crate::accuracy::truth::Exchange;

/// Where the first server listens, and where the leaf does.
const FRONT: u16 = 80;
const LEAF: u16 = 90;

fn key(request: u64, hop: &str, port: u16) -> Key {
    Key { request, hop: hop.to_owned(), port }
}

/// One request: the driver calls the front, which calls the leaf for each of `hops`.
fn tree(truth: &mut Truth, cell: usize, request: u64, hops: &[&str]) {
    let front = key(request, "0", FRONT);
    for hop in hops {
        let exchange = Exchange { cell, parent: Some(front.clone()), must: 1, may: 1 };
        truth.insert(key(request, hop, LEAF), exchange);
    }
    truth.insert(front, Exchange { cell, parent: None, must: 1, may: 1 });
}

fn truth_of(requests: &[u64], hops: &[&str]) -> Truth {
    let mut truth = Truth::new();
    for request in requests {
        tree(&mut truth, 0, *request, hops);
    }
    truth
}

fn span(kind: Kind, trace: &str, id: &str, parent: &str, path: &str, port: u16) -> Span {
    let mut attributes = Attributes::new();
    attributes.insert("server.port".to_owned(), Value::Int(i64::from(port)));
    if kind == Kind::Server {
        attributes.insert("url.path".to_owned(), Value::Str(path.to_owned()));
    } else {
        attributes.insert("url.full".to_owned(), Value::Str(format!("http://127.0.0.1:{port}{path}?delay=5")));
    }
    Span {
        trace_id: trace.to_owned(),
        span_id: id.to_owned(),
        parent: parent.to_owned(),
        trace_state: String::new(),
        flags: 1,
        name: "GET".to_owned(),
        kind,
        status: Status::Unset,
        start: 0,
        end: 1,
        attributes,
        links: Vec::new(),
        resource: Attributes::new(),
        scope: String::new(),
        events: Vec::new(),
    }
}

fn client(trace: &str, id: &str, parent: &str, path: &str, port: u16) -> Span {
    span(Kind::Client, trace, id, parent, path, port)
}

fn server(trace: &str, id: &str, parent: &str, path: &str, port: u16) -> Span {
    span(Kind::Server, trace, id, parent, path, port)
}

/// The four spans of request `n` with one call, all links right. Ids begin with the request's number.
fn right(n: u64) -> Vec<Span> {
    let (trace, id) = (format!("t{n}"), |x: &str| format!("{n}{x}"));
    let (front, leaf) = (format!("/hop/{n}/0"), format!("/hop/{n}/0.1"));
    vec![
        client(&trace, &id("a"), "", &front, FRONT),
        server(&trace, &id("b"), &id("a"), &front, FRONT),
        client(&trace, &id("c"), &id("b"), &leaf, LEAF),
        server(&trace, &id("d"), &id("c"), &leaf, LEAF),
    ]
}

fn judge_one(truth: &Truth, spans: &[Span]) -> Tally {
    judge(truth, 1, spans).remove(0)
}

#[test]
fn a_whole_tree_is_right() {
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &right(1));
    assert_eq!((tally.expected, tally.found), (4, 4));
    assert_eq!((tally.roots.right.exact, tally.joins.right.exact, tally.calls.right.exact), (1, 2, 1));
    assert_eq!((tally.roots.expected, tally.joins.expected, tally.calls.expected), (1, 2, 1));
    assert_eq!((tally.wrong().total(), tally.dangling(), tally.mixed, tally.duplicates), (0, 0, 0, 0));
    assert!(tally.samples.is_empty());
}

#[test]
fn a_call_below_another_request_is_wrong_and_its_trace_is_mixed() {
    let mut spans = [right(1), right(2)].concat();
    // The call of request 2, and what hangs below it, in the trace of request 1.
    spans[6].parent = "1b".to_owned();
    spans[6].trace_id = "t1".to_owned();
    spans[7].trace_id = "t1".to_owned();
    let tally = judge_one(&truth_of(&[1, 2], &["0.1"]), &spans);
    assert_eq!((tally.calls.right.exact, tally.calls.wrong.exact, tally.mixed), (1, 1, 1));
    assert_eq!(tally.joins.right.exact, 4, "the callee hangs rightly below the call");
    assert_eq!(tally.samples.len(), 2);
}

#[test]
fn swapped_calls_of_two_requests_are_two_wrong_parents_and_two_mixed_traces() {
    let mut spans = [right(1), right(2)].concat();
    for (call, trace, parent) in [(2, "t2", "2b"), (6, "t1", "1b")] {
        spans[call].parent = parent.to_owned();
        spans[call].trace_id = trace.to_owned();
        spans[call + 1].trace_id = trace.to_owned();
    }
    let tally = judge_one(&truth_of(&[1, 2], &["0.1"]), &spans);
    assert_eq!((tally.calls.right.exact, tally.calls.wrong.exact, tally.mixed), (0, 2, 2));
}

#[test]
fn a_call_below_another_hop_of_its_own_request_is_wrong() {
    let mut spans = right(1);
    spans.push(client("t1", "1e", "1d", "/hop/1/0.2", LEAF));
    spans.push(server("t1", "1f", "1e", "/hop/1/0.2", LEAF));
    let tally = judge_one(&truth_of(&[1], &["0.1", "0.2"]), &spans);
    assert_eq!((tally.calls.right.exact, tally.calls.wrong.exact, tally.mixed), (1, 1, 0));
}

#[test]
fn a_call_below_its_grandparent_is_wrong_while_its_parent_is_there() {
    let mut spans = right(1);
    spans[2].parent = "1a".to_owned();
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.calls.right.exact, tally.calls.wrong.exact), (0, 1));
}

#[test]
fn a_missing_span_is_missing_and_its_child_is_right_below_the_next_ancestor() {
    let mut spans = right(1);
    spans[2].parent = "1a".to_owned();
    spans.remove(1);
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.expected, tally.found), (4, 3));
    assert_eq!((tally.calls.right.exact, tally.wrong().total()), (1, 0));
}

#[test]
fn a_parent_that_is_no_span_dangles() {
    let mut spans = right(1);
    spans.remove(1);
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.calls.dangling, tally.calls.right.exact, tally.calls.orphans), (1, 0, 0));
}

#[test]
fn a_call_without_a_parent_is_an_orphan_and_mixes_nothing() {
    let mut spans = right(1);
    spans[2].parent = String::new();
    spans[2].trace_id = "t9".to_owned();
    spans[3].trace_id = "t9".to_owned();
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.calls.orphans, tally.calls.right.exact, tally.wrong().total(), tally.mixed), (1, 0, 0, 0));
}

#[test]
fn a_server_span_without_its_client_is_an_orphan_of_the_joins() {
    let mut spans = right(1);
    spans[3].parent = String::new();
    spans[3].trace_id = "t9".to_owned();
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.joins.orphans, tally.joins.right.exact, tally.calls.right.exact), (1, 1, 1));
}

#[test]
fn a_span_that_comes_twice_is_a_duplicate_and_not_found_twice() {
    let mut spans = right(1);
    spans.push(server("t1", "1e", "1c", "/hop/1/0.1", LEAF));
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.expected, tally.found, tally.duplicates), (4, 4, 1));
}

#[test]
fn duplicates_do_not_make_up_for_missing_spans() {
    let mut spans = right(1);
    spans[3] = client("t1", "1e", "1b", "/hop/1/0.1", LEAF);
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.found, tally.duplicates), (3, 1));
}

#[test]
fn a_call_that_was_made_twice_has_two_spans_of_each_kind() {
    let mut truth = truth_of(&[1], &["0.1"]);
    let twice = truth.get_mut(&key(1, "0.1", LEAF)).expect("is there");
    (twice.must, twice.may) = (2, 2);
    let mut spans = right(1);
    spans.push(client("t1", "1e", "1b", "/hop/1/0.1", LEAF));
    spans.push(server("t1", "1f", "1e", "/hop/1/0.1", LEAF));
    let tally = judge_one(&truth, &spans);
    assert_eq!((tally.expected, tally.found, tally.duplicates, tally.calls.right.exact), (6, 6, 0, 2));
}

#[test]
fn inferred_links_are_counted_apart_whether_right_or_wrong() {
    let mut spans = [right(1), right(2)].concat();
    for call in [2, 6] {
        spans[call].attributes.insert(EVIDENCE.to_owned(), Value::Str("timing".to_owned()));
    }
    spans[6].parent = "1b".to_owned();
    spans[6].trace_id = "t1".to_owned();
    spans[7].trace_id = "t1".to_owned();
    let tally = judge_one(&truth_of(&[1, 2], &["0.1"]), &spans);
    assert_eq!((tally.calls.right.exact, tally.calls.right.inferred), (0, 1));
    assert_eq!((tally.calls.wrong.exact, tally.calls.wrong.inferred, tally.wrong().inferred), (0, 1, 1));
    assert!(tally.samples[0].contains("(timing)"), "{:?}", tally.samples);
}

#[test]
fn a_proxy_that_passes_the_path_on_is_told_apart_by_ports() {
    let mut truth = Truth::new();
    let front = key(1, "0", FRONT);
    truth.insert(key(1, "0", LEAF), Exchange { cell: 0, parent: Some(front.clone()), must: 1, may: 1 });
    truth.insert(front, Exchange { cell: 0, parent: None, must: 1, may: 1 });
    let mut spans = vec![
        client("t", "a", "", "/hop/1/0", FRONT),
        server("t", "b", "a", "/hop/1/0", FRONT),
        client("t", "c", "b", "/hop/1/0", LEAF),
        server("t", "d", "c", "/hop/1/0", LEAF),
    ];
    let tally = judge_one(&truth, &spans);
    assert_eq!((tally.found, tally.calls.right.exact, tally.joins.right.exact), (4, 1, 2));
    spans[3].parent = "a".to_owned();
    assert_eq!(judge_one(&truth, &spans).joins.wrong.exact, 1, "the leaf does not hang below the driver");
}

#[test]
fn a_span_of_another_protocol_in_between_is_passed_through() {
    let mut spans = right(1);
    spans[2].parent = "1y".to_owned();
    spans.push(client("t1", "1x", "1b", "/hop/1/0", 9000));
    spans.push(server("t1", "1y", "1x", "/hop/1/0", 9000));
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.calls.right.exact, tally.wrong().total(), tally.mixed, tally.duplicates), (1, 0, 0, 0));
}

#[test]
fn another_requests_span_of_another_protocol_in_between_is_wrong() {
    let mut spans = [right(1), right(2)].concat();
    spans[2].parent = "2y".to_owned();
    spans[2].trace_id = "t2".to_owned();
    spans[3].trace_id = "t2".to_owned();
    spans.push(server("t2", "2y", "2b", "/hop/2/0", 9000));
    let tally = judge_one(&truth_of(&[1, 2], &["0.1"]), &spans);
    assert_eq!((tally.calls.wrong.exact, tally.mixed), (1, 1));
}

#[test]
fn a_call_below_a_span_that_is_no_request_of_ours_is_wrong_and_mixed() {
    let mut spans = right(1);
    spans.push(server("t9", "9a", "", "/ready", FRONT));
    spans[2].parent = "9a".to_owned();
    spans[2].trace_id = "t9".to_owned();
    spans[3].trace_id = "t9".to_owned();
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.calls.wrong.exact, tally.mixed), (1, 1));
}

#[test]
fn a_request_of_the_driver_below_anything_is_wrong() {
    let mut spans = [right(1), right(2)].concat();
    spans[4].parent = "1b".to_owned();
    for span in &mut spans[4..] {
        span.trace_id = "t1".to_owned();
    }
    let tally = judge_one(&truth_of(&[1, 2], &["0.1"]), &spans);
    assert_eq!((tally.roots.wrong.exact, tally.roots.right.exact, tally.mixed), (1, 1, 1));
}

#[test]
fn a_parent_in_another_trace_is_wrong_even_if_it_is_the_true_one() {
    let mut spans = right(1);
    spans[2].trace_id = "t9".to_owned();
    spans[3].trace_id = "t9".to_owned();
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &spans);
    assert_eq!((tally.calls.wrong.exact, tally.calls.right.exact), (1, 0));
}

/// One request whose front hands it on by FastCGI, all of which hangs together.
fn by_gateway(number: u64) -> Vec<Span> {
    let (trace, path) = (format!("t{number}"), format!("/hop/{number}/0"));
    let id = |name: &str| format!("{number}{name}");
    let mut handed = client(&trace, &id("g"), &id("b"), &path, FRONT);
    let mut worker = server(&trace, &id("w"), &id("g"), &path, FRONT);
    (handed.scope, worker.scope) = ("wirespan/fastcgi".to_owned(), "wirespan/fastcgi".to_owned());
    let mut spans = right(number);
    spans[2].parent = id("w");
    spans.extend([handed, worker]);
    spans
}

#[test]
fn a_hop_that_is_handed_on_by_a_gateway_is_one_hop() {
    let tally = judge_one(&truth_of(&[1], &["0.1"]), &by_gateway(1));
    assert_eq!((tally.expected, tally.found, tally.duplicates, tally.mixed), (4, 4, 0, 0));
    assert_eq!((tally.calls.right.exact, tally.joins.right.exact, tally.wrong().total()), (1, 2, 0));
}

#[test]
fn a_hop_that_is_handed_on_for_another_request_is_wrong() {
    let mut spans = [by_gateway(1), by_gateway(2)].concat();
    let handed = spans.iter().position(|span| span.span_id == "1g").unwrap();
    spans[handed].parent = "2b".to_owned();
    spans
        .iter_mut()
        .filter(|span| ["1g", "1w", "1c", "1d"].contains(&&*span.span_id))
        .for_each(|s| s.trace_id = "t2".into());
    let tally = judge_one(&truth_of(&[1, 2], &["0.1"]), &spans);
    assert_eq!(tally.calls.wrong.exact, 1);
    assert!(tally.mixed > 0);
}

#[test]
fn spans_that_are_their_own_ancestors_are_wrong_and_end() {
    let mut spans = right(1);
    // Of another protocol, so that the judge passes through them: first x, then y, then x again.
    spans.push(server("t1", "1x", "1y", "/hop/1/0", 9000));
    spans.push(server("t1", "1y", "1x", "/hop/1/0", 9000));
    spans[2].parent = "1x".to_owned();
    assert_eq!(judge_one(&truth_of(&[1], &["0.1"]), &spans).calls.wrong.exact, 1);
}

#[test]
fn of_an_unanswered_request_only_what_is_wrong_counts() {
    let mut truth = truth_of(&[1, 2], &["0.1"]);
    for (_, exchange) in truth.iter_mut().filter(|(key, _)| key.request == 2) {
        exchange.must = 0;
    }
    let mut spans = [right(1), right(2)].concat();
    spans.remove(5);
    let tally = judge_one(&truth, &spans);
    assert_eq!((tally.expected, tally.found, tally.dangling(), tally.duplicates), (4, 4, 0, 0));
    assert_eq!(tally.calls.right.exact, 1);
    spans[5].parent = "1b".to_owned();
    spans[5].trace_id = "t1".to_owned();
    let tally = judge_one(&truth, &spans);
    assert_eq!((tally.calls.wrong.exact, tally.mixed), (1, 1));
}

#[test]
fn a_trace_that_mixes_two_cells_counts_in_both() {
    let mut truth = truth_of(&[1], &["0.1"]);
    tree(&mut truth, 1, 2, &["0.1"]);
    let mut spans = [right(1), right(2)].concat();
    for span in &mut spans {
        span.trace_id = "t".to_owned();
    }
    let tallies = judge(&truth, 2, &spans);
    assert_eq!((tallies[0].mixed, tallies[1].mixed), (1, 1));
    assert_eq!((tallies[0].wrong().total(), tallies[1].wrong().total()), (0, 0));
}

#[test]
fn nothing_at_all_is_all_missing() {
    let tally = judge_one(&truth_of(&[1, 2], &["0.1"]), &[]);
    assert_eq!((tally.expected, tally.found, tally.joins.expected, tally.calls.expected), (8, 0, 4, 2));
}
