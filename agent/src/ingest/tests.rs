//! Requests as SDKs make them, and as nobody should.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::mpsc::Receiver;
use std::time::Duration;

use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message as _;
use tokio::runtime::Runtime;
use tonic::Code;
use tonic::codec::CompressionEncoding;

use super::*;

const MAX: usize = 64 << 10;

/// What spans are on the wire, read back.
fn otlp_round_trip(spans: &[crate::span::Span]) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest::decode(&*wirespan_delivery::otlp::request(spans)).expect("valid protobuf")
}

/// A receiver on a free port.
struct Running {
    runtime: Runtime,
    ingest: Ingest,
    received: Receiver<Vec<Trace>>,
    counters: Arc<Counters>,
}

fn running(token: Option<&str>) -> Running {
    running_in(token, Account::new(usize::MAX))
}

fn running_in(token: Option<&str>, memory: Account) -> Running {
    relaying(token, memory, &Relays::default())
}

fn relaying(token: Option<&str>, memory: Account, relays: &Relays) -> Running {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let counters = Arc::new(Counters::default());
    let addresses = vec![SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let settings =
        Settings { addresses, token: token.map(Into::into), max_message: MAX, limits: Limits::default(), memory };
    let (traces, received) = std::sync::mpsc::channel();
    let ingest = Ingest::start(&settings, &counters, runtime.handle(), relays, move |all| drop(traces.send(all)));
    Running { runtime, ingest, received, counters }
}

/// The status and the body of a response.
type Answer = (u16, Vec<u8>);

impl Running {
    fn address(&self) -> SocketAddr {
        self.ingest.addresses()[0]
    }

    /// What comes back for these bytes.
    fn raw(&self, request: &[u8]) -> Answer {
        let mut stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        // Who is refused early may find the connection closed while it still writes.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let end = answer.windows(4).position(|w| w == b"\r\n\r\n").expect("a whole head");
        let head = String::from_utf8_lossy(&answer[..end]).into_owned();
        (head.split(' ').nth(1).unwrap().parse().unwrap(), answer.split_off(end + 4))
    }

    fn post(&self, headers: &str, body: &[u8]) -> Answer {
        let length = body.len();
        let head = format!(
            "POST /v1/traces HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n\r\n"
        );
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// One gRPC call.
    fn call(&self, request: ExportTraceServiceRequest, token: Option<&str>, gzip: bool) -> Result<i64, tonic::Status> {
        self.runtime.block_on(async {
            let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{}", self.address())).unwrap();
            let mut client = TraceServiceClient::new(endpoint.connect().await.unwrap());
            if gzip {
                client = client.send_compressed(CompressionEncoding::Gzip);
            }
            let mut request = tonic::Request::new(request);
            if let Some(token) = token {
                request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
            }
            let response = client.export(request).await?.into_inner();
            Ok(response.partial_success.map_or(0, |partial| partial.rejected_spans))
        })
    }

    fn spans(&self) -> Vec<crate::span::Span> {
        self.received.try_iter().flatten().flat_map(|trace| trace.spans).collect()
    }
}

const PROTOBUF: &str = "Content-Type: application/x-protobuf";
const JSON: &str = "Content-Type: application/json; charset=utf-8";

fn any(value: Any) -> Option<AnyValue> {
    Some(AnyValue { value: Some(value) })
}

fn pair(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: any(value), ..Default::default() }
}

fn text(text: &str) -> Any {
    Any::StringValue(text.to_owned())
}

fn span(id: u8, parent: u8, start: u64) -> Span {
    Span {
        trace_id: vec![1; 16],
        span_id: vec![id; 8],
        parent_span_id: if parent == 0 { Vec::new() } else { vec![parent; 8] },
        name: format!("span {id}"),
        kind: 2,
        start_time_unix_nano: start,
        end_time_unix_nano: start + 10,
        flags: 0x101,
        ..Default::default()
    }
}

fn request(spans: Vec<Span>) -> ExportTraceServiceRequest {
    let scope = InstrumentationScope {
        name: "opentelemetry.instrumentation.flask".to_owned(),
        version: "0.66b1".to_owned(),
        attributes: vec![pair("scope", text("attribute"))],
        ..Default::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: vec![pair("service.name", text("shop"))], ..Default::default() }),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans,
                schema_url: "https://opentelemetry.io/schemas/1.30.0".to_owned(),
            }],
            ..Default::default()
        }],
    }
}

