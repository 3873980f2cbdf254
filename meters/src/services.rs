//! Whom figures are about: services, each with a resource that its processes have in common.
//!
//! A process is no good subject of a metric: a service may start one for every request, and each would begin all series anew.
//! So what is told by process (`process.*`) is left out, and `service.instance.id` is made of what stays: a service in one
//! container, or on one host.

use std::sync::{Arc, Weak};

use rustc_hash::FxHashMap;
use wirespan_signals::{KeyValue, Resource, instance_id};

use crate::instruments::{FAMILIES, OF_SERVICES};
use crate::spans;
use crate::table::Table;

/// The most services at one time.
const MAX_SERVICES: usize = 4096;
/// A service of which nothing was measured for so long is forgotten, nanoseconds.
const FORGET_AFTER: u64 = 3600 * 1_000_000_000;
/// Processes are looked through for those that ended when there are this many more than then.
const SWEEP_AFTER: usize = 256;

/// A service, and what was measured of it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) resource: Arc<Resource>,
    identity: String,
    bytes: usize,
    /// When something was last measured.
    pub(crate) last: u64,
    /// One for each family, in their order.
    pub(crate) tables: Box<[Table]>,
}

/// All services.
#[derive(Debug, Default)]
pub(crate) struct Services {
    all: FxHashMap<u32, Service>,
    by_identity: FxHashMap<String, u32>,
    /// By the address of a process's resource, which the weak reference keeps from being used again.
    by_process: FxHashMap<usize, (Weak<Resource>, u32)>,
    swept: usize,
    next: u32,
}

impl Services {
    /// The service of a process, begun if there is `room` for one more. With it the bytes that are held more than before.
    pub(crate) fn of(&mut self, resource: &Arc<Resource>, now: u64, room: bool) -> (Option<&mut Service>, usize) {
        let address = Arc::as_ptr(resource) as usize;
        let (mut number, mut grown) = (self.by_process.get(&address).map(|(_, number)| *number), 0);
        if number.is_none() {
            let identity = spans::identity(resource);
            number = self.by_identity.get(&identity).copied();
            if number.is_none() && room && self.all.len() < MAX_SERVICES {
                let service = Service::new(resource, identity, now);
                grown = service.bytes;
                number = Some(self.next);
                self.by_identity.insert(service.identity.clone(), self.next);
                self.all.insert(self.next, service);
                self.next += 1;
            }
            if let Some(number) = number {
                self.sweep();
                self.by_process.insert(address, (Arc::downgrade(resource), number));
            }
        }
        let service = number.and_then(|number| self.all.get_mut(&number));
        (service, grown)
    }

    /// Lets go of processes that ended.
    fn sweep(&mut self) {
        if self.by_process.len() < self.swept + SWEEP_AFTER {
            return;
        }
        self.by_process.retain(|_, (process, _)| process.strong_count() > 0);
        self.swept = self.by_process.len();
    }

    /// Forgets services of which nothing was measured for long. Returns how many, and their series and bytes.
    pub(crate) fn forget(&mut self, now: u64) -> Vec<Forgotten> {
        let old =
            |(number, service): (&u32, &Service)| (now.saturating_sub(service.last) > FORGET_AFTER).then_some(*number);
        let old: Vec<u32> = self.all.iter().filter_map(old).collect();
        let forgotten = old.iter().filter_map(|number| self.all.remove(number)).map(|service| {
            self.by_identity.remove(&service.identity);
            let series = service.tables.iter().map(Table::len).sum();
            let bytes = service.bytes + service.tables.iter().map(Table::bytes).sum::<usize>();
            Forgotten { series, bytes }
        });
        let forgotten = forgotten.collect();
        self.by_process.retain(|_, (_, number)| !old.contains(number));
        forgotten
    }

    /// Their numbers, in the order in which they began.
    pub(crate) fn numbers(&self) -> Vec<u32> {
        let mut numbers: Vec<u32> = self.all.keys().copied().collect();
        numbers.sort_unstable();
        numbers
    }

