//! Whom pods talk to: what 5 000 endpoints take, what is asked when nothing happens, an API server that is killed and comes back,
//! and addresses that go from one pod to the next while both call. A request's path says which pod it is from.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value as Json, json};
use wirespan_tests::curl;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::span::{Kind, Span, Value};
use wirespan_tests::wait;

use super::churn;
use super::cluster::Cluster;

/// EndpointSlices of a hundred pods each.
const SLICES: usize = 50;
/// Addresses that pods have in turn.
const ADDRESSES: usize = 64;
/// Calls of pods that are there already, for each pod that comes.
const CALLS: usize = 3;
/// How long nothing happens.
const CALM: Duration = Duration::from_secs(30);
/// How long the API server is away, and how long it does not answer.
const AWAY: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(60);
/// Where slices are.
const PATH: &str = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
/// Where the Service is that pods talk to.
const SERVICE: &str = "10.96.0.9";

/// What came out.
#[derive(Debug, Default)]
pub struct Tally {
    addresses: u64,
    bytes: u64,
    resident: [u64; 2],
    asked_in_calm: u64,
    back: [Duration; 2],
    pods: usize,
    right: usize,
    wrong: usize,
    without: usize,
    services: usize,
    asked_about: u64,
}

impl Tally {
    /// No span has another pod's name, enough have one, and nothing is asked when nothing happens.
    pub fn is_right(&self) -> bool {
        self.wrong == 0 && self.right * 5 > self.pods && self.services > 0 && self.asked_in_calm == 0
    }

    /// For documentation.
    pub fn markdown(&self) -> String {
        let Self { addresses, bytes, resident: [before, after], asked_in_calm, back: [killed, stopped], .. } = self;
        let Self { pods, right, wrong, without, services, asked_about, .. } = self;
        format!(
            "| Addresses | kept, KiB | resident before, after, MiB | requests in {} s without changes | a change is known after the \
             API server was killed, stopped |\n|---|---|---|---|---|\n| {addresses} | {} | {}, {} | {asked_in_calm} | {:.1} s, {:.1} s |\n\n\
             | Pods on {ADDRESSES} addresses | spans with their names | with another's | without | spans with the Service's | pods asked about |\n\
             |---|---|---|---|---|---|\n| {pods} | {right} | {wrong} | {without} | {services} | {asked_about} |\n",
            CALM.as_secs(),
            bytes / 1024,
            before >> 20,
            after >> 20,
            killed.as_secs_f64(),
            stopped.as_secs_f64(),
        )
    }
}

/// Measures all of it, with `pods` pods that come and go.
pub fn run(scene: &mut Scene, cluster: &mut Cluster, pods: usize) -> Result<Tally> {
    let addresses: Vec<String> = (0..ADDRESSES).map(address).collect();
    let stock = "10.1.1.1";
    let all: Vec<&str> = std::iter::once(stock).chain(addresses.iter().map(String::as_str)).collect();
    let node = Node::faults_behind_service(scene, SERVICE, &all);
    put_service(cluster, "stock", SERVICE)?;
    churn::follow(scene, cluster, &["--stats", "--stats-interval", "1s"])?;
    let mut tally = Tally { pods, ..Tally::default() };
    tally.resident[0] = resident(scene)?;
    for slice in 0..SLICES {
        cluster.ask("POST", PATH, Some(&endpoints(slice)))?;
    }
    let known = SLICES as u64 * 100;
    ensure!(settles(scene, |scene| counter(scene, "kubernetes_addresses") > known), "the endpoints are not learned");
    (tally.addresses, tally.bytes) =
        (counter(scene, "kubernetes_addresses"), counter(scene, "kubernetes_addresses_bytes"));
    tally.resident[1] = resident(scene)?;
    tally.asked_in_calm = asked_in_calm(scene);
    cluster.restart(AWAY)?;
    tally.back[0] = hears_of(scene, cluster, 1)?;
    cluster.stop_for(AWAY);
    tally.back[1] = hears_of(scene, cluster, 2)?;
    come_and_go(cluster, &node, pods)?;
    wait::until_true(PATIENCE, || scene.receiver.count(|span| of_pod(span).is_some()) >= pods * (CALLS + 1));
    let spans = scene.receiver.spans();
    scene.agent().stop();
    tally.asked_about = scene.agent().counter("kubernetes_peers_asked");
    Ok(judge(&spans, tally))
}

/// Requests while nothing happens. (What was begun before may have to end first.)
fn asked_in_calm(scene: &mut Scene) -> u64 {
    std::thread::sleep(Duration::from_secs(2));
    let before = counter(scene, "kubernetes_requests");
    std::thread::sleep(CALM);
    counter(scene, "kubernetes_requests") - before
}

/// How long until the agent knows of something that is told now.
fn hears_of(scene: &mut Scene, cluster: &Cluster, number: usize) -> Result<Duration> {
    let before = counter(scene, "kubernetes_addresses");
    put_service(cluster, &format!("new-{number}"), &format!("10.96.1.{number}"))?;
    let begun = Instant::now();
    ensure!(
        settles(scene, |scene| counter(scene, "kubernetes_addresses") > before),
        "the API is not followed any more: {}",
        scene.agent().log()
    );
    Ok(begun.elapsed())
}

