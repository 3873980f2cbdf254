use std::borrow::Cow;

use crate::testing::{child_of, span, span_of, trace};
use wirespan_signals::KeyValue;

use super::*;

const PLAIN: Style = Style { color: false, width: None, rows: usize::MAX };

fn text(trace: &Trace, style: Style) -> String {
    let mut out = Vec::new();
    render(trace, style, &mut out);
    String::from_utf8(out).unwrap()
}

fn lines(trace: &Trace, style: Style) -> Vec<String> {
    text(trace, style).lines().map(str::to_owned).collect()
}

fn ms(n: u64) -> u64 {
    n * 1_000_000
}

/// curl calls nginx, which calls an application twice; the second call fails.
fn example() -> Trace {
    let day = 12 * 3600 * 1_000_000_000;
    let timed = |mut s: Span, from: u64, to: u64, code: i64| {
        (s.start_unix_nano, s.end_unix_nano) = (day + ms(from), day + ms(to));
        s.attributes = vec![KeyValue::int("http.response.status_code", code)];
        s
    };
    let client = timed(Span { kind: SpanKind::Client, ..span_of("curl", "GET") }, 0, 20, 200);
    let server = timed(child_of(&client, "nginx", "GET /orders/{id}"), 1, 19, 200);
    let first = timed(child_of(&server, "app", "GET /stock"), 2, 5, 200);
    let mut second = timed(child_of(&server, "app", "GET /price"), 6, 18, 500);
    second.status = Status::Error(Cow::Borrowed(""));
    second.attributes.push(KeyValue::str("error.type", "500"));
    trace(vec![client, server, second, first])
}

#[test]
fn a_trace_is_a_tree_in_order_of_time() {
    let id = hex(&example().spans[0].trace_id);
    let expected = format!(
        "12:00:00.000Z  trace {id}  20.0 ms  4 spans  1 error\n\
         └─ curl ‹client› GET                   20.0 ms            200\n\
         \u{20}  └─ nginx ‹server› GET /orders/{{id}}  18.0 ms  +1.00 ms  200\n\
         \u{20}     ├─ app ‹server› GET /stock       3.00 ms  +2.00 ms  200\n\
         \u{20}     └─ app ‹server› GET /price       12.0 ms  +6.00 ms  500 ✗\n\n"
    );
    assert_eq!(text(&example(), PLAIN), expected);
}

#[test]
fn where_a_span_spent_its_own_time_is_told_if_it_was_not_all_work() {
    let with = |parts: [f64; 3]| {
        let mut span = span("GET /orders");
        let attribute =
            |(part, seconds)| KeyValue { key: format!("wirespan.time.{part}").into(), value: Value::Double(seconds) };
        span.attributes = ["cpu", "runqueue", "blocked"].into_iter().zip(parts).map(attribute).collect();
        lines(&trace(vec![span]), PLAIN).swap_remove(1)
    };
    let told = with([0.038, 0.014, 0.009]);
    assert!(told.contains("(38.0 ms on CPU, 14.0 ms waiting for a CPU, 9.00 ms blocked)"), "{told}");
    for quiet in [[0.0, 0.0, 0.009], [0.05, 0.0, 0.001], [0.0; 3]] {
        assert!(!with(quiet).contains('('), "{}", with(quiet));
    }
}

#[test]
fn a_span_without_its_parent_stands_at_the_top_and_says_so() {
    let mut remote = span("a");
    (remote.parent_span_id, remote.parent_is_remote) = ([7; 8], true);
    let mut later = span("b");
    later.parent_span_id = [8; 8];
    let lines = lines(&trace(vec![remote, later]), PLAIN);
    assert!(lines[1].starts_with("├─ ") && lines[1].contains("(remote parent)"), "{lines:?}");
    assert!(lines[2].starts_with("└─ ") && lines[2].contains("(parent in another piece)"), "{lines:?}");
}

