//! Where spans go as Zipkin takes them: `OTEL_EXPORTER_ZIPKIN_ENDPOINT`, `OTEL_EXPORTER_ZIPKIN_TIMEOUT` (milliseconds).

use http::Uri;

use super::{Lookup, OtlpConfig, OtlpConfigError, Protocol, Signal, TracesExporter, endpoint, timeout_of};

/// What the specification assumes.
const DEFAULT: &str = "http://localhost:9411/api/v2/spans";

impl OtlpConfig {
    /// The connection to Zipkin, if `OTEL_TRACES_EXPORTER` names it.
    ///
    /// # Errors
    /// If a variable cannot be read.
    pub fn of_zipkin(lookup: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, OtlpConfigError> {
        let lookup = Lookup(&lookup, Signal::Traces);
        if !TracesExporter::read(&lookup)?.unwrap_or_default().zipkin {
            return Ok(None);
        }
        let endpoint = match lookup.one("OTEL_EXPORTER_ZIPKIN_ENDPOINT") {
            Some(setting) => endpoint::parse(&lookup, &setting, Protocol::HttpProtobuf)?,
            None => Uri::from_static(DEFAULT),
        };
        let timeout = timeout_of(lookup.one("OTEL_EXPORTER_ZIPKIN_TIMEOUT"))?;
        Ok(Some(Self { timeout, ..Self::new(Protocol::HttpProtobuf, endpoint) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Option<OtlpConfig>, OtlpConfigError> {
        OtlpConfig::of_zipkin(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn zipkin_is_asked_for_by_its_name() {
        assert_eq!(read(&[("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://z:1/s")]), Ok(None));
        let named = ("OTEL_TRACES_EXPORTER", "console, zipkin");
        assert_eq!(read(&[named]).unwrap().unwrap().endpoint, Uri::from_static(DEFAULT));
        let own =
            read(&[named, ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "http://z:1/s"), ("OTEL_EXPORTER_ZIPKIN_TIMEOUT", "7")]);
        let own = own.unwrap().unwrap();
        assert_eq!((own.endpoint.to_string(), own.timeout.unwrap().as_millis()), ("http://z:1/s".to_owned(), 7));
        let wrong = read(&[named, ("OTEL_EXPORTER_ZIPKIN_ENDPOINT", "z:9411")]).unwrap_err().to_string();
        assert!(wrong.starts_with("OTEL_EXPORTER_ZIPKIN_ENDPOINT=z:9411 "), "{wrong}");
        let otlp = |name: &str| (name == "OTEL_TRACES_EXPORTER").then(|| "zipkin".to_owned());
        assert_eq!(OtlpConfig::from_lookup(otlp), Ok(None), "it was not named");
    }
}
