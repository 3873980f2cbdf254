//! Figures as Prometheus reads them: its text format, and OpenMetrics, which has examples.
//!
//! Sources: *Prometheus and OpenMetrics Compatibility* of the OpenTelemetry specification, for names and labels; the text
//! formats <https://prometheus.io/docs/instrumenting/exposition_formats/> and OpenMetrics 1.0.0.
//!
//! Figures of a service have the labels `job` and `instance` by that specification; those of the agent have none, so that they
//! get the scrape's own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use wirespan_signals::{Exemplar, Figure, Histogram, Instrument, InstrumentKind, Metric, Point, Resource, Value, hex};

use crate::{Meters, all_instruments};

/// A piece is handed on when it has so many bytes.
const PIECE: usize = 64 << 10;
/// Longest value of a label, bytes: what is longer is cut.
const MAX_VALUE: usize = 1024;

/// How figures are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    #[default]
    Prometheus,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What a scraper asks for with `Accept`.
    pub fn accepted(accept: &str) -> Self {
        let quality = |part: &str| {
            let mut parameters = part.split(';').skip(1).filter_map(|parameter| parameter.trim().split_once('='));
            parameters.find(|(name, _)| *name == "q").map_or(Some(1.0), |(_, q)| q.trim().parse::<f64>().ok())
        };
        let best = |wanted: &str| {
            let of = |part: &str| part.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted));
            let matching = accept.split(',').filter(|part| of(part)).filter_map(quality);
            matching.fold(0.0, f64::max)
        };
        let (open, plain) = (best("application/openmetrics-text"), best("text/plain").max(best("*/*")));
        if open > 0.0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// The type of the answer.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes everything, a piece at a time, until `take` wants no more: what was measured, and what the agent says of itself.
pub fn write(meters: Option<&Meters>, own: &[Metric], format: Format, take: impl FnMut(String) -> bool) {
    let mut writer = Writer { text: String::new(), format, take, wanted: true };
    for metric in own {
        writer.begin(&metric.instrument);
        writer.points(&metric.instrument, "", &metric.points);
    }
    if let Some(meters) = meters {
        for instrument in all_instruments() {
            let mut begun = false;
            meters.each_of(&instrument, |resource, points| {
                if points.is_empty() || !writer.wanted {
                    return;
                }
                if !std::mem::replace(&mut begun, true) {
                    writer.begin(&instrument);
                }
                let agent = std::ptr::eq(resource, &**meters.own());
                let labels = if agent { String::new() } else { target(resource) };
                writer.points(&instrument, &labels, &points);
            });
        }
        writer.target_info(meters);
    }
    if format == Format::OpenMetrics {
        writer.text.push_str("# EOF\n");
    }
    writer.flush();
}

struct Writer<F> {
    text: String,
    format: Format,
    take: F,
    wanted: bool,
}

impl<F: FnMut(String) -> bool> Writer<F> {
    fn flush(&mut self) {
        if self.wanted && !self.text.is_empty() {
            self.wanted = (self.take)(std::mem::take(&mut self.text));
        }
        self.text.clear();
    }

    /// (To a string, nothing fails to be written.)
    fn line(&mut self, line: fmt::Arguments<'_>) {
        let _ = self.text.write_fmt(line);
    }

    fn begin(&mut self, instrument: &Instrument) {
        let name = name(instrument);
        let kind = match instrument.kind {
            InstrumentKind::Counter => "counter",
            InstrumentKind::UpDownCounter | InstrumentKind::Gauge => "gauge",
            InstrumentKind::Histogram => "histogram",
        };
        // OpenMetrics names a counter without what all its samples end with.
        let told = match self.format {
            Format::OpenMetrics => name.strip_suffix("_total").unwrap_or(&name),
            Format::Prometheus => &name,
        };
        self.line(format_args!("# HELP {told} {}\n# TYPE {told} {kind}\n", escape(instrument.help, false)));
    }

