//! What is measured of spans: instruments, their buckets, and the attributes by which each is told apart.
//!
//! Instruments that a span feeds at one time and with the same attributes are a *family*: their figures stand side by side, and
//! are found once. Source: the semantic conventions for HTTP, RPC, database, messaging and DNS metrics, by the names of
//! `opentelemetry-semantic-conventions`.

use opentelemetry_semantic_conventions::{attribute as key, metric};
use wirespan_signals::{Instrument, InstrumentKind};

/// An instrument, with its buckets if it is a histogram.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// What it is.
    pub instrument: Instrument,
    /// Upper bounds of the buckets.
    pub bounds: &'static [f64],
}

/// Instruments that are fed together.
#[derive(Debug)]
pub struct Family {
    /// The attributes by which its series differ.
    pub keys: &'static [&'static str],
    /// At most [`MAX_INSTRUMENTS`].
    pub instruments: &'static [Kept],
}

/// The most instruments of a family.
pub const MAX_INSTRUMENTS: usize = 3;
/// The most keys of a family.
pub const MAX_KEYS: usize = 12;

/// Durations of HTTP, RPC and messaging, as the conventions advise.
const SECONDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Durations of database operations, as they advise.
const DB_SECONDS: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];
/// Sizes, of which they advise nothing: the SDK specification's own.
const BYTES: &[f64] =
    &[0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1000.0, 2500.0, 5000.0, 7500.0, 10000.0];
/// Latencies as Tempo's metrics-generator has them: powers of two from 2 ms.
const SPAN_SECONDS: &[f64] =
    &[0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384];
/// Its service graph's: powers of two from 100 ms.
const GRAPH_SECONDS: &[f64] = &[0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8];

const fn histogram(name: &'static str, unit: &'static str, bounds: &'static [f64], help: &'static str) -> Kept {
    Kept { instrument: Instrument { name, unit, help, kind: InstrumentKind::Histogram }, bounds }
}

const fn counter(name: &'static str, unit: &'static str, help: &'static str) -> Kept {
    Kept { instrument: Instrument { name, unit, help, kind: InstrumentKind::Counter }, bounds: &[] }
}

const fn up_down_counter(name: &'static str, unit: &'static str, help: &'static str) -> Kept {
    Kept { instrument: Instrument { name, unit, help, kind: InstrumentKind::UpDownCounter }, bounds: &[] }
}

/// Which family.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are what they are called")]
pub enum FamilyName {
    HttpServer,
    HttpServerActive,
    HttpClient,
    RpcServer,
    RpcClient,
    DbClient,
    MessagingSend,
    MessagingReceive,
    MessagingProcess,
    DnsLookup,
    SpanMetrics,
    GraphRequests,
    GraphFailures,
    GraphUnpaired,
}

/// Those that are about the service that a span belongs to; the others are about the agent's view of all.
pub const OF_SERVICES: usize = FamilyName::SpanMetrics as usize;

