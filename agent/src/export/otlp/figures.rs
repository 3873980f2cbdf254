//! Figures as OTLP's requests: some at a time, cumulative or as what came since the last.
//!
//! Source: opentelemetry-proto `metrics/v1/metrics.proto`, by the crate that is generated from it. They are few beside spans,
//! so its messages are built and not written by hand.

use std::collections::HashMap;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue as Pair};
use opentelemetry_proto::tonic::metrics::v1 as otlp;
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use opentelemetry_semantic_conventions::SCHEMA_URL;
use otlp::exponential_histogram_data_point::Buckets;
use otlp::metric::Data;
use otlp::{AggregationTemporality, number_data_point};
use prost::Message as _;
use wirespan_meters::histogram;
use wirespan_signals::{
    Exemplar, Figure, Histogram, Instrument, InstrumentKind, KeyValue, Metric, Point, Resource, ResourceMetrics, Value,
};

/// Points of one request, at most: some hundred KiB.
const MAX_POINTS: usize = 1000;
/// Name of the scope of all figures.
const SCOPE: &str = "wirespan";

/// What figures are told as: since they began, or since they were last told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Temporality {
    /// Since they began.
    #[default]
    Cumulative,
    /// Since they were last told, save those that may shrink.
    Delta,
    /// The same for what is measured of spans; what the agent says of itself, since it began.
    LowMemory,
}

/// Which figure: the addresses of its resource and of its attributes, which it keeps, and its instrument.
type Key = (usize, &'static str, usize);

/// What was last told of a figure.
#[derive(Clone, Debug)]
struct Told {
    figure: Figure,
    time_unix_nano: u64,
    /// Keep the addresses from being used again.
    _resource: Arc<Resource>,
    _attributes: Arc<[KeyValue]>,
}

/// A request, and what has been told once it is accepted.
pub struct Request {
    /// `ExportMetricsServiceRequest`, encoded.
    pub body: Vec<u8>,
    /// Points in it.
    pub points: usize,
    told: Vec<(Key, Told)>,
}

/// What was told of every figure, where that matters.
#[derive(Debug, Default)]
pub struct Earlier {
    told: HashMap<Key, Told>,
}

impl Earlier {
    /// A request is done with: what comes next is told since then.
    pub fn done(&mut self, request: &mut Request) {
        self.told.extend(request.told.drain(..));
    }

    /// Forgets figures that are no more: those that were not told at or after `time_unix_nano`.
    pub fn forget(&mut self, time_unix_nano: u64) {
        self.told.retain(|_, told| told.time_unix_nano >= time_unix_nano);
    }
}

/// Makes requests of figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Telling {
    /// Since when figures count.
    pub temporality: Temporality,
}

impl Telling {
    /// The requests for one resource, each handed to `take` until that wants no more.
    pub fn requests(self, of: &ResourceMetrics, earlier: &Earlier, mut take: impl FnMut(Request) -> bool) -> bool {
        let mut metrics = Vec::new();
        let (mut points, mut told) = (0, Vec::new());
        for metric in &of.metrics {
            for some in metric.points.chunks(MAX_POINTS) {
                if points + some.len() > MAX_POINTS && !take(request(of, &mut metrics, &mut points, &mut told)) {
                    return false;
                }
                metrics.push(self.metric(of, metric, some, earlier, &mut told));
                points += some.len();
            }
        }
        points == 0 || take(request(of, &mut metrics, &mut points, &mut told))
    }

    fn is_delta(self, instrument: &Instrument) -> bool {
        let own = instrument.name.starts_with("wirespan.");
        match (self.temporality, instrument.kind) {
            (_, InstrumentKind::Gauge | InstrumentKind::UpDownCounter) | (Temporality::Cumulative, _) => false,
            (Temporality::LowMemory, _) => !own,
            (Temporality::Delta, _) => true,
        }
    }

