//! Sends made-up traces through the exporters as the agent would, and says what that costs.
//!
//! ```text
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run --release --example export_load -- 400000 40000
//! ```
//!
//! The arguments are the number of spans and, optionally, spans per second. Without an endpoint, traces go to standard
//! output; `WIRESPAN_OUTPUT=json` makes that JSON. Results go to standard error.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result};
use wirespan_agent::config::otlp::{BatchConfig, OtlpConfig};
use wirespan_agent::export::console::status::LogWriter;
use wirespan_agent::export::console::{ConsoleSettings, Format};
use wirespan_agent::export::{ExportSettings, Exporters};
use wirespan_agent::metrics::Counters;
use wirespan_agent::span::{KeyValue, Resource, Span, SpanKind, Status, Trace};

/// Spans of one trace, and traces handed over at once.
const SPANS: u64 = 4;
const TRACES: u64 = 16;

fn main() -> Result<()> {
    env_logger::Builder::from_env(env_logger::Env::default().default_filter_or("info"))
        .target(env_logger::Target::Pipe(Box::new(LogWriter)))
        .init();
    let mut arguments = std::env::args().skip(1).map(|a| a.parse::<u64>());
    let total = arguments.next().transpose()?.unwrap_or(400_000);
    let rate = arguments.next().transpose()?;

    let lookup = |name: &str| std::env::var(name).ok();
    let otlp = OtlpConfig::from_lookup(lookup)?;
    let json = lookup("WIRESPAN_OUTPUT").is_some_and(|o| o == "json");
    let format = if json { Format::Json } else { Format::Text };
    let console = otlp.is_none().then(|| ConsoleSettings { format, ..ConsoleSettings::default() });
    let settings = ExportSettings {
        otlp,
        zipkin: None,
        console,
        store: None,
        batch: BatchConfig::from_lookup(lookup)?,
        memory: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let counters = Arc::new(Counters::default());
    let exporters = Exporters::start(settings, Arc::clone(&counters), runtime.handle())?;

    let resources: Vec<_> = (0..20).map(resource).collect();
    let begin = Instant::now();
    let mut inside = Duration::ZERO;
    let mut sent = 0;
    while sent < total {
        let traces: Vec<Trace> = (0..TRACES).map(|i| trace(sent + i * SPANS, &resources)).collect();
        sent += TRACES * SPANS;
        counters.links.spans_finished.add(TRACES * SPANS);
        let before = Instant::now();
        exporters.export(traces);
        inside += before.elapsed();
        if let Some(rate) = rate {
            let due = Duration::from_secs_f64(sent as f64 / rate as f64);
            std::thread::sleep(due.saturating_sub(begin.elapsed()));
        }
    }
    let made = cpu("/proc/thread-self/schedstat")?;
    let lost = exporters.shutdown(Instant::now() + Duration::from_secs(10));
    let wall = begin.elapsed();
    report(sent, wall, inside, made)?;
    eprintln!("lost at the end: {lost:?}");
    for (name, _, value) in counters.snapshot() {
        if value > 0 {
            eprintln!("{name} {value}");
        }
    }
    Ok(())
}

fn report(sent: u64, wall: Duration, inside: Duration, made: f64) -> Result<()> {
    let mut all = 0.0;
    for task in std::fs::read_dir("/proc/self/task")? {
        all += cpu(&task?.path().join("schedstat").to_string_lossy())?;
    }
    // The encoder's thread has ended, so its time is only in the sum of the process.
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
    let process = (ticks / 100.0).max(all);
    let status = std::fs::read_to_string("/proc/self/status")?;
    let memory = |key| status.lines().find(|l| l.starts_with(key)).unwrap_or_default().to_owned();
    eprintln!("{sent} spans in {:.2} s: {:.0} spans/s", wall.as_secs_f64(), sent as f64 / wall.as_secs_f64());
    eprintln!("export() took {:.0} ns a span", inside.as_nanos() as f64 / sent as f64);
    eprintln!(
        "exporter CPU: {:.2} µs a span (making them: {:.2} µs)",
        (process - made) * 1e6 / sent as f64,
        made * 1e6 / sent as f64
    );
    eprintln!("{}  {}", memory("VmRSS"), memory("VmHWM"));
    Ok(())
}

/// Seconds on a CPU.
fn cpu(schedstat: &str) -> Result<f64> {
    let text = std::fs::read_to_string(schedstat)?;
    let nanos: f64 = text.split_whitespace().next().context("a field")?.parse()?;
    Ok(nanos / 1e9)
}

fn resource(index: usize) -> Arc<Resource> {
    let text = |key, value: String| KeyValue::str(key, value);
    let attributes = vec![
        text("service.name", format!("service-{index}")),
        text("service.instance.id", format!("0b1c3c54-8a3e-4c5e-9c0a-{index:012}")),
        KeyValue::int("process.pid", 1000 + index as i64),
        text("process.executable.name", "python3.11".to_owned()),
        text("process.executable.path", "/usr/bin/python3.11".to_owned()),
        text("process.command_line", "python3 -m gunicorn app:app --workers 4".to_owned()),
        text("host.name", "machine.example".to_owned()),
        text("host.arch", "amd64".to_owned()),
        text("os.type", "linux".to_owned()),
        text("telemetry.sdk.name", "wirespan".to_owned()),
        text("telemetry.sdk.language", "rust".to_owned()),
        text("telemetry.sdk.version", "0.1.0".to_owned()),
    ];
    Arc::new(Resource { attributes })
}

fn trace(first: u64, resources: &[Arc<Resource>]) -> Trace {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos() as u64;
    let spans = (0..SPANS).map(|depth| {
        let client = depth % 2 == 0;
        let parent = if depth == 0 { [0; 8] } else { (first + depth).to_be_bytes() };
        Span {
            trace_id: (u128::from(first) << 64 | u128::from(now)).to_be_bytes(),
            span_id: (first + depth + 1).to_be_bytes(),
            parent_span_id: parent,
            trace_state: Box::default(),
            flags: 1,
            parent_is_remote: false,
            name: "GET /orders/{id}".into(),
            kind: if client { SpanKind::Client } else { SpanKind::Server },
            start_unix_nano: now + depth * 150_000,
            end_unix_nano: now + 5_000_000 - depth * 200_000,
            attributes: attributes(first),
            status: Status::Unset,
            events: Vec::new(),
            links: Vec::new(),
            resource: Arc::clone(&resources[(first + depth.div_ceil(2)) as usize % resources.len()]),
            protocol: "http",
            scope: None,
        }
    });
    Trace { spans: spans.collect() }
}

fn attributes(id: u64) -> Vec<KeyValue> {
    vec![
        KeyValue::str("http.request.method", "GET"),
        KeyValue::int("http.response.status_code", 200),
        KeyValue::str("url.scheme", "http"),
        KeyValue::str("url.path", format!("/orders/{id}")),
        KeyValue::str("url.query", "token=REDACTED"),
        KeyValue::str("server.address", "orders.example"),
        KeyValue::int("server.port", 8080),
        KeyValue::str("client.address", "192.0.2.17"),
        KeyValue::int("client.port", 30_000 + (id % 30_000) as i64),
        KeyValue::str("network.peer.address", "192.0.2.17"),
        KeyValue::int("network.peer.port", 8080),
        KeyValue::str("network.protocol.name", "http"),
        KeyValue::str("network.protocol.version", "1.1"),
        KeyValue::str("user_agent.original", "curl/7.88.1"),
        KeyValue::int("http.response.body.size", 1024),
    ]
}
