//! Choices made by the bytes of an input, so that a fuzzer that changes a byte changes a choice.

/// The choices that are left. When there are none, each is 0.
pub struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    /// All choices of an input.
    pub fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    /// Whether none is left.
    pub fn is_over(&self) -> bool {
        self.0.is_empty()
    }

    /// One of 256.
    pub fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// One of 65 536.
    pub fn word(&mut self) -> usize {
        usize::from(self.byte()) << 8 | usize::from(self.byte())
    }

    /// A part of something of this length.
    pub fn part(&mut self, len: usize) -> std::ops::Range<usize> {
        let (from, to) = (usize::from(self.byte()) * len / 256, usize::from(self.byte()) * len / 255);
        from.min(to)..to.max(from)
    }

    /// So many bytes of the input, or as many as are left.
    pub fn bytes(&mut self, len: usize) -> &'a [u8] {
        let (bytes, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        bytes
    }
}
