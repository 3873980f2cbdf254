//! A search as Jaeger's page and Grafana ask it: one span must have everything that is asked for.

use serde_json::{Map, Value as Json};

use super::Traces;
use super::model::{self, Tag, Trace};
use crate::store::filter::Filter;
use crate::store::packed::{Packed, ReadError};
use crate::store::stop::{Stop, Stopped};
use crate::store::{self, Memory, Reader, Row, Stored};
use crate::web::params::Params;
use wirespan_signals::Span;

/// Traces in one answer if nobody says, and at most.
const LIMIT: usize = 100;
const MAX_LIMIT: usize = 1500;
/// Traces taken out of memory at a time.
const AT_ONCE: usize = 32;
/// How far back a search goes if nobody says, seconds.
const LOOKBACK: u64 = 48 * 3600;
/// Tags that stand for no attribute, so that no hash of an attribute tells of them.
const DERIVED: [&str; 8] = [
    "span.kind",
    "otel.scope.name",
    "otel.scope.version",
    "w3c.tracestate",
    "otel.status_code",
    "otel.status_description",
    "error",
    "event",
];

/// What is asked for.
#[derive(Debug, Default, PartialEq)]
pub struct Query {
    /// These traces, whatever else is asked for.
    pub ids: Vec<[u8; 16]>,
    service: String,
    operation: Option<String>,
    tags: Vec<(String, String)>,
    /// Duration of the span, nanoseconds.
    min: Option<u64>,
    max: Option<u64>,
    /// Start of the span, Unix time in nanoseconds.
    from: u64,
    to: u64,
    limit: usize,
}

/// Reads a trace id of up to 32 hexadecimal digits.
pub fn trace_id(text: &str) -> Option<[u8; 16]> {
    let digits = (1..=32).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    digits.then(|| u128::from_str_radix(text, 16).ok()).flatten().filter(|id| *id != 0).map(u128::to_be_bytes)
}

/// Reads a duration as Go writes it: `1.5s`, `100ms`, `1h2m`; nanoseconds.
fn duration(text: &str) -> Option<u64> {
    const UNITS: [(&str, f64); 8] = [
        ("ns", 1.0),
        ("us", 1e3),
        ("\u{b5}s", 1e3),
        ("\u{3bc}s", 1e3),
        ("ms", 1e6),
        ("s", 1e9),
        ("m", 6e10),
        ("h", 3.6e12),
    ];
    let (mut rest, mut nanos) = (text, 0.0);
    if rest == "0" {
        return Some(0);
    }
    loop {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number: f64 = rest[..end].parse().ok()?;
        let tail = &rest[end..];
        let unit = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        nanos += number * UNITS.iter().find(|(name, _)| *name == &tail[..unit])?.1;
        rest = &tail[unit..];
        if rest.is_empty() {
            return (nanos < 1.8e19).then_some(nanos as u64);
        }
    }
}

impl Query {
    /// Reads the parameters. `now` is Unix time in seconds.
    ///
    /// # Errors
    /// A sentence as Jaeger would say it.
    pub fn parse(params: &Params, now: u64) -> Result<Self, String> {
        let micros = |name: &str, default: u64| match params.get(name) {
            None => Ok(default),
            Some(text) => text
                .parse::<i64>()
                .map(|micros| u64::try_from(micros).unwrap_or(0).saturating_mul(1000))
                .map_err(|error| format!("unable to parse param '{name}': {error}")),
        };
        let nanos = |name: &str| match params.get(name) {
            None => Ok(None),
            Some(text) => {
                let problem =
                    || format!("unable to parse param '{name}': {text:?} is no duration such as 1.5s or 100ms");
                duration(text).map(Some).ok_or_else(problem)
            }
        };
        let id = |text: &str| trace_id(text).ok_or_else(|| format!("cannot parse traceID param: {text}"));
        let ids = params.all("traceID").map(id).collect::<Result<Vec<_>, _>>()?;
        let service = params.get("service").unwrap_or_default().to_owned();
        if ids.is_empty() && service.is_empty() {
            return Err("parameter 'service' is required".to_owned());
        }
        let now = now.saturating_add(1).saturating_mul(1_000_000_000);
        let lookback = nanos("lookback").ok().flatten().unwrap_or(LOOKBACK * 1_000_000_000);
        let to = micros("end", now)?;
        let query = Self {
            ids,
            service,
            operation: params.get("operation").map(str::to_owned),
            tags: tags(params)?,
            min: nanos("minDuration")?,
            max: nanos("maxDuration")?,
            from: micros("start", to.saturating_sub(lookback))?,
            to,
            limit: limit(params)?,
        };
        match (query.min, query.max) {
            (Some(min), Some(max)) if max < min => Err("'maxDuration' should be greater than 'minDuration'".to_owned()),
            _ => Ok(query),
        }
    }

