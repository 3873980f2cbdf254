//! What is measured of spans.

use super::{ConfigError, Settings};

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
}

impl MetricsConfig {
    /// Reads the settings.
    pub(super) fn read(settings: &Settings) -> Result<Self, ConfigError> {
        Ok(Self {
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
