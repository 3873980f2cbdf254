//! What is measured of spans.

use std::time::Duration;

use super::otlp::{OtlpConfig, OtlpConfigError};
use super::{ConfigError, Settings};
use crate::export::otlp::figures::Temporality;

/// What is measured, and how.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsConfig {
    /// The metrics of the semantic conventions.
    pub conventions: bool,
    /// Span metrics and the service graph under the names of Tempo's metrics-generator.
    pub generator: bool,
    /// Keep examples, which point to traces that are kept.
    pub exemplars: bool,
    /// Series of one instrument for one service.
    pub series: usize,
    /// Exponential histograms go out, beside which those with fixed buckets are kept for Prometheus.
    pub exponential: bool,
    /// Where figures go by OTLP, if anywhere.
    pub export: Option<MetricsExport>,
}

/// The word for exponential histograms.
const EXPONENTIAL: &str = "base2_exponential_bucket_histogram";

/// How figures are exported.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricsExport {
    /// Where, and how they travel.
    pub otlp: OtlpConfig,
    /// Time between two exports.
    pub interval: Duration,
    /// Since when figures count.
    pub temporality: Temporality,
}

impl MetricsConfig {
    /// Reads the settings, and the standard variables through `lookup`.
    pub(super) fn read(
        settings: &Settings,
        lookup: impl Fn(&str) -> Option<String>,
        blame: impl Fn(OtlpConfigError) -> ConfigError,
    ) -> Result<Self, ConfigError> {
        let otlp = OtlpConfig::of_metrics(lookup).map_err(blame)?;
        let interval = settings.time("metric-export-interval")?;
        let temporality = match settings.choice("metrics-temporality")? {
            "delta" => Temporality::Delta,
            "lowmemory" => Temporality::LowMemory,
            _ => Temporality::Cumulative,
        };
        let export = otlp.map(|otlp| MetricsExport { otlp, interval, temporality });
        let exponential = settings.choice("metrics-histograms")? == EXPONENTIAL;
        Ok(Self {
            exponential: exponential && export.is_some(),
            export,
            conventions: settings.choice("metrics")? == "on",
            generator: settings.choice("span-metrics")? == "on",
            exemplars: settings.choice("metrics-exemplars")? != "always_off",
            series: settings.number("metrics-cardinality")?,
        })
    }

    /// Whether anything is measured.
    pub fn is_measured(&self) -> bool {
        self.conventions || self.generator
    }
}
