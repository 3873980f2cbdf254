//! What programs write where their lines go.

use crate::UnitId;

/// The most bytes of one write that a [`LineEvent`] carries.
pub const MAX_LINES: usize = 16383;

/// Places of one process that are looked at.
pub const LOG_PLACES: usize = 8;

/// Values of the `LOGS` map, by process id: where a process's lines go. Each place is an inode's number and the sort of its file
/// ([`log_place`]); 0 for none.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogPlaces {
    /// Them.
    pub places: [u64; LOG_PLACES],
}

/// A place by the number of its inode and that inode's mode.
#[must_use]
pub const fn log_place(inode: u64, mode: u32) -> u64 {
    inode ^ ((mode & 0o170_000) as u64) << 48
}

/// Something was written to where a process's lines go. `captured` bytes follow: the first of what was written.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LineEvent {
    /// [`Kind::Lines`](crate::Kind::Lines).
    pub kind: u8,
    /// `FLAG_FAULT`, `FLAG_ONLY_THREAD`.
    pub flags: u8,
    /// Always zero.
    pub reserved: [u8; 2],
    /// Bytes that follow.
    pub captured: u32,
    /// Bytes that the program wants written.
    pub total: u64,
    /// `CLOCK_BOOTTIME` before the write, nanoseconds.
    pub time: u64,
    /// [`log_place`].
    pub place: u64,
    /// Who writes.
    pub unit: UnitId,
}

/// Values of the `PAGES` map, by process and thread: a write that the kernel tells of a piece at a time.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PagedWrite {
    /// Where its bytes are.
    pub buffer: u64,
    /// How many there are.
    pub total: u64,
    /// Where in the file they begin.
    pub begin: u64,
    /// Which file it is: [`log_place`].
    pub place: u64,
}

const _: () = {
    assert!(size_of::<LogPlaces>() == 8 * LOG_PLACES);
    assert!(size_of::<LineEvent>() == 72);
    assert!(size_of::<PagedWrite>() == 32);
};
