//! One trace as it is kept: a row for each span to search and reckon by, and the spans themselves in pieces.

use std::sync::Arc;

use rustc_hash::{FxHashMap, FxHashSet};

use super::intern::Sym;
use super::resources::ResourceId;
use super::roots::Roots;
use super::terms::Term;
use wirespan_signals::SpanKind;

/// Spans up to which a trace is looked at as a whole for each of its pieces.
const SMALL: usize = 256;
/// What an allocation takes beside its size.
const ALLOCATION: usize = 16;

/// What is asked of every span, without reading its piece.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Span id.
    pub id: u64,
    /// Parent's id, 0 for a root.
    pub parent: u64,
    /// Unix time, nanoseconds.
    pub start: u64,
    /// Nanoseconds.
    pub duration: u64,
    /// Process.
    pub resource: ResourceId,
    /// The service of `resource`.
    pub service: Sym,
    /// Span name.
    pub name: Sym,
    /// What speaks: `http`, `postgresql`.
    pub protocol: Sym,
    /// Whom a caller or sender spoke to, as far as it knows: empty otherwise.
    pub peer: Sym,
    /// `error.type`, empty if there is none.
    pub error_type: Sym,
    /// The HTTP status code, 0 if there is none.
    pub http_status: u16,
    /// Kind.
    pub kind: SpanKind,
    /// It failed.
    pub error: bool,
    /// The parent belongs to a process that this agent may not see.
    pub remote: bool,
}

/// A receiver's span names the span that sent the message.
#[derive(Clone, Copy, Debug)]
pub struct MessageLink {
    /// Trace of the sender.
    pub trace_id: [u8; 16],
    /// Span of the sender.
    pub span_id: u64,
    /// Row of the receiver.
    pub row: u32,
}

/// How long a trace is kept, compared with others.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Class {
    /// As long as there is room.
    #[default]
    Ordinary,
    /// Longer: something failed in it, or it is slow for its kind.
    Kept,
    /// It goes first: sampling dropped it, and it is here because there is room.
    Dispensable,
}

/// A piece, and what it is called on disk.
#[derive(Clone, Debug)]
pub struct Piece {
    /// Never used again for another.
    pub number: u64,
    /// See [`super::piece`].
    pub bytes: Arc<[u8]>,
}

/// A trace.
#[derive(Debug)]
pub struct Stored {
    /// Trace id.
    pub id: [u8; 16],
    /// First start, Unix time in nanoseconds.
    pub start: u64,
    /// Last end.
    pub end: u64,
    /// Index of the row that stands for the whole.
    pub root: u32,
    /// Failed spans.
    pub errors: u32,
    /// Rows that the statistics know already.
    pub reckoned: u32,
    /// The last change of it, see [`super::Memory::changed_since`].
    pub change: u64,
    /// Class.
    pub class: Class,
    /// One for each span, in the order of arrival.
    pub rows: Vec<Row>,
    /// Hashes of the spans' attributes. The first `sorted` are in order, each once.
    pub terms: Vec<Term>,
    sorted: usize,
    /// Senders of messages.
    pub links: Vec<MessageLink>,
    /// The spans.
    pub pieces: Vec<Piece>,
    /// Memory that the pieces' bytes take: a sum that is asked for with every piece.
    pieces_bytes: usize,
    /// Bytes of them once they are decompressed.
    pub plain: usize,
    /// Which spans have no parent, once it is too long to look at all of them.
    roots: Option<Box<Roots>>,
}

impl Stored {
    /// A trace without spans.
    pub fn new(id: [u8; 16]) -> Self {
        Self {
            id,
            start: u64::MAX,
            end: 0,
            root: 0,
            errors: 0,
            reckoned: 0,
            change: 0,
            class: Class::Ordinary,
            rows: Vec::new(),
            terms: Vec::new(),
            sorted: 0,
            links: Vec::new(),
            pieces: Vec::new(),
            pieces_bytes: 0,
            plain: 0,
            roots: None,
        }
    }

