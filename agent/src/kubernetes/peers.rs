//! Who is at the other end: whose addresses are, as EndpointSlices and Services tell, and what the pods are that are talked to.
//!
//! What spans lack at first is asked for while they leave, one pod at a time, and never waited for.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use opentelemetry_semantic_conventions::attribute as key;
use rustc_hash::FxHashSet;
use tokio::sync::Notify;
use tokio::time::sleep;
use wirespan_kubernetes::claims;
use wirespan_kubernetes::follow::{Change, Trouble, encode};
use wirespan_kubernetes::names::Wanted;
use wirespan_kubernetes::objects::{Object, PodObject, ServiceObject, SliceObject};
use wirespan_kubernetes::peers::{Answer, Feed, Peer, PeerKind, Peers, PodName};
use wirespan_kubernetes::pod::Pod;

use super::Cluster;
use super::client::{Client, MAX_OBJECT, Part};
use super::door::Door;
use super::owners::Owners;
use super::watch::{Sink, pause};
use crate::export::otlp::backoff::Backoff;
use crate::metrics::Counters;
use crate::span::{KeyValue, Span};

/// Pods that are waited for at one time. Whoever finds no room asks again with its next span.
const MAX_ASKED: usize = 1024;
/// Between two questions about pods: five a second, whatever happens in the cluster.
const PACE: Duration = Duration::from_millis(200);

/// Whose addresses are, and who is to be asked about.
#[derive(Debug, Default)]
pub struct Neighbours {
    known: RwLock<Peers>,
    asked: Mutex<Asked>,
    asks: Notify,
}

#[derive(Debug, Default)]
struct Asked {
    queue: VecDeque<(IpAddr, Arc<PodName>)>,
    /// Uids of those in the queue, and of the one that is asked about now.
    uids: FxHashSet<Box<str>>,
}

impl Neighbours {
    /// Says on spans who is at their other ends.
    pub fn name<'a>(&self, spans: impl IntoIterator<Item = &'a mut Span>, counters: &Counters) {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() {
            return;
        }
        for span in spans {
            let Some(ip) = peer_address(span) else { continue };
            match known.who(ip, span.start_unix_nano) {
                Answer::Unknown => {}
                Answer::Ask(pod) => self.ask(ip, pod),
                Answer::Is(peer) => {
                    say(&peer, span);
                    counters.kubernetes_peers_named.inc();
                }
            }
        }
    }

    /// A pod of this node is there, or is like this now.
    pub(super) fn own(&self, object: &PodObject, pod: Pod, wanted: &Wanted) {
        let mut known = self.write();
        known.put(Feed::Pods, &object.metadata.uid, claims::of_pod(object), now());
        if let Some(peer) = claims::peer(object, pod, wanted) {
            known.own(&object.metadata.uid, peer);
        }
    }

    pub(super) fn remove(&self, feed: Feed, uid: &str) {
        self.write().remove(feed, uid, now());
    }

    pub(super) fn keep(&self, feed: Feed, uids: &FxHashSet<Box<str>>) {
        self.write().keep(feed, uids, now());
    }

    pub(super) fn follows(&self, feed: Feed) {
        self.write().follows(feed);
    }

    pub(super) fn lost(&self, feed: Feed) {
        self.write().lost(feed, now());
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, Peers> {
        self.known.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, ip: IpAddr, pod: Arc<PodName>) {
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.queue.len() < MAX_ASKED && asked.uids.insert(pod.uid.clone()) {
            asked.queue.push_back((ip, pod));
            self.asks.notify_one();
        }
    }

    async fn next(&self) -> (IpAddr, Arc<PodName>) {
        loop {
            let next = self.asked.lock().unwrap_or_else(PoisonError::into_inner).queue.pop_front();
            match next {
                Some(next) => return next,
                None => self.asks.notified().await,
            }
        }
    }

    /// There is an answer, or none for now: who needs one asks again.
    fn answered(&self, pod: &PodName) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).uids.remove(&pod.uid);
    }
}

/// Unix time, nanoseconds, as spans have it.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
}

/// The other end's address, if it may be another machine's.
fn peer_address(span: &Span) -> Option<IpAddr> {
    let text = span.text(key::NETWORK_PEER_ADDRESS).filter(|text| *text != "127.0.0.1" && *text != "::1")?;
    text.parse().ok()
}

/// Says who a peer is: as a service by the conventions, and as an object of Kubernetes by the names that OpenTelemetry's own
/// agent for eBPF has for the two ends of what it sees.
fn say(peer: &Peer, span: &mut Span) {
    // Who is asked says by whom.
    let keys = if span.attribute(key::CLIENT_ADDRESS).is_some() { &SOURCE } else { &DESTINATION };
    let [kind, name, namespace, owner_kind, owner, node] = *keys;
    let mut push = |key: &'static str, value: &str| {
        if !value.is_empty() {
            span.attributes.push(KeyValue::str(key, value.to_owned()));
        }
    };
    push(key::SERVICE_PEER_NAME, &peer.service);
    push(key::SERVICE_PEER_NAMESPACE, &peer.service_namespace);
    push(kind, of_kind(peer.kind));
    push(name, &peer.name);
    push(namespace, &peer.namespace);
    if let Some((kind, name)) = &peer.owner {
        push(owner_kind, kind);
        push(owner, name);
    }
    push(node, &peer.node);
}

