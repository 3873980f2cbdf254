//! Whether the store's count of its memory is the memory that it takes.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use wirespan_agent::span::{KeyValue, Resource, Span, SpanKind, Status, Trace};
use wirespan_agent::store::{Limits, Memory};

/// Counts what is allocated, as the allocator rounds it up.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);

/// glibc's malloc takes 8 bytes beside a block, and gives multiples of 16, at least 32.
fn taken(size: usize) -> usize {
    (size + 8).next_multiple_of(16).max(32)
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        HELD.fetch_sub(taken(layout.size()), Ordering::Relaxed);
        // SAFETY: the caller keeps to the contract of `dealloc`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn held() -> usize {
    HELD.load(Ordering::Relaxed)
}

/// A trace of this many spans, whose texts are its own if `unique`.
fn trace(n: u64, spans: u64, unique: bool) -> Trace {
    let own = |text: &str| if unique { format!("{text}-{n}") } else { text.to_owned() };
    let resource = Resource { attributes: vec![KeyValue::str("service.name", own("service"))] };
    let resource = Arc::new(resource);
    let span = |at: u64| Span {
        trace_id: u128::from(n + 1).to_be_bytes(),
        span_id: (at + 1).to_be_bytes(),
        parent_span_id: at.to_be_bytes(),
        trace_state: Box::default(),
        flags: 1,
        parent_is_remote: false,
        name: own("GET /orders").into(),
        kind: SpanKind::Server,
        start_unix_nano: 1_700_000_000_000_000_000 + n,
        end_unix_nano: 1_700_000_000_001_000_000 + 7 * n,
        attributes: vec![
            KeyValue::str("http.request.method", "GET"),
            KeyValue::str("url.path", format!("/orders/{n}/{at}")),
            KeyValue::int("network.peer.port", 32_768 + (n * 7 + at) as i64),
        ],
        status: if n.is_multiple_of(10) { Status::Error("".into()) } else { Status::Unset },
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::clone(&resource),
        protocol: "http",
        scope: None,
    };
    Trace { spans: (0..spans).map(span).collect() }
}

/// The store's own count, divided by what was really allocated.
fn counted(traces: u64, spans: u64, unique: bool, limits: Limits) -> f64 {
    let before = held();
    let mut memory = Memory::new(limits);
    for n in 0..traces {
        memory.insert(&trace(n, spans, unique));
        if n.is_multiple_of(1000) {
            memory.tick(1_700_000_000);
        }
    }
    let (counted, real) = (memory.bytes(), held() - before);
    println!("{traces} traces of {spans} spans, unique {unique}: counted {counted}, allocated {real}");
    counted as f64 / real as f64
}

#[test]
fn what_is_counted_is_what_is_allocated() {
    let roomy = Limits { bytes: usize::MAX, traces: usize::MAX };
    for (traces, spans, unique) in [(20_000, 1, false), (20_000, 4, false), (20_000, 4, true), (100, 2_000, false)] {
        let part = counted(traces, spans, unique, roomy);
        assert!((0.85..1.2).contains(&part), "{traces} traces of {spans} spans, unique {unique}: {part:.2}");
    }
    // And when most of what came is forgotten.
    let tight = Limits { bytes: 8 << 20, traces: usize::MAX };
    let before = held();
    let part = counted(50_000, 4, true, tight);
    assert!((0.85..1.2).contains(&part), "{part:.2}");
    assert!(held() - before < 1 << 20, "everything is given back in the end");
}
