//! Everything between the ring and what leaves, put together: records through connections, protocols, links, store and
//! export. `run` reads one input; what it asserts is at the end of each step.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use wirespan_agent::config::{Config, Settings, Surroundings};
use wirespan_agent::connections::Limits;
use wirespan_agent::discovery::{HostInfo, Processes};
use wirespan_agent::memory::Account;
use wirespan_agent::metrics::Counters;
use wirespan_agent::stages::Stages;
use wirespan_agent::store::{self, Memory};
use wirespan_agent::traces::{self, Traces};
use wirespan_delivery::otlp;

use crate::choices::Choices;
use crate::heap;
use crate::ledger::Ledger;
use crate::machine::{Machine, Owned};

/// Stack that everything must do with.
const STACK: usize = 512 * 1024;
/// Most bytes that one input may let pass.
const MOST_BYTES: u64 = 1 << 20;
/// Steps after which an input ends in any case.
const MOST_STEPS: usize = 400;
/// What may be held at any time: so much, and so much for each byte captured.
const HELD: (u64, u64) = (1 << 20, 32);
/// What may be asked of the allocator in all, a measure of work: so much, for each record, and for each byte captured.
const WORK: (u64, u64, u64) = (4 << 20, 20_000, 200);

/// What an input came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Outcome {
    /// Records that were taken in, and bytes of them that were captured.
    pub records: u64,
    pub bytes: u64,
    /// Requests recognised, and spans made.
    pub requests: u64,
    pub spans: u64,
    /// Most bytes of memory held, and bytes asked for in all.
    pub held: u64,
    pub asked: u64,
}

/// Reads an input on a small stack.
pub fn run(input: &[u8]) -> Outcome {
    let done = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(STACK);
        thread.spawn_scoped(scope, || Run::new(input).all(input)).expect("a thread").join()
    });
    done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn config() -> &'static Config {
    static CONFIG: OnceLock<Config> = OnceLock::new();
    CONFIG.get_or_init(|| {
        let surroundings =
            Surroundings { environment: Default::default(), read: &|_| Err(std::io::ErrorKind::NotFound.into()) };
        let settings = Settings::resolve(&Default::default(), &surroundings).expect("the defaults are valid");
        Config::from_settings(&settings, &surroundings).expect("the defaults are valid")
    })
}

struct Run {
    machine: Machine,
    stages: Stages,
    traces: Traces,
    max_bytes: usize,
    store: Memory,
    counters: Arc<Counters>,
    ledger: Ledger,
    outcome: Outcome,
    heap: heap::Mark,
}

impl Run {
    /// The first byte of an input chooses the bounds.
    fn new(input: &[u8]) -> Self {
        crate::captures::all();
        let heap = heap::Mark::new();
        let bounds = input.first().copied().unwrap_or_default();
        let mut limits = Limits::of(config());
        if bounds & 1 != 0 {
            limits.max_connections = 3;
        }
        if bounds & 2 != 0 {
            limits.max_connection_buffer = 4096;
        }
        limits.keep_query_text = bounds & 4 != 0;
        limits.keep_query_values = limits.keep_query_text;
        let max_spans = if bounds & 8 != 0 { 5 } else { 100_000 };
        let max_bytes = if bounds & 64 != 0 { 512 << 10 } else { 1 << 30 };
        if bounds & 128 != 0 {
            limits.memory = Account::new(64 << 10);
        }
        let capture_bytes = [16_384, 16_384, 256, 64][usize::from(bounds >> 4 & 3)];
        let counters = Arc::new(Counters::default());
        let nowhere = PathBuf::from("/nonexistent");
        let processes = Processes::new(config(), nowhere.clone(), HostInfo::read(&nowhere));
        let hold = 10_000_000;
        Self {
            machine: Machine::new(capture_bytes),
            stages: Stages::new(processes, limits, Arc::clone(&counters), None),
            traces: Traces::new(
                traces::Limits { hold, inferred: true, max_spans, max_bytes },
                Arc::clone(&counters.links),
            ),
            max_bytes,
            store: Memory::new(store::Limits { bytes: 4 << 20, traces: 1000 }),
            counters,
            ledger: Ledger::default(),
            outcome: Outcome::default(),
            heap,
        }
    }

