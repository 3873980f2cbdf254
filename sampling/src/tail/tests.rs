//! What each policy keeps, and which blocks are refused.

use wirespan_delivery::testing::{resource, span_of};
use wirespan_signals::{KeyValue, Resource, Span, Status, Value};

use super::*;
use crate::block::Node;

/// A block as JSON, which is YAML.
fn node(json: &serde_json::Value) -> Node {
    use serde_json::Value as Json;
    match json {
        Json::Null => Node::Nothing,
        Json::Array(items) => Node::List(items.iter().map(node).collect()),
        Json::Object(entries) => Node::Map(entries.iter().map(|(key, value)| (key.clone(), node(value))).collect()),
        Json::String(text) => Node::Text(text.clone()),
        other => Node::Text(other.to_string()),
    }
}

fn tail(policies: serde_json::Value) -> Tail {
    Tail::read(&node(&serde_json::json!({ "policies": policies }))).unwrap()
}

fn refused(block: serde_json::Value) -> String {
    Tail::read(&node(&block)).unwrap_err().to_string()
}

fn keeps(policies: &serde_json::Value, spans: &[Span]) -> bool {
    let subject = Subject { trace_id: [7; 16], spans: spans.iter().collect(), now: 1_000_000_000 };
    tail(policies.clone()).keeps(&subject)
}

fn with(key: &'static str, value: Value) -> Span {
    Span { attributes: vec![KeyValue { key: key.into(), value }], ..span_of("shop", "a") }
}

fn lasting(millis: u64) -> Span {
    let span = span_of("shop", "a");
    Span { end_unix_nano: span.start_unix_nano + millis * 1_000_000, ..span }
}

#[test]
fn each_policy_keeps_what_the_collector_keeps() {
    let named = |kind: &str, own: serde_json::Value| serde_json::json!([{ "name": "p", "type": kind, kind: own }]);
    let failed = Span { status: Status::Error("".into()), ..span_of("shop", "a") };
    let plain = || span_of("shop", "a");
    let shop = |key: &'static str| {
        let attributes = [resource("shop").attributes.clone(), vec![KeyValue::str(key, "gold")]].concat();
        Span { resource: std::sync::Arc::new(Resource { attributes }), ..plain() }
    };
    let status = named("status_code", serde_json::json!({"status_codes": ["ERROR"]}));
    assert!(keeps(&status, &[plain(), failed]) && !keeps(&status, &[plain()]));

    let latency = named("latency", serde_json::json!({"threshold_ms": 500}));
    assert!(keeps(&latency, &[lasting(501)]) && !keeps(&latency, &[lasting(500)]), "more than that");
    let between = named("latency", serde_json::json!({"threshold_ms": 500, "upper_threshold_ms": 900}));
    assert!(keeps(&between, &[lasting(900)]) && !keeps(&between, &[lasting(901)]));
    assert!(keeps(&between, &[lasting(600), lasting(2000)]), "it was between them after the first span");

    let text = named("string_attribute", serde_json::json!({"key": "tier", "values": ["gold", "si.*"]}));
    assert!(keeps(&text, &[with("tier", Value::Str("gold".into()))]) && keeps(&text, &[shop("tier")]));
    assert!(!keeps(&text, &[with("tier", Value::Str("silver".into()))]) && !keeps(&text, &[plain()]));
    let pattern =
        serde_json::json!({"key": "tier", "values": ["^si.*"], "enabled_regex_matching": true, "cache_max_size": 9});
    assert!(keeps(&named("string_attribute", pattern), &[with("tier", Value::Str("silver".into()))]));
    let inverted =
        named("string_attribute", serde_json::json!({"key": "tier", "values": ["gold"], "invert_match": true}));
    assert!(keeps(&inverted, &[plain()]) && !keeps(&inverted, &[plain(), shop("tier")]));

    let numeric = named("numeric_attribute", serde_json::json!({"key": "code", "min_value": 400, "max_value": 499}));
    let code = |n| with("code", Value::Int(n));
    assert!(keeps(&numeric, &[code(404)]) && !keeps(&numeric, &[code(500)]) && !keeps(&numeric, &[plain()]));
    let numeric = named("numeric_attribute", serde_json::json!({"key": "code", "max_value": 9, "invert_match": true}));
    assert!(keeps(&numeric, &[code(10)]) && keeps(&numeric, &[plain()]) && !keeps(&numeric, &[code(9), code(10)]));

    let boolean = named("boolean_attribute", serde_json::json!({"key": "paid", "value": true}));
    assert!(
        keeps(&boolean, &[with("paid", Value::Bool(true))]) && !keeps(&boolean, &[with("paid", Value::Bool(false))])
    );

    let count = named("span_count", serde_json::json!({"min_spans": 2, "max_spans": 3}));
    let spans = |n: usize| (0..n).map(|_| plain()).collect::<Vec<_>>();
    assert_eq!([1, 2, 3, 4].map(|n| keeps(&count, &spans(n))), [false, true, true, false]);

    let state = named("trace_state", serde_json::json!({"key": "a", "values": ["b"]}));
    let stated = |text: &str| Span { trace_state: text.into(), ..plain() };
    assert!(keeps(&state, &[stated("x=y, a=b")]) && !keeps(&state, &[stated("a=c")]));
    assert!(keeps(&named("trace_flags", serde_json::Value::Null), &[plain()]));
    assert!(!keeps(&named("probabilistic", serde_json::json!({"sampling_percentage": 0})), &[plain()]));
    assert!(keeps(&named("probabilistic", serde_json::json!({"sampling_percentage": 100})), &[plain()]));
}

