//! Finished traces on standard output: a tree for people, one span a line as JSON for programs.
//!
//! | module | what it is |
//! |---|---|
//! | `tree` | a trace as an indented tree |
//! | `json` | a span as a JSON object (`docs/output.md`) |
//! | `text` | foreign text made harmless and short; durations and times for people |
//! | [`open`] | what has been under way for a while |
//! | [`status`] | the line at the bottom of a terminal that says how the agent is doing |
//!
//! A thread of its own writes. Whoever reads standard output may be slow, stop reading or go away: then traces are
//! dropped and counted, and the agent goes on.

mod json;
pub mod open;
pub mod status;
mod text;
mod tree;

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use log::warn;

use crate::metrics::Counters;
use crate::span::Trace;

use super::admission::Admission;
use super::{ExportError, Parcel};
use status::ConsoleStatus;
use tree::Style;

/// What traces look like.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// A tree for each trace.
    #[default]
    Text,
    /// One JSON object a line for each span.
    Json,
}

/// Whether text is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal that can, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// In any case.
    Always,
    /// Not at all.
    Never,
}

/// How the console behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsoleSettings {
    /// Text or JSON.
    pub format: Format,
    /// Colours of text.
    pub color: ColorChoice,
    /// Show the status line on standard error, if that is a terminal and the format is text.
    pub status: bool,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self { format: Format::default(), color: ColorChoice::default(), status: true }
    }
}

/// The running console.
pub(super) struct Console {
    parcels: Sender<Parcel>,
    admission: Arc<Admission>,
    counters: Arc<Counters>,
    done: Receiver<()>,
}

impl Console {
    /// Starts writing to standard output.
    pub(super) fn start(
        settings: ConsoleSettings,
        queue_spans: usize,
        counters: Arc<Counters>,
    ) -> Result<Self, ExportError> {
        let failed = |source| ExportError::System { what: "the console", source };
        let stdout = stdout();
        let terminal = stdout.is_terminal();
        let style = Style { color: wants_color(settings.color, terminal), width: None };
        let status = settings.status && settings.format == Format::Text && stderr().is_terminal();
        let status = status.then(|| ConsoleStatus::new(Arc::clone(&counters)));
        // A descriptor of its own: a write that blocks must not hold the lock of Rust's stdout.
        let file = File::from(stdout.as_fd().try_clone_to_owned().map_err(failed)?);
        let width = terminal.then(|| file.try_clone()).transpose().map_err(failed)?;
        let writer = Writer { format: settings.format, style, width, output: file, status };
        Self::run(writer, queue_spans, counters).map_err(failed)
    }

    fn run<W: Write + Send + 'static>(
        writer: Writer<W>,
        queue_spans: usize,
        counters: Arc<Counters>,
    ) -> std::io::Result<Self> {
        let admission = Arc::new(Admission::new(queue_spans));
        let (parcels, parcels_out) = mpsc::channel();
        let (done_in, done) = mpsc::sync_channel(1);
        let (inner_admission, inner_counters) = (Arc::clone(&admission), Arc::clone(&counters));
        std::thread::Builder::new().name("console".to_owned()).spawn(move || {
            writer.run(&parcels_out, &inner_admission, &inner_counters);
            let _ = done_in.send(());
        })?;
        Ok(Self { parcels, admission, counters, done })
    }

    /// Takes what fits.
    pub(super) fn export(&self, traces: &Arc<Vec<Trace>>) {
        let (parcel, dropped) = Parcel::admit(traces, &self.admission);
        if dropped > 0 {
            self.counters.exporter_queue_dropped.add(dropped as u64);
            if self.admission.overflows(dropped) {
                warn!("standard output is not read fast enough: traces are not shown, and counted");
            }
        }
        if let Some(parcel) = parcel {
            // The thread ends only after this sender is gone.
            let _ = self.parcels.send(parcel);
        }
    }

    /// Writes what is queued until `deadline`; the number of spans that were not written.
    pub(super) fn shutdown(self, deadline: Instant) -> usize {
        drop(self.parcels);
        // A thread that is blocked in a write stays behind and ends with the process.
        let _ = self.done.recv_timeout(deadline.saturating_duration_since(Instant::now()));
        self.admission.held()
    }
}

fn wants_color(choice: ColorChoice, terminal: bool) -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|v| !v.is_empty());
    match choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        // <https://no-color.org>
        ColorChoice::Auto => terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|t| t != "dumb"),
    }
}

