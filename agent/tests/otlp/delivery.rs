//! What arrives, and what the receiver's answers do.

use std::time::Duration;

use http::HeaderValue;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use wirespan_agent::config::otlp::{BatchConfig, Compression, OtlpConfig, Protocol};

use crate::receiver::{Answer, Receiver};
use crate::{Agent, config, quick, resource, trace, until};

const BOTH: [Protocol; 2] = [Protocol::Grpc, Protocol::HttpProtobuf];

fn plain(protocol: Protocol, receiver: &Receiver) -> OtlpConfig {
    config(protocol, "http", receiver.address.port())
}

#[test]
fn every_span_arrives_once_with_and_without_compression() {
    for protocol in BOTH {
        for compression in [Compression::None, Compression::Gzip] {
            let receiver = Receiver::start(protocol, []);
            let agent = Agent::start(OtlpConfig { compression, ..plain(protocol, &receiver) }, quick());
            agent.export(5000);
            let counters = agent.stop();
            assert_eq!(receiver.span_ids().len(), 5000, "{protocol:?} {compression:?}");
            assert_eq!(counters.spans_exported.get(), 5000);
            assert_eq!(counters.export_requests.get(), receiver.seen().len() as u64);
            let encoding = if protocol == Protocol::Grpc { "grpc-encoding" } else { "content-encoding" };
            for seen in receiver.seen() {
                let used = seen.headers.get(encoding).is_some_and(|v| v == "gzip");
                assert_eq!(used, compression == Compression::Gzip, "{:?}", seen.headers);
            }
        }
    }
}

#[test]
fn configured_headers_and_a_user_agent_go_with_every_request() {
    for protocol in BOTH {
        let receiver = Receiver::start(protocol, []);
        let mut config = plain(protocol, &receiver);
        config.headers.insert("api-key", HeaderValue::from_static("secret"));
        let agent = Agent::start(config, quick());
        agent.export(1);
        agent.stop();
        let headers = &receiver.seen()[0].headers;
        assert_eq!(headers["api-key"], "secret");
        assert!(headers["user-agent"].to_str().unwrap().starts_with("wirespan-otlp-exporter-rust/"), "{headers:?}");
    }
}

#[test]
fn http_requests_go_to_the_configured_path() {
    let receiver = Receiver::start(Protocol::HttpProtobuf, []);
    let endpoint = format!("http://127.0.0.1:{}/tenant/7/traces", receiver.address.port());
    let agent = Agent::start(OtlpConfig::new(Protocol::HttpProtobuf, endpoint.parse().unwrap()), quick());
    agent.export(1);
    agent.stop();
    assert_eq!(receiver.seen()[0].path, "/tenant/7/traces");
}

#[test]
fn a_batch_carries_many_resources() {
    for protocol in BOTH {
        let receiver = Receiver::start(protocol, []);
        let agent = Agent::start(plain(protocol, &receiver), BatchConfig { delay: Duration::from_secs(60), ..quick() });
        let traces = (0..300).map(|i| trace(&resource(&format!("service-{}", i / 3)), i));
        // Every third trace makes a new process; spans of one process share the resource.
        let mut shared = traces.collect::<Vec<_>>();
        for i in 0..300 {
            let first = std::sync::Arc::clone(&shared[i / 3 * 3].spans[0].resource);
            shared[i].spans[0].resource = first;
        }
        agent.exporters.export(shared);
        agent.stop();
        let seen = receiver.seen();
        assert_eq!(seen.len(), 1, "one batch");
        let groups = &seen[0].request.resource_spans;
        assert_eq!(groups.len(), 100);
        for group in groups {
            assert_eq!(group.resource.as_ref().unwrap().attributes[0].key, "service.name");
            assert_eq!(group.scope_spans.len(), 1);
            assert_eq!(group.scope_spans[0].spans.len(), 3);
        }
    }
}

