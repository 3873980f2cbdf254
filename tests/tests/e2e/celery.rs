//! The execution of Celery's tasks: a span in the worker, below the delivery, with the task's calls below it.

use std::collections::HashSet;

use wirespan_tests::curl;
use wirespan_tests::program::Program;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::brokers::RabbitMq;
use wirespan_tests::services::celery::Celery;
use wirespan_tests::services::databases::Database as Server;
use wirespan_tests::services::gunicorn::Gunicorn;
use wirespan_tests::span::{Kind, Span, Status, Value};
use wirespan_tests::trace;

/// With this, the thread that runs a task says when it begins, and all its calls since then are promised to hang below the
/// task. Without it, those before its message is settled are linked if nothing speaks against it, which nobody promises
/// (`docs/links.md`): they are counted.
const TOLD: (&str, &str) = ("TRACK_STARTED", "1");

/// A broker that also keeps results, the application, and the scene that they stand in.
struct Stage {
    scene: Scene,
    celery: Celery,
    desk: Gunicorn,
    /// The broker is asked for tasks again and again.
    polls: bool,
    _broker: Box<dyn std::any::Any>,
}

impl Stage {
    fn on_redis(settings: &[(&'static str, &str)]) -> Self {
        let scene = Scene::new();
        let redis = Server::redis(&scene);
        let url = format!("redis://127.0.0.1:{}/0", redis.port);
        Self::new(scene, &url, &url, settings, Box::new(redis))
    }

    fn on_rabbitmq(settings: &[(&'static str, &str)]) -> Self {
        let scene = Scene::new();
        let rabbit = RabbitMq::start(&scene);
        let url = format!("amqp://guest:guest@127.0.0.1:{}//", rabbit.port);
        Self::new(scene, &url, "rpc://", settings, Box::new(rabbit))
    }

    fn new(
        scene: Scene,
        broker: &str,
        backend: &str,
        settings: &[(&'static str, &str)],
        kept: Box<dyn std::any::Any>,
    ) -> Self {
        let mut celery = Celery::new(&scene, broker, backend);
        for (name, value) in settings {
            celery = celery.with(name, value);
        }
        let desk = celery.desk(&scene);
        Self { scene, celery, desk, polls: broker.starts_with("redis"), _broker: kept }
    }

    fn worker(&self, name: &str, pool: &str, concurrency: u32) -> Program {
        self.celery.worker(&self.scene, name, pool, concurrency)
    }

    /// Traces. A worker asks Redis for a second at a time; what answers a command from before the agent is told of
    /// nothing, so this waits until `workers` are seen to ask.
    fn trace(&mut self, workers: usize) {
        self.scene.trace();
        let asking = |spans: &[Span]| {
            let asks = spans.iter().filter(|span| span.name == "BRPOP" && span.kind == Kind::Client);
            asks.filter_map(|span| span.resource.get("process.pid").map(ToString::to_string)).collect::<HashSet<_>>()
        };
        if self.polls {
            let seen = asking(&self.scene.wait_for(|spans| asking(spans).len() >= workers));
            assert_eq!(seen.len(), workers, "workers that ask for tasks");
        }
    }

    /// Sends tasks by one request to the application; their ids.
    fn send(&self, task: &str, first: u32, count: u32) -> Vec<String> {
        let reply = curl::get(&self.desk.url(&format!("/send/{task}/{first}/{count}")), 200);
        String::from_utf8(reply.body).expect("ids").lines().map(str::to_owned).collect()
    }

    /// Waits for the executions of these tasks.
    fn wait(&self, ids: &[String]) {
        self.scene.wait_for(|spans| ids.iter().all(|id| spans.iter().any(|span| runs(span, id))));
    }

    /// Runs some tasks at once, and some one after the other: which processes and threads there are is known then, and
    /// what follows on the ends of such tasks, and connections are there.
    fn warm(&self, task: &str) {
        self.wait(&self.send(task, 10, 16));
        for number in 0..6 {
            self.wait(&self.send(task, number, 1));
        }
    }

    /// Waits for the executions of these tasks, and stops the agent.
    fn finish(&mut self, ids: &[String]) -> Vec<Span> {
        self.wait(ids);
        self.scene.agent().stop();
        self.scene.spans()
    }
}

fn runs(span: &Span, id: &str) -> bool {
    span.kind == Kind::Consumer && span.name.starts_with("run/") && span.text("messaging.message.id") == Some(id)
}

fn all(spans: &[Span]) -> String {
    let lines: Vec<String> = spans.iter().map(|s| format!("{} {} {}", s.trace_id, s.span_id, trace::line(s))).collect();
    lines.join("\n")
}

/// Every attempt of a task, in order.
fn executions<'a>(spans: &'a [Span], id: &str) -> Vec<&'a Span> {
    let mut found: Vec<&Span> = spans.iter().filter(|span| runs(span, id)).collect();
    found.sort_by_key(|span| span.start);
    found
}

fn execution<'a>(spans: &'a [Span], id: &str) -> &'a Span {
    let found = executions(spans, id);
    assert_eq!(found.len(), 1, "executions of {id} in\n{}", all(spans));
    found[0]
}

/// The paths of the HTTP calls below a span.
fn calls<'a>(spans: &'a [Span], above: &Span) -> Vec<&'a str> {
    let below = spans.iter().filter(|s| s.kind == Kind::Client && s.parent == above.span_id && s.path() != "/");
    let mut paths: Vec<&str> = below.map(Span::path).collect();
    paths.sort_unstable();
    paths
}

