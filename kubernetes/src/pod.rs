//! A pod, as far as it gives names: of all that the API says of it a few hundred bytes are kept.

use crate::objects::{ContainerSpec, ContainerStatus, MetaObject, OwnerReference, PodObject};
use crate::text::{self, kept, plain};

/// The most containers of a pod that are told apart.
const MAX_CONTAINERS: usize = 64;
/// The most labels, and the most annotations, that are kept of a pod.
const MAX_MARKS: usize = 64;
/// Annotations that become resource attributes, by the specification.
pub const ATTRIBUTES: &str = "resource.opentelemetry.io/";
/// Annotations by which a static pod's copy in the API says which description it is of.
const HASHES: [&str; 2] = ["kubernetes.io/config.hash", "kubernetes.io/config.mirror"];

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Its uid.
    pub uid: Box<str>,
    /// What its control group has in place of its uid, if it is static; else empty.
    pub hash: Box<str>,
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
    /// The node that it runs on.
    pub node: Box<str>,
    /// What manages it, the nearest first: a ReplicaSet and its Deployment.
    pub owners: Vec<Owner>,
    /// Its labels.
    pub labels: Marks,
    /// Those of its annotations that are asked for, or are attributes.
    pub annotations: Marks,
    /// Its containers, of every kind.
    pub containers: Vec<Container>,
}

/// Labels or annotations: names and values, sorted by name.
pub type Marks = Vec<(Box<str>, Box<str>)>;

/// What manages a pod, or manages that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// What it is.
    pub kind: OwnerKind,
    /// Its name.
    pub name: Box<str>,
    /// Its uid, empty if it is not known.
    pub uid: Box<str>,
}

/// What OpenTelemetry has names for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OwnerKind {
    /// `Deployment`.
    Deployment,
    /// `ReplicaSet`.
    ReplicaSet,
    /// `StatefulSet`.
    StatefulSet,
    /// `DaemonSet`.
    DaemonSet,
    /// `CronJob`.
    CronJob,
    /// `Job`.
    Job,
    /// `ReplicationController`.
    ReplicationController,
    /// Something of somebody's own.
    #[default]
    Other,
}

impl OwnerKind {
    /// Reads what an owner reference says.
    pub fn of(kind: &str) -> Self {
        match kind {
            "Deployment" => Self::Deployment,
            "ReplicaSet" => Self::ReplicaSet,
            "StatefulSet" => Self::StatefulSet,
            "DaemonSet" => Self::DaemonSet,
            "CronJob" => Self::CronJob,
            "Job" => Self::Job,
            "ReplicationController" => Self::ReplicationController,
            _ => Self::Other,
        }
    }

    /// As the API spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::CronJob => "CronJob",
            Self::Job => "Job",
            Self::ReplicationController => "ReplicationController",
            Self::Other => "Other",
        }
    }

    /// As rules spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::ReplicaSet => "replicaset",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
            Self::CronJob => "cronjob",
            Self::Job => "job",
            Self::ReplicationController => "replicationcontroller",
            Self::Other => "other",
        }
    }

    /// Where the API has it, if it has an owner itself that gives names.
    pub fn path(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::ReplicaSet => Some(("/apis/apps/v1", "replicasets")),
            Self::Job => Some(("/apis/batch/v1", "jobs")),
            _ => None,
        }
    }
}

/// A container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name in the pod.
    pub name: Box<str>,
    /// The runtime's id of its life now; empty before the first.
    pub id: Box<str>,
    /// The id of its life before, or empty.
    pub id_before: Box<str>,
    /// How many lives it had before the one of `id`.
    pub restarts: u32,
    /// The image, without tag and digest.
    pub image: Box<str>,
    /// The image's tag, or empty.
    pub tag: Box<str>,
    /// The image with its digest (`registry/shop@sha256:…`), or empty.
    pub digest: Box<str>,
}

