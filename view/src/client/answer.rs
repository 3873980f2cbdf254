//! What an agent answers: the parts of `/api/v1` that the commands read.

use serde::Deserialize;

use crate::store::report::Rates;

/// `/api/v1/search`.
#[derive(Debug, Deserialize)]
pub struct Found {
    /// Those asked for, best first.
    pub traces: Vec<Summary>,
    /// How many match.
    pub matched: u64,
}

/// A trace in one line.
#[derive(Debug, Deserialize)]
pub struct Summary {
    /// 32 hexadecimal digits.
    pub trace_id: String,
    /// The root's service.
    pub service: String,
    /// The root's name.
    pub name: String,
    /// Unix time in nanoseconds, decimal.
    pub start_unix_ns: String,
    /// Nanoseconds.
    pub duration_ns: u64,
    /// How many spans.
    pub spans: u64,
    /// How many of them failed.
    pub errors: u64,
    /// The root's HTTP status.
    pub http_status: Option<u64>,
    /// Why the root failed.
    pub error_type: Option<String>,
}

/// `/api/v1/status`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct AgentStatus {
    /// Name of the machine.
    pub host: String,
    /// Traces in the store.
    pub traces: u64,
    /// Counters that mean a loss, if they are not zero.
    pub lost: std::collections::BTreeMap<String, u64>,
}

/// `/api/v1/operations`.
#[derive(Debug, Deserialize)]
pub struct Operations {
    /// Each with its figures.
    pub operations: Vec<Operation>,
}

/// What one service does under one name, in a window of time.
#[derive(Clone, Debug, Deserialize)]
pub struct Operation {
    /// The service.
    pub service: String,
    /// The span's name.
    pub operation: String,
    /// `server`, `client`, …
    pub kind: String,
    /// The figures.
    #[serde(flatten)]
    pub figures: Rates,
}

/// `/api/v1/services`.
#[derive(Debug, Deserialize)]
pub struct Services {
    /// Each with its figures.
    pub nodes: Vec<Service>,
}

/// What one service answered in a window of time.
#[derive(Clone, Debug, Deserialize)]
pub struct Service {
    /// The service.
    pub service: String,
    /// It is only seen from outside.
    #[serde(default)]
    pub external: bool,
    /// The figures.
    #[serde(flatten)]
    pub figures: Rates,
}
