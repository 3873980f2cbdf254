//! The trace context that a request's headers state.

use wirespan_protocols::context::{Carrier, TraceContext};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

fn read(headers: &[(&str, &str)]) -> Option<TraceContext> {
    let mut carrier = Carrier::default();
    for (name, value) in headers {
        carrier.offer(name, value.as_bytes());
    }
    carrier.context()
}

fn ids(context: &TraceContext) -> (u128, u64) {
    (u128::from_be_bytes(context.trace_id), u64::from_be_bytes(context.span_id))
}

fn expected() -> (u128, u64) {
    (u128::from_str_radix(TRACE, 16).unwrap(), u64::from_str_radix(SPAN, 16).unwrap())
}

fn traceparent(value: &str) -> Option<TraceContext> {
    read(&[("traceparent", value)])
}

#[test]
fn traceparent_of_version_00_is_read() {
    let context = read(&[("TraceParent", &format!("00-{TRACE}-{SPAN}-01")), ("tracestate", "a=1")]).unwrap();
    assert_eq!(ids(&context), expected());
    assert!(context.sampled());
    assert_eq!(&*context.trace_state, "a=1");
    assert!(!traceparent(&format!("00-{TRACE}-{SPAN}-00")).unwrap().sampled());
}

#[test]
fn flags_that_version_00_does_not_define_are_cleared() {
    assert_eq!(traceparent(&format!("00-{TRACE}-{SPAN}-ff")).unwrap().flags, 3);
    assert_eq!(traceparent(&format!("cc-{TRACE}-{SPAN}-ff")).unwrap().flags, 1);
}

#[test]
fn malformed_traceparents_are_refused() {
    for bad in [
        String::new(),
        "00".into(),
        format!("00-{TRACE}-{SPAN}"),
        format!("00-{TRACE}-{SPAN}-"),
        format!("00-{TRACE}-{SPAN}-0"),
        format!("00-{TRACE}-{SPAN}-01-extra"),
        format!("00-{TRACE}-{SPAN}-011"),
        format!("ff-{TRACE}-{SPAN}-01"),
        format!("00-{}-{SPAN}-01", "0".repeat(32)),
        format!("00-{TRACE}-{}-01", "0".repeat(16)),
        format!("00-{}-{SPAN}-01", TRACE.to_uppercase()),
        format!("00-{TRACE}-{SPAN}-0G"),
        format!("00-+{}-{SPAN}-01", &TRACE[1..]),
        format!("0-0{TRACE}-{SPAN}-01"),
        format!("00_{TRACE}-{SPAN}-01"),
        format!("00-{TRACE}-{SPAN}-01é"),
    ] {
        assert_eq!(traceparent(&bad), None, "{bad}");
    }
}

#[test]
fn a_future_version_may_add_fields_behind_a_dash_only() {
    assert!(traceparent(&format!("cc-{TRACE}-{SPAN}-01")).is_some());
    assert!(traceparent(&format!("cc-{TRACE}-{SPAN}-01-what-the-future-brings")).is_some());
    assert_eq!(traceparent(&format!("cc-{TRACE}-{SPAN}-01.what")), None);
}

#[test]
fn two_traceparents_are_none() {
    let one = format!("00-{TRACE}-{SPAN}-01");
    assert_eq!(read(&[("traceparent", &one), ("traceparent", &one)]), None);
}

#[test]
fn tracestates_are_joined_in_order() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let state = |states: &[&str]| {
        let headers: Vec<_> =
            [("traceparent", parent.as_str())].into_iter().chain(states.iter().map(|s| ("tracestate", *s))).collect();
        read(&headers).unwrap().trace_state
    };
    assert_eq!(&*state(&["a=1, b=2", "", "c@d/e=x y"]), "a=1,b=2,c@d/e=x y");
    for malformed in ["a", "A=1", "=1", "a=", "a=1=2", "a=1,b", "a=\u{7f}", "a=é"] {
        assert_eq!(&*state(&[malformed]), "", "{malformed}");
    }
    let many: Vec<_> = (0..33).map(|n| format!("k{n}=v")).collect();
    assert_eq!(&*state(&[&many.join(",")]), "");
    assert_eq!(state(&[&many[..32].join(",")]).split(',').count(), 32);
}

#[test]
fn a_long_tracestate_loses_its_longest_then_its_last_members() {
    let parent = format!("00-{TRACE}-{SPAN}-01");
    let long = format!("long={}", "x".repeat(200));
    let medium: Vec<_> = (0..10).map(|n| format!("m{n}={}", "y".repeat(60))).collect();
    let state = format!("{long},{}", medium.join(","));
    let kept = read(&[("traceparent", &parent), ("tracestate", &state)]).unwrap().trace_state;
    assert_eq!(&*kept, medium[..8].join(","));
    assert!(kept.len() <= 512);
}

#[test]
fn b3_in_one_header() {
    let b3 = |value: &str| read(&[("b3", value)]);
    assert_eq!(ids(&b3(&format!("{TRACE}-{SPAN}-1")).unwrap()), expected());
    assert!(b3(&format!("{TRACE}-{SPAN}-d")).unwrap().sampled());
    assert!(b3(&format!("{TRACE}-{SPAN}")).unwrap().sampled(), "no decision counts as sampled");
    assert!(!b3(&format!("{TRACE}-{SPAN}-0")).unwrap().sampled());
    assert!(!b3(&format!("{TRACE}-{SPAN}-0-{SPAN}")).unwrap().sampled());
    assert_eq!(ids(&b3(&format!("{SPAN}-{SPAN}-1")).unwrap()).0, u128::from(expected().1), "64 bits, left-padded");
    for bad in ["0", "1", "d", "", "-", "zz-zz", &format!("{TRACE}-{SPAN}-2"), &format!("{TRACE}-{SPAN}-1-x")] {
        assert_eq!(b3(bad), None, "{bad}");
    }
    assert_eq!(b3(&format!("{}-{SPAN}-1", "0".repeat(32))), None);
    assert_eq!(b3(&format!("{TRACE}-{SPAN}-1-{SPAN}-1")), None);
}