/// A span in which everything says something.
fn full() -> Span {
    let list = ArrayValue { values: vec![any(Any::IntValue(1)).unwrap(), any(text("two")).unwrap()] };
    let texts = ArrayValue { values: vec![any(text("a")).unwrap(), any(text("b")).unwrap()] };
    Span {
        trace_state: "vendor=x".to_owned(),
        flags: 0x301,
        attributes: vec![
            pair("text", text("x")),
            pair("int", Any::IntValue(i64::MIN)),
            pair("bool", Any::BoolValue(true)),
            pair("double", Any::DoubleValue(-0.5)),
            pair("bytes", Any::BytesValue(vec![0, 255])),
            pair("list", Any::ArrayValue(list)),
            pair("texts", Any::ArrayValue(texts)),
            pair("map", Any::KvlistValue(KeyValueList { values: vec![pair("in", Any::IntValue(7))] })),
        ],
        events: vec![Event {
            time_unix_nano: 1005,
            name: "exception".to_owned(),
            attributes: vec![pair("exception.type", text("ValueError"))],
            ..Default::default()
        }],
        links: vec![Link {
            trace_id: vec![7; 16],
            span_id: vec![8; 8],
            trace_state: "l=1".to_owned(),
            attributes: vec![pair("why", text("batch"))],
            ..Default::default()
        }],
        status: Some(Status { message: "broken".to_owned(), code: 2 }),
        ..span(2, 1, 1000)
    }
}

#[test]
fn nothing_of_a_span_is_lost_on_the_way_through() {
    let running = running(None);
    let sent = request(vec![
        span(1, 0, 999),
        full(),
        Span { status: Some(Status { code: 1, ..Default::default() }), ..span(3, 1, 2000) },
    ]);
    assert_eq!(running.post(PROTOBUF, &sent.encode_to_vec()).0, 200);
    assert_eq!(otlp_round_trip(&running.spans()), sent);
}

#[test]
fn both_transports_and_formats_give_the_same_spans() {
    let running = running(None);
    let sent = request(vec![span(1, 0, 999), full()]);
    let json = serde_json::to_vec(&sent).unwrap();
    assert_eq!(running.post(PROTOBUF, &sent.encode_to_vec()), (200, Vec::new()));
    assert_eq!(running.post(JSON, &json), (200, b"{}".to_vec()));
    assert_eq!(running.post(&format!("{JSON}\r\nContent-Encoding: gzip"), &gzip(&json)), (200, b"{}".to_vec()));
    assert_eq!(running.call(sent.clone(), None, false).unwrap(), 0);
    assert_eq!(running.call(sent.clone(), None, true).unwrap(), 0);
    let spans = running.spans();
    assert_eq!(spans.len(), 10);
    for pair in spans.chunks(2) {
        assert_eq!(otlp_round_trip(pair), sent);
        assert!(Arc::ptr_eq(&pair[0].resource, &spans[0].resource), "what repeats is shared");
    }
    assert_eq!((running.counters.spans_received.get(), running.counters.otlp_requests_received.get()), (10, 5));
}

#[test]
fn spans_are_grouped_by_trace_with_parents_before_children() {
    let running = running(None);
    let other = Span { trace_id: vec![9; 16], ..span(9, 0, 1) };
    let circle = [Span { trace_id: vec![5; 16], ..span(5, 6, 3) }, Span { trace_id: vec![5; 16], ..span(6, 5, 2) }];
    let mut spans = vec![span(3, 2, 10), other, span(2, 1, 20), span(4, 77, 5), span(1, 0, 30)];
    spans.extend(circle);
    assert_eq!(running.call(request(spans), None, false).unwrap(), 0);
    let traces: Vec<Vec<u8>> =
        running.received.try_iter().flatten().map(|t| t.spans.iter().map(|s| s.span_id[0]).collect()).collect();
    assert_eq!(traces, [vec![4, 1, 2, 3], vec![9], vec![6, 5]]);
}

