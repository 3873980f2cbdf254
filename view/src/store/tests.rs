//! The store as a whole: what is found, what is merged, what goes first.

use std::sync::atomic::{AtomicU64, Ordering};

use super::filter::{Filter, Outcome, Prefix};
use super::query::Sort;
use super::{Limits, Memory, stats};
use wirespan_delivery::testing::{child_of, span_of, trace};
use wirespan_signals::{KeyValue, Link, Span, SpanKind, Status, Trace};

const ROOMY: Limits = Limits { bytes: 64 << 20, traces: 1000 };
const MS: u64 = 1_000_000;
/// When test spans begin, Unix time in seconds.
const BEGIN: u64 = 1_700_000_000;

static NEXT: AtomicU64 = AtomicU64::new(1);

fn id() -> [u8; 16] {
    u128::from(NEXT.fetch_add(1, Ordering::Relaxed)).to_be_bytes()
}

/// A root with a trace of its own.
fn root(service: &str, name: &str, millis: u64) -> Span {
    let mut span = Span { trace_id: id(), ..span_of(service, name) };
    span.end_unix_nano = span.start_unix_nano + millis * MS;
    span
}

fn child(parent: &Span, service: &str, name: &str, kind: SpanKind) -> Span {
    Span { trace_id: parent.trace_id, kind, ..child_of(parent, service, name) }
}

fn failed(span: Span) -> Span {
    let mut span = Span { status: Status::Error("broken".into()), ..span };
    span.attributes.push(KeyValue::str("error.type", "timeout"));
    span
}

fn with(span: Span, attributes: &[(&'static str, &'static str)]) -> Span {
    let mut span = span;
    span.attributes.extend(attributes.iter().map(|(key, value)| KeyValue::str(key, *value)));
    span
}

fn memory(limits: Limits, traces: Vec<Trace>) -> Memory {
    let mut memory = Memory::new(limits);
    for trace in &traces {
        memory.insert(trace);
    }
    memory
}

fn names(memory: &Memory, filter: &Filter) -> Vec<String> {
    memory.search(filter, Sort::Slow, 100).traces.into_iter().map(|summary| summary.name).collect()
}

#[test]
fn each_filter_finds_what_it_says_and_nothing_else() {
    let shop = root("shop", "GET /orders", 30);
    let id = shop.trace_id;
    let call = with(child(&shop, "stock", "GET /stock", SpanKind::Server), &[("order.id", "123")]);
    let lone = failed(root("prices", "GET /price", 10));
    let memory = memory(ROOMY, vec![trace(vec![shop.clone(), call]), trace(vec![lone])]);
    let (both, first, second) = (vec!["GET /orders", "GET /price"], vec!["GET /orders"], vec!["GET /price"]);
    let text = |text: &str| Some(text.to_owned());
    let attribute = |key: &str, value: Option<&str>| vec![(key.to_owned(), value.map(str::to_owned))];
    let start = shop.start_unix_nano;
    let cases = [
        (Filter::default(), both.clone()),
        (Filter { service: text("stock"), ..Filter::default() }, first.clone()),
        (Filter { service: text("nobody"), ..Filter::default() }, vec![]),
        (Filter { operation: text("GET /stock"), ..Filter::default() }, first.clone()),
        (Filter { service: text("shop"), operation: text("GET /stock"), ..Filter::default() }, vec![]),
        (Filter { min: Some(20 * MS), ..Filter::default() }, first.clone()),
        (Filter { max: Some(20 * MS), ..Filter::default() }, second.clone()),
        (Filter { outcome: Some(Outcome::Error), ..Filter::default() }, second.clone()),
        (Filter { outcome: Some(Outcome::Ok), ..Filter::default() }, first.clone()),
        (Filter { attributes: attribute("order.id", Some("123")), ..Filter::default() }, first.clone()),
        (Filter { attributes: attribute("order.id", Some("12")), ..Filter::default() }, vec![]),
        (Filter { attributes: attribute("order.id", None), ..Filter::default() }, first.clone()),
        (Filter { attributes: attribute("service.name", Some("stock")), ..Filter::default() }, first.clone()),
        (Filter { attributes: attribute("error.type", Some("timeout")), ..Filter::default() }, second),
        (Filter { trace: Prefix::parse(&wirespan_signals::hex(&id)), ..Filter::default() }, first),
        (Filter { from: Some(start + 1), ..Filter::default() }, vec![]),
        (Filter { to: Some(start), ..Filter::default() }, both),
    ];
    for (filter, expected) in cases {
        assert_eq!(names(&memory, &filter), expected, "{filter:?}");
    }
}

