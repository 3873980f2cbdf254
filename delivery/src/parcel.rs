//! Finished traces on their way to those who take them.

use std::sync::Arc;

use wirespan_signals::Trace;

use crate::admission::{Admission, Full};
use crate::{Counters, weight};

/// Finished traces that the exporters share, and the bytes of each.
#[derive(Debug)]
pub struct Bundle {
    traces: Vec<Trace>,
    bytes: Vec<usize>,
}

impl Bundle {
    /// These traces, weighed.
    pub fn new(traces: Vec<Trace>) -> Arc<Self> {
        let bytes = traces.iter().map(weight::trace).collect();
        Arc::new(Self { traces, bytes })
    }
}

/// Some finished traces on their way to an exporter: those of `all`, which the exporters share, that were admitted.
pub struct Parcel {
    all: Arc<Bundle>,
    admitted: Vec<usize>,
}

impl Parcel {
    /// The traces of `all` that `admission` has room for. The spans that were left out are counted, and their number returned.
    pub fn admit(all: &Arc<Bundle>, admission: &Admission, counters: &Counters) -> (Option<Self>, usize) {
        let (mut admitted, mut dropped) = (Vec::with_capacity(all.traces.len()), 0);
        for (at, (trace, bytes)) in all.traces.iter().zip(&all.bytes).enumerate() {
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
        let parcel = (!admitted.is_empty()).then(|| Self { all: Arc::clone(all), admitted });
        (parcel, dropped)
    }

    /// The traces that were admitted, with the bytes of each.
    pub fn traces(&self) -> impl Iterator<Item = (&Trace, usize)> {
        self.admitted.iter().map(|at| (&self.all.traces[*at], self.all.bytes[*at]))
    }
}