#[test]
fn spans_without_ids_or_times_are_refused_and_the_others_taken() {
    let running = running(None);
    let spans = vec![
        span(1, 0, 5),
        Span { trace_id: vec![0; 16], ..span(2, 0, 5) },
        Span { span_id: vec![1; 7], ..span(3, 0, 5) },
        Span { end_time_unix_nano: 0, ..span(4, 0, 0) },
        Span { start_time_unix_nano: 0, ..span(5, 0, 5) },
    ];
    assert_eq!(running.call(request(spans.clone()), None, false).unwrap(), 3);
    let (status, body) = running.post(JSON, &serde_json::to_vec(&request(spans)).unwrap());
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &said["partialSuccess"]["rejectedSpans"]), (200, &"3".into()));
    assert!(said["partialSuccess"]["errorMessage"].as_str().unwrap().contains("trace id of 16 bytes"));
    let ids: Vec<u8> = running.spans().iter().map(|s| s.span_id[0]).collect();
    assert_eq!(ids, [1, 5, 1, 5]);
    assert_eq!(running.counters.spans_refused.get(), 6);
}

#[test]
fn json_as_the_specification_writes_it_is_understood() {
    let running = running(None);
    let body = br#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"js"}}]},
        "scopeSpans":[{"scope":{"name":"n"},"spans":[{"traceId":"5B8EFFF798038103D269B633813FC60C","spanId":"EEE19B7EC3C1B174",
        "parentSpanId":"EEE19B7EC3C1B173","name":"GET /","startTimeUnixNano":"1544712660000000000","endTimeUnixNano":1544712661000000000,
        "kind":2,"status":{},"notYetInvented":{"a":[1]},"attributes":[{"key":"n","value":{"intValue":"42"}}]}]}]}],"future":1}"#;
    assert_eq!(running.post(JSON, body).0, 200);
    let spans = running.spans();
    assert_eq!(spans[0].resource.service_name(), "js");
    assert_eq!((spans[0].end_unix_nano - spans[0].start_unix_nano, spans[0].span_id[0]), (1_000_000_000, 0xee));
    assert_eq!(spans[0].attributes, [crate::span::KeyValue { key: "n".into(), value: crate::span::Value::Int(42) }]);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn what_is_not_understood_has_the_specification_s_status() {
    let running = running(None);
    let good = request(vec![span(1, 0, 5)]).encode_to_vec();
    let bomb = gzip(&vec![0; 40 << 20]);
    assert!(bomb.len() < MAX, "a small body that becomes large");
    let cases: [(&str, &[u8], u16); 9] = [
        (PROTOBUF, b"\xff\xff\xff", 400),
        (JSON, b"{", 400),
        (JSON, &b"[".repeat(50_000), 400),
        ("Content-Type: text/plain", &good, 415),
        ("X: y", &good, 415),
        ("Content-Type: application/x-protobuf\r\nContent-Encoding: br", &good, 415),
        ("Content-Type: application/x-protobuf\r\nContent-Encoding: gzip", &good, 400),
        (PROTOBUF, &vec![0; MAX + 1], 413),
        ("Content-Type: application/x-protobuf\r\nContent-Encoding: gzip", &bomb[..], 413),
    ];
    for (headers, body, expected) in cases {
        let (status, said) = running.post(headers, body);
        assert_eq!(status, expected, "{headers} with {} bytes: {said:?}", body.len());
        let is_protobuf = headers.starts_with(PROTOBUF);
        let message = match is_protobuf {
            true => tonic_types::Status::decode(&said[..]).expect("a Status").message,
            false => serde_json::from_slice::<serde_json::Value>(&said).expect("JSON")["message"].to_string(),
        };
        assert!(message.len() > 10, "{headers}: {message:?}");
    }
    assert_eq!(running.spans().len(), 0);
    assert_eq!(running.counters.otlp_requests_refused.get(), 9);
    assert_eq!(running.post(PROTOBUF, &good).0, 200, "it goes on");
}

