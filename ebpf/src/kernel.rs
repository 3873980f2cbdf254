//! Field offsets within kernel structures.
//!
//! Rust programs get no CO-RE relocations, so the agent reads the offsets from `/sys/kernel/btf/vmlinux` and overrides
//! [`OFFSETS`] before the programs load. The map behind it is frozen, so the verifier knows every offset as a constant
//! and accepts `pointer + offset` on typed pointers.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel as read_kernel_raw;

macro_rules! offsets {
    ($($name:ident,)*) => {
        /// Byte offsets; the agent fills them by the same names, in this order.
        #[repr(C)]
        pub struct Offsets { $(pub $name: u32,)* }
        #[unsafe(no_mangle)]
        static OFFSETS: Offsets = Offsets { $($name: 0,)* };
        $(
            /// The offset that the agent set.
            #[inline(always)]
            pub fn $name() -> usize {
                // SAFETY: reads a static; volatile because the agent rewrites it after compilation.
                (unsafe { core::ptr::read_volatile(&raw const OFFSETS.$name) }) as usize
            }
        )*
    };
}

offsets! {
    skc_family, skc_daddr, skc_rcv_saddr, skc_dport, skc_num, skc_v6_daddr, skc_v6_rcv_saddr, skc_cookie,
    skc_state, sk_type, sk_protocol, skc_flags, sk_shutdown, sk_err,
    tcp_write_seq, tcp_copied_seq, tcp_rcv_nxt, tcp_snd_una, tcp_bytes_acked, tcp_bytes_received,
    flow4_daddr, flow4_dport, flow6_dport,
    unix_peer,
    task_flags, task_tgid, task_pid, task_real_parent, task_mm, task_files, task_signal, task_nvcsw, task_thread_pointer,
    task_sum_exec, task_exec_start, task_run_delay, task_cfs_rq, cfs_rq_rq, rq_clock, rq_clock_task,
    signal_flags, signal_threads,
    mm_arg_start, mm_arg_end, mm_env_start, mm_env_end,
    files_fdt, fdt_fd, fdt_max_fds,
    sk_wq, socket_wq_wait, wait_head, wait_entry, wait_private, poll_task, poll_table, poll_index,
    file_private_data, file_inode, file_flags, inode_mode, inode_number, socket_sk, socket_file, sk_socket,
    kiocb_file,
}

/// At most this many bytes are captured of one operation; at most [`wirespan_common::MAX_CAPTURE`].
#[unsafe(no_mangle)]
static CAPTURE_BYTES: u32 = 0;

/// The limit that the agent set, in bytes.
#[inline(always)]
pub fn capture_bytes() -> u32 {
    // SAFETY: reads a static; volatile because the agent rewrites it after compilation.
    unsafe { core::ptr::read_volatile(&raw const CAPTURE_BYTES) }
}

/// How to read a field of a kernel structure.
pub trait Memory {
    /// Reads a `T` at `base + offset`; zero bytes where that is impossible.
    fn load<T: Copy>(base: *const u8, offset: usize) -> T;
}

/// A pointer that the kernel typed (an argument of a `tp_btf` program): plain loads, checked by the verifier.
pub struct Typed;

impl Memory for Typed {
    #[inline(always)]
    fn load<T: Copy>(base: *const u8, offset: usize) -> T {
        // SAFETY: the verifier only accepts this load on a typed pointer, at a field of a type that fits; a fault reads
        // as zero.
        unsafe { core::ptr::read_volatile(base.add(offset).cast()) }
    }
}

/// An address found in memory: read through the helper that survives faults.
pub struct Probed;

impl Memory for Probed {
    #[inline(always)]
    fn load<T: Copy>(base: *const u8, offset: usize) -> T {
        // SAFETY: the helper checks the address. Zero is valid for the integers and addresses read here.
        // Its result is not looked at (it zeroes what it cannot read): each branch would double the verifier's work.
        unsafe {
            let mut value = core::mem::zeroed::<T>();
            read_kernel_raw((&raw mut value).cast(), size_of::<T>() as u32, base.add(offset).cast());
            value
        }
    }
}
