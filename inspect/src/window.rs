//! Memory of an image, read from front to back in pieces: large tables take no more room than one piece.

use crate::{Error, Image};

/// Bytes of one piece.
const PIECE: usize = 128 << 10;

/// Some memory of an image.
pub struct Window<'i, 'a> {
    image: &'i Image<'a>,
    end: u64,
    from: u64,
    piece: Vec<u8>,
    /// Bytes that may still be read.
    budget: u64,
}

impl<'i, 'a> Window<'i, 'a> {
    /// Memory up to `end`; all reads together take at most `budget` bytes.
    pub fn new(image: &'i Image<'a>, end: u64, budget: u64) -> Self {
        Self { image, end, from: 0, piece: Vec::new(), budget }
    }

    /// `len` bytes at an address, at most half a piece. Cheap if the addresses asked for grow.
    ///
    /// # Errors
    /// If they are not all there, or too much was read already.
    pub fn bytes(&mut self, address: u64, len: usize) -> Result<&[u8], Error> {
        let end = address.checked_add(len as u64).filter(|end| *end <= self.end && len <= PIECE / 2);
        let end = end.ok_or(Error::Unreadable("a table"))?;
        if address < self.from || end > self.from + self.piece.len() as u64 {
            let size = (self.end - address).min(PIECE as u64);
            self.budget = self.budget.checked_sub(size).ok_or(Error::TooLarge("a table"))?;
            self.piece = self.image.bytes(address, size as usize)?;
            self.from = address;
        }
        let at = (address - self.from) as usize;
        self.piece.get(at..at + len).ok_or(Error::Unreadable("a table"))
    }

    /// The 32-bit number at an address.
    ///
    /// # Errors
    /// As [`bytes`](Self::bytes).
    pub fn u32(&mut self, address: u64) -> Result<u32, Error> {
        self.bytes(address, 4)?.try_into().map(u32::from_le_bytes).map_err(|_| Error::Unreadable("a table"))
    }
}