#[test]
fn policies_of_policies_say_what_theirs_say() {
    let latency =
        |millis: u32| serde_json::json!({"name": "l", "type": "latency", "latency": {"threshold_ms": millis}});
    let not = serde_json::json!({"name": "n", "type": "not", "not": {"not_sub_policy": latency(900)}});
    let and = serde_json::json!([{"name": "a", "type": "and", "and": {"and_sub_policy": [latency(100), not]}}]);
    assert_eq!([50, 500, 1000].map(|millis| keeps(&and, &[lasting(millis)])), [false, true, false]);
    let all = serde_json::json!({"name": "all", "type": "always_sample"});
    let drop = serde_json::json!({"name": "d", "type": "drop", "drop": {"drop_sub_policy": [latency(900)]}});
    assert_eq!([500, 1000].map(|millis| keeps(&serde_json::json!([all, drop]), &[lasting(millis)])), [true, false]);
    let parts = serde_json::json!([latency(100), {"name": "all", "type": "always_sample"}]);
    let composite = serde_json::json!([{"name": "c", "type": "composite", "composite": {
        "max_total_spans_per_second": 100, "policy_order": ["l", "all"], "composite_sub_policy": parts,
        "rate_allocation": [{"policy": "l", "percent": 50}, {"policy": "all", "percent": 2}]}}]);
    let mut tail = tail(composite);
    let mut kept = |millis| {
        let spans = [lasting(millis)];
        (0..200).filter(|_| tail.keeps(&Subject { trace_id: [1; 16], spans: spans.iter().collect(), now: 5 })).count()
    };
    assert_eq!((kept(500), kept(10)), (50, 2));
}

#[test]
fn a_limit_is_used_up_by_what_it_lets_pass_whatever_others_say() {
    let limit = serde_json::json!({"name": "r", "type": "rate_limiting", "rate_limiting": {"spans_per_second": 5}});
    let mut alone = tail(serde_json::json!([limit]));
    let spans = [span_of("shop", "a")];
    let mut at = |seconds: u64| {
        let subject = || Subject { trace_id: [1; 16], spans: spans.iter().collect(), now: seconds * 1_000_000_000 };
        (0..100).filter(|_| alone.keeps(&subject())).count()
    };
    assert_eq!([at(1), at(2), at(60)], [10, 5, 10], "a burst is twice the rate");
    let mut beside = tail(serde_json::json!([{"name": "all", "type": "always_sample"}, limit]));
    let subject = || Subject { trace_id: [1; 16], spans: spans.iter().collect(), now: 1_000_000_000 };
    assert_eq!((0..100).filter(|_| beside.keeps(&subject())).count(), 100);
}

