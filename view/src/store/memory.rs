//! The traces in memory: which there are, and which go first when there is no more room.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use rustc_hash::FxHashMap;

use super::disk::log::Log;
use super::intern::{Interner, Sym};
use super::keys::Keys;
use super::piece::{self, Makers, PieceError};
use super::resources::{ResourceId, Resources};
use super::row;
use super::senders::Senders;
use super::stats::Stats;
use super::terms::Term;
use super::trace::{Class, Piece, Stored};
use wirespan_signals::{Resource, Span, Trace};

/// Spans of one trace beyond which pieces are not taken any more: a trace without end must not drive out all others.
pub const MAX_TRACE_SPANS: usize = 20_000;
/// The same in bytes of the spans before they are compressed: what a reader of the trace has to take.
pub const MAX_TRACE_BYTES: usize = 32 << 20;
/// Rows reckoned at a time, between which others may use the memory.
const RECKONED_AT_ONCE: usize = 20_000;
/// Changes remembered for those who watch.
const MAX_CHANGES: usize = 16_384;
/// Hashes of attributes that there is room for at once, when those of a piece are gathered.
const TERMS_KEPT: usize = 4096;
/// The same of resources.
const RESOURCES_KEPT: usize = 64;

/// How much is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory.
    pub bytes: usize,
    /// Traces.
    pub traces: usize,
}

/// Where a trace is.
pub type Slot = u32;

/// What became of a piece.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inserted {
    /// Spans not taken because their trace is too long.
    pub refused: usize,
    /// Traces that had to go.
    pub evicted: usize,
    /// Spans of those.
    pub evicted_spans: usize,
}

/// Everything that is kept.
pub struct Memory {
    limits: Limits,
    pub(super) texts: Interner,
    pub(super) resources: Resources,
    pub(super) stats: Stats,
    /// What the disk has to learn, if there is one.
    pub(super) log: Log,
    slots: Vec<Option<Stored>>,
    free: Vec<Slot>,
    by_id: HashMap<[u8; 16], Slot>,
    /// In the order of their arrival in the class, as classes are numbered. A trace that changed its class is in both.
    queues: [VecDeque<(Slot, [u8; 16])>; 3],
    /// The last changes: which trace, and its number of that change.
    changes: VecDeque<(Slot, u64)>,
    change: u64,
    next_piece: u64,
    keys: Keys,
    /// Room for the hashes of one piece's attributes, and what encodes pieces.
    terms: Vec<Term>,
    encoder: piece::Encoder,
    /// Room to find the resources of one piece in: by their addresses, and where each is among its resources.
    known: FxHashMap<usize, ResourceId>,
    place_of: FxHashMap<ResourceId, usize>,
    trace_bytes: usize,
    kept_bytes: usize,
    kept_traces: usize,
    spans: usize,
}

