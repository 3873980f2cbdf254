//! What a process in a pod is called: resource attributes, by OpenTelemetry's conventions for Kubernetes and for services.

use std::borrow::Cow;

use wirespan_signals::{KeyValue, Value};

use crate::pod::{ATTRIBUTES, Container, OwnerKind, Pod};
use crate::pods::Found;

/// What is said of a pod besides its name.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Labels that become attributes.
    pub labels: Vec<Pattern>,
    /// Annotations that become attributes.
    pub annotations: Vec<Pattern>,
    /// Whether labels that are well known (`app.kubernetes.io/name`) name services. (The conventions want this asked for.)
    pub well_known: bool,
}

/// A name, or the beginning of one with `*` behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Reads one.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Whether a name fits.
    pub fn matches(&self, name: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == self.0,
        }
    }
}

/// What a service is called of which a process is an instance.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    /// `service.name`.
    pub name: String,
    /// `service.namespace`.
    pub namespace: String,
    /// `service.version`, if anything says it.
    pub version: Option<String>,
    /// `service.instance.id`; `None` as long as the container is not known.
    pub instance: Option<String>,
}

impl Wanted {
    /// Whether this annotation is to be kept.
    pub fn annotation(&self, key: &str) -> bool {
        self.annotations.iter().any(|pattern| pattern.matches(key))
    }

    /// What the service is called, by the order that the conventions give.
    pub fn service(&self, found: &Found) -> Service {
        let (pod, container) = (&*found.pod, found.container());
        let stated = |key: &str| pod.annotation(&format!("{ATTRIBUTES}{key}")).filter(|value| !value.is_empty());
        let label = |key: &str| pod.label(key).filter(|value| self.well_known && !value.is_empty());
        let name = stated("service.name")
            .or_else(|| label("app.kubernetes.io/instance"))
            .or_else(|| label("app.kubernetes.io/name"))
            .unwrap_or_else(|| workload(pod));
        let instance = || Some(instance(pod, container?, found.container?.1));
        Service {
            name: name.to_string(),
            namespace: stated("service.namespace").unwrap_or(&pod.namespace).to_string(),
            version: stated("service.version")
                .or_else(|| label("app.kubernetes.io/version"))
                .map(str::to_string)
                .or_else(|| version(container?)),
            instance: stated("service.instance.id").map(str::to_string).or_else(instance),
        }
    }

    /// Everything else that is said of the process.
    pub fn attributes(&self, found: &Found) -> Vec<KeyValue> {
        let pod = &*found.pod;
        let mut set = Vec::new();
        of_pod(pod, &mut set);
        if let (Some(container), Some((_, restarts))) = (found.container(), found.container) {
            of_container(container, restarts, &mut set);
        }
        let chosen = |patterns: &[Pattern], key: &str| patterns.iter().any(|pattern| pattern.matches(key));
        for (key, value) in pod.labels.iter().filter(|(key, _)| chosen(&self.labels, key)) {
            set.push(text(format!("k8s.pod.label.{key}"), value));
        }
        for (key, value) in pod.annotations.iter().filter(|(key, _)| chosen(&self.annotations, key)) {
            set.push(text(format!("k8s.pod.annotation.{key}"), value));
        }
        for (key, value) in &pod.annotations {
            let Some(key) = key.strip_prefix(ATTRIBUTES).filter(|key| is_free(key)) else { continue };
            set.retain(|attribute| attribute.key != key);
            set.push(text(key.to_string(), value));
        }
        set
    }
}

/// Attributes that a pod's annotation may set. Not the service's, which have their own order; and not what was seen: who made the
/// telemetry, and which process, container and pod it is about.
fn is_free(key: &str) -> bool {
    let seen = ["service.name", "service.namespace", "service.version", "service.instance.id", "container.id"];
    let families = ["telemetry.", "process.", "wirespan.", "k8s.pod.uid", "k8s.pod.name", "k8s.namespace.name"];
    !key.is_empty() && !seen.contains(&key) && !families.iter().any(|family| key.starts_with(family))
}

fn text(key: impl Into<Cow<'static, str>>, value: &str) -> KeyValue {
    KeyValue { key: key.into(), value: Value::Str(value.to_string().into()) }
}