const SOURCE: [&str; 6] = [
    "k8s.src.type",
    "k8s.src.name",
    "k8s.src.namespace",
    "k8s.src.owner.type",
    "k8s.src.owner.name",
    "k8s.src.node.name",
];
const DESTINATION: [&str; 6] = [
    "k8s.dst.type",
    "k8s.dst.name",
    "k8s.dst.namespace",
    "k8s.dst.owner.type",
    "k8s.dst.owner.name",
    "k8s.dst.node.name",
];

fn of_kind(kind: PeerKind) -> &'static str {
    match kind {
        PeerKind::Pod => "Pod",
        PeerKind::Service => "Service",
        PeerKind::Node => "Node",
    }
}

/// What claims addresses all over the cluster.
pub(super) trait Claims: Object {
    const FEED: Feed;
    /// Where the API has them.
    const PATH: &'static str;
    const MISSING: &'static str;
    const RIGHTS: &'static str;

    fn claims(&self) -> claims::Claims;
}

impl Claims for SliceObject {
    const FEED: Feed = Feed::Slices;
    const PATH: &'static str = "/apis/discovery.k8s.io/v1/endpointslices";
    const MISSING: &'static str = "peers' names by EndpointSlices";
    const RIGHTS: &'static str =
        "list and watch of endpointslices (apiGroup discovery.k8s.io), or kubernetes-peers: false";

    fn claims(&self) -> claims::Claims {
        claims::of_slice(self)
    }
}

impl Claims for ServiceObject {
    const FEED: Feed = Feed::Services;
    const PATH: &'static str = "/api/v1/services";
    const MISSING: &'static str = "peers' names by Services";
    const RIGHTS: &'static str = "list and watch of services, or kubernetes-peers: false";

    fn claims(&self) -> claims::Claims {
        claims::of_service(self)
    }
}

/// Takes in what claims addresses.
pub(super) struct Claimed {
    pub(super) door: Arc<Door>,
    pub(super) peers: Arc<Neighbours>,
}

impl<T: Claims> Sink<T> for Claimed {
    const MISSING: &'static str = T::MISSING;
    const RIGHTS: &'static str = T::RIGHTS;

    async fn begin(&mut self, _client: &Client) {}

    async fn take(&mut self, _client: &Client, change: Change<T>) {
        match change {
            Change::Put(object) => {
                let claims = object.claims();
                self.peers.write().put(T::FEED, &object.meta().uid, claims, now());
            }
            Change::Gone(object) => self.peers.remove(T::FEED, &object.meta().uid),
            Change::Only(uids) => self.peers.keep(T::FEED, &uids),
        }
        let (known, counters) = (self.peers.known.read().unwrap_or_else(PoisonError::into_inner), self.door.counters());
        counters.kubernetes_addresses.set(known.len() as u64);
        counters.kubernetes_addresses_bytes.set(known.bytes() as u64);
        counters.kubernetes_addresses_refused.set(known.refused());
    }

    fn follows(&mut self) {
        self.peers.follows(T::FEED);
    }

    fn lost(&mut self) {
        self.peers.lost(T::FEED);
    }

    fn told(&self) -> String {
        let known = self.peers.known.read().unwrap_or_else(PoisonError::into_inner).len();
        format!("{} are learned: {known} addresses now", T::MISSING)
    }
}

/// Asks about pods of other nodes that somebody here talks to, each once.
pub(super) async fn learn(door: Arc<Door>, cluster: Arc<Cluster>, peers: Arc<Neighbours>) {
    let (mut owners, mut backoff, mut said) = (Owners::default(), Backoff::default(), false);
    loop {
        let (ip, pod) = peers.next().await;
        door.counters().kubernetes_peers_asked.inc();
        let outcome = match door.client() {
            Ok(client) => ask(&client, &pod, &mut owners, cluster.wanted()).await,
            Err(trouble) => Err(trouble),
        };
        let rest = match outcome {
            Ok(peer) => {
                peers.write().learn(ip, &pod.uid, peer);
                backoff.reset();
                PACE
            }
            Err(trouble) => {
                if matches!(trouble, Trouble::Forbidden(_)) && !std::mem::replace(&mut said, true) {
                    log::warn!("pods of other nodes have no names: {trouble}; the service account needs get of pods");
                }
                pause(&trouble, &mut backoff)
            }
        };
        peers.answered(&pod);
        sleep(rest).await;
    }
}

/// What a pod is to those that it talks to; `None` if there is no such pod.
async fn ask(
    client: &Client,
    pod: &PodName,
    owners: &mut Owners,
    wanted: &Wanted,
) -> Result<Option<Arc<Peer>>, Trouble> {
    let path = format!("/api/v1/namespaces/{}/pods/{}", encode(&pod.namespace), encode(&pod.name));
    // The server's memory has nearly all of them, and is asked first: its store is spared.
    let remembered = client.get(&format!("{path}?resourceVersion=0"), Part::Whole, MAX_OBJECT).await;
    let answer = match remembered {
        Err(Trouble::Status(404)) => client.get(&path, Part::Whole, MAX_OBJECT).await,
        other => other,
    };
    let body = match answer {
        Ok(body) => body,
        Err(Trouble::Status(404)) => return Ok(None),
        Err(trouble) => return Err(trouble),
    };
    // One of the same name, made anew, is another.
    let object: Option<PodObject> = serde_json::from_slice(&body).ok();
    let Some(object) = object.filter(|object| *object.metadata.uid == *pod.uid) else { return Ok(None) };
    let Some(mut known) = Pod::of(&object, |_| false) else { return Ok(None) };
    owners.resolve(client, &mut known).await;
    Ok(claims::peer(&object, known, wanted).map(Arc::new))
}