impl Pod {
    /// What is kept of a pod. `annotation` tells which annotations are asked for. `None` if it lacks what makes a pod.
    pub fn of(object: &PodObject, annotation: impl Fn(&str) -> bool) -> Option<Self> {
        let (meta, spec, status) = (&object.metadata, &object.spec, &object.status);
        let hash = HASHES.iter().find_map(|key| plain(meta.annotations.get(*key)?, text::NAME));
        let wanted = |key: &str| key.starts_with(ATTRIBUTES) || annotation(key);
        let containers = each(&spec.containers, &status.container_statuses)
            .chain(each(&spec.init_containers, &status.init_container_statuses))
            .chain(each(&spec.ephemeral_containers, &status.ephemeral_container_statuses))
            .filter_map(|(spec, status)| Container::of(spec, status));
        Some(Self {
            uid: plain(&meta.uid, text::NAME)?.into(),
            hash: hash.unwrap_or_default().into(),
            namespace: plain(&meta.namespace, text::NAME)?.into(),
            name: plain(&meta.name, text::NAME)?.into(),
            node: kept(&spec.node_name, text::NAME),
            owners: controller(&meta.owner_references).into_iter().collect(),
            labels: marks(meta.labels.iter()),
            annotations: marks(meta.annotations.iter().filter(|(key, _)| wanted(key))),
            containers: containers.take(MAX_CONTAINERS).collect(),
        })
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        mark(&self.labels, key)
    }

    /// The value of an annotation, of those that are kept.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        mark(&self.annotations, key)
    }

    /// The container with this id of its runtime, and how many lives it had before that one.
    pub fn container(&self, id: &str) -> Option<(&Container, u32)> {
        self.containers.iter().filter(|_| !id.is_empty()).find_map(|container| {
            let now = (&*container.id == id).then_some(container.restarts);
            let before = || (&*container.id_before == id).then_some(container.restarts.saturating_sub(1));
            now.or_else(before).map(|restarts| (container, restarts))
        })
    }

    /// Owner of this kind.
    pub fn owner(&self, kind: OwnerKind) -> Option<&Owner> {
        self.owners.iter().find(|owner| owner.kind == kind)
    }

    /// What it is a part of in the end: the Deployment rather than its ReplicaSet.
    pub fn workload(&self) -> Option<&Owner> {
        self.owners.iter().rev().find(|owner| owner.kind != OwnerKind::Other)
    }

    /// The owner about which the API must be asked who owns that.
    pub fn unresolved(&self) -> Option<&Owner> {
        self.owners.last().filter(|owner| owner.kind.path().is_some())
    }

    /// Takes in what the API says of the [`unresolved`](Self::unresolved) owner: who owns that, if anybody.
    ///
    /// An answer about another object of that name (made anew since) says nothing.
    pub fn resolve(&mut self, answer: Option<&MetaObject>) {
        let Some(owner) = self.unresolved() else { return };
        let next = match answer.map(|object| &object.metadata) {
            Some(meta) if *meta.uid == *owner.uid => controller(&meta.owner_references),
            _ => self.deployment_by_hash(),
        };
        self.owners.extend(next);
    }

    /// The Deployment of a ReplicaSet about which the API says nothing: who makes ReplicaSets for Deployments labels their
    /// pods with the hash that it puts behind the Deployment's name.
    fn deployment_by_hash(&self) -> Option<Owner> {
        let set = self.owner(OwnerKind::ReplicaSet)?;
        let name = set.name.strip_suffix(self.label("pod-template-hash")?)?.strip_suffix('-')?;
        (!name.is_empty()).then(|| Owner { kind: OwnerKind::Deployment, name: name.into(), uid: Box::default() })
    }

    /// About so many bytes.
    pub fn bytes(&self) -> usize {
        let marks = |marks: &Marks| marks.iter().map(|(key, value)| key.len() + value.len() + 32).sum::<usize>();
        let containers = self.containers.iter().map(|c| size_of::<Container>() + c.image.len() + c.digest.len() + 160);
        size_of::<Self>() + 512 + marks(&self.labels) + marks(&self.annotations) + containers.sum::<usize>()
    }
}

