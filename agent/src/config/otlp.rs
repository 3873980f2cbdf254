//! OTLP settings, and the standard environment variables that they come from.
//!
//! Sources: OpenTelemetry specification, "OpenTelemetry Protocol Exporter", "Environment Variable Specification"
//! (`OTEL_TRACES_EXPORTER`, `OTEL_BSP_*`). Where the specification lets an implementation ignore an unreadable value
//! with a warning, wirespan refuses it: a collector that silently gets nothing costs more than a start that fails.
//!
//! The signal's own variable (`OTEL_EXPORTER_OTLP_TRACES_*`) wins over the general one; an empty one counts as unset.

mod endpoint;
mod headers;
#[cfg(test)]
mod tests;
mod zipkin;

use std::path::PathBuf;
use std::time::Duration;

use http::{HeaderMap, Uri};

/// Why the OTLP variables cannot be used. Each message is one sentence that names the variable and the remedy; header
/// values never appear in it, since they carry credentials.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OtlpConfigError {
    /// The endpoint does not say `http://` or `https://`.
    #[error("{variable}={value} has no scheme: write http://{value} or, for TLS, https://{value}")]
    NoScheme {
        /// Where it came from.
        variable: String,
        /// What it said.
        value: String,
    },
    /// The endpoint is no URL that OTLP can use.
    #[error("{variable}={value} is not a usable endpoint ({reason}): write a URL such as http://localhost:4318")]
    Endpoint {
        /// Where it came from.
        variable: String,
        /// What it said.
        value: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A value that must be one of a few words is none of them.
    #[error("{variable}={value} is not known: use {expected}")]
    Choice {
        /// Where it came from.
        variable: String,
        /// What it said.
        value: String,
        /// The words that are known.
        expected: &'static str,
    },
    /// A value that must be a number is none, or is out of range.
    #[error("{variable}={value} is not a number of {unit}: write a whole number, {minimum} or more")]
    Number {
        /// Where it came from.
        variable: String,
        /// What it said.
        value: String,
        /// What is counted.
        unit: &'static str,
        /// The least that makes sense.
        minimum: u64,
    },
    /// An entry of the list of headers is not `name=value`, or cannot be sent.
    #[error(
        "{variable}: entry {position} {reason}: write name=value pairs separated by commas, values percent-encoded"
    )]
    Header {
        /// Where it came from.
        variable: String,
        /// Which entry, from 1.
        position: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A client certificate without its key, or the reverse.
    #[error("{present} is set but {missing} is not: a client certificate and its key go together")]
    HalfIdentity {
        /// The variable that is set.
        present: String,
        /// The one that is not.
        missing: &'static str,
    },
    /// A batch that could never fill.
    #[error(
        "OTEL_{processor}_MAX_EXPORT_BATCH_SIZE={batch} exceeds the queue of {queue}: lower it, or raise \
         OTEL_{processor}_MAX_QUEUE_SIZE"
    )]
    BatchExceedsQueue {
        /// `BSP` of spans, `BLRP` of records of logs.
        processor: &'static str,
        /// Spans a batch.
        batch: usize,
        /// Spans in the queue.
        queue: usize,
    },
}

/// What is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Figures.
    Metrics,
    /// Lines of logs.
    Logs,
}

impl Signal {
    /// As environment variables have it.
    fn variable(self) -> &'static str {
        match self {
            Self::Traces => "TRACES",
            Self::Metrics => "METRICS",
            Self::Logs => "LOGS",
        }
    }

    /// The path that is appended to an endpoint for all signals.
    pub fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Metrics => "/v1/metrics",
            Self::Logs => "/v1/logs",
        }
    }
}

/// How OTLP messages travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// gRPC over HTTP/2.
    Grpc,
    /// Protobuf in the body of an HTTP POST.
    HttpProtobuf,
}

/// What is done to a request's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Nothing.
    None,
    /// gzip.
    Gzip,
}