    fn points(&mut self, instrument: &Instrument, target: &str, points: &[Point]) {
        let name = name(instrument);
        for point in points {
            let mut labels = target.to_owned();
            point.attributes.iter().for_each(|attribute| label(&mut labels, &attribute.key, &shown(&attribute.value)));
            match &point.figure {
                Figure::Int(n) => self.sample(&name, &labels, format_args!("{n}"), None),
                Figure::Double(n) => self.sample(&name, &labels, format_args!("{n}"), None),
                Figure::Histogram(histogram) => self.histogram(&name, &labels, histogram),
            }
            if self.text.len() >= PIECE {
                self.flush();
            }
            if !self.wanted {
                return;
            }
        }
    }

    fn sample(&mut self, name: &str, labels: &str, value: fmt::Arguments<'_>, exemplar: Option<&Exemplar>) {
        let _ = self.text.write_str(name);
        if !labels.is_empty() {
            self.line(format_args!("{{{labels}}}"));
        }
        self.line(format_args!(" {value}"));
        if let Some(exemplar) = exemplar.filter(|_| self.format == Format::OpenMetrics) {
            let (trace, span) = (hex(&exemplar.trace_id), hex(&exemplar.span_id));
            let (value, seconds) = (exemplar.value, exemplar.time_unix_nano / 1_000_000);
            let (whole, rest) = (seconds / 1000, seconds % 1000);
            self.line(format_args!(" # {{trace_id=\"{trace}\",span_id=\"{span}\"}} {value} {whole}.{rest:03}"));
        }
        self.text.push('\n');
    }

    fn histogram(&mut self, name: &str, labels: &str, histogram: &Histogram) {
        let comma = if labels.is_empty() { "" } else { "," };
        let bucket_name = format!("{name}_bucket");
        let mut sum = 0;
        for (at, n) in histogram.counts.iter().enumerate() {
            sum += n;
            let bound = histogram.bounds.get(at);
            let le = match (bound, self.format) {
                (None, _) => "+Inf".to_owned(),
                // OpenMetrics demands a point.
                (Some(bound), Format::OpenMetrics) => format!("{bound:?}"),
                (Some(bound), Format::Prometheus) => bound.to_string(),
            };
            let inside = |e: &&Exemplar| histogram.bounds.partition_point(|bound| *bound < e.value) == at;
            let exemplar = histogram.exemplars.iter().find(inside);
            self.sample(&bucket_name, &format!("{labels}{comma}le=\"{le}\""), format_args!("{sum}"), exemplar);
        }
        self.sample(&format!("{name}_sum"), labels, format_args!("{}", histogram.sum), None);
        self.sample(&format!("{name}_count"), labels, format_args!("{sum}"), None);
    }

    /// What is known of each service, to be joined by `job` and `instance`.
    fn target_info(&mut self, meters: &Meters) {
        let help = "What is known of a service.";
        match self.format {
            Format::Prometheus => self.line(format_args!("# HELP target_info {help}\n# TYPE target_info gauge\n")),
            Format::OpenMetrics => self.line(format_args!("# HELP target {help}\n# TYPE target info\n")),
        }
        let agent = meters.own();
        for resource in meters.resources().iter().filter(|resource| !std::sync::Arc::ptr_eq(resource, agent)) {
            let mut labels = target(resource);
            let named = ["service.name", "service.namespace", "service.instance.id"];
            let mut more: BTreeMap<String, String> = BTreeMap::new();
            for attribute in resource.attributes.iter().filter(|attribute| !named.contains(&&*attribute.key)) {
                let (key, value) = (label_name(&attribute.key), shown(&attribute.value));
                // Two keys may become one: both values are told (compatibility specification, *Attributes*).
                more.entry(key).and_modify(|known| *known = format!("{known};{value}")).or_insert(value.into_owned());
            }
            more.iter().for_each(|(key, value)| label(&mut labels, key, value));
            self.sample("target_info", &labels, format_args!("1"), None);
            if self.text.len() >= PIECE {
                self.flush();
            }
        }
    }
}

