//! An API server that forgets, refuses, breaks and forbids; and what is made of whose addresses are.

mod liar;

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use wirespan_delivery::testing::span;
use wirespan_kubernetes::follow::Trouble;

use self::liar::{Asked, Liar, Reply};

use super::*;
use crate::config::kubernetes::KubernetesConfig;
use crate::metrics::Counters;
use crate::span::{KeyValue, Span};

const LONG: Duration = Duration::from_secs(60);

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !holds() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A running follower.
struct Followed {
    cluster: Arc<Cluster>,
    counters: Arc<Counters>,
    folder: tempfile::TempDir,
    _runtime: tokio::runtime::Runtime,
}

fn follow(liar: &Liar) -> Followed {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("token"), "first").unwrap();
    let config = KubernetesConfig {
        server: liar.url.parse().unwrap(),
        credentials: folder.path().into(),
        node: "node-1".into(),
        wanted: Wanted::default(),
        peers: true,
    };
    let (cluster, counters) = (Arc::new(Cluster::new(Wanted::default()).with_peers()), Arc::<Counters>::default());
    let runtime = crate::session::io_runtime().unwrap();
    super::follow(Arc::new(Door::new(config, Arc::clone(&counters))), &cluster, runtime.handle());
    Followed { cluster, counters, folder, _runtime: runtime }
}

impl Followed {
    fn pods(&self) -> usize {
        self.cluster.figures().0
    }

    /// A span of something that talks to this address now, as it leaves.
    fn talks_to(&self, ip: &str) -> Span {
        let mut span = span("GET");
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        span.start_unix_nano = since.as_nanos() as u64;
        span.attributes = vec![KeyValue::str("network.peer.address", ip.to_owned())];
        self.cluster.peers().unwrap().name([&mut span], &self.counters);
        span
    }
}

fn pod(name: &str, ip: &str, version: u32) -> Value {
    json!({
        "metadata": {"name": name, "namespace": "prod", "uid": name, "resourceVersion": version.to_string(),
            "ownerReferences": [{"kind": "ReplicaSet", "name": "cart-1", "uid": "rs", "controller": true}]},
        "spec": {"nodeName": "node-1", "containers": [{"name": "web", "image": "acme/web:7"}]},
        "status": {"phase": "Running", "podIPs": [{"ip": ip}], "hostIPs": [{"ip": "192.168.0.1"}]},
    })
}

fn list(version: u32, items: &[Value]) -> Reply {
    Reply::Json(json!({"metadata": {"resourceVersion": version.to_string()}, "items": items}).to_string())
}

fn event(kind: &str, object: &Value) -> String {
    json!({"type": kind, "object": object}).to_string()
}

/// What a server says of everything that a test is not about.
fn else_nothing(asked: &Asked) -> Reply {
    match &*asked.path {
        path if path.contains("watch=true") => Reply::Watch(Vec::new()),
        path if path.contains("replicasets/cart-1") => {
            let owner = json!([{"kind": "Deployment", "name": "cart", "uid": "d", "controller": true}]);
            Reply::Json(json!({"metadata": {"uid": "rs", "ownerReferences": owner}}).to_string())
        }
        "/api/v1/namespaces/kube-system" => Reply::Json(json!({"metadata": {"uid": "c"}}).to_string()),
        path if path.contains("limit=") => list(1, &[]),
        _ => Reply::Status(404, ""),
    }
}

fn is_pods(asked: &Asked) -> bool {
    asked.path.starts_with("/api/v1/pods?")
}

fn is_watch(asked: &Asked) -> bool {
    asked.path.contains("watch=true")
}

#[test]
fn in_steady_state_nothing_is_asked_but_one_watch_of_each_collection() {
    let liar = Liar::start(|asked, _| match is_pods(asked) && !is_watch(asked) {
        true => list(1, &[pod("a", "10.1.0.1", 1), pod("b", "10.1.0.2", 1)]),
        false => else_nothing(asked),
    });
    let followed = follow(&liar);
    until("three watches", || liar.asked("watch=true").len() == 3);
    // The system's namespace, three lists, three watches, and once who owns what owns both pods.
    assert_eq!(liar.count(), 8, "{:?}", liar.asked(""));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!((liar.count(), followed.pods()), (8, 2), "{:?}", liar.asked(""));
}

