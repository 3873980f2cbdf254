//! Records that real programs log reach the receiver and the view as they were written, on the spans of the requests that they are
//! written for, however many there are at a time; and without secrets.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::Value as Json;
use wirespan_tests::log::Log;
use wirespan_tests::receiver::{Protocol, Receiver};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::failing::{Failing, Platform};
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::view::View;
use wirespan_tests::{agent, browser, wait};

use super::errors::{AT_A_TIME, QUIET, REQUESTS, Tally, ask, ask_all, number, served, stats, warm_up};

fn fine(n: usize) -> String {
    format!("/fine/{n}")
}

/// A record of request `n`, as it is to arrive.
struct Wanted {
    /// `SeverityNumber`, and how the program says it.
    severity: (i32, &'static str),
    /// What it says around its number.
    body: fn(usize) -> String,
    /// What else it names.
    attributes: fn(usize) -> Vec<String>,
}

/// Which request's record this is, if it is as it must be.
fn number_of(log: &Log, wanted: &Wanted) -> Option<usize> {
    let n: String = log.body.split_once("fine n=")?.1.chars().take_while(char::is_ascii_digit).collect();
    let n = n.parse().ok()?;
    assert_eq!(log.body, (wanted.body)(n));
    assert_eq!((log.severity, &*log.severity_text), wanted.severity, "{log:?}");
    let said: Vec<String> = log.said().into_iter().filter(|said| !said.starts_with("log.file.path=")).collect();
    assert_eq!(said, (wanted.attributes)(n), "{log:?}");
    assert!(log.attributes.contains_key("log.file.path"), "{log:?}");
    assert_eq!(log.scope, "wirespan/logs");
    Some(n)
}

/// Whose records arrived of requests with these numbers: on which span.
fn told(scene: &Scene, wanted: &Wanted, numbers: &Range<usize>) -> Vec<(usize, Log)> {
    let of = |log: Log| Some((number_of(&log, wanted).filter(|n| numbers.contains(n))?, log));
    scene.receiver.logs().into_iter().filter_map(of).collect()
}

/// Has a program log, and looks at whose records they are. `linked`: each is to be on a span.
fn tally(platform: Platform, protocol: Protocol, wanted: &Wanted, linked: bool) -> Tally {
    let mut scene = Scene::receiving(Receiver::start(protocol));
    let program = Failing::start(&scene, platform);
    let view = View::new(&scene);
    scene.trace_with(&["--stats", "--logs", "all", "--listen", &view.listen()]);
    warm_up(&mut scene, program.port, fine, |scene, numbers| {
        let told = told(scene, wanted, numbers);
        told.len() == numbers.len() && (!linked || told.iter().all(|(_, log)| !log.trace_id.is_empty()))
    });
    let (before, numbers) = (scene.count(), 1000..1000 + REQUESTS);
    ask_all(program.port, numbers.start, REQUESTS, AT_A_TIME, fine);
    assert!(scene.settles_with(before + 2 * REQUESTS, QUIET), "spans keep arriving");
    let written = program.program.log();
    let arrived = || told(&scene, wanted, &numbers).len() >= REQUESTS;
    assert!(wait::until_true(wait::PATIENCE, arrived), "records are missing\n{}", stats(&scene.agent().log()));
    let servers = served(scene.spans(), &numbers);
    assert_eq!(servers.len(), REQUESTS, "requests are missing");
    let by_id: HashMap<(&str, &str), &Span> = servers.iter().map(|s| ((&*s.trace_id, &*s.span_id), s)).collect();
    let logs = told(&scene, wanted, &numbers);
    let mut tally = Tally::default();
    for (n, log) in &logs {
        let n = *n;
        assert!(written.contains(&format!("fine n={n}")) && written.contains("s3cret"), "no byte is changed");
        match by_id.get(&(&*log.trace_id, &*log.span_id)) {
            Some(span) => {
                let own = number(span) == Some(n);
                assert!((span.start..=span.end + 1_000_000).contains(&log.time) || !own, "{log:?} {span:?}");
                assert_eq!((log.flags, &log.resource), (1, &span.resource));
                tally.right += usize::from(own);
                tally.wrong += usize::from(!own);
            }
            None if log.trace_id.is_empty() => tally.none += 1,
            None => tally.wrong += 1,
        }
    }
    assert_eq!(logs.len(), REQUESTS, "each once\n{}", stats(&scene.agent().log()));
    look(&view, &servers[0], tally.right == REQUESTS);
    ask_by_command(&view, &servers[0], tally.right == REQUESTS);
    scene.agent().stop();
    let log = scene.agent().log();
    eprintln!("{platform:?}: {tally:?}\n{}", stats(&log));
    tally
}

/// The view has a trace's records, and a record's trace.
fn look(view: &View, span: &Span, is_there: bool) {
    let ask = || view.get(&format!("/api/v1/logs?trace={}&span={}", span.trace_id, span.span_id));
    let said = format!("fine n={} ", number(span).expect("its number"));
    // (What else the program's server says of it may be there as well.)
    let is = |line: &&Json| format!("{} ", line["body"].as_str().expect("a text").replace(',', " ")).contains(&said);
    let lines = || ask()["lines"].as_array().expect("a list").iter().filter(is).count();
    assert!(!is_there || wait::until_true(wait::PATIENCE, || lines() == 1), "{}", ask());
    let ask = || view.get(&format!("/api/v1/logs?severity=warn&text=fine%20n={}", number(span).expect("its number")));
    assert!(wait::until_true(wait::PATIENCE, || ask()["matched"] == 1), "{}", ask());
    let found = ask();
    if is_there {
        assert_eq!(found["lines"][0]["trace_id"], span.trace_id.as_str());
        assert_eq!(view.get(&format!("/api/v1/trace/{}", span.trace_id))["trace_id"], span.trace_id.as_str());
    }
}

/// `wirespan logs` has them, too.
fn ask_by_command(view: &View, span: &Span, is_there: bool) {
    let arguments = ["logs", "--address", &view.listen(), "--trace", &span.trace_id, "--severity", "warn"];
    let output = agent::command().args(arguments).output().expect("it runs");
    let (text, said) = (String::from_utf8_lossy(&output.stdout), format!("fine n={}", number(span).expect("a number")));
    if is_there {
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains(&said) && text.contains(&span.trace_id) && text.lines().count() == 1, "{text}");
    }
}

