//! The local view: what traces are kept, the page that shows them, and the commands that ask.
//!
//! | module | what it is |
//! |---|---|
//! | [`store`] | the traces of the last while |
//! | [`web`] | the server: page, API, Jaeger's API |
//! | [`inventory`] | which processes there are, for who asks |
//! | [`client`] | commands that ask a running agent over its API |
//! | [`top`] | the table that renews itself |
//! | [`config`] | where it listens, who may see it, what it keeps |
//!
//! It takes finished traces and reads counters, and knows nothing of how either came to be.

pub mod client;
pub mod config;
pub mod inventory;
pub mod store;
pub mod top;
pub mod web;

wirespan_signals::counters! {
    /// What the view holds, and what it did not.
    pub struct Counters;
    store_traces: "Traces that the local view holds now",
    store_spans: "Spans that the local view holds now",
    store_bytes: "Memory that the local view's traces take now, bytes",
    store_evicted_traces: "Traces that the local view forgot because it was full",
    store_evicted_spans: "Spans of those",
    store_spans_refused: "Spans that the local view did not take because their trace was too long",
    store_lines: "Records of logs that the local view holds now",
    store_lines_bytes: "Memory that these take now, bytes",
    store_lines_evicted: "Records of logs that the local view forgot because it was full",
    store_lines_refused: "Records of logs that the local view did not take because they came too fast",
    store_disk_errors: "Times the local view's traces could not be written to disk",
    view_requests: "Requests to the local view",
    view_refused: "Requests to the local view that were refused: token, origin, host or size",
    view_live_skipped: "New traces not told to a reader of the live stream, who could not keep up",
}