#[test]
fn pieces_of_a_trace_are_one_trace_whose_root_is_the_one_above() {
    let top = root("shop", "GET /", 50);
    let late = child(&top, "shop", "GET /stock", SpanKind::Client);
    let mut memory = memory(ROOMY, vec![trace(vec![late.clone()])]);
    let summary = |memory: &Memory| memory.search(&Filter::default(), Sort::Recent, 10).traces.remove(0);
    assert_eq!((summary(&memory).name.as_str(), summary(&memory).complete), ("GET /stock", false));
    memory.insert(&trace(vec![failed(top.clone())]));
    let whole = summary(&memory);
    assert_eq!((whole.name.as_str(), whole.spans, whole.errors, whole.complete), ("GET /", 2, 1, true));
    assert_eq!((whole.duration_ns, whole.error_type.as_deref()), (50 * MS, Some("timeout")));
    assert_eq!(memory.traces(), 1);
    let stored = memory.get(&top.trace_id).unwrap();
    assert_eq!(memory.spans(stored).unwrap(), [late, failed(top)]);
}

#[test]
fn a_search_lists_the_first_and_counts_all() {
    let memory = memory(ROOMY, (1..=50).map(|ms| trace(vec![root("shop", "GET /", ms)])).collect());
    let found = memory.search(&Filter::default(), Sort::Slow, 10);
    assert_eq!((found.traces.len(), found.matched, found.searched, found.truncated), (10, 50, 50, true));
    let slowest: Vec<u64> = found.traces.iter().map(|t| t.duration_ns / MS).collect();
    assert_eq!(slowest, (41..=50).rev().collect::<Vec<_>>());
    assert!(!memory.search(&Filter::default(), Sort::Recent, 50).truncated);
}

#[test]
fn the_oldest_goes_first_and_what_failed_goes_last() {
    let limits = Limits { traces: 10, ..ROOMY };
    let mut memory = Memory::new(limits);
    let bad = failed(root("shop", "GET /bad", 1));
    memory.insert(&trace(vec![bad.clone()]));
    let ordinary: Vec<Span> = (0..30).map(|_| root("shop", "GET /", 1)).collect();
    let evicted: usize = ordinary.iter().map(|span| memory.insert(&trace(vec![span.clone()])).evicted).sum();
    assert_eq!((memory.traces(), evicted), (10, 21));
    assert!(memory.get(&bad.trace_id).is_some(), "a failed trace outlives those after it");
    assert!(memory.get(&ordinary[20].trace_id).is_none() && memory.get(&ordinary[21].trace_id).is_some());
}

#[test]
fn failed_traces_alone_do_not_drive_all_others_out() {
    let mut memory = Memory::new(Limits { traces: 10, ..ROOMY });
    let ordinary: Vec<Span> = (0..4).map(|_| root("shop", "GET /", 1)).collect();
    for span in &ordinary {
        memory.insert(&trace(vec![span.clone()]));
    }
    for _ in 0..100 {
        memory.insert(&trace(vec![failed(root("shop", "GET /bad", 1))]));
    }
    assert_eq!(memory.traces(), 10);
    assert!(ordinary.iter().all(|span| memory.get(&span.trace_id).is_some()));
}

