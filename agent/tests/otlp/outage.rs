//! Endpoints that are down, go down, or do not answer.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use tokio::net::TcpSocket;
use wirespan_agent::config::otlp::{BatchConfig, Compression, OtlpConfig, Protocol};
use wirespan_agent::export::Lost;

use crate::receiver::{Answer, Receiver};
use crate::{Agent, config, quick, runtime, until};

/// A busy machine may take its time; what these tests are about would take for ever.
const SOON: Duration = Duration::from_secs(15);

#[test]
fn a_collector_that_comes_up_late_gets_everything_that_fits_the_queue() {
    for (protocol, compression) in [(Protocol::Grpc, Compression::None), (Protocol::HttpProtobuf, Compression::Gzip)] {
        let port = ClosedPort::new();
        let agent = Agent::start(OtlpConfig { compression, ..config(protocol, "http", port.number()) }, quick());
        agent.export(3000);
        until("it was tried in vain", || agent.counters.export_failures.get() > 0);
        agent.export(3000);
        let receiver = Receiver::on(port.open(), protocol, [], None);
        until("everything arrives", || agent.counters.spans_exported.get() == 6000);
        assert_eq!(receiver.span_ids().len(), 3000, "the ids of both exports are the same");
        let counters = agent.stop();
        assert_eq!(counters.queues.exporter_queue_dropped.get(), 0);
        assert_eq!(counters.spans_rejected.get(), 0);
    }
}

#[test]
fn a_collector_that_restarts_costs_no_span() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let first = Receiver::start(protocol, []);
        let address = first.address;
        let agent = Agent::start(config(protocol, "http", address.port()), quick());
        agent.export(100);
        until("the first part is delivered", || agent.counters.spans_exported.get() == 100);
        drop(first);
        agent.export(100);
        until("the loss is noticed", || agent.counters.export_failures.get() > 0);
        let mut second = None;
        until("the port is free again", || {
            second = TcpListener::bind(address).ok();
            second.is_some()
        });
        let second = Receiver::on(second.unwrap(), protocol, [], None);
        until("the second part is delivered", || agent.counters.spans_exported.get() == 200);
        assert_eq!(second.span_ids().len(), 100);
        agent.stop();
    }
}

#[test]
fn what_does_not_fit_the_queue_is_counted_and_export_does_not_wait() {
    let receiver = Receiver::start(Protocol::HttpProtobuf, vec![Answer::Silence; 8]);
    let batch = BatchConfig { queue_spans: 1000, batch_spans: 100, ..quick() };
    let config = OtlpConfig { timeout: None, ..config(Protocol::HttpProtobuf, "http", receiver.address.port()) };
    let agent = Agent::start(config, batch);
    let before = Instant::now();
    for _ in 0..10 {
        agent.export(500);
    }
    assert!(before.elapsed() < SOON, "export must not block");
    assert_eq!(agent.counters.queues.exporter_queue_dropped.get(), 4000);
    let before = Instant::now();
    let lost = agent.exporters.shutdown(before + Duration::from_millis(300));
    assert_eq!(lost, Lost { otlp: 1000, ..Lost::default() }, "what the queue held was never acknowledged");
    assert!(before.elapsed() < SOON, "shutdown keeps its deadline");
}

#[test]
fn stopping_sends_what_waits_without_waiting_for_the_delay() {
    for protocol in [Protocol::Grpc, Protocol::HttpProtobuf] {
        let receiver = Receiver::start(protocol, []);
        let patient = BatchConfig { delay: Duration::from_secs(3600), ..quick() };
        let agent = Agent::start(config(protocol, "http", receiver.address.port()), patient);
        agent.export(700);
        let before = Instant::now();
        agent.stop();
        assert_eq!(receiver.span_ids().len(), 700);
        assert!(before.elapsed() < SOON);
    }
}

#[test]
fn stopping_tries_an_endpoint_once_more_that_was_being_left_alone() {
    let receiver = Receiver::start(Protocol::HttpProtobuf, [Answer::Http(503, Some("3000"))]);
    let agent = Agent::start(config(Protocol::HttpProtobuf, "http", receiver.address.port()), quick());
    agent.export(10);
    until("the endpoint asks to be left alone", || agent.counters.export_failures.get() == 1);
    assert_eq!(agent.stop().spans_exported.get(), 10);
}

#[test]
fn stopping_without_a_collector_keeps_the_deadline_and_says_what_is_lost() {
    let port = ClosedPort::new();
    let agent = Agent::start(config(Protocol::Grpc, "http", port.number()), quick());
    agent.export(42);
    let before = Instant::now();
    let lost = agent.exporters.shutdown(before + Duration::from_millis(500));
    assert_eq!(lost, Lost { otlp: 42, ..Lost::default() });
    assert!(before.elapsed() < SOON);
}

/// A port that refuses connections and that nobody else can take meanwhile: bound, not listening.
struct ClosedPort(TcpSocket);

impl ClosedPort {
    fn new() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        Self(socket)
    }

    fn number(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    fn open(self) -> TcpListener {
        let runtime = runtime();
        let _inside = runtime.enter();
        self.0.listen(16).unwrap().into_std().unwrap()
    }
}
