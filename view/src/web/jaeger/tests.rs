//! A trace in Jaeger's words.

use serde_json::{Value as Json, json};

use super::model::Trace;
use wirespan_delivery::testing::full_span;
use wirespan_signals::Span;

#[test]
fn every_field_of_a_span_is_where_jaeger_has_it() {
    let trace = serde_json::to_value(Trace::new(&[1; 16], &[full_span()])).unwrap();
    let tag = |key: &str, kind: &str, value: Json| json!({"key": key, "type": kind, "value": value});
    let expected = json!({
        "traceID": "01010101010101010101010101010101",
        "spans": [{
            "traceID": "01010101010101010101010101010101",
            "spanID": "0202020202020202",
            "flags": 1,
            "operationName": "GET /a\nb",
            "references": [
                {"refType": "CHILD_OF", "traceID": "01010101010101010101010101010101", "spanID": "0303030303030303"},
                {"refType": "FOLLOWS_FROM", "traceID": "04040404040404040404040404040404", "spanID": "0505050505050505"},
            ],
            "startTime": 1_700_000_000_000_000_u64,
            "duration": 0,
            "tags": [
                tag("s", "string", json!("x")),
                tag("i", "int64", json!(-1)),
                tag("b", "bool", json!(true)),
                tag("d", "float64", json!(1.5)),
                tag("a", "string", json!("[\"p\",\"q\"]")),
                tag("span.kind", "string", json!("server")),
                tag("otel.scope.name", "string", json!("wirespan/http")),
                tag("w3c.tracestate", "string", json!("k=v")),
                tag("otel.status_code", "string", json!("ERROR")),
                tag("otel.status_description", "string", json!("broken")),
                tag("error", "bool", json!(true)),
            ],
            "logs": [{
                "timestamp": 1_700_000_000_000_000_u64,
                "fields": [tag("event", "string", json!("e")), tag("e", "string", json!("v"))],
            }],
            "processID": "p1",
            "warnings": null,
        }],
        "processes": {"p1": {"serviceName": "full", "tags": []}},
        "warnings": null,
    });
    assert_eq!(trace, expected);
}

#[test]
fn an_id_whose_upper_half_is_zero_has_16_digits() {
    let id = 0xab_u128.to_be_bytes();
    let span = Span { trace_id: id, ..full_span() };
    let trace = serde_json::to_value(Trace::new(&id, &[span])).unwrap();
    assert_eq!(trace["traceID"], "00000000000000ab");
    assert_eq!(super::query::trace_id("00000000000000ab"), Some(id));
    assert_eq!(super::query::trace_id("ab"), Some(id));
    assert_eq!(super::query::trace_id("0"), None);
}
