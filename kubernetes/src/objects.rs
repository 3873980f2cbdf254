//! Kubernetes' objects, as the API writes them; of each only what is read here.
//!
//! Everything may be missing: what a server leaves out is empty.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

/// `metadata` of any object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Meta {
    /// Name, unique within its kind and namespace.
    pub name: String,
    /// Namespace, empty for what has none.
    pub namespace: String,
    /// Unique for all time.
    pub uid: String,
    /// Which state of the cluster shows it so.
    pub resource_version: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// Whose part it is.
    pub owner_references: Vec<OwnerReference>,
    /// When it was told to end; empty as long as it was not.
    pub deletion_timestamp: String,
}

/// An object that another is a part of.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct OwnerReference {
    /// `ReplicaSet`, `Job`, …
    pub kind: String,
    /// Its name, in the same namespace.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Whether it is the one that manages the part.
    pub controller: bool,
}

/// What collections are made of.
pub trait Object: DeserializeOwned {
    /// What every object has.
    fn meta(&self) -> &Meta;
}

impl Object for PodObject {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Object for SliceObject {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

impl Object for ServiceObject {
    fn meta(&self) -> &Meta {
        &self.metadata
    }
}

/// Any object of which only the metadata is read.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct MetaObject {
    /// Its metadata.
    pub metadata: Meta,
}

/// A pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodObject {
    /// Its metadata.
    pub metadata: Meta,
    /// What was asked for.
    pub spec: PodSpec,
    /// What the kubelet says of it.
    pub status: PodStatus,
}

/// `spec` of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodSpec {
    /// The node that it runs on, empty until that is decided.
    pub node_name: String,
    /// It has the node's own addresses.
    pub host_network: bool,
    /// Its containers.
    pub containers: Vec<ContainerSpec>,
    /// What runs before them; sidecars are here, too.
    pub init_containers: Vec<ContainerSpec>,
    /// What was put in later, to debug.
    pub ephemeral_containers: Vec<ContainerSpec>,
}

/// A container of a pod's `spec`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerSpec {
    /// Its name, unique in the pod.
    pub name: String,
    /// The image that was asked for.
    pub image: String,
}

/// `status` of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct PodStatus {
    /// `Running`, or another.
    pub phase: String,
    /// Its addresses.
    #[serde(rename = "podIPs")]
    pub pod_ips: Vec<IpObject>,
    /// Those of its node.
    #[serde(rename = "hostIPs")]
    pub host_ips: Vec<IpObject>,
    /// States of its containers.
    pub container_statuses: Vec<ContainerStatus>,
    /// States of what runs before them, sidecars among it.
    pub init_container_statuses: Vec<ContainerStatus>,
    /// States of what was put in later.
    pub ephemeral_container_statuses: Vec<ContainerStatus>,
}

/// What the kubelet says of a container.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ContainerStatus {
    /// Its name in the pod.
    pub name: String,
    /// `containerd://ID` of its life now, empty before the first.
    #[serde(rename = "containerID")]
    pub container_id: String,
    /// The image that runs.
    pub image: String,
    /// The image with its digest.
    #[serde(rename = "imageID")]
    pub image_id: String,
    /// How many lives it had before.
    pub restart_count: u32,
    /// The life before.
    pub last_state: LastState,
}

/// The life of a container before this one.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct LastState {
    /// How it ended.
    pub terminated: Terminated,
}

/// How a container ended.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct Terminated {
    /// `containerd://ID` of that life.
    #[serde(rename = "containerID")]
    pub container_id: String,
}

/// An address.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct IpObject {
    /// As text.
    pub ip: String,
}

/// An EndpointSlice: where some of a Service's pods are.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct SliceObject {
    /// Its metadata.
    pub metadata: Meta,
    /// The pods. (Of none, the server writes `null`.)
    pub endpoints: Option<Vec<EndpointObject>>,
}

/// One of a Service's pods.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct EndpointObject {
    /// Where it is.
    pub addresses: Vec<String>,
    /// How it is.
    pub conditions: EndpointConditions,
    /// What it is.
    pub target_ref: TargetReference,
}

/// How an endpoint is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct EndpointConditions {
    /// It was told to end.
    pub terminating: Option<bool>,
}

/// What an endpoint is.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct TargetReference {
    /// `Pod`, usually.
    pub kind: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// A Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceObject {
    /// Its metadata.
    pub metadata: Meta,
    /// What was asked for.
    pub spec: ServiceSpec,
}

/// `spec` of a Service.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ServiceSpec {
    /// Its addresses in the cluster; `None` of one that has none.
    #[serde(rename = "clusterIPs")]
    pub cluster_ips: Vec<String>,
}

/// A page of a list.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, bound(deserialize = "T: Deserialize<'de>"))]
pub struct List<T> {
    /// Of the list itself.
    pub metadata: ListMeta,
    /// What is in it. (Of none, some servers write `null`.)
    pub items: Option<Vec<T>>,
}

impl<T> Default for List<T> {
    fn default() -> Self {
        Self { metadata: ListMeta::default(), items: None }
    }
}

/// `metadata` of a list.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct ListMeta {
    /// From where to watch.
    pub resource_version: String,
    /// What to ask the next page with; empty on the last.
    #[serde(rename = "continue")]
    pub next: String,
}