    /// The traces with a span that is asked for, the latest first.
    ///
    /// # Errors
    /// If the reader is to stop.
    pub(super) fn find(&self, reader: &Reader, stop: &Stop, answer: &mut Traces) -> Result<(), Stopped> {
        let known = |(key, _): &&(String, String)| !DERIVED.contains(&key.as_str());
        let filter = Filter {
            service: Some(self.service.clone()),
            operation: self.operation.clone(),
            min: self.min,
            attributes: self.tags.iter().filter(known).map(|(key, value)| (key.clone(), Some(value.clone()))).collect(),
            to: Some(self.to),
            ..Filter::default()
        };
        let candidates: Vec<[u8; 16]> = reader.read().candidates(&filter).iter().map(|stored| stored.id).collect();
        for some in candidates.chunks(AT_ONCE) {
            stop.check()?;
            for (packed, wanted) in self.taken(reader, some) {
                if answer.traces.len() == self.limit {
                    return Ok(());
                }
                let spans = match packed.spans(stop) {
                    Ok(spans) => spans,
                    Err(ReadError::Stopped(stopped)) => return Err(stopped),
                    Err(ReadError::Piece(_)) => continue,
                };
                if wanted.into_iter().filter_map(|at| spans.get(at)).any(|span| self.has_tags(span)) {
                    if !answer.has_room(&packed) {
                        return Ok(());
                    }
                    answer.traces.push(Trace::new(&packed.id, &spans));
                }
            }
        }
        Ok(())
    }

    /// Takes traces out of memory that may have what is asked for, each with the places of the spans that may.
    fn taken(&self, reader: &Reader, ids: &[[u8; 16]]) -> Vec<(Packed, Vec<usize>)> {
        let memory = reader.read();
        let take = |id| {
            let stored = memory.get(id)?;
            let wanted = self.rows(&memory, stored);
            (!wanted.is_empty()).then(|| (memory.pack(stored), wanted))
        };
        ids.iter().filter_map(take).collect()
    }

    /// The spans that are asked for, as far as can be told without their tags.
    fn rows(&self, memory: &Memory, stored: &Stored) -> Vec<usize> {
        let is = |row: &Row| {
            memory.text(row.service) == self.service
                && self.operation.as_ref().is_none_or(|operation| memory.text(row.name) == operation)
                && self.min.is_none_or(|min| row.duration >= min)
                && self.max.is_none_or(|max| row.duration <= max)
                && (self.from..=self.to).contains(&row.start)
        };
        stored.rows.iter().enumerate().filter(|(_, row)| is(row)).map(|(at, _)| at).collect()
    }

    fn has_tags(&self, span: &Span) -> bool {
        let mut derived = None;
        self.tags.iter().all(|(key, value)| {
            has_attribute(span, key, value)
                || derived.get_or_insert_with(|| model::derived(span)).iter().any(|tag| is(tag, key, value))
        })
    }
}

/// Whether the span, its process or an event has an attribute, a list one such element.
fn has_attribute(span: &Span, key: &str, value: &str) -> bool {
    let of_events = span.events.iter().flat_map(|event| &event.attributes);
    let mut all = span.attributes.iter().chain(&span.resource.attributes).chain(of_events);
    all.any(|attribute| attribute.key != "service.name" && store::is(attribute, key, Some(value)))
        || (key == "event" && span.events.iter().any(|event| event.name == value))
}

fn is(tag: &Tag, key: &str, value: &str) -> bool {
    tag.key == key
        && match &tag.value {
            Json::String(text) => text == value,
            // Not as JSON, but as people write it.
            other => *value == *other.to_string(),
        }
}

