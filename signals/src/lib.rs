//! What leaves the agent, in types that lie below all who make it, export it or show it.
//!
//! | file | what it is |
//! |---|---|
//! | `span.rs` | finished spans, by trace, each with its resource |
//! | `open.rs` | requests that have no end yet |
//! | `log.rs` | records of what programs log |
//! | `metric.rs` | figures that are made of spans, by resource |
//! | `linking.rs` | how well calls find their requests, by process |
//! | `instance.rs` | `service.instance.id` |
//! | `counter.rs` | how stages count what they saw and lost |
//! | `slim.rs` | how tables give room back |
#![forbid(unsafe_code)]

mod counter;
mod instance;
mod linking;
mod log;
mod metric;
mod open;
mod slim;
mod span;

pub use counter::{Counter, Reading, Readings};
pub use instance::instance_id;
pub use linking::{Linking, Off, ProcessLinks, RuleState};
pub use log::{LOG_SCOPE, Log, LogSpan};
pub use metric::{
    Exemplar, Exponential, Figure, Histogram, Instrument, InstrumentKind, Metric, Point, ResourceMetrics,
};
pub use open::{Active, OPEN_AFTER, OpenList, OpenRequests, OpenSpan};
pub use slim::Slim;
pub use span::{
    KeyValue, Link, Resource, SCOPE_PREFIX, Scope, Span, SpanEvent, SpanKind, Status, Trace, Value, hex, kind,
};
