//! Connections that are not traced, of processes that are: read for as long as it takes to know whether telemetry is exported by
//! them, and for nothing else.
//!
//! With rules about ports, a process's export is on a connection that no rule is about; unseen, the process would be reported
//! twice, by itself and by us. Nothing of these connections is counted or kept: they have parsers and bounds of their own.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use wirespan_common::{IoEvent, StateEvent};

use crate::connections::{Connections, Limits, Signal, Verdict};
use crate::discovery::Process;
use crate::memory::Account;
use crate::metrics::Counters;

/// Requests of one connection that are read: an exporter's connection may carry metrics and logs before spans.
const REQUESTS: u8 = 16;
/// Most connections at a time.
const MAX_CONNECTIONS: usize = 1024;
/// Most bytes that they hold together.
const MAX_BYTES: usize = 4 << 20;

/// What an operation said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// Nothing certain yet.
    Unsure,
    /// The process exports telemetry.
    Telemetry,
    /// This connection is not what it exports by.
    Nothing,
}

/// All of them.
pub(crate) struct Overheard {
    connections: Connections,
    /// Requests seen, by socket.
    requests: FxHashMap<u64, u8>,
    signals: Vec<Signal>,
}

impl Overheard {
    /// None yet. `limits` are those of connections that are traced.
    pub fn new(limits: &Limits) -> Self {
        let limits = Limits {
            max_connections: limits.max_connections.min(MAX_CONNECTIONS),
            memory: Account::new(MAX_BYTES),
            ..limits.clone()
        };
        let connections = Connections::new(limits, Arc::new(Counters::default()));
        Self { connections, requests: FxHashMap::default(), signals: Vec::new() }
    }

    /// Takes in an operation.
    pub fn operation(&mut self, event: &IoEvent, bytes: &[u8], process: &Arc<Process>) -> Heard {
        let verdict = self.connections.operation(event, bytes, process, &mut self.signals);
        let (mut heard, mut requests) = (Heard::Unsure, 0u8);
        for signal in self.signals.drain(..) {
            match signal {
                Signal::ExportsTelemetry { .. } => heard = Heard::Telemetry,
                Signal::Started(_) => requests = requests.saturating_add(1),
                _ => {}
            }
        }
        if heard == Heard::Telemetry {
            return heard;
        }
        if requests > 0 {
            if self.requests.len() >= 4 * MAX_CONNECTIONS {
                self.requests.clear();
            }
            let seen = self.requests.entry(event.cookie).or_default();
            *seen = seen.saturating_add(requests);
            if *seen >= REQUESTS {
                self.requests.remove(&event.cookie);
                return Heard::Nothing;
            }
        }
        // (What is encrypted says nothing.)
        if matches!(verdict, Verdict::Mute | Verdict::Secure) { Heard::Nothing } else { Heard::Unsure }
    }

    /// A connection was opened or closed.
    pub fn state(&mut self, event: &StateEvent) {
        self.connections.state(event, None, &mut self.signals);
        self.signals.clear();
    }

    /// Does what time demands.
    pub fn tick(&mut self, now: u64) {
        self.connections.tick(now, &mut self.signals);
        self.signals.clear();
    }

    /// Forgets a process's connections.
    pub fn leave_alone(&mut self, tgid: u32, now: u64) {
        self.connections.leave_alone(tgid, now, &mut self.signals);
        self.signals.clear();
    }
}