fn settles(scene: &mut Scene, holds: impl Fn(&mut Scene) -> bool) -> bool {
    wait::until_true(PATIENCE, || holds(scene))
}

/// As the agent said it last.
fn counter(scene: &mut Scene, name: &str) -> u64 {
    scene.agent().try_counter(name).unwrap_or_default()
}

/// Resident memory of the agent, bytes.
fn resident(scene: &mut Scene) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{}/status", scene.agent().pid()))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

fn put_service(cluster: &Cluster, name: &str, address: &str) -> Result<()> {
    let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name},
        "spec": {"clusterIP": address, "ports": [{"port": 80}]}});
    cluster.ask("POST", "/api/v1/namespaces/default/services", Some(&service)).map(drop)
}

fn slice(name: &str, endpoints: &[Json]) -> Json {
    json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4", "endpoints": endpoints,
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "stock"}}, "ports": [{"name": "", "port": 80}]})
}

fn endpoint(address: &str, pod: &str, uid: &str, terminating: bool) -> Json {
    json!({"addresses": [address], "nodeName": "node-2", "targetRef": {"kind": "Pod", "namespace": "default", "name": pod, "uid": uid},
        "conditions": {"ready": !terminating, "serving": true, "terminating": terminating}})
}

/// A slice with a hundred pods of 200 nodes, as its controller writes it.
fn endpoints(number: usize) -> Json {
    let endpoint = |n: usize| {
        let all = number * 100 + n;
        let uid = format!("{all:08x}-0000-4000-8000-000000000000");
        let mut endpoint = endpoint(&format!("10.2.{number}.{n}"), &format!("stock-7d4b9c6f5-{all:05}"), &uid, false);
        endpoint["nodeName"] = format!("node-{}", all % 200).into();
        endpoint
    };
    slice(&format!("stock-{number}"), &(0..100).map(endpoint).collect::<Vec<_>>())
}

fn address(number: usize) -> String {
    format!("10.1.0.{}", number % ADDRESSES)
}

fn name(number: usize) -> String {
    format!("peer-{number}")
}

/// Pods of another node come, call before anybody knows their address, call again while others do, are told to end, call once
/// more and are gone; the next has the address at once.
fn come_and_go(cluster: &Cluster, node: &Node, pods: usize) -> Result<()> {
    for number in 0..ADDRESSES {
        cluster.ask("POST", PATH, Some(&slice(&format!("of-{number}"), &[])))?;
    }
    let says = |number: usize, endpoints: Vec<Json>| {
        let path = format!("{PATH}/of-{}", number % ADDRESSES);
        cluster.ask("PATCH", &path, Some(&json!({"endpoints": endpoints}))).map(drop)
    };
    let mut uids: Vec<String> = Vec::new();
    for number in 0..pods {
        if let Some(before) = number.checked_sub(ADDRESSES) {
            says(before, vec![endpoint(&address(before), &name(before), &uids[before], true)])?;
            calls(node, before)?;
            cluster.ask(
                "DELETE",
                &format!("/api/v1/namespaces/default/pods/{}?gracePeriodSeconds=0", name(before)),
                None,
            )?;
        }
        let spec = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name(number)},
            "spec": {"nodeName": "node-2", "automountServiceAccountToken": false, "containers": [{"name": "main", "image": "acme/churn:1"}]}});
        let made = cluster.ask("POST", "/api/v1/namespaces/default/pods", Some(&spec))?;
        uids.push(made["metadata"]["uid"].as_str().context("the API gives every pod a uid")?.to_owned());
        calls(node, number)?;
        says(number, vec![endpoint(&address(number), &name(number), &uids[number], false)])?;
        // The oldest that are there, which have their addresses for long enough, and others.
        let oldest = (number + 1).saturating_sub(ADDRESSES);
        for turn in 0..CALLS {
            calls(node, oldest + (turn * ADDRESSES / CALLS / 2).min(number - oldest))?;
        }
    }
    Ok(())
}

fn calls(node: &Node, number: usize) -> Result<()> {
    let url = format!("http://{SERVICE}:{}/short/{}", node.port, name(number));
    let reply = curl::run_in(node.curl(), &["--interface", &address(number), "--output", "/dev/null", &url]);
    ensure!(reply.code == 200, "{} gets {}", name(number), reply.code);
    Ok(())
}

fn text<'a>(span: &'a Span, key: &str) -> Option<&'a str> {
    match span.attributes.get(key)? {
        Value::Str(text) => Some(text),
        _ => None,
    }
}

/// The pod whose call a server's span is of, by its path.
fn of_pod(span: &Span) -> Option<&str> {
    let path = text(span, "url.path").filter(|_| span.kind == Kind::Server)?;
    path.strip_prefix("/short/").filter(|name| name.starts_with("peer-"))
}

fn judge(spans: &[Span], mut tally: Tally) -> Tally {
    for span in spans {
        if let Some(pod) = of_pod(span) {
            match text(span, "k8s.src.name") {
                None => tally.without += 1,
                Some(name) if name == pod => tally.right += 1,
                Some(_) => tally.wrong += 1,
            }
        } else if text(span, "network.peer.address") == Some(SERVICE) {
            match text(span, "service.peer.name") {
                None => {}
                Some("stock") => tally.services += 1,
                Some(_) => tally.wrong += 1,
            }
        }
    }
    tally
}
