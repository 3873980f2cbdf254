//! One bound on all memory that grows with what arrives (`max-memory`), in bytes.
//!
//! | module | what it is |
//! |---|---|
//! | [`shares`] | how the bound is divided among the stages |
//! | [`weight`] | what the things are taken for that pass between stages |
//! | [`channel`] | between reader and linker: bounded by bytes |
//! | [`trim`] | memory goes back to the system when a load ends |
//!
//! Every stage has a *share*: what it may hold, and what no other stage can take from it. The shares together are the
//! bound, so that it holds without anybody watching the sum. A stage asks its [`Account`] before it grows; what becomes of
//! what finds no room is the stage's own matter, and always counted (`docs/architecture.md`, decision 023).
//!
//! What bytes are counted are estimates: sizes of structures, capacities of what they own, an allocator's overhead. A
//! ruler compares them with what the system says (`cargo xtask memory`).

pub mod channel;
pub mod heaviest;
pub mod shares;
pub mod trim;
pub mod weight;

use crate::metrics::Counters;
pub use shares::Shares;
pub use wirespan_delivery::Account;

/// The accounts of all stages.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The whole bound.
    pub total: usize,
    /// Connections, their parsers, operations out of order.
    pub connections: Account,
    /// Signals between reader and linker.
    pub signals: Account,
    /// Messages of OTLP in.
    pub received: Account,
    /// Metrics and logs of applications that wait to be passed on: a quarter of what messages of OTLP in have.
    pub relayed: Account,
    /// Records of logs that wait to be sent.
    pub logs: Account,
    /// Spans being built.
    pub spans: Account,
    /// The queues of the exporters, each with its own.
    pub queues: Vec<Account>,
    /// Bytes that metrics may take; what they take is the counter `memory_metrics`.
    pub metrics: usize,
    /// Bytes that sampling may take; what they take is the counter `memory_sampling`.
    pub sampling: usize,
    /// Bytes that the view's traces may take; what they take is the counter `store_bytes`.
    pub store: usize,
}

impl Ledger {
    /// Nothing is taken yet.
    pub fn new(shares: &Shares) -> Self {
        Self {
            total: shares.total,
            connections: Account::new(shares.connections),
            signals: Account::new(shares.signals),
            received: Account::new(shares.received - shares.received / 4),
            relayed: Account::new(shares.received / 4),
            logs: Account::new(shares.logs),
            spans: Account::new(shares.spans),
            queues: (0..shares.exporters).map(|_| Account::new(shares.queue())).collect(),
            metrics: shares.metrics,
            sampling: shares.sampling,
            store: shares.store,
        }
    }

    /// The account of the `nth` exporter's queue.
    pub fn queue(&self, nth: usize) -> Account {
        self.queues.get(nth).cloned().unwrap_or_else(|| Account::new(0))
    }

    /// Tells the counters what is taken. Returns the sum.
    pub fn publish(&self, counters: &Counters) -> usize {
        let queues = self.queues.iter().chain([&self.logs]).map(Account::held).sum::<usize>();
        let (connections, signals, spans) = (self.connections.held(), self.signals.held(), self.spans.held());
        let received = self.received.held() + self.relayed.held();
        let elsewhere = counters.view.store_bytes.get()
            + counters.view.store_lines_bytes.get()
            + counters.meters.memory_metrics.get()
            + counters.sampling.memory_sampling.get();
        let held = connections + signals + received + spans + queues + elsewhere as usize;
        counters.memory_limit.set(self.total as u64);
        counters.memory_held.set(held as u64);
        counters.memory_highest.set(counters.memory_highest.get().max(held as u64));
        counters.memory_connections.set(connections as u64);
        counters.memory_signals.set(signals as u64);
        counters.memory_received.set(received as u64);
        counters.memory_spans.set(spans as u64);
        counters.memory_queues.set(queues as u64);
        held
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is_and_what_is_given_back_makes_room() {
        let account = Account::new(100);
        assert!(account.try_take(60));
        assert!(!account.try_take(50));
        account.give(20);
        assert!(account.try_take(50));
        assert_eq!(account.held(), 90);
        assert!(account.is_pressed() && !account.is_over());
        account.take(20);
        assert!(account.is_over());
        account.give(1000);
        assert_eq!(account.held(), 0, "to give back too much is a defect, and no reason to refuse for ever");
    }

    #[test]
    fn what_is_larger_than_the_share_is_let_in_alone() {
        let account = Account::new(100);
        assert!(account.try_take(250));
        assert!(!account.try_take(1));
        account.give(250);
        assert!(account.try_take(1) && !account.try_take(250));
    }

    #[test]
    fn the_sum_of_what_is_taken_is_told() {
        let shares = Shares::divide(256 << 20, None, Some(1 << 20), 2);
        let (ledger, counters) = (Ledger::new(&shares), Counters::default());
        ledger.connections.take(1);
        ledger.signals.take(20);
        ledger.spans.take(300);
        ledger.queue(1).take(4000);
        counters.view.store_bytes.set(50_000);
        assert_eq!(ledger.publish(&counters), 54_321);
        assert_eq!(counters.memory_held.get(), 54_321);
        ledger.queue(1).give(4000);
        ledger.publish(&counters);
        assert_eq!((counters.memory_held.get(), counters.memory_highest.get()), (50_321, 54_321));
    }
}
