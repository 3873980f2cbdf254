//! The agent's own counters: what it saw, what it lost and where. Nothing is lost silently.

pub mod drops;
pub mod own;

use std::sync::Arc;

use wirespan_protocols::exchange::Reason;

pub use wirespan_signals::{Counter, Reading};

wirespan_signals::counters! {
    /// One atomic per counter; shared by all stages.
    pub struct Counters;
    kernel_ring_full: "Records lost because the ring was full",
    kernel_over_budget: "Records left out because their socket or process put more than its share on a ring that filled up",
    kernel_faults: "Operations whose user buffer could not be read",
    kernel_io_uring: "Operations that passed through io_uring, whose bytes are not seen",
    kernel_missed: "Program runs that the kernel skipped (recursion)",
    probes_attached: "Places in traced programs at which a kernel program was attached",
    probes_refused: "Processes that could not be probed, so fewer of their calls are linked",
    tls_libraries: "Files with a TLS library whose plaintext is read",
    tls_refused: "Files with a TLS library whose plaintext cannot be read",
    tls_plaintexts: "Times that plaintext of a TLS library was read",
    tls_tied: "Sessions of TLS whose connection was found",
    tls_untied: "Plaintexts whose connection was not found in time, so they are not read",
    tls_conflicts: "Plaintexts that two facts would give to different connections, so they are not read",
    tls_unfinished: "Calls into TLS libraries of which was not seen how they ended",
    tls_elsewhere: "Plaintexts of sessions that are on no socket of their own, so they are not read",
    lines_writes: "Writes of traced programs to where their lines go, that were read for exceptions and records",
    log_records_read: "Records that traced programs wrote to their logs",
    log_records_shared: "Of those, written together with others, so that it is not known who said them: told without a span",
    log_records_limited: "Of those, more than one process may tell in a second: not told",
    log_records_shortened: "Of those, longer than is told",
    log_records_redacted: "Of those, told without the secrets in them",
    log_records_exported: "Records that the OTLP endpoint took",
    log_records_rejected: "Records that the OTLP endpoint refused",
    log_records_dropped: "Records dropped because they came faster than they could be sent",
    exceptions_read: "Exceptions that traced programs printed",
    exceptions_shared: "Of those, written together with something else, so that it is not known who said it: not told",
    exceptions_limited: "Of those, more than one process may tell in a second: not told",
    events: "Records read from the ring",
    bytes: "Captured bytes read from the ring",
    ring_bytes: "Bytes that the records took of the ring, headers included",
    events_malformed: "Records that were too short or of an unknown kind",
    kubernetes_requests: "Requests to the Kubernetes API, a watch being one",
    kubernetes_events: "Changes of pods, EndpointSlices and Services that the Kubernetes API told of",
    kubernetes_troubles: "Times that the Kubernetes API could not be followed any further, and was asked anew",
    kubernetes_malformed: "Pods that the Kubernetes API told of and that are none, or not of this node",
    kubernetes_refused: "Pods of this node for which there was no room",
    kubernetes_pods: "Pods of this node",
    kubernetes_bytes: "Bytes that is kept of them, about",
    kubernetes_addresses: "Addresses of pods, Services and nodes of the cluster that are known",
    kubernetes_addresses_bytes: "Bytes that they take, about",
    kubernetes_addresses_refused: "EndpointSlices and Services for which there was no room",
    kubernetes_peers_asked: "Pods of other nodes that the Kubernetes API was asked about, because somebody here talks to them",
    kubernetes_peers_named: "Spans that say which pod, Service or node is at the other end",
    container_questions: "Questions to container runtimes, at the sockets that are given",
    container_troubles: "Of those, such as had no answer",
    connections: "Connections seen",
    connections_open: "Connections tracked now",
    connections_evicted: "Connections forgotten because there were too many or they were idle",
    connections_muted: "Connections whose protocol is not known, no longer captured",
    connections_failed: "Connections whose reading failed, a defect: dropped, and no longer captured",
    connections_lost_sync: "Times a connection's bytes stopped making sense",
    connects_failed: "Connections of traced programs that could not be opened",
    connects_made_good: "Those of them that another attempt made good for, which are not told",
    gaps: "Runs of bytes that passed but were not captured",
    gap_bytes: "Bytes that passed but were not captured",
    connections_evicted_for_memory: "Connections forgotten because all together took too much memory, the one with most first",
    exchanges_started: "Requests recognised",
    exchanges_dropped: "Requests whose end could not be known",
    exchanges_refused: "Of those, requests for which their connection had no room: too many without an answer",
    attributes_unread: "Bodies in which rules looked for attributes and of which a part was not seen or not understood",
    traces_with_findings: "Traces, or pieces of them, that there is something to point at in",
    exchanges_batched: "Requests that a batch took in, whose span tells of them: no loss",
    @drops: drops::Drops = "Requests that were dropped, by protocol and reason",
    @links: Arc<wirespan_links::Counters> = "What the linking stage counts",
    @queues: Arc<wirespan_delivery::Counters> = "What did not fit the exporters' queues",
    @sampling: Arc<wirespan_sampling::Counters> = "What becomes of traces",
    @meters: Arc<wirespan_meters::Counters> = "What measuring counts of itself",
    spans_exported: "Spans accepted by the OTLP endpoint",
    spans_rejected: "Spans that the OTLP endpoint refused (partial success or a permanent error)",
    otlp_requests_received: "OTLP requests taken from applications that make spans themselves",
    otlp_requests_refused: "Requests of applications that were refused: too large, too many, not understood, or not allowed",
    relayed_requests: "Requests with metrics and logs of applications that the OTLP endpoint accepted",
    relayed_requests_rejected: "Such requests that the OTLP endpoint refused",
    relayed_requests_refused: "Such requests for which there was no room, as their senders were told",
    spans_received: "Spans taken from applications",
    received_parts_dropped: "Attributes, events and links of applications' spans that were beyond the limits",
    received_texts_shortened: "Texts and lists of applications' spans that were shortened",
    spans_refused: "Spans of applications without valid ids or times, which they were told",
    export_requests: "OTLP requests sent",
    export_failures: "OTLP requests that failed",
    export_retries: "OTLP requests sent again",
    metric_points_exported: "Figures accepted by the OTLP endpoint",
    metric_points_rejected: "Figures that the OTLP endpoint refused",
    metric_export_requests: "OTLP requests with figures sent",
    metric_export_failures: "OTLP requests with figures that failed, which are told with the next",
    memory_limit: "Bytes that all stages together may hold (max-memory)",
    memory_held: "Bytes that they hold now, about",
    memory_highest: "The most that they held at one moment",
    memory_connections: "Bytes held by connections and their parsers",
    memory_signals: "Bytes between the reading and the linking stage",
    memory_received: "Bytes of OTLP messages that are being read and understood",
    memory_spans: "Bytes of spans being built",
    memory_queues: "Bytes in the queues of the exporters",
    memory_waits: "Times the reading stage waited because the linking stage had too many bytes to work off",
    memory_returned: "Times free memory was given back to the system",
    @view: Arc<wirespan_view::Counters> = "What the local view holds, and what it did not",
}

impl Counters {
    /// Nothing is told of `n` requests of a protocol, and why.
    pub fn dropped(&self, protocol: &str, reason: Reason, n: u64) {
        self.exchanges_dropped.add(n);
        if reason == Reason::Refused {
            self.exchanges_refused.add(n);
        }
        self.drops.add(protocol, reason, n);
    }
}
