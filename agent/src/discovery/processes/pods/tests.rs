//! Processes in pods that the API tells of before, while and after they are looked at.

use wirespan_kubernetes::names::Wanted;
use wirespan_kubernetes::objects::PodObject;
use wirespan_kubernetes::pod::Pod;

use super::super::tests::machine::{ID, Machine, SHOWN, Shown};
use super::*;
use crate::discovery::container::Container;
use wirespan_links::Process as _;

const UID: &str = "6f0e2c1a-7b3d-4e5f-8a9b-0c1d2e3f4a5b";

fn pod(namespace: &str, team: &str, container: &str) -> Pod {
    let object = serde_json::json!({
        "metadata": {"name": "shop-0", "namespace": namespace, "uid": UID, "labels": {"team": team},
            "ownerReferences": [{"kind": "StatefulSet", "name": "shop", "uid": "s", "controller": true}]},
        "spec": {"nodeName": "n", "containers": [{"name": "web", "image": "acme/web:7"}]},
        "status": {"containerStatuses": [{"name": "web", "containerID": container}]},
    });
    Pod::of(&serde_json::from_value::<PodObject>(object).unwrap(), |_| false).unwrap()
}

fn known(namespace: &str, team: &str) -> Pod {
    pod(namespace, team, &format!("containerd://{ID}"))
}

/// A machine with a process in that pod.
fn machine() -> Machine {
    let machine = Machine::new();
    machine.show(7, &Shown { cgroup: &format!("/kubepods/burstable/pod{UID}/{ID}"), ..SHOWN });
    machine.show(8, &Shown { cgroup: "/system.slice/ssh.service", ..SHOWN });
    machine
}

fn in_cluster(machine: &Machine, flags: &str) -> (Processes, Arc<Cluster>) {
    let (mut processes, cluster) = (machine.processes(flags), Arc::new(Cluster::new(Wanted::default())));
    processes.look_for_pods(Arc::clone(&cluster));
    (processes, cluster)
}

fn says(process: &Process, key: &str) -> String {
    process.resource.get(key).unwrap_or_default().to_string()
}

#[test]
fn a_process_of_a_known_pod_is_called_by_it() {
    let machine = machine();
    let (mut processes, cluster) = in_cluster(&machine, "");
    cluster.put(known("prod", "a"));
    cluster.identify("c-1");
    let process = processes.get(7);
    for (key, value) in [
        ("service.name", "shop"),
        ("service.namespace", "prod"),
        ("service.version", "7"),
        ("service.instance.id", "prod.shop-0.web"),
        ("k8s.statefulset.name", "shop"),
        ("k8s.container.name", "web"),
        ("k8s.cluster.uid", "c-1"),
        ("container.id", ID),
    ] {
        assert_eq!(says(process, key), value, "{key}");
    }
    assert_eq!(process.named_by.name(), "pod");
    assert_eq!(says(processes.get(8), "k8s.cluster.uid"), "", "no pod's process");
}

#[test]
fn what_a_process_says_of_itself_wins_over_its_pod() {
    let machine = machine();
    let cgroup = format!("/kubepods/burstable/pod{UID}/{ID}");
    let env = ["OTEL_SERVICE_NAME=cart", "OTEL_RESOURCE_ATTRIBUTES=service.namespace=mine"];
    machine.show(7, &Shown { cgroup: &cgroup, env: &env, ..SHOWN });
    let (mut processes, cluster) = in_cluster(&machine, "");
    cluster.put(known("prod", "a"));
    assert_eq!(says(processes.get(7), "service.name"), "cart");
    assert_eq!(says(processes.get(7), "service.namespace"), "mine");
    assert_eq!(says(processes.get(7), "k8s.namespace.name"), "prod");
}

#[test]
fn a_process_that_was_seen_before_its_pod_is_called_anew_and_so_are_its_open_spans() {
    let machine = machine();
    let (mut processes, cluster) = in_cluster(&machine, "");
    let held = Arc::clone(processes.get(7));
    assert_eq!(says(&held, "k8s.pod.name"), "");
    // First the pod, as the scheduler leaves it; then what the kubelet says of its container.
    cluster.put(pod("prod", "a", ""));
    assert!(processes.follow_pods().is_empty(), "it was traced before");
    assert_eq!(held.resource().get("k8s.pod.name"), Some("shop-0"), "who holds it has the name");
    assert_eq!(says(processes.get(7), "k8s.container.name"), "");
    cluster.put(known("prod", "a"));
    processes.follow_pods();
    assert_eq!(says(processes.get(7), "k8s.container.name"), "web");
    // A pod that is gone takes nothing with it.
    cluster.remove(UID);
    processes.follow_pods();
    assert_eq!(says(processes.get(7), "k8s.container.name"), "web");
}