/// PEM files for TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Certificates to trust instead of the system's.
    pub certificate: Option<PathBuf>,
    /// The client's own certificate chain and its private key.
    pub identity: Option<ClientIdentity>,
}

/// A client certificate and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientIdentity {
    /// PEM file with the certificate chain.
    pub certificate: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// Where spans go by OTLP, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpConfig {
    /// gRPC or HTTP.
    pub protocol: Protocol,
    /// HTTP: the URL that is posted to, path included. gRPC: scheme, host and port.
    pub endpoint: Uri,
    /// Sent with every request. Values are marked sensitive, so `Debug` does not show them.
    pub headers: HeaderMap,
    /// Of request bodies.
    pub compression: Compression,
    /// The longest that one request may take; `None` for no limit.
    pub timeout: Option<Duration>,
    /// Used when the endpoint says `https`.
    pub tls: TlsFiles,
}

/// The longest that one request may take unless `OTEL_EXPORTER_OTLP_TIMEOUT` says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

impl OtlpConfig {
    /// Plain settings for an endpoint: no compression, no header, the default timeout.
    pub fn new(protocol: Protocol, endpoint: Uri) -> Self {
        Self {
            protocol,
            endpoint,
            headers: HeaderMap::new(),
            compression: Compression::None,
            timeout: Some(DEFAULT_TIMEOUT),
            tls: TlsFiles::default(),
        }
    }

    /// Reads the standard variables through `lookup`.
    ///
    /// `None` if nobody asked for OTLP: no endpoint is set and `OTEL_TRACES_EXPORTER` does not name `otlp`; or that
    /// variable is set and names something else. With `OTEL_TRACES_EXPORTER=otlp` alone, the specification's default
    /// endpoint on localhost is used.
    ///
    /// # Errors
    /// If a variable cannot be read or two contradict each other.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, OtlpConfigError> {
        let lookup = Lookup(&lookup, Signal::Traces);
        let wanted = TracesExporter::read(&lookup)?;
        Self::read(&lookup, wanted.map(|wanted| wanted.otlp))
    }

    /// The same for metrics: `OTEL_METRICS_EXPORTER` is a list of `otlp` and `prometheus`, which is there in any case where
    /// the view is; or `none`.
    ///
    /// # Errors
    /// If a variable cannot be read or two contradict each other.
    pub fn of_metrics(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, OtlpConfigError> {
        Self::of_list(&Lookup(&lookup, Signal::Metrics), "OTEL_METRICS_EXPORTER")
    }

    /// The same for logs: `OTEL_LOGS_EXPORTER` is `otlp` or `none`.
    ///
    /// # Errors
    /// If a variable cannot be read or two contradict each other.
    pub fn of_logs(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, OtlpConfigError> {
        Self::of_list(&Lookup(&lookup, Signal::Logs), "OTEL_LOGS_EXPORTER")
    }

    fn of_list(lookup: &Lookup, variable: &str) -> Result<Option<Self>, OtlpConfigError> {
        let Some(setting) = lookup.one(variable) else { return Self::read(lookup, None) };
        let prometheus = lookup.1 == Signal::Metrics;
        let mut otlp = false;
        for word in setting.value.split(',').map(|word| word.trim().to_ascii_lowercase()) {
            match word.as_str() {
                "otlp" => otlp = true,
                "none" | "" => {}
                "prometheus" if prometheus => {}
                _ if prometheus => return Err(setting.unknown("otlp, prometheus or none")),
                _ => return Err(setting.unknown("otlp or none")),
            }
        }
        Self::read(lookup, Some(otlp))
    }

    /// `wanted`: whether OTLP was asked for by its name, if that was said.
    fn read(lookup: &Lookup, wanted: Option<bool>) -> Result<Option<Self>, OtlpConfigError> {
        if wanted == Some(false) {
            return Ok(None);
        }
        let protocol = protocol(lookup)?;
        let endpoint = match endpoint::read(lookup, protocol)? {
            Some(endpoint) => endpoint,
            None if wanted.is_some() => endpoint::default(lookup.1, protocol),
            None => return Ok(None),
        };
        Ok(Some(Self {
            protocol,
            endpoint,
            headers: lookup.signal("HEADERS").map(|s| headers::parse(&s)).transpose()?.unwrap_or_default(),
            compression: compression(lookup)?,
            timeout: timeout(lookup)?,
            tls: tls(lookup)?,
        }))
    }
}

/// What `OTEL_TRACES_EXPORTER` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TracesExporter {
    /// `otlp` is in the list.
    pub otlp: bool,
    /// `console` is in the list.
    pub console: bool,
    /// `zipkin` is in the list.
    pub zipkin: bool,
}