#[test]
fn a_body_without_a_stated_length_is_bounded_too() {
    let running = running(None);
    let mut raw = format!(
        "POST /v1/traces HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{PROTOBUF}\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    .into_bytes();
    for _ in 0..MAX / 4096 + 2 {
        raw.extend_from_slice(b"1000\r\n");
        raw.extend_from_slice(&[0; 4096]);
        raw.extend_from_slice(b"\r\n");
    }
    raw.extend_from_slice(b"0\r\n\r\n");
    assert_eq!(running.raw(&raw).0, 413);
}

#[test]
fn grpc_messages_are_bounded_before_and_after_decompression() {
    let running = running(None);
    let long = request(vec![Span { name: "x".repeat(MAX), ..span(1, 0, 5) }]);
    assert_eq!(running.call(long.clone(), None, false).unwrap_err().code(), Code::OutOfRange);
    assert!(running.call(long, None, true).is_err());
    assert_eq!(running.spans().len(), 0);
    assert_eq!(running.counters.otlp_requests_refused.get(), 2);
}

#[test]
fn other_signals_and_methods_are_told_so() {
    let running = running(None);
    let get = |path: &str, method: &str| {
        running.raw(format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes())
    };
    assert_eq!(get("/v1/traces", "GET").0, 405);
    let (status, said) = get("/v1/metrics", "POST");
    assert_eq!(status, 404);
    assert!(String::from_utf8(said).unwrap().contains("OTEL_METRICS_EXPORTER"));
    assert_eq!(get("/", "GET").0, 404);
}

#[test]
fn a_web_page_cannot_send_spans() {
    let running = running(None);
    let good = request(vec![span(1, 0, 5)]).encode_to_vec();
    for header in ["Origin: http://evil.example", "Origin: null", "Sec-Fetch-Site: same-origin"] {
        assert_eq!(running.post(&format!("{PROTOBUF}\r\n{header}"), &good).0, 403);
    }
    assert_eq!(running.spans().len(), 0);
}

#[test]
fn with_a_token_only_who_states_it_may_send() {
    let running = running(Some("s3cret"));
    let good = request(vec![span(1, 0, 5)]);
    let body = good.encode_to_vec();
    for wrong in ["X: y", "Authorization: Bearer s3cre", "Authorization: Bearer s3crets", "Authorization: Basic s3cret"]
    {
        assert_eq!(running.post(&format!("{PROTOBUF}\r\n{wrong}"), &body).0, 401, "{wrong}");
    }
    assert_eq!(running.call(good.clone(), None, false).unwrap_err().code(), Code::Unauthenticated);
    assert_eq!(running.spans().len(), 0);
    assert_eq!(running.post(&format!("{PROTOBUF}\r\nauthorization: bearer s3cret"), &body).0, 200);
    assert_eq!(running.call(good, Some("s3cret"), false).unwrap(), 0);
    assert_eq!(running.spans().len(), 2);
}

#[test]
fn attributes_beyond_the_limit_are_counted_on_the_span() {
    let running = running(None);
    let mut attributes: Vec<KeyValue> = (0..2000).map(|i| pair(&format!("k{i}"), Any::IntValue(i))).collect();
    attributes.push(pair("", Any::IntValue(1)));
    let many = Span { attributes, dropped_attributes_count: 3, ..span(1, 0, 5) };
    assert_eq!(running.post(PROTOBUF, &request(vec![many]).encode_to_vec()).0, 200);
    let span = running.spans().remove(0);
    assert_eq!(span.attributes.len(), 128 + 1);
    assert_eq!(*span.attributes.last().unwrap(), crate::span::KeyValue::int("otel.dropped_attributes_count", 1876));
}

#[test]
fn an_address_that_is_taken_costs_that_address_alone() {
    let taken = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let addresses = vec![taken.local_addr().unwrap(), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))];
    let settings = Settings {
        addresses,
        token: None,
        max_message: MAX,
        limits: Limits::default(),
        memory: Account::new(usize::MAX),
    };
    let ingest = Ingest::start(&settings, &Arc::new(Counters::default()), runtime.handle(), &Relays::default(), |_| ());
    assert_eq!(ingest.addresses().len(), 1);
}

#[test]
fn what_a_message_becomes_finds_room_or_is_refused_before_it_is_understood() {
    let memory = Account::new(1 << 20);
    let running = running_in(None, memory.clone());
    // Two bytes each, and hundreds once they are understood.
    let many = request(vec![Span::default(); 5000]);
    let json = format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{}{{}}]}}]}}]}}", "{},".repeat(4999));
    assert!(many.encoded_len() < MAX && json.len() < MAX);
    assert_eq!(running.post(PROTOBUF, &many.encode_to_vec()).0, 413);
    assert_eq!(running.post("Content-Type: application/json", json.as_bytes()).0, 413);
    assert_eq!(running.call(many, None, false).unwrap_err().code(), Code::OutOfRange);
    // What others have is there again later.
    let good = request(vec![span(1, 0, 5)]);
    memory.take(1 << 20);
    assert_eq!(running.post(PROTOBUF, &good.encode_to_vec()).0, 503);
    assert_eq!(running.call(good.clone(), None, true).unwrap_err().code(), Code::Unavailable);
    memory.give(1 << 20);
    assert_eq!(running.post(PROTOBUF, &good.encode_to_vec()).0, 200);
    assert_eq!(running.call(good, None, true).unwrap(), 0);
    assert!(wait_until(|| memory.held() == 0), "{} bytes are held", memory.held());
}