#[test]
fn a_process_that_ended_before_its_pod_was_known_is_called_by_it_too() {
    let machine = machine();
    let (mut processes, cluster) = in_cluster(&machine, "");
    let held = Arc::clone(processes.get(7));
    processes.on_exit(7);
    machine.hide(7);
    cluster.put(known("prod", "a"));
    processes.follow_pods();
    assert_eq!(held.resource().get("service.name"), Some("shop"));
}

#[test]
fn rules_about_pods_are_asked_anew_when_labels_change() {
    let machine = machine();
    let (mut processes, cluster) = in_cluster(&machine, "--include label:team=a");
    assert!(!processes.get(7).is_traced(), "nobody knows yet");
    cluster.put(known("prod", "b"));
    assert!(processes.follow_pods().is_empty());
    assert!(!processes.get(7).is_traced());
    cluster.put(known("prod", "a"));
    assert_eq!(processes.follow_pods(), [7], "the kernel is to be told");
    assert!(processes.get(7).is_traced());
    cluster.put(known("prod", "c"));
    assert!(processes.follow_pods().is_empty());
    assert!(!processes.get(7).is_traced());
    assert!(!processes.get(8).is_traced(), "no pod's process");
}

#[test]
fn every_rule_about_pods_fits_what_it_names() {
    for (rule, fits) in [
        ("namespace:prod", true),
        ("namespace:pro", false),
        ("namespace:p*", true),
        ("workload:shop", true),
        ("workload:statefulset/shop", true),
        ("workload:deployment/shop", false),
        ("label:team", true),
        ("label:team=a", true),
        ("label:tea=a", false),
        ("container:web", true),
        ("image:acme/web", true),
        ("image:acme/web:7", true),
        ("image:*:8", false),
    ] {
        let machine = machine();
        let (mut processes, cluster) = in_cluster(&machine, &format!("--include {rule}"));
        cluster.put(known("prod", "a"));
        assert_eq!(processes.get(7).is_traced(), fits, "{rule}");
    }
}

#[test]
fn what_may_be_excluded_is_not_traced_before_that_is_known() {
    let machine = machine();
    let (mut processes, cluster) = in_cluster(&machine, "--exclude namespace:kube-system");
    assert!(!processes.get(7).is_traced());
    assert!(processes.get(8).is_traced(), "no pod's process");
    let why = processes.get(7).reason();
    assert!(processes.selection().explain(why).contains("not known yet"));
    cluster.put(known("prod", "a"));
    assert_eq!(processes.follow_pods(), [7]);
    let (mut processes, cluster) = in_cluster(&machine, "--exclude namespace:kube-system");
    cluster.put(known("kube-system", "a"));
    assert!(!processes.get(7).is_traced());
}

#[test]
fn files_of_the_kubelet_answer_where_the_api_does_not() {
    let machine = machine();
    machine.file(&format!("var/log/containers/shop-7d4b9c6f5-x2k8q_prod_web-{ID}.log"), "");
    let mut processes = machine.processes("--exclude namespace:kube-system");
    assert!(processes.get(7).is_traced());
    assert!(!machine.processes("--exclude namespace:prod").get(7).is_traced());
    assert!(machine.processes("--include workload:shop").get(7).is_traced());
}

#[test]
fn a_process_whose_container_a_runtime_names_is_called_anew_and_so_are_its_open_spans() {
    let machine = Machine::new();
    machine.show(7, &Shown { cgroup: &format!("/libpod_parent/libpod-{ID}"), ..SHOWN });
    machine.show(8, &Shown { cgroup: "/system.slice/ssh.service", ..SHOWN });
    let mut processes = machine.processes("--exclude container:secret");
    let runtimes = Arc::<Runtimes>::default();
    processes.ask_runtimes(Arc::clone(&runtimes));
    let held = Arc::clone(processes.get(7));
    processes.get(8);
    assert_eq!(says(&held, "container.name"), "");
    assert!(processes.follow_containers().is_empty());
    runtimes.named(ID.into(), Container::named("cart"));
    assert!(processes.follow_containers().is_empty(), "it was traced before");
    assert_eq!(held.resource().get("container.name"), Some("cart"), "who holds it has the name");
    assert_eq!(held.resource().get("service.name"), Some("cart"));
    assert_eq!(says(processes.get(7), "container.name"), "cart");
    assert_eq!(says(processes.get(8), "container.name"), "");
    // Who comes later is called so at once, and what is meant by a rule is not traced any more.
    machine.show(9, &Shown { cgroup: &format!("/libpod_parent/libpod-{ID}"), ..SHOWN });
    assert_eq!(says(processes.get(9), "container.name"), "cart");
    let mut processes = machine.processes("--include container:cart");
    let runtimes = Arc::<Runtimes>::default();
    processes.ask_runtimes(Arc::clone(&runtimes));
    assert!(!processes.get(7).is_traced());
    runtimes.named(ID.into(), Container::named("cart"));
    assert_eq!(processes.follow_containers(), [7], "the kernel is to be told");
    assert!(processes.get(7).is_traced());
}
