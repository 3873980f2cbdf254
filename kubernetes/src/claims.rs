//! Which addresses an object claims.

use std::net::IpAddr;
use std::sync::Arc;

use crate::names::Wanted;
use crate::objects::{IpObject, PodObject, ServiceObject, SliceObject};
use crate::peers::{Peer, PeerKind, PodName};
use crate::pod::Pod;
use crate::pods::Found;
use crate::text::{self, kept, plain};

/// The most endpoints of a slice, by the API's own rule.
const MAX_ENDPOINTS: usize = 1000;
/// The most addresses of one object but a slice: one of each family, usually.
const MAX_ADDRESSES: usize = 8;

/// Whose an address is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Subject {
    /// A pod's, of which nothing but that is known.
    Pod(Arc<PodName>),
    /// Of what is known.
    Is(Arc<Peer>),
}

/// Addresses, each with whose it is.
pub type Claims = Vec<(IpAddr, Subject)>;

/// What an EndpointSlice claims. A pod that was told to end has its address for a while, and nobody knows how long.
pub fn of_slice(slice: &SliceObject) -> Claims {
    let namespace: Arc<str> = kept(&slice.metadata.namespace, text::NAME).into();
    let endpoints = slice.endpoints.iter().flatten().take(MAX_ENDPOINTS);
    let claims = endpoints.filter(|endpoint| endpoint.conditions.terminating != Some(true)).flat_map(|endpoint| {
        let target = &endpoint.target_ref;
        // (A pod of another namespace is none of this Service's.)
        let named = target.kind == "Pod" && (target.namespace.is_empty() || *target.namespace == *namespace);
        let pod = named.then(|| pod_name(&namespace, &target.name, &target.uid)).flatten();
        let addresses = endpoint.addresses.iter().take(MAX_ADDRESSES).filter_map(|text| address(text));
        pod.into_iter().flat_map(move |pod| addresses.clone().map(move |ip| (ip, Subject::Pod(Arc::clone(&pod)))))
    });
    claims.collect()
}

/// What a Service claims.
pub fn of_service(service: &ServiceObject) -> Claims {
    let meta = &service.metadata;
    let (Some(name), Some(namespace)) = (plain(&meta.name, text::NAME), plain(&meta.namespace, text::NAME)) else {
        return Vec::new();
    };
    let peer = Arc::new(Peer {
        kind: PeerKind::Service,
        name: name.into(),
        namespace: namespace.into(),
        service: name.into(),
        service_namespace: namespace.into(),
        ..Peer::default()
    });
    let addresses = service.spec.cluster_ips.iter().take(MAX_ADDRESSES).filter_map(|text| address(text));
    addresses.map(|ip| (ip, Subject::Is(Arc::clone(&peer)))).collect()
}

/// What a pod claims: its own addresses as long as it runs, and for its node the node's.
pub fn of_pod(object: &PodObject) -> Claims {
    let (meta, status) = (&object.metadata, &object.status);
    let addresses =
        |all: &[IpObject]| all.iter().take(MAX_ADDRESSES).filter_map(|it| address(&it.ip)).collect::<Vec<_>>();
    let node = node(&object.spec.node_name).map(|node| Subject::Is(Arc::new(node)));
    let mut claims: Vec<_> = node
        .into_iter()
        .flat_map(|node| addresses(&status.host_ips).into_iter().map(move |ip| (ip, node.clone())))
        .collect();
    let over = matches!(&*status.phase, "Succeeded" | "Failed") || !meta.deletion_timestamp.is_empty();
    let namespace: Arc<str> = kept(&meta.namespace, text::NAME).into();
    if let Some(pod) = pod_name(&namespace, &meta.name, &meta.uid).filter(|_| !over && !object.spec.host_network) {
        claims.extend(addresses(&status.pod_ips).into_iter().map(|ip| (ip, Subject::Pod(Arc::clone(&pod)))));
    }
    claims
}

/// What a pod is to those that it talks to. One that has its node's network cannot be told from the node by an address.
pub fn peer(object: &PodObject, pod: Pod, wanted: &Wanted) -> Option<Peer> {
    if object.spec.host_network {
        return node(&object.spec.node_name);
    }
    let owner = pod.workload().map(|owner| (owner.kind.name(), owner.name.clone()));
    let found = Found { pod: Arc::new(pod), container: None };
    let service = wanted.service(&found);
    Some(Peer {
        kind: PeerKind::Pod,
        name: found.pod.name.clone(),
        namespace: found.pod.namespace.clone(),
        owner,
        node: found.pod.node.clone(),
        service: service.name.into(),
        service_namespace: service.namespace.into(),
    })
}

fn node(name: &str) -> Option<Peer> {
    Some(Peer { kind: PeerKind::Node, name: plain(name, text::NAME)?.into(), ..Peer::default() })
}

fn pod_name(namespace: &Arc<str>, name: &str, uid: &str) -> Option<Arc<PodName>> {
    let (name, uid) = (plain(name, text::NAME)?.into(), plain(uid, text::NAME)?.into());
    (!namespace.is_empty()).then(|| Arc::new(PodName { namespace: Arc::clone(namespace), name, uid }))
}

/// An address that somebody can have for himself.
fn address(text: &str) -> Option<IpAddr> {
    let ip = text.parse::<IpAddr>().ok()?.to_canonical();
    (!ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast()).then_some(ip)
}