#[test]
fn a_whole_block_is_understood_key_by_key() {
    let block = serde_json::json!({
        "decision_wait": "1m30s",
        "decision_wait_after_root_received": "5s",
        "num_traces": 100,
        "expected_new_traces_per_sec": 10,
        "decision_cache": {"sampled_cache_size": 300_000, "non_sampled_cache_size": 1000},
        "sample_on_first_match": true,
        "sampling_strategy": "trace-complete",
        "drop_pending_traces_on_shutdown": false,
        "maximum_trace_size_bytes": 1_000_000,
        "block_on_overflow": true,
        "num_shards": 4,
        "policies": [
            {"name": "errors", "type": "status_code", "status_code": {"status_codes": ["ERROR"]}},
            {"name": "slow", "type": "latency", "latency": {"threshold_ms": 500}},
            {"name": "some", "type": "probabilistic", "probabilistic": {"sampling_percentage": 10}},
            {"name": "health", "type": "drop", "drop": {"drop_sub_policy": [
                {"name": "path", "type": "string_attribute", "string_attribute": {"key": "url.path", "values": ["/health"]}},
            ]}},
        ],
    });
    let tail = Tail::read(&node(&block)).unwrap();
    assert_eq!((tail.wait.as_secs(), tail.wait_after_root.unwrap().as_secs(), tail.traces), (90, 5, 100));
    assert_eq!((tail.remembered, tail.trace_bytes, tail.policies.len()), (300_000, Some(1_000_000), 4));
    assert!(tail.policies[0].is_drop() && tail.first_match && !tail.drop_pending, "what drops goes first");
}

#[test]
fn what_is_wrong_names_the_place_and_the_remedy() {
    let policy = |policy: serde_json::Value| refused(serde_json::json!({ "policies": [policy] }));
    for (told, expected) in [
        (refused(serde_json::json!({})), "tail_sampling: has no policies"),
        (refused(serde_json::json!({"policies": []})), "is empty"),
        (refused(serde_json::json!({"decision_wiat": "1s"})), "unknown key `decision_wiat`; known are decision_wait"),
        (refused(serde_json::json!({"decision_wait": "1", "policies": []})), "write 10s, 500ms or 1m30s"),
        (refused(serde_json::json!({"sampling_strategy": "span-ingest"})), "can only be trace-complete"),
        (policy(serde_json::json!({"type": "latency"})), "policies[0]: has no name"),
        (policy(serde_json::json!({"name": "a"})), "has no type"),
        (policy(serde_json::json!({"name": "a", "type": "ottl_condition"})), "known are always_sample"),
        (policy(serde_json::json!({"name": "a", "type": "status_code"})), "has no status_code.status_codes"),
        (
            policy(serde_json::json!({"name": "a", "type": "status_code", "status_code": {"status_codes": ["500"]}})),
            "policies[0].status_code.status_codes[0]: \"500\" is no status; use OK, ERROR or UNSET",
        ),
        (
            policy(serde_json::json!({"name": "a", "type": "latency", "latency": {"threshold_ms": "slow"}})),
            "policies[0].latency.threshold_ms: \"slow\" is not a number",
        ),
        (
            policy(serde_json::json!({"name": "a", "type": "numeric_attribute", "numeric_attribute": {"key": "k"}})),
            "neither min_value nor max_value",
        ),
        (
            policy(serde_json::json!({"name": "a", "type": "string_attribute", "string_attribute":
                {"key": "k", "values": ["("], "enabled_regex_matching": true}})),
            "is no regular expression",
        ),
    ] {
        assert!(told.contains(expected), "{told}");
    }
    let twice = serde_json::json!({"name": "a", "type": "always_sample"});
    assert!(refused(serde_json::json!({"policies": [twice, twice]})).contains("the name of another policy"));
}
