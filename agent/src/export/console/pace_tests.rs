use crate::span::Status;
use wirespan_delivery::testing::{child_of, span_of, trace};

use super::*;

/// A request for `name` that took so many milliseconds.
fn request(name: &str, ms: u64) -> Trace {
    let mut top = span_of("shop", name);
    top.end_unix_nano = top.start_unix_nano + ms * 1_000_000;
    trace(vec![top])
}

fn failing(name: &str, ms: u64) -> Trace {
    let mut trace = request(name, ms);
    let mut below = child_of(&trace.spans[0], "stock", "GET");
    below.status = Status::Error("".into());
    trace.spans.push(below);
    trace
}

fn names(traces: &[Trace]) -> Vec<(&str, u64)> {
    traces.iter().map(|t| (&*t.spans[0].name, measure(t).0 / 1_000_000)).collect()
}

fn short(digest: Option<Digest>) -> (Rates, Vec<Trace>) {
    match digest {
        Some(Digest::Short { rates, chosen }) => (rates, chosen),
        other => panic!("{other:?}"),
    }
}

/// A pace whose last window was crowded, and when the next may begin.
fn crowded(begin: Instant) -> (Pace, Instant) {
    let mut pace = Pace::default();
    for _ in 0..=READABLE {
        pace.shows(&request("a", 1), begin);
    }
    assert!(pace.close(Some(begin + WINDOW)).is_some());
    (pace, begin + WINDOW)
}

#[test]
fn few_traces_are_each_shown_at_once() {
    let (mut pace, mut now) = (Pace::default(), Instant::now());
    for _ in 0..5 {
        for _ in 0..READABLE {
            assert!(pace.shows(&failing("a", 1), now));
        }
        assert_eq!(pace.close(Some(now + WINDOW / 2)), None, "the window is not over");
        now += WINDOW;
        assert_eq!(pace.close(Some(now)), None, "nothing waits");
    }
}

#[test]
fn of_many_the_failing_and_the_slowest_are_shown_and_the_rest_is_counted() {
    let (mut pace, now) = (Pace::default(), Instant::now());
    let shown = (0..1000).filter(|i| pace.shows(&request("ok", 1 + i % 100), now)).count();
    assert_eq!(shown, READABLE);
    for ms in [3, 9, 5] {
        pace.shows(&failing("a", ms), now);
    }
    pace.shows(&failing("b", 1), now);
    pace.shows(&request("slow", 5000), now);
    pace.shows(&request("ok", 1), now);
    let (rates, chosen) = short(pace.close(Some(now + WINDOW)));
    assert_eq!(names(&chosen), [("a", 9), ("b", 1), ("slow", 5000)]);
    assert_eq!((rates.per_second, rates.errors_per_second), (503.0, 2.0));
    assert_eq!(rates.hidden, 1006 - READABLE as u64 - 3);
    assert!((48_000_000..=52_000_000).contains(&rates.p50), "{}", rates.p50);
}

#[test]
fn a_crowd_of_one_failure_does_not_hide_another() {
    let (mut pace, now) = crowded(Instant::now());
    for ms in 0..500 {
        pace.shows(&failing("common", ms), now);
    }
    pace.shows(&failing("rare", 1), now);
    let (_, chosen) = short(pace.close(Some(now + WINDOW)));
    assert_eq!(names(&chosen), [("common", 499), ("rare", 1)]);
}

#[test]
fn when_it_is_quiet_again_nothing_is_left_out() {
    let (mut pace, now) = crowded(Instant::now());
    for ms in 0..READABLE as u64 {
        assert!(!pace.shows(&request("a", ms), now), "it may become a crowd");
    }
    match pace.close(Some(now + WINDOW)) {
        Some(Digest::Whole(traces)) => assert_eq!(traces.len(), READABLE),
        other => panic!("{other:?}"),
    }
    assert!(pace.shows(&request("a", 1), now + WINDOW), "shown at once from here on");
}

#[test]
fn what_waits_is_shown_when_the_agent_stops() {
    let (mut pace, now) = crowded(Instant::now());
    pace.shows(&request("last", 1), now);
    assert!(matches!(pace.close(None), Some(Digest::Whole(traces)) if names(&traces) == [("last", 1)]));
    assert_eq!(pace.close(None), None);
}

#[test]
fn little_is_held_however_much_passes() {
    let (mut pace, now) = crowded(Instant::now());
    for i in 0..50_000 {
        pace.shows(&failing(&format!("name {i}"), i), now);
        pace.shows(&request("a", i), now);
    }
    let window = pace.window.as_ref().unwrap();
    assert!(window.first.len() <= READABLE && window.failing.len() <= FAILING && window.slowest.len() <= SLOWEST);
}

#[test]
fn the_line_says_what_happened_and_fits() {
    let rates = Rates { per_second: 812.4, errors_per_second: 2.5, p50: 1_200_000, p95: 8_010_000, hidden: 807 };
    let whole = "812 requests/s  2.5 errors/s  p50 1.20 ms  p95 8.01 ms  807 traces not shown";
    assert_eq!(rates.line(None), format!("{whole} (--follow shows all)"));
    assert_eq!(rates.line(Some(80)), whole);
    for columns in 0..120 {
        assert!(width(&rates.line(Some(columns))) <= columns);
    }
}
