//! Which user memory the current system call moved: its registers lead to a buffer, an `iovec` array or a `msghdr`.

use core::ffi::c_void;
use core::hint::black_box;

use aya_ebpf::helpers::{
    bpf_probe_read_user,
    generated::{bpf_loop, bpf_probe_read_user as read_user_raw},
};
use wirespan_common::{FLAG_FAULT, FLAG_IO_URING, FLAG_NO_BUFFER, IoEvent, MAX_CAPTURE};

use crate::{
    arch,
    maps::{MESSAGES, MessageCursor, SCRATCH_SIZE, scratch},
};

/// How many `iovec`s of one operation the fallback reads. Node sends a head and a few chunks in twelve, but the verifier
/// takes more time for each than for the one before.
const MAX_VECTORS: u64 = 8;
/// So many at most are read at once, and copied without a loop. A power of two.
const FEW: u64 = 4;
/// How many are read where `bpf_loop` has the verifier look at one only. grpcio sends a head in 22, and Node a
/// hundred responses in three each. The kernel takes no more (`UIO_MAXIOV`).
const MAX_LOOPED_VECTORS: u64 = 1024;
/// `sizeof(struct mmsghdr)` on 64-bit: a 56-byte `user_msghdr`, `msg_len`, padding.
const MMSGHDR_SIZE: u64 = 64;
/// Offset of `msg_len` in `struct mmsghdr`.
const MSG_LEN: u64 = 56;
/// Offset of `msg_iov` in `struct user_msghdr`; `msg_iovlen` follows it.
const MSG_IOV: u64 = 16;

/// Where the bytes are. A plain structure: an enum leaves its unused parts undefined, and LLVM then reads registers that
/// the verifier knows were never written. Each field is a whole word, so that no byte of it is without a value.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Source {
    /// Address of the buffer, or of the `iovec`s; 0 for nowhere.
    address: u64,
    /// Number of `iovec`s; 0 for one flat buffer.
    vectors: u64,
    /// Address of the `user_msghdr` that the `iovec`s stand in; 0 if they stand alone.
    message: u64,
    /// Why there is nothing to copy.
    flag: u64,
}

impl Source {
    #[inline(always)]
    fn flat(address: u64) -> Self {
        Self { address, vectors: 0, message: 0, flag: 0 }
    }

    #[inline(always)]
    fn vectors(address: u64, vectors: u64) -> Self {
        Self { address: if vectors == 0 { 0 } else { address }, vectors, message: 0, flag: 0 }
    }

    /// In how many pieces it is.
    #[inline(always)]
    pub fn pieces(&self) -> u64 {
        if self.vectors == 0 { 1 } else { self.vectors }
    }

    /// Where one of them is; 0 if nowhere.
    #[inline(always)]
    pub fn piece(&self, number: u64) -> u64 {
        if self.vectors == 0 || self.address == 0 {
            return self.address;
        }
        // SAFETY: the helper checks the address.
        unsafe { bpf_probe_read_user((self.address + number * 16) as *const u64).unwrap_or(0) }
    }

    /// Nowhere; the flag says why.
    #[inline(always)]
    pub fn none(flag: u8) -> Self {
        Self { address: 0, vectors: 0, message: 0, flag: flag as u64 }
    }
}

/// `struct iovec`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct IoVec {
    pub base: u64,
    pub len: u64,
}

/// The source of the operation that just moved bytes, from the registers of the system call. `load` reads a register at
/// a byte offset of `pt_regs`. `whole_call`: a `…mmsg` call has ended, so its first message is meant, not the next.
#[inline(always)]
pub fn source(load: impl Fn(usize) -> u64 + Copy, tid: u32, whole_call: bool) -> Source {
    if !arch::is_native(load) {
        return Source::none(FLAG_NO_BUFFER);
    }
    let number = load(arch::NUMBER) as u32;
    if is_flat(number) {
        return Source::flat(load(arch::ARGS[1]));
    }
    let mut source = Source::none(FLAG_NO_BUFFER);
    // (Five arguments are all there can be.)
    let call = (number as u64) << 32 | tid as u64;
    find_source(&raw mut source, call, load(arch::ARGS[1]), load(arch::ARGS[2]), whole_call as u64);
    source
}

