//! Whose an address is, and since when that is proven.
//!
//! Objects claim addresses: an EndpointSlice those of a Service's pods, a Service its own, and each pod of this node its own and
//! its node's. A claim holds from when it was heard until its object takes it back. Addresses are used again, so one is told only
//! of what began while it held, when nobody else claims the address, and some time after somebody else did: a pod that ends may
//! be taken back later than its address is given to the next.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::claims::{Claims, Subject};

/// For how long nobody is named by an address that somebody else had, nanoseconds: the API tells of ends with some delay.
pub const MARGIN: u64 = 10_000_000_000;
/// For how long after a collection could not be followed any further is believed what it said last, nanoseconds.
const GRACE: u64 = 10_000_000_000;
/// Bytes of everything that is kept: seven times what 5 000 pods take.
const MAX_BYTES: usize = 16 << 20;
/// Addresses given up that are remembered.
const MAX_ENDED: usize = 65_536;
/// About so many bytes of an address with one claim, where it is and where it is from, the texts left out.
const CLAIM: usize = 208;
/// About so many bytes of an object that claims addresses.
const OBJECT: usize = 144;

/// Collections whose objects claim addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feed {
    /// Pods of this node.
    Pods,
    /// EndpointSlices of the cluster.
    Slices,
    /// Services of the cluster.
    Services,
}

/// What is at an address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Peer {
    /// What it is.
    pub kind: PeerKind,
    /// Its name.
    pub name: Box<str>,
    /// Its namespace; a node has none.
    pub namespace: Box<str>,
    /// What manages a pod in the end, as `Deployment` and its name.
    pub owner: Option<(&'static str, Box<str>)>,
    /// The node that a pod runs on.
    pub node: Box<str>,
    /// `service.name` of what is there, empty if that is none.
    pub service: Box<str>,
    /// `service.namespace` of what is there.
    pub service_namespace: Box<str>,
}

/// What can be at an address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PeerKind {
    /// A pod.
    #[default]
    Pod,
    /// A Service, of whose pods one answers.
    Service,
    /// A node: its own programs, and pods that have its network.
    Node,
}

/// Which pod claims an address; nothing else is known of it as long as nobody asks.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct PodName {
    /// Its namespace.
    pub namespace: Arc<str>,
    /// Its name.
    pub name: Box<str>,
    /// Its uid.
    pub uid: Box<str>,
}

/// What is known of an address.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// Nothing that is proven.
    Unknown,
    /// Which pod it is, of which nothing is known yet.
    Ask(Arc<PodName>),
    /// This.
    Is(Arc<Peer>),
}

/// Somebody has an address.
#[derive(Debug)]
struct Claim {
    subject: Subject,
    /// Nothing that began earlier is of this.
    from: u64,
    /// Objects that say so.
    by: u32,
    /// What was asked about the pod: `Some(None)` if nothing can be learned of it.
    learned: Option<Option<Arc<Peer>>>,
}

#[derive(Debug, Default)]
struct Address {
    claims: Vec<Claim>,
    /// Who had it last, and until when.
    before: Option<(Claim, u64)>,
}

/// Who has which address.
#[derive(Debug)]
pub struct Peers {
    addresses: FxHashMap<IpAddr, Address>,
    /// What each object claims, by collection and uid.
    objects: [FxHashMap<Box<str>, Claims>; 3],
    /// Since when a collection is not followed; from the beginning none is.
    broken: [Option<u64>; 3],
    /// What pods of this node are, by uid.
    own: FxHashMap<Box<str>, Arc<Peer>>,
    /// Addresses that were given up, the oldest first.
    ended: VecDeque<(u64, IpAddr)>,
    /// Nobody is named for what began earlier: more was given up at once than is remembered.
    floor: u64,
    /// Objects for which there was no room.
    refused: u64,
    bytes: usize,
}

impl Default for Peers {
    fn default() -> Self {
        Self {
            addresses: FxHashMap::default(),
            objects: Default::default(),
            broken: [Some(0); 3],
            own: FxHashMap::default(),
            ended: VecDeque::new(),
            floor: 0,
            refused: 0,
            bytes: 0,
        }
    }
}