/// `k8s.*` of a pod and its owners.
fn of_pod(pod: &Pod, set: &mut Vec<KeyValue>) {
    set.push(text("k8s.namespace.name", &pod.namespace));
    set.push(text("k8s.pod.name", &pod.name));
    set.push(text("k8s.pod.uid", &pod.uid));
    if !pod.node.is_empty() {
        set.push(text("k8s.node.name", &pod.node));
    }
    for owner in &pod.owners {
        let Some((name, uid)) = keys(owner.kind) else { continue };
        set.push(text(name, &owner.name));
        if !owner.uid.is_empty() {
            set.push(text(uid, &owner.uid));
        }
    }
}

fn of_container(container: &Container, restarts: u32, set: &mut Vec<KeyValue>) {
    set.push(text("k8s.container.name", &container.name));
    set.push(KeyValue::int("k8s.container.restart_count", restarts.into()));
    if !container.image.is_empty() {
        set.push(text("container.image.name", &container.image));
    }
    let list = |value: &str| Value::StrArray(vec![value.to_string().into()]);
    if !container.tag.is_empty() {
        set.push(KeyValue { key: "container.image.tags".into(), value: list(&container.tag) });
    }
    if !container.digest.is_empty() {
        set.push(KeyValue { key: "container.image.repo_digests".into(), value: list(&container.digest) });
    }
}

/// What OpenTelemetry calls an owner's name and uid.
fn keys(kind: OwnerKind) -> Option<(&'static str, &'static str)> {
    Some(match kind {
        OwnerKind::Deployment => ("k8s.deployment.name", "k8s.deployment.uid"),
        OwnerKind::ReplicaSet => ("k8s.replicaset.name", "k8s.replicaset.uid"),
        OwnerKind::StatefulSet => ("k8s.statefulset.name", "k8s.statefulset.uid"),
        OwnerKind::DaemonSet => ("k8s.daemonset.name", "k8s.daemonset.uid"),
        OwnerKind::CronJob => ("k8s.cronjob.name", "k8s.cronjob.uid"),
        OwnerKind::Job => ("k8s.job.name", "k8s.job.uid"),
        OwnerKind::ReplicationController => ("k8s.replicationcontroller.name", "k8s.replicationcontroller.uid"),
        OwnerKind::Other => return None,
    })
}

/// The name of what a pod is part of, or its own.
fn workload(pod: &Pod) -> &str {
    pod.workload().map_or(&pod.name, |owner| &owner.name)
}

/// A container of one life is one instance; the next life is another.
fn instance(pod: &Pod, container: &Container, restarts: u32) -> String {
    let first = format!("{}.{}.{}", pod.namespace, pod.name, container.name);
    if restarts == 0 { first } else { format!("{first}.{restarts}") }
}

