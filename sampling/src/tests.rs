//! The whole stage: what is kept, what waits, what follows.

use std::sync::Arc;
use std::time::Duration;

use wirespan_delivery::testing::{child_of, span_of, trace};
use wirespan_signals::{Span, Status, Trace};

use super::*;
use crate::block::Node;

const SECOND: u64 = 1_000_000_000;

fn text(text: &str) -> Node {
    Node::Text(text.into())
}

fn map(entries: &[(&str, Node)]) -> Node {
    Node::Map(entries.iter().map(|(key, node)| ((*key).to_owned(), node.clone())).collect())
}

/// Keeps what failed.
fn errors(wait: &str) -> Tail {
    let codes = map(&[("status_codes", Node::List(vec![text("ERROR")]))]);
    let policy = map(&[("name", text("errors")), ("type", text("status_code")), ("status_code", codes)]);
    let block = map(&[("decision_wait", text(wait)), ("policies", Node::List(vec![policy]))]);
    Tail::read(&block).unwrap()
}

fn sampler(settings: Settings) -> (Sampler, Arc<Counters>) {
    let counters = Arc::new(Counters::default());
    (Sampler::new(settings, Arc::clone(&counters)), counters)
}

fn of_tail(tail: Tail) -> Settings {
    Settings { tail: Some(tail), bytes: 4 << 20, ..Settings::default() }
}

fn piece(id: u128, spans: &[(&str, bool)]) -> Trace {
    let made = |(name, failed): &(&str, bool)| {
        let status = if *failed { Status::Error("".into()) } else { Status::Unset };
        Span { trace_id: id.to_be_bytes(), status, ..span_of("shop", name) }
    };
    trace(spans.iter().map(made).collect())
}

fn names(bundles: &[Bundle]) -> Vec<String> {
    bundles.iter().flat_map(Bundle::chosen).flat_map(|t| t.spans.iter().map(|s| s.name.to_string())).collect()
}

#[test]
fn without_a_wait_a_trace_is_decided_about_at_once_and_later_pieces_follow() {
    let (mut sampler, counters) = sampler(of_tail(errors("0s")));
    let taken = sampler.take(vec![piece(1, &[("a", false), ("b", true)]), piece(2, &[("c", false)])], SECOND);
    assert_eq!(taken.kept, [true, false]);
    assert_eq!(taken.dropped, [2u128.to_be_bytes()]);
    let later = sampler.take(vec![piece(2, &[("late", true)]), piece(1, &[("late", false)])], 2 * SECOND);
    assert_eq!(later.kept, [false, true], "as their traces");
    assert_eq!((counters.sampling_traces_kept.get(), counters.sampling_traces_dropped.get()), (1, 1));
    assert_eq!(counters.sampling_spans_dropped.get(), 2);
}

#[test]
fn with_a_wait_all_pieces_are_looked_at_together() {
    let (mut sampler, counters) = sampler(of_tail(errors("10s")));
    let taken = sampler.take(vec![piece(1, &[("a", false)]), piece(2, &[("b", false)])], SECOND);
    assert_eq!((taken.kept, taken.dropped), (vec![false, false], vec![]));
    assert_eq!(taken.all.lot().len(), 2, "the view has them at once");
    sampler.take(vec![piece(1, &[("failed", true)])], 5 * SECOND);
    assert!(sampler.release(10 * SECOND).kept.is_empty());
    let released = sampler.release(11 * SECOND);
    assert_eq!(names(&released.kept), ["a", "failed"]);
    assert_eq!(released.dropped, [2u128.to_be_bytes()]);
    assert_eq!((counters.sampling_traces_waiting.get(), counters.memory_sampling.get()), (0, 0));
    assert_eq!(sampler.take(vec![piece(1, &[("late", false)])], 20 * SECOND).kept, [true]);
}

#[test]
fn a_root_that_has_come_shortens_the_wait_if_that_was_asked_for() {
    let mut tail = errors("10s");
    tail.wait_after_root = Some(Duration::from_secs(1));
    let (mut sampler, _) = sampler(of_tail(tail));
    let root = piece(1, &[("root", true)]);
    let below = trace(vec![Span { trace_id: 2u128.to_be_bytes(), ..child_of(&root.spans[0], "shop", "below") }]);
    sampler.take(vec![root, below], SECOND);
    assert_eq!(names(&sampler.release(2 * SECOND).kept), ["root"]);
    assert_eq!(sampler.release(11 * SECOND).dropped, [2u128.to_be_bytes()]);
}