/// Checks how executions hang together with what sent and received their tasks.
fn assert_placed(spans: &[Span], run: &Span) {
    let same = |s: &&Span| {
        ["messaging.message.id", "celery.retries"].iter().all(|key| s.attributes.get(*key) == run.attributes.get(*key))
    };
    let of_kind = |kind: Kind| {
        let mut found = spans.iter().filter(same).filter(move |s| s.kind == kind && s.span_id != run.span_id);
        let only = found.next().unwrap_or_else(|| panic!("no {kind} of {} in\n{}", trace::line(run), all(spans)));
        assert!(found.next().is_none(), "{kind}");
        only
    };
    let (sender, receiver) = (of_kind(Kind::Producer), of_kind(Kind::Consumer));
    assert!(receiver.name.starts_with("receive/"), "{}", trace::line(receiver));
    assert_eq!((&run.trace_id, &run.parent), (&receiver.trace_id, &receiver.span_id), "below its delivery");
    assert_eq!(run.links, [(sender.trace_id.clone(), sender.span_id.clone())], "linked to its sender");
    assert_ne!(run.trace_id, sender.trace_id);
    assert!(run.start >= receiver.start && run.end > run.start, "{}", trace::line(run));
    assert_eq!(run.text("messaging.operation.type"), Some("process"));
    assert_eq!(run.text("messaging.system"), receiver.text("messaging.system"));
    assert_eq!(run.text("celery.action"), Some("run"));
    assert!(run.text("network.peer.address").is_none(), "it is no connection's");
}

/// Thirty tasks at once, each with calls that bear its number: no call below another task than made it, no other span in
/// that trace; every call below its own if tasks tell when they begin.
fn assert_thirty(stage: &mut Stage, told: bool) {
    stage.warm("fetch");
    let ids = stage.send("fetch", 100, 30);
    let spans = stage.finish(&ids);
    let (mut right, mut orphans, mut wrong) = (0, Vec::new(), 0);
    for (n, id) in ids.iter().enumerate() {
        let run = execution(&spans, id);
        assert_placed(&spans, run);
        assert_eq!((run.name.as_str(), run.text("celery.state")), ("run/jobs.fetch", Some("SUCCESS")));
        let path = format!("/item/{}", 100 + n);
        let found = calls(&spans, run);
        wrong += found.iter().filter(|p| **p != path).count();
        right += found.iter().filter(|p| **p == path).count();
        let made: Vec<Span> = spans.iter().filter(|s| s.kind == Kind::Client && s.path() == path).cloned().collect();
        assert_eq!(made.len(), 2, "{path} in\n{}", all(&spans));
        orphans.extend(made.into_iter().filter(|s| s.parent.is_empty()));
        let others = spans.iter().filter(|s| s.trace_id == run.trace_id).filter_map(|s| s.text("messaging.message.id"));
        assert_eq!(others.collect::<HashSet<_>>(), HashSet::from([id.as_str()]), "one task in a trace");
    }
    eprintln!("{right} of 60 calls below their task, {} without parent, {wrong} below another", orphans.len());
    assert_eq!((right + orphans.len(), wrong), (60, 0), "right or without parent, wrong;\n{}", all(&orphans));
    assert!(!told || orphans.is_empty(), "calls of tasks that told when they began:\n{}", all(&orphans));
}

