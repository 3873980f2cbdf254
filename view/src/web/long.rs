//! Traces as long as they may be: the work for them grows with their length, and others are answered meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::detail::Detail;
use super::serve::Patience;
use super::tests::{Viewed, viewed};
use crate::store::stop::Stop;
use crate::store::{Limits, MAX_TRACE_SPANS, Memory, unix_seconds};
use wirespan_delivery::otlp;
use wirespan_delivery::testing::{span_of, trace};
use wirespan_signals::{KeyValue, Link, Scope, Span, SpanKind, hex};

const LONG: u64 = MAX_TRACE_SPANS as u64;

/// A trace of which every span has a scope, a resource and a sender of its own, children before their parents: the worst
/// order for whoever looks for the root, and the worst spans for whoever looks for what they share.
fn long(id: u8, spans: u64) -> Vec<Span> {
    let sender = |n: u64| Link {
        trace_id: [id; 16],
        span_id: (n + 1).to_be_bytes(),
        trace_state: "".into(),
        attributes: Vec::new(),
    };
    let now = unix_seconds() * 1_000_000_000;
    let one = |n: u64| Span {
        trace_id: [id; 16],
        span_id: (n + 1).to_be_bytes(),
        parent_span_id: n.to_be_bytes(),
        kind: SpanKind::Consumer,
        start_unix_nano: now + n,
        end_unix_nano: now + n + 1000,
        attributes: vec![KeyValue::int("n", n as i64), KeyValue::str("some.text", format!("text {n}"))],
        links: vec![sender(spans - 1 - n)],
        scope: Some(Arc::new(Scope { name: format!("scope {}", n % 7).into(), ..Scope::default() })),
        protocol: "",
        ..span_of(&format!("service {n}"), "consume")
    };
    (0..spans).rev().map(one).collect()
}

/// Processor time of this thread so far: what others do on the machine does not count.
fn spent() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The work for each thing that is done with a trace of this length.
fn work(spans: u64) -> Vec<(&'static str, Duration)> {
    let mut memory = Memory::new(Limits { bytes: 1 << 30, traces: 10 });
    let all = long(9, spans);
    let mut done = Vec::new();
    let mut begun = spent();
    let mut step = |what| {
        let now = spent();
        done.push((what, now - begun));
        begun = now;
    };
    for span in all {
        assert_eq!(memory.insert(&trace(vec![span])).refused, 0);
    }
    step("taking it in, span by span");
    let deadline = Instant::now() + Duration::from_secs(20);
    while memory.operation_rates(3600, unix_seconds()).operations.is_empty() {
        assert!(Instant::now() < deadline, "it is never reckoned");
        while memory.tick(unix_seconds()) {}
        std::thread::sleep(Duration::from_millis(20));
    }
    step("reckoning it");
    let stored = memory.get(&[9; 16]).unwrap();
    assert_eq!(memory.summary(stored).services.len(), spans as usize);
    step("summing it up");
    assert!(!memory.dependencies(0, u64::MAX).is_empty());
    step("dependencies");
    let packed = memory.pack(stored);
    let read = packed.spans(&Stop::never()).unwrap();
    step("reading it");
    assert!(!otlp::request(&read).is_empty());
    step("writing it as OTLP");
    assert!(super::render(&Detail::new(&packed, read)).unwrap().len() > spans as usize);
    step("writing it as JSON");
    done
}

#[test]
fn the_work_for_a_trace_grows_with_its_length_and_not_with_its_square() {
    let (short, long) = (work(LONG / 4), work(LONG));
    for ((what, quarter), (_, whole)) in short.iter().zip(&long) {
        eprintln!("{what}: {quarter:?}, {whole:?}");
        // Four times the work is linear, sixteen times is quadratic; small amounts are noise.
        assert!(*whole < (*quarter * 10).max(Duration::from_millis(60)), "{what}: {quarter:?}, then {whole:?}");
    }
}

#[test]
fn scopes_that_say_the_same_are_one_after_the_store() {
    let mut memory = Memory::new(Limits { bytes: 1 << 30, traces: 10 });
    memory.insert(&trace(long(1, 100)));
    memory.insert(&trace(long(1, 200).into_iter().take(100).collect()));
    let spans = memory.spans(memory.get(&[1; 16]).unwrap()).unwrap();
    let mut scopes: Vec<*const Scope> = spans.iter().filter_map(|s| s.scope.as_ref().map(Arc::as_ptr)).collect();
    scopes.sort_unstable();
    scopes.dedup();
    assert_eq!((spans.len(), scopes.len()), (200, 7));
}

fn with_long_traces(count: u8) -> Viewed {
    let viewed = viewed(Patience::default());
    (1..=count).for_each(|id| viewed.export(vec![trace(long(id, LONG))]));
    assert!(viewed.until(Duration::from_secs(60), |counters| counters.store_traces.get() == u64::from(count)));
    viewed
}

#[test]
fn while_long_traces_are_read_others_are_answered() {
    let viewed = with_long_traces(2);
    let path = |id: u8, way: &str| format!("/api/v1/trace/{}{way}", hex(&[id; 16]));
    std::thread::scope(|scope| {
        let asker = viewed.asker();
        let reader = |path: String| scope.spawn(move || asker.get(&path));
        let mut readers: Vec<_> = (0..4).map(|n| reader(path(1 + n % 2, "/otlp"))).collect();
        readers.push(reader(format!("/api/traces/{}", hex(&[1; 16]))));
        readers.push(reader("/api/v1/search?attr=n=7&limit=1000".to_owned()));
        let (began, mut slowest, mut read) = (Instant::now(), Duration::ZERO, 0);
        while readers.iter().any(|reader| !reader.is_finished()) {
            for path in ["/api/v1/status", "/api/v1/operations", "/", "/api/v1/search?limit=10"] {
                let begun = Instant::now();
                assert!(viewed.get(path).starts_with("HTTP/1.1 200"), "{path}");
                slowest = slowest.max(begun.elapsed());
            }
        }
        eprintln!("the slowest other answer took {slowest:?}");
        // (Who waited for the readers would wait for nearly as long as they take.)
        let all = began.elapsed();
        assert!(slowest < (all / 2).max(Duration::from_secs(3)), "{slowest:?} of {all:?}");
        for reader in readers {
            // A busy machine may not get round to all of them; it says so then.
            let answer = reader.join().unwrap();
            let known = answer.starts_with("HTTP/1.1 200") || answer.contains("retry-after: 1");
            assert!(known, "{}", &answer[..answer.len().min(300)]);
            read += usize::from(answer.starts_with("HTTP/1.1 200"));
        }
        assert!(read > 0, "nothing was read");
    });
}

#[test]
fn who_leaves_is_not_worked_for_any_more() {
    let viewed = with_long_traces(1);
    let path = format!("/api/v1/trace/{}/otlp", hex(&[1; 16]));
    let begun = Instant::now();
    assert!(viewed.get(&path).starts_with("HTTP/1.1 200"));
    let one = begun.elapsed();
    for _ in 0..100 {
        viewed.ask_and_leave(&path);
    }
    let begun = Instant::now();
    // Two at a time would be in turn after fifty times as long.
    let answer = viewed.get(&path);
    assert!(answer.starts_with("HTTP/1.1 200"), "{}", &answer[..answer.len().min(300)]);
    assert!(begun.elapsed() < one * 20 + Duration::from_secs(1), "{one:?}, then {:?}", begun.elapsed());
}