fn all_right() -> Tally {
    Tally { right: REQUESTS, ..Tally::default() }
}

#[test]
fn records_of_flask_under_threads_are_on_their_requests() {
    let wanted = Wanted {
        severity: (13, "WARNING"),
        body: |n| format!("shop: fine n={n}, password=REDACTED"),
        attributes: |_| vec![],
    };
    assert_eq!(tally(Platform::Flask, Protocol::Http, &wanted, true), all_right());
}

#[test]
fn records_of_fastapi_in_json_are_on_their_requests() {
    let wanted = Wanted {
        severity: (13, "warning"),
        body: |n| format!("fine n={n}"),
        attributes: |n| vec!["password=\"REDACTED\"".to_owned(), format!("user.id={n}")],
    };
    assert_eq!(tally(Platform::FastApi, Protocol::Grpc, &wanted, true), all_right());
}

#[test]
fn records_of_go_in_logfmt_are_on_their_requests() {
    let wanted = Wanted {
        severity: (13, "WARN"),
        body: |n| format!("fine n={n}"),
        attributes: |n| vec!["password=\"REDACTED\"".to_owned(), format!("user=\"{n}\"")],
    };
    assert_eq!(tally(Platform::Go, Protocol::Grpc, &wanted, true), all_right());
}

#[test]
fn records_of_a_pool_of_java_are_on_their_requests() {
    let wanted = Wanted {
        severity: (13, "WARN"),
        body: |n| format!("12 --- [shop] fine n={n} password=REDACTED"),
        attributes: |_| vec![],
    };
    assert_eq!(tally(Platform::Java, Protocol::Http, &wanted, true), all_right());
}

#[test]
fn records_of_php_are_on_their_requests() {
    let wanted =
        Wanted { severity: (13, "WARNING"), body: |n| format!("fine n={n} password=REDACTED"), attributes: |_| vec![] };
    assert_eq!(tally(Platform::Php, Protocol::Http, &wanted, true), all_right());
}

#[test]
fn records_of_an_event_loop_are_on_their_requests_or_on_none() {
    // (Whose it is there, nothing tells yet.)
    let wanted = Wanted {
        severity: (13, "40"),
        body: |n| format!("fine n={n}"),
        attributes: |n| vec!["password=\"REDACTED\"".to_owned(), format!("user=\"{n}\"")],
    };
    let found = tally(Platform::Node, Protocol::Http, &wanted, false);
    assert_eq!(found.wrong, 0, "{found:?}");
}