#[test]
fn what_the_server_has_forgotten_is_listed_anew_and_nothing_else_is_forgotten() {
    let liar = Liar::start(|asked, before| match (is_pods(asked), is_watch(asked), before) {
        (true, false, 0) => list(10, &[pod("stays", "10.1.0.1", 1), pod("goes", "10.1.0.2", 1)]),
        (true, true, 0) => Reply::Watch(vec![
            event("ADDED", &pod("comes", "10.1.0.3", 11)),
            event("ERROR", &json!({"kind": "Status", "code": 410, "message": "too old resource version"})),
        ]),
        (true, false, _) => list(20, &[pod("stays", "10.1.0.1", 1), pod("comes", "10.1.0.3", 11)]),
        _ => else_nothing(asked),
    });
    let followed = follow(&liar);
    until("a second list", || liar.asked("/api/v1/pods?").iter().filter(|asked| is_watch(asked)).count() == 2);
    assert_eq!(followed.pods(), 2);
    let lists: Vec<_> = liar.asked("/api/v1/pods?").into_iter().filter(|asked| !is_watch(asked)).collect();
    assert_eq!(lists.len(), 2, "{lists:?}");
    until("those that are there have their names", || {
        followed.talks_to("10.1.0.3").text("k8s.dst.name") == Some("comes")
    });
    assert_eq!(followed.talks_to("10.1.0.2").text("k8s.dst.name"), None);
}

#[test]
fn a_connection_that_breaks_is_made_anew_and_the_watch_goes_on_from_where_it_was() {
    let liar = Liar::start(|asked, before| match (is_pods(asked), is_watch(asked), before) {
        (true, false, _) => list(10, &[pod("a", "10.1.0.1", 1)]),
        (true, true, 0) => Reply::Cut(vec![event("ADDED", &pod("b", "10.1.0.2", 17))]),
        _ => else_nothing(asked),
    });
    let followed = follow(&liar);
    until("it goes on", || !liar.asked("resourceVersion=17").is_empty());
    assert_eq!(followed.pods(), 2);
    assert_eq!(liar.asked("limit=").iter().filter(|asked| is_pods(asked)).count(), 1, "it is not listed anew");
}

#[test]
fn who_says_how_long_to_wait_is_left_alone_so_long() {
    let liar = Liar::start(|asked, before| match (is_pods(asked), is_watch(asked), before) {
        (true, false, 0) => Reply::Status(429, "Retry-After: 4\r\n"),
        (true, false, _) => list(10, &[pod("a", "10.1.0.1", 1)]),
        _ => else_nothing(asked),
    });
    let followed = follow(&liar);
    until("it is asked again", || followed.pods() == 1);
    let asked = liar.asked("/api/v1/pods?");
    let pause = asked[1].at - asked[0].at;
    assert!(pause >= Duration::from_secs(4), "{pause:?}");
}

#[test]
fn a_token_that_was_replaced_is_read_anew() {
    let liar = Liar::start(|asked, _| match (&*asked.token, is_pods(asked), is_watch(asked)) {
        ("bearer second", true, false) => list(10, &[pod("a", "10.1.0.1", 1)]),
        ("bearer second", ..) => else_nothing(asked),
        _ => Reply::Status(401, ""),
    });
    let followed = follow(&liar);
    until("it is refused", || followed.counters.kubernetes_troubles.get() >= 3);
    std::fs::write(followed.folder.path().join("token"), "second\n").unwrap();
    until("it is let in", || followed.pods() == 1);
}

#[test]
fn peers_that_are_forbidden_cost_no_pod_its_name_and_are_asked_for_ever_more_rarely() {
    let liar = Liar::start(|asked, _| match &*asked.path {
        path if path.contains("endpointslices") => Reply::Status(403, ""),
        _ if is_pods(asked) && !is_watch(asked) => list(10, &[pod("a", "10.1.0.1", 1)]),
        _ => else_nothing(asked),
    });
    let followed = follow(&liar);
    until("pods have names", || followed.pods() == 1);
    until("it is asked for three times", || liar.asked("endpointslices").len() == 3);
    let times: Vec<Instant> = liar.asked("endpointslices").iter().map(|asked| asked.at).collect();
    // A second, then two, a quarter less at the least.
    let pauses = (times[1] - times[0], times[2] - times[1]);
    assert!(
        pauses >= (Duration::from_millis(750), Duration::ZERO) && pauses.1 >= Duration::from_millis(1500),
        "{pauses:?}"
    );
    assert_eq!(followed.pods(), 1);
    assert_eq!(followed.talks_to("10.1.0.1").text("k8s.dst.name"), None, "whom else it may be cannot be known");
}

