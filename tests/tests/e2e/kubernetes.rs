//! Pods: what their processes are called, and which of them are traced.

use serde_json::json;
use wirespan_tests::curl;
use wirespan_tests::kubernetes::{Api, Container, Docker, Kind, pod, pod_elsewhere, service, slice};
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::span::{self, Span, Value};
use wirespan_tests::wait;

/// Follows the API of a test.
fn trace(scene: &mut Scene, api: &Api, more: &[&str]) {
    let url = api.url();
    let follow = ["--kubernetes-api", &url, "--kubernetes-node", "node-1"];
    scene.trace_with(&[&follow, more].concat());
    assert!(wait::until_true(wait::PATIENCE, || api.is_watched()), "nobody watches; asked was {:?}", api.requests());
}

fn says(span: &Span, key: &str) -> Option<String> {
    match span.resource.get(key)? {
        Value::Str(text) => Some(text.clone()),
        other => Some(format!("{other:?}")),
    }
}

/// Asks until the server's span says this of its process, each time with a path of its own.
fn asks_until(scene: &Scene, node: &Node, word: &str, fits: impl Fn(&Span) -> bool) -> Span {
    let mut asked = 0;
    let found = wait::until(wait::PATIENCE, || {
        asked += 1;
        curl::get(&node.url(&format!("/short/{word}-{asked}")), 200);
        scene.spans().into_iter().rev().find(|span| span.kind == span::Kind::Server && is(span, word) && fits(span))
    });
    found.unwrap_or_else(|| panic!("no span of /{word} fits; the last is {:?}", scene.spans().last()))
}

fn is(span: &Span, word: &str) -> bool {
    matches!(span.attributes.get("url.path"), Some(Value::Str(path)) if path.contains(word))
}

#[test]
fn a_pod_names_its_processes_whether_it_is_told_of_before_or_after_they_are_seen() {
    let mut scene = Scene::new();
    let (api, container) = (Api::start(), Container::new(1));
    let node = Node::faults(&scene);
    container.take(node.program.pid());
    trace(&mut scene, &api, &["--kubernetes-labels", "team"]);
    let before = asks_until(&scene, &node, "before", |_| true);
    assert_eq!(says(&before, "k8s.pod.name"), None);
    assert_eq!(says(&before, "container.id").as_deref(), Some(&*container.id));

    api.put(Kind::Pod, pod(&container, "node-1", "shop-0", json!({"team": "a"})));
    let named = asks_until(&scene, &node, "named", |span| says(span, "k8s.pod.name").is_some());
    for (key, value) in [
        ("service.name", "shop"),
        ("service.namespace", "prod"),
        ("service.version", "1.2"),
        ("service.instance.id", "prod.shop-0.web"),
        ("k8s.cluster.uid", "the-cluster"),
        ("k8s.node.name", "node-1"),
        ("k8s.namespace.name", "prod"),
        ("k8s.pod.uid", &container.uid),
        ("k8s.statefulset.name", "shop"),
        ("k8s.container.name", "web"),
        ("k8s.pod.label.team", "a"),
        ("container.image.name", "registry.example/shop"),
    ] {
        assert_eq!(says(&named, key).as_deref(), Some(value), "{key}");
    }

    // A pod that the API has forgotten takes no name from what still runs.
    api.remove(Kind::Pod, pod(&container, "node-1", "shop-0", json!({})));
    asks_until(&scene, &node, "after", |span| says(span, "service.name").as_deref() == Some("shop"));
    let unnamed = scene
        .spans()
        .into_iter()
        .filter(|span| span.kind == span::Kind::Client && says(span, "k8s.pod.name").is_some());
    assert_eq!(unnamed.count(), 0, "curl is in no pod");
    scene.agent().stop();
    // One list and one watch of pods, of EndpointSlices and of Services, and the system's namespace.
    assert_eq!(api.requests().len(), 7, "{:?}", api.requests());
}