/// What the thread works with.
struct Writer<W> {
    format: Format,
    style: Style,
    /// The terminal whose width limits the lines.
    width: Option<File>,
    output: W,
    status: Option<ConsoleStatus>,
}

const STATUS_INTERVAL: Duration = Duration::from_secs(1);

/// Rendered text is written in pieces of about this size, so that a burst of traces needs no more memory.
const PIECE: usize = 64 << 10;

impl<W: Write> Writer<W> {
    fn run(mut self, parcels: &Receiver<Parcel>, admission: &Admission, counters: &Counters) {
        let mut open = true;
        let mut due = Instant::now() + STATUS_INTERVAL;
        loop {
            let received = match self.status {
                None => parcels.recv().map_err(|_| RecvTimeoutError::Disconnected),
                Some(_) => parcels.recv_timeout(due.saturating_duration_since(Instant::now())),
            };
            match received {
                Ok(parcel) => open = self.parcel(&parcel, open, admission, counters),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(status) = self.status.as_mut().filter(|_| Instant::now() >= due) {
                status.refresh();
                due = Instant::now() + STATUS_INTERVAL;
            }
        }
        if let Some(status) = &mut self.status {
            status.erase();
        }
    }

    /// Writes a parcel's traces; false once nobody reads any more.
    fn parcel(&mut self, parcel: &Parcel, mut open: bool, admission: &Admission, counters: &Counters) -> bool {
        self.style.width = self.width.as_ref().and_then(terminal_size::terminal_size_of).map(|(w, _)| w.0.into());
        let mut piece = Vec::new();
        let mut spans = 0;
        let mut traces = parcel.traces().iter().peekable();
        while let Some(trace) = traces.next() {
            spans += trace.spans.len();
            if open {
                self.render(trace, &mut piece);
            }
            if traces.peek().is_some() && piece.len() < PIECE {
                continue;
            }
            if open && let Err(error) = self.write(&piece) {
                warn!("standard output cannot be written any more: traces are not shown, and counted: {error}");
                open = false;
            }
            if !open {
                counters.exporter_queue_dropped.add(spans as u64);
            }
            admission.leave(spans);
            admission.overflow_ended();
            (spans, piece) = (0, Vec::new());
        }
        open
    }

    fn render(&self, trace: &Trace, out: &mut Vec<u8>) {
        match self.format {
            Format::Text => tree::render(trace, self.style, out),
            Format::Json => trace.spans.iter().for_each(|span| json::line(span, out)),
        }
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use crate::export::testing::{span, trace};

    use super::*;

    fn console<W: Write + Send + 'static>(output: W, queue: usize) -> (Console, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let style = Style { color: false, width: None };
        let writer = Writer { format: Format::Json, style, width: None, output, status: None };
        (Console::run(writer, queue, Arc::clone(&counters)).unwrap(), counters)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_queued_is_written_before_the_console_stops() {
        let output = Shared::default();
        let (console, counters) = console(output.clone(), 100);
        console.export(&Arc::new(vec![trace(vec![span("a"), span("b")]), trace(vec![span("c")])]));
        assert_eq!(console.shutdown(soon()), 0);
        assert_eq!(output.0.lock().unwrap().iter().filter(|b| **b == b'\n').count(), 3);
        assert_eq!(counters.exporter_queue_dropped.get(), 0);
    }

    #[test]
    fn a_reader_that_went_away_costs_its_traces_and_nothing_else() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (console, counters) = console(writer, 100);
        console.export(&Arc::new(vec![trace(vec![span("a")])]));
        console.export(&Arc::new(vec![trace(vec![span("b"), span("c")])]));
        assert_eq!(console.shutdown(soon()), 0);
        assert_eq!(counters.exporter_queue_dropped.get(), 3);
    }

    #[test]
    fn a_reader_that_does_not_read_stops_neither_export_nor_shutdown() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (console, counters) = console(writer, 1000);
        for _ in 0..2000 {
            console.export(&Arc::new(vec![trace(vec![span("a")])]));
        }
        let dropped = counters.exporter_queue_dropped.get();
        assert!(dropped > 0, "the pipe and the queue hold less than 2000 spans");
        let lost = console.shutdown(Instant::now() + Duration::from_millis(50));
        assert!(lost > 0 && lost <= 1000, "{lost}");
        drop(reader);
    }
}
