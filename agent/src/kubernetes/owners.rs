//! Who owns what owns a pod: the Deployment of a ReplicaSet, the CronJob of a Job.

use rustc_hash::FxHashMap;
use wirespan_kubernetes::follow::{Trouble, encode};
use wirespan_kubernetes::objects::MetaObject;
use wirespan_kubernetes::pod::{Owner, Pod};

use super::client::{Client, MAX_OBJECT, Part};

/// Owners that are remembered, of whom all pods of a workload have the same.
const MAX_OWNERS: usize = 1024;

/// What the API said of ReplicaSets and Jobs, by uid.
#[derive(Default)]
pub struct Owners(FxHashMap<Box<str>, Option<MetaObject>>);

impl Owners {
    /// Follows a pod's owners up to the last.
    pub async fn resolve(&mut self, client: &Client, pod: &mut Pod) {
        if let Some(owner) = pod.unresolved().cloned() {
            self.ask_for(client, pod, &owner).await;
            pod.resolve(self.0.get(&owner.uid).and_then(Option::as_ref));
        }
    }

    /// Asks who owns an owner, once.
    async fn ask_for(&mut self, client: &Client, pod: &Pod, owner: &Owner) {
        let Some((group, kind)) = owner.kind.path().filter(|_| !self.0.contains_key(&owner.uid)) else { return };
        if self.0.len() >= MAX_OWNERS {
            self.0.clear();
        }
        let path = format!("{group}/namespaces/{}/{kind}/{}", encode(&pod.namespace), encode(&owner.name));
        let answer = match client.get(&path, Part::Metadata, MAX_OBJECT).await {
            Ok(body) => serde_json::from_slice::<MetaObject>(&body).ok().map(slimmed),
            // It is gone, or not ours to see: the same answer would come again.
            Err(Trouble::Status(404) | Trouble::Forbidden(_)) => None,
            Err(trouble) => return log::debug!("{}: {trouble}", owner.name),
        };
        self.0.insert(owner.uid.clone(), answer);
    }
}

/// Of what owns something, who owns that is all that is kept.
fn slimmed(mut object: MetaObject) -> MetaObject {
    object.metadata.labels.clear();
    object.metadata.annotations.clear();
    object.metadata.owner_references.retain(|owner| owner.controller);
    object
}