#[test]
fn a_label_takes_a_pod_out_of_the_trace_and_back_while_the_agent_runs() {
    let mut scene = Scene::new();
    let (api, container) = (Api::start(), Container::new(2));
    let node = Node::faults(&scene);
    container.take(node.program.pid());
    let hidden = |hidden: bool| pod(&container, "node-1", "shop-0", json!({"hidden": hidden.to_string()}));
    api.put(Kind::Pod, hidden(true));
    trace(&mut scene, &api, &["--exclude", "label:hidden=true"]);
    // So many that the kernel is told to leave the process alone.
    (0..80).for_each(|n| drop(curl::get(&node.url(&format!("/short/hidden-{n}")), 200)));
    scene.wait_for_count(80);
    assert!(scene.spans().iter().all(|span| span.kind == span::Kind::Client), "only curl is traced");

    api.put(Kind::Pod, hidden(false));
    asks_until(&scene, &node, "shown", |span| says(span, "k8s.pod.name").as_deref() == Some("shop-0"));

    api.put(Kind::Pod, hidden(true));
    let gone = wait::until_true(wait::PATIENCE, || {
        let path = format!("/short/gone-{}", scene.spans().len());
        curl::get(&node.url(&path), 200);
        let traced =
            scene.wait_for(|spans| spans.iter().any(|span| span.kind == span::Kind::Client && is(span, &path)));
        !traced.iter().any(|span| span.kind == span::Kind::Server && is(span, &path))
    });
    assert!(gone, "it is still traced");
    scene.agent().stop();
}

/// Where pods and a Service are in a network of their own.
const STOCK: &str = "10.1.2.3";
const EDGE: &str = "10.1.2.4";
const SERVICE: &str = "10.96.0.9";

/// Asks the Service as the pod at the other address, with a path of its own; both ends' spans.
fn asks_the_service(scene: &Scene, node: &Node, path: &str) -> (Span, Span) {
    let url = format!("http://{SERVICE}:{}/short/{path}", node.port);
    let reply = curl::run_in(node.curl(), &["--interface", EDGE, &url]);
    assert_eq!(reply.code, 200, "{url}");
    let end = |spans: &[Span], kind| {
        let ends = |span: &&Span| {
            span.kind == kind && (says_of(span, "url.full") + &says_of(span, "url.path")).ends_with(path)
        };
        spans.iter().find(ends).cloned()
    };
    let both = |spans: &[Span]| Some((end(spans, span::Kind::Client)?, end(spans, span::Kind::Server)?));
    both(&scene.wait_for(|spans| both(spans).is_some())).expect("both ends are traced")
}

fn says_of(span: &Span, key: &str) -> String {
    match span.attributes.get(key) {
        Some(Value::Str(text)) => text.clone(),
        _ => String::new(),
    }
}

#[test]
fn whom_pods_talk_to_has_a_name_and_an_address_that_changed_hands_has_none() {
    let mut scene = Scene::new();
    let api = Api::start();
    let node = Node::faults_behind_service(&scene, SERVICE, &[STOCK, EDGE]);
    api.put(Kind::Service, service("stock", SERVICE));
    api.put(Kind::Slice, slice("of-edge", "edge-0", EDGE));
    api.put(Kind::Pod, pod_elsewhere("edge-0", EDGE));
    trace(&mut scene, &api, &[]);

    let mut asked = 0;
    let named = wait::until(wait::PATIENCE, || {
        asked += 1;
        let (client, server) = asks_the_service(&scene, &node, &format!("named-{asked}"));
        (says_of(&server, "service.peer.name") == "edge").then_some((client, server))
    });
    let (client, server) = named.expect("the caller has a name");
    for (key, value) in [
        ("network.peer.address", SERVICE),
        ("server.address", SERVICE),
        ("service.peer.name", "stock"),
        ("service.peer.namespace", "prod"),
        ("k8s.dst.type", "Service"),
        ("k8s.dst.name", "stock"),
    ] {
        assert_eq!(says_of(&client, key), value, "{key}");
    }
    for (key, value) in [
        ("network.peer.address", EDGE),
        ("k8s.src.type", "Pod"),
        ("k8s.src.name", "edge-0"),
        ("k8s.src.namespace", "prod"),
        ("k8s.src.owner.type", "StatefulSet"),
        ("k8s.src.owner.name", "edge"),
        ("k8s.src.node.name", "node-9"),
    ] {
        assert_eq!(says_of(&server, key), value, "{key}");
    }
    let of_the_pod = api.requests().iter().filter(|path| path.contains("/pods/edge-0")).count();
    assert_eq!(of_the_pod, 1, "it is asked about once: {:?}", api.requests());

    // The address goes to another pod, which calls as soon as it is there.
    api.put(Kind::Slice, slice("of-edge", "edge-1", EDGE));
    api.put(Kind::Pod, pod_elsewhere("edge-1", EDGE));
    let told = wait::until_true(wait::PATIENCE, || {
        asked += 1;
        says_of(&asks_the_service(&scene, &node, &format!("told-{asked}")).1, "k8s.src.name") != "edge-0"
    });
    assert!(told, "the agent does not hear that the address has changed hands");
    for turn in 0..5 {
        let (client, server) = asks_the_service(&scene, &node, &format!("other-{turn}"));
        assert_ne!(says_of(&server, "k8s.src.name"), "edge-0");
        assert_eq!(says_of(&client, "service.peer.name"), "stock");
    }
    scene.agent().stop();
}

