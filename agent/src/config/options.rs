//! The registry of options: the one place from which flags, `WIRESPAN_*` variables, YAML keys, `wirespan config`, the
//! help and `docs/configuration.md` derive.
//!
//! To add an option: one entry here, one line in [`super::Config`]'s reading, and
//! `UPDATE_DOCS=1 cargo test -p wirespan documentation`.

use super::containers;
use super::kubernetes;
use super::option::{Kind, Opt, opt};

const SELECTION: &str = "Selection";
pub(super) const NAMES: &str = "Names";
const CONSOLE: &str = "Console and log";
const VIEW: &str = "Local view";
pub(crate) const OTLP: &str = "OTLP";
const SAMPLING: &str = "Sampling";
const METRICS: &str = "Metrics";
const OTLP_IN: &str = "OTLP in";
const CAPTURE: &str = "Capture and limits";
const SAFETY: &str = "Safety";

const MIB: u64 = 1 << 20;
const HOUR: u64 = 3_600_000;
/// As good as no limit.
const MANY: u64 = 1_000_000;

/// Where the configuration file is. The only option that the file itself cannot set.
pub static CONFIG: Opt =
    opt("config", "Configuration", Kind::Text, "Configuration file (YAML). The default one may be missing.")
        .or("/etc/wirespan/wirespan.yaml");