impl Memory {
    /// Nothing yet.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            texts: Interner::default(),
            resources: Resources::default(),
            stats: Stats::new(limits.bytes),
            log: Log::default(),
            slots: Vec::new(),
            free: Vec::new(),
            by_id: HashMap::new(),
            queues: Default::default(),
            changes: VecDeque::new(),
            change: 0,
            next_piece: 0,
            keys: Keys::default(),
            terms: Vec::new(),
            encoder: piece::Encoder::default(),
            known: FxHashMap::default(),
            place_of: FxHashMap::default(),
            trace_bytes: 0,
            kept_bytes: 0,
            kept_traces: 0,
            spans: 0,
        }
    }

    /// Takes a piece of a trace, and makes room for it.
    pub fn insert(&mut self, trace: &Trace) -> Inserted {
        let mut inserted = Inserted::default();
        // By convention all spans of a piece have one trace id; what does not is taken apart.
        let mut rest = &trace.spans[..];
        while let Some(first) = rest.first() {
            let same = rest.iter().take_while(|span| span.trace_id == first.trace_id).count();
            let (piece, others) = rest.split_at(same);
            inserted.refused += self.insert_piece(piece);
            rest = others;
        }
        self.make_room(&mut inserted);
        inserted
    }

    /// Takes spans of one trace; the number of those refused.
    fn insert_piece(&mut self, spans: &[Span]) -> usize {
        if !self.has_room(&spans[0].trace_id, spans.len(), 0) {
            return spans.len();
        }
        let (ids, places, numbers) = self.take_resources(spans);
        let piece::Encoded { bytes, plain } = self.encoder.encode(&spans[0].trace_id, spans, &places, &numbers);
        if !self.has_room(&spans[0].trace_id, spans.len(), plain) {
            ids.into_iter().for_each(|id| self.resources.release(id, &mut self.texts));
            self.log.removed(&[], &mut self.resources);
            return spans.len();
        }
        let slot = self.slot_for(&spans[0].trace_id);
        let piece = Piece { number: self.next_piece, bytes };
        self.next_piece += 1;
        self.log.added(&piece, &mut self.resources);
        self.add(slot, spans, &ids, piece, plain);
        0
    }

    /// The resource of each span, its place among the resources of the piece, and the numbers of these.
    fn take_resources(&mut self, spans: &[Span]) -> (Vec<ResourceId>, Vec<usize>, Vec<u64>) {
        let many = spans.len();
        let (mut ids, mut places, mut numbers) = (Vec::with_capacity(many), Vec::with_capacity(many), Vec::new());
        // A resource whose contents are known under another address would be encoded anew for each span.
        let mut known = std::mem::take(&mut self.known);
        let mut place_of = std::mem::take(&mut self.place_of);
        for span in spans {
            let address = Arc::as_ptr(&span.resource) as usize;
            let id = match known.get(&address) {
                Some(id) => self.resources.again(*id),
                None => self.resources.take(&span.resource, &mut self.texts),
            };
            known.insert(address, id);
            places.push(*place_of.entry(id).or_insert_with(|| {
                numbers.push(self.resources.get(id).map_or(0, |entry| entry.number));
                numbers.len() - 1
            }));
            ids.push(id);
        }
        known.clear();
        place_of.clear();
        known.shrink_to(RESOURCES_KEPT);
        place_of.shrink_to(RESOURCES_KEPT);
        (self.known, self.place_of) = (known, place_of);
        (ids, places, numbers)
    }

    /// What comes from here on has these numbers and those after them, and the disk learns it.
    pub fn number_from(&mut self, piece: u64, resource: u64) {
        self.next_piece = piece;
        self.resources.number_from(resource);
        self.log.begin();
    }

    /// Brings back a resource that was kept on disk.
    pub fn restore_resource(&mut self, resource: &Arc<Resource>, number: u64) {
        self.resources.restore(resource, number, &mut self.texts);
    }

    /// Forgets the resources that no piece came for.
    pub fn forget_unused_resources(&mut self) {
        self.resources.forget_unused(&mut self.texts);
        self.log.removed(&[], &mut self.resources);
    }

    /// Brings back a piece that was kept on disk, whose resources are here already. One that is here already is left as it
    /// is.
    ///
    /// # Errors
    /// If it is damaged. Nothing has changed then.
    pub fn restore(&mut self, number: u64, bytes: Arc<[u8]>) -> Result<Inserted, PieceError> {
        let head = piece::open(&bytes)?;
        let mut inserted = Inserted::default();
        let here = |stored: &Stored| stored.pieces.iter().any(|piece| piece.number == number);
        if self.get(&head.trace_id).is_some_and(here) {
            return Ok(inserted);
        }
        let plain = head.plain()?;
        let spans =
            head.spans(&mut Makers::default(), |number| Some(Arc::clone(&self.resources.by_number(number)?.resource)))?;
        if spans.is_empty() || spans.iter().any(|span| span.trace_id != head.trace_id) {
            return Err(PieceError::Nonsense);
        }
        let piece = Piece { number, bytes: Arc::clone(&bytes) };
        if !self.has_room(&head.trace_id, spans.len(), plain) {
            self.log.removed(&[piece], &mut self.resources);
            return Ok(Inserted { refused: spans.len(), ..inserted });
        }
        let slot = self.slot_for(&head.trace_id);
        let ids: Vec<ResourceId> =
            spans.iter().map(|span| self.resources.take(&span.resource, &mut self.texts)).collect();
        self.add(slot, &spans, &ids, piece, plain);
        self.make_room(&mut inserted);
        Ok(inserted)
    }

    /// Whether a trace may have so many more spans, of so many bytes together.
    fn has_room(&self, id: &[u8; 16], spans: usize, plain: usize) -> bool {
        let (has, bytes) = self.get(id).map_or((0, 0), |stored| (stored.rows.len(), stored.plain));
        has + spans <= MAX_TRACE_SPANS && bytes + plain <= MAX_TRACE_BYTES
    }

    /// The trace's slot, made if need be.
    fn slot_for(&mut self, id: &[u8; 16]) -> Slot {
        if let Some(slot) = self.by_id.get(id) {
            return *slot;
        }
        let stored = Stored::new(*id);
        self.trace_bytes += stored.bytes();
        let slot = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(stored);
                slot
            }
            None => {
                self.slots.push(Some(stored));
                (self.slots.len() - 1) as Slot
            }
        };
        self.by_id.insert(*id, slot);
        self.queues[Class::Ordinary as usize].push_back((slot, *id));
        self.tidy();
        slot
    }

    /// Drops what left a queue without being asked for, before there is more of it than of traces.
    fn tidy(&mut self) {
        let (slots, room) = (&self.slots, 2 * self.by_id.len() + 64);
        for (queue, class) in self.queues.iter_mut().zip([Class::Ordinary, Class::Kept, Class::Dispensable]) {
            if queue.len() > room {
                let is_there = |stored: &Stored, id: &[u8; 16]| stored.id == *id && stored.class == class;
                queue.retain(|(slot, id)| slots[*slot as usize].as_ref().is_some_and(|stored| is_there(stored, id)));
            }
        }
    }

    fn add(&mut self, slot: Slot, spans: &[Span], ids: &[ResourceId], piece: Piece, plain: usize) {
        let Some(mut stored) = self.slots[slot as usize].take() else { return };
        let (before, from) = (stored.bytes(), stored.rows.len());
        stored.expect_rows(spans.len());
        let mut terms = std::mem::take(&mut self.terms);
        for (span, resource) in spans.iter().zip(ids) {
            let row = row::of(span, (*resource, &self.resources), &mut self.texts, &mut stored, &mut terms);
            stored.rows.push(row);
            self.keys.learn(&span.attributes);
        }
        stored.add_terms(&mut terms);
        terms.clear();
        terms.shrink_to(TERMS_KEPT);
        self.terms = terms;
        stored.push_piece(piece);
        stored.plain += plain;
        stored.settle_rows(from);
        self.spans += spans.len();
        self.change += 1;
        stored.change = self.change;
        if self.changes.len() == MAX_CHANGES {
            self.changes.pop_front();
        }
        self.changes.push_back((slot, self.change));
        let after = stored.bytes();
        self.trace_bytes = self.trace_bytes + after - before;
        if stored.class == Class::Kept {
            self.kept_bytes = self.kept_bytes + after - before;
        } else if stored.errors > 0 {
            self.keep(slot, &mut stored);
        }
        self.stats.arrived(slot, &stored, from, Instant::now());
        self.slots[slot as usize] = Some(stored);
    }

    /// Names of attributes that begin with `prefix`.
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let resource = self.resources.all().flat_map(|(_, entry)| &entry.resource.attributes).map(|a| a.key.as_ref());
        let all = self.keys.all().chain(resource).filter(|key| key.starts_with(prefix));
        let mut keys: Vec<String> = all.map(str::to_owned).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Does what time demands: reckons traces whose last span has arrived some time ago. `now` is Unix time in seconds.
    /// True if there is more to do, once others had their turn.
    pub fn tick(&mut self, now: u64) -> bool {
        // Taken out, since it looks at the traces while it changes.
        let mut stats = std::mem::take(&mut self.stats);
        let mut texts = std::mem::take(&mut self.texts);
        // A trace that is due twice is reckoned once.
        let mut reckoned: FxHashMap<Slot, bool> = FxHashMap::default();
        let (mut rows, moment) = (0, Instant::now());
        let senders = Senders::new(self);
        while rows < RECKONED_AT_ONCE
            && let Some((slot, id)) = stats.due(moment)
        {
            let stored = self.slots.get(slot as usize).and_then(Option::as_ref).filter(|stored| stored.id == id);
            if let Some(stored) = stored.filter(|_| !reckoned.contains_key(&slot)) {
                rows += stored.rows.len();
                stats.reckon(stored, now, &mut texts, |trace, span| senders.find(trace, span));
                reckoned.insert(slot, stats.is_slow(stored, &mut texts));
            }
        }
        stats.forget_old(now, &mut texts);
        (self.stats, self.texts) = (stats, texts);
        reckoned.into_iter().for_each(|(slot, slow)| self.reckoned(slot, slow));
        rows >= RECKONED_AT_ONCE
    }

    fn reckoned(&mut self, slot: Slot, slow: bool) {
        let Some(mut stored) = self.slots[slot as usize].take() else { return };
        stored.reckoned = stored.rows.len() as u32;
        if slow && stored.class != Class::Kept {
            self.keep(slot, &mut stored);
        }
        self.slots[slot as usize] = Some(stored);
    }

    /// Keeps a trace longer than ordinary ones.
    fn keep(&mut self, slot: Slot, stored: &mut Stored) {
        stored.class = Class::Kept;
        self.kept_bytes += stored.bytes();
        self.kept_traces += 1;
        self.queues[Class::Kept as usize].push_back((slot, stored.id));
    }

    /// A trace that sampling dropped goes before all others, unless it failed or is slow.
    pub fn dispense_with(&mut self, id: &[u8; 16]) {
        let Some(slot) = self.by_id.get(id).copied() else { return };
        if let Some(stored) = self.slots[slot as usize].as_mut().filter(|stored| stored.class == Class::Ordinary) {
            stored.class = Class::Dispensable;
            self.queues[Class::Dispensable as usize].push_back((slot, *id));
        }
    }

    /// Forgets the oldest until everything fits. What sampling dropped goes first; failed and slow traces go last, unless
    /// they take more than half.
    fn make_room(&mut self, inserted: &mut Inserted) {
        while self.by_id.len() > self.limits.traces || self.bytes() > self.limits.bytes {
            let kept_first = self.kept_bytes * 2 > self.limits.bytes || self.kept_traces * 2 > self.limits.traces;
            let [first, last] =
                if kept_first { [Class::Kept, Class::Ordinary] } else { [Class::Ordinary, Class::Kept] };
            let order = [Class::Dispensable, first, last];
            let Some(slot) = order.into_iter().find_map(|class| self.oldest(class)) else { return };
            inserted.evicted += 1;
            inserted.evicted_spans += self.evict(slot);
        }
    }

    /// Takes the oldest trace of a class from its queue.
    fn oldest(&mut self, class: Class) -> Option<Slot> {
        while let Some((slot, id)) = self.queues[class as usize].pop_front() {
            let stored = self.slots[slot as usize].as_ref();
            if stored.is_some_and(|stored| stored.id == id && stored.class == class) {
                return Some(slot);
            }
        }
        None
    }

    fn evict(&mut self, slot: Slot) -> usize {
        let Some(stored) = self.slots[slot as usize].take() else { return 0 };
        let bytes = stored.bytes();
        self.trace_bytes -= bytes;
        if stored.class == Class::Kept {
            self.kept_bytes -= bytes;
            self.kept_traces -= 1;
        }
        self.spans -= stored.rows.len();
        self.by_id.remove(&stored.id);
        self.free.push(slot);
        for row in &stored.rows {
            [row.name, row.protocol, row.peer, row.error_type].into_iter().for_each(|sym| self.texts.release(sym));
            self.resources.release(row.resource, &mut self.texts);
        }
        self.log.removed(&stored.pieces, &mut self.resources);
        stored.rows.len()
    }

    /// The trace of this id.
    pub fn get(&self, id: &[u8; 16]) -> Option<&Stored> {
        self.slots[*self.by_id.get(id)? as usize].as_ref()
    }

    /// Every trace, in no order.
    pub fn all(&self) -> impl Iterator<Item = &Stored> {
        self.slots.iter().flatten()
    }

    /// Number of the last change.
    pub fn change(&self) -> u64 {
        self.change
    }

    /// Traces that changed after that change, the latest change first, each once; and how many changes are not known
    /// any more.
    pub fn changed_since(&self, change: u64) -> (impl Iterator<Item = &Stored>, u64) {
        let first = self.changes.front().map_or(self.change + 1, |(_, change)| *change);
        let forgotten = first.saturating_sub(change + 1);
        let recent = self.changes.iter().rev().take_while(move |(_, number)| *number > change);
        let known = recent
            .filter_map(|(slot, number)| self.slots[*slot as usize].as_ref().filter(|stored| stored.change == *number));
        (known, forgotten)
    }

    /// Every piece, for a disk that has to learn all anew.
    pub fn pieces(&self) -> Vec<Piece> {
        let mut pieces: Vec<Piece> = self.all().flat_map(|stored| stored.pieces.iter().cloned()).collect();
        pieces.sort_unstable_by_key(|piece| piece.number);
        pieces
    }

    /// Traces kept.
    pub fn traces(&self) -> usize {
        self.by_id.len()
    }

    /// Spans kept.
    pub fn span_count(&self) -> usize {
        self.spans
    }

    /// Bounds.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Memory held by everything that grows with what arrives.
    pub fn bytes(&self) -> usize {
        self.trace_bytes
            + self.table_bytes()
            + self.texts.bytes()
            + self.resources.bytes()
            + self.stats.bytes()
            + self.keys.bytes()
            + self.log.bytes()
            + self.changes.capacity() * size_of::<(Slot, u64)>()
    }

    /// Memory of the tables themselves, which do not shrink: what they hold comes and goes.
    fn table_bytes(&self) -> usize {
        // A hash table has room for an eighth more, and a byte beside each entry.
        let ids = self.by_id.capacity() * 8 / 7 * (size_of::<([u8; 16], Slot)>() + 1);
        let queues: usize = self.queues.iter().map(VecDeque::capacity).sum();
        self.slots.capacity() * size_of::<Option<Stored>>()
            + self.free.capacity() * size_of::<Slot>()
            + queues * size_of::<(Slot, [u8; 16])>()
            + ids
    }

    /// Names and services in use.
    pub fn text(&self, sym: Sym) -> &str {
        self.texts.text(sym)
    }
}