impl Peers {
    /// An object claims these addresses, and no others any more.
    pub fn put(&mut self, feed: Feed, uid: &str, claims: Claims, now: u64) {
        self.forget(now);
        let before = self.objects[feed as usize].remove(uid).unwrap_or_default();
        if !before.is_empty() {
            self.bytes -= weight(uid, &before);
        }
        let weight = weight(uid, &claims);
        let claims = if claims.is_empty() || self.bytes + weight <= MAX_BYTES {
            claims
        } else {
            self.refused += 1;
            Vec::new()
        };
        let (old, new): (FxHashSet<_>, FxHashSet<_>) = (before.iter().collect(), claims.iter().collect());
        // What it takes back comes first: whoever comes next must know when.
        old.difference(&new).for_each(|(ip, subject)| self.close(*ip, subject, now));
        new.difference(&old).for_each(|(ip, subject)| self.open(*ip, subject, now));
        if !claims.is_empty() {
            self.bytes += weight;
            self.objects[feed as usize].insert(uid.into(), claims);
        }
    }

    /// A pod of this node is this to others.
    pub fn own(&mut self, uid: &str, peer: Peer) {
        self.bytes += peer_weight(&peer);
        if let Some(before) = self.own.insert(uid.into(), Arc::new(peer)) {
            self.bytes -= peer_weight(&before);
        }
    }

    /// An object is gone.
    pub fn remove(&mut self, feed: Feed, uid: &str, now: u64) {
        self.put(feed, uid, Vec::new(), now);
        if feed == Feed::Pods
            && let Some(peer) = self.own.remove(uid)
        {
            self.bytes -= peer_weight(&peer);
        }
    }

    /// A list has come to its end: what it did not have is gone, and what it had is all that there is.
    pub fn keep(&mut self, feed: Feed, listed: &FxHashSet<Box<str>>, now: u64) {
        let own = self.own.keys().filter(|_| feed == Feed::Pods);
        let known = self.objects[feed as usize].keys().chain(own);
        let missing: Vec<Box<str>> = known.filter(|uid| !listed.contains(*uid)).cloned().collect();
        missing.iter().for_each(|uid| self.remove(feed, uid, now));
    }

    /// A collection is followed.
    pub fn follows(&mut self, feed: Feed) {
        self.broken[feed as usize] = None;
    }

    /// A collection is not followed for now: who gets an address meanwhile is not told.
    pub fn lost(&mut self, feed: Feed, now: u64) {
        self.broken[feed as usize].get_or_insert(now);
    }

    /// What was learned of a pod that claims an address; `None` if nothing can be.
    pub fn learn(&mut self, ip: IpAddr, uid: &str, peer: Option<Arc<Peer>>) {
        let Some(address) = self.addresses.get_mut(&ip) else { return };
        let is_it = |claim: &&mut Claim| matches!(&claim.subject, Subject::Pod(pod) if *pod.uid == *uid);
        let Some(claim) = address.claims.iter_mut().find(is_it) else { return };
        let before = claim.weight();
        claim.learned = Some(peer);
        self.bytes = self.bytes + claim.weight() - before;
    }

    /// Who was at an address when something began there that is over, or goes on.
    pub fn who(&self, ip: IpAddr, began: u64) -> Answer {
        let Some(address) = self.addresses.get(&ip.to_canonical()) else { return Answer::Unknown };
        let believed = |broken: &Option<u64>| broken.is_none_or(|at| at > 0 && began <= at.saturating_add(GRACE));
        let proven = address.claims.iter().all(|claim| claim.from <= began) && began >= self.floor;
        if !proven || !self.broken.iter().all(believed) {
            return Answer::Unknown;
        }
        let mut peer: Option<&Arc<Peer>> = None;
        for claim in &address.claims {
            let next = match &claim.subject {
                Subject::Is(peer) => peer,
                Subject::Pod(pod) => match (self.own.get(&pod.uid), &claim.learned) {
                    (Some(peer), _) | (None, Some(Some(peer))) => peer,
                    (None, None) => return Answer::Ask(Arc::clone(pod)),
                    (None, Some(None)) => return Answer::Unknown,
                },
            };
            if peer.is_some_and(|other| other != next) {
                return Answer::Unknown;
            }
            peer = Some(next);
        }
        peer.map_or(Answer::Unknown, |peer| Answer::Is(Arc::clone(peer)))
    }