#[test]
fn what_a_pod_does_first_has_its_name_and_its_containers_once_the_kubelet_has_said_it() {
    let mut scene = Scene::new();
    let (api, container) = (Api::start(), Container::new(3));
    let node = Node::faults(&scene);
    // It is scheduled; nothing of it runs yet.
    let mut scheduled = pod(&container, "node-1", "shop-0", json!({}));
    let status = std::mem::take(&mut scheduled["status"]);
    scheduled["status"] = json!({"phase": "Pending"});
    api.put(Kind::Pod, scheduled.clone());
    trace(&mut scene, &api, &[]);

    // A process of a few milliseconds, which is gone before anybody could ask about it.
    let asks = |path: &str| container.run(&format!("curl -q -sS --noproxy '*' --output /dev/null {}", node.url(path)));
    let asked = |scene: &Scene, path: &str| {
        let mine = |span: &&Span| span.kind == span::Kind::Client && is_to(span, path);
        let spans = scene.wait_for(|spans| spans.iter().any(|span| mine(&span)));
        spans.iter().find(mine).cloned().expect("it is traced")
    };
    asks("/short/first");
    let first = asked(&scene, "/short/first");
    assert_eq!(says(&first, "k8s.pod.name").as_deref(), Some("shop-0"));
    assert_eq!(says(&first, "service.name").as_deref(), Some("shop"));
    assert_eq!(says(&first, "container.id").as_deref(), Some(&*container.id));
    assert_eq!(says(&first, "k8s.container.name"), None, "nobody has said yet which it is");

    scheduled["status"] = status;
    api.put(Kind::Pod, scheduled);
    let mut turn = 0;
    let named = wait::until_true(wait::PATIENCE, || {
        turn += 1;
        asks(&format!("/short/later-{turn}"));
        let later = asked(&scene, &format!("/short/later-{turn}"));
        assert_eq!(says(&later, "k8s.pod.name").as_deref(), Some("shop-0"));
        says(&later, "k8s.container.name").as_deref() == Some("web")
    });
    assert!(named, "its container has no name");
    scene.agent().stop();
}

fn is_to(span: &Span, path: &str) -> bool {
    says_of(span, "url.full").ends_with(path)
}

#[test]
fn a_container_that_no_file_names_is_called_as_its_runtime_says_and_the_runtime_is_not_seen_to_be_asked() {
    let mut scene = Scene::new();
    let (socket, container) = (scene.dir().join("podman.sock"), Container::of_podman(4));
    let docker = Docker::start(&socket, &container, "cart-1");
    let node = Node::faults(&scene);
    container.take(node.program.pid());
    scene.trace_with(&["--container-sockets", &format!("docker:{}", socket.display())]);
    let named = asks_until(&scene, &node, "named", |span| says(span, "container.name").is_some());
    for (key, value) in [
        ("service.name", "cart-1"),
        ("container.name", "cart-1"),
        ("container.id", &container.id),
        ("container.image.name", "registry.example/cart"),
    ] {
        assert_eq!(says(&named, key).as_deref(), Some(value), "{key}");
    }
    scene.agent().stop();
    // (Containers of others on this machine may be asked about, too.)
    let requests = docker.requests();
    let of_mine = requests.iter().filter(|line| line.contains(&container.id)).count();
    assert_eq!(of_mine, 1, "{requests:?}");
    assert!(
        requests.iter().all(|line| line.starts_with("GET /containers/") && line.contains("/json ")),
        "{requests:?}"
    );
    let told = scene.receiver.spans().into_iter().filter(|span| says_of(span, "url.path").starts_with("/containers/"));
    assert_eq!(told.count(), 0);
}