#[test]
fn a_span_waits_no_longer_than_the_delay_and_a_full_batch_not_at_all() {
    let receiver = Receiver::start(Protocol::Grpc, []);
    let agent = Agent::start(plain(Protocol::Grpc, &receiver), quick());
    agent.export(1);
    until("the delay sends a batch that is not full", || receiver.seen().len() == 1);
    agent.stop();

    let patient = BatchConfig { delay: Duration::from_secs(3600), batch_spans: 10, ..quick() };
    let agent = Agent::start(plain(Protocol::Grpc, &receiver), patient);
    agent.export(20);
    until("two full batches are sent", || receiver.seen().len() == 3);
    agent.stop();
}

#[test]
fn spans_that_a_partial_success_leaves_out_are_counted_and_not_sent_again() {
    for protocol in BOTH {
        let receiver = Receiver::start(protocol, [Answer::Partial(3, "too old"), Answer::Partial(0, "slow today")]);
        let agent = Agent::start(plain(protocol, &receiver), quick());
        agent.export(10);
        until("the first batch is answered", || agent.counters.spans_exported.get() == 7);
        agent.export(10);
        let counters = agent.stop();
        assert_eq!(counters.spans_exported.get(), 17);
        assert_eq!(counters.spans_rejected.get(), 3);
        assert_eq!(receiver.seen().len(), 2);
        assert_eq!(counters.export_failures.get(), 0);
    }
}

#[test]
fn http_503_is_retried_no_sooner_than_retry_after_says() {
    let receiver = Receiver::start(Protocol::HttpProtobuf, [Answer::Http(503, Some("2"))]);
    let agent = Agent::start(plain(Protocol::HttpProtobuf, &receiver), quick());
    agent.export(10);
    until("the batch is delivered", || agent.counters.spans_exported.get() == 10);
    let seen = receiver.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(2));
    let counters = agent.stop();
    assert_eq!((counters.export_failures.get(), counters.export_retries.get()), (1, 1));
    assert_eq!(counters.spans_rejected.get(), 0);
}

#[test]
fn grpc_throttling_is_retried_no_sooner_than_retry_info_says() {
    let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1800)));
    let throttle = Status::with_error_details(Code::ResourceExhausted, "slow down", details);
    let receiver = Receiver::start(Protocol::Grpc, [Answer::Grpc(throttle)]);
    let agent = Agent::start(plain(Protocol::Grpc, &receiver), quick());
    agent.export(10);
    until("the batch is delivered", || agent.counters.spans_exported.get() == 10);
    let seen = receiver.seen();
    assert!(seen[1].at - seen[0].at >= Duration::from_millis(1800));
    agent.stop();
}

#[test]
fn what_the_endpoint_will_never_take_is_counted_and_holds_nothing_up() {
    for (protocol, refusal) in [
        (Protocol::Grpc, Answer::Grpc(Status::invalid_argument("no"))),
        (Protocol::Grpc, Answer::Grpc(Status::unimplemented("no"))),
        (Protocol::HttpProtobuf, Answer::Http(400, None)),
        (Protocol::HttpProtobuf, Answer::Http(404, Some("1"))),
    ] {
        let receiver = Receiver::start(protocol, [refusal]);
        let agent = Agent::start(plain(protocol, &receiver), quick());
        agent.export(10);
        until("the batch is refused", || agent.counters.spans_rejected.get() == 10);
        agent.export(10);
        let counters = agent.stop();
        assert_eq!(counters.spans_exported.get(), 10);
        assert_eq!((counters.export_failures.get(), counters.export_retries.get()), (1, 0));
    }
}

#[test]
fn a_request_that_is_not_answered_in_time_is_sent_again() {
    for protocol in BOTH {
        let receiver = Receiver::start(protocol, [Answer::Silence]);
        let timeout = Some(Duration::from_millis(100));
        let agent = Agent::start(OtlpConfig { timeout, ..plain(protocol, &receiver) }, quick());
        agent.export(10);
        until("the batch is delivered", || agent.counters.spans_exported.get() == 10);
        // (A busy machine may not answer the next one in time either.)
        assert!(agent.stop().export_retries.get() >= 1);
    }
}