/// Every option that a configuration file can set, in the order in which they are shown.
pub static OPTIONS: &[Opt] = &[
    opt(
        "include",
        SELECTION,
        Kind::Rules,
        "Trace only what matches one of these rules: exe:GLOB (or a bare GLOB), pid:N, port:N, user:NAME|UID, \
         cgroup:GLOB, container:GLOB, image:GLOB, namespace:GLOB, workload:GLOB, label:KEY=GLOB. Default: everything that \
         owns a socket.",
    )
    .like("[exe:*/nginx, port:8080]"),
    opt(
        "exclude",
        SELECTION,
        Kind::Rules,
        "Do not trace what matches one of these rules, even if it is included. Rules as for include.",
    )
    .like("[user:root]"),
    opt(
        "allow-duplicate-spans",
        SELECTION,
        Kind::Switch,
        "Also trace processes that already export spans themselves, which are left alone otherwise.",
    )
    .or("false"),
    opt(
        "service-name",
        NAMES,
        Kind::Names,
        "Names services: port:8080=shop, exe:*/nginx=edge; NAME alone names everything. The first rule that matches wins, \
         before OTEL_SERVICE_NAME of the traced process.",
    )
    .like("[port:8080=shop, exe:*/nginx=edge]"),
    kubernetes::API,
    kubernetes::NODE,
    kubernetes::CREDENTIALS_IN,
    kubernetes::LABELS,
    kubernetes::ANNOTATIONS,
    kubernetes::WELL_KNOWN,
    kubernetes::PEERS,
    containers::SOCKETS,
    opt(
        "output",
        CONSOLE,
        Kind::Choice(&["auto", "text", "json", "none"]),
        "Finished traces on standard output: an indented tree, one JSON span a line, or nothing. `auto` is text without \
         an OTLP endpoint and none with one.",
    )
    .or("auto"),
    opt(
        "follow",
        CONSOLE,
        Kind::Switch,
        "Show every trace on a terminal, however many there are. Otherwise more than ten a second become a line with \
         rates, and the failing and slowest traces. In a pipe or a file every trace is written in any case.",
    )
    .or("false"),
    opt("color", CONSOLE, Kind::Choice(&["auto", "always", "never"]), "Colours; `auto` is on a terminal only.")
        .or("auto")
        .also(&["NO_COLOR"]),
    opt("stats", CONSOLE, Kind::Switch, "Print the agent's own counters periodically and at exit.").or("false"),
    opt("stats-interval", CONSOLE, Kind::Time(100, 24 * HOUR), "Time between two prints of the counters.").or("10s"),
    opt("log", CONSOLE, Kind::Text, "What is logged: error, warn, info, debug, trace, or a filter as in env_logger.")
        .or("info")
        .also(&["RUST_LOG"]),
    opt(
        "listen",
        VIEW,
        Kind::Text,
        "ADDRESS:PORT of the local view and its API, or off. `auto` is 127.0.0.1:4316 unless spans go to an OTLP endpoint \
         and none are stored. A port that is taken turns nothing off but the port.",
    )
    .or("auto"),
    opt(
        "socket",
        VIEW,
        Kind::Text,
        "Unix socket on which the same API is always answered, to the agent's own user alone: `wirespan query`, `export`, \
         `ps` and `top` ask it first. A path, or off. With an OTLP endpoint and without a listen address, 32 MiB of traces are \
         kept for it unless store-bytes and store-traces say otherwise.",
    )
    .or("/run/wirespan/wirespan.sock"),
    opt(
        "token-file",
        VIEW,
        Kind::Text,
        "File with a token of at least 16 characters, which readers of the view must state then. Any listen address but a \
         loopback one demands it.",
    )
    .like("/etc/wirespan/token"),
    opt(
        "store",
        VIEW,
        Kind::Text,
        "File that keeps the view's traces when the agent ends, however it ends. It is made if it is missing.",
    )
    .like("/var/lib/wirespan/traces.redb"),
    opt(
        "store-bytes",
        VIEW,
        Kind::Size(8 * MIB, 65_536 * MIB),
        "Memory for the view's traces, up to half of max-memory. The oldest go first; those with errors and slow ones are kept \
         longest. Default: five sixteenths of max-memory.",
    )
    .like("128MiB"),
    opt("store-traces", VIEW, Kind::Count(1, 100_000_000), "The most traces that the view keeps.").or("200000"),
    opt(
        "otlp-endpoint",
        OTLP,
        Kind::Text,
        "URL of an OTLP receiver, with its scheme: http://collector:4318, to which http/protobuf appends /v1/traces.",
    )
    .also(&["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"])
    .like("http://localhost:4318"),
    opt("otlp-protocol", OTLP, Kind::Text, "grpc or http/protobuf.")
        .or("http/protobuf")
        .also(&["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"]),
    opt("otlp-headers", OTLP, Kind::Text, "Headers of every export request: name=value,name=value, percent-encoded.")
        .also(&["OTEL_EXPORTER_OTLP_TRACES_HEADERS", "OTEL_EXPORTER_OTLP_HEADERS"])
        .secret()
    .like("authorization=Bearer%20TOKEN"),
    opt("otlp-compression", OTLP, Kind::Text, "gzip or none.")
        .or("none")
        .also(&["OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "OTEL_EXPORTER_OTLP_COMPRESSION"]),
    opt("otlp-timeout", OTLP, Kind::Time(0, HOUR), "How long one export request may take; 0 for any time.")
        .or("10s")
        .also(&["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT"]),
    opt("otlp-certificate", OTLP, Kind::Text, "PEM file of the authorities that the receiver's certificate is checked against.")
        .also(&["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"])
    .like("/etc/wirespan/ca.pem"),
    opt("otlp-client-certificate", OTLP, Kind::Text, "PEM file of the agent's own certificate, for mutual TLS.")
        .also(&["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"])
    .like("/etc/wirespan/client.pem"),
    opt("otlp-client-key", OTLP, Kind::Text, "PEM file of the key to the agent's own certificate.")
        .also(&["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"])
    .like("/etc/wirespan/client.key"),
    opt("otlp-insecure", OTLP, Kind::Switch, "gRPC without TLS where the endpoint has no scheme.")
        .also(&["OTEL_EXPORTER_OTLP_TRACES_INSECURE", "OTEL_EXPORTER_OTLP_INSECURE"])
    .like("true"),
    opt("queue-size", OTLP, Kind::Count(1, 10_000_000), "Spans that wait for the receiver; what does not fit is counted and dropped.")
        .or("65536")
        .also(&["OTEL_BSP_MAX_QUEUE_SIZE"]),
    opt("batch-size", OTLP, Kind::Count(1, 1_000_000), "The most spans in one export request; not more than queue-size.")
        .or("512")
        .also(&["OTEL_BSP_MAX_EXPORT_BATCH_SIZE"]),
    opt("batch-delay", OTLP, Kind::Time(0, HOUR), "How long a span may wait for others to share a request with.")
        .or("200ms")
        .also(&["OTEL_BSP_SCHEDULE_DELAY"]),
    opt(
        "traces-sampler",
        SAMPLING,
        Kind::Text,
        "always_on, always_off, traceidratio, or one of these behind parentbased_, which means that a request that says \
         whether it is recorded is obeyed. What is not kept is measured, and stays in the view as long as there is room.",
    )
    .or("parentbased_always_on")
    .also(&["OTEL_TRACES_SAMPLER"]),
    opt("traces-sampler-arg", SAMPLING, Kind::Text, "The part that traceidratio keeps, from 0 to 1.")
        .also(&["OTEL_TRACES_SAMPLER_ARG"])
        .like("0.25"),
    opt(
        "tail-sampling",
        SAMPLING,
        Kind::Block,
        "What is kept of whole traces: the block `tail_sampling:` of the OpenTelemetry Collector, key by key (see sampling.md).",
    )
    .spelt("tail_sampling")
    .like("{policies: [{name: errors, type: status_code, status_code: {status_codes: [ERROR]}}]}"),
    opt(
        "traces-per-second",
        SAMPLING,
        Kind::Count(1, MANY),
        "The most traces a second that are kept of each service, about: what is frequent is thinned out; rare operations, \
         failures and slow ones stay. By which probability each was kept stands in its tracestate (ot=th:).",
    )
    .like("20"),
    opt(
        "metrics",
        METRICS,
        Kind::Choice(&["on", "off"]),
        "Measure every span, of traces that are not sampled too, as the semantic conventions say: http.server.request.duration \
         and its like, by service. They are at /metrics of the view and of its socket, beside the agent's own.",
    )
    .or("on"),
    opt(
        "span-metrics",
        METRICS,
        Kind::Choice(&["on", "off"]),
        "Span metrics and the service graph, under the names that Tempo's metrics-generator uses: \
         traces_spanmetrics_calls_total, traces_service_graph_request_total and their like.",
    )
    .or("off"),
    opt(
        "metrics-cardinality",
        METRICS,
        Kind::Count(2, MANY),
        "Series of one instrument for one service; what exceeds them is counted in one with otel.metric.overflow. Of span \
         metrics and the service graph, which are about all services, five times as many.",
    )
    .or("2000"),
    opt(
        "metrics-exemplars",
        METRICS,
        Kind::Choice(&["trace_based", "always_on", "always_off"]),
        "Whether figures come with examples. Only traces that are kept are any, so always_on is the same as trace_based.",
    )
    .or("trace_based")
    .also(&["OTEL_METRICS_EXEMPLAR_FILTER"]),
    opt(
        "metric-export-interval",
        METRICS,
        Kind::Time(100, 24 * HOUR),
        "Time between two exports of figures by OTLP, which goes where spans go unless OTEL_EXPORTER_OTLP_METRICS_ENDPOINT or \
         OTEL_METRICS_EXPORTER says otherwise.",
    )
    .or("60s")
    .also(&["OTEL_METRIC_EXPORT_INTERVAL"]),
    opt(
        "metrics-temporality",
        METRICS,
        Kind::Choice(&["cumulative", "delta", "lowmemory"]),
        "What is exported by OTLP: figures since they began, or since the export before; lowmemory is delta without the \
         agent's own.",
    )
    .or("cumulative")
    .also(&["OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE"]),
    opt(
        "metrics-histograms",
        METRICS,
        Kind::Choice(&["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]),
        "Which histograms are exported by OTLP.",
    )
    .or("explicit_bucket_histogram")
    .also(&["OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION"]),
    opt(
        "otlp-listen",
        OTLP_IN,
        Kind::Text,
        "Where applications may send the spans that they make themselves: off; 127.0.0.1, which means port 4317 for gRPC \
         and 4318 for HTTP; or ADDRESS:PORT, several with commas, each for both. Anything but loopback needs token-file.",
    )
    .or("off"),
    opt(
        "otlp-max-message",
        OTLP_IN,
        Kind::Size(1024, 64 * MIB),
        "Bytes of one message that is received, before and after decompression.",
    )
    .or("4MiB"),
    opt(
        "attribute-count-limit",
        OTLP_IN,
        Kind::Count(0, MANY),
        "Attributes that are kept of a received span; what more there is, is counted on the span.",
    )
    .or("128")
    .also(&["OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "OTEL_ATTRIBUTE_COUNT_LIMIT"]),
    opt(
        "attribute-length-limit",
        OTLP_IN,
        Kind::Count(0, 64 * MIB),
        "Characters that are kept of a received text. Names of services have at most 256, those of spans 1024.",
    )
    .or("8192")
    .also(&["OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT", "OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT"]),
    opt("event-count-limit", OTLP_IN, Kind::Count(0, MANY), "Events that are kept of a received span.")
        .or("128")
        .also(&["OTEL_SPAN_EVENT_COUNT_LIMIT"]),
    opt("link-count-limit", OTLP_IN, Kind::Count(0, MANY), "Links that are kept of a received span.")
        .or("128")
        .also(&["OTEL_SPAN_LINK_COUNT_LIMIT"]),
    opt("event-attribute-count-limit", OTLP_IN, Kind::Count(0, MANY), "Attributes that are kept of a received event.")
        .or("128")
        .also(&["OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT"]),
    opt("link-attribute-count-limit", OTLP_IN, Kind::Count(0, MANY), "Attributes that are kept of a received link.")
        .or("128")
        .also(&["OTEL_LINK_ATTRIBUTE_COUNT_LIMIT"]),
    opt(
        "sandbox",
        SAFETY,
        Kind::Choice(&["on", "off"]),
        "Once it traces, the agent gives up the privileges that it needs no more, and has the kernel refuse it the system \
         calls that it never makes: starting programs, for one.",
    )
    .or("on"),
    opt(
        "probes",
        SAFETY,
        Kind::Choice(&["on", "off"]),
        "Programs whose runtime is known (Go, CPython, Node, nginx) are probed at a few functions once they serve, to learn who made a call that \
         another part of them writes. Without, fewer of their calls are linked.",
    )
    .or("on"),
    opt(
        "tls",
        SAFETY,
        Kind::Names,
        "Read what programs read and write through TLS libraries that are known, with the same secrets left out as of what is not \
         encrypted, where that is cheap (`auto`, the default); also where each call costs many microseconds (`force`); or leave \
         TLS alone (`off`): for everything, or by rules as for service-name, of which the first that matches wins.",
    )
    .like("[exe:*/vault=off, auto]"),
    opt(
        "logs",
        CAPTURE,
        Kind::Choice(&["auto", "exceptions", "all", "off"]),
        "Read exceptions with their stack traces out of what traced programs write to standard output, standard error and log files, \
         and put them on the spans that they belong to: where that costs other programs next to nothing (`auto`), or by whatever this \
         kernel has (`exceptions`); `all` tells every record that they write, as OTLP logs and in the view. `wirespan doctor` tells \
         what sees them.",
    )
    .or("auto"),
    opt(
        "query-values",
        CAPTURE,
        Kind::Switch,
        "Keep the values of query strings in url.query, which are replaced by REDACTED otherwise.",
    )
    .or("false"),
    opt(
        "query-text",
        CAPTURE,
        Kind::Switch,
        "Keep the values in db.query.text (SQL literals, arguments of Redis and Memcached commands), which are replaced by ? otherwise.",
    )
    .or("false"),
    opt(
        "attribute",
        CAPTURE,
        Kind::Attributes,
        "Attributes to take out of requests and responses, one rule each, as order.id = path /orders/{id}; `attributes:` in the \
         file (see attributes.md).",
    )
    .spelt("attributes")
    .like("['order.id = path /orders/{id}', 'tenant = header x-tenant on root']"),
    opt(
        "findings",
        CAPTURE,
        Kind::Choice(&["on", "off"]),
        "Point at what can be proven to be wrong in a trace, on its root: N+1, retries, errors swallowed, slow statements (see \
         findings.md).",
    )
    .or("on"),
    opt("slow-statement", CAPTURE, Kind::Time(1, HOUR), "A statement that takes at least this long is a finding.").or("500ms"),
    opt(
        "time-split",
        CAPTURE,
        Kind::Choice(&["on", "off"]),
        "Say on spans for how long their thread ran, waited for a CPU, and was blocked (see time.md).",
    )
    .or("on"),
    opt(
        "capture-bytes",
        CAPTURE,
        Kind::Size(64, wirespan_common::MAX_CAPTURE as u64),
        "Bytes captured of one socket operation.",
    )
    .or("4096"),
    opt(
        "ring-bytes",
        CAPTURE,
        Kind::Size(4096, 1 << 30),
        "Size of the ring between kernel and agent: a power of two, and a multiple of the page size.",
    )
    .or("8MiB"),
    opt("max-connections", CAPTURE, Kind::Count(16, 16_777_216), "Connections followed at one time; the idlest is forgotten first.")
        .or("65536"),
    opt("max-connection-buffer", CAPTURE, Kind::Size(4096, 64 * MIB), "Memory for the bytes of one connection that wait to be understood.")
        .or("1MiB"),
    opt(
        "max-memory",
        CAPTURE,
        Kind::Size(32 * MIB, 65_536 * MIB),
        "Memory for all that grows with what arrives: connections, spans being built, every queue, the view's traces. What finds \
         no room is dropped and counted. The program itself and the ring come on top.",
    )
    .or("256MiB"),
    opt(
        "max-buffer",
        CAPTURE,
        Kind::Size(65_536, 16_384 * MIB),
        "Memory for all connections and their bytes that wait to be understood, up to a quarter of max-memory, which is the \
         default; the one with most is forgotten first.",
    )
    .like("32MiB"),
    opt("idle-timeout", CAPTURE, Kind::Time(1_000, 24 * HOUR), "A connection without traffic for this long is forgotten.").or("10m"),
    opt(
        "links",
        CAPTURE,
        Kind::Choice(&["inferred", "exact"]),
        "Which calls hang below the requests that they were made for: those proven, and (`inferred`) those where that \
         follows from what was seen and is right in 999 of 1000 cases at least. Such calls say so (`wirespan.link.evidence`).",
    )
    .or("inferred"),
    opt(
        "record-facts",
        CAPTURE,
        Kind::Text,
        "File to write down what linking is told: who read, called and answered when, and the paths of requests. For reports of \
         wrong or missing links. It grows until the agent ends.",
    )
    .like("/tmp/facts.txt"),
    opt(
        "trace-hold",
        CAPTURE,
        Kind::Time(0, 60_000),
        "How long a finished trace waits for spans of other processes on this host before it leaves.",
    )
    .or("250ms"),
    opt("max-spans-in-flight", CAPTURE, Kind::Count(16, 100_000_000), "Spans held at one time, unfinished ones included.")
        .or("200000"),
];

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::option::PREFIX;

    #[test]
    fn names_are_unique_and_spell_alike_everywhere() {
        let mut seen = HashSet::new();
        for option in OPTIONS {
            assert!(seen.insert(option.name), "{} is there twice", option.name);
            assert!(option.alias.is_none_or(|alias| seen.insert(alias)), "{} is spelt as another", option.name);
            assert!(option.name.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{}", option.name);
            let back = option.variable().strip_prefix(PREFIX).unwrap().to_ascii_lowercase().replace('_', "-");
            assert_eq!(back, option.name);
        }
    }

    #[test]
    fn every_option_says_what_it_is_for() {
        for option in OPTIONS {
            assert!(option.help.ends_with('.') && option.help.len() > 10, "{}", option.name);
            assert!(option.default.is_some() == option.example.is_empty(), "{}: a default or an example", option.name);
        }
    }
}
