//! What all who take finished traces share: exporters and the local view stand on it, and know nothing of each other.
//!
//! | module | what it is |
//! |---|---|
//! | [`parcel`] | traces on their way to one who takes them |
//! | [`admission`] | how much may wait: in spans, in bytes, by service |
//! | [`account`], [`weight`] | a stage's share of memory · what spans are taken for |
//! | [`gather`] | spans into the body of one request, in any format |
//! | [`otlp`] | spans as OTLP protobuf, and back |
//! | [`zipkin`] | spans as Zipkin's JSON |
//! | [`text`] | spans as text and as JSON lines, for people and programs |
//! | [`latency`] | durations by their number |
//! | [`vital`] | whether every stage lives |

pub mod account;
pub mod admission;
pub mod gather;
pub mod latency;
pub mod otlp;
pub mod parcel;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod text;
pub mod vital;
pub mod weight;
pub mod zipkin;

pub use account::Account;
pub use parcel::{Bundle, Parcel};

wirespan_signals::counters! {
    /// What did not fit.
    pub struct Counters;
    exporter_queue_dropped: "Spans dropped because an exporter's queue was full",
    exporter_queue_full_bytes: "Of those, because of their bytes and not of their number",
}