#[test]
fn bytes_are_bounded_and_all_given_back() {
    let limits = Limits { bytes: 4 << 20, traces: usize::MAX };
    let mut memory = Memory::new(limits);
    for n in 0..20_000_u64 {
        let span = with(root(&format!("service-{}", n % 50), &format!("GET /{n}"), n % 40), &[("a", "b")]);
        memory.insert(&trace(vec![if n % 10 == 0 { failed(span) } else { span }]));
        assert!(memory.bytes() <= limits.bytes, "{} after {n}", memory.bytes());
    }
    let found = memory.search(&Filter::default(), Sort::Recent, 1).matched;
    assert_eq!(found, memory.traces());
    // A trace of one span takes less than a kilobyte; a third of so small a store goes to figures and to tables that grow by doubling.
    assert!(found > 1_000 && found < 16_000, "{found}");
}

#[test]
fn a_trace_without_end_is_cut_off() {
    let top = root("shop", "GET /", 50);
    let mut memory = memory(ROOMY, vec![trace(vec![top.clone()])]);
    let piece = |n: usize| trace((0..n).map(|_| child(&top, "shop", "c", SpanKind::Internal)).collect());
    assert_eq!(memory.insert(&piece(super::MAX_TRACE_SPANS - 1)).refused, 0);
    assert_eq!(memory.insert(&piece(1)).refused, 1);
    assert_eq!(memory.span_count(), super::MAX_TRACE_SPANS);
}

/// Reckons everything that has arrived.
fn reckon(memory: &mut Memory) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while memory.operation_rates(stats::MEMORY, BEGIN).operations.is_empty() && std::time::Instant::now() < deadline {
        memory.tick(BEGIN);
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
}

#[test]
fn what_makes_no_spans_is_called_as_its_address_says_where_that_is_known() {
    let shop = root("shop", "GET /orders", 30);
    let place: [(&'static str, &'static str); 2] = [("server.address", "10.96.0.7"), ("service.peer.name", "cart")];
    let call = with(child(&shop, "shop", "GET /cart", SpanKind::Client), &place);
    let named = [("db.system.name", "postgresql"), ("service.peer.name", "orders-db")];
    let query = with(child(&shop, "shop", "SELECT items", SpanKind::Client), &named);
    let mut memory = memory(ROOMY, vec![trace(vec![shop, call, query])]);
    reckon(&mut memory);
    let map = memory.map(stats::MEMORY, BEGIN);
    let edges: Vec<_> = map.edges.iter().map(|edge| (edge.from.as_str(), edge.to.as_str())).collect();
    assert_eq!(edges, [("shop", "cart"), ("shop", "orders-db")]);
}

#[test]
fn calls_are_edges_between_services_and_to_what_makes_no_spans() {
    let shop = root("shop", "GET /orders", 30);
    let call = child(&shop, "shop", "GET /stock", SpanKind::Client);
    let callee = failed(child(&call, "stock", "GET /stock", SpanKind::Server));
    let query = with(child(&callee, "stock", "SELECT items", SpanKind::Client), &[("db.system.name", "postgresql")]);
    let send = with(child(&shop, "shop", "send orders", SpanKind::Producer), &[("messaging.system", "rabbitmq")]);
    let mut receive = with(root("worker", "process orders", 3), &[("messaging.system", "rabbitmq")]);
    receive.kind = SpanKind::Consumer;
    let link = Link { trace_id: send.trace_id, span_id: send.span_id, trace_state: "".into(), attributes: vec![] };
    receive.links.push(link);
    let mut memory = memory(ROOMY, vec![trace(vec![shop, call, callee, query, send]), trace(vec![receive])]);
    reckon(&mut memory);
    let map = memory.map(stats::MEMORY, BEGIN);
    let edges: Vec<_> = map.edges.iter().map(|e| (e.from.as_str(), e.to.as_str(), e.protocol.as_str())).collect();
    let expected = [("shop", "stock", "http"), ("shop", "worker", "rabbitmq"), ("stock", "postgresql", "postgresql")];
    assert_eq!(edges, expected);
    assert_eq!(map.edges[0].rates.errors, 1, "the callee failed");
    let nodes: Vec<_> = map.nodes.iter().map(|n| (n.service.as_str(), n.external, n.rates.calls)).collect();
    assert_eq!(nodes, [("shop", false, 1), ("stock", false, 1), ("worker", false, 1), ("postgresql", true, 1)]);
    let dependencies = memory.dependencies(0, u64::MAX);
    let pairs: Vec<_> = dependencies.iter().map(|d| (d.parent.as_str(), d.child.as_str(), d.call_count)).collect();
    assert_eq!(pairs, [("shop", "stock", 1), ("shop", "worker", 1)]);
    let operations = memory.operation_rates(stats::MEMORY, BEGIN).operations;
    let orders = operations.iter().find(|o| o.operation == "GET /orders").unwrap();
    assert!((0.96..1.04).contains(&(orders.rates.p95_ns as f64 / 30e6)), "{}", orders.rates.p95_ns);
}