fn wait_until(mut condition: impl FnMut() -> bool) -> bool {
    (0..500).any(|_| {
        condition() || {
            std::thread::sleep(Duration::from_millis(10));
            false
        }
    })
}

/// A receiver that keeps what is to be passed on, if it has room for so many bodies.
fn keeping(room: usize) -> (Running, Receiver<bytes::Bytes>) {
    let (kept, bodies) = std::sync::mpsc::sync_channel(room);
    let pass: relay::Pass = Arc::new(move |body| kept.try_send(body).is_ok());
    (relaying(None, Account::new(usize::MAX), &Relays { metrics: Some(Arc::clone(&pass)), logs: Some(pass) }), bodies)
}

fn logs() -> Vec<u8> {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::logs::v1::{LogRecord, ResourceLogs, ScopeLogs};
    let record = LogRecord { severity_text: "WARN".to_owned(), ..Default::default() };
    let scope_logs = vec![ScopeLogs { log_records: vec![record; 40], ..Default::default() }];
    ExportLogsServiceRequest { resource_logs: vec![ResourceLogs { scope_logs, ..Default::default() }] }.encode_to_vec()
}

#[test]
fn metrics_and_logs_are_passed_on_as_they_came_and_what_finds_no_room_stays_with_its_sender() {
    let (running, bodies) = keeping(1);
    let post = |path: &str, headers: &str, body: &[u8]| {
        let length = body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n\r\n"
        );
        running.raw(&[head.as_bytes(), body].concat())
    };
    let body = logs();
    let mut packed = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&body).unwrap();
    let packed = packed.finish().unwrap();
    let gzip = format!("{PROTOBUF}\r\nContent-Encoding: gzip");
    for path in ["/v1/logs", "/v1/metrics"] {
        assert_eq!(post(path, &gzip, &packed).0, 200, "{path}");
        assert_eq!(post(path, PROTOBUF, &body).0, 503, "{path}");
        assert_eq!(bodies.try_recv().unwrap(), body);
    }
    assert_eq!(post("/v1/logs", PROTOBUF, b"GET / HTTP/1.1").0, 400);
    assert_eq!(post("/v1/logs", JSON, b"{}").0, 415);
    assert_eq!(post("/v1/logs", PROTOBUF, &vec![0; MAX + 1]).0, 413);
    assert!(bodies.try_recv().is_err());
    assert_eq!(running.counters.relayed_requests_refused.get(), 2);
}

#[test]
fn what_is_passed_on_arrives_by_either_transport_also_at_an_endpoint_that_is_busy_at_first() {
    use crate::config::otlp::{OtlpConfig, Protocol, Signal};
    use crate::export::otlp::relay::Relay;
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let (endpoint, bodies) = keeping(1);
        let path = if protocol == Protocol::Grpc { "" } else { "/v1/logs" };
        let config = OtlpConfig::new(protocol, format!("http://{}{path}", endpoint.address()).parse().unwrap());
        let (room, runtime) = (Account::new(3 * logs().len()), endpoint.runtime.handle());
        let relay = Relay::start((config, Signal::Logs), room, None, Arc::default(), runtime).unwrap();
        for _ in 0..3 {
            assert!(relay.pass(logs().into()));
        }
        // The second finds the endpoint's place taken, and is sent again until it is free.
        for n in 0..3 {
            let body = bodies.recv_timeout(Duration::from_secs(30));
            assert_eq!(body.unwrap_or_else(|e| panic!("request {n}: {e}")), logs());
        }
    }
}

#[test]
fn what_waits_for_an_endpoint_that_is_away_is_bounded_in_bytes() {
    use crate::config::otlp::{OtlpConfig, Protocol, Signal};
    use crate::export::otlp::relay::Relay;
    let nobody = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let config = OtlpConfig::new(Protocol::Grpc, format!("http://{nobody}").parse().unwrap());
    let room = Account::new(2 * logs().len());
    let relay = Relay::start((config, Signal::Logs), room, None, Arc::default(), runtime.handle()).unwrap();
    let taken = (0..5).filter(|_| relay.pass(logs().into())).count();
    assert_eq!(taken, 2);
}
