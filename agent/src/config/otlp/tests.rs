use std::collections::HashMap;

use super::*;

fn read(variables: &[(&str, &str)]) -> Result<Option<OtlpConfig>, OtlpConfigError> {
    OtlpConfig::from_lookup(environment(variables))
}

fn config(variables: &[(&str, &str)]) -> OtlpConfig {
    read(variables).expect("readable variables").expect("an endpoint")
}

fn environment(variables: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
    let map: HashMap<String, String> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    move |name| map.get(name).cloned()
}

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const TRACES_ENDPOINT: &str = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT";
const PROTOCOL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";

#[test]
fn no_endpoint_means_no_otlp() {
    assert_eq!(read(&[]), Ok(None));
    assert_eq!(read(&[(PROTOCOL, "grpc"), ("OTEL_EXPORTER_OTLP_HEADERS", "a=b")]), Ok(None));
    assert_eq!(read(&[(ENDPOINT, "  ")]), Ok(None), "an empty variable counts as unset");
}

#[test]
fn the_defaults_are_the_specification_s() {
    let config = config(&[(ENDPOINT, "http://c:4318")]);
    assert_eq!(config.protocol, Protocol::HttpProtobuf);
    assert_eq!(config.compression, Compression::None);
    assert_eq!(config.timeout, Some(Duration::from_secs(10)));
    assert!(config.headers.is_empty());
    assert_eq!(config.tls, TlsFiles::default());
}

#[test]
fn the_general_http_endpoint_gets_the_traces_path_appended() {
    for (given, used) in [
        ("http://c:4318", "http://c:4318/v1/traces"),
        ("http://c:4318/", "http://c:4318/v1/traces"),
        ("https://c/base", "https://c/base/v1/traces"),
        ("https://c/base/", "https://c/base/v1/traces"),
        ("http://c/base?tenant=7", "http://c/base/v1/traces?tenant=7"),
        ("http://[::1]:4318", "http://[::1]:4318/v1/traces"),
    ] {
        assert_eq!(config(&[(ENDPOINT, given)]).endpoint.to_string(), used);
    }
}

#[test]
fn the_traces_endpoint_is_used_as_it_is_and_wins() {
    for (given, used) in [
        ("http://c:4318", "http://c:4318/"),
        ("http://c/v1/traces", "http://c/v1/traces"),
        ("http://c/x/", "http://c/x/"),
    ] {
        assert_eq!(config(&[(ENDPOINT, "http://other"), (TRACES_ENDPOINT, given)]).endpoint.to_string(), used);
    }
}

#[test]
fn a_grpc_endpoint_gets_no_path() {
    let config = config(&[(ENDPOINT, "https://c:4317"), (PROTOCOL, "grpc")]);
    assert_eq!(config.protocol, Protocol::Grpc);
    assert_eq!(config.endpoint.to_string(), "https://c:4317/");
}

#[test]
fn an_endpoint_without_a_scheme_is_refused_with_a_remedy() {
    for protocol in ["grpc", "http/protobuf"] {
        let error = read(&[(ENDPOINT, "collector:4317"), (PROTOCOL, protocol)]).unwrap_err().to_string();
        assert_eq!(
            error,
            "OTEL_EXPORTER_OTLP_ENDPOINT=collector:4317 has no scheme: write http://collector:4317 or, for TLS, \
             https://collector:4317"
        );
    }
}

#[test]
fn insecure_decides_for_a_grpc_endpoint_without_a_scheme_and_only_for_that() {
    let given = |endpoint, insecure| {
        let variables = [(ENDPOINT, endpoint), (PROTOCOL, "grpc"), ("OTEL_EXPORTER_OTLP_INSECURE", insecure)];
        config(&variables).endpoint.to_string()
    };
    assert_eq!(given("c:4317", "true"), "http://c:4317/");
    assert_eq!(given("c:4317", "False"), "https://c:4317/");
    assert_eq!(given("https://c:4317", "true"), "https://c:4317/", "a scheme wins");
    let http = read(&[(ENDPOINT, "c:4318"), ("OTEL_EXPORTER_OTLP_INSECURE", "true")]);
    assert!(matches!(http, Err(OtlpConfigError::NoScheme { .. })), "HTTP endpoints always need a scheme");
}

#[test]
fn endpoints_that_cannot_be_used_are_refused() {
    for endpoint in [
        "ftp://c",
        "http://",
        "http:///v1/traces",
        "http://a b",
        "https://user:pw@c",
        "http://user:pw@a b",
        "user:pw@c",
    ] {
        let error = read(&[(ENDPOINT, endpoint)]).unwrap_err();
        assert!(matches!(error, OtlpConfigError::Endpoint { .. }), "{endpoint}: {error}");
        assert!(!error.to_string().contains("pw@"), "credentials are not repeated");
    }
}

