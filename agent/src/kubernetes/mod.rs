//! What the Kubernetes API says of the pods of this node, and of whom they talk to.
//!
//! | module | what it is |
//! |---|---|
//! | [`client`], [`door`] | requests, each of which has an end; the one connection |
//! | `watch` | follows a collection |
//! | `pods`, `owners` | the pods of this node, and what they are part of |
//! | [`peers`] | whose addresses are |
//!
//! Nothing waits for it. A process whose pod is not known yet is called what it would be called without, and called anew when
//! the pod is; spans that are still open then get the name, too.

pub mod client;
pub mod door;
mod owners;
pub mod peers;
mod pods;
#[cfg(test)]
mod tests;
mod watch;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use rustc_hash::FxHashSet;
use tokio::runtime::Handle;
use wirespan_kubernetes::follow::Follow;
use wirespan_kubernetes::names::Wanted;
use wirespan_kubernetes::objects::{ServiceObject, SliceObject};
use wirespan_kubernetes::peers::Feed;
use wirespan_kubernetes::pod::Pod;
use wirespan_kubernetes::pods::{Found, Pods};
use wirespan_signals::KeyValue;

use self::door::Door;
use self::peers::{Claimed, Claims, Neighbours};
use crate::discovery::cgroup::Cgroup;

/// Follows the API for as long as the runtime runs.
pub fn follow(door: Arc<Door>, cluster: &Arc<Cluster>, runtime: &Handle) {
    let pods = pods::of_node(&door.config().node);
    let own = pods::OwnPods { door: Arc::clone(&door), cluster: Arc::clone(cluster), owners: Default::default() };
    runtime.spawn(watch::follow(Arc::clone(&door), pods, own));
    let Some(peers) = cluster.peers() else { return };
    let claimed = || Claimed { door: Arc::clone(&door), peers: Arc::clone(peers) };
    runtime.spawn(watch::follow(Arc::clone(&door), Follow::<SliceObject>::new(SliceObject::PATH, ""), claimed()));
    runtime.spawn(watch::follow(Arc::clone(&door), Follow::<ServiceObject>::new(ServiceObject::PATH, ""), claimed()));
    runtime.spawn(peers::learn(Arc::clone(&door), Arc::clone(cluster), Arc::clone(peers)));
}

/// What is known of the cluster; shared by who learns it and who asks.
#[derive(Debug, Default)]
pub struct Cluster {
    wanted: Wanted,
    pods: RwLock<Pods>,
    /// Who is at the other end of what these pods do, if that is asked for.
    peers: Option<Arc<Neighbours>>,
    /// `k8s.cluster.uid`, empty as long as it is not known.
    uid: RwLock<Box<str>>,
    /// Pods of which something changed, by uid.
    changed: Mutex<FxHashSet<Box<str>>>,
    /// Whether there are any; looked at every few milliseconds.
    any: AtomicBool,
}

impl Cluster {
    /// Nothing is known yet.
    pub fn new(wanted: Wanted) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Peers are named, too.
    pub fn with_peers(self) -> Self {
        Self { peers: Some(Arc::default()), ..self }
    }

    /// Who names peers, if anybody does.
    pub fn peers(&self) -> Option<&Arc<Neighbours>> {
        self.peers.as_ref()
    }

    /// What is said of pods.
    pub fn wanted(&self) -> &Wanted {
        &self.wanted
    }

    /// The pod in which a process of this control group runs.
    pub fn find(&self, cgroup: &Cgroup) -> Option<Found> {
        cgroup.container_id.as_ref()?;
        let pods = self.pods.read().unwrap_or_else(PoisonError::into_inner);
        pods.find(cgroup.pod_uid.as_deref(), cgroup.container_id.as_deref())
    }

    /// Everything that is said of a process there but its service's name.
    pub fn attributes(&self, found: &Found) -> Vec<KeyValue> {
        let mut set = self.wanted.attributes(found);
        let uid = self.uid.read().unwrap_or_else(PoisonError::into_inner);
        if !uid.is_empty() {
            set.push(KeyValue::str("k8s.cluster.uid", uid.to_string()));
        }
        set
    }

    /// Pods of which something changed since this was last asked.
    pub fn take_changed(&self) -> FxHashSet<Box<str>> {
        if !self.any.swap(false, Ordering::Acquire) {
            return FxHashSet::default();
        }
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many pods there are, about how many bytes they take, and how many found no room.
    pub fn figures(&self) -> (usize, usize, u64) {
        let pods = self.pods.read().unwrap_or_else(PoisonError::into_inner);
        (pods.len(), pods.bytes(), pods.refused())
    }

    /// A pod is like this now.
    pub fn put(&self, pod: Pod) {
        let uids = [pod.uid.clone(), pod.hash.clone()];
        if self.pods.write().unwrap_or_else(PoisonError::into_inner).put(pod) {
            self.tell(uids);
        }
    }

    /// A pod is gone; what ran in it is called what it was called.
    pub fn remove(&self, uid: &str) {
        self.pods.write().unwrap_or_else(PoisonError::into_inner).remove(uid);
        self.peers.iter().for_each(|peers| peers.remove(Feed::Pods, uid));
    }

    /// Only these pods are there.
    pub fn keep(&self, uids: &FxHashSet<Box<str>>) {
        self.pods.write().unwrap_or_else(PoisonError::into_inner).keep(uids);
        self.peers.iter().for_each(|peers| peers.keep(Feed::Pods, uids));
    }

    /// The cluster has this uid.
    pub fn identify(&self, uid: &str) {
        *self.uid.write().unwrap_or_else(PoisonError::into_inner) = uid.into();
    }

    fn tell(&self, uids: impl IntoIterator<Item = Box<str>>) {
        let mut changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        changed.extend(uids.into_iter().filter(|uid| !uid.is_empty()));
        self.any.store(true, Ordering::Release);
    }
}