    /// Addresses that somebody has.
    pub fn len(&self) -> usize {
        self.addresses.len()
    }

    /// Whether nobody has any.
    pub fn is_empty(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Objects for which there was no room.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// About so many bytes.
    pub fn bytes(&self) -> usize {
        self.bytes + self.ended.len() * size_of::<(u64, IpAddr)>()
    }

    fn open(&mut self, ip: IpAddr, subject: &Subject, now: u64) {
        let address = self.addresses.entry(ip).or_default();
        if let Some(claim) = address.claims.iter_mut().find(|claim| claim.subject == *subject) {
            claim.by += 1;
            return;
        }
        let anew = |from| Claim { subject: subject.clone(), from, by: 1, learned: None };
        let claim = match address.before.take() {
            // It moved from one object to another.
            Some((same, _)) if same.subject == *subject => Claim { by: 1, ..same },
            Some((other, until)) => {
                self.bytes -= other.weight();
                anew(now.max(until.saturating_add(MARGIN)))
            }
            None => anew(now),
        };
        address.claims.reserve_exact(1);
        address.claims.push(claim);
    }

    fn close(&mut self, ip: IpAddr, subject: &Subject, now: u64) {
        let Some(address) = self.addresses.get_mut(&ip) else { return };
        let Some(at) = address.claims.iter().position(|claim| claim.subject == *subject) else { return };
        address.claims[at].by -= 1;
        if address.claims[at].by > 0 {
            return;
        }
        let gone = address.claims.swap_remove(at);
        for other in &mut address.claims {
            other.from = other.from.max(now.saturating_add(MARGIN));
        }
        if let Some((before, _)) = address.before.replace((gone, now)) {
            self.bytes -= before.weight();
        }
        self.ended.push_back((now, ip));
    }

    /// Forgets who had addresses, when that no longer says anything about who has them now.
    fn forget(&mut self, now: u64) {
        while let Some((ended, ip)) = self.ended.front().copied() {
            let over = |until: u64| until.saturating_add(MARGIN) < now;
            let many = self.ended.len() > MAX_ENDED;
            if !over(ended) && !many {
                return;
            }
            if !over(ended) {
                self.floor = now.saturating_add(MARGIN);
            }
            self.ended.pop_front();
            let Some(address) = self.addresses.get_mut(&ip) else { continue };
            if let Some((claim, _)) = address.before.take_if(|(_, until)| *until <= ended) {
                self.bytes -= claim.weight();
            }
            if address.claims.is_empty() && address.before.is_none() {
                self.addresses.remove(&ip);
            }
        }
    }
}

impl Claim {
    /// About how many bytes what was learned takes.
    fn weight(&self) -> usize {
        self.learned.as_ref().and_then(Option::as_deref).map_or(0, peer_weight)
    }
}

/// About how many bytes an object takes with all that it claims.
fn weight(uid: &str, claims: &[(IpAddr, Subject)]) -> usize {
    let texts = claims.iter().map(|(_, subject)| match subject {
        Subject::Pod(pod) => size_of::<PodName>() + pod.name.len() + pod.uid.len() + 64,
        Subject::Is(peer) => peer_weight(peer),
    });
    OBJECT + uid.len() + claims.len() * CLAIM + texts.sum::<usize>()
}

fn peer_weight(peer: &Peer) -> usize {
    let owner = peer.owner.as_ref().map_or(0, |(_, name)| name.len());
    let texts = [&peer.name, &peer.namespace, &peer.node, &peer.service, &peer.service_namespace];
    size_of::<Peer>() + 112 + owner + texts.iter().map(|text| text.len()).sum::<usize>()
}

#[cfg(test)]
mod tests;
