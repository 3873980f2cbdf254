//! Processes whose pods or containers become known, or change: they are called anew, and the rules are asked anew.

use std::sync::Arc;

use rustc_hash::FxHashSet;

use super::{Entry, Facts, Process, Processes, called};
use crate::containers::Runtimes;
use crate::kubernetes::Cluster;

impl Processes {
    /// From now on processes are looked for in these pods.
    pub fn look_for_pods(&mut self, cluster: Arc<Cluster>) {
        self.resources.cluster = Some(cluster);
    }

    /// Takes in what changed of pods. Returns processes that are to be traced from now on and were not.
    pub fn follow_pods(&mut self) -> Vec<u32> {
        let Some(cluster) = self.resources.cluster.clone() else { return Vec::new() };
        let changed = cluster.take_changed();
        if changed.is_empty() {
            return Vec::new();
        }
        let concerned = |entry: &Entry| entry.facts.as_ref().is_some_and(|facts| concerns(&changed, facts));
        let those: Vec<u32> = self.table.iter().filter(|(_, entry)| concerned(entry)).map(|(tgid, _)| *tgid).collect();
        those.into_iter().filter(|tgid| self.look_again(*tgid, &cluster)).collect()
    }

    /// From now on runtimes are asked about containers that no file names.
    pub fn ask_runtimes(&mut self, runtimes: Arc<Runtimes>) {
        self.runtimes = Some(runtimes);
    }

    /// Takes in what runtimes said of containers. Returns processes that are to be traced from now on and were not.
    pub fn follow_containers(&mut self) -> Vec<u32> {
        let learned = self.runtimes.as_ref().map(|runtimes| runtimes.take_learned()).unwrap_or_default();
        if learned.is_empty() {
            return Vec::new();
        }
        let of = |entry: &Entry| {
            let facts = entry.facts.as_ref().filter(|facts| facts.container.is_none())?;
            let container = learned.get(facts.cgroup.container_id.as_deref()?)?;
            Some(Arc::new(Facts { container: Some(Arc::clone(container)), ..Facts::clone(facts) }))
        };
        let those: Vec<(u32, Arc<Facts>)> =
            self.table.iter().filter_map(|(tgid, entry)| Some((*tgid, of(entry)?))).collect();
        those.into_iter().filter(|(tgid, facts)| self.call_again(*tgid, facts, true)).map(|(tgid, _)| tgid).collect()
    }

    /// Looks for a process's pod. Returns whether it is to be traced and was not.
    fn look_again(&mut self, tgid: u32, cluster: &Cluster) -> bool {
        let Some(before) = self.table.get(&tgid).and_then(|entry| entry.facts.clone()) else { return false };
        let pod = cluster.find(&before.cgroup);
        if pod == before.pod {
            return false;
        }
        let facts = Arc::new(Facts { pod, ..Facts::clone(&before) });
        self.call_again(tgid, &facts, before.pod.is_none())
    }

    /// Calls a process by what is known of it now, and asks the rules anew. `first`: nobody knew better when spans that are
    /// open were begun, so they get the name, too. Returns whether it is to be traced and was not.
    fn call_again(&mut self, tgid: u32, facts: &Arc<Facts>, first: bool) -> bool {
        let Some(entry) = self.table.get_mut(&tgid) else { return false };
        entry.facts = Some(Arc::clone(facts));
        let Some(process) = entry.process.clone() else { return false };
        let (choice, reason) = self.selection.choose(tgid, facts);
        let named = called(&self.resources, &self.namesakes, tgid, facts, &process);
        let anew = Process { choice, reason, ..named };
        if first {
            let _ = process.later.set(Arc::clone(&anew.resource));
        }
        let heard = anew.is_traced() && !process.is_traced();
        entry.process = Some(Arc::new(anew));
        heard
    }
}

/// Whether a change of these pods concerns a process: by its pod's uid, or where its control group shows none (the agent's own
/// pod), because it is in a container at all.
fn concerns(changed: &FxHashSet<Box<str>>, facts: &Facts) -> bool {
    match &facts.cgroup.pod_uid {
        Some(uid) => changed.contains(uid.as_str()),
        None => facts.cgroup.container_id.is_some(),
    }
}

#[cfg(test)]
mod tests;
