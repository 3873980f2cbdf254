//! Finished traces on their way to those who take them.

use std::sync::Arc;

use wirespan_signals::Trace;

use crate::admission::{Admission, Full};
use crate::{Counters, weight};

/// Finished traces that the exporters share, all of a lot or some. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bundle {
    lot: Arc<Lot>,
    /// Which of them; all without.
    which: Option<Arc<[usize]>>,
}

/// Traces, and the bytes of each.
#[derive(Debug)]
struct Lot {
    traces: Vec<Trace>,
    bytes: Vec<usize>,
}

impl Bundle {
    /// These traces, weighed.
    pub fn new(traces: Vec<Trace>) -> Self {
        let bytes = traces.iter().map(weight::trace).collect();
        Self { lot: Arc::new(Lot { traces, bytes }), which: None }
    }

    /// Those at these places of the lot.
    #[must_use]
    pub fn only(&self, which: Vec<usize>) -> Self {
        Self { lot: Arc::clone(&self.lot), which: Some(which.into()) }
    }

    /// Every trace of the lot, whichever of them are meant.
    pub fn lot(&self) -> &[Trace] {
        &self.lot.traces
    }

    /// The trace at a place of the lot.
    pub fn trace(&self, at: usize) -> &Trace {
        &self.lot.traces[at]
    }

    /// The bytes of the trace at a place of the lot.
    pub fn bytes(&self, at: usize) -> usize {
        self.lot.bytes[at]
    }

    /// Those that are meant.
    pub fn chosen(&self) -> impl Iterator<Item = &Trace> {
        self.places().map(|at| self.trace(at))
    }

    /// The places of those that are meant.
    fn places(&self) -> impl Iterator<Item = usize> {
        let all = if self.which.is_none() { self.lot.traces.len() } else { 0 };
        self.which.iter().flat_map(|which| which.iter().copied()).chain(0..all)
    }
}

/// Some finished traces on their way to an exporter: those of a lot, which the exporters share, that were admitted.
pub struct Parcel {
    lot: Arc<Lot>,
    admitted: Vec<usize>,
}

impl Parcel {
    /// The traces that `admission` has room for. The spans that were left out are counted, and their number returned.
    pub fn admit(bundle: &Bundle, admission: &Admission, counters: &Counters) -> (Option<Self>, usize) {
        let lot = &bundle.lot;
        let (mut admitted, mut dropped) = (Vec::with_capacity(lot.traces.len()), 0);
        for at in bundle.places() {
            let (trace, bytes) = (&lot.traces[at], &lot.bytes[at]);
            let (service, spans) = (trace.spans.first().map_or("", |s| s.resource.service_name()), trace.spans.len());
            match admission.enter(service, spans, *bytes) {
                Ok(()) => admitted.push(at),
                Err(why) => {
                    dropped += spans;
                    counters.exporter_queue_dropped.add(spans as u64);
                    if why == Full::Bytes {
                        counters.exporter_queue_full_bytes.add(spans as u64);
                    }
                }
            }
        }
        let parcel = (!admitted.is_empty()).then(|| Self { lot: Arc::clone(lot), admitted });
        (parcel, dropped)
    }

    /// The traces that were admitted, with the bytes of each.
    pub fn traces(&self) -> impl Iterator<Item = (&Trace, usize)> {
        self.admitted.iter().map(|at| (&self.lot.traces[*at], self.lot.bytes[*at]))
    }
}
