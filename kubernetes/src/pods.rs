//! The pods of this node, as the API last told of them.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::pod::{Container, Pod};

/// The most pods of a node: Kubernetes' own limit is 110 unless it is raised, and nobody raises it so far.
const MAX: usize = 2048;
/// Pods that are remembered when the API has forgotten them, since their processes may be asked about later.
const GONE: usize = 512;

/// Bytes of all pods together: four times what as many usual ones take.
const MAX_BYTES: usize = 16 << 20;

/// All pods of a node.
#[derive(Debug, Default)]
pub struct Pods {
    all: FxHashMap<Box<str>, Arc<Pod>>,
    /// Uids by what control groups have in their place.
    hashes: FxHashMap<Box<str>, Box<str>>,
    /// Uids of those that are there no longer, the oldest first.
    gone: VecDeque<Box<str>>,
    /// Pods for which there was no room.
    refused: u64,
    /// About so many bytes are held.
    bytes: usize,
}

/// Where a process runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The pod.
    pub pod: Arc<Pod>,
    /// Which of its containers, and how many lives that had before; `None` as long as the kubelet has not said.
    pub container: Option<(usize, u32)>,
}

impl Found {
    /// The container.
    pub fn container(&self) -> Option<&Container> {
        self.pod.containers.get(self.container?.0)
    }
}

impl Pods {
    /// Takes in a pod. Returns whether it is another than before.
    pub fn put(&mut self, pod: Pod) -> bool {
        if self.all.get(&pod.uid).is_some_and(|known| **known == pod) {
            self.gone.retain(|uid| *uid != pod.uid);
            return false;
        }
        let before = self.all.get(&pod.uid).map_or(0, |known| known.bytes());
        let bytes = self.bytes - before + pod.bytes();
        if (before == 0 && self.all.len() >= MAX + GONE) || bytes > MAX_BYTES {
            self.refused += 1;
            return false;
        }
        self.bytes = bytes;
        if !pod.hash.is_empty() {
            self.hashes.insert(pod.hash.clone(), pod.uid.clone());
        }
        self.gone.retain(|uid| *uid != pod.uid);
        self.all.insert(pod.uid.clone(), Arc::new(pod));
        true
    }

    /// The API knows this pod no longer. Its processes may live a while.
    pub fn remove(&mut self, uid: &str) {
        if !self.all.contains_key(uid) || self.gone.iter().any(|gone| **gone == *uid) {
            return;
        }
        self.gone.push_back(uid.into());
        if self.gone.len() > GONE
            && let Some(oldest) = self.gone.pop_front()
            && let Some(pod) = self.all.remove(&oldest)
        {
            self.bytes -= pod.bytes();
            // (Its copy may have been made anew, with the same hash and another uid.)
            if self.hashes.get(&pod.hash) == Some(&oldest) {
                self.hashes.remove(&pod.hash);
            }
        }
    }

    /// A list has come to its end: what it did not have is gone.
    pub fn keep(&mut self, listed: &FxHashSet<Box<str>>) {
        let missing: Vec<Box<str>> = self.all.keys().filter(|uid| !listed.contains(*uid)).cloned().collect();
        missing.iter().for_each(|uid| self.remove(uid));
    }

    /// The pod in which a process runs, by what its control group shows. A pod is known by its uid alone; the container must be
    /// that pod's. Where no uid shows (a neighbour in the agent's own pod), the container must be one pod's and no other's.
    pub fn find(&self, pod_uid: Option<&str>, container_id: Option<&str>) -> Option<Found> {
        let id = container_id.unwrap_or_default();
        let pod = match pod_uid {
            Some(uid) => self.get(uid)?,
            None => {
                let mut those = self.all.values().filter(|pod| pod.container(id).is_some());
                let pod = those.next()?;
                those.next().is_none().then_some(pod)?
            }
        };
        let found = pod.container(id).and_then(|(container, restarts)| {
            let at = pod.containers.iter().position(|it| std::ptr::eq(it, container))?;
            Some((at, restarts))
        });
        Some(Found { pod: Arc::clone(pod), container: found })
    }

    /// The pod of a uid, or of a static pod's hash.
    pub fn get(&self, uid: &str) -> Option<&Arc<Pod>> {
        self.all.get(uid).or_else(|| self.all.get(self.hashes.get(uid)?))
    }

