//! What is kept: by the Collector's block, by the specification's sampler, by a budget. The view has all, and all is measured.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use wirespan_tests::agent;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::span::Span;
use wirespan_tests::view::View;
use wirespan_tests::{curl, wait};

/// Requests of each kind.
const EACH: usize = 8;
/// What is slow, and what the policies say is, milliseconds: nothing else takes so long, however busy the machine is.
const SLOW: (u32, u32) = (1_600, 1_500);

/// A trace id of a test's own, unlike the others.
fn id(n: usize) -> String {
    format!("{:032x}", 0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835_u128.wrapping_mul(n as u128 + 1))
}

/// Asks for `path` in a trace that is told by the request.
fn ask(faults: &Node, path: &str, n: usize, sampled: u8) {
    curl::run(&["-H", &format!("traceparent: 00-{}-00000000000000aa-0{sampled}", id(n)), &faults.url(path)]);
}

/// The rule for this traffic and no other: what is counted is all that the agent sees.
fn only(faults: &Node) -> String {
    format!("port:{}", faults.port)
}

/// What `/metrics` says of a counter.
fn counter(view: &View, name: &str) -> u64 {
    let text = String::from_utf8(curl::get(&view.url("/metrics"), 200).body).expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.rsplit_once(' '));
    line.and_then(|(_, value)| value.parse().ok()).unwrap_or_default()
}

/// The traces of spans, each of which must be whole: curl's span and the server's.
fn traces(spans: &[Span]) -> BTreeSet<String> {
    let mut sizes: BTreeMap<&str, usize> = BTreeMap::new();
    spans.iter().for_each(|span| *sizes.entry(&span.trace_id).or_default() += 1);
    assert!(sizes.values().all(|size| *size == 2), "{sizes:?}");
    sizes.into_keys().map(str::to_owned).collect()
}

/// Whether the Collector's `probabilistic` policy keeps a tenth with this trace in it: FNV-1a of its salt and the id.
fn is_of_the_tenth(id: &str) -> bool {
    let bytes = (0..16).map(|n| u8::from_str_radix(&id[2 * n..2 * n + 2], 16).expect("an id"));
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
    let hash = b"default-hash-seed".iter().copied().chain(bytes).fold(0xcbf2_9ce4_8422_2325, step);
    hash <= 1_844_674_407_370_955_263
}

#[test]
fn errors_slow_ones_and_a_tenth_are_kept_and_the_view_has_the_rest() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let (view, file) = (View::new(&scene), scene.dir().join("wirespan.yaml"));
    let block = format!(
        "tail_sampling:\n  decision_wait: 2s\n  policies:\n\
         \x20   - {{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}\n\
         \x20   - {{name: slow, type: latency, latency: {{threshold_ms: {}}}}}\n\
         \x20   - {{name: some, type: probabilistic, probabilistic: {{sampling_percentage: 10}}}}\n",
        SLOW.1
    );
    fs::write(&file, block).expect("a configuration");
    let [file, ours] = [file.to_str().expect("UTF-8").to_owned(), only(&faults)];
    scene.trace_with(&["--config", &file, "--listen", &view.listen(), "--include", &ours]);
    let (failing, slow, others) = (0..EACH, EACH..EACH + 2, 100..100 + 3 * EACH);
    failing.clone().for_each(|n| ask(&faults, "/status/503", n, 1));
    let (faults, path) = (&faults, &format!("/slow/{}", SLOW.0));
    std::thread::scope(|scope| {
        slow.clone().for_each(|n| drop(scope.spawn(move || ask(faults, path, n, 1))));
    });
    others.clone().for_each(|n| ask(faults, "/status/200", n, 1));
    let total = failing.len() + slow.len() + others.len();

    let tenth = others.clone().map(id).filter(|id| is_of_the_tenth(id));
    let expected: BTreeSet<String> = failing.chain(slow).map(id).chain(tenth.clone()).collect();
    assert!(tenth.count() > 0, "some of the others are kept");
    let decided = || {
        counter(&view, "wirespan_sampling_traces_kept_total") + counter(&view, "wirespan_sampling_traces_dropped_total")
    };
    assert!(wait::until_true(wait::PATIENCE, || decided() == total as u64), "{} of {total} are decided", decided());
    let spans = scene.wait_for(|spans| spans.len() >= 2 * expected.len());
    assert_eq!(traces(&spans), expected, "exactly these");
    assert_eq!(counter(&view, "wirespan_sampling_traces_kept_total"), expected.len() as u64);
    assert_eq!(view.search("limit=100").len(), total, "as long as there is room");
    assert_eq!(view.search("status=error&limit=100").len(), EACH);
    assert_eq!(counter(&view, "wirespan_metrics_spans_total"), 2 * total as u64, "all of them are measured");
    scene.agent().stop();
    assert_eq!(traces(&scene.spans()), expected, "and no more at the end");
}