#[test]
fn thirty_celery_tasks_at_once_on_redis_in_four_processes_keep_their_calls_apart() {
    let mut stage = Stage::on_redis(&[TOLD]);
    let _worker = stage.worker("worker", "prefork", 4);
    stage.trace(1);
    assert_thirty(&mut stage, true);
}

#[test]
fn thirty_celery_tasks_at_once_on_rabbitmq_in_four_processes_keep_their_calls_apart() {
    let mut stage = Stage::on_rabbitmq(&[]);
    let _worker = stage.worker("worker", "prefork", 4);
    stage.trace(1);
    assert_thirty(&mut stage, false);
}

#[test]
fn thirty_celery_tasks_at_once_in_four_threads_keep_their_calls_apart() {
    let mut stage = Stage::on_redis(&[]);
    let _worker = stage.worker("worker", "threads", 4);
    stage.trace(1);
    assert_thirty(&mut stage, false);
}

#[test]
fn a_celery_task_that_fails_says_why_and_one_that_is_tried_again_has_two_executions() {
    let mut stage = Stage::on_redis(&[TOLD]);
    let _worker = stage.worker("worker", "prefork", 2);
    stage.trace(1);
    let failed = stage.send("fail", 7, 1);
    let again = stage.send("again", 20, 1);
    let twice = |spans: &[Span]| executions(spans, &again[0]).len() == 2;
    stage.scene.wait_for(twice);
    let spans = stage.finish(&failed);
    let run = execution(&spans, &failed[0]);
    assert_placed(&spans, run);
    assert_eq!((run.status, run.text("celery.state")), (Status::Error, Some("FAILURE")));
    for key in ["exception.type", "error.type"] {
        assert_eq!(run.text(key), Some("builtins.KeyError"));
    }
    let [(name, raised)] = &run.events[..] else { panic!("{:?}", run.events) };
    let trace = raised.get("exception.stacktrace").map(ToString::to_string).unwrap_or_default();
    assert_eq!(
        (name.as_str(), raised.get("exception.type")),
        ("exception", Some(&Value::Str("builtins.KeyError".into())))
    );
    assert!(trace.contains("Traceback (most recent call last)") && trace.contains(", in fail"), "{trace}");
    assert_eq!(run.text("wirespan.celery.start"), Some("started"));
    assert_eq!(calls(&spans, run), ["/item/7"]);
    let [first, second] = executions(&spans, &again[0])[..] else { panic!("two attempts in\n{}", all(&spans)) };
    for (run, state, retries, path) in [(first, "RETRY", None, "/item/20"), (second, "SUCCESS", Some(1), "/item/21")] {
        assert_placed(&spans, run);
        assert_eq!((run.text("celery.state"), run.int("celery.retries")), (Some(state), retries));
        assert_eq!((run.status, calls(&spans, run)), (Status::Unset, vec![path]));
    }
    let sends: Vec<&Span> = spans.iter().filter(|s| s.kind == Kind::Producer && s.parent == first.span_id).collect();
    assert_eq!(sends.iter().map(|s| s.int("celery.retries")).collect::<Vec<_>>(), [Some(1)]);
    assert!(!all(&spans).contains("secret"));
}