impl TracesExporter {
    /// Reads `OTEL_TRACES_EXPORTER`, a list of `otlp`, `zipkin` and `console`, or `none`; `None` if it is unset.
    ///
    /// # Errors
    /// If it names anything else.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, OtlpConfigError> {
        Self::read(&Lookup(&lookup, Signal::Traces))
    }

    fn read(lookup: &Lookup) -> Result<Option<Self>, OtlpConfigError> {
        let Some(setting) = lookup.one("OTEL_TRACES_EXPORTER") else { return Ok(None) };
        let mut wanted = Self::default();
        for word in setting.value.split(',').map(|w| w.trim().to_ascii_lowercase()) {
            match word.as_str() {
                "otlp" => wanted.otlp = true,
                "console" => wanted.console = true,
                "zipkin" => wanted.zipkin = true,
                "none" | "" => {}
                _ => return Err(setting.unknown("otlp, zipkin, console or none")),
            }
        }
        Ok(Some(wanted))
    }
}

/// How spans are gathered before they are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// Spans that may wait for delivery; what exceeds it is dropped and counted.
    pub queue_spans: usize,
    /// The most spans in one request.
    pub batch_spans: usize,
    /// The longest that a span waits for its batch to fill.
    pub delay: Duration,
}

impl Default for BatchConfig {
    /// The specification's queue of 2048 spans and delay of 5 s suit one program; this agent speaks for a host and
    /// feeds people who watch.
    fn default() -> Self {
        Self { queue_spans: 65536, batch_spans: 512, delay: Duration::from_millis(200) }
    }
}

impl BatchConfig {
    /// Reads `OTEL_BSP_MAX_QUEUE_SIZE`, `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` and `OTEL_BSP_SCHEDULE_DELAY` (milliseconds).
    ///
    /// # Errors
    /// If one is no number, or a batch would exceed the queue.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, OtlpConfigError> {
        Self::read(&Lookup(&lookup, Signal::Traces), "BSP", "spans")
    }

    /// The same of records of logs: `OTEL_BLRP_MAX_QUEUE_SIZE`, and so on.
    ///
    /// # Errors
    /// If one is no number, or a batch would exceed the queue.
    pub fn of_logs(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, OtlpConfigError> {
        Self::read(&Lookup(&lookup, Signal::Logs), "BLRP", "records")
    }

    fn read(lookup: &Lookup, processor: &'static str, unit: &'static str) -> Result<Self, OtlpConfigError> {
        let default = Self::default();
        let setting = |name: &str| lookup.one(&format!("OTEL_{processor}_{name}"));
        let number = |name: &str, minimum, default: usize| match setting(name) {
            Some(setting) => setting.number(unit, minimum).map(|n| usize::try_from(n).unwrap_or(usize::MAX)),
            None => Ok(default),
        };
        let queue_spans = number("MAX_QUEUE_SIZE", 1, default.queue_spans)?;
        // A queue made smaller than the default batch shrinks the batch; an explicit contradiction is an error.
        let batch_default = default.batch_spans.min(queue_spans);
        let batch_spans = number("MAX_EXPORT_BATCH_SIZE", 1, batch_default)?;
        if batch_spans > queue_spans {
            return Err(OtlpConfigError::BatchExceedsQueue { processor, batch: batch_spans, queue: queue_spans });
        }
        let delay = match setting("SCHEDULE_DELAY") {
            Some(setting) => Duration::from_millis(setting.number("milliseconds", 0)?),
            None => default.delay,
        };
        Ok(Self { queue_spans, batch_spans, delay })
    }
}