    fn metric(
        self,
        of: &ResourceMetrics,
        metric: &Metric,
        points: &[Point],
        earlier: &Earlier,
        told: &mut Vec<(Key, Told)>,
    ) -> otlp::Metric {
        let (instrument, delta) = (&metric.instrument, self.is_delta(&metric.instrument));
        let mut made = Vec::with_capacity(points.len());
        for point in points {
            let Some(before) = delta.then(|| key(of, instrument, point)) else {
                made.push((point.clone(), of.time_unix_nano));
                continue;
            };
            let known = earlier.told.get(&before);
            made.push((since(point, known), of.time_unix_nano));
            let (resource, attributes) = (Arc::clone(&of.resource), Arc::clone(&point.attributes));
            let (figure, time_unix_nano) = (point.figure.clone(), of.time_unix_nano);
            told.push((before, Told { figure, time_unix_nano, _resource: resource, _attributes: attributes }));
        }
        let temporality = if delta { AggregationTemporality::Delta } else { AggregationTemporality::Cumulative };
        otlp::Metric {
            name: instrument.name.to_owned(),
            description: instrument.help.to_owned(),
            unit: instrument.unit.to_owned(),
            data: Some(data(instrument, &made, temporality.into())),
            ..Default::default()
        }
    }
}

fn key(of: &ResourceMetrics, instrument: &Instrument, point: &Point) -> Key {
    (Arc::as_ptr(&of.resource) as usize, instrument.name, Arc::as_ptr(&point.attributes).cast::<u8>() as usize)
}

/// What came since a point was last told.
fn since(point: &Point, told: Option<&Told>) -> Point {
    let Some(told) = told else { return point.clone() };
    let figure = match (&point.figure, &told.figure) {
        (Figure::Int(now), Figure::Int(before)) => Figure::Int(now.saturating_sub(*before)),
        (Figure::Double(now), Figure::Double(before)) => Figure::Double(now - before),
        (Figure::Histogram(now), Figure::Histogram(before)) => Figure::Histogram(histogram::since(now, before).into()),
        (now, _) => now.clone(),
    };
    Point { attributes: Arc::clone(&point.attributes), start_unix_nano: told.time_unix_nano, figure }
}

fn request(
    of: &ResourceMetrics,
    metrics: &mut Vec<otlp::Metric>,
    points: &mut usize,
    told: &mut Vec<(Key, Told)>,
) -> Request {
    let scope = InstrumentationScope {
        name: SCOPE.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..Default::default()
    };
    let scope =
        otlp::ScopeMetrics { scope: Some(scope), metrics: std::mem::take(metrics), schema_url: SCHEMA_URL.to_owned() };
    let resource = OtlpResource { attributes: attributes(&of.resource.attributes), ..Default::default() };
    let group = otlp::ResourceMetrics {
        resource: Some(resource),
        scope_metrics: vec![scope],
        schema_url: SCHEMA_URL.to_owned(),
    };
    let body = ExportMetricsServiceRequest { resource_metrics: vec![group] }.encode_to_vec();
    Request { body, points: std::mem::take(points), told: std::mem::take(told) }
}

fn data(instrument: &Instrument, points: &[(Point, u64)], temporality: i32) -> Data {
    let numbers = || points.iter().filter_map(|(point, time)| number(point, *time)).collect();
    match instrument.kind {
        InstrumentKind::Gauge => Data::Gauge(otlp::Gauge { data_points: numbers() }),
        InstrumentKind::Counter | InstrumentKind::UpDownCounter => Data::Sum(otlp::Sum {
            data_points: numbers(),
            aggregation_temporality: temporality,
            is_monotonic: instrument.kind == InstrumentKind::Counter,
        }),
        InstrumentKind::Histogram => {
            let each = points.iter().filter_map(|(point, time)| match &point.figure {
                Figure::Histogram(histogram) => Some((point, &**histogram, *time)),
                _ => None,
            });
            let exponential = each.clone().any(|(_, histogram, _)| histogram.exponential.is_some());
            if exponential {
                let data_points = each.filter_map(|(point, all, time)| exponential_point(point, all, time)).collect();
                return Data::ExponentialHistogram(otlp::ExponentialHistogram {
                    data_points,
                    aggregation_temporality: temporality,
                });
            }
            let data_points = each.map(|(point, all, time)| explicit_point(point, all, time)).collect();
            Data::Histogram(otlp::Histogram { data_points, aggregation_temporality: temporality })
        }
    }
}

fn number(point: &Point, time_unix_nano: u64) -> Option<otlp::NumberDataPoint> {
    let value = match &point.figure {
        Figure::Int(n) => number_data_point::Value::AsInt(*n),
        Figure::Double(n) => number_data_point::Value::AsDouble(*n),
        Figure::Histogram(_) => return None,
    };
    Some(otlp::NumberDataPoint {
        attributes: attributes(&point.attributes),
        start_time_unix_nano: point.start_unix_nano,
        time_unix_nano,
        value: Some(value),
        ..Default::default()
    })
}

