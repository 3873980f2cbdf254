//! Resources, each kept once however many spans belong to it.

use std::collections::HashMap;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::intern::{Interner, Sym};
use super::terms::{self, Term};
use wirespan_delivery::otlp::encode;
use wirespan_signals::Resource;

/// Memory of one attribute beside its texts, and of a resource beside its attributes.
const ATTRIBUTE: usize = 56;
const OVERHEAD: usize = 320;

/// Where a resource is. Valid while somebody has taken it and not given it back.
pub type ResourceId = u32;

/// One resource.
#[derive(Debug)]
pub struct Entry {
    /// The process.
    pub resource: Arc<Resource>,
    /// `service.name`.
    pub service: Sym,
    /// What it is called in pieces and on disk: never used again for another.
    pub number: u64,
    /// Its attributes, to search by.
    pub terms: Box<[Term]>,
    /// As protobuf; what tells resources apart.
    encoded: Arc<[u8]>,
    uses: u64,
    bytes: usize,
}

/// A resource came or went, for those who keep a copy.
#[derive(Clone, Debug)]
pub enum Change {
    /// It is new.
    Added(u64, Arc<[u8]>),
    /// Nobody uses it any more.
    Removed(u64),
}

/// The resources.
#[derive(Debug, Default)]
pub struct Resources {
    slots: Vec<Option<Entry>>,
    free: Vec<ResourceId>,
    /// By the address of the `Resource`, which its entry keeps alive.
    by_address: FxHashMap<usize, ResourceId>,
    by_content: HashMap<Arc<[u8]>, ResourceId>,
    by_number: FxHashMap<u64, ResourceId>,
    next_number: u64,
    bytes: usize,
    /// What happened since [`Resources::changes`] was asked, if anybody wants to know.
    changes: Vec<Change>,
}

impl Resources {
    /// The id of `resource`, with one more use of it.
    pub fn take(&mut self, resource: &Arc<Resource>, texts: &mut Interner) -> ResourceId {
        let address = Arc::as_ptr(resource) as usize;
        let known = self.by_address.get(&address).copied();
        let id = known.unwrap_or_else(|| {
            let mut encoded = Vec::new();
            encode::resource_message(&mut encoded, resource);
            match self.by_content.get(&encoded[..]) {
                Some(id) => *id,
                None => self.add(resource, encoded.into(), self.next_number, texts),
            }
        });
        self.again(id)
    }

    /// One more use of a resource that is in use.
    pub fn again(&mut self, id: ResourceId) -> ResourceId {
        if let Some(entry) = &mut self.slots[id as usize] {
            entry.uses += 1;
        }
        id
    }

    /// Brings back a resource that was kept on disk. It has no use yet, see [`Resources::forget_unused`].
    pub fn restore(&mut self, resource: &Arc<Resource>, number: u64, texts: &mut Interner) {
        let mut encoded = Vec::new();
        encode::resource_message(&mut encoded, resource);
        if !self.by_number.contains_key(&number) {
            self.add(resource, encoded.into(), number, texts);
        }
    }

    /// What comes from here on has this number and those after it.
    pub fn number_from(&mut self, number: u64) {
        self.next_number = number;
    }