/// Whether a system call takes one buffer.
#[inline(always)]
fn is_flat(number: u32) -> bool {
    matches!(number, arch::READ | arch::WRITE | arch::RECVFROM | arch::SENDTO)
}

/// [`source`] of what takes more than one buffer, checked by itself (`main.rs`). `call` is the number of the system call, and the thread.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn find_source(to: *mut Source, call: u64, pointer: u64, third: u64, whole_call: u64) -> u64 {
    // SAFETY: null, or a source of the caller's stack.
    if let Some(to) = unsafe { to.as_mut() } {
        *to = source_of((call >> 32) as u32, call as u32, pointer, third, whole_call != 0);
    }
    0
}

#[inline(always)]
fn source_of(number: u32, tid: u32, pointer: u64, third: u64, whole_call: bool) -> Source {
    match number {
        arch::READV | arch::WRITEV | arch::PREADV2 | arch::PWRITEV2 => Source::vectors(pointer, third),
        arch::RECVMSG | arch::SENDMSG => message(pointer),
        arch::RECVMMSG | arch::SENDMMSG => {
            let index = if whole_call { 0 } else { next_message(tid, pointer, third as u32) };
            message(pointer + index * MMSGHDR_SIZE)
        }
        arch::IO_URING_ENTER => Source::none(FLAG_IO_URING),
        _ => Source::none(FLAG_NO_BUFFER),
    }
}

/// The vectors of a `struct user_msghdr`.
#[inline(always)]
fn message(address: u64) -> Source {
    // SAFETY: the helper checks the address.
    match unsafe { bpf_probe_read_user((address + MSG_IOV) as *const IoVec) } {
        Ok(pair) => Source { message: address, ..Source::vectors(pair.base, pair.len) },
        Err(_) => Source::none(FLAG_FAULT),
    }
}

/// Where the current system call sends a datagram to: address of a `struct sockaddr`, 0 if it names none.
#[inline(always)]
pub fn destination(load: impl Fn(usize) -> u64, source: &Source) -> u64 {
    if source.message != 0 {
        // `msg_name` stands first.
        // SAFETY: the helper checks the address.
        return unsafe { bpf_probe_read_user(source.message as *const u64) }.unwrap_or(0);
    }
    if load(arch::NUMBER) as u32 == arch::SENDTO { load(arch::ARGS[4]) } else { 0 }
}

/// The hook fires once a message: counts them. The kernel goes on to the next message only after a whole one, and a
/// call that reached its last message ends, so the count restarts there.
#[inline(always)]
fn next_message(tid: u32, vector: u64, messages: u32) -> u64 {
    // SAFETY: only this thread writes its entry.
    let current = match unsafe { MESSAGES.get(tid) } {
        Some(cursor) if cursor.vector == vector => cursor.next,
        _ => 0,
    };
    if current + 1 >= messages {
        let _ = MESSAGES.remove(tid);
    } else {
        let _ = MESSAGES.insert(tid, MessageCursor { vector, next: current + 1, reserved: 0 }, 0);
    }
    current as u64
}

/// Forgets a `…mmsg` call that ended early, with an error or a short message.
#[inline(always)]
pub fn forget_messages(load: impl Fn(usize) -> u64, tid: u32) {
    if matches!(load(arch::NUMBER) as u32, arch::RECVMMSG | arch::SENDMMSG) {
        let _ = MESSAGES.remove(tid);
    }
}

/// `msg_len` of the message at `index`.
#[inline(always)]
pub fn message_length(vector: u64, index: u64) -> u32 {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_user((vector + index * MMSGHDR_SIZE + MSG_LEN) as *const u32).unwrap_or(0) }
}