fn protocol(lookup: &Lookup) -> Result<Protocol, OtlpConfigError> {
    let Some(setting) = lookup.signal("PROTOCOL") else { return Ok(Protocol::HttpProtobuf) };
    match setting.value.to_ascii_lowercase().as_str() {
        "grpc" => Ok(Protocol::Grpc),
        "http/protobuf" => Ok(Protocol::HttpProtobuf),
        _ => Err(setting.unknown("grpc or http/protobuf")),
    }
}

fn compression(lookup: &Lookup) -> Result<Compression, OtlpConfigError> {
    let Some(setting) = lookup.signal("COMPRESSION") else { return Ok(Compression::None) };
    match setting.value.to_ascii_lowercase().as_str() {
        "gzip" => Ok(Compression::Gzip),
        "none" => Ok(Compression::None),
        _ => Err(setting.unknown("gzip or none")),
    }
}

fn timeout(lookup: &Lookup) -> Result<Option<Duration>, OtlpConfigError> {
    timeout_of(lookup.signal("TIMEOUT"))
}

fn timeout_of(setting: Option<Setting>) -> Result<Option<Duration>, OtlpConfigError> {
    let Some(setting) = setting else { return Ok(Some(DEFAULT_TIMEOUT)) };
    // "Common" section of the environment specification: a timeout of zero means no limit.
    Ok(match setting.number("milliseconds", 0)? {
        0 => None,
        ms => Some(Duration::from_millis(ms)),
    })
}

fn tls(lookup: &Lookup) -> Result<TlsFiles, OtlpConfigError> {
    let identity = match (lookup.signal("CLIENT_CERTIFICATE"), lookup.signal("CLIENT_KEY")) {
        (None, None) => None,
        (Some(certificate), Some(key)) => {
            Some(ClientIdentity { certificate: certificate.value.into(), key: key.value.into() })
        }
        (Some(s), None) => {
            return Err(OtlpConfigError::HalfIdentity { present: s.name, missing: "OTEL_EXPORTER_OTLP_CLIENT_KEY" });
        }
        (None, Some(s)) => {
            let missing = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
            return Err(OtlpConfigError::HalfIdentity { present: s.name, missing });
        }
    };
    Ok(TlsFiles { certificate: lookup.signal("CERTIFICATE").map(|s| s.value.into()), identity })
}

/// A variable that is set to something.
struct Setting {
    name: String,
    value: String,
}

impl Setting {
    fn number(&self, unit: &'static str, minimum: u64) -> Result<u64, OtlpConfigError> {
        self.value.parse().ok().filter(|n| *n >= minimum).ok_or_else(|| OtlpConfigError::Number {
            variable: self.name.clone(),
            value: self.value.clone(),
            unit,
            minimum,
        })
    }

    fn unknown(&self, expected: &'static str) -> OtlpConfigError {
        OtlpConfigError::Choice { variable: self.name.clone(), value: self.value.clone(), expected }
    }
}

/// Access to the environment, whatever stands in for it.
struct Lookup<'a>(&'a dyn Fn(&str) -> Option<String>, Signal);

impl Lookup<'_> {
    fn one(&self, name: &str) -> Option<Setting> {
        let value = (self.0)(name)?.trim().to_owned();
        (!value.is_empty()).then(|| Setting { name: name.to_owned(), value })
    }

    /// The signal's own variable, or else the general one.
    fn signal(&self, suffix: &str) -> Option<Setting> {
        self.own(suffix).or_else(|| self.general(suffix))
    }

    fn own(&self, suffix: &str) -> Option<Setting> {
        self.one(&format!("OTEL_EXPORTER_OTLP_{}_{suffix}", self.1.variable()))
    }

    fn general(&self, suffix: &str) -> Option<Setting> {
        self.one(&format!("OTEL_EXPORTER_OTLP_{suffix}"))
    }
}