#[test]
fn exceptions_are_records_for_who_wants_that() {
    for (opt_in, events, records) in [("logs", 0, 1), ("logs/dup", 1, 1)] {
        let mut scene = Scene::receiving(Receiver::start(Protocol::Http));
        let program = Failing::start(&scene, Platform::Java);
        let mut command = agent::exporting_to(&scene.receiver);
        scene.trace_by(command.args(["--logs", "exceptions"]).env("OTEL_SEMCONV_EXCEPTION_SIGNAL_OPT_IN", opt_in));
        let records_of = |scene: &Scene, n: usize| -> Vec<Log> {
            let is = |log: &Log| log.body == format!("java.lang.IllegalStateException: n={n}");
            scene.receiver.logs().into_iter().filter(is).collect()
        };
        warm_up(
            &mut scene,
            program.port,
            |n| format!("/w/{n}"),
            |scene, numbers| {
                let served = served(scene.spans(), numbers);
                let told = |n| records_of(scene, n).iter().filter(|log| !log.trace_id.is_empty()).count() == records;
                served.len() == numbers.len()
                    && served.iter().all(|s| s.events.len() == events)
                    && numbers.clone().all(told)
            },
        );
        let before = scene.count();
        ask(program.port, "/w/1007");
        let told = || scene.count() >= before + 2 && records_of(&scene, 1007).len() >= records;
        assert!(scene.settles_unless(QUIET, told), "spans keep arriving");
        scene.agent().stop();
        let spans = scene.spans();
        let span = spans.iter().find(|s| s.kind == Kind::Server && s.path() == "/w/1007").expect("its span");
        assert_eq!(span.events.len(), events, "{opt_in}");
        let logs = records_of(&scene, 1007);
        assert_eq!(logs.len(), records, "{opt_in}: {:?}", scene.receiver.logs());
        let log = &logs[0];
        assert_eq!((&log.trace_id, &log.span_id), (&span.trace_id, &span.span_id));
        assert_eq!((log.severity, &*log.body), (17, "java.lang.IllegalStateException: n=1007"));
        let said = log.said().join("\n");
        for part in
            ["exception.type=\"java.lang.IllegalStateException\"", "exception.message=\"n=1007\"", "Caused by: java.io"]
        {
            assert!(said.contains(part), "{said}");
        }
    }
}

#[test]
fn a_receiver_that_refuses_logs_gets_all_spans() {
    for protocol in [Protocol::Grpc, Protocol::Http] {
        let mut scene = Scene::receiving(Receiver::start(protocol));
        scene.receiver.refuse_logs();
        let program = Failing::start(&scene, Platform::Go);
        scene.trace_with(&["--stats", "--logs", "all"]);
        let complained =
            |log: &str| log.lines().filter(|l| l.contains("said once") && l.contains("records of logs")).count();
        let agent_log = scene.dir().join("wirespan.log");
        warm_up(&mut scene, program.port, fine, |_, _| {
            complained(&std::fs::read_to_string(&agent_log).expect("what the agent says")) > 0
        });
        ask_all(program.port, 1000, 40, 4, fine);
        let ours = |spans: &[Span]| spans.iter().filter(|s| s.kind == Kind::Server && number(s) >= Some(1000)).count();
        scene.wait_for(|spans| ours(spans) >= 40);
        scene.agent().stop();
        assert_eq!((ours(&scene.spans()), scene.receiver.logs().len()), (40, 0));
        let log = scene.agent().log();
        assert_eq!(complained(&log), 1, "said once: {log}");
        assert!(log.contains("log_records_rejected"), "and counted: {log}");
    }
}

#[test]
fn the_page_shows_records_with_their_spans_and_runs_nothing_of_them() {
    let mut scene = Scene::new();
    let program = Failing::start(&scene, Platform::Go);
    let view = View::new(&scene);
    scene.trace_with(&["--logs", "all", "--listen", &view.listen()]);
    warm_up(&mut scene, program.port, fine, |_, numbers| {
        numbers.clone().all(|n| view.get(&format!("/api/v1/logs?severity=warn&text=fine%20n={n}"))["matched"] != 0)
    });
    ask(program.port, "/fine/%3Cimg%20src=x%20onerror=pwned=1%3E");
    browser::run(&scene, "logs.mjs", &view.url(""), &[]);
    scene.agent().stop();
}
