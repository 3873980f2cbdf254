//! A record with a copy of user memory behind its head, of a length that is only known when it is made. One of that length would
//! have to be put together elsewhere, in memory of this CPU: it has one of four sizes instead.
//!
//! Preemptible: nothing here is of this CPU alone.

use core::hint::black_box;

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use wirespan_common::{Counter, FLAG_FAULT, LineEvent, MAX_LINES, MAX_PLAIN, PlainEvent};

use crate::{
    maps::{EVENTS, count_anywhere},
    sock::NO_WAKEUP,
};

/// Room for bytes of a record, one of which it has.
const SMALL: usize = 512;
const MIDDLE: usize = 2048;
const LARGE: usize = 8192;
const LARGEST: usize = 16384;

/// What a record begins with.
pub trait Head: Copy + 'static {
    /// So many bytes follow.
    fn set_captured(&mut self, bytes: u32);
    /// One more of `FLAG_*`.
    fn add_flag(&mut self, flag: u8);
}

/// A head, and room for so many bytes.
#[repr(C)]
pub struct Record<H, const ROOM: usize> {
    head: H,
    pub bytes: [u8; ROOM],
}

impl<H: Head, const ROOM: usize> Record<H, ROOM> {
    /// Writes the head; `failed`: the bytes that were to follow could not be read.
    #[inline(always)]
    pub fn finish(&mut self, head: &H, bytes: u32, failed: bool) {
        self.head = *head;
        self.head.set_captured(if failed { 0 } else { bytes });
        if failed {
            self.head.add_flag(FLAG_FAULT);
            count_anywhere(Counter::Faults, 1);
        }
    }
}

/// Puts a record on the ring, with `len` bytes that lie at `buffer`: fewer than the largest has room for.
#[inline(always)]
pub fn submit<H: Head>(head: &H, buffer: u64, len: u64) {
    if len < SMALL as u64 {
        submit_sized::<H, SMALL>(head, buffer, len);
    } else if len < MIDDLE as u64 {
        submit_sized::<H, MIDDLE>(head, buffer, len);
    } else if len < LARGE as u64 {
        submit_sized::<H, LARGE>(head, buffer, len);
    } else {
        submit_sized::<H, LARGEST>(head, buffer, len);
    }
}

#[inline(always)]
fn submit_sized<H: Head, const ROOM: usize>(head: &H, buffer: u64, len: u64) {
    let Some(mut entry) = EVENTS.reserve::<Record<H, ROOM>>(0) else {
        return count_anywhere(Counter::RingFull, 1);
    };
    // The mask changes nothing, and shows the verifier that it fits.
    let len = black_box(len) & (ROOM as u64 - 1);
    // SAFETY: reserved room for a head and `ROOM` bytes behind it, any bytes being some; the helper checks the user address.
    unsafe {
        let record = &mut *entry.as_mut_ptr();
        let failed = bpf_probe_read_user((&raw mut record.bytes).cast(), len as u32, buffer as *const _) != 0;
        record.finish(head, len as u32, failed);
    }
    entry.submit(NO_WAKEUP);
}

impl Head for PlainEvent {
    #[inline(always)]
    fn set_captured(&mut self, bytes: u32) {
        self.captured = bytes;
    }

    #[inline(always)]
    fn add_flag(&mut self, flag: u8) {
        self.flags |= flag;
    }
}

impl Head for LineEvent {
    #[inline(always)]
    fn set_captured(&mut self, bytes: u32) {
        self.captured = bytes;
    }

    #[inline(always)]
    fn add_flag(&mut self, flag: u8) {
        self.flags |= flag;
    }
}

const _: () = assert!(MAX_PLAIN < LARGEST && MAX_LINES < LARGEST, "the largest has room for every copy");