/// Names of what hangs below a span, by kind.
fn below<'a>(spans: &'a [Span], above: &Span, kind: Kind) -> Vec<&'a str> {
    let below = spans.iter().filter(|s| s.kind == kind && s.parent == above.span_id && s.trace_id == above.trace_id);
    let mut names: Vec<&str> = below.map(|s| s.name.as_str()).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_request_that_sends_a_celery_task_and_the_task_with_its_calls_are_two_whole_traces() {
    let scene = Scene::new();
    let (broker, store, postgres) = (Server::redis(&scene), Server::redis(&scene), Server::postgres(&scene));
    let url = format!("redis://127.0.0.1:{}/0", broker.port);
    let (at, base) = (store.port.to_string(), postgres.port.to_string());
    let mut stage = Stage::new(scene, &url, &url, &[TOLD, ("STORE", &at), ("POSTGRES", &base)], Box::new(broker));
    let _worker = stage.worker("worker", "prefork", 1);
    stage.trace(1);
    stage.warm("order");
    let id = &stage.send("order", 70, 1)[0];
    let spans = stage.finish(std::slice::from_ref(id));
    let request = spans.iter().find(|s| s.kind == Kind::Server && s.path() == "/send/order/70/1").expect("the request");
    assert_eq!(below(&spans, request, Kind::Producer), ["apply_async/jobs.order"]);
    let run = execution(&spans, id);
    assert_placed(&spans, run);
    assert_eq!((run.name.as_str(), run.status, run.service()), ("run/jobs.order", Status::Unset, "jobs"));
    assert_eq!(run.text("messaging.destination.name"), Some("celery"));
    assert_eq!(run.text("celery.state"), Some("SUCCESS"));
    let made = below(&spans, run, Kind::Client);
    let mut kinds = made.clone();
    // The state is written twice, and whether the first time belongs to the task is not promised.
    kinds.dedup();
    assert_eq!(kinds, ["GET", "GET /item/{id}", "INCRBY", "INSERT orders", "MULTI"]);
    for call in spans.iter().filter(|s| s.parent == run.span_id) {
        assert_eq!(below(&spans, call, Kind::Server), [call.name.as_str()], "{}", trace::line(call));
        assert!(call.start >= run.start && call.start <= run.end, "{}", trace::line(call));
    }
    let receiver = spans.iter().find(|s| s.span_id == run.parent).expect("the delivery");
    let trace = spans.iter().filter(|s| s.trace_id == run.trace_id).count();
    assert_eq!(
        (receiver.parent.as_str(), trace),
        ("", 2 + 2 * made.len()),
        "delivery, execution, both ends of each call"
    );
    let sender = spans.iter().find(|s| s.kind == Kind::Producer && s.text("messaging.message.id") == Some(id));
    assert_eq!(sender.map(|s| (&s.trace_id, &s.parent)), Some((&request.trace_id, &request.span_id)));
    assert!(!all(&spans).contains("secret"));
}

#[test]
fn a_celery_task_that_sends_another_is_linked_from_it_and_two_workers_of_one_name_are_kept_apart() {
    let mut stage = Stage::on_redis(&[TOLD]);
    let _workers = [stage.worker("one", "prefork", 2), stage.worker("two", "prefork", 2)];
    stage.trace(2);
    stage.warm("fetch");
    let ids = stage.send("parent", 300, 4);
    stage.wait(&ids);
    let sent = |spans: &[Span]| {
        let sends = spans
            .iter()
            .filter(|s| s.kind == Kind::Producer && ids.iter().any(|id| s.text("celery.parent_id") == Some(id)));
        sends.cloned().collect::<Vec<_>>()
    };
    let told = |spans: &[Span]| {
        sent(spans)
            .iter()
            .all(|s| spans.iter().any(|run| runs(run, s.text("messaging.message.id").unwrap_or_default())))
    };
    stage.scene.wait_for(|spans| sent(spans).len() == 4 && told(spans));
    stage.scene.agent().stop();
    let spans = stage.scene.spans();
    for (n, id) in ids.iter().enumerate() {
        let run = execution(&spans, id);
        assert_placed(&spans, run);
        assert_eq!(calls(&spans, run), [format!("/item/{}", 300 + n)]);
        let sends: Vec<Span> = sent(&spans).into_iter().filter(|s| s.text("celery.parent_id") == Some(id)).collect();
        assert_eq!(sends.len(), 1, "{}", all(&spans));
        assert_eq!((&sends[0].trace_id, &sends[0].parent), (&run.trace_id, &run.span_id), "{}", all(&sends));
        let next = execution(&spans, sends[0].text("messaging.message.id").expect("an id"));
        assert_placed(&spans, next);
        let path = format!("/item/{}", 301 + n);
        assert_eq!(calls(&spans, next), [path.as_str(); 2]);
    }
}