#[test]
fn circles_and_repeated_ids_lose_no_span() {
    let (mut a, mut b) = (span("a"), span("b"));
    (a.parent_span_id, b.parent_span_id) = (b.span_id, a.span_id);
    let mut own = span("own");
    own.parent_span_id = own.span_id;
    let twin = Span { name: "twin".into(), ..own.clone() };
    let lines = lines(&trace(vec![a, b, own, twin]), PLAIN);
    assert_eq!(lines.len(), 1 + 4 + 1, "{lines:?}");
}

#[test]
fn deep_traces_are_shown_whole() {
    let mut spans = vec![span("top")];
    for _ in 0..20_000 {
        spans.push(child_of(&spans[spans.len() - 1], "s", "n"));
    }
    assert_eq!(lines(&trace(spans), Style { color: true, width: Some(80), rows: usize::MAX }).len(), 1 + 20_001 + 1);
}

#[test]
fn what_is_left_out_of_a_long_trace_is_counted() {
    let lines = lines(&example(), Style { rows: 3, ..PLAIN });
    assert_eq!(lines.len(), 1 + 3 + 1 + 1, "{lines:?}");
    assert!(lines[3].contains("GET /stock") && lines[4] == "   … 1 more span", "{lines:?}");
}

#[test]
fn lines_fit_the_terminal() {
    let mut example = example();
    example.spans[1].name = "GET /a/very/long/path".repeat(20).into();
    example.spans[2].status = Status::Error("connection reset by peer ".repeat(20).into());
    for columns in [60, 80, 120, 200] {
        for line in &lines(&example, Style { width: Some(columns), ..PLAIN })[1..] {
            assert!(width(line) <= columns, "{} > {columns}: {line}", width(line));
        }
    }
    let wide = lines(&example, PLAIN);
    assert!(wide[2].contains(&example.spans[1].name[..]), "a pipe gets everything");
}

#[test]
fn narrow_terminals_do_no_harm() {
    for columns in 0..60 {
        lines(&example(), Style { color: true, width: Some(columns), ..PLAIN });
    }
}

#[test]
fn text_from_the_wire_steers_no_terminal() {
    let mut evil = span_of("sv\x1bc", "GET \x1b]0;title\x07\n└─ fake");
    evil.attributes.push(KeyValue::str("error.type", "x\x1b[31m"));
    evil.status = Status::Error("\u{9b}2J".into());
    let text = text(&trace(vec![evil]), PLAIN);
    assert!(!text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    assert_eq!(text.lines().count(), 3, "{text:?}");
}

#[test]
fn colours_change_nothing_but_colours() {
    let colored = text(&example(), Style { color: true, width: Some(100), ..PLAIN });
    assert!(colored.contains("\x1b[1;31m"), "errors are red");
    let mut plain = String::new();
    let mut rest = colored.as_str();
    while let Some(start) = rest.find("\x1b[") {
        plain.push_str(&rest[..start]);
        rest = &rest[start + rest[start..].find('m').unwrap() + 1..];
    }
    plain.push_str(rest);
    assert_eq!(plain, text(&example(), Style { width: Some(100), ..PLAIN }));
}

#[test]
fn an_exception_says_more_than_a_code() {
    let mut failed = span("GET /w");
    failed.attributes = vec![KeyValue::int("http.response.status_code", 500), KeyValue::str("error.type", "500")];
    failed.status = Status::Error(Cow::Borrowed(""));
    let attributes =
        vec![KeyValue::str("exception.type", "ValueError"), KeyValue::str("exception.message", "n=\u{1b}7")];
    failed.events = vec![wirespan_signals::SpanEvent { time_unix_nano: 1, name: "exception".into(), attributes }];
    let mut handled = failed.clone();
    handled.attributes[0] = KeyValue::int("http.response.status_code", 200);
    handled.status = Status::Unset;
    let lines = lines(&trace(vec![failed, handled]), PLAIN);
    assert!(
        lines[1].ends_with("500 ✗ ValueError: n=\\x1b7") && lines[2].ends_with("200 ✗ ValueError: n=\\x1b7"),
        "{lines:?}"
    );
}
