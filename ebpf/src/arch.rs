//! System call numbers and the registers that hold their arguments.
//!
//! Offsets are in bytes within `struct pt_regs`, which the kernel treats as stable on both architectures.

/// x86_64: arch/x86/include/asm/ptrace.h, arch/x86/entry/syscalls/syscall_64.tbl.
#[cfg(bpf_target_arch = "x86_64")]
mod imp {
    use aya_ebpf::bindings::pt_regs;

    pub const NUMBER: usize = 120; // orig_ax
    pub const ARGS: [usize; 5] = [112, 104, 96, 56, 72]; // di, si, dx, r10, r8
    const CODE_SEGMENT: usize = 136;
    const USER64_CS: u64 = 0x33;

    pub const READ: u32 = 0;
    pub const WRITE: u32 = 1;
    pub const READV: u32 = 19;
    pub const WRITEV: u32 = 20;
    pub const SENDFILE: u32 = 40;
    pub const SENDTO: u32 = 44;
    pub const RECVFROM: u32 = 45;
    pub const SENDMSG: u32 = 46;
    pub const RECVMSG: u32 = 47;
    pub const SPLICE: u32 = 275;
    pub const RECVMMSG: u32 = 299;
    pub const SENDMMSG: u32 = 307;
    pub const PREADV2: u32 = 327;
    pub const PWRITEV2: u32 = 328;

    const POLL: u32 = 7;
    const SELECT: u32 = 23;
    const EPOLL_WAIT: u32 = 232;
    const PSELECT6: u32 = 270;
    const PPOLL: u32 = 271;
    const EPOLL_PWAIT: u32 = 281;

    /// Waits on a set that stays.
    #[inline(always)]
    pub fn is_epoll(number: u32) -> bool {
        matches!(number, EPOLL_WAIT | EPOLL_PWAIT | super::EPOLL_PWAIT2)
    }

    /// Waits on descriptors that it names.
    #[inline(always)]
    pub fn is_poll(number: u32) -> bool {
        matches!(number, POLL | PPOLL | SELECT | PSELECT6)
    }

    /// Its second argument is the number of these.
    #[inline(always)]
    pub fn counts_descriptors(number: u32) -> bool {
        matches!(number, POLL | PPOLL)
    }

    /// The first argument of a function of C, before it has run.
    #[inline(always)]
    pub fn argument(regs: &pt_regs) -> u64 {
        regs.rdi
    }

    /// The first five arguments of a function of C, before it has run.
    #[inline(always)]
    pub fn arguments(regs: &pt_regs) -> [u64; 5] {
        let load = |field: *const u64| {
            // SAFETY: a field of the context; volatile, for the verifier wants each at an offset of its own.
            unsafe { core::ptr::read_volatile(field) }
        };
        [&raw const regs.rdi, &raw const regs.rsi, &raw const regs.rdx, &raw const regs.rcx, &raw const regs.r8]
            .map(load)
    }

    /// The stack pointer.
    #[inline(always)]
    pub fn stack(regs: &pt_regs) -> u64 {
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(&raw const regs.rsp) }
    }

    /// The frame pointer.
    #[inline(always)]
    pub fn frame(regs: &pt_regs) -> u64 {
        // SAFETY: as above.
        unsafe { core::ptr::read_volatile(&raw const regs.rbp) }
    }

    /// A register by its number in instructions; 0 for one that never holds a result.
    #[inline(always)]
    pub fn register(regs: &pt_regs, number: u64) -> u64 {
        let load = |field: *const u64| {
            // SAFETY: as above.
            unsafe { core::ptr::read_volatile(field) }
        };
        let (rax, rcx, rdx) = (load(&raw const regs.rax), load(&raw const regs.rcx), load(&raw const regs.rdx));
        let (rbx, rbp) = (load(&raw const regs.rbx), load(&raw const regs.rbp));
        let (rsi, rdi) = (load(&raw const regs.rsi), load(&raw const regs.rdi));
        let (r8, r9) = (load(&raw const regs.r8), load(&raw const regs.r9));
        let (r10, r11) = (load(&raw const regs.r10), load(&raw const regs.r11));
        let (r12, r13) = (load(&raw const regs.r12), load(&raw const regs.r13));
        let (r14, r15) = (load(&raw const regs.r14), load(&raw const regs.r15));
        match number {
            0 => rax,
            1 => rcx,
            2 => rdx,
            3 => rbx,
            5 => rbp,
            6 => rsi,
            7 => rdi,
            8 => r8,
            9 => r9,
            10 => r10,
            11 => r11,
            12 => r12,
            13 => r13,
            14 => r14,
            15 => r15,
            _ => 0,
        }
    }

    /// The second.
    #[inline(always)]
    pub fn second_argument(regs: &pt_regs) -> u64 {
        regs.rsi
    }

    /// What a function of C returned, right behind the call.
    #[inline(always)]
    pub fn result(regs: &pt_regs) -> u64 {
        regs.rax
    }

    /// The running goroutine, in a function of Go's (ABIInternal of cmd/compile/abi-internal.md).
    #[inline(always)]
    pub fn go_unit(regs: &pt_regs) -> u64 {
        regs.r14
    }

    /// The `n`th word of a Go function's arguments, before it has run.
    #[inline(always)]
    pub fn go_argument(regs: &pt_regs, n: usize) -> u64 {
        match n {
            0 => regs.rax,
            1 => regs.rbx,
            2 => regs.rcx,
            3 => regs.rdi,
            _ => 0,
        }
    }

    /// The first four words of a Go function's arguments, before it has run.
    #[inline(always)]
    pub fn go_arguments(regs: &pt_regs) -> [u64; 4] {
        let load = |field: *const u64| {
            // SAFETY: as above.
            unsafe { core::ptr::read_volatile(field) }
        };
        [&raw const regs.rax, &raw const regs.rbx, &raw const regs.rcx, &raw const regs.rdi].map(load)
    }

    /// A 32-bit program's system call has other numbers and structures: not read.
    #[inline(always)]
    pub fn is_native(load: impl Fn(usize) -> u64) -> bool {
        load(CODE_SEGMENT) & 0xffff == USER64_CS
    }
}

