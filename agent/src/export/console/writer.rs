//! The thread that writes: every trace, or what [`Pace`] lets through.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use log::warn;

use crate::export::Parcel;
use crate::export::admission::Admission;
use crate::metrics::Counters;
use crate::span::Trace;

use super::Format;
use super::pace::{Digest, Pace};
use super::status::ConsoleStatus;
use wirespan_delivery::text::tree::Style;
use wirespan_delivery::text::words::time_of_day;
use wirespan_delivery::text::{json, tree};

/// What the thread works with.
pub(super) struct Writer<W> {
    pub(super) format: Format,
    pub(super) style: Style,
    /// The terminal whose width limits the lines.
    pub(super) width: Option<File>,
    pub(super) output: W,
    pub(super) status: Option<ConsoleStatus>,
    /// Keeps a terminal readable; without it every trace is written.
    pub(super) pace: Option<Pace>,
}

const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Rendered text is written in pieces of about this size, so that a burst of traces needs no more memory.
const PIECE: usize = 64 << 10;

/// The most spans of one trace that are shown among many others.
const ROWS_AMONG_MANY: usize = 12;

impl<W: Write> Writer<W> {
    /// Writes until nobody can send parcels any more.
    pub(super) fn run(mut self, parcels: &Receiver<Parcel>, admission: &Admission, counters: &Counters) {
        let mut open = true;
        let mut status_due = self.status.is_some().then(|| Instant::now() + STATUS_INTERVAL);
        loop {
            let window_due = self.pace.as_ref().and_then(Pace::due);
            let received = match [status_due, window_due].into_iter().flatten().min() {
                None => parcels.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(due) => parcels.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(parcel) => open = self.parcel(&parcel, open, admission, counters),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            open = self.close_window(Some(Instant::now()), open);
            if let Some(status) = self.status.as_mut().filter(|_| status_due.is_some_and(|due| Instant::now() >= due)) {
                status.refresh();
                status_due = Some(Instant::now() + STATUS_INTERVAL);
            }
        }
        self.close_window(None, open);
        if let Some(status) = &mut self.status {
            status.erase();
        }
    }

    /// Writes a parcel's traces; false once nobody reads any more.
    fn parcel(&mut self, parcel: &Parcel, mut open: bool, admission: &Admission, counters: &Counters) -> bool {
        self.measure();
        let mut piece = Vec::new();
        let (mut spans, mut bytes) = (0, 0);
        let mut traces = parcel.traces().peekable();
        while let Some((trace, weight)) = traces.next() {
            (spans, bytes) = (spans + trace.spans.len(), bytes + weight);
            if open && self.pace.as_mut().is_none_or(|pace| pace.shows(trace, Instant::now())) {
                self.render(trace, &mut piece);
            }
            if traces.peek().is_some() && piece.len() < PIECE {
                continue;
            }
            open = open && self.written(&piece);
            if !open {
                counters.queues.exporter_queue_dropped.add(spans as u64);
            }
            admission.leave(spans, bytes);
            admission.overflow_ended();
            (spans, bytes, piece) = (0, 0, Vec::new());
        }
        open
    }

    /// Shows what a window came to, if it is over; false once nobody reads any more.
    fn close_window(&mut self, now: Option<Instant>, open: bool) -> bool {
        let Some(digest) = self.pace.as_mut().and_then(|pace| pace.close(now)) else { return open };
        self.measure();
        let mut piece = Vec::new();
        match digest {
            Digest::Whole(traces) => traces.iter().for_each(|trace| self.render(trace, &mut piece)),
            Digest::Short { rates, chosen } => {
                let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                let time = time_of_day(now.as_nanos() as u64);
                let columns = self.style.width.map(|width| width.saturating_sub(time.len() + 2));
                piece.extend_from_slice(self.style.heading(&time, &rates.line(columns)).as_bytes());
                let short = Style { rows: ROWS_AMONG_MANY, ..self.style };
                chosen.iter().for_each(|trace| tree::render(trace, short, &mut piece));
            }
        }
        open && self.written(&piece)
    }

    /// Takes the terminal's width anew: its window may have been resized.
    fn measure(&mut self) {
        self.style.width = self.width.as_ref().and_then(terminal_size::terminal_size_of).map(|(w, _)| w.0.into());
    }

    fn render(&self, trace: &Trace, out: &mut Vec<u8>) {
        match self.format {
            Format::Text => tree::render(trace, self.style, out),
            Format::Json => trace.spans.iter().for_each(|span| json::line(span, out)),
        }
    }

    /// Whether it could be written.
    fn written(&mut self, piece: &[u8]) -> bool {
        if piece.is_empty() {
            return true;
        }
        self.write(piece)
            .inspect_err(|error| {
                warn!("standard output cannot be written any more: traces are not shown, and counted: {error}");
            })
            .is_ok()
    }

    fn write(&mut self, mut bytes: &[u8]) -> std::io::Result<()> {
        if let Some(status) = &mut self.status {
            status.erase();
        }
        while !bytes.is_empty() {
            match self.output.write(bytes) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // Somebody made the terminal that we share non-blocking.
                Err(error) if error.kind() == ErrorKind::WouldBlock => std::thread::sleep(Duration::from_millis(5)),
                Err(error) => return Err(error),
            }
        }
        self.output.flush()?;
        if let Some(status) = &mut self.status {
            status.draw();
        }
        Ok(())
    }
}