/// The labels by which a service's figures are told from others'.
fn target(resource: &Resource) -> String {
    let mut labels = String::new();
    let name = resource.service_name();
    let job = match resource.get("service.namespace") {
        Some(namespace) if !namespace.is_empty() => format!("{namespace}/{name}"),
        _ => name.to_owned(),
    };
    label(&mut labels, "job", &job);
    label(&mut labels, "instance", resource.get("service.instance.id").unwrap_or_default());
    labels
}

/// An instrument's name as Prometheus has it: with its unit, and `_total` if it counts.
fn name(instrument: &Instrument) -> String {
    let mut name = label_name(instrument.name);
    let unit = match instrument.unit {
        "s" => "seconds",
        "By" => "bytes",
        _ => "",
    };
    if !unit.is_empty() && !name.contains(unit) {
        name = format!("{name}_{unit}");
    }
    if instrument.kind == InstrumentKind::Counter && !name.ends_with("_total") {
        name.push_str("_total");
    }
    name
}

/// Letters, digits and underscores, no digit first.
fn label_name(key: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' };
    let name: String = key.chars().map(plain).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) || name.is_empty() { format!("_{name}") } else { name }
}

fn label(labels: &mut String, key: &str, value: &str) {
    let comma = if labels.is_empty() { "" } else { "," };
    // (To a string, nothing fails to be written.)
    let _ = write!(labels, "{comma}{}=\"{}\"", label_name(key), escape(value, true));
}

/// A value as text.
fn shown(value: &Value) -> Cow<'_, str> {
    let text = match value {
        Value::Str(text) => Cow::Borrowed(text.as_ref()),
        Value::Int(n) => n.to_string().into(),
        Value::Bool(yes) => yes.to_string().into(),
        Value::Double(n) => n.to_string().into(),
        Value::StrArray(texts) => texts.join(",").into(),
        other => format!("{other:?}").into(),
    };
    if text.len() <= MAX_VALUE {
        return text;
    }
    let end = (0..=MAX_VALUE).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default();
    text[..end].to_owned().into()
}

/// Line feeds, backslashes and, within quotes, quotes. (All else stands for itself in both formats.)
fn escape(text: &str, quoted: bool) -> Cow<'_, str> {
    if !text.contains(['\\', '\n', '"']) {
        return text.into();
    }
    let text = text.replace('\\', "\\\\").replace('\n', "\\n");
    if quoted { text.replace('"', "\\\"").into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_their_unit_and_counters_say_so() {
        let named = |name, unit, kind| super::name(&Instrument { name, unit, help: "", kind });
        let (counter, histogram) = (InstrumentKind::Counter, InstrumentKind::Histogram);
        assert_eq!(named("http.server.request.duration", "s", histogram), "http_server_request_duration_seconds");
        assert_eq!(named("http.server.request.body.size", "By", histogram), "http_server_request_body_size_bytes");
        let sent = named("messaging.client.sent.messages", "{message}", counter);
        assert_eq!(sent, "messaging_client_sent_messages_total");
        assert_eq!(named("traces_spanmetrics_calls_total", "", counter), "traces_spanmetrics_calls_total");
        assert_eq!(label_name("1.a-b"), "_1_a_b");
    }

    #[test]
    fn a_scraper_gets_what_it_likes_best() {
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        assert_eq!(
            Format::accepted("text/plain;version=0.0.4;q=0.9,application/openmetrics-text;q=0.1"),
            Format::Prometheus
        );
        for other in ["", "*/*", "text/html", "text/plain", "application/openmetrics-text;q=0"] {
            assert_eq!(Format::accepted(other), Format::Prometheus, "{other}");
        }
    }

    #[test]
    fn what_a_stranger_says_stays_within_its_quotes() {
        let mut labels = String::new();
        label(&mut labels, "url.template", "a\"b\\c\nd");
        assert_eq!(labels, r#"url_template="a\"b\\c\nd""#);
        assert_eq!(shown(&Value::Str("é".repeat(2000).into())).len(), MAX_VALUE);
    }
}