    /// One of them.
    pub(crate) fn get(&self, number: u32) -> Option<&Service> {
        self.all.get(&number)
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

/// What went with a service that was forgotten.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forgotten {
    pub(crate) series: usize,
    pub(crate) bytes: usize,
}

impl Service {
    pub(crate) fn new(resource: &Resource, identity: String, now: u64) -> Self {
        let tables: Box<[Table]> = FAMILIES[..OF_SERVICES].iter().map(|_| Table::default()).collect();
        let bytes = 3 * identity.capacity() + size_of_val(&*tables) + size_of::<Self>() + 512;
        Self { resource: Arc::new(of_service(resource, &identity)), identity, bytes, last: now, tables }
    }
}

/// A resource without what is told by process.
fn of_service(resource: &Resource, identity: &str) -> Resource {
    let kept = resource.attributes.iter().filter(|attribute| spans::is_of_service(attribute));
    let mut attributes: Vec<KeyValue> = kept.cloned().collect();
    // A container of a pod that is known is an instance itself, whichever of its processes is meant.
    let container = ["k8s.pod.uid", "k8s.container.name"].iter().all(|key| resource.get(key).is_some());
    let own = resource.get("service.instance.id").filter(|_| container);
    let instance = own.map_or_else(|| instance_id(identity), str::to_string);
    let after_name = attributes.iter().position(|attribute| attribute.key == "service.name").map_or(0, |at| at + 1);
    attributes.insert(after_name, KeyValue::str("service.instance.id", instance));
    Resource { attributes }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(service: &str, pid: i64) -> Arc<Resource> {
        let name = KeyValue::str("service.name", service.to_owned());
        let instance = KeyValue::str("service.instance.id", pid.to_string());
        Arc::new(Resource { attributes: vec![name, instance, KeyValue::int("process.pid", pid)] })
    }

    #[test]
    fn processes_of_one_service_are_one_resource() {
        let mut services = Services::default();
        let (a, b, other) = (process("shop", 1), process("shop", 2), process("stock", 3));
        for resource in [&a, &b, &other, &a] {
            assert!(services.of(resource, 1, true).0.is_some());
        }
        assert_eq!(services.len(), 2);
        let shop = services.get(0).unwrap();
        let keys: Vec<_> = shop.resource.attributes.iter().map(|a| a.key.as_ref()).collect();
        assert_eq!(keys, ["service.name", "service.instance.id"]);
        assert_ne!(shop.resource.get("service.instance.id"), Some("1"));
    }

    #[test]
    fn a_container_of_a_pod_is_the_instance_that_its_spans_say() {
        let mut resource = Resource { attributes: process("shop", 1).attributes.clone() };
        resource.attributes.push(KeyValue::str("k8s.pod.uid", "u"));
        resource.attributes.push(KeyValue::str("k8s.container.name", "web"));
        let mut services = Services::default();
        services.of(&Arc::new(resource), 1, true);
        assert_eq!(services.get(0).unwrap().resource.get("service.instance.id"), Some("1"));
    }

    #[test]
    fn without_room_none_begins_and_the_known_go_on() {
        let mut services = Services::default();
        let known = process("shop", 1);
        services.of(&known, 1, true);
        assert!(services.of(&process("stock", 2), 1, false).0.is_none());
        assert!(services.of(&process("shop", 3), 1, false).0.is_some());
    }

    #[test]
    fn processes_that_ended_are_let_go_of() {
        let mut services = Services::default();
        for pid in 0..10_000 {
            services.of(&process("shop", pid), 1, true);
        }
        assert!(services.by_process.len() <= 2 * SWEEP_AFTER, "{}", services.by_process.len());
    }

    #[test]
    fn a_service_of_which_nothing_comes_is_forgotten_and_begins_anew() {
        let mut services = Services::default();
        let (old, new) = (process("old", 1), process("new", 2));
        services.of(&old, 0, true);
        services.of(&new, FORGET_AFTER, true);
        assert_eq!(services.forget(FORGET_AFTER + 1).len(), 1);
        assert_eq!(services.len(), 1);
        let (service, grown) = services.of(&old, FORGET_AFTER + 2, true);
        assert!(service.is_some() && grown > 0);
    }
}
