//! The line at the bottom of a terminal that says how the agent is doing.
//!
//! It stands on standard error. Whoever writes to the terminal takes it away first and puts it back after: the console
//! does so around traces, and the log through [`LogWriter`].

use std::io::{Write, stderr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::metrics::Counters;

use super::open::age;
use wirespan_delivery::text::words::shorten;

/// Return to the first column and erase the line (ECMA-48 EL 2).
const ERASE: &[u8] = b"\r\x1b[2K";

/// What stands on the terminal now. There is one terminal, hence one static.
static SHOWN: Mutex<Option<String>> = Mutex::new(None);

fn shown() -> MutexGuard<'static, Option<String>> {
    // A text is whole whatever the thread that panicked was doing.
    SHOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The status line: rates since the last refresh, and what was lost since the start.
pub struct ConsoleStatus {
    counters: Arc<Counters>,
    last: Totals,
    text: String,
}

#[derive(Clone, Copy)]
struct Totals {
    at: Instant,
    events: u64,
    spans: u64,
}

impl ConsoleStatus {
    /// A line that reads from `counters`. Nothing is shown before the first [`refresh`](Self::refresh).
    pub fn new(counters: Arc<Counters>) -> Self {
        let last = Totals::of(&counters);
        Self { counters, last, text: String::new() }
    }

    /// Takes the numbers anew and shows them.
    pub fn refresh(&mut self) {
        let now = Totals::of(&self.counters);
        self.text = describe(&self.counters, self.last, now);
        self.last = now;
        self.draw();
    }

    /// Takes the line away, for something else to be written in its place.
    pub fn erase(&mut self) {
        if shown().take().is_some() {
            // A terminal that is gone needs no status line.
            let _ = stderr().write_all(ERASE);
        }
    }

    /// Puts the line back.
    pub fn draw(&mut self) {
        if self.text.is_empty() {
            return;
        }
        let columns = terminal_size::terminal_size_of(stderr()).map_or(80, |(w, _)| usize::from(w.0));
        // One column less than there is, lest the terminal wraps.
        let text = format!("\x1b[2m{}\x1b[0m", shorten(&self.text, columns.saturating_sub(1)));
        let mut shown = shown();
        let _ = stderr().write_all(&[ERASE, text.as_bytes()].concat());
        *shown = Some(text);
    }
}

impl Totals {
    fn of(counters: &Counters) -> Self {
        Self { at: Instant::now(), events: counters.events.get(), spans: counters.links.spans_finished.get() }
    }
}

fn describe(counters: &Counters, last: Totals, now: Totals) -> String {
    let seconds = now.at.duration_since(last.at).as_secs_f64().max(0.001);
    let rate = |from: u64, to: u64| (to.saturating_sub(from) as f64 / seconds).round();
    let lost_events = counters.kernel_ring_full.get() + counters.events_malformed.get();
    let lost_spans = counters.links.spans_evicted.get() + counters.queues.exporter_queue_dropped.get();
    format!(
        "wirespan: {} events/s  {} spans/s  {} spans in all{}  dropped: {lost_events} events, {lost_spans} spans",
        rate(last.events, now.events),
        rate(last.spans, now.spans),
        now.spans,
        lasting(counters),
    )
}

/// What has been under way for a while, if anything has.
fn lasting(counters: &Counters) -> String {
    match counters.links.exchanges_lasting.get() {
        0 => String::new(),
        n => {
            format!("  {n} under way for up to {}", age(counters.links.exchanges_longest_seconds.get() * 1_000_000_000))
        }
    }
}

/// Standard error for the logger: takes the status line away before each write and puts it back after. Without a status
/// line it is plain standard error.
#[derive(Clone, Copy, Debug, Default)]
pub struct LogWriter;

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let shown = shown();
        let Some(text) = shown.as_ref() else { return stderr().write(bytes) };
        let line_ends = bytes.last() == Some(&b'\n');
        let whole = [ERASE, bytes, if line_ends { text.as_bytes() } else { b"" }].concat();
        stderr().write_all(&whole)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_line_tells_rates_and_losses() {
        let counters = Counters::default();
        let last = Totals::of(&counters);
        counters.events.add(2000);
        counters.links.spans_finished.add(300);
        counters.kernel_ring_full.add(7);
        counters.queues.exporter_queue_dropped.add(5);
        let now = Totals { at: last.at + Duration::from_secs(2), ..Totals::of(&counters) };
        let expected = "wirespan: 1000 events/s  150 spans/s  300 spans in all  dropped: 7 events, 5 spans";
        assert_eq!(describe(&counters, last, now), expected);
        counters.links.exchanges_lasting.set(2);
        counters.links.exchanges_longest_seconds.set(4000);
        assert!(describe(&counters, last, now).contains("300 spans in all  2 under way for up to 1:06:40  dropped"));
    }
}