#[test]
fn the_samplers_of_the_specification_are_obeyed() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let view = View::new(&scene);
    let mut command = agent::exporting_to(&scene.receiver);
    command.env("OTEL_TRACES_SAMPLER", "parentbased_always_off").args(["--listen", &view.listen()]);
    command.args(["--include", &only(&faults)]);
    scene.trace_by(&mut command);
    // Nobody says of these whether they are recorded.
    (0..EACH).for_each(|_| drop(curl::get(&faults.url("/status/200"), 200)));
    (0..EACH).for_each(|n| ask(&faults, "/kept", n, 1));
    (0..EACH).for_each(|n| ask(&faults, "/not", 100 + n, 0));
    assert!(
        wait::until_true(wait::PATIENCE, || view.search("limit=100").len() == 2 * EACH),
        "all but what nobody records"
    );
    let spans = scene.finish(2 * EACH);
    assert_eq!(traces(&spans), (0..EACH).map(id).collect(), "{spans:?}");
}

#[test]
fn a_ratio_is_written_into_the_state_of_what_it_keeps() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    let mut command = agent::exporting_to(&scene.receiver);
    command.env("OTEL_TRACES_SAMPLER", "traceidratio").env("OTEL_TRACES_SAMPLER_ARG", "0.5");
    scene.trace_by(&mut command);
    // The last 56 bits decide: kept is what is not below half of what they can be.
    let (low, high) = ("5eed000000000000007fffffffffffff", "5eed0000000000000080000000000000");
    for id in [low, high] {
        curl::run(&["-H", &format!("traceparent: 00-{id}-00000000000000aa-01"), &faults.url("/status/200")]);
    }
    let spans = scene.finish(2);
    assert_eq!(traces(&spans), [high.to_owned()].into());
    assert!(spans.iter().all(|span| span.trace_state == "ot=th:8"), "{spans:?}");
}

#[test]
fn a_budget_keeps_what_is_rare_and_says_how_likely_the_rest_was() {
    let mut scene = Scene::new();
    let faults = Node::faults(&scene);
    scene.trace_with(&["--traces-per-second", "2", "--stats", "--include", &only(&faults)]);
    let many = 60;
    for _ in 0..many {
        curl::get(&faults.url("/status/200"), 200);
    }
    curl::get(&faults.url("/status/503"), 503);
    scene.wait_for(|spans| spans.iter().any(|span| span.status == wirespan_tests::span::Status::Error));
    scene.agent().stop();
    let spans = scene.spans();
    let kept = traces(&spans).len();
    let failed = spans.iter().filter(|span| span.int("http.response.status_code") == Some(503)).count();
    assert_eq!(failed, 2, "the only one of its kind stays, at both ends\n{spans:?}");
    assert!(kept < many, "{kept} of {} are kept", many + 1);
    let marked = spans.iter().filter(|span| span.trace_state.starts_with("ot=th:")).count();
    assert!(marked > 0, "how likely it was is said: {spans:?}");
    let decided = ["sampling_traces_kept", "sampling_traces_dropped"].map(|name| scene.agent().counter(name));
    assert_eq!(decided.iter().sum::<u64>(), many as u64 + 1);
}
