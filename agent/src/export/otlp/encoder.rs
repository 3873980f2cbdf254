//! The thread that turns parcels of traces into encoded batches, off the path that spans come by.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Instant;

use bytes::Bytes;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use tokio::sync::mpsc::UnboundedSender;

use super::Format;
use crate::config::otlp::BatchConfig;
use crate::export::Parcel;
use crate::export::admission::Admission;

use wirespan_delivery::gather::Gathered;
use wirespan_delivery::otlp::batch::Gathering;
use wirespan_delivery::zipkin;

/// A batch ends at this size even if it has room for more spans: collectors refuse messages above 4 MiB by default.
const MAX_BYTES: usize = 2 << 20;

/// Spans that wait for delivery before batches are compressed just to lie in memory: an endpoint this far behind is
/// down or slow. A full queue of the default size takes some 5 MB then, instead of 40.
const BACKLOG: usize = 4096;

fn gathering(format: Format) -> Gathered {
    Gathered::new(match format {
        Format::Otlp => Box::new(Gathering::default()),
        Format::Zipkin => Box::new(zipkin::Spans::default()),
    })
}

/// An encoded export request.
pub(super) struct Batch {
    /// `ExportTraceServiceRequest`.
    body: Bytes,
    /// `body` is compressed.
    gzipped: bool,
    /// Spans inside.
    pub(super) spans: usize,
    /// Bytes that the queue counts for it.
    pub(super) weight: usize,
}

impl Batch {
    /// The body as it lies in memory, and whether it is gzip.
    pub(super) fn stored(&self) -> (Bytes, bool) {
        (self.body.clone(), self.gzipped)
    }

    /// The body uncompressed.
    ///
    /// # Errors
    /// None but a defect of the compressor.
    pub(super) fn plain(&self) -> io::Result<Bytes> {
        if !self.gzipped {
            return Ok(self.body.clone());
        }
        let mut plain = Vec::with_capacity(self.body.len() * 8);
        GzDecoder::new(&*self.body).read_to_end(&mut plain)?;
        Ok(plain.into())
    }
}

/// Makes batches until the parcels end.
pub(super) struct Encoder {
    /// Limits of a batch.
    pub(super) config: BatchConfig,
    /// As what.
    pub(super) format: Format,
    /// Compress here, once, however often the batch is sent.
    pub(super) gzip: bool,
    /// How much waits for delivery.
    pub(super) admission: Arc<Admission>,
    /// Finished traces.
    pub(super) parcels: Receiver<Parcel>,
    /// Where batches go. Unbounded because admission bounds it.
    pub(super) batches: UnboundedSender<Batch>,
}

impl Encoder {
    /// Runs until every sender of parcels is gone, and flushes then.
    pub(super) fn run(self) {
        let mut gathering = gathering(self.format);
        let mut due: Option<Instant> = None;
        loop {
            let received = match due {
                None => self.parcels.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => self.parcels.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(parcel) => self.gather(&parcel, &mut gathering),
                Err(RecvTimeoutError::Timeout) => self.flush(&mut gathering),
                Err(RecvTimeoutError::Disconnected) => {
                    self.flush(&mut gathering);
                    return;
                }
            }
            due = match (gathering.spans(), due) {
                (0, _) => None,
                (_, Some(due)) => Some(due),
                // An absurd delay overflows the clock: then only a full batch is sent.
                (_, None) => Instant::now().checked_add(self.config.delay),
            };
        }
    }

    fn gather(&self, parcel: &Parcel, gathering: &mut Gathered) {
        for (trace, weight) in parcel.traces() {
            // A trace may come to lie in several batches: its bytes are counted with the first, until that is encoded.
            gathering.weigh(weight);
            for span in &trace.spans {
                gathering.push(span);
                if gathering.spans() >= self.config.batch_spans || gathering.bytes() >= MAX_BYTES {
                    self.flush(gathering);
                }
            }
        }
    }

    fn flush(&self, gathering: &mut Gathered) {
        let spans = gathering.spans();
        if spans == 0 {
            return;
        }
        let before = gathering.weight();
        let body = gathering.take();
        let pack = self.gzip || self.admission.held() > BACKLOG;
        let packed = if pack { gzip(&body).ok() } else { None };
        let gzipped = packed.is_some();
        let body = packed.unwrap_or(body);
        let weight = body.capacity();
        self.admission.becomes(before, weight);
        let batch = Batch { body: body.into(), gzipped, spans, weight };
        // Nobody receives only after the deadline of a shutdown: these spans stay admitted and so count as lost.
        let _ = self.batches.send(batch);
    }
}

/// Level 1: OTLP repeats itself so much that higher levels win a few percent for several times the work.
pub(super) fn gzip(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 8), flate2::Compression::fast());
    encoder.write_all(body)?;
    let mut packed = encoder.finish()?;
    packed.shrink_to_fit();
    Ok(packed)
}
