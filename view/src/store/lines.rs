//! Records of logs of the last while, the oldest of which make room for new ones: by trace, and by what they say.

use std::collections::{HashMap, VecDeque};

use wirespan_signals::Log;

use super::stop::{Stop, Stopped};

/// Bytes that a record's place among those of its trace takes.
const PLACE: usize = 48;
/// Records looked at between two looks at the clock.
const AT_A_TIME: usize = 4096;

/// How grave records are, by the least number of the log data model for each.
pub const SEVERITIES: [(&str, u8); 6] =
    [("trace", 1), ("debug", 5), ("info", 9), ("warn", 13), ("error", 17), ("fatal", 21)];

/// Which records are asked for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Wanted {
    /// Of this trace.
    pub trace: Option<[u8; 16]>,
    /// Of this span of it.
    pub span: Option<[u8; 8]>,
    /// Of this service.
    pub service: Option<String>,
    /// At least as grave as this number of the log data model.
    pub severity: u8,
    /// With this in them, in small or large letters.
    pub text: Option<String>,
    /// Not before this time, Unix, nanoseconds.
    pub from: u64,
}

/// What was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// In the order of time; of more than were asked for, the last.
    pub lines: Vec<Log>,
    /// How many there are.
    pub matched: usize,
}

/// The records.
#[derive(Debug)]
pub struct Lines {
    limit: usize,
    bytes: usize,
    /// The number of the first that is here.
    first: u64,
    lines: VecDeque<Log>,
    by_trace: HashMap<[u8; 16], Vec<u64>>,
}

impl Lines {
    /// Room for so many bytes.
    pub fn new(limit: usize) -> Self {
        Self { limit, bytes: 0, first: 0, lines: VecDeque::new(), by_trace: HashMap::new() }
    }

    /// Takes records; the number of those that had to go for them.
    pub fn insert(&mut self, logs: Vec<Log>) -> usize {
        for log in logs {
            if let Some(span) = &log.span {
                self.by_trace.entry(span.trace_id).or_default().push(self.first + self.lines.len() as u64);
            }
            self.bytes += log.weight() + PLACE;
            self.lines.push_back(log);
        }
        let mut gone = 0;
        while self.bytes > self.limit
            && let Some(log) = self.lines.pop_front()
        {
            self.bytes -= log.weight() + PLACE;
            self.forget(&log);
            self.first += 1;
            gone += 1;
        }
        gone
    }

    fn forget(&mut self, log: &Log) {
        let Some(span) = &log.span else { return };
        let Some(places) = self.by_trace.get_mut(&span.trace_id) else { return };
        // (They are in the order of their numbers.)
        let gone = places.iter().take_while(|number| **number <= self.first).count();
        places.drain(..gone);
        if places.is_empty() {
            self.by_trace.remove(&span.trace_id);
        }
    }

    /// Bytes that they take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Those that are asked for, at most so many.
    ///
    /// # Errors
    /// If it takes too long.
    pub fn find(&self, wanted: &Wanted, most: usize, stop: &Stop) -> Result<Found, Stopped> {
        let text = wanted.text.as_ref().map(|text| text.to_lowercase());
        let mut found = Found::default();
        let mut look = |at: usize, log: &Log| {
            if at.is_multiple_of(AT_A_TIME) {
                stop.check()?;
            }
            if wanted.fits(log, text.as_deref()) {
                found.matched += 1;
                if found.lines.len() < most {
                    found.lines.push(log.clone());
                }
            }
            Ok(())
        };
        match &wanted.trace {
            Some(trace) => {
                let numbers = self.by_trace.get(trace).into_iter().flatten().rev();
                let logs = numbers.filter_map(|number| self.lines.get((number - self.first) as usize));
                logs.enumerate().try_for_each(|(at, log)| look(at, log))?;
            }
            None => self.lines.iter().rev().enumerate().try_for_each(|(at, log)| look(at, log))?,
        }
        found.lines.sort_by_key(|log| log.time_unix_nano);
        Ok(found)
    }
}

impl Wanted {
    fn fits(&self, log: &Log, text: Option<&str>) -> bool {
        log.severity >= self.severity
            && log.time_unix_nano >= self.from
            && self.span.is_none_or(|wanted| log.span.is_some_and(|span| span.span_id == wanted))
            && self.service.as_ref().is_none_or(|name| log.resource.service_name() == name)
            && text.is_none_or(|text| log.body.to_lowercase().contains(text))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use wirespan_signals::{KeyValue, LogSpan, Resource};

    use super::*;

    fn log(n: u64, body: &str, severity: u8, trace: Option<u8>) -> Log {
        let service = if n.is_multiple_of(2) { "shop" } else { "bank" };
        Log {
            time_unix_nano: n,
            severity,
            severity_text: "".into(),
            body: body.into(),
            attributes: Vec::new(),
            span: trace.map(|id| LogSpan { trace_id: [id; 16], span_id: [n as u8; 8], flags: 1 }),
            resource: Arc::new(Resource { attributes: vec![KeyValue::str("service.name", service)] }),
        }
    }

    fn bodies(lines: &Lines, wanted: &Wanted, most: usize) -> (Vec<String>, usize) {
        let found = lines.find(wanted, most, &Stop::never()).unwrap();
        (found.lines.into_iter().map(|log| log.body.into()).collect(), found.matched)
    }

    #[test]
    fn records_are_found_by_trace_span_service_severity_and_text() {
        let mut lines = Lines::new(1 << 20);
        lines.insert(vec![log(2, "It is so", 9, Some(1)), log(1, "before", 17, Some(1)), log(3, "other", 0, None)]);
        let all = Wanted::default();
        assert_eq!(bodies(&lines, &all, 10), (vec!["before".into(), "It is so".into(), "other".into()], 3));
        assert_eq!(bodies(&lines, &all, 1), (vec!["other".into()], 3), "the last");
        let trace = Some([1; 16]);
        for (wanted, expected) in [
            (Wanted { trace, ..all.clone() }, &["before", "It is so"][..]),
            (Wanted { trace: Some([9; 16]), ..all.clone() }, &[]),
            (Wanted { trace, span: Some([2; 8]), ..all.clone() }, &["It is so"]),
            (Wanted { service: Some("bank".into()), ..all.clone() }, &["before", "other"]),
            (Wanted { severity: 9, ..all.clone() }, &["before", "It is so"]),
            (Wanted { text: Some("IT IS".into()), ..all.clone() }, &["It is so"]),
            (Wanted { from: 2, ..all.clone() }, &["It is so", "other"]),
        ] {
            assert_eq!(bodies(&lines, &wanted, 10).0, expected, "{wanted:?}");
        }
    }

    #[test]
    fn the_oldest_make_room_and_are_found_no_more() {
        let one = log(0, "x", 9, Some(1)).weight() + PLACE;
        let mut lines = Lines::new(10 * one);
        assert_eq!(lines.insert((0..10).map(|n| log(n, "x", 9, Some(n as u8 % 3))).collect()), 0);
        assert_eq!(lines.insert((10..14).map(|n| log(n, "x", 9, Some(n as u8 % 3))).collect()), 4);
        assert_eq!((lines.len(), lines.bytes()), (10, 10 * one));
        let of = |trace| bodies(&lines, &Wanted { trace: Some([trace; 16]), ..Wanted::default() }, 100).1;
        assert_eq!(of(0) + of(1) + of(2), 10);
        lines.insert(vec![log(99, &"x".repeat(20 * one), 9, Some(7))]);
        assert!(lines.is_empty() && lines.by_trace.is_empty() && lines.bytes() == 0, "larger than all there is");
    }
}
