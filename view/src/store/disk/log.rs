//! What a disk has to learn.

use std::sync::Arc;

use crate::store::resources::{Change, Resources};
use crate::store::trace::Piece;

/// Bytes of changes that may wait for the disk. A disk that is further behind learns everything anew, which is in memory
/// anyway.
const MAX_WAITING: usize = 32 << 20;

/// One change.
#[derive(Clone, Debug)]
pub enum Op {
    /// A piece is new.
    Add(Piece),
    /// A piece is forgotten.
    Remove(u64),
    /// A resource is new, as protobuf.
    AddResource(u64, Arc<[u8]>),
    /// A resource is forgotten.
    RemoveResource(u64),
}

/// Changes since the disk asked last, if there is one.
#[derive(Debug, Default)]
pub struct Log {
    on: bool,
    /// What waited was too much.
    behind: bool,
    ops: Vec<Op>,
    bytes: usize,
}

impl Log {
    /// From here on changes are remembered.
    pub fn begin(&mut self) {
        *self = Self { on: true, ..Self::default() };
    }

    /// From here on they are not, since there is no disk to learn them.
    pub fn end(&mut self) {
        *self = Self::default();
    }

    /// The changes since the last call; `None` if there were too many to remember.
    pub fn take(&mut self) -> Option<Vec<Op>> {
        self.bytes = 0;
        let ops = std::mem::take(&mut self.ops);
        (!self.behind).then_some(ops)
    }

    /// A piece was taken.
    pub fn added(&mut self, piece: &Piece, resources: &mut Resources) {
        self.resources(resources);
        self.push(Op::Add(piece.clone()), piece.bytes.len());
    }

    /// Pieces were forgotten.
    pub fn removed(&mut self, pieces: &[Piece], resources: &mut Resources) {
        pieces.iter().for_each(|piece| self.push(Op::Remove(piece.number), 0));
        self.resources(resources);
    }

    fn resources(&mut self, resources: &mut Resources) {
        for change in resources.changes() {
            match change {
                Change::Added(number, encoded) => {
                    let bytes = encoded.len();
                    self.push(Op::AddResource(number, encoded), bytes);
                }
                Change::Removed(number) => self.push(Op::RemoveResource(number), 0),
            }
        }
    }

    fn push(&mut self, op: Op, bytes: usize) {
        if !self.on || self.behind {
            return;
        }
        self.bytes += bytes + size_of::<Op>();
        self.ops.push(op);
        if self.bytes > MAX_WAITING {
            self.behind = true;
            (self.ops, self.bytes) = (Vec::new(), 0);
        }
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(number: u64, bytes: usize) -> Piece {
        Piece { number, bytes: vec![0; bytes].into() }
    }

    #[test]
    fn without_a_disk_nothing_is_remembered() {
        let (mut log, mut resources) = (Log::default(), Resources::default());
        log.added(&piece(0, 10), &mut resources);
        assert_eq!(log.bytes(), 0);
        log.begin();
        log.added(&piece(1, 10), &mut resources);
        log.removed(&[piece(0, 0)], &mut resources);
        assert!(matches!(log.take().unwrap()[..], [Op::Add(_), Op::Remove(0)]));
        assert_eq!(log.bytes(), 0);
    }

    #[test]
    fn a_disk_that_is_far_behind_learns_everything_anew() {
        let (mut log, mut resources) = (Log::default(), Resources::default());
        log.begin();
        (0..40).for_each(|number| log.added(&piece(number, 1 << 20), &mut resources));
        assert!(log.bytes() == 0 && log.take().is_none() && log.take().is_none());
        log.begin();
        assert!(log.take().unwrap().is_empty());
    }
}