#[test]
fn b3_in_several_headers() {
    let b3 = |more: &[(&str, &str)]| {
        let mut headers = vec![("X-B3-TraceId", TRACE), ("X-B3-SpanId", SPAN), ("X-B3-ParentSpanId", SPAN)];
        headers.extend(more);
        read(&headers).unwrap()
    };
    assert_eq!(ids(&b3(&[])), expected());
    assert!(b3(&[]).sampled());
    assert!(b3(&[("X-B3-Sampled", "1")]).sampled());
    assert!(!b3(&[("X-B3-Sampled", "0")]).sampled());
    assert!(!b3(&[("x-b3-sampled", "false")]).sampled());
    assert!(b3(&[("X-B3-Sampled", "0"), ("X-B3-Flags", "1")]).sampled(), "debug wins");
    assert_eq!(read(&[("x-b3-sampled", "1")]), None);
    assert_eq!(read(&[("x-b3-traceid", TRACE)]), None);
}

#[test]
fn jaeger() {
    let jaeger = |value: &str| read(&[("uber-trace-id", value)]);
    assert_eq!(ids(&jaeger(&format!("{TRACE}:{SPAN}:0:1")).unwrap()), expected());
    assert_eq!(ids(&jaeger(&format!("{TRACE}%3A{SPAN}%3a0%3A1")).unwrap()), expected());
    assert_eq!(ids(&jaeger("abc:def:0:3").unwrap()), (0xabc, 0xdef));
    assert!(!jaeger(&format!("{TRACE}:{SPAN}:0:0")).unwrap().sampled());
    assert!(jaeger(&format!("{TRACE}:{SPAN}:0:2")).unwrap().sampled(), "debug");
    for bad in ["", ":::", "0:1:0:1", "1:0:0:1", "1:2:0", "1:2:0:1:1", "1:2:0:x", "+1:2:0:1", "1:2:0:100"] {
        assert_eq!(jaeger(bad), None, "{bad}");
    }
    assert_eq!(jaeger(&format!("1{TRACE}:{SPAN}:0:1")), None);
    assert_eq!(jaeger(&format!("{TRACE}:1{SPAN}:0:1")), None);
}

#[test]
fn datadog() {
    let datadog = |more: &[(&str, &str)]| {
        let mut headers =
            vec![("x-datadog-trace-id", "1311768467463790320"), ("x-datadog-parent-id", "67667974448284343")];
        headers.extend(more);
        read(&headers).unwrap()
    };
    assert_eq!(ids(&datadog(&[])), (0x1234_5678_9abc_def0, 0x00f0_67aa_0ba9_02b7));
    assert!(datadog(&[]).sampled());
    assert!(datadog(&[("x-datadog-sampling-priority", "2")]).sampled());
    assert!(!datadog(&[("x-datadog-sampling-priority", "0")]).sampled());
    assert!(!datadog(&[("x-datadog-sampling-priority", "-1")]).sampled());
    let tagged = datadog(&[("x-datadog-tags", "_dd.p.dm=-1,_dd.p.tid=640cfd8d00000000")]);
    assert_eq!(ids(&tagged).0, 0x640c_fd8d_0000_0000_1234_5678_9abc_def0);
    let broken = datadog(&[("x-datadog-tags", "_dd.p.tid=640cfd8d")]);
    assert_eq!(ids(&broken).0, 0x1234_5678_9abc_def0);
    for bad in ["0", "", "-1", "+1", "abc", "99999999999999999999999"] {
        assert_eq!(read(&[("x-datadog-trace-id", bad), ("x-datadog-parent-id", "1")]), None, "{bad}");
        assert_eq!(read(&[("x-datadog-trace-id", "1"), ("x-datadog-parent-id", bad)]), None, "{bad}");
    }
}

#[test]
fn w3c_goes_before_b3_before_jaeger_before_datadog() {
    let w3c = (String::from("traceparent"), format!("00-{TRACE}-{SPAN}-01"));
    let mut headers = vec![
        (String::from("x-datadog-trace-id"), String::from("4")),
        (String::from("x-datadog-parent-id"), String::from("4")),
        (String::from("uber-trace-id"), String::from("3:3:0:1")),
        (String::from("b3"), String::from("0000000000000002-0000000000000002")),
        w3c,
    ];
    for trace in [expected().0, 2, 3, 4] {
        let borrowed: Vec<_> = headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(ids(&read(&borrowed).unwrap()).0, trace);
        headers.pop();
    }
}

#[test]
fn a_broken_traceparent_does_not_hide_a_sound_b3() {
    let b3 = format!("{TRACE}-{SPAN}-1");
    assert!(read(&[("traceparent", "00-nonsense"), ("b3", &b3)]).is_some());
}

#[test]
fn bytes_that_are_no_text_are_no_context() {
    let mut carrier = Carrier::default();
    carrier.offer("traceparent", &[0xff; 55]);
    carrier.offer("b3", &[0xc3, 0x28]);
    assert_eq!(carrier.context(), None);
}
