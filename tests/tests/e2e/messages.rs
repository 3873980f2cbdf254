//! Messages: senders below the requests that send, receivers in traces of their own with a link.

use wirespan_tests::curl;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::brokers::RabbitMq;
use wirespan_tests::services::databases::Database as Server;
use wirespan_tests::services::gunicorn::Gunicorn;
use wirespan_tests::services::python::Python;
use wirespan_tests::span::{Kind, Span};
use wirespan_tests::trace;

/// The only span of this kind and name.
fn only<'a>(spans: &'a [Span], kind: Kind, name: &str) -> &'a Span {
    let found: Vec<&Span> = spans.iter().filter(|span| span.kind == kind && span.name == name).collect();
    let all: Vec<String> = spans.iter().map(trace::line).collect();
    assert_eq!(found.len(), 1, "{kind} {name} in\n{}", all.join("\n"));
    found[0]
}

/// Checks that a receiver is linked to a sender, in another trace.
fn assert_linked(sender: &Span, receiver: &Span) {
    assert_eq!(receiver.links, [(sender.trace_id.clone(), sender.span_id.clone())], "{}", trace::line(receiver));
    assert_ne!(sender.trace_id, receiver.trace_id);
    assert_eq!(receiver.parent, "");
}

#[test]
fn a_message_through_rabbitmq_links_its_receiver_to_the_request_that_sent_it() {
    let mut scene = Scene::new();
    let rabbit = RabbitMq::start(&scene);
    let app = Gunicorn::stack(&scene, &[("RABBITMQ", rabbit.port)]);
    scene.trace();
    for name in ["one", "two"] {
        curl::get(&app.url(&format!("/parcel/{name}")), 200);
    }
    Python::run(&scene, "parcels.py", &[&rabbit.port.to_string(), "2"]);
    let spans = scene.finish(8);
    for name in ["one", "two"] {
        let of = |span: &&Span| span.text("messaging.message.id") == Some(name);
        let both: Vec<Span> = spans.iter().filter(of).cloned().collect();
        let (sender, receiver) =
            (only(&both, Kind::Producer, "publish parcels"), only(&both, Kind::Consumer, "process parcels"));
        assert_linked(sender, receiver);
        assert_eq!((sender.service(), receiver.service()), ("stack", "parcels"));
        for span in [sender, receiver] {
            assert_eq!(span.text("messaging.system"), Some("rabbitmq"));
            assert_eq!(span.text("messaging.destination.name"), Some("parcels"));
            assert_eq!(span.int("messaging.message.body.size"), Some(13));
            assert_eq!(span.int("network.peer.port"), Some(rabbit.port.into()));
        }
        let above = spans.iter().find(|span| span.span_id == sender.parent).expect("the sender's parent");
        assert_eq!((above.kind, above.path()), (Kind::Server, format!("/parcel/{name}").as_str()));
        assert_eq!(above.trace_id, sender.trace_id);
    }
    assert_eq!(spans.len(), 8, "{}", spans.iter().map(trace::line).collect::<Vec<_>>().join("\n"));
}

#[test]
fn a_celery_task_through_redis_links_its_worker_to_the_request_that_sent_it() {
    let mut scene = Scene::new();
    let redis = Server::redis(&scene);
    let app = Gunicorn::stack(&scene, &[("REDIS", redis.port)]);
    let worker = Python::celery_worker(&scene, redis.port);
    scene.trace();
    // The worker asks for a second at a time; what answers a command from before the agent is told of nothing.
    let asks = |spans: &[Span]| spans.iter().any(|span| span.name == "BRPOP");
    assert!(asks(&scene.wait_for(asks)), "the worker asks for tasks");
    assert_eq!(curl::get(&app.url("/charge/41"), 200).body, b"42");
    curl::get(&app.url("/charge/0"), 500);
    // (`SETEX` and `PUBLISH`, as one transaction.)
    let tells = |span: &Span, state: &str| span.name == "MULTI" && span.text("celery.state") == Some(state);
    let complete = |spans: &[Span]| {
        let count = |kind, name: &str| spans.iter().filter(|s| s.kind == kind && s.name == name).count();
        count(Kind::Producer, "apply_async/tasks.charge") == 2
            && count(Kind::Consumer, "receive/tasks.charge") == 2
            && spans.iter().any(|span| tells(span, "FAILURE"))
    };
    scene.wait_for(complete);
    scene.agent().stop();
    let spans = scene.spans();
    let speaks = |span: &Span| trace::line(span).contains("secret");
    assert!(!spans.iter().any(speaks), "arguments and exceptions stay where they are");
    for path in ["/charge/41", "/charge/0"] {
        let request = spans.iter().find(|s| s.kind == Kind::Server && s.path() == path).expect("the request");
        let below: Vec<Span> = spans.iter().filter(|s| s.parent == request.span_id).cloned().collect();
        let sender = only(&below, Kind::Producer, "apply_async/tasks.charge");
        let id = sender.text("messaging.message.id").expect("the task's id");
        let same = |s: &&Span| s.kind == Kind::Consumer && s.text("messaging.message.id") == Some(id);
        let received: Vec<Span> = spans.iter().filter(same).cloned().collect();
        let receiver = only(&received, Kind::Consumer, "receive/tasks.charge");
        assert_linked(sender, receiver);
        assert_eq!((sender.service(), receiver.service()), ("stack", "tasks"));
        for span in [sender, receiver] {
            assert_eq!(span.text("messaging.system"), Some("redis"));
            assert_eq!(span.text("messaging.destination.name"), Some("celery"));
            assert_eq!(span.text("celery.task_name"), Some("tasks.charge"));
        }
        // The command that carries it is a call as any other, with Redis's own end below.
        let push = only(&below, Kind::Client, "LPUSH");
        let ends: Vec<&Span> = spans.iter().filter(|s| s.parent == push.span_id).collect();
        assert_eq!(ends.iter().map(|s| s.service()).collect::<Vec<_>>(), ["redis-server"]);
    }
    for (state, exception) in [("SUCCESS", None), ("FAILURE", Some("builtins.ValueError"))] {
        let told: Vec<&Span> = spans.iter().filter(|s| s.kind == Kind::Client && tells(s, state)).collect();
        let lines = || spans.iter().map(trace::line).collect::<Vec<_>>().join("\n");
        assert_eq!(told.len(), 1, "{state}:\n{}", lines());
        assert_eq!(told[0].text("exception.type"), exception);
    }
    drop(worker);
}