impl Container {
    fn of(spec: &ContainerSpec, status: Option<&ContainerStatus>) -> Option<Self> {
        let empty = ContainerStatus::default();
        let status = status.unwrap_or(&empty);
        // Of an image that has lost its name the runtime says the digest alone.
        let named = plain(&status.image, text::NAME).filter(|image| !image.starts_with("sha256:"));
        let (image, tag) = image(named.or(plain(&spec.image, text::NAME)).unwrap_or_default());
        let digest = plain(&status.image_id, text::NAME).filter(|id| id.contains('@')).unwrap_or_default();
        Some(Self {
            name: plain(&spec.name, text::NAME)?.into(),
            id: runtime_id(&status.container_id),
            id_before: runtime_id(&status.last_state.terminated.container_id),
            restarts: status.restart_count,
            image: image.into(),
            tag: tag.into(),
            // `docker-pullable://…` of old.
            digest: digest.rsplit("://").next().unwrap_or_default().into(),
        })
    }
}

/// Containers with their states, whatever order these have.
fn each<'a>(
    specs: &'a [ContainerSpec],
    statuses: &'a [ContainerStatus],
) -> impl Iterator<Item = (&'a ContainerSpec, Option<&'a ContainerStatus>)> {
    let statuses = &statuses[..statuses.len().min(MAX_CONTAINERS)];
    specs.iter().take(MAX_CONTAINERS).map(|spec| (spec, statuses.iter().find(|status| status.name == spec.name)))
}

/// `containerd://ID` without what is in front.
fn runtime_id(text: &str) -> Box<str> {
    kept(text.split_once("://").map_or(text, |(_, id)| id), text::NAME)
}

/// An image without its digest: its name and its tag.
pub fn image(image: &str) -> (&str, &str) {
    let image = image.split('@').next().unwrap_or(image);
    match image.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, ""),
    }
}

/// Who manages an object. (Others may be named as owners that only keep it from being collected.)
fn controller(owners: &[OwnerReference]) -> Option<Owner> {
    let owner = owners.iter().find(|owner| owner.controller)?;
    let (name, uid) = (plain(&owner.name, text::NAME)?, kept(&owner.uid, text::NAME));
    Some(Owner { kind: OwnerKind::of(&owner.kind), name: name.into(), uid })
}

fn marks<'a>(all: impl Iterator<Item = (&'a String, &'a String)>) -> Marks {
    let kept = all.filter_map(|(key, value)| {
        let empty = value.is_empty().then_some("");
        Some((plain(key, text::NAME)?.into(), empty.or(plain(value, text::VALUE))?.into()))
    });
    kept.take(MAX_MARKS).collect()
}