fn explicit_point(point: &Point, all: &Histogram, time_unix_nano: u64) -> otlp::HistogramDataPoint {
    otlp::HistogramDataPoint {
        attributes: attributes(&point.attributes),
        start_time_unix_nano: point.start_unix_nano,
        time_unix_nano,
        count: all.count(),
        sum: Some(all.sum),
        bucket_counts: all.counts.to_vec(),
        explicit_bounds: all.bounds.to_vec(),
        exemplars: all.exemplars.iter().map(exemplar).collect(),
        min: all.range.map(|(min, _)| min),
        max: all.range.map(|(_, max)| max),
        ..Default::default()
    }
}

fn exponential_point(
    point: &Point,
    all: &Histogram,
    time_unix_nano: u64,
) -> Option<otlp::ExponentialHistogramDataPoint> {
    let exponential = all.exponential.as_deref()?;
    Some(otlp::ExponentialHistogramDataPoint {
        attributes: attributes(&point.attributes),
        start_time_unix_nano: point.start_unix_nano,
        time_unix_nano,
        count: all.count(),
        sum: Some(all.sum),
        scale: exponential.scale,
        zero_count: exponential.zero,
        positive: Some(Buckets { offset: exponential.offset, bucket_counts: exponential.counts.clone() }),
        exemplars: all.exemplars.iter().map(exemplar).collect(),
        min: all.range.map(|(min, _)| min),
        max: all.range.map(|(_, max)| max),
        ..Default::default()
    })
}

fn exemplar(one: &Exemplar) -> otlp::Exemplar {
    otlp::Exemplar {
        time_unix_nano: one.time_unix_nano,
        trace_id: one.trace_id.to_vec(),
        span_id: one.span_id.to_vec(),
        value: Some(otlp::exemplar::Value::AsDouble(one.value)),
        ..Default::default()
    }
}

fn attributes(all: &[KeyValue]) -> Vec<Pair> {
    let pair = |a: &KeyValue| Pair { key: a.key.to_string(), value: Some(any(&a.value)), ..Default::default() };
    all.iter().map(pair).collect()
}

