//! The agent's own counters: what it saw, what it lost and where. Nothing is lost silently.

pub mod latency;

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($name:ident: $help:literal,)*) => {
        /// One atomic per counter; shared by all stages.
        #[derive(Debug, Default)]
        pub struct Counters {
            $(#[doc = $help] pub $name: Counter,)*
        }

        impl Counters {
            /// Every counter's name, description and value, in a fixed order.
            pub fn snapshot(&self) -> Vec<(&'static str, &'static str, u64)> {
                vec![$((stringify!($name), $help, self.$name.get()),)*]
            }
        }
    };
}

/// A number that only grows, save where it is set from a source that counts itself.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// Adds one.
    pub fn inc(&self) {
        self.add(1);
    }

    /// Replaces the value: for gauges, and for counts that the kernel keeps.
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

counters! {
    kernel_ring_full: "Records lost because the ring was full",
    kernel_faults: "Operations whose user buffer could not be read",
    kernel_io_uring: "Operations that passed through io_uring, whose bytes are not seen",
    kernel_missed: "Program runs that the kernel skipped (recursion)",
    events: "Records read from the ring",
    bytes: "Captured bytes read from the ring",
    ring_bytes: "Bytes that the records took of the ring, headers included",
    events_malformed: "Records that were too short or of an unknown kind",
    connections: "Connections seen",
    connections_open: "Connections tracked now",
    connections_evicted: "Connections forgotten because there were too many or they were idle",
    connections_muted: "Connections whose protocol is not known, no longer captured",
    connections_lost_sync: "Times a connection's bytes stopped making sense",
    gaps: "Runs of bytes that passed but were not captured",
    gap_bytes: "Bytes that passed but were not captured",
    exchanges_started: "Requests recognised",
    exchanges_open: "Requests and streams under way now, however long they take",
    exchanges_lasting: "Requests and streams that have been under way for more than 5 s",
    exchanges_longest_seconds: "For how long the longest of them has been under way, seconds",
    exchanges_dropped: "Requests whose end could not be known",
    tasks_forgotten: "Tasks whose execution is not told because their worker, or all together, had taken too many",
    task_calls_released: "Calls that waited in vain for the end of the task that may have made them",
    spans_finished: "Spans handed to the exporters",
    spans_unsampled: "Spans dropped because the incoming context says not sampled",
    spans_evicted: "Spans dropped because too many were in flight",
    exporter_queue_dropped: "Spans dropped because an exporter's queue was full",
    spans_exported: "Spans accepted by the OTLP endpoint",
    spans_rejected: "Spans that the OTLP endpoint refused (partial success or a permanent error)",
    otlp_requests_received: "OTLP requests taken from applications that make spans themselves",
    otlp_requests_refused: "Requests of applications that were refused: too large, too many, not understood, or not allowed",
    spans_received: "Spans taken from applications",
    spans_refused: "Spans of applications without valid ids or times, which they were told",
    export_requests: "OTLP requests sent",
    export_failures: "OTLP requests that failed",
    export_retries: "OTLP requests sent again",
    store_traces: "Traces that the local view holds now",
    store_spans: "Spans that the local view holds now",
    store_bytes: "Memory that the local view's traces take now, bytes",
    store_evicted_traces: "Traces that the local view forgot because it was full",
    store_evicted_spans: "Spans of those",
    store_spans_refused: "Spans that the local view did not take because their trace was too long",
    store_disk_errors: "Times the local view's traces could not be written to disk",
    view_requests: "Requests to the local view",
    view_refused: "Requests to the local view that were refused: token, origin, host or size",
    view_live_skipped: "New traces not told to a reader of the live stream, who could not keep up",
}
