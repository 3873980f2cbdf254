//! Bytes, wherever they are: in memory or in a file.

/// Something that bytes can be read from, at any place.
pub trait Source {
    /// How many there are.
    fn size(&self) -> u64;

    /// Fills `to` from `offset` on. False if not all of it can be read: then `to` holds anything.
    fn read_at(&self, offset: u64, to: &mut [u8]) -> bool;
}

impl Source for [u8] {
    fn size(&self) -> u64 {
        self.len() as u64
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> bool {
        let from = usize::try_from(offset).ok().and_then(|at| self.get(at..)?.get(..to.len()));
        from.map(|from| to.copy_from_slice(from)).is_some()
    }
}

impl Source for Vec<u8> {
    fn size(&self) -> u64 {
        self.as_slice().size()
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> bool {
        self.as_slice().read_at(offset, to)
    }
}

/// A file, read as it is now: not mapped, so that one that shrinks is an error and no signal.
impl Source for std::fs::File {
    fn size(&self) -> u64 {
        self.metadata().map_or(0, |meta| meta.len())
    }

    fn read_at(&self, offset: u64, to: &mut [u8]) -> bool {
        std::os::unix::fs::FileExt::read_exact_at(self, to, offset).is_ok()
    }
}
