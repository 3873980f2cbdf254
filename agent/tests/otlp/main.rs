//! The OTLP exporter against receivers on loopback: tonic's server with the generated service, and hyper's.

mod certificates;
mod delivery;
mod grpc_receiver;
mod http_receiver;
mod outage;
mod receiver;
mod tls;

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use wirespan_agent::config::otlp::{BatchConfig, OtlpConfig, Protocol};
use wirespan_agent::export::{ExportSettings, Exporters, Lost};
use wirespan_agent::metrics::Counters;
use wirespan_agent::span::{KeyValue, Resource, Span, SpanKind, Status, Trace};

/// No condition takes this long unless it never comes true.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until something is so.
fn until(what: &str, mut so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !so() {
        assert!(Instant::now() < deadline, "still not so after {PATIENCE:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The exporter as the agent runs it.
struct Agent {
    exporters: Exporters,
    counters: Arc<Counters>,
    runtime: Runtime,
}

impl Agent {
    fn start(config: OtlpConfig, batch: BatchConfig) -> Self {
        let runtime = runtime();
        let counters = Arc::new(Counters::default());
        let settings = ExportSettings { otlp: Some(config), console: None, store: None, batch };
        let exporters = Exporters::start(settings, Arc::clone(&counters), runtime.handle()).expect("exporters start");
        Self { exporters, counters, runtime }
    }

    /// Exports `count` traces of one span each, of one process.
    fn export(&self, count: usize) {
        let resource = resource("shop");
        self.exporters.export((0..count).map(|i| trace(&resource, i)).collect());
    }

    /// Stops with ample time; nothing may be lost.
    fn stop(self) -> Arc<Counters> {
        let lost = self.exporters.shutdown(Instant::now() + PATIENCE);
        assert_eq!(lost, Lost::default());
        drop(self.runtime);
        self.counters
    }
}

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime")
}

/// Small delays, so that tests are quick.
fn quick() -> BatchConfig {
    BatchConfig { delay: Duration::from_millis(10), ..BatchConfig::default() }
}

fn config(protocol: Protocol, scheme: &str, port: u16) -> OtlpConfig {
    let path = if protocol == Protocol::Grpc { "" } else { "/v1/traces" };
    OtlpConfig::new(protocol, format!("{scheme}://localhost:{port}{path}").parse().expect("a URL"))
}

fn resource(service: &str) -> Arc<Resource> {
    Arc::new(Resource { attributes: vec![KeyValue::str("service.name", service.to_owned())] })
}

fn trace(resource: &Arc<Resource>, index: usize) -> Trace {
    let id = index as u64 + 1;
    let span = Span {
        trace_id: (u128::from(id) << 64 | 1).to_be_bytes(),
        span_id: id.to_be_bytes(),
        parent_span_id: [0; 8],
        trace_state: Box::default(),
        flags: 1,
        parent_is_remote: false,
        name: "GET /orders/{id}".into(),
        kind: SpanKind::Server,
        start_unix_nano: 1_700_000_000_000_000_000 + id,
        end_unix_nano: 1_700_000_000_001_000_000 + id,
        attributes: vec![KeyValue::int("http.response.status_code", 200)],
        status: Status::Unset,
        events: Vec::new(),
        links: Vec::new(),
        resource: Arc::clone(resource),
        protocol: "http",
        scope: None,
    };
    Trace { spans: vec![span] }
}