/// A version by the image: its tag, with the digest where that is known.
fn version(container: &Container) -> Option<String> {
    let digest = container.digest.rsplit_once('@').map_or("", |(_, digest)| digest);
    match (&*container.tag, digest) {
        ("", "") => None,
        ("", digest) => Some(digest.to_string()),
        (tag, "") => Some(tag.to_string()),
        (tag, digest) => Some(format!("{tag}@{digest}")),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::objects::{MetaObject, PodObject};
    use crate::pod::tests::shop;

    fn found(object: &PodObject, container: Option<(usize, u32)>) -> Found {
        let mut pod = Pod::of(object, |key| key == "note").unwrap();
        let owner = r#"{"metadata":{"uid":"rs-1","ownerReferences":[{"kind":"Deployment","name":"shop","uid":"d-1","controller":true}]}}"#;
        pod.resolve(Some(&serde_json::from_str::<MetaObject>(owner).unwrap()));
        Found { pod: Arc::new(pod), container }
    }

    fn get<'a>(set: &'a [KeyValue], key: &str) -> Vec<&'a Value> {
        set.iter().filter(|attribute| attribute.key == key).map(|attribute| &attribute.value).collect()
    }

    fn str(text: &str) -> Value {
        Value::Str(text.to_string().into())
    }

    #[test]
    fn a_service_is_called_as_its_workload_in_its_namespace() {
        let service = Wanted::default().service(&found(&shop(), Some((0, 0))));
        assert_eq!((&*service.name, &*service.namespace), ("shop", "prod"));
        assert_eq!(service.version.as_deref(), Some(&*format!("1.2.3@sha256:{}", "a".repeat(64))));
        assert_eq!(service.instance.as_deref(), Some("prod.shop-7d4b9c6f5-x2k8q.web"));
    }

    #[test]
    fn a_restarted_container_is_the_same_service_and_another_instance() {
        let wanted = Wanted::default();
        let (before, after) =
            (wanted.service(&found(&shop(), Some((0, 0)))), wanted.service(&found(&shop(), Some((0, 1)))));
        assert_eq!((&before.name, &before.namespace), (&after.name, &after.namespace));
        assert_ne!(before.instance, after.instance);
    }

    #[test]
    fn a_container_that_is_not_known_yet_has_a_service_and_no_instance() {
        let found = found(&shop(), None);
        let service = Wanted::default().service(&found);
        assert_eq!((&*service.name, service.instance, service.version), ("shop", None, None));
        assert!(get(&Wanted::default().attributes(&found), "k8s.container.name").is_empty());
    }

    #[test]
    fn well_known_labels_name_services_where_that_is_asked_for() {
        let wanted = Wanted { well_known: true, ..Wanted::default() };
        let mut object = shop();
        let service = wanted.service(&found(&object, Some((0, 0))));
        assert_eq!((&*service.name, service.version.as_deref()), ("shop-eu", Some("1.2")));
        object.metadata.labels.remove("app.kubernetes.io/instance");
        object.metadata.labels.insert("app.kubernetes.io/name".into(), "labelled".into());
        assert_eq!(wanted.service(&found(&object, None)).name, "labelled");
    }

    #[test]
    fn annotations_win_over_everything_of_the_pod() {
        let mut object = shop();
        for (key, value) in [
            ("service.name", "cart"),
            ("service.namespace", "shops"),
            ("service.version", "9"),
            ("service.instance.id", "one"),
        ] {
            object.metadata.annotations.insert(format!("{ATTRIBUTES}{key}"), value.into());
        }
        let service = Wanted { well_known: true, ..Wanted::default() }.service(&found(&object, Some((0, 0))));
        let wanted = Service {
            name: "cart".into(),
            namespace: "shops".into(),
            version: Some("9".into()),
            instance: Some("one".into()),
        };
        assert_eq!(service, wanted);
    }

    #[test]
    fn attributes_are_those_of_the_conventions() {
        let set = Wanted::default().attributes(&found(&shop(), Some((0, 1))));
        for (key, value) in [
            ("k8s.namespace.name", "prod"),
            ("k8s.pod.name", "shop-7d4b9c6f5-x2k8q"),
            ("k8s.pod.uid", "6f0e2c1a-7b3d-4e5f-8a9b-0c1d2e3f4a5b"),
            ("k8s.node.name", "node-1"),
            ("k8s.replicaset.name", "shop-7d4b9c6f5"),
            ("k8s.deployment.name", "shop"),
            ("k8s.deployment.uid", "d-1"),
            ("k8s.container.name", "web"),
            ("container.image.name", "registry.example/shop"),
            ("team", "checkout"),
        ] {
            assert_eq!(get(&set, key), [&str(value)], "{key}");
        }
        assert_eq!(get(&set, "k8s.container.restart_count"), [&Value::Int(1)]);
        assert_eq!(get(&set, "container.image.tags"), [&Value::StrArray(vec!["1.2.3".into()])]);
        assert!(set.iter().all(|attribute| !attribute.key.starts_with("k8s.pod.label")));
    }

    #[test]
    fn labels_and_annotations_are_attributes_where_a_rule_says_so() {
        let mut object = shop();
        object.metadata.annotations.insert("note".into(), "kept".into());
        let wanted = Wanted {
            labels: vec![Pattern::new("app.kubernetes.io/*"), Pattern::new("tier")],
            annotations: vec![Pattern::new("note")],
            ..Wanted::default()
        };
        let set = wanted.attributes(&found(&object, None));
        assert_eq!(get(&set, "k8s.pod.label.tier"), [&str("front")]);
        assert_eq!(get(&set, "k8s.pod.label.app.kubernetes.io/name"), [&str("shop")]);
        assert_eq!(get(&set, "k8s.pod.annotation.note"), [&str("kept")]);
        assert!(get(&set, "k8s.pod.label.pod-template-hash").is_empty());
    }

    #[test]
    fn an_annotation_cannot_say_what_was_seen() {
        let mut object = shop();
        for key in ["k8s.pod.name", "k8s.pod.uid", "telemetry.sdk.name", "process.pid", "container.id", ""] {
            object.metadata.annotations.insert(format!("{ATTRIBUTES}{key}"), "forged".into());
        }
        let set = Wanted::default().attributes(&found(&object, Some((0, 0))));
        assert!(set.iter().all(|attribute| attribute.value != str("forged")), "{set:?}");
    }
}