    fn all(mut self, input: &[u8]) -> Outcome {
        let mut choices = Choices::new(input.get(1..).unwrap_or_default());
        let mut steps = 0;
        while !choices.is_over() && steps < MOST_STEPS && self.outcome.bytes < MOST_BYTES {
            steps += 1;
            let records = self.machine.step(&mut choices);
            self.take_in(&records);
        }
        let rest = self.machine.rest();
        self.take_in(&rest);
        self.finish()
    }

    fn take_in(&mut self, records: &[Owned]) {
        for record in records {
            self.outcome.records += 1;
            if let Owned::Io(event, bytes) = record {
                self.ledger.operation(event);
                self.outcome.bytes += bytes.len() as u64;
            }
            self.stages.record(record.record());
        }
        let now = self.machine.now();
        let lost = self.machine.lost();
        self.stages.records_lost(&lost, now, true);
        self.stages.tick(now, |_| None);
        self.stages.wishes().for_each(drop);
        self.link();
        let (held, asked) = self.heap.read();
        self.outcome.held = self.outcome.held.max(held);
        self.outcome.asked = asked;
        let Outcome { records, bytes, .. } = self.outcome;
        assert!(held <= HELD.0 + HELD.1 * bytes, "{held} bytes are held after {bytes}");
        let most = WORK.0 + WORK.1 * records + WORK.2 * bytes;
        assert!(asked <= most, "{asked} bytes were asked for, for {records} records of {bytes} bytes");
    }

    fn link(&mut self) {
        let now = self.machine.now();
        for signal in self.stages.take_signals().0 {
            self.ledger.signal(&signal);
            self.traces.signal(signal, now);
            assert!(self.traces.bytes() <= self.max_bytes, "{} bytes of spans", self.traces.bytes());
        }
        let mut out = Vec::new();
        while self.traces.tick(now, &mut out) {}
        self.leave(&out);
    }

    fn leave(&mut self, traces: &[wirespan_agent::span::Trace]) {
        for trace in traces {
            self.outcome.spans += trace.spans.len() as u64;
            self.ledger.trace(trace, self.machine.now());
            self.store.insert(trace);
            let request = ExportTraceServiceRequest::decode(&*otlp::request(&trace.spans)).expect("valid protobuf");
            let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
            assert_eq!(scopes.map(|scope| scope.spans.len()).sum::<usize>(), trace.spans.len());
        }
        assert!(self.store.bytes() <= self.store.limits().bytes);
    }

    fn finish(mut self) -> Outcome {
        self.stages.finish(self.machine.now());
        self.link();
        let mut out = Vec::new();
        let open = self.traces.finish(&mut out);
        self.leave(&out);
        assert_eq!(open, 0, "all have an end");
        let held = self.traces.held();
        assert_eq!((held.spans, held.groups, held.exchanges, held.joins), (0, 0, 0, 0), "nothing stays behind");
        for stored in self.store.all() {
            self.store.spans(stored).expect("what the store wrote can be read");
        }
        let counters = &self.counters;
        assert_eq!(counters.connections_failed.get(), 0);
        // Of requests that are dropped at once, linking hears of one an operation; all are counted.
        let untold = counters.exchanges_started.get() - self.ledger.started;
        // Every request that is dropped is counted once, with its protocol and a reason; one that a batch took in is none.
        let (dropped, batched) = (counters.exchanges_dropped.get(), counters.exchanges_batched.get());
        assert_eq!(dropped + batched - self.ledger.dropped, untold);
        assert_eq!(counters.drops.total(), dropped);
        assert_eq!(counters.exchanges_started.get(), self.ledger.finished + dropped + batched);
        assert_eq!(counters.links.spans_finished.get(), self.outcome.spans);
        let left_out = counters.links.spans_unsampled.get() + counters.links.connects_left_out.get();
        self.ledger.close(left_out, counters.links.spans_evicted.get());
        Outcome { requests: self.ledger.started, ..self.outcome }
    }
}