#[test]
fn traces_variables_win_over_general_ones() {
    let config = config(&[
        (ENDPOINT, "http://c"),
        (PROTOCOL, "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "GRPC"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "none"),
        ("OTEL_EXPORTER_OTLP_TRACES_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "1"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "2500"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "a=general,b=general"),
        ("OTEL_EXPORTER_OTLP_TRACES_HEADERS", "a=traces"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/general.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "/traces.pem"),
    ]);
    assert_eq!(config.protocol, Protocol::Grpc);
    assert_eq!(config.compression, Compression::Gzip);
    assert_eq!(config.timeout, Some(Duration::from_millis(2500)));
    assert_eq!(config.headers.len(), 1);
    assert_eq!(config.headers["a"], "traces");
    assert_eq!(config.tls.certificate, Some("/traces.pem".into()));
}

#[test]
fn header_values_are_percent_decoded_and_not_shown() {
    let list = "api-key=s%3Dcret%2C%20x , X-Tenant = 7,, empty=, token=a=b==";
    let config = config(&[(ENDPOINT, "http://c"), ("OTEL_EXPORTER_OTLP_HEADERS", list)]);
    assert_eq!(config.headers["api-key"], "s=cret, x");
    assert_eq!(config.headers["x-tenant"], "7");
    assert_eq!(config.headers["empty"], "");
    assert_eq!(config.headers["token"], "a=b==");
    assert!(!format!("{config:?}").contains("cret"), "credentials stay out of logs");
}

#[test]
fn headers_that_cannot_be_sent_are_refused_without_showing_them() {
    for list in ["ok=1,secret", "bad name=secret", "a=secret%0d%0aX: y", "=secret"] {
        let error = read(&[(ENDPOINT, "http://c"), ("OTEL_EXPORTER_OTLP_HEADERS", list)]).unwrap_err();
        assert!(matches!(error, OtlpConfigError::Header { .. }), "{list}: {error}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

#[test]
fn a_timeout_of_zero_is_no_limit() {
    assert_eq!(config(&[(ENDPOINT, "http://c"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "0")]).timeout, None);
}

#[test]
fn unreadable_values_name_their_variable() {
    for (variable, value) in [
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "-1"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "brotli"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json"),
        ("OTEL_TRACES_EXPORTER", "jaeger"),
    ] {
        let error = read(&[(ENDPOINT, "http://c"), (variable, value)]).unwrap_err().to_string();
        assert!(error.starts_with(&format!("{variable}={value} ")), "{error}");
    }
}

#[test]
fn a_client_certificate_needs_its_key() {
    let half = read(&[(ENDPOINT, "https://c"), ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem")]);
    assert_eq!(
        half.unwrap_err().to_string(),
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE is set but OTEL_EXPORTER_OTLP_CLIENT_KEY is not: a client certificate \
         and its key go together"
    );
    let whole = config(&[
        (ENDPOINT, "https://c"),
        ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", "/c.pem"),
        ("OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "/k.pem"),
    ]);
    assert_eq!(whole.tls.identity, Some(ClientIdentity { certificate: "/c.pem".into(), key: "/k.pem".into() }));
}

#[test]
fn the_traces_exporter_variable_turns_otlp_on_and_off() {
    let endpoint = |variables: &[(&str, &str)]| read(variables).unwrap().map(|c| c.endpoint.to_string());
    let exporter = "OTEL_TRACES_EXPORTER";
    assert_eq!(endpoint(&[(exporter, "otlp")]).as_deref(), Some("http://localhost:4318/v1/traces"));
    assert_eq!(endpoint(&[(exporter, "otlp"), (PROTOCOL, "grpc")]).as_deref(), Some("http://localhost:4317/"));
    assert_eq!(endpoint(&[(exporter, "none"), (ENDPOINT, "http://c")]), None);
    assert_eq!(endpoint(&[(exporter, "console"), (ENDPOINT, "http://c")]), None);
    let both = TracesExporter::from_lookup(environment(&[(exporter, "otlp, console")])).unwrap();
    assert_eq!(both, Some(TracesExporter { otlp: true, console: true, zipkin: false }));
    assert_eq!(TracesExporter::from_lookup(environment(&[])).unwrap(), None);
}

#[test]
fn batch_variables_are_honoured_and_checked() {
    let batch = |variables: &[(&str, &str)]| BatchConfig::from_lookup(environment(variables));
    assert_eq!(batch(&[]), Ok(BatchConfig::default()));
    assert_eq!(
        batch(&[
            ("OTEL_BSP_MAX_QUEUE_SIZE", "2048"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "100"),
            ("OTEL_BSP_SCHEDULE_DELAY", "5000")
        ]),
        Ok(BatchConfig { queue_spans: 2048, batch_spans: 100, delay: Duration::from_secs(5) })
    );
    assert_eq!(batch(&[("OTEL_BSP_MAX_QUEUE_SIZE", "100")]).map(|b| b.batch_spans), Ok(100));
    let contradiction = batch(&[("OTEL_BSP_MAX_QUEUE_SIZE", "10"), ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "11")]);
    assert_eq!(contradiction, Err(OtlpConfigError::BatchExceedsQueue { processor: "BSP", batch: 11, queue: 10 }));
    assert!(matches!(batch(&[("OTEL_BSP_MAX_QUEUE_SIZE", "0")]), Err(OtlpConfigError::Number { .. })));
}