fn any(value: &Value) -> AnyValue {
    let value = match value {
        Value::Str(text) => Any::StringValue(text.to_string()),
        Value::Int(n) => Any::IntValue(*n),
        Value::Bool(yes) => Any::BoolValue(*yes),
        Value::Double(n) => Any::DoubleValue(*n),
        Value::StrArray(texts) => {
            let one =
                |text: &std::borrow::Cow<'static, str>| AnyValue { value: Some(Any::StringValue(text.to_string())) };
            Any::ArrayValue(ArrayValue { values: texts.iter().map(one).collect() })
        }
        // Neither resources of services nor attributes of series have others.
        other => Any::StringValue(format!("{other:?}")),
    };
    AnyValue { value: Some(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALLS: Instrument =
        Instrument { name: "calls", unit: "{call}", help: "Calls.", kind: InstrumentKind::Counter };
    const TOOK: Instrument = Instrument { name: "took", unit: "s", help: "Time.", kind: InstrumentKind::Histogram };
    const BOUNDS: &[f64] = &[1.0, 5.0];

    fn figures(time: u64, metrics: Vec<Metric>, resource: &Arc<Resource>) -> ResourceMetrics {
        ResourceMetrics { resource: Arc::clone(resource), time_unix_nano: time, metrics }
    }

    fn resource() -> Arc<Resource> {
        Arc::new(Resource { attributes: vec![KeyValue::str("service.name", "shop")] })
    }

    fn point(attributes: &Arc<[KeyValue]>, figure: Figure) -> Point {
        Point { attributes: Arc::clone(attributes), start_unix_nano: 5, figure }
    }

    fn histogram(counts: [u64; 3], sum: f64) -> Figure {
        let exemplars = vec![Exemplar { value: 0.5, time_unix_nano: 7, trace_id: [1; 16], span_id: [2; 8] }];
        let counts = counts.into();
        Figure::Histogram(Box::new(Histogram {
            bounds: BOUNDS,
            counts,
            sum,
            range: None,
            exponential: None,
            exemplars,
        }))
    }

    fn told(telling: Telling, of: &ResourceMetrics, earlier: &Earlier) -> Vec<(otlp::ResourceMetrics, Request)> {
        let mut all = Vec::new();
        telling.requests(of, earlier, |request| {
            let mut read = ExportMetricsServiceRequest::decode(&*request.body).expect("valid protobuf");
            all.push((read.resource_metrics.remove(0), request));
            true
        });
        all
    }

    fn sum(of: &otlp::ResourceMetrics) -> (i64, u64, i32) {
        let Some(Data::Sum(sum)) = &of.scope_metrics[0].metrics[0].data else { panic!("no sum") };
        assert!(sum.is_monotonic);
        let point = &sum.data_points[0];
        let Some(number_data_point::Value::AsInt(n)) = point.value else { panic!("no number") };
        (n, point.start_time_unix_nano, sum.aggregation_temporality)
    }

    #[test]
    fn every_part_of_a_histogram_arrives() {
        let attributes: Arc<[KeyValue]> = [KeyValue::str("k", "v"), KeyValue::int("n", 3)].into();
        let metrics = vec![Metric { instrument: TOOK, points: vec![point(&attributes, histogram([1, 2, 3], 9.5))] }];
        let of = figures(10, metrics, &resource());
        let (read, request) = told(Telling::default(), &of, &Earlier::default()).remove(0);
        assert_eq!(request.points, 1);
        assert_eq!(read.resource.unwrap().attributes[0].key, "service.name");
        let metric = &read.scope_metrics[0].metrics[0];
        assert_eq!((metric.name.as_str(), metric.unit.as_str(), metric.description.as_str()), ("took", "s", "Time."));
        let Some(Data::Histogram(all)) = &metric.data else { panic!("no histogram") };
        assert_eq!(all.aggregation_temporality, i32::from(AggregationTemporality::Cumulative));
        let point = &all.data_points[0];
        assert_eq!((point.count, point.sum, &point.bucket_counts), (6, Some(9.5), &vec![1, 2, 3]));
        assert_eq!((&*point.explicit_bounds, point.start_time_unix_nano, point.time_unix_nano), (BOUNDS, 5, 10));
        assert_eq!((point.attributes.len(), &point.exemplars[0].trace_id), (2, &vec![1; 16]));
    }

    #[test]
    fn what_was_not_accepted_is_told_again_with_what_came_since() {
        let (attributes, resource): (Arc<[KeyValue]>, _) = ([].into(), resource());
        let of = |n: i64, time| {
            let points = vec![point(&attributes, Figure::Int(n))];
            figures(time, vec![Metric { instrument: CALLS, points }], &resource)
        };
        let telling = Telling { temporality: Temporality::Delta };
        let mut earlier = Earlier::default();
        let (read, mut request) = told(telling, &of(10, 100), &earlier).remove(0);
        let delta = i32::from(AggregationTemporality::Delta);
        assert_eq!(sum(&read), (10, 5, delta));
        earlier.done(&mut request);
        let (read, _lost) = told(telling, &of(15, 200), &earlier).remove(0);
        assert_eq!(sum(&read), (5, 100, delta));
        let (read, mut request) = told(telling, &of(22, 300), &earlier).remove(0);
        assert_eq!(sum(&read), (12, 100, delta), "the five that were lost are among them");
        earlier.done(&mut request);
        earlier.forget(300);
        assert_eq!(sum(&told(telling, &of(22, 400), &earlier)[0].0), (0, 300, delta));
        earlier.forget(301);
        assert!(earlier.told.is_empty());
    }

    #[test]
    fn many_points_are_several_requests_and_each_is_in_one() {
        let each: Vec<Point> = (0..2500).map(|n| point(&[KeyValue::int("n", n)].into(), Figure::Int(n))).collect();
        let metrics = vec![
            Metric { instrument: CALLS, points: each[..1700].to_vec() },
            Metric { instrument: Instrument { name: "more", ..CALLS }, points: each[1700..].to_vec() },
        ];
        let of = figures(10, metrics, &resource());
        let all = told(Telling::default(), &of, &Earlier::default());
        assert!(all.len() == 3 && all.iter().all(|(_, request)| request.points <= MAX_POINTS));
        let numbers = all.iter().flat_map(|(read, _)| &read.scope_metrics[0].metrics).flat_map(|m| match &m.data {
            Some(Data::Sum(sum)) => sum.data_points.clone(),
            _ => Vec::new(),
        });
        assert_eq!(numbers.count(), 2500);
        let mut taken = 0;
        let all = Telling::default().requests(&of, &Earlier::default(), |_| {
            taken += 1;
            false
        });
        assert_eq!((taken, all), (1, false), "who wants no more gets no more");
    }
}
