//! Sick programs, and healthy ones that look like them.

use std::sync::Arc;

use wirespan_delivery::testing::{child_of, span_of, trace};
use wirespan_signals::{KeyValue, Resource, Span, SpanKind, Status, Trace};

use super::*;

const MS: u64 = 1_000_000;
const LIMITS: Limits = Limits { slow_statement: Duration::from_millis(500) };

/// A request and the calls that it makes, one after the other.
struct Request {
    spans: Vec<Span>,
    /// When the next call is made, after the request began.
    at: u64,
}

impl Request {
    fn new(code: i64) -> Self {
        let mut root = span_of("shop", "GET /orders");
        root.attributes.push(KeyValue::int("http.response.status_code", code));
        if code >= 500 {
            root.status = Status::Error("".into());
        }
        root.end_unix_nano = root.start_unix_nano + 60_000 * MS;
        Self { spans: vec![root], at: MS }
    }

    fn wait(mut self, millis: u64) -> Self {
        self.at += millis * MS;
        self
    }

    fn call(mut self, name: &str, millis: u64, attributes: Vec<KeyValue>) -> Self {
        let root = &self.spans[0];
        let start = root.start_unix_nano + self.at;
        let resource = Arc::<Resource>::clone(&root.resource);
        let call = Span { kind: SpanKind::Client, resource, ..child_of(root, "shop", name) };
        self.at += millis * MS + MS / 10;
        let failed = attributes.iter().any(|attribute| attribute.key == "error.type");
        let status = if failed { Status::Error("".into()) } else { Status::Unset };
        self.spans.push(Span {
            start_unix_nano: start,
            end_unix_nano: start + millis * MS,
            attributes,
            status,
            ..call
        });
        self
    }

    fn sql(self, statement: &'static str) -> Self {
        let attributes = vec![
            KeyValue::str("db.system.name", "postgresql"),
            KeyValue::str("db.query.text", statement),
            KeyValue::str("server.address", "127.0.0.1"),
            KeyValue::int("server.port", 5432),
        ];
        self.call("SELECT", 2, attributes)
    }

    fn http(self, method: &'static str, path: &str, code: i64) -> Self {
        let template: String =
            path.split('/').map(|s| if s.parse::<u32>().is_ok() { "{id}" } else { s }).collect::<Vec<_>>().join("/");
        let mut attributes = vec![
            KeyValue::str("http.request.method", method),
            KeyValue::str("url.full", format!("http://stock:80{path}")),
            KeyValue::str("url.template", template),
            KeyValue::int("http.response.status_code", code),
            KeyValue::str("server.address", "stock"),
        ];
        if code >= 400 {
            attributes.push(KeyValue::str("error.type", code.to_string()));
        }
        self.call("GET", 2, attributes)
    }

    fn many(self, n: u32, step: impl Fn(Self, u32) -> Self) -> Self {
        (0..n).fold(self, step)
    }

    fn trace(self) -> Trace {
        trace(self.spans)
    }

    fn found(self) -> Vec<&'static str> {
        find(&self.trace(), &LIMITS).iter().map(|finding| finding.kind.name()).collect()
    }
}

const ALL: &str = "SELECT id FROM orders";
const ONE: &str = "SELECT * FROM lines WHERE order_id = $1";

#[test]
fn a_statement_for_each_row_of_another_is_found() {
    let sick = || Request::new(200).sql(ALL).many(130, |r, _| r.sql(ONE));
    assert_eq!(sick().found(), ["n_plus_one"]);
    let finding = &find(&sick().trace(), &LIMITS)[0];
    assert!(
        finding.evidence.starts_with("130 × SELECT * FROM lines WHERE order_id = $1, one after the other, 260.0 ms"),
        "{}",
        finding.evidence
    );
    assert_eq!(Request::new(200).many(12, |r, n| r.http("GET", &format!("/stock/{n}"), 200)).found(), ["n_plus_one"]);
}