/// aarch64: arch/arm64/include/asm/ptrace.h, include/uapi/asm-generic/unistd.h. `regs[0]` holds the result after the
/// call, so the first argument comes from `orig_x0`. The number stays in x8; `syscallno` is half as wide as the loads
/// here, which the verifier refuses on a typed pointer.
#[cfg(bpf_target_arch = "aarch64")]
mod imp {
    use aya_ebpf::bindings::user_pt_regs as pt_regs;

    pub const NUMBER: usize = 64; // regs[8]
    pub const ARGS: [usize; 5] = [272, 8, 16, 24, 32]; // orig_x0, regs[1..5]
    const PSTATE: usize = 264;
    const PSR_MODE32_BIT: u64 = 0x10;

    pub const READ: u32 = 63;
    pub const WRITE: u32 = 64;
    pub const READV: u32 = 65;
    pub const WRITEV: u32 = 66;
    pub const SENDFILE: u32 = 71;
    pub const SPLICE: u32 = 76;
    pub const SENDTO: u32 = 206;
    pub const RECVFROM: u32 = 207;
    pub const SENDMSG: u32 = 211;
    pub const RECVMSG: u32 = 212;
    pub const RECVMMSG: u32 = 243;
    pub const SENDMMSG: u32 = 269;
    pub const PREADV2: u32 = 286;
    pub const PWRITEV2: u32 = 287;

    const EPOLL_PWAIT: u32 = 22;
    const PSELECT6: u32 = 72;
    const PPOLL: u32 = 73;

    /// Waits on a set that stays.
    #[inline(always)]
    pub fn is_epoll(number: u32) -> bool {
        matches!(number, EPOLL_PWAIT | super::EPOLL_PWAIT2)
    }

    /// Waits on descriptors that it names.
    #[inline(always)]
    pub fn is_poll(number: u32) -> bool {
        matches!(number, PPOLL | PSELECT6)
    }

    /// Its second argument is the number of these.
    #[inline(always)]
    pub fn counts_descriptors(number: u32) -> bool {
        number == PPOLL
    }

    /// The first argument of a function of C, before it has run.
    #[inline(always)]
    pub fn argument(regs: &pt_regs) -> u64 {
        regs.regs[0]
    }

    /// The first five arguments of a function of C, before it has run.
    #[inline(always)]
    pub fn arguments(regs: &pt_regs) -> [u64; 5] {
        [regs.regs[0], regs.regs[1], regs.regs[2], regs.regs[3], regs.regs[4]]
    }

    /// The stack pointer.
    #[inline(always)]
    pub fn stack(regs: &pt_regs) -> u64 {
        regs.sp
    }

    /// The frame pointer.
    #[inline(always)]
    pub fn frame(regs: &pt_regs) -> u64 {
        regs.regs[29]
    }

    /// The result of a function. (No places are looked for on this processor.)
    #[inline(always)]
    pub fn register(regs: &pt_regs, _number: u64) -> u64 {
        regs.regs[0]
    }

    /// The second.
    #[inline(always)]
    pub fn second_argument(regs: &pt_regs) -> u64 {
        regs.regs[1]
    }

    /// What a function of C returned, right behind the call.
    #[inline(always)]
    pub fn result(regs: &pt_regs) -> u64 {
        regs.regs[0]
    }

    /// The running goroutine, in a function of Go's (ABIInternal of cmd/compile/abi-internal.md).
    #[inline(always)]
    pub fn go_unit(regs: &pt_regs) -> u64 {
        regs.regs[28]
    }

    /// The `n`th word of a Go function's arguments, before it has run.
    #[inline(always)]
    pub fn go_argument(regs: &pt_regs, n: usize) -> u64 {
        match n {
            0 => regs.regs[0],
            1 => regs.regs[1],
            2 => regs.regs[2],
            3 => regs.regs[3],
            _ => 0,
        }
    }

    /// The first four words of a Go function's arguments, before it has run.
    #[inline(always)]
    pub fn go_arguments(regs: &pt_regs) -> [u64; 4] {
        [regs.regs[0], regs.regs[1], regs.regs[2], regs.regs[3]]
    }

    /// A 32-bit program's system call has other numbers and structures: not read.
    #[inline(always)]
    pub fn is_native(load: impl Fn(usize) -> u64) -> bool {
        load(PSTATE) & PSR_MODE32_BIT == 0
    }
}

pub use imp::*;

/// The same number on every architecture.
pub const IO_URING_ENTER: u32 = 426;
/// As well.
const EPOLL_PWAIT2: u32 = 441;

/// Waits for bytes of one descriptor.
#[inline(always)]
pub fn is_read(number: u32) -> bool {
    matches!(number, READ | READV | RECVFROM | RECVMSG | RECVMMSG | PREADV2)
}