/// Copies at most `limit` bytes of `source` to the record's place in `scratch`, which is [`scratch`]'s. Returns the bytes copied,
/// and [`FLAG_FAULT`] if some could not be read. `LOOPS`: the kernel has `bpf_loop`.
#[inline(always)]
pub fn copy<const LOOPS: bool>(source: &Source, limit: u64, scratch: *mut u8) -> (u64, u8) {
    if !LOOPS {
        return bounded(copy_unrolled(source, limit));
    }
    if source.vectors <= FEW { copy_few(source, limit, scratch) } else { bounded(copy_looped(source, limit)) }
}

/// [`copy`] of what was found to need more, where the kernel has `bpf_loop`.
#[inline(always)]
pub fn copy_again(source: &Source, limit: u64) -> (u64, u8) {
    bounded(copy_looped(source, limit))
}

/// What [`copy_looped`] and [`copy_unrolled`] return.
#[inline(always)]
fn bounded(copied: u64) -> (u64, u8) {
    // The mask changes nothing, and shows the verifier a bound: of what a function returns it knows none.
    (black_box(copied) & (2 * MAX_CAPTURE as u64 - 1), (copied >> 32) as u8)
}

/// [`copy`] of one buffer, or of a few `iovec`s, which are read at once: most operations have no more.
#[inline(always)]
fn copy_few(source: &Source, limit: u64, scratch: *mut u8) -> (u64, u8) {
    // SAFETY: behind the header there is room for 3 * MAX_CAPTURE bytes.
    let to = unsafe { scratch.add(size_of::<IoEvent>()) };
    if source.vectors == 0 {
        return copy_to::<true>(source, limit, to);
    }
    // SAFETY: the last bytes of the scratch memory, behind all that a record has.
    let vectors = unsafe { scratch.add(SCRATCH_SIZE - size_of::<[IoVec; 2 * FEW as usize]>()) };
    let size = (black_box(source.vectors) & (2 * FEW - 1)) as u32 * size_of::<IoVec>() as u32;
    // SAFETY: room for `2 * FEW` vectors; the helper checks the user address.
    if unsafe { read_user_raw(vectors.cast(), size, source.address as *const _) } != 0 {
        return (0, FLAG_FAULT);
    }
    // SAFETY: as many were read as are asked for.
    copy_vectors::<FEW>(source.vectors, limit, to, |i| Ok(unsafe { vectors.cast::<IoVec>().add(i as usize).read() }))
}

/// [`copy`], checked by itself (`main.rs`). What is returned has the flags in its upper half.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn copy_looped(source: *const Source, limit: u64) -> u64 {
    copied::<true>(source, limit)
}

/// As [`copy_looped`].
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn copy_unrolled(source: *const Source, limit: u64) -> u64 {
    copied::<false>(source, limit)
}

#[inline(always)]
fn copied<const LOOPS: bool>(source: *const Source, limit: u64) -> u64 {
    let Some(scratch) = scratch() else { return 0 };
    // SAFETY: behind the header there is room for 3 * MAX_CAPTURE bytes.
    let to = unsafe { scratch.add(size_of::<IoEvent>()) };
    // SAFETY: null, or a source of the caller's stack.
    let Some(source) = (unsafe { source.as_ref() }) else { return 0 };
    let (copied, flags) = copy_to::<LOOPS>(source, limit, to);
    copied | (flags as u64) << 32
}

#[inline(always)]
fn copy_to<const LOOPS: bool>(source: &Source, limit: u64, to: *mut u8) -> (u64, u8) {
    let limit = if limit > MAX_CAPTURE as u64 { MAX_CAPTURE as u64 } else { limit };
    if source.address == 0 || limit == 0 {
        return (0, source.flag as u8);
    }
    if LOOPS && source.vectors > 1 {
        return loop_vectors(source.address, source.vectors, limit);
    }
    if source.vectors > 0 {
        // SAFETY: the helper checks the address.
        let vector = |i| unsafe { bpf_probe_read_user((source.address + i * 16) as *const IoVec) };
        return copy_vectors::<MAX_VECTORS>(source.vectors, limit, to, vector);
    }
    if copy_run(source.address, limit, to) { (limit, 0) } else { (0, FLAG_FAULT) }
}