#[test]
fn durations_over_time_are_counted_in_cells() {
    let memory = memory(ROOMY, vec![trace(vec![root("a", "x", 1)]), trace(vec![failed(root("a", "y", 1000))])]);
    let heat = memory.histogram(&Filter::default(), 10, 4);
    assert_eq!(heat.rows.len(), 4);
    assert_eq!(heat.rows[0].min_ns, MS);
    assert_eq!(heat.rows[3].max_ns, 1000 * MS);
    assert_eq!(heat.cells, [(0, 0, 1, 0), (0, 3, 1, 1)]);
    let none = memory.histogram(&Filter { service: Some("z".into()), ..Filter::default() }, 10, 4);
    assert!(none.cells.is_empty());
}

#[test]
fn names_are_suggested_in_order() {
    let memory = memory(ROOMY, vec![trace(vec![with(root("shop", "GET /", 1), &[("order.id", "1")])])]);
    assert_eq!(memory.services("s"), ["shop"]);
    assert_eq!(memory.operations(Some("shop"), ""), [("GET /".to_owned(), SpanKind::Server)]);
    assert!(memory.operations(Some("stock"), "").is_empty());
    assert_eq!(memory.keys("order"), ["order.id"]);
}

#[test]
fn who_watches_is_told_what_changed_and_how_much_is_forgotten() {
    let mut memory = memory(ROOMY, vec![trace(vec![root("a", "x", 1)])]);
    let change = memory.change();
    let top = root("a", "y", 1);
    memory.insert(&trace(vec![child(&top, "a", "z", SpanKind::Client)]));
    memory.insert(&trace(vec![top.clone()]));
    let (changed, forgotten) = memory.changed_since(change);
    let ids: Vec<_> = changed.map(|stored| stored.id).collect();
    assert_eq!((ids, forgotten), (vec![top.trace_id], 0), "once, though it changed twice");
    for _ in 0..20_000 {
        memory.insert(&trace(vec![root("a", "x", 1)]));
    }
    let (changed, forgotten) = memory.changed_since(change);
    assert_eq!(changed.count(), 1000, "as many as are kept");
    assert_eq!(forgotten, 20_002 - 16_384);
}

#[test]
fn what_sampling_dropped_goes_first_unless_it_failed() {
    let mut memory = Memory::new(Limits { traces: 4, ..ROOMY });
    let spans = ["old", "dropped", "failed"].map(|name| root("shop", name, 1));
    let [old, dropped, broken] = spans;
    let broken = failed(broken);
    for span in [&old, &dropped, &broken] {
        memory.insert(&trace(vec![span.clone()]));
    }
    memory.dispense_with(&dropped.trace_id);
    memory.dispense_with(&broken.trace_id);
    memory.dispense_with(&id());
    memory.insert(&trace(vec![root("shop", "new", 1)]));
    assert!(memory.get(&dropped.trace_id).is_some(), "there is room");
    memory.insert(&trace(vec![root("shop", "newer", 1)]));
    assert!(memory.get(&dropped.trace_id).is_none() && memory.get(&old.trace_id).is_some());
    memory.insert(&trace(vec![root("shop", "newest", 1)]));
    assert!(memory.get(&old.trace_id).is_none() && memory.get(&broken.trace_id).is_some());
}
