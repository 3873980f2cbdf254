//! Attempts to connect that nobody's request asked for: a health check, or a program that waits for its backend, fails
//! again and again. The first failure is told, and one a minute after it, which says how many were left out between.
//!
//! What belongs to a request is told one by one, and so is all that a process does while it has requests: which of them an
//! attempt serves is not always known.

use std::borrow::Cow;

use rustc_hash::FxHashMap as HashMap;

use wirespan_protocols::exchange::KeyValue;

use crate::live::{LiveSpan, Parent};

/// How long a failure is not told again, nanoseconds.
const QUIET: u64 = 60_000_000_000;
/// Failures that are remembered. Beyond, the one that was told first is forgotten.
const MAX_REMEMBERED: usize = 1024;

/// Who failed to reach whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Failure {
    tgid: u32,
    /// The span's name, which says whereto.
    name: Cow<'static, str>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Told {
    at: u64,
    left_out: i64,
}

/// What was told, and what was left out since.
#[derive(Debug, Default)]
pub struct Repeats(HashMap<Failure, Told>);

impl Repeats {
    /// Whether a finished span is told. If so, it says how many like it were not.
    pub fn tells(&mut self, span: &mut LiveSpan) -> bool {
        let unasked = span.connection.opening && span.idle && span.parent == Parent::None;
        let (Some(exchange), true) = (&mut span.exchange, unasked) else { return true };
        let failure = Failure { tgid: span.process.tgid(), name: exchange.name.clone() };
        if self.0.len() == MAX_REMEMBERED
            && !self.0.contains_key(&failure)
            && let Some(oldest) = self.0.iter().min_by_key(|(_, told)| told.at).map(|(failure, _)| failure.clone())
        {
            self.0.remove(&oldest);
        }
        let now = exchange.end;
        let Some(told) = self.0.get_mut(&failure) else {
            self.0.insert(failure, Told { at: now, left_out: 0 });
            return true;
        };
        if now.saturating_sub(told.at) < QUIET {
            told.left_out += 1;
            return false;
        }
        if told.left_out > 0 {
            exchange.attributes.push(KeyValue::int("wirespan.connect.left_out", told.left_out));
        }
        *told = Told { at: now, left_out: 0 };
        true
    }
}
