//! Pods that come and go, each with a process that makes one request. The request's path says which pod it is from.

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::json;
use wirespan_tests::kubernetes::Container;
use wirespan_tests::scene::Scene;
use wirespan_tests::services::node::Node;
use wirespan_tests::span::{Kind, Span, Value};
use wirespan_tests::wait;

use super::cluster::Cluster;

/// The name of the node.
const NODE: &str = "node-1";
/// Pods that are there at one time, as many as a kubelet has by default.
const AT_ONCE: usize = 110;
/// Addresses that pods have in turn.
const ADDRESSES: usize = 128;

/// What came out.
#[derive(Debug, Default)]
pub struct Tally {
    pods: usize,
    right: usize,
    wrong: usize,
    without: usize,
    requests: u64,
    minutes: f64,
    bytes: u64,
}

impl Tally {
    /// No span has another pod's name, and 99 of 100 have one.
    pub fn is_right(&self) -> bool {
        self.wrong == 0 && self.right + self.without == self.pods && self.without * 100 <= self.pods
    }

    /// For documentation.
    pub fn markdown(&self) -> String {
        let Self { pods, right, wrong, without, requests, minutes, bytes } = self;
        let a_minute = *requests as f64 / minutes;
        format!(
            "| Pods | their name | another's | none | requests to the API a minute, at {:.0} pods a minute | kept, KiB |\n\
             |---|---|---|---|---|---|\n| {pods} | {right} | {wrong} | {without} | {a_minute:.1} | {} |\n",
            *pods as f64 / minutes,
            bytes / 1024
        )
    }
}

/// Lets `pods` pods come and go.
pub fn run(mut scene: Scene, cluster: Cluster, pods: usize) -> Result<Tally> {
    let node = Node::faults(&scene);
    follow(&mut scene, &cluster, &[])?;
    let begun = Instant::now();
    let mut there: std::collections::VecDeque<(usize, Container)> = std::collections::VecDeque::new();
    for number in 0..pods {
        there.push_back((number, come(&cluster, &node, number)?));
        if there.len() > AT_ONCE
            && let Some((gone, _)) = there.pop_front()
        {
            let path = format!("/api/v1/namespaces/default/pods/{}?gracePeriodSeconds=0", name(gone));
            cluster.ask("DELETE", &path, None)?;
        }
    }
    let minutes = begun.elapsed().as_secs_f64() / 60.0;
    wait::until_true(Duration::from_secs(60), || scene.receiver.count(|span| of_pod(span).is_some()) >= pods);
    let spans = scene.receiver.spans();
    scene.agent().stop();
    let (requests, bytes) = (scene.agent().counter("kubernetes_requests"), scene.agent().counter("kubernetes_bytes"));
    Ok(judge(&spans, Tally { pods, requests, minutes, bytes, ..Tally::default() }))
}

/// Starts the agent with the rights of the file that is applied, and no more.
pub(super) fn follow(scene: &mut Scene, cluster: &Cluster, more: &[&str]) -> Result<()> {
    let folder = cluster.file("account");
    fs::create_dir_all(&folder)?;
    fs::copy(cluster.file("ca.crt"), folder.join("ca.crt"))?;
    let wanted =
        json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}});
    let given = cluster.ask("POST", "/api/v1/namespaces/wirespan/serviceaccounts/wirespan/token", Some(&wanted))?;
    fs::write(folder.join("token"), given["status"]["token"].as_str().context("a token")?)?;
    let (api, folder) = (format!("https://127.0.0.1:{}", cluster.port), folder.display().to_string());
    let others = cluster.stores.iter().chain([&cluster.port]).map(|port| format!("port:{port}"));
    let others = others.collect::<Vec<_>>().join(",");
    let api = ["--kubernetes-api", &api, "--kubernetes-node", NODE, "--kubernetes-credentials", &folder];
    scene.trace_with(&[&api[..], &["--exclude", &others], more].concat());
    let follows =
        wait::until_true(Duration::from_secs(30), || scene.agent().log().contains("Kubernetes names the pods"));
    anyhow::ensure!(follows, "the agent does not follow the API: {}", scene.agent().log());
    Ok(())
}

/// A pod is scheduled, its process begins and asks, and the kubelet says so: in this order, as it is on a node.
fn come(cluster: &Cluster, node: &Node, number: usize) -> Result<Container> {
    let spec = json!({"apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name(number), "labels": {"number": number.to_string()}},
        "spec": {"nodeName": NODE, "automountServiceAccountToken": false, "containers": [{"name": "main", "image": "acme/churn:1"}]}});
    let made = cluster.ask("POST", "/api/v1/namespaces/default/pods", Some(&spec))?;
    let uid = made["metadata"]["uid"].as_str().context("the API gives every pod a uid")?;
    let container = Container::of(uid, u32::try_from(number)?);
    let address = format!("10.1.0.{}", number % ADDRESSES);
    let status = json!({"status": {"phase": "Running", "podIPs": [{"ip": address}], "containerStatuses": [{"name": "main",
        "image": "acme/churn:1", "imageID": "", "ready": true, "restartCount": 0,
        "containerID": format!("containerd://{}", container.id)}]}});
    // The process enters its control group before it becomes the program, as runc has it.
    let url = node.url(&format!("/short/{}", name(number)));
    let script = format!(
        "echo $$ > {} && exec curl -q -sS --noproxy '*' --output /dev/null {url}",
        container.processes().display()
    );
    let mut asks = Command::new("sh");
    let mut asks = asks.args(["-c", &script]).process_group(0).stdin(Stdio::null()).spawn()?;
    cluster.ask("PATCH", &format!("/api/v1/namespaces/default/pods/{}/status", name(number)), Some(&status))?;
    anyhow::ensure!(asks.wait()?.success(), "the process of {} fails", name(number));
    Ok(container)
}

fn name(number: usize) -> String {
    format!("churn-{number}")
}

/// The pod that a client's span is from, by its path.
fn of_pod(span: &Span) -> Option<&str> {
    let Some(Value::Str(url)) = span.attributes.get("url.full").filter(|_| span.kind == Kind::Client) else {
        return None;
    };
    Some(url.rsplit_once("/short/")?.1).filter(|name| name.starts_with("churn-"))
}

fn judge(spans: &[Span], mut tally: Tally) -> Tally {
    for span in spans {
        let Some(pod) = of_pod(span) else {
            // Nobody else is in a pod.
            tally.wrong += usize::from(span.resource.contains_key("k8s.pod.name"));
            continue;
        };
        match span.resource.get("k8s.pod.name") {
            None => tally.without += 1,
            Some(Value::Str(name)) if name == pod => tally.right += 1,
            Some(_) => tally.wrong += 1,
        }
    }
    tally
}
