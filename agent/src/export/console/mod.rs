//! Finished traces on standard output: a tree for people, one span a line as JSON for programs.
//!
//! | module | what it is |
//! |---|---|
//! | `tree` | a trace as an indented tree |
//! | `json` | a span as a JSON object (`docs/output.md`) |
//! | `pace` | what a terminal is shown when there is more than anybody can read |
//! | `writer` | the thread that writes |
//! | `text` | foreign text made harmless and short; durations and times for people |
//! | [`open`] | what has been under way for a while |
//! | [`status`] | the line at the bottom of a terminal that says how the agent is doing |
//!
//! A thread of its own writes. Whoever reads standard output may be slow, stop reading or go away: then traces are
//! dropped and counted, and the agent goes on.

pub mod open;
mod pace;
pub mod status;
mod writer;

use std::fs::File;
use std::io::{IsTerminal, Write, stderr, stdout};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Instant;

use log::warn;

use crate::metrics::Counters;
use crate::vital::Vital;

use super::admission::Admission;
use super::{Bundle, ExportError, Parcel};
use pace::Pace;
use status::ConsoleStatus;
use wirespan_delivery::text::tree::Style;
use writer::Writer;

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
    /// Show every trace on a terminal, however many there are. Elsewhere all are written in any case.
    pub follow: bool,
}

impl Default for ConsoleSettings {
    fn default() -> Self {
        Self { format: Format::default(), color: ColorChoice::default(), status: true, follow: false }
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
        admission: Arc<Admission>,
        counters: Arc<Counters>,
    ) -> Result<Self, ExportError> {
        let failed = |source| ExportError::System { what: "the console", source };
        let stdout = stdout();
        let terminal = stdout.is_terminal();
        let style = Style { color: wants_color(settings.color, terminal), width: None, rows: usize::MAX };
        let status = settings.status && settings.format == Format::Text && stderr().is_terminal();
        let status = status.then(|| ConsoleStatus::new(Arc::clone(&counters)));
        // A descriptor of its own: a write that blocks must not hold the lock of Rust's stdout.
        let file = File::from(stdout.as_fd().try_clone_to_owned().map_err(failed)?);
        let width = terminal.then(|| file.try_clone()).transpose().map_err(failed)?;
        let paced = terminal && settings.format == Format::Text && !settings.follow;
        let pace = paced.then(Pace::default);
        let writer = Writer { format: settings.format, style, width, output: file, status, pace };
        Self::run(writer, admission, counters).map_err(failed)
    }

    fn run<W: Write + Send + 'static>(
        writer: Writer<W>,
        admission: Arc<Admission>,
        counters: Arc<Counters>,
    ) -> std::io::Result<Self> {
        let (parcels, parcels_out) = mpsc::channel();
        let (done_in, done) = mpsc::sync_channel(1);
        let (inner_admission, inner_counters) = (Arc::clone(&admission), Arc::clone(&counters));
        std::thread::Builder::new().name("console".to_owned()).spawn(move || {
            let _vital = Vital::of("the console");
            writer.run(&parcels_out, &inner_admission, &inner_counters);
            let _ = done_in.send(());
        })?;
        Ok(Self { parcels, admission, counters, done })
    }

    /// Takes what fits.
    pub(super) fn export(&self, traces: &Bundle) {
        let (parcel, dropped) = Parcel::admit(traces, &self.admission, &self.counters.queues);
        if dropped > 0 && self.admission.overflows(dropped) {
            warn!("standard output is not read fast enough: traces are not shown, and counted");
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use crate::memory::Account;
    use wirespan_delivery::testing::{span, trace};

    use super::*;

    fn console<W: Write + Send + 'static>(output: W, queue: usize) -> (Console, Arc<Counters>) {
        let counters = Arc::new(Counters::default());
        let writer = writer(output, Format::Json, None);
        (Console::run(writer, admission(queue), Arc::clone(&counters)).unwrap(), counters)
    }

    fn admission(spans: usize) -> Arc<Admission> {
        Arc::new(Admission::new(spans, Account::new(usize::MAX)))
    }

    fn writer<W>(output: W, format: Format, pace: Option<Pace>) -> Writer<W> {
        let style = Style { color: false, width: None, rows: usize::MAX };
        Writer { format, style, width: None, output, status: None, pace }
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
        console.export(&Bundle::new(vec![trace(vec![span("a"), span("b")]), trace(vec![span("c")])]));
        assert_eq!(console.shutdown(soon()), 0);
        assert_eq!(output.0.lock().unwrap().iter().filter(|b| **b == b'\n').count(), 3);
        assert_eq!(counters.queues.exporter_queue_dropped.get(), 0);
    }

    #[test]
    fn a_reader_that_went_away_costs_its_traces_and_nothing_else() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (console, counters) = console(writer, 100);
        console.export(&Bundle::new(vec![trace(vec![span("a")])]));
        console.export(&Bundle::new(vec![trace(vec![span("b"), span("c")])]));
        assert_eq!(console.shutdown(soon()), 0);
        assert_eq!(counters.queues.exporter_queue_dropped.get(), 3);
    }

    #[test]
    fn a_reader_that_does_not_read_stops_neither_export_nor_shutdown() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (console, counters) = console(writer, 1000);
        for _ in 0..2000 {
            console.export(&Bundle::new(vec![trace(vec![span("a")])]));
        }
        let dropped = counters.queues.exporter_queue_dropped.get();
        assert!(dropped > 0, "the pipe and the queue hold less than 2000 spans");
        let lost = console.shutdown(Instant::now() + Duration::from_millis(50));
        assert!(lost > 0 && lost <= 1000, "{lost}");
        drop(reader);
    }

    /// What a console writes that is given so many traces at once, and how many it did not count as lost.
    fn written(pace: Option<Pace>, traces: usize) -> String {
        let (output, counters) = (Shared::default(), Arc::new(Counters::default()));
        let console =
            Console::run(writer(output.clone(), Format::Text, pace), admission(100_000), Arc::clone(&counters))
                .unwrap();
        for _ in 0..traces {
            console.export(&Bundle::new(vec![trace(vec![span("a")])]));
        }
        assert_eq!(console.shutdown(soon()), 0);
        assert_eq!(counters.queues.exporter_queue_dropped.get(), 0, "what is not shown on purpose is not lost");
        let bytes = output.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn a_crowd_becomes_a_line_with_figures_and_few_traces() {
        let text = written(Some(Pace::default()), 5000);
        let shown = text.matches("  trace ").count();
        assert!((1..200).contains(&shown), "{shown} traces are shown");
        let hidden: usize = text
            .lines()
            .filter_map(|line| line.split_once(" traces not shown")?.0.rsplit(' ').next()?.parse::<usize>().ok())
            .sum();
        assert_eq!(shown + hidden, 5000, "{text}");
    }

    #[test]
    fn without_a_pace_every_trace_is_written() {
        assert_eq!(written(None, 5000).matches("  trace ").count(), 5000);
    }
}
