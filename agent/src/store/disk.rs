//! What a disk has to learn.

use std::sync::Arc;

use super::resources::{Change, Resources};
use super::trace::Piece;

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

/// Changes since somebody asked, if anybody will.
#[derive(Debug, Default)]
pub struct Log {
    on: bool,
    ops: Vec<Op>,
    bytes: usize,
}

impl Log {
    /// A piece was taken.
    pub fn added(&mut self, piece: &Piece, resources: &mut Resources) {
        self.resources(resources);
        if self.on {
            self.bytes += piece.bytes.len();
            self.ops.push(Op::Add(piece.clone()));
        }
    }

    /// Pieces were forgotten.
    pub fn removed(&mut self, pieces: &[Piece], resources: &mut Resources) {
        if self.on {
            self.ops.extend(pieces.iter().map(|piece| Op::Remove(piece.number)));
        }
        self.resources(resources);
    }

    fn resources(&mut self, resources: &mut Resources) {
        let changes = resources.changes();
        if self.on {
            self.ops.extend(changes.into_iter().map(|change| match change {
                Change::Added(number, encoded) => Op::AddResource(number, encoded),
                Change::Removed(number) => Op::RemoveResource(number),
            }));
        }
    }

    /// Memory held.
    pub fn bytes(&self) -> usize {
        self.bytes + self.ops.capacity() * size_of::<Op>()
    }
}
