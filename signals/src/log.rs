//! Records of logs: what programs wrote, each with the span that it was written for.

use std::sync::Arc;

use wirespan_protocols::weight::{attributes, piece};

use crate::{KeyValue, Resource};

/// The span that a record belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogSpan {
    /// Its trace.
    pub trace_id: [u8; 16],
    /// The span; all zero if only the trace is known.
    pub span_id: [u8; 8],
    /// W3C trace flags (bit 0: sampled).
    pub flags: u8,
}

/// A record of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Log {
    /// When it was written, Unix time, nanoseconds.
    pub time_unix_nano: u64,
    /// `SeverityNumber` of the log data model; 0 if none is said.
    pub severity: u8,
    /// How the program says that, possibly empty.
    pub severity_text: Box<str>,
    /// What it says.
    pub body: Box<str>,
    /// What else is known of it.
    pub attributes: Vec<KeyValue>,
    /// The span that it was written for, if that is known.
    pub span: Option<LogSpan>,
    /// Who wrote it.
    pub resource: Arc<Resource>,
}

impl Log {
    /// Bytes that it takes, with its place in a list. What it shares with others is theirs.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + piece(self.severity_text.len()) + piece(self.body.len()) + attributes(&self.attributes)
    }
}

/// Name of the instrumentation scope of records.
pub const LOG_SCOPE: &str = "wirespan/logs";
