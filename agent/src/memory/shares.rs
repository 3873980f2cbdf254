//! How the bound on memory is divided.
//!
//! | share | of the whole | who may want it otherwise |
//! |---|---|---|
//! | connections | a quarter | `max-buffer`, for less |
//! | signals | a sixteenth | |
//! | messages of OTLP in | a sixteenth, none where it is off | |
//! | metrics | a sixteenth, none where they are off | |
//! | records of logs that wait to be sent | a 32nd, none where none are told | |
//! | sampling | an eighth where traces wait to be decided about, else a 32nd, none where all are kept | |
//! | the view's traces | five sixteenths, none without a view | `store-bytes`, for up to half |
//! | spans being built | half of what is left | |
//! | the exporters' queues | the other half, in equal parts | |

use crate::config::Config;

/// Bytes for each stage. Together they are not more than the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    /// The whole.
    pub total: usize,
    /// Connections, their parsers, operations out of order.
    pub connections: usize,
    /// Signals between reader and linker.
    pub signals: usize,
    /// Messages of OTLP in while they are read and understood.
    pub received: usize,
    /// Metrics.
    pub metrics: usize,
    /// Records of logs that wait to be sent.
    pub logs: usize,
    /// Traces that wait to be decided about, and decisions.
    pub sampling: usize,
    /// Spans being built.
    pub spans: usize,
    /// All queues of exporters.
    pub queues: usize,
    /// The view's traces.
    pub store: usize,
    /// How many queues there are.
    pub exporters: usize,
}

/// The most that connections may have of `total`.
pub fn most_connections(total: usize) -> usize {
    total / 4
}

/// The most that the view's traces may have of `total`.
pub fn most_store(total: usize) -> usize {
    total / 2
}

/// What the view's traces have of `total` when nobody says.
pub fn usual_store(total: usize) -> usize {
    total / 16 * 5
}

impl Shares {
    /// Divides `total` among connections, which may be content with less, a view that keeps as much as is said, if there
    /// is one, and so many exporters.
    pub fn divide(total: usize, connections: Option<usize>, store: Option<usize>, exporters: usize) -> Self {
        let most = most_connections(total);
        let connections = connections.map_or(most, |wanted| wanted.min(most));
        let store = store.map_or(0, |wanted| wanted.min(most_store(total)));
        let signals = total / 16;
        let rest = total - connections - store - signals;
        let queues = if exporters == 0 { 0 } else { rest / 2 };
        Self {
            total,
            connections,
            signals,
            received: 0,
            metrics: 0,
            logs: 0,
            sampling: 0,
            spans: rest - queues,
            queues,
            store,
            exporters,
        }
    }

    /// As it was asked for.
    pub fn of(config: &Config) -> Self {
        let store = config.view.as_ref().map(|view| view.store.limits.bytes);
        let console = config.output != crate::config::Output::None;
        let exporters = [console, store.is_some(), config.otlp.is_some()].into_iter().filter(|runs| *runs).count();
        let received = if config.otlp_in.is_some() { config.max_memory / 16 } else { 0 };
        let metrics = if config.metrics.is_measured() { config.max_memory / 16 } else { 0 };
        let sampling = config.sampling.share().map_or(0, |part| config.max_memory / part);
        let sends_logs = config.logs.is_some() && config.telling.has_records();
        let logs = if sends_logs { config.max_memory / 32 } else { 0 };
        let rest = config.max_memory - received - metrics - sampling - logs;
        let others = Self::divide(rest, config.max_buffer, store, exporters);
        Self { total: config.max_memory, received, metrics, logs, sampling, ..others }
    }

    /// Bytes of one exporter's queue.
    pub fn queue(&self) -> usize {
        self.queues / self.exporters.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1 << 20;

    #[test]
    fn the_shares_are_the_whole() {
        for total in [32 * MIB, 256 * MIB, 257 * MIB + 12_345, 8192 * MIB] {
            for connections in [None, Some(65_536), Some(usize::MAX)] {
                for store in [None, Some(16 * MIB), Some(usual_store(total)), Some(usize::MAX)] {
                    for exporters in 0..4 {
                        let s = Shares::divide(total, connections, store, exporters);
                        assert_eq!(s.connections + s.signals + s.spans + s.queues + s.store, total, "{s:?}");
                        assert!(s.queue() * exporters <= s.queues);
                        assert!(s.spans >= total * 3 / 32 && (exporters == 0 || s.queues >= total / 16), "{s:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_one_does_not_want_the_others_have() {
        let usual = Shares::divide(256 * MIB, None, Some(usual_store(256 * MIB)), 2);
        assert_eq!((usual.connections, usual.signals, usual.store), (64 * MIB, 16 * MIB, 80 * MIB));
        assert_eq!((usual.spans, usual.queue()), (48 * MIB, 24 * MIB));
        let without_view = Shares::divide(256 * MIB, None, None, 1);
        assert_eq!((without_view.spans, without_view.queue()), (88 * MIB, 88 * MIB));
    }
}