/// Every family, in the order of [`FamilyName`].
pub static FAMILIES: [Family; 14] = [
    Family {
        keys: &[
            key::HTTP_REQUEST_METHOD,
            key::HTTP_RESPONSE_STATUS_CODE,
            key::ERROR_TYPE,
            key::URL_SCHEME,
            key::URL_TEMPLATE,
            key::NETWORK_PROTOCOL_NAME,
            key::NETWORK_PROTOCOL_VERSION,
        ],
        instruments: &[
            histogram(metric::HTTP_SERVER_REQUEST_DURATION, "s", SECONDS, "Duration of HTTP server requests."),
            histogram(metric::HTTP_SERVER_REQUEST_BODY_SIZE, "By", BYTES, "Size of HTTP server request bodies."),
            histogram(metric::HTTP_SERVER_RESPONSE_BODY_SIZE, "By", BYTES, "Size of HTTP server response bodies."),
        ],
    },
    Family {
        keys: &[key::HTTP_REQUEST_METHOD, key::URL_SCHEME],
        instruments: &[up_down_counter(
            metric::HTTP_SERVER_ACTIVE_REQUESTS,
            "{request}",
            "Number of active HTTP server requests.",
        )],
    },
    Family {
        keys: &[
            key::HTTP_REQUEST_METHOD,
            key::HTTP_RESPONSE_STATUS_CODE,
            key::ERROR_TYPE,
            key::SERVER_ADDRESS,
            key::SERVER_PORT,
            key::URL_TEMPLATE,
            key::NETWORK_PROTOCOL_NAME,
            key::NETWORK_PROTOCOL_VERSION,
        ],
        instruments: &[
            histogram(metric::HTTP_CLIENT_REQUEST_DURATION, "s", SECONDS, "Duration of HTTP client requests."),
            histogram(metric::HTTP_CLIENT_REQUEST_BODY_SIZE, "By", BYTES, "Size of HTTP client request bodies."),
            histogram(metric::HTTP_CLIENT_RESPONSE_BODY_SIZE, "By", BYTES, "Size of HTTP client response bodies."),
        ],
    },
    Family {
        keys: RPC_KEYS,
        instruments: &[histogram(
            metric::RPC_SERVER_CALL_DURATION,
            "s",
            SECONDS,
            "Duration of incoming remote procedure calls.",
        )],
    },
    Family {
        keys: RPC_KEYS,
        instruments: &[histogram(
            metric::RPC_CLIENT_CALL_DURATION,
            "s",
            SECONDS,
            "Duration of outgoing remote procedure calls.",
        )],
    },
    Family {
        keys: &[
            key::DB_SYSTEM_NAME,
            key::DB_NAMESPACE,
            key::DB_COLLECTION_NAME,
            key::DB_OPERATION_NAME,
            key::DB_QUERY_SUMMARY,
            key::DB_STORED_PROCEDURE_NAME,
            key::DB_RESPONSE_STATUS_CODE,
            key::ERROR_TYPE,
            key::SERVER_ADDRESS,
            key::SERVER_PORT,
        ],
        instruments: &[histogram(
            metric::DB_CLIENT_OPERATION_DURATION,
            "s",
            DB_SECONDS,
            "Duration of database client operations.",
        )],
    },
    Family {
        keys: MESSAGING_KEYS,
        instruments: &[
            messaging_duration(),
            counter(metric::MESSAGING_CLIENT_SENT_MESSAGES, "{message}", "Messages that producers sent to a broker."),
        ],
    },
    Family {
        keys: MESSAGING_KEYS,
        instruments: &[
            messaging_duration(),
            counter(
                metric::MESSAGING_CLIENT_CONSUMED_MESSAGES,
                "{message}",
                "Messages that were delivered to an application.",
            ),
        ],
    },
    Family {
        keys: MESSAGING_KEYS,
        instruments: &[
            histogram(metric::MESSAGING_PROCESS_DURATION, "s", SECONDS, "Duration of the processing of messages."),
            counter(
                metric::MESSAGING_CLIENT_CONSUMED_MESSAGES,
                "{message}",
                "Messages that were delivered to an application.",
            ),
        ],
    },
    Family {
        keys: &[key::DNS_QUESTION_NAME, key::ERROR_TYPE],
        instruments: &[histogram(metric::DNS_LOOKUP_DURATION, "s", SECONDS, "Time that the lookup of a name took.")],
    },
    Family {
        keys: &["service", "span_name", "span_kind", "status_code"],
        instruments: &[
            counter("traces_spanmetrics_calls_total", "", "Total count of the spans."),
            histogram("traces_spanmetrics_latency", "", SPAN_SECONDS, "Duration of the spans, in seconds."),
        ],
    },
    Family {
        keys: GRAPH_KEYS,
        instruments: &[
            counter("traces_service_graph_request_total", "", "Total count of requests between two nodes."),
            histogram(
                "traces_service_graph_request_client_seconds",
                "",
                GRAPH_SECONDS,
                "Time for a request between two nodes as seen from the client.",
            ),
            histogram(
                "traces_service_graph_request_server_seconds",
                "",
                GRAPH_SECONDS,
                "Time for a request between two nodes as seen from the server.",
            ),
        ],
    },
    Family {
        keys: GRAPH_KEYS,
        instruments: &[counter(
            "traces_service_graph_request_failed_total",
            "",
            "Total count of failed requests between two nodes.",
        )],
    },
    Family {
        keys: &["client", "server"],
        instruments: &[counter(
            "traces_service_graph_unpaired_spans_total",
            "",
            "Total count of spans whose other end was not seen.",
        )],
    },
];

const RPC_KEYS: &[&str] = &[
    key::RPC_SYSTEM_NAME,
    key::RPC_METHOD,
    key::RPC_RESPONSE_STATUS_CODE,
    key::ERROR_TYPE,
    key::SERVER_ADDRESS,
    key::SERVER_PORT,
];
const MESSAGING_KEYS: &[&str] = &[
    key::MESSAGING_SYSTEM,
    key::MESSAGING_OPERATION_NAME,
    key::MESSAGING_OPERATION_TYPE,
    MESSAGING_DESTINATION,
    key::ERROR_TYPE,
    key::SERVER_ADDRESS,
    key::SERVER_PORT,
];
const GRAPH_KEYS: &[&str] = &["client", "server", "connection_type"];

/// The template of a destination stands for its name where there is one; see [`super::spans`].
pub(crate) const MESSAGING_DESTINATION: &str = key::MESSAGING_DESTINATION_NAME;

const fn messaging_duration() -> Kept {
    histogram(
        metric::MESSAGING_CLIENT_OPERATION_DURATION,
        "s",
        SECONDS,
        "Duration of messaging operations of producers and consumers.",
    )
}

impl FamilyName {
    /// What it is.
    pub fn family(self) -> &'static Family {
        &FAMILIES[self as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_within_their_limits_and_bounds_grow() {
        for family in &FAMILIES {
            assert!(family.keys.len() <= MAX_KEYS && family.instruments.len() <= MAX_INSTRUMENTS);
            for kept in family.instruments {
                assert!(kept.bounds.is_sorted_by(|a, b| a < b), "{}", kept.instrument.name);
                assert_eq!(kept.bounds.is_empty(), kept.instrument.kind != InstrumentKind::Histogram);
                assert!(kept.instrument.help.ends_with('.'));
            }
        }
        assert_eq!(FAMILIES[FamilyName::GraphUnpaired as usize].keys.len(), 2);
        assert_eq!(FAMILIES[OF_SERVICES].keys[0], "service");
    }
}