#[test]
fn what_finds_no_room_is_decided_about_before_its_time_and_never_lost() {
    for (traces, bytes) in [(100, 64 << 20), (50_000, 256 << 10)] {
        let mut tail = errors("60s");
        tail.traces = traces;
        let (mut sampler, counters) = sampler(Settings { bytes, ..of_tail(tail) });
        let mut kept = Vec::new();
        for n in 1..=5000u128 {
            sampler.take(vec![piece(n, &[(&format!("n{n}"), n % 10 == 0)])], SECOND);
            kept.extend(names(&sampler.release(SECOND).kept));
            assert!(counters.sampling_traces_waiting.get() <= traces as u64);
            assert!(counters.memory_sampling.get() <= bytes as u64);
        }
        assert!(counters.sampling_hurried.get() > 4000);
        kept.extend(names(&sampler.release(u64::MAX).kept));
        assert_eq!(kept.len(), 500, "each that failed, once");
        assert_eq!(counters.sampling_traces_dropped.get(), 4500);
    }
}

#[test]
fn a_trace_that_is_too_large_goes_and_at_the_exit_what_waits_is_decided_about() {
    let (mut large, mut pending) = (errors("10s"), errors("10s"));
    (large.trace_bytes, pending.drop_pending) = (Some(20_000), true);
    let (mut sampler, counters) = sampler(of_tail(large));
    let many: Vec<(&str, bool)> = (0..100).map(|_| ("a", true)).collect();
    sampler.take(vec![piece(1, &many), piece(2, &[("b", true)])], SECOND);
    let released = sampler.release(u64::MAX);
    assert_eq!((names(&released.kept), counters.sampling_too_large.get()), (vec!["b".to_owned()], 1));
    let (mut dropping, _) = self::sampler(of_tail(pending));
    dropping.take(vec![piece(2, &[("b", true)])], SECOND);
    assert!(dropping.release(u64::MAX).kept.is_empty());
}

#[test]
fn a_ratio_keeps_its_part_says_so_and_decides_alike_everywhere() {
    let head = Head::parse("parentbased_traceidratio", Some("0.1")).unwrap();
    let settings = || Settings { head, bytes: 32 << 20, ..Settings::default() };
    let ((mut one, _), (mut other, _)) = (sampler(settings()), sampler(settings()));
    let mut random = fastrand::Rng::with_seed(7);
    let (mut kept, all) = (0, 100_000);
    for _ in 0..all {
        let id = random.u128(1..);
        let taken = one.take(vec![piece(id, &[("a", false)])], SECOND);
        assert_eq!(taken.kept, other.take(vec![piece(id, &[("b", true)])], SECOND).kept);
        if taken.kept[0] {
            kept += 1;
            assert_eq!(&*taken.all.trace(0).spans[0].trace_state, "ot=th:e666");
        }
    }
    let off = f64::from(kept) / (0.1 * f64::from(all)) - 1.0;
    assert!(off.abs() < 0.03, "{off}");
    // Who was kept by a parent stays, and says nothing of the ratio.
    let mut stated = piece(1, &[("a", false)]);
    stated.spans[0].parent_is_remote = true;
    let taken = one.take(vec![stated], SECOND);
    assert_eq!((taken.kept[0], &*taken.all.trace(0).spans[0].trace_state), (true, ""));
}

#[test]
fn a_budget_after_a_wait_writes_its_threshold_on_what_leaves() {
    let tail = {
        let policy = map(&[("name", text("all")), ("type", text("always_sample"))]);
        Tail::read(&map(&[("decision_wait", text("1s")), ("policies", Node::List(vec![policy]))])).unwrap()
    };
    let settings = Settings { traces_per_second: Some(10), bytes: 256 << 20, ..of_tail(tail) };
    let (mut sampler, _) = sampler(settings);
    let (mut random, mut reckoned, mut marked) = (fastrand::Rng::with_seed(3), 0.0, 0);
    let all = 50_000u64;
    for n in 0..all {
        let now = SECOND + n * SECOND / 1000;
        sampler.take(vec![piece(random.u128(1..), &[("a", false)])], now);
        let finished = if n + 1 == all { u64::MAX } else { now };
        for bundle in sampler.release(finished).kept {
            let threshold = threshold::stated(&bundle.lot()[0].spans[0].trace_state);
            marked += u32::from(threshold.is_some());
            reckoned += 1.0 / threshold.unwrap_or_default().probability();
        }
    }
    assert!((300..900).contains(&marked), "{marked} in 50 seconds of a budget of 10");
    let off = reckoned / all as f64 - 1.0;
    assert!(off.abs() < 0.12, "{off}");
}