/// What [`copy_vector`] works on. Each field is a whole register, so that the verifier keeps track of none.
#[repr(C)]
struct Vectors {
    address: u64,
    limit: u64,
    copied: u64,
    failed: u64,
}

#[inline(always)]
fn loop_vectors(address: u64, count: u64, limit: u64) -> (u64, u8) {
    let count = if count < MAX_LOOPED_VECTORS { count } else { MAX_LOOPED_VECTORS };
    let mut vectors = Vectors { address, limit, copied: 0, failed: 0 };
    // SAFETY: the callback has the signature that the helper asks for, and the context outlives the call.
    unsafe { bpf_loop(count as u32, copy_vector as *mut c_void, (&raw mut vectors).cast(), 0) };
    (vectors.copied & (2 * MAX_CAPTURE as u64 - 1), if vectors.failed != 0 { FLAG_FAULT } else { 0 })
}

/// One turn of the loop: 1 ends it.
#[inline(never)]
unsafe extern "C" fn copy_vector(index: u64, context: *mut c_void) -> u64 {
    // SAFETY: the context is the `Vectors` of `loop_vectors`.
    let vectors = unsafe { &mut *context.cast::<Vectors>() };
    let (copied, limit) = (vectors.copied, vectors.limit);
    if copied >= limit {
        return 1;
    }
    // SAFETY: the helper checks the address.
    let Ok(vector) = (unsafe { bpf_probe_read_user((vectors.address + index * 16) as *const IoVec) }) else {
        vectors.failed = 1;
        return 1;
    };
    let rest = limit - copied;
    let len = if vector.len < rest { vector.len } else { rest };
    let Some(scratch) = scratch() else { return 1 };
    // SAFETY: the masked offset stays within the scratch memory, with room for a masked length behind it.
    let at = unsafe { scratch.add(size_of::<IoEvent>() + (black_box(copied) & (MAX_CAPTURE as u64 - 1)) as usize) };
    if len > 0 && !copy_run(vector.base, len, at) {
        vectors.failed = 1;
        return 1;
    }
    vectors.copied = copied + len;
    0
}

/// Copies what the first `MOST` of `count` vectors hold, of which `vector` tells each.
#[inline(always)]
fn copy_vectors<const MOST: u64>(
    count: u64,
    limit: u64,
    to: *mut u8,
    vector: impl Fn(u64) -> Result<IoVec, i32>,
) -> (u64, u8) {
    let mut copied = 0u64;
    for i in 0..MOST {
        if i >= count || copied >= limit {
            break;
        }
        let Ok(vector) = vector(i) else { return (copied, FLAG_FAULT) };
        let rest = limit - copied;
        let len = if vector.len < rest { vector.len } else { rest };
        // The mask keeps the bound where the verifier can see it; `copied < limit <= MAX_CAPTURE` makes it a no-op.
        // SAFETY: the masked offset stays within the room that the caller promises.
        let at = unsafe { to.add((black_box(copied) & (MAX_CAPTURE as u64 - 1)) as usize) };
        if len > 0 && !copy_run(vector.base, len, at) {
            return (copied, FLAG_FAULT);
        }
        copied += len;
    }
    (copied, 0)
}

#[inline(always)]
fn copy_run(address: u64, len: u64, to: *mut u8) -> bool {
    // LLVM knows that the mask changes nothing and would drop it; the verifier of Linux 6.1 does not know, for it forgets the
    // range of a register that was spilled.
    let len = (black_box(len) & (2 * MAX_CAPTURE as u64 - 1)) as u32;
    // SAFETY: `to` has room for a masked length; the helper checks the user address.
    unsafe { read_user_raw(to.cast(), len, address as *const _) == 0 }
}