    /// How many there are, those that are gone left out.
    pub fn len(&self) -> usize {
        self.all.len() - self.gone.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Pods for which there was no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// About so many bytes.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::tests::shop;

    const UID: &str = "6f0e2c1a-7b3d-4e5f-8a9b-0c1d2e3f4a5b";

    fn pods() -> Pods {
        let mut pods = Pods::default();
        assert!(pods.put(Pod::of(&shop(), |_| false).unwrap()));
        pods
    }

    fn named(pods: &Pods, uid: Option<&str>, id: &str) -> Option<(String, Option<String>)> {
        let found = pods.find(uid, Some(id))?;
        Some((found.pod.name.to_string(), found.container().map(|container| container.name.to_string())))
    }

    #[test]
    fn a_process_is_found_by_its_pod_and_its_container() {
        let pods = pods();
        let name = "shop-7d4b9c6f5-x2k8q".to_string();
        assert_eq!(named(&pods, Some(UID), &"1".repeat(64)), Some((name.clone(), Some("web".into()))));
        assert_eq!(named(&pods, None, &"1".repeat(64)), Some((name.clone(), Some("web".into()))));
        assert_eq!(named(&pods, Some(UID), &"9".repeat(64)), Some((name, None)), "the kubelet has not said yet");
        assert_eq!(named(&pods, Some("00000000-7b3d-4e5f-8a9b-0c1d2e3f4a5b"), &"1".repeat(64)), None);
        assert_eq!(named(&pods, None, &"9".repeat(64)), None);
    }

    #[test]
    fn a_container_that_two_pods_claim_is_nobodys_unless_its_control_group_says_whose() {
        let mut pods = pods();
        let mut thief = shop();
        thief.metadata.uid = "11111111-7b3d-4e5f-8a9b-0c1d2e3f4a5b".into();
        thief.metadata.name = "thief".into();
        assert!(pods.put(Pod::of(&thief, |_| false).unwrap()));
        assert_eq!(named(&pods, None, &"1".repeat(64)), None);
        assert_eq!(named(&pods, Some(UID), &"1".repeat(64)).unwrap().0, "shop-7d4b9c6f5-x2k8q");
    }

    const HASH: &str = "0123456789abcdef0123456789abcdef";

    fn static_pod(uid: &str) -> Pod {
        let mut object = shop();
        object.metadata.uid = uid.into();
        object.metadata.annotations.insert("kubernetes.io/config.hash".into(), HASH.into());
        Pod::of(&object, |_| false).unwrap()
    }

    /// Pods that come and go, until what was gone before them is forgotten.
    fn forget_what_is_gone(pods: &mut Pods) {
        for n in 0..GONE {
            let mut other = shop();
            other.metadata.uid = format!("u{n}");
            pods.put(Pod::of(&other, |_| false).unwrap());
            pods.remove(&format!("u{n}"));
        }
    }

    #[test]
    fn a_static_pod_is_found_by_its_hash() {
        let mut pods = Pods::default();
        pods.put(static_pod(UID));
        assert!(named(&pods, Some(HASH), "").is_some());
    }

    #[test]
    fn a_static_pod_whose_copy_was_made_anew_is_found_when_the_old_one_is_forgotten() {
        let mut pods = Pods::default();
        pods.put(static_pod("old"));
        pods.put(static_pod("new"));
        pods.remove("old");
        forget_what_is_gone(&mut pods);
        assert!(pods.get("old").is_none());
        assert_eq!(pods.get(HASH).map(|pod| &*pod.uid), Some("new"));
        pods.remove("new");
        forget_what_is_gone(&mut pods);
        assert!(pods.get(HASH).is_none() && pods.hashes.is_empty());
    }

    #[test]
    fn what_is_gone_is_known_for_a_while_and_what_comes_back_is_there() {
        let mut pods = pods();
        pods.remove(UID);
        assert_eq!(pods.len(), 0);
        assert!(pods.get(UID).is_some());
        assert!(!pods.put(Pod::of(&shop(), |_| false).unwrap()));
        assert_eq!(pods.len(), 1);
        pods.keep(&FxHashSet::default());
        assert_eq!(pods.len(), 0);
        forget_what_is_gone(&mut pods);
        assert!(pods.get(UID).is_none());
    }

    #[test]
    fn a_flood_of_pods_is_bounded_and_counted() {
        let mut pods = Pods::default();
        let mut other = shop();
        for n in 0..MAX + GONE + 10 {
            other.metadata.uid = format!("u{n}");
            pods.put(Pod::of(&other, |_| false).unwrap());
        }
        assert_eq!(pods.len(), MAX + GONE);
        assert_eq!(pods.refused(), 10);
        assert!(pods.bytes() < MAX_BYTES / 2, "usual pods have room: {}", pods.bytes());
    }

    #[test]
    fn hostile_pods_take_no_more_than_all_together_may() {
        let (mut pods, mut object) = (Pods::default(), shop());
        for n in 0..64 {
            object.metadata.labels.insert(format!("l{n}"), "x".repeat(1000));
        }
        for n in 0..MAX {
            object.metadata.uid = format!("u{n}");
            pods.put(Pod::of(&object, |_| false).unwrap());
        }
        assert!(pods.bytes() <= MAX_BYTES && pods.refused() > 0, "{} bytes, {} refused", pods.bytes(), pods.refused());
        (0..MAX).for_each(|n| pods.remove(&format!("u{n}")));
        let kept: usize = pods.all.values().map(|pod| pod.bytes()).sum();
        assert_eq!(pods.bytes(), kept);
    }

    #[test]
    fn ten_thousand_pods_come_and_go_and_no_process_gets_the_wrong_one() {
        let mut pods = Pods::default();
        let uid = |n: usize| format!("{n:08x}-0000-4000-8000-000000000000");
        let id = |n: usize| format!("{n:064x}");
        let mut object = shop();
        for n in 0..10_000 {
            object.metadata.uid = uid(n);
            object.metadata.name = format!("pod-{n}");
            // Addresses and names of containers are used again and again.
            object.status.container_statuses[0].container_id = format!("containerd://{}", id(n));
            object.status.container_statuses[0].last_state = Default::default();
            pods.put(Pod::of(&object, |_| false).unwrap());
            if n >= 110 {
                pods.remove(&uid(n - 110));
            }
            for asked in [n, n.saturating_sub(50), n.saturating_sub(300), n.saturating_sub(2000)] {
                match pods.find(Some(&uid(asked)), Some(&id(asked))) {
                    Some(found) => {
                        assert_eq!(*found.pod.name, format!("pod-{asked}"));
                        assert_eq!(found.container().map(|container| &*container.name), Some("web"));
                    }
                    None => assert!(n - asked > GONE, "pod {asked} at {n}"),
                }
                assert_eq!(pods.find(Some(&uid(asked + 20_000)), Some(&id(asked))), None);
            }
        }
    }
}