fn mark<'a>(marks: &'a Marks, key: &str) -> Option<&'a str> {
    marks.binary_search_by(|(known, _)| (**known).cmp(key)).ok().map(|at| &*marks[at].1)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A pod of a Deployment as a kubelet describes it.
    pub(crate) const SHOP: &str = include_str!("../tests/shop.json");

    pub(crate) fn shop() -> PodObject {
        serde_json::from_str(SHOP).unwrap()
    }

    fn meta(text: &str) -> MetaObject {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_pod_is_read_with_containers_of_every_kind() {
        let pod = Pod::of(&shop(), |_| false).unwrap();
        assert_eq!((&*pod.namespace, &*pod.name, &*pod.node), ("prod", "shop-7d4b9c6f5-x2k8q", "node-1"));
        let all: Vec<_> = pod.containers.iter().map(|c| (&*c.name, c.restarts)).collect();
        // The main one, a sidecar, one that ran before, and one that was put in later.
        assert_eq!(all, [("web", 1), ("proxy", 0), ("migrate", 0), ("debugger", 0)]);
        let web = &pod.containers[0];
        assert_eq!((&*web.image, &*web.tag), ("registry.example/shop", "1.2.3"));
        assert_eq!(&*web.digest, format!("registry.example/shop@sha256:{}", "a".repeat(64)));
        assert_eq!(pod.label("app.kubernetes.io/name"), Some("shop"));
        assert_eq!(pod.annotation("resource.opentelemetry.io/team"), Some("checkout"));
        assert_eq!(pod.annotation("kubectl.kubernetes.io/last-applied-configuration"), None, "nobody asked for it");
    }

    #[test]
    fn a_container_is_found_in_its_life_now_and_in_the_one_before() {
        let pod = Pod::of(&shop(), |_| false).unwrap();
        let found = |id: &str| pod.container(id).map(|(container, restarts)| (container.name.to_string(), restarts));
        assert_eq!(found(&"1".repeat(64)), Some(("web".into(), 1)));
        assert_eq!(found(&"0".repeat(64)), Some(("web".into(), 0)), "the life before");
        assert_eq!(found(&"2".repeat(64)), Some(("proxy".into(), 0)));
        assert_eq!(found(&"9".repeat(64)), None);
        assert_eq!(found(""), None, "one that has not begun has no id");
    }

    #[test]
    fn an_owner_is_followed_as_far_as_the_api_says() {
        let mut pod = Pod::of(&shop(), |_| false).unwrap();
        assert_eq!(pod.unresolved().map(|owner| &*owner.name), Some("shop-7d4b9c6f5"));
        let answer = meta(
            r#"{"metadata":{"uid":"rs-1","ownerReferences":[{"kind":"Deployment","name":"shop","uid":"d-1","controller":true}]}}"#,
        );
        pod.resolve(Some(&answer));
        assert_eq!(pod.workload().map(|owner| (owner.kind, &*owner.name)), Some((OwnerKind::Deployment, "shop")));
        assert!(pod.unresolved().is_none());
    }

    #[test]
    fn a_deployment_is_known_by_its_hash_where_the_api_says_nothing() {
        let mut pod = Pod::of(&shop(), |_| false).unwrap();
        pod.resolve(None);
        assert_eq!(pod.workload().map(|owner| &*owner.name), Some("shop"));
        let mut other = Pod::of(&shop(), |_| false).unwrap();
        // One that was made anew under the same name is not who owns this.
        other.resolve(Some(&meta(r#"{"metadata":{"uid":"rs-2"}}"#)));
        assert_eq!(other.workload().map(|owner| &*owner.name), Some("shop"));
    }

    #[test]
    fn a_replica_set_of_nobody_stays_what_it_is() {
        let mut pod = Pod::of(&shop(), |_| false).unwrap();
        pod.resolve(Some(&meta(r#"{"metadata":{"uid":"rs-1"}}"#)));
        assert_eq!(pod.workload().map(|owner| owner.kind), Some(OwnerKind::ReplicaSet));
        let mut unlabelled = shop();
        unlabelled.metadata.labels.remove("pod-template-hash");
        let mut pod = Pod::of(&unlabelled, |_| false).unwrap();
        pod.resolve(None);
        assert_eq!(pod.workload().map(|owner| owner.kind), Some(OwnerKind::ReplicaSet));
    }

    #[test]
    fn hostile_pods_are_bounded() {
        let mut object = shop();
        for n in 0..1000 {
            object.metadata.labels.insert(format!("l{n}"), "x".repeat(100));
            object.metadata.annotations.insert(format!("{ATTRIBUTES}a{n}"), "x".repeat(65536));
            object.spec.containers.push(ContainerSpec { name: format!("c{n}"), ..Default::default() });
        }
        object.metadata.labels.insert("a\u{1b}[2J".into(), "b".into());
        object.metadata.labels.insert("a".into(), "b\nc".into());
        let pod = Pod::of(&object, |_| true).unwrap();
        assert!(pod.bytes() < 64 << 10, "{}", pod.bytes());
        assert!(pod.containers.len() <= 64 && pod.labels.len() <= 64);
        assert!(pod.labels.iter().chain(&pod.annotations).all(|(k, v)| !k.contains('\u{1b}') && !v.contains('\n')));
        object.metadata.name = "a\nb".into();
        assert_eq!(Pod::of(&object, |_| true), None);
        assert_eq!(Pod::of(&PodObject::default(), |_| true), None);
    }

    #[test]
    fn an_image_is_its_name_and_its_tag() {
        for (text, parts) in [
            ("nginx", ("nginx", "")),
            ("registry:5000/acme/shop:1.2", ("registry:5000/acme/shop", "1.2")),
            ("registry:5000/acme/shop", ("registry:5000/acme/shop", "")),
            ("shop@sha256:00", ("shop", "")),
            ("shop:1.2@sha256:00", ("shop", "1.2")),
        ] {
            assert_eq!(image(text), parts);
        }
    }
}