#[test]
fn celery_tasks_that_tell_no_end_are_no_spans_and_their_calls_hang_below_no_other_task() {
    let mut stage = Stage::on_redis(&[]);
    let _worker = stage.worker("worker", "prefork", 3);
    stage.trace(1);
    stage.warm("fetch");
    let (mut told, mut untold) = (Vec::new(), Vec::new());
    for round in 0..4 {
        for (task, first) in [("forget", 400), ("fetch", 500), ("die", 600), ("fetch", 700), ("endless", 800)] {
            let first = first + 5 * round;
            let numbered = (first..).zip(stage.send(task, first, if task == "fetch" { 5 } else { 1 }));
            let list = if task == "fetch" { &mut told } else { &mut untold };
            list.extend(numbered);
        }
    }
    let ids: Vec<String> = told.iter().map(|(_, id)| id.clone()).collect();
    let spans = stage.finish(&ids);
    let (mut right, mut wrong) = (0, 0);
    for (n, id) in &told {
        let run = execution(&spans, id);
        let path = format!("/item/{n}");
        let found = calls(&spans, run);
        right += found.iter().filter(|p| **p == path).count();
        wrong += found.iter().filter(|p| **p != path).count();
    }
    eprintln!("{right} of {} calls below their task", 2 * told.len());
    assert_eq!(wrong, 0, "calls below another task");
    for (_, id) in &untold {
        assert!(executions(&spans, id).is_empty(), "{id} told no end");
    }
}

#[test]
fn a_chain_and_a_chord_of_celery_tasks_keep_their_calls_apart() {
    let mut stage = Stage::on_redis(&[TOLD]);
    let _worker = stage.worker("worker", "prefork", 2);
    stage.trace(1);
    stage.warm("fetch");
    curl::get(&stage.desk.url("/workflow/900"), 200);
    let of_workflow = |spans: &[Span]| {
        let runs = spans.iter().filter(|s| s.name.starts_with("run/") && s.kind == Kind::Consumer);
        runs.filter(|run| calls(spans, run).iter().any(|p| p.starts_with("/item/90")) || run.name == "run/jobs.total")
            .cloned()
            .collect::<Vec<_>>()
    };
    stage.scene.wait_for(|spans| of_workflow(spans).len() == 6);
    stage.scene.agent().stop();
    let spans = stage.scene.spans();
    let found = of_workflow(&spans);
    let mut paths: Vec<Vec<&str>> = found.iter().map(|run| calls(&spans, run)).collect();
    paths.sort_unstable();
    let expected: Vec<Vec<String>> =
        std::iter::once(Vec::new()).chain((900..905).map(|n| vec![format!("/item/{n}"); 2])).collect();
    assert_eq!(paths, expected, "{}", all(&found));
    for run in &found {
        assert_placed(&spans, run);
        // Whoever sent a task of the workflow was the request, or a task of the workflow, or nobody that is known.
        let (trace_id, span_id) = &run.links[0];
        let sender = spans.iter().find(|s| (&s.trace_id, &s.span_id) == (trace_id, span_id)).expect("the sender");
        let above = spans.iter().find(|s| s.span_id == sender.parent);
        let fits =
            |above: &Span| above.path() == "/workflow/900" || found.iter().any(|run| run.span_id == above.span_id);
        assert!(above.is_none_or(fits), "{}", trace::line(sender));
    }
}