fn limit(params: &Params) -> Result<usize, String> {
    let Some(text) = params.get("limit") else { return Ok(LIMIT) };
    let limit: i64 = text.parse().map_err(|error| format!("unable to parse param 'limit': {error}"))?;
    // Jaeger's stores take nothing and less for their default.
    Ok(if limit <= 0 { LIMIT } else { usize::try_from(limit).unwrap_or(MAX_LIMIT).min(MAX_LIMIT) })
}

/// `tag=key:value`, and `tags={"key":"value"}`.
fn tags(params: &Params) -> Result<Vec<(String, String)>, String> {
    let mut tags = Vec::new();
    for tag in params.all("tag") {
        let pair = tag.split_once(':');
        let problem = || format!("malformed 'tag' parameter, expecting key:value, received: {tag}");
        let (key, value) = pair.ok_or_else(problem)?;
        tags.push((key.to_owned(), value.to_owned()));
    }
    for text in params.all("tags").filter(|text| !text.is_empty()) {
        let problem = |error| format!("malformed 'tags' parameter, cannot unmarshal JSON: {error}");
        let object: Map<String, Json> = serde_json::from_str(text).map_err(problem)?;
        tags.extend(object.into_iter().map(|(key, value)| match value {
            Json::String(text) => (key, text),
            other => (key, other.to_string()),
        }));
    }
    Ok(tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(query: &str) -> Result<Query, String> {
        Query::parse(&Params::parse(query), 1_700_000_000)
    }

    #[test]
    fn durations_are_go_s() {
        for (text, nanos) in
            [("1ms", 1_000_000), ("1.5s", 1_500_000_000), ("1h2m", 3_720_000_000_000), ("7\u{b5}s", 7_000), ("0", 0)]
        {
            assert_eq!(duration(text), Some(nanos), "{text}");
        }
        for text in ["", "5", "ms", "1x", "1ms5", "-1s", "."] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn parameters_are_read_as_jaeger_reads_them() {
        let query = "service=shop&operation=GET+/&tags={\"http.response.status_code\":\"500\",\"n\":5}&tag=a:b:c&minDuration=1ms\
                     &maxDuration=2s&limit=20&lookback=1h&start=1699999000000000&end=1700000000000000";
        let expected = Query {
            ids: vec![],
            service: "shop".into(),
            operation: Some("GET /".into()),
            tags: [("a", "b:c"), ("http.response.status_code", "500"), ("n", "5")]
                .map(|(k, v)| (k.into(), v.into()))
                .into(),
            min: Some(1_000_000),
            max: Some(2_000_000_000),
            from: 1_699_999_000_000_000_000,
            to: 1_700_000_000_000_000_000,
            limit: 20,
        };
        assert_eq!(parsed(query).unwrap(), expected);
        let lookback = parsed("service=a&lookback=1h").unwrap();
        assert_eq!(lookback.to - lookback.from, 3_600_000_000_000);
        assert_eq!(parsed("service=a&limit=0").unwrap().limit, 100);
        assert_eq!(parsed("service=a&limit=100000").unwrap().limit, 1500);
        assert_eq!(parsed("traceID=1&traceID=ab").unwrap().ids, [1_u128.to_be_bytes(), 0xab_u128.to_be_bytes()]);
    }

    #[test]
    fn what_makes_no_sense_is_refused_as_jaeger_refuses_it() {
        for (query, problem) in [
            ("", "parameter 'service' is required"),
            ("traceID=xyz", "cannot parse traceID param"),
            ("service=a&minDuration=5", "unable to parse param 'minDuration'"),
            ("service=a&start=soon", "unable to parse param 'start'"),
            ("service=a&limit=x", "unable to parse param 'limit'"),
            ("service=a&tag=x", "malformed 'tag' parameter"),
            ("service=a&tags=x", "malformed 'tags' parameter"),
            ("service=a&minDuration=2s&maxDuration=1s", "'maxDuration' should be greater"),
        ] {
            let said = parsed(query).unwrap_err();
            assert!(said.starts_with(problem), "{query}: {said}");
        }
    }
}