#[test]
fn what_looks_like_it_and_is_not_is_not_told() {
    let plus = |statement: &'static str| Request::new(200).sql(ALL).many(50, move |r, _| r.sql(statement)).found();
    for statement in [
        "SELECT * FROM lines WHERE id > $1 LIMIT $2",
        "SELECT * FROM lines LIMIT $1 OFFSET $2",
        "INSERT INTO lines VALUES ($1)",
        "UPDATE lines SET n = $1 WHERE id = $2",
        "SELECT * FROM lines WHERE id = $1 FOR UPDATE",
        "SELECT nextval($1)",
    ] {
        assert_eq!(plus(statement), [] as [&str; 0], "{statement}");
    }
    let none: [&str; 0] = [];
    assert_eq!(Request::new(200).sql(ALL).many(9, |r, _| r.sql(ONE)).found(), none, "few");
    assert_eq!(Request::new(200).many(50, |r, _| r.sql(ONE)).found(), none, "nothing was asked for before");
    assert_eq!(Request::new(200).sql(ALL).many(50, |r, _| r.wait(100).sql(ONE)).found(), none, "it waits: it polls");
    // At a time.
    let mut together = Request::new(200).sql(ALL).many(50, |r, _| r.sql(ONE));
    let start = together.spans[2].start_unix_nano;
    together.spans[2..].iter_mut().for_each(|span| (span.start_unix_nano, span.end_unix_nano) = (start, start + MS));
    assert_eq!(together.found(), none);
    // Of two requests.
    let mut apart = Request::new(200).sql(ALL).many(12, |r, _| r.sql(ONE));
    let other = child_of(&apart.spans[0], "shop", "GET /other");
    apart.spans[2..8].iter_mut().for_each(|span| span.parent_span_id = other.span_id);
    apart.spans.push(other);
    assert_eq!(apart.found(), none);
    assert_eq!(Request::new(200).many(40, |r, _| r.http("GET", "/jobs/7", 200).wait(100)).found(), none, "it polls");
    assert_eq!(Request::new(200).many(40, |r, n| r.http("POST", &format!("/stock/{n}"), 200)).found(), none);
}

#[test]
fn the_very_same_asked_again_is_found_and_nothing_else() {
    let none: [&str; 0] = [];
    let settings = "SELECT * FROM settings";
    assert_eq!(Request::new(200).many(4, |r, _| r.sql(settings)).found(), ["repeated_call"]);
    assert_eq!(Request::new(200).many(3, |r, _| r.http("GET", "/rates", 200)).found(), ["repeated_call"]);
    assert_eq!(Request::new(200).many(4, |r, _| r.sql(ONE)).found(), none, "with other values perhaps");
    assert_eq!(Request::new(200).many(4, |r, _| r.sql("SELECT now() FROM dual")).found(), none, "it may change");
    assert_eq!(Request::new(200).many(4, |r, _| r.sql(settings).wait(1000)).found(), none, "it polls");
    let written = |r: Request, _| r.sql(settings).sql("UPDATE settings SET a = $1");
    assert_eq!(Request::new(200).many(4, written).found(), none, "it was changed in between");
    assert_eq!(Request::new(200).many(4, |r, _| r.http("GET", "/rates?key=REDACTED", 200)).found(), none);
    assert_eq!(Request::new(200).many(4, |r, _| r.http("POST", "/rates", 200)).found(), none);
}

#[test]
fn attempts_and_their_cause_are_told() {
    let none: [&str; 0] = [];
    let tried = Request::new(200)
        .http("GET", "/rates", 503)
        .wait(200)
        .http("GET", "/rates", 503)
        .wait(400)
        .http("GET", "/rates", 200);
    let finding = &find(&tried.trace(), &LIMITS)[0];
    assert_eq!(finding.kind, Kind::Retries);
    assert_eq!(finding.evidence, "GET tried 3 times because of 503, then it went well; 604.2 ms lost");
    assert_eq!(Request::new(500).http("GET", "/a", 503).http("GET", "/b", 503).found(), none, "not the same");
    assert_eq!(Request::new(500).http("POST", "/a", 503).http("POST", "/a", 503).found(), none, "perhaps not the same");
    assert_eq!(Request::new(200).http("GET", "/a", 404).http("GET", "/a", 404).found(), none, "that is an answer");
}

#[test]
fn a_failure_below_a_success_is_told() {
    let none: [&str; 0] = [];
    assert_eq!(Request::new(200).http("POST", "/pay", 500).found(), ["error_swallowed"]);
    assert_eq!(Request::new(500).http("POST", "/pay", 500).found(), none, "it was passed on");
    assert_eq!(
        Request::new(200).http("GET", "/pay", 500).http("GET", "/pay", 200).found(),
        ["retries"],
        "it was mended"
    );
    let elsewhere = Request::new(200).http("POST", "/pay", 500).http("POST", "/pay-at-another", 200);
    assert_eq!(elsewhere.found(), none, "the other may have taken its place");
    assert_eq!(Request::new(200).http("GET", "/a", 200).http("POST", "/pay", 500).found(), ["error_swallowed"]);
    assert_eq!(Request::new(200).http("GET", "/cached", 404).found(), none, "that is an answer");
    let late = |mut request: Request| {
        let end = request.spans[1].end_unix_nano;
        request.spans[0].end_unix_nano = end - 1;
        request
    };
    assert_eq!(late(Request::new(200).http("POST", "/log", 500)).found(), none, "the answer was there before");
}