    /// Nanoseconds from its first start to its last end.
    pub fn duration(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// The row that stands for the whole.
    pub fn root(&self) -> Option<&Row> {
        self.rows.get(self.root as usize)
    }

    /// Memory held beyond its place in the table.
    pub fn bytes(&self) -> usize {
        self.pieces_bytes
            + self.rows.capacity() * size_of::<Row>()
            + self.terms.capacity() * size_of::<Term>()
            + self.links.capacity() * size_of::<MessageLink>()
            + self.pieces.capacity() * size_of::<Piece>()
            + self.roots.as_ref().map_or(0, |roots| roots.bytes() + size_of::<Roots>() + ALLOCATION)
            + 3 * ALLOCATION
    }

    /// Keeps a piece.
    pub fn push_piece(&mut self, piece: Piece) {
        self.pieces_bytes += piece.bytes.len() + 16 + ALLOCATION;
        if self.pieces.len() < 16 {
            self.pieces.reserve_exact(1);
        }
        self.pieces.push(piece);
    }

    /// So many rows are to come. (Most traces get all of theirs at once, and no room for others.)
    pub fn expect_rows(&mut self, rows: usize) {
        if self.rows.is_empty() {
            self.rows.reserve_exact(rows);
        }
    }

    /// Keeps hashes of attributes, which are put in order, each once.
    pub fn add_terms(&mut self, terms: &mut Vec<Term>) {
        terms.sort_unstable();
        terms.dedup();
        if self.terms.is_empty() {
            self.terms.reserve_exact(terms.len());
        }
        self.terms.extend_from_slice(terms);
    }

    /// Takes what a new piece says about times and errors into account, and looks for the root anew.
    pub fn settle_rows(&mut self, from: usize) {
        for row in &self.rows[from..] {
            self.start = self.start.min(row.start);
            self.end = self.end.max(row.start.saturating_add(row.duration));
            self.errors += u32::from(row.error);
        }
        if self.rows.len() <= SMALL || from == 0 {
            self.root = self.find_root();
            self.rows.shrink_to_fit();
            self.links.shrink_to_fit();
            self.settle_terms();
            self.terms.shrink_to_fit();
            return;
        }
        match &mut self.roots {
            Some(roots) => roots.add(&self.rows, from),
            None => self.roots = Some(Box::new(Roots::of(&self.rows))),
        }
        self.root = self.roots.as_ref().and_then(|roots| roots.first()).unwrap_or(0);
        // In steps that grow with the trace: all together then cost what sorting once does, times a logarithm.
        if self.terms.len() - self.sorted > (self.sorted / 4).max(SMALL) {
            self.settle_terms();
        }
    }

    /// A stable sort finds that most of them are in order already, and merges.
    fn settle_terms(&mut self) {
        self.terms.sort();
        self.terms.dedup();
        self.sorted = self.terms.len();
    }

    /// Whether some span of it has this attribute, as far as hashes tell.
    pub fn has_term(&self, term: Term) -> bool {
        let (sorted, new) = self.terms.split_at(self.sorted);
        sorted.binary_search(&term).is_ok() || new.contains(&term)
    }

    /// The span without a parent here, the earliest first.
    fn find_root(&self) -> u32 {
        let has_parent_here: Box<dyn Fn(&Row) -> bool> = if self.rows.len() <= 16 {
            Box::new(|row| row.parent != 0 && self.rows.iter().any(|other| other.id == row.parent))
        } else {
            let places = self.places();
            Box::new(move |row| row.parent != 0 && places.contains_key(&row.parent))
        };
        let roots = self.rows.iter().enumerate().filter(|(_, row)| !has_parent_here(row));
        // Only spans that are each other's parents leave none.
        roots.min_by_key(|(_, row)| row.start).map_or(0, |(at, _)| at as u32)
    }

    /// The link of a row. Links are in the order of their rows.
    pub fn link_of(&self, row: u32) -> Option<&MessageLink> {
        self.links.binary_search_by_key(&row, |link| link.row).ok().map(|at| &self.links[at])
    }

    /// The links of the rows from `from` on.
    pub fn links_from(&self, from: usize) -> &[MessageLink] {
        &self.links[self.links.partition_point(|link| (link.row as usize) < from)..]
    }

    /// Where each span id is among the rows.
    pub fn places(&self) -> FxHashMap<u64, u32> {
        self.rows.iter().enumerate().map(|(at, row)| (row.id, at as u32)).collect()
    }

    /// Every service of it, that of the root first.
    pub fn services(&self) -> Vec<Sym> {
        let mut services: Vec<Sym> = self.root().map(|row| row.service).into_iter().collect();
        let mut seen: FxHashSet<Sym> = services.iter().copied().collect();
        services.extend(self.rows.iter().map(|row| row.service).filter(|service| seen.insert(*service)));
        services
    }
}