    fn add(&mut self, resource: &Arc<Resource>, encoded: Arc<[u8]>, number: u64, texts: &mut Interner) -> ResourceId {
        self.next_number = self.next_number.max(number + 1);
        let letters: usize = resource.attributes.iter().map(|a| a.key.len() + terms::letters(&a.value)).sum();
        let mut found = Vec::new();
        resource.attributes.iter().for_each(|a| terms::of(a, &mut found));
        let terms: Box<[Term]> = found.into();
        let bytes = OVERHEAD + letters + encoded.len() + resource.attributes.len() * ATTRIBUTE + terms.len() * 4;
        self.bytes += bytes;
        let service = texts.take(resource.service_name());
        self.changes.push(Change::Added(number, Arc::clone(&encoded)));
        let entry = Entry {
            resource: Arc::clone(resource),
            service,
            number,
            terms,
            encoded: Arc::clone(&encoded),
            uses: 0,
            bytes,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(entry);
                id
            }
            None => {
                self.slots.push(Some(entry));
                (self.slots.len() - 1) as ResourceId
            }
        };
        self.by_address.insert(Arc::as_ptr(resource) as usize, id);
        self.by_number.insert(number, id);
        // What the disk brings back may be known by now under a number of its own.
        self.by_content.entry(encoded).or_insert(id);
        id
    }

    /// Gives one use back. The last one forgets the resource.
    pub fn release(&mut self, id: ResourceId, texts: &mut Interner) {
        let Some(entry) = &mut self.slots[id as usize] else { return };
        entry.uses -= 1;
        if entry.uses == 0 {
            self.forget(id, texts);
        }
    }

    /// Forgets what was restored and belongs to no span.
    pub fn forget_unused(&mut self, texts: &mut Interner) {
        let unused: Vec<ResourceId> = (0..self.slots.len() as ResourceId)
            .filter(|id| self.slots[*id as usize].as_ref().is_some_and(|entry| entry.uses == 0))
            .collect();
        unused.into_iter().for_each(|id| self.forget(id, texts));
    }

    fn forget(&mut self, id: ResourceId, texts: &mut Interner) {
        let Some(entry) = self.slots[id as usize].take() else { return };
        self.by_address.remove(&(Arc::as_ptr(&entry.resource) as usize));
        self.by_number.remove(&entry.number);
        if self.by_content.get(&entry.encoded) == Some(&id) {
            self.by_content.remove(&entry.encoded);
        }
        self.bytes -= entry.bytes;
        texts.release(entry.service);
        self.changes.push(Change::Removed(entry.number));
        self.free.push(id);
    }

    /// The entry of an id in use.
    pub fn get(&self, id: ResourceId) -> Option<&Entry> {
        self.slots.get(id as usize)?.as_ref()
    }

    /// The entry of a number in use.
    pub fn by_number(&self, number: u64) -> Option<&Entry> {
        self.get(*self.by_number.get(&number)?)
    }

    /// Every id and entry.
    pub fn all(&self) -> impl Iterator<Item = (ResourceId, &Entry)> {
        self.slots.iter().enumerate().filter_map(|(id, entry)| Some((id as ResourceId, entry.as_ref()?)))
    }

    /// Every number with its encoded resource.
    pub fn encoded(&self) -> Vec<(u64, Arc<[u8]>)> {
        self.all().map(|(_, entry)| (entry.number, Arc::clone(&entry.encoded))).collect()
    }

    /// What came and went since the last call.
    pub fn changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirespan_delivery::testing::resource;

    #[test]
    fn alike_resources_are_one_and_the_last_span_takes_it_along() {
        let (mut texts, mut resources) = (Interner::default(), Resources::default());
        let (one, same, other) = (resource("shop"), resource("shop"), resource("stock"));
        let a = resources.take(&one, &mut texts);
        assert_eq!(resources.take(&same, &mut texts), a);
        assert_ne!(resources.take(&other, &mut texts), a);
        assert_eq!(texts.text(resources.get(a).unwrap().service), "shop");
        assert_eq!(resources.changes().len(), 2);
        resources.release(a, &mut texts);
        assert!(resources.get(a).is_some());
        resources.release(a, &mut texts);
        assert!(resources.get(a).is_none());
        assert!(matches!(resources.changes()[..], [Change::Removed(0)]));
    }

    #[test]
    fn a_number_is_never_used_twice() {
        let (mut texts, mut resources) = (Interner::default(), Resources::default());
        resources.restore(&resource("old"), 7, &mut texts);
        let id = resources.take(&resource("new"), &mut texts);
        assert_eq!(resources.get(id).unwrap().number, 8);
        resources.forget_unused(&mut texts);
        assert!(resources.by_number(7).is_none() && resources.by_number(8).is_some());
    }
}
