//! A trace as it lay in memory at one moment, to be read while memory goes on: whoever reads spans holds nobody up.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::memory::Memory;
use super::piece::{self, Makers, PieceError};
use super::stop::{Stop, Stopped};
use super::trace::Stored;
use wirespan_signals::{Resource, Span};

/// A trace taken out of memory, still compressed.
pub struct Packed {
    /// Trace id.
    pub id: [u8; 16],
    /// First start, Unix time in nanoseconds.
    pub start: u64,
    /// Nanoseconds from its first start to its last end.
    pub duration: u64,
    /// Bytes of its spans once they are decompressed.
    pub plain: usize,
    pieces: Vec<Arc<[u8]>>,
    resources: FxHashMap<u64, Arc<Resource>>,
    spans: usize,
}

/// Why there are no spans.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The memory was damaged.
    #[error(transparent)]
    Piece(#[from] PieceError),
    /// Nobody waits any more, or it takes too long.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

impl Memory {
    /// Takes a trace out to be read. Quick, however long the trace is.
    pub fn pack(&self, stored: &Stored) -> Packed {
        let mut resources = FxHashMap::default();
        let mut last = None;
        for row in &stored.rows {
            if last != Some(row.resource)
                && let Some(entry) = self.resources.get(row.resource)
            {
                last = Some(row.resource);
                resources.entry(entry.number).or_insert_with(|| Arc::clone(&entry.resource));
            }
        }
        Packed {
            id: stored.id,
            start: stored.start,
            duration: stored.duration(),
            plain: stored.plain,
            pieces: stored.pieces.iter().map(|piece| Arc::clone(&piece.bytes)).collect(),
            resources,
            spans: stored.rows.len(),
        }
    }

    /// Reads the spans of a trace, in the order of their arrival.
    ///
    /// # Errors
    /// If the memory was damaged.
    pub fn spans(&self, stored: &Stored) -> Result<Vec<Span>, PieceError> {
        match self.pack(stored).spans(&Stop::never()) {
            Ok(spans) => Ok(spans),
            Err(ReadError::Piece(error)) => Err(error),
            Err(ReadError::Stopped(_)) => Ok(Vec::new()),
        }
    }
}

impl Packed {
    /// Its spans, in the order of their arrival. Those of one process share its resource, and those of one scope the scope.
    ///
    /// # Errors
    /// If the memory was damaged, or the reader is to stop.
    pub fn spans(&self, stop: &Stop) -> Result<Vec<Span>, ReadError> {
        let mut spans = Vec::with_capacity(self.spans);
        let mut makers = Makers::default();
        for bytes in &self.pieces {
            stop.check()?;
            let head = piece::open(bytes)?;
            spans.extend(head.spans(&mut makers, |number| self.resources.get(&number).cloned())?);
        }
        Ok(spans)
    }
}
