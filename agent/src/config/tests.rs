//! Where values come from, and which are refused.

use std::path::Path;

use super::*;
use crate::config::source::FlagValues;

const FILE: &str = "/etc/wirespan/wirespan.yaml";

struct Given {
    flags: Vec<(&'static str, &'static str)>,
    environment: Vec<(&'static str, &'static str)>,
    file: &'static str,
}

fn given(
    flags: &[(&'static str, &'static str)],
    environment: &[(&'static str, &'static str)],
    file: &'static str,
) -> Given {
    Given { flags: flags.to_vec(), environment: environment.to_vec(), file }
}

impl Given {
    fn with<T>(&self, use_it: impl Fn(&Settings, &Surroundings<'_>) -> T) -> Result<T, ConfigError> {
        let read = |path: &Path| match path.to_str() {
            Some(FILE) if !self.file.is_empty() => Ok(self.file.to_string()),
            Some("/etc/passwd") => Ok("shop:x:1001:1001::/:/bin/sh".to_string()),
            _ => Err(std::io::ErrorKind::NotFound.into()),
        };
        let environment = self.environment.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        let surroundings = Surroundings { environment, read: &read };
        let flags: FlagValues = self.flags.iter().map(|(k, v)| (*k, vec![v.to_string()])).collect();
        Ok(use_it(&Settings::resolve(&flags, &surroundings)?, &surroundings))
    }

    fn config(&self) -> Result<Config, ConfigError> {
        self.with(Config::from_settings)?
    }

    fn problem(&self) -> String {
        self.config().unwrap_err().to_string()
    }

    fn source(&self, name: &'static str) -> String {
        self.with(|settings, _| settings.get(name).source.to_string()).unwrap()
    }
}

#[test]
fn the_defaults_need_no_configuration() {
    let config = given(&[], &[], "").config().unwrap();
    assert!(config.include.is_empty() && config.exclude.is_empty() && config.service_names.is_empty());
    assert_eq!(config.output, Output::Text);
    assert_eq!(config.capture_bytes, 4096);
    assert_eq!(config.ring_bytes, 8 << 20);
    assert_eq!(config.trace_hold, Duration::from_millis(250));
    assert_eq!(config.log, "info");
}

#[test]
fn every_default_is_a_value_that_its_option_accepts() {
    given(&[], &[], "").config().unwrap();
}

#[test]
fn a_flag_wins_over_a_variable_which_wins_over_the_file_which_wins_over_the_default() {
    let hold = |given: Given| (given.config().unwrap().trace_hold.as_millis(), given.source("trace-hold"));
    let (flag, variable) = ([("trace-hold", "1s")], [("WIRESPAN_TRACE_HOLD", "2s")]);
    let file = "stats: true\ntrace-hold: 3s\n";
    assert_eq!(hold(given(&flag, &variable, file)), (1000, "--trace-hold".into()));
    assert_eq!(hold(given(&[], &variable, file)), (2000, "env WIRESPAN_TRACE_HOLD".into()));
    assert_eq!(hold(given(&[], &[], file)), (3000, format!("{FILE}:2")));
    assert_eq!(hold(given(&[], &[], "")), (250, "default".into()));
}

#[test]
fn our_variable_wins_over_the_standard_one_which_wins_over_the_file() {
    let both = [("RUST_LOG", "debug"), ("WIRESPAN_LOG", "warn")];
    assert_eq!(given(&[], &both, "log: error").config().unwrap().log, "warn");
    assert_eq!(given(&[], &both[..1], "log: error").config().unwrap().log, "debug");
    assert_eq!(given(&[], &both[..1], "log: error").source("log"), "env RUST_LOG");
}

#[test]
fn an_empty_variable_counts_as_unset() {
    assert_eq!(given(&[], &[("WIRESPAN_LOG", "")], "").source("log"), "default");
}

#[test]
fn no_color_of_any_value_means_never() {
    assert_eq!(given(&[], &[("NO_COLOR", "1")], "").config().unwrap().color, Color::Never);
    assert!(Color::Auto.enabled(true) && !Color::Auto.enabled(false));
}

#[test]
fn the_console_is_silent_by_default_once_there_is_an_endpoint() {
    let endpoint = [("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317")];
    assert_eq!(given(&[], &endpoint, "").config().unwrap().output, Output::None);
    assert_eq!(given(&[("output", "text")], &endpoint, "").config().unwrap().output, Output::Text);
}

#[test]
fn the_file_that_was_read_is_shown_first() {
    let first = |given: Given| {
        let text = given.with(|settings, _| show::text(settings)).unwrap();
        text.lines().next().unwrap().split_whitespace().map(str::to_string).collect::<Vec<_>>()
    };
    assert_eq!(first(given(&[], &[], "stats: true")), ["config", FILE, "default"]);
    assert_eq!(first(given(&[], &[], "")), ["config", "-", "default"]);
    assert_eq!(
        first(given(&[], &[("WIRESPAN_CONFIG", FILE)], "stats: true")),
        ["config", FILE, "env", "WIRESPAN_CONFIG"]
    );
}

#[test]
fn rules_and_names_come_from_lists_in_order() {
    let file = "include:\n  - nginx\n  - user:shop\nservice-name: 'port:8080=shop, rest'\n";
    let config = given(&[], &[], file).config().unwrap();
    assert_eq!(config.include, [Rule::Exe(rule::Glob::new("nginx")), Rule::User(1001)]);
    assert_eq!(config.service_names, [(Rule::Port(8080), "shop".into()), (Rule::Any, "rest".into())]);
}

#[test]
fn a_wrong_value_names_its_place_and_the_remedy() {
    for (given, expected) in [
        (
            given(&[], &[], "stats: true\nstats-interval: 1 day\n"),
            "/etc/wirespan/wirespan.yaml:2 (stats-interval): \"1 day\"",
        ),
        (given(&[], &[("WIRESPAN_CAPTURE_BYTES", "1MiB")], ""), "WIRESPAN_CAPTURE_BYTES: \"1MiB\" is out of range"),
        (
            given(&[("ring-bytes", "3MiB")], &[], ""),
            "--ring-bytes: \"3MiB\" is not a power of two; choose one, such as 4MiB",
        ),
        (
            given(&[], &[("WIRESPAN_TRACE_HODL", "1s")], ""),
            "WIRESPAN_TRACE_HODL: no option has this variable; did you mean WIRESPAN_TRACE_HOLD?",
        ),
        (
            given(&[("config", "/nope.yaml")], &[], ""),
            "cannot read the configuration file /nope.yaml named by --config",
        ),
    ] {
        let problem = given.problem();
        assert!(problem.starts_with(expected), "{problem}");
    }
}

#[test]
fn values_that_contradict_each_other_are_refused() {
    for (given, expected) in [
        (given(&[("include", "nginx"), ("exclude", "exe:nginx")], &[], ""), "is in both"),
        (given(&[("max-connection-buffer", "2MiB"), ("max-buffer", "1MiB")], &[], ""), "raise max-buffer"),
        (given(&[("max-connection-buffer", "16MiB"), ("max-memory", "32MiB")], &[], ""), "raise max-memory"),
        (given(&[("max-buffer", "100MiB")], &[], ""), "say 64MiB or less"),
        (given(&[("store-bytes", "1GiB")], &[], ""), "raise max-memory, or say 128MiB or less"),
        (given(&[("otlp-headers", "a=b")], &[], ""), "--otlp-headers has no effect without an endpoint"),
        (circle("127.0.0.1", "http://localhost:4318"), "round for ever"),
        (circle("[::1]:4317", "http://[::1]:4317"), "round for ever"),
    ] {
        let problem = given.problem();
        assert!(problem.contains(expected), "{problem}");
        assert_eq!(given.config().unwrap_err().exit_status(), 2);
    }
}

/// Spans are received here and sent there.
fn circle(listen: &'static str, endpoint: &'static str) -> Given {
    given(&[("otlp-listen", listen), ("otlp-endpoint", endpoint)], &[], "")
}

#[test]
fn what_is_received_may_be_sent_on_to_another_place() {
    for (listen, endpoint) in [("127.0.0.1", "http://127.0.0.1:9000"), ("127.0.0.1", "http://192.0.2.1:4318")] {
        let config = circle(listen, endpoint).config().unwrap();
        assert_eq!(config.otlp_in.unwrap().addresses.len(), 2);
    }
}

#[test]
fn otlp_from_other_machines_demands_a_token() {
    assert!(given(&[("otlp-listen", "127.0.0.1")], &[], "").config().unwrap().otlp_in.unwrap().token.is_none());
    assert_eq!(given(&[], &[], "").config().unwrap().otlp_in, None);
    for open in ["0.0.0.0", "192.0.2.1:4317", "127.0.0.1:1,[::]:2"] {
        let problem = given(&[("otlp-listen", open)], &[], "").problem();
        assert!(problem.starts_with("--otlp-listen: ") && problem.contains("--token-file FILE"), "{problem}");
    }
}

#[test]
fn an_unreadable_file_is_the_environments_fault() {
    assert_eq!(given(&[("config", "/nope.yaml")], &[], "").config().unwrap_err().exit_status(), 1);
}

#[test]
fn variables_that_an_orchestrator_invents_are_ignored_and_mentioned() {
    let config = given(&[], &[("WIRESPAN_SERVICE_HOST", "10.0.0.1"), ("WIRESPAN_PORT_4317_TCP", "x")], "").config();
    assert_eq!(config.unwrap().stray_variables, ["WIRESPAN_PORT_4317_TCP", "WIRESPAN_SERVICE_HOST"]);
}

#[test]
fn our_otlp_options_answer_for_the_standard_variables_and_hide_the_specific_ones() {
    let environment = [
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://specific:4318/v1/traces"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://general:4317"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "7000"),
        ("OTEL_UNRELATED", "kept"),
    ];
    let ask = |given: &Given, name: &str| given.with(|s, around| s.standard_variable(name, around)).unwrap();
    let plain = given(&[], &environment, "");
    assert_eq!(ask(&plain, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT").as_deref(), Some("http://specific:4318/v1/traces"));
    assert_eq!(ask(&plain, "OTEL_EXPORTER_OTLP_ENDPOINT").as_deref(), Some("http://general:4317"));
    assert_eq!(ask(&plain, "OTEL_UNRELATED").as_deref(), Some("kept"));
    let flagged = given(&[("otlp-endpoint", "http://flag:4317"), ("otlp-timeout", "2s")], &environment, "");
    assert_eq!(ask(&flagged, "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"), None);
    assert_eq!(ask(&flagged, "OTEL_EXPORTER_OTLP_ENDPOINT").as_deref(), Some("http://flag:4317"));
    assert_eq!(ask(&flagged, "OTEL_EXPORTER_OTLP_TIMEOUT").as_deref(), Some("2000"));
}

#[test]
fn the_registry_shows_the_exporters_own_defaults() {
    let settings = |name| given(&[], &[], "").with(|s, _| s.get(name).texts.concat()).unwrap();
    let batch = BatchConfig::default();
    assert_eq!(settings("queue-size"), batch.queue_spans.to_string());
    assert_eq!(settings("batch-size"), batch.batch_spans.to_string());
    assert_eq!(settings("batch-delay"), parse::show_time(batch.delay.as_millis() as u64));
    assert_eq!(settings("otlp-timeout"), parse::show_time(otlp::DEFAULT_TIMEOUT.as_millis() as u64));
    let otlp = given(&[("otlp-endpoint", "http://h:4318")], &[], "").config().unwrap().otlp.unwrap();
    assert_eq!(settings("otlp-protocol"), "http/protobuf");
    assert_eq!(otlp.protocol, otlp::Protocol::HttpProtobuf);
    assert_eq!(settings("otlp-compression"), "none");
    assert_eq!(otlp.compression, otlp::Compression::None);
}

#[test]
fn our_otlp_options_reach_the_exporter() {
    let flags = [("otlp-endpoint", "http://flag:4317"), ("otlp-protocol", "grpc"), ("otlp-timeout", "2s")];
    let file = "otlp-headers: a=b\nqueue-size: 100\nbatch-delay: 1s\n";
    let config = given(&flags, &[("OTEL_EXPORTER_OTLP_ENDPOINT", "http://env:4317")], file).config().unwrap();
    let otlp = config.otlp.unwrap();
    assert_eq!((otlp.endpoint.host(), otlp.protocol), (Some("flag"), otlp::Protocol::Grpc));
    assert_eq!((otlp.timeout, otlp.headers.len()), (Some(Duration::from_secs(2)), 1));
    assert_eq!((config.batch.queue_spans, config.batch.delay), (100, Duration::from_secs(1)));
}

#[test]
fn an_otlp_error_names_what_the_user_wrote() {
    let variable = given(&[], &[("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318")], "").problem();
    assert!(variable.starts_with("OTEL_EXPORTER_OTLP_ENDPOINT=collector:4318 has no scheme"), "{variable}");
    let flag = given(&[("otlp-endpoint", "collector:4318")], &[], "").problem();
    assert!(flag.starts_with("--otlp-endpoint=collector:4318 has no scheme"), "{flag}");
    let file = given(&[], &[], "otlp-endpoint: collector:4318").problem();
    assert!(file.starts_with("/etc/wirespan/wirespan.yaml:1 (otlp-endpoint)=collector:4318 has no scheme"), "{file}");
    let batch = given(&[("queue-size", "10"), ("batch-size", "20")], &[], "").problem();
    assert!(batch.starts_with("--batch-size=20 exceeds the queue of 10: lower it, or raise --queue-size"), "{batch}");
}

#[test]
fn the_exporter_variable_of_the_specification_is_honoured() {
    let otlp = given(&[], &[("OTEL_TRACES_EXPORTER", "otlp,console")], "").config().unwrap();
    assert!(otlp.otlp.is_some() && otlp.output == Output::Text);
    assert!(given(&[], &[("OTEL_TRACES_EXPORTER", "console")], "").config().unwrap().otlp.is_none());
}

#[test]
fn secrets_are_masked_wherever_the_configuration_is_shown() {
    let flags = [
        ("otlp-endpoint", "http://me:hunter2@collector:4317"),
        ("otlp-headers", "authorization=hunter2,x-team=hunter2"),
    ];
    let (text, json) = given(&flags, &[], "").with(|s, _| (show::text(s), show::json(s))).unwrap();
    for shown in [text, json] {
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(
            shown.contains("authorization=****,x-team=****") && shown.contains("http://****@collector:4317"),
            "{shown}"
        );
    }
}

#[test]
fn the_view_is_on_where_traces_would_be_seen_nowhere_else() {
    let view = |flags: &[(&'static str, &'static str)], file| given(flags, &[], file).config().unwrap().view;
    let at = |text: &str| Some(text.parse::<std::net::SocketAddr>().unwrap());
    let endpoint = ("otlp-endpoint", "http://localhost:4318");
    let listen = |view: Option<ViewConfig>| view.and_then(|view| view.listen);
    assert_eq!(listen(view(&[], "")), at("127.0.0.1:4316"));
    assert_eq!(listen(view(&[endpoint], "")), None);
    assert_eq!(listen(view(&[endpoint, ("store", "/var/lib/traces.redb")], "")), at("127.0.0.1:4316"));
    assert_eq!(listen(view(&[endpoint, ("listen", "[::1]:9000")], "")), at("[::1]:9000"));
    assert_eq!(listen(view(&[("listen", "localhost:9000")], "")), at("127.0.0.1:9000"));
    assert_eq!(listen(view(&[("listen", "off")], "")), None);
    let roomy = [("store-bytes", "1GiB"), ("store-traces", "7"), ("max-memory", "2GiB")];
    let kept = view(&roomy, "").unwrap().store;
    assert_eq!((kept.limits.bytes, kept.limits.traces, kept.path), (1 << 30, 7, None));
    assert_eq!(view(&[], "").unwrap().store.limits.bytes, 80 << 20, "five sixteenths of max-memory");
    assert_eq!(view(&[("max-memory", "1GiB")], "").unwrap().store.limits.bytes, 320 << 20);
}

#[test]
fn an_agent_can_always_be_asked_at_its_socket_and_keeps_little_for_it_where_spans_go_elsewhere() {
    let view = |flags: &[(&'static str, &'static str)]| given(flags, &[], "").config().unwrap().view;
    let socket = |view: Option<ViewConfig>| view.and_then(|view| view.socket);
    let endpoint = ("otlp-endpoint", "http://localhost:4318");
    let default = Some(std::path::PathBuf::from("/run/wirespan/wirespan.sock"));
    assert_eq!(socket(view(&[])), default);
    assert_eq!(socket(view(&[endpoint])), default);
    assert_eq!(socket(view(&[("listen", "off")])), default);
    assert_eq!(socket(view(&[("socket", "off")])), None);
    assert_eq!(view(&[endpoint, ("socket", "off")]), None);
    assert_eq!(socket(view(&[("socket", "/tmp/x.sock")])), Some("/tmp/x.sock".into()));
    let bytes = |flags: &[(&'static str, &'static str)]| view(flags).unwrap().store.limits.bytes;
    assert_eq!((bytes(&[]), bytes(&[endpoint])), (80 << 20, 32 << 20));
    assert_eq!(bytes(&[endpoint, ("listen", "127.0.0.1:1")]), 80 << 20);
    assert_eq!(bytes(&[endpoint, ("store-bytes", "64MiB")]), 64 << 20);
    assert!(given(&[("socket", "x.sock")], &[], "").problem().contains("is no path"));
}

#[test]
fn an_address_that_others_reach_demands_a_token() {
    for address in ["0.0.0.0:4316", "192.0.2.1:4316", "[::]:4316", "[::ffff:192.0.2.1]:4316"] {
        let problem = given(&[("listen", address)], &[], "").problem();
        assert!(problem.contains("--token-file") && problem.contains("openssl rand"), "{problem}");
    }
    let token = [("listen", "0.0.0.0:4316"), ("token-file", "/etc/wirespan/token")];
    let problem = given(&token, &[], "").problem();
    assert!(problem.contains("/etc/wirespan/token") && problem.contains("cannot be read"), "{problem}");
    let passwd = [("token-file", "/etc/passwd"), ("listen", "0.0.0.0:4316")];
    assert!(given(&passwd, &[], "").config().unwrap().view.unwrap().token.is_some());
    assert!(!format!("{:?}", given(&passwd, &[], "").config().unwrap()).contains("shop:x:1001"));
    for (listen, problem) in [("4316", "no address with a port"), ("example.com:80", "no address with a port")] {
        assert!(given(&[("listen", listen)], &[], "").problem().contains(problem), "{listen}");
    }
    assert!(given(&[("listen", "off"), ("store", "/x")], &[], "").config().is_ok(), "the socket shows it");
    let contradiction = given(&[("listen", "off"), ("socket", "off"), ("store", "/x")], &[], "").problem();
    assert!(contradiction.contains("--store") && contradiction.contains("--listen"), "{contradiction}");
}

#[test]
fn the_sampler_of_the_specification_is_honoured_and_a_wrong_one_refused() {
    let sampler = |name: &'static str, argument: &'static str| {
        given(&[], &[("OTEL_TRACES_SAMPLER", name), ("OTEL_TRACES_SAMPLER_ARG", argument)], "")
    };
    let head = sampler("parentbased_traceidratio", "0.25").config().unwrap().sampling.head;
    assert!(head.parent_based && (head.root.probability() - 0.25).abs() < 1e-9);
    assert!(given(&[], &[], "").config().unwrap().sampling.share().is_none(), "all is kept, and nothing decides");
    for (name, argument, expected) in [
        ("ratio", "", "OTEL_TRACES_SAMPLER: \"ratio\" is no sampler; use one of always_on"),
        ("jaeger_remote", "", "use parentbased_traceidratio"),
        ("traceidratio", "25", "OTEL_TRACES_SAMPLER_ARG: \"25\" is not a ratio; write a number from 0 to 1"),
    ] {
        let problem = sampler(name, argument).problem();
        assert!(problem.contains(expected), "{problem}");
    }
}

/// As a Collector's own configuration has it.
const TAIL: &str = "\
stats: true
tail_sampling:
  decision_wait: 10s
  num_traces: 100
  expected_new_traces_per_sec: 10
  policies:
    - name: errors
      type: status_code
      status_code: {status_codes: [ERROR]}
    - name: slow
      type: latency
      latency: {threshold_ms: 500}
    - name: some
      type: probabilistic
      probabilistic:
        sampling_percentage: 10
trace-hold: 1s
";

#[test]
fn a_block_of_the_collector_is_copied_unchanged() {
    let config = given(&[], &[], TAIL).config().unwrap();
    let tail = config.sampling.settings(0).tail.unwrap();
    assert_eq!((tail.wait.as_secs(), tail.traces, config.trace_hold.as_secs()), (10, 100, 1));
    assert_eq!(given(&[], &[], TAIL).source("tail-sampling"), format!("{FILE}:3"));
    let line = "{policies: [{name: all, type: always_sample}]}";
    assert!(
        given(&[("tail-sampling", line)], &[], TAIL)
            .config()
            .unwrap()
            .sampling
            .settings(0)
            .tail
            .unwrap()
            .wait
            .is_zero()
    );
    assert!(given(&[], &[], "tail_sampling:\nstats: true\n").config().unwrap().sampling.tail.is_none());
}

#[test]
fn the_file_may_spell_some_options_in_another_way() {
    for file in ["attributes:\n  - tenant = header x-tenant\n", "attribute:\n  - tenant = header x-tenant\n"] {
        assert_eq!(given(&[], &[], file).config().unwrap().attributes.len(), 1, "{file}");
    }
    let twice = given(&[], &[], "attribute: a = query b\nattributes: a = query c\n").problem();
    assert!(twice.contains("`attributes` is there twice"), "{twice}");
    assert!(given(&[], &[], "listens: off\n").problem().contains("unknown key `listens`"));
}

#[test]
fn a_wrong_block_names_the_file_the_place_in_it_and_the_remedy() {
    for (file, expected) in [
        (
            "tail_sampling:\n  policies:\n    - {name: a, type: status_code, status_code: {status_codes: [BAD]}}\n",
            "/etc/wirespan/wirespan.yaml:2 (tail-sampling): tail_sampling.policies[0].status_code.status_codes[0]: \"BAD\"",
        ),
        ("tail_sampling: 3\n", "(tail-sampling): tail_sampling: is not a mapping"),
        ("tail_sampling: {policies: [*x]}\n", "wirespan.yaml:1:"),
        ("tail_sampling: {a: 1\n", "not YAML"),
        ("trace_hold: 1s\n", "unknown key `trace_hold`; did you mean `trace-hold`?"),
    ] {
        let problem = given(&[], &[], file).problem();
        assert!(problem.contains(expected), "{problem}");
    }
}