#[test]
fn what_is_forbidden_for_good_is_asked_for_once_a_minute() {
    let (mut backoff, forbidden) = (Default::default(), Trouble::Forbidden(String::new()));
    let pauses: Vec<Duration> = (0..6).map(|_| watch::pause(&forbidden, &mut backoff)).collect();
    assert!(pauses[..3].iter().all(|pause| *pause <= Duration::from_secs(5)), "a server that begins: {pauses:?}");
    assert!(pauses[3..].iter().all(|pause| *pause == Duration::from_secs(60)), "{pauses:?}");
}

#[test]
fn a_server_that_begins_and_does_not_know_yet_who_may_what_is_asked_again_soon() {
    let liar = Liar::start(|asked, before| match (is_pods(asked), is_watch(asked), before) {
        (true, false, 0..2) => Reply::Status(403, ""),
        (true, false, _) => list(10, &[pod("a", "10.1.0.1", 1)]),
        _ => else_nothing(asked),
    });
    let followed = follow(&liar);
    until("pods have names", || followed.pods() == 1);
    assert_eq!(liar.asked("/api/v1/pods?").iter().filter(|asked| !is_watch(asked)).count(), 3);
}

#[test]
fn nonsense_is_no_end_of_following() {
    let deep = format!(r#"{{"type":"ADDED","object":{}}}"#, "[".repeat(5000));
    let liar = Liar::start(move |asked, before| match (is_pods(asked), is_watch(asked), before) {
        (true, false, 0) => Reply::Json("[1]".into()),
        (true, false, _) => list(10, &[pod("a", "10.1.0.1", 1)]),
        (true, true, 0) => Reply::Watch(vec![deep.clone()]),
        _ => else_nothing(asked),
    });
    let followed = follow(&liar);
    until("it is watched again", || liar.asked("/api/v1/pods?").iter().filter(|asked| is_watch(asked)).count() == 2);
    assert_eq!(followed.pods(), 1);
}

/// A slice of the Service `stock`, whose pod runs elsewhere.
fn slice(address: &str) -> Value {
    let pod = json!({"kind": "Pod", "namespace": "prod", "name": "stock-0", "uid": "stock-0"});
    json!({"metadata": {"name": "s", "namespace": "prod", "uid": "slice", "resourceVersion": "5"}, "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": true}, "targetRef": pod}]})
}

#[test]
fn a_pod_of_another_node_is_asked_about_once_and_named_from_then_on() {
    let liar = Liar::start(|asked, _| match &*asked.path {
        path if path.contains("endpointslices?limit") => list(5, &[slice("10.1.9.9")]),
        path if path.contains("services?limit") => {
            let spec = json!({"clusterIPs": ["10.96.0.9"]});
            list(5, &[json!({"metadata": {"name": "stock", "namespace": "prod", "uid": "v"}, "spec": spec})])
        }
        path if path.contains("/pods/stock-0") => {
            let mut object = pod("stock-0", "10.1.9.9", 5);
            object["spec"]["nodeName"] = "node-9".into();
            Reply::Json(object.to_string())
        }
        _ => else_nothing(asked),
    });
    let followed = follow(&liar);
    until("it has a name", || followed.talks_to("10.1.9.9").text("service.peer.name").is_some());
    let mut span = followed.talks_to("10.1.9.9");
    for (key, value) in [
        ("service.peer.name", "cart"),
        ("service.peer.namespace", "prod"),
        ("k8s.dst.type", "Pod"),
        ("k8s.dst.name", "stock-0"),
        ("k8s.dst.namespace", "prod"),
        ("k8s.dst.owner.type", "Deployment"),
        ("k8s.dst.owner.name", "cart"),
        ("k8s.dst.node.name", "node-9"),
    ] {
        assert_eq!(span.text(key), Some(value), "{key}");
    }
    // Who is asked says by whom.
    span.attributes =
        vec![KeyValue::str("client.address", "10.1.9.9"), KeyValue::str("network.peer.address", "10.1.9.9")];
    followed.cluster.peers().unwrap().name([&mut span], &followed.counters);
    assert_eq!((span.text("k8s.src.owner.name"), span.text("k8s.dst.name")), (Some("cart"), None));
    let service = followed.talks_to("10.96.0.9");
    assert_eq!((service.text("service.peer.name"), service.text("k8s.dst.type")), (Some("stock"), Some("Service")));
    for address in ["127.0.0.1", "10.1.9.8", "nonsense"] {
        assert_eq!(followed.talks_to(address).attributes.len(), 1, "{address}");
    }
    (0..100).for_each(|_| drop(followed.talks_to("10.1.9.9")));
    assert_eq!(liar.asked("/pods/stock-0").len(), 1);
    assert_eq!(followed.counters.kubernetes_peers_asked.get(), 1);
}
