//! What the log learns of an endpoint: the first failure, a reminder, the recovery, and each complaint once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use log::{info, warn};

/// How often a trouble that goes on is mentioned again.
const REMINDER: Duration = Duration::from_secs(60);

/// Different complaints that are remembered; those beyond are not logged.
const MAX_COMPLAINTS: usize = 64;

/// Keeps the log short.
pub(super) struct Reporter {
    endpoint: String,
    /// What is sent there.
    what: &'static str,
    trouble: Option<Trouble>,
    complaints: HashSet<String>,
}

struct Trouble {
    since: Instant,
    mentioned: Instant,
    failures: u64,
}

impl Reporter {
    pub(super) fn new(endpoint: String, what: &'static str) -> Self {
        Self { endpoint, what, trouble: None, complaints: HashSet::new() }
    }

    /// A request failed and will be sent again; `waiting` says what becomes of the rest.
    pub(super) fn failed(&mut self, reason: &str, waiting: &str) {
        let (endpoint, what, now) = (&self.endpoint, self.what, Instant::now());
        let reason = one_line(reason);
        match &mut self.trouble {
            None => {
                warn!("OTLP export to {endpoint} fails, {what} wait ({waiting}): {reason}");
                self.trouble = Some(Trouble { since: now, mentioned: now, failures: 1 });
            }
            Some(trouble) => {
                trouble.failures += 1;
                if now.duration_since(trouble.mentioned) >= REMINDER {
                    let seconds = now.duration_since(trouble.since).as_secs();
                    warn!("OTLP export to {endpoint} fails since {seconds} s ({what} wait: {waiting}): {reason}");
                    trouble.mentioned = now;
                }
            }
        }
    }

    /// The endpoint took a request, of which it refused so many parts, and perhaps has a warning.
    pub(super) fn accepted(&mut self, rejected: u64, message: &str) {
        if rejected > 0 || !message.is_empty() {
            self.complained(rejected, message);
        }
    }

    /// The endpoint answered properly.
    pub(super) fn recovered(&mut self) {
        if let Some(trouble) = self.trouble.take() {
            let seconds = trouble.since.elapsed().as_secs_f64();
            let (endpoint, failures) = (&self.endpoint, trouble.failures);
            info!("OTLP export to {endpoint} works again after {seconds:.1} s and {failures} failed requests");
        }
    }

    /// The endpoint did not take so many for good, or (0) has a warning.
    pub(super) fn complained(&mut self, spans: u64, message: &str) {
        let what = self.what;
        if self.complaints.len() < MAX_COMPLAINTS && self.complaints.insert(message.to_owned()) {
            let (endpoint, message) = (&self.endpoint, one_line(message));
            match spans {
                0 => warn!("OTLP endpoint {endpoint} warns (said once): {message}"),
                _ => warn!("OTLP endpoint {endpoint} refused {spans} {what} (said once, counted always): {message}"),
            }
        }
    }
}

/// The endpoint's words come from outside: no control character of theirs reaches a terminal.
fn one_line(text: &str) -> String {
    text.chars().take(500).flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}
