//! The pods of this node, as the API tells of them.

use std::sync::Arc;

use wirespan_kubernetes::follow::{Change, Follow, encode};
use wirespan_kubernetes::objects::{MetaObject, PodObject};
use wirespan_kubernetes::peers::Feed;
use wirespan_kubernetes::pod::Pod;
use wirespan_kubernetes::text::{NAME, plain};

use super::Cluster;
use super::client::{Client, MAX_OBJECT, Part};
use super::door::Door;
use super::owners::Owners;
use super::watch::Sink;

/// Takes in the pods of this node.
pub(super) struct OwnPods {
    pub(super) door: Arc<Door>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) owners: Owners,
}

/// What is followed: the pods of one node.
pub(super) fn of_node(node: &str) -> Follow<PodObject> {
    Follow::new("/api/v1/pods", &format!("fieldSelector=spec.nodeName%3D{}", encode(node)))
}

impl Sink<PodObject> for OwnPods {
    const MISSING: &'static str = "names of pods";
    const RIGHTS: &'static str = "get, list and watch of pods";

    /// Which cluster this is: its system namespace lives as long as it does.
    async fn begin(&mut self, client: &Client) {
        let answer = client.get("/api/v1/namespaces/kube-system", Part::Metadata, MAX_OBJECT).await;
        match answer.map(|body| serde_json::from_slice::<MetaObject>(&body)) {
            Ok(Ok(namespace)) => {
                if let Some(uid) = plain(&namespace.metadata.uid, NAME) {
                    self.cluster.identify(uid);
                }
            }
            Ok(Err(error)) => log::debug!("the cluster's uid is not known: {error}"),
            Err(trouble) => log::debug!("the cluster's uid is not known: {trouble}"),
        }
    }

    async fn take(&mut self, client: &Client, change: Change<PodObject>) {
        match change {
            Change::Put(object) => self.put(client, &object).await,
            Change::Gone(object) => self.cluster.remove(&object.metadata.uid),
            Change::Only(uids) => self.cluster.keep(&uids),
        }
        let counters = self.door.counters();
        let (pods, bytes, refused) = self.cluster.figures();
        counters.kubernetes_pods.set(pods as u64);
        counters.kubernetes_bytes.set(bytes as u64);
        counters.kubernetes_refused.set(refused);
    }

    fn follows(&mut self) {
        self.cluster.peers().iter().for_each(|peers| peers.follows(Feed::Pods));
    }

    fn lost(&mut self) {
        self.cluster.peers().iter().for_each(|peers| peers.lost(Feed::Pods));
    }

    fn told(&self) -> String {
        format!("Kubernetes names the pods of this node: {} now", self.cluster.figures().0)
    }
}

impl OwnPods {
    async fn put(&mut self, client: &Client, object: &PodObject) {
        let wanted = self.cluster.wanted();
        // (A server may ignore what it was asked to select.)
        let pod = Pod::of(object, |key| wanted.annotation(key)).filter(|pod| *pod.node == *self.door.config().node);
        let Some(mut pod) = pod else {
            self.door.counters().kubernetes_malformed.inc();
            log::debug!("a pod without uid or of another node: {:?}", object.metadata.name);
            return;
        };
        self.owners.resolve(client, &mut pod).await;
        if let Some(peers) = self.cluster.peers() {
            peers.own(object, pod.clone(), self.cluster.wanted());
        }
        self.cluster.put(pod);
    }
}