#[test]
fn slow_statements_are_told_by_the_limit_and_marks_are_on_the_root() {
    let slow = |millis| {
        let attributes =
            vec![KeyValue::str("db.system.name", "mysql"), KeyValue::str("db.query.text", "SELECT sleep(?)")];
        Request::new(200).call("SELECT", millis, attributes)
    };
    assert_eq!(slow(499).found(), [] as [&str; 0]);
    let mut told = slow(800).sql(ALL).many(20, |r, _| r.sql(ONE)).trace();
    assert!(mark(&mut told, &LIMITS));
    let root = &told.spans[0];
    let of = |key: &str| {
        root.attributes.iter().find(|attribute| attribute.key == key).map(|attribute| attribute.value.clone())
    };
    assert_eq!(
        of(FINDINGS),
        Some(Value::StrArray(vec!["slow_statement".into(), "n_plus_one".into()])),
        "the dearest first"
    );
    let Some(Value::Str(evidence)) = of("wirespan.finding.slow_statement") else { panic!("{root:?}") };
    assert_eq!(
        evidence,
        format!("SELECT sleep(?) took 800.0 ms, and 500.0 ms is the limit (span {})", hex(&told.spans[1].span_id))
    );
}

#[test]
fn of_many_calls_that_failed_each_is_looked_at_a_few_times() {
    // (Where each were compared with each, this would take minutes.)
    let mut failed = Request::new(200).many(20_000, |r, n| r.http("GET", &format!("/a/{}", n % 10_000), 503));
    failed = failed.http("GET", "/other", 200);
    let found = find(&failed.trace(), &LIMITS);
    assert!(found.iter().all(|finding| finding.kind == Kind::Retries) && found.len() == MAX_FINDINGS);
}

/// A call over a connection that began to be opened so many milliseconds before it; over an older one, if that is `None`.
fn over(request: Request, opened: Option<u64>, code: i64) -> Request {
    let mut request = request.wait(opened.unwrap_or(0)).http("GET", &format!("/stock/{}", request_number()), code);
    let call = request.spans.last_mut().expect("a call");
    call.attributes.push(KeyValue::int("server.port", 80));
    if let Some(millis) = opened {
        let value = Value::Double(millis as f64 / 1e3);
        call.attributes.push(KeyValue { key: "wirespan.connect.time".into(), value });
    }
    request
}

fn request_number() -> u32 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(1);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

#[test]
fn a_connection_for_each_call_is_found_and_nothing_like_it() {
    let each = |request, _| over(request, Some(3), 200);
    let found = find(&Request::new(200).many(4, each).trace(), &LIMITS);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(
        found[0].evidence,
        "4 calls to stock:80, one after the other, and a connection opened for each: 12.0 ms for that"
    );
    let nothing: [&'static str; 0] = [];
    assert_eq!(Request::new(200).many(2, each).found(), nothing, "two may be the first of two pools");
    assert_eq!(over(Request::new(200).many(4, each), None, 200).found(), nothing, "it keeps connections as well");
    let early = |request, _| over(request, Some(3), 200);
    let before = |request: Request| over(Request { at: 0, ..request }, Some(5), 200);
    let mut warm = before(Request::new(200)).many(3, early);
    warm.spans[1].start_unix_nano = warm.spans[0].start_unix_nano;
    assert_eq!(warm.found(), nothing, "the first was opened before the request came");
    assert_eq!(
        Request::new(500).many(4, |request, _| over(request, Some(3), 404)).found(),
        nothing,
        "those that failed"
    );
    // Two at a time: neither could have had the other's.
    let mut at_a_time = Request::new(200).many(4, each);
    for pair in [1, 3] {
        at_a_time.spans[pair + 1].start_unix_nano = at_a_time.spans[pair].start_unix_nano + 1;
    }
    assert_eq!(at_a_time.found(), nothing);
}

#[test]
fn who_had_work_and_no_cpu_is_told_if_that_mattered() {
    let waited = |millis: u64, of: u64| {
        let mut root = span_of("shop", "GET /orders");
        root.end_unix_nano = root.start_unix_nano + of * MS;
        let value = Value::Double(millis as f64 / 1e3);
        root.attributes.push(KeyValue { key: "wirespan.time.runqueue".into(), value });
        find(&trace(vec![root]), &LIMITS)
    };
    let found = waited(14, 61);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].evidence, "shop had work, and waited 14.0 ms of the 61.0 ms of GET /orders for a CPU");
    assert!(waited(9, 20).is_empty() && waited(14, 161).is_empty());
}
