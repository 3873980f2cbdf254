//! The field offsets that the kernel programs need, by the names and in the order of `ebpf/src/kernel.rs`.

use super::btf::Btf;

/// A field and where the kernel keeps it.
struct Field {
    structure: &'static str,
    path: &'static str,
}

const fn field(structure: &'static str, path: &'static str) -> Field {
    Field { structure, path }
}

/// Where a thread's own memory is, as user space knows it.
#[cfg(target_arch = "x86_64")]
const THREAD_POINTER: &str = "thread.fsbase";
#[cfg(target_arch = "aarch64")]
const THREAD_POINTER: &str = "thread.uw.tp_value";
/// Structures that paths lead through.
const BETWEEN: [&str; 8] =
    ["thread_struct", "sched_entity", "sched_info", "inet_cork_full", "flowi", "flowi4", "flowi6", "flowi_uli"];
/// Fields that a kernel may be built without: how long threads run is not told then.
const CLOCKS: std::ops::Range<usize> = 33..40;

/// Order and number as `Offsets` in `ebpf/src/kernel.rs`.
static FIELDS: [Field; COUNT] = [
    field("sock_common", "skc_family"),
    field("sock_common", "skc_daddr"),
    field("sock_common", "skc_rcv_saddr"),
    field("sock_common", "skc_dport"),
    field("sock_common", "skc_num"),
    field("sock_common", "skc_v6_daddr"),
    field("sock_common", "skc_v6_rcv_saddr"),
    field("sock_common", "skc_cookie"),
    field("sock_common", "skc_state"),
    field("sock", "sk_type"),
    field("sock", "sk_protocol"),
    field("sock_common", "skc_flags"),
    field("sock", "sk_shutdown"),
    field("sock", "sk_err"),
    field("tcp_sock", "write_seq"),
    field("tcp_sock", "copied_seq"),
    field("tcp_sock", "rcv_nxt"),
    field("tcp_sock", "snd_una"),
    field("tcp_sock", "bytes_acked"),
    field("tcp_sock", "bytes_received"),
    field("inet_sock", "cork.fl.u.ip4.daddr"),
    field("inet_sock", "cork.fl.u.ip4.uli.ports.dport"),
    field("inet_sock", "cork.fl.u.ip6.uli.ports.dport"),
    field("unix_sock", "peer"),
    field("task_struct", "flags"),
    field("task_struct", "tgid"),
    field("task_struct", "pid"),
    field("task_struct", "real_parent"),
    field("task_struct", "mm"),
    field("task_struct", "files"),
    field("task_struct", "signal"),
    field("task_struct", "nvcsw"),
    field("task_struct", THREAD_POINTER),
    field("task_struct", "se.sum_exec_runtime"),
    field("task_struct", "se.exec_start"),
    field("task_struct", "sched_info.run_delay"),
    field("task_struct", "se.cfs_rq"),
    field("cfs_rq", "rq"),
    field("rq", "clock"),
    field("rq", "clock_task"),
    field("signal_struct", "flags"),
    field("signal_struct", "nr_threads"),
    field("mm_struct", "arg_start"),
    field("mm_struct", "arg_end"),
    field("mm_struct", "env_start"),
    field("mm_struct", "env_end"),
    field("files_struct", "fdt"),
    field("fdtable", "fd"),
    field("fdtable", "max_fds"),
    field("sock", "sk_wq"),
    field("socket_wq", "wait"),
    field("wait_queue_head", "head"),
    field("wait_queue_entry", "entry"),
    field("wait_queue_entry", "private"),
    field("poll_wqueues", "polling_task"),
    field("poll_wqueues", "table"),
    field("poll_wqueues", "inline_index"),
    field("file", "private_data"),
    field("file", "f_inode"),
    field("file", "f_flags"),
    field("inode", "i_mode"),
    field("inode", "i_ino"),
    field("socket", "sk"),
    field("socket", "file"),
    field("sock", "sk_socket"),
    field("kiocb", "ki_filp"),
];

/// Number of offsets handed to the kernel programs.
pub const COUNT: usize = 66;

/// Whether a structure is needed at all: limits the index.
pub fn is_wanted(structure: &str) -> bool {
    BETWEEN.contains(&structure) || FIELDS.iter().any(|f| f.structure == structure)
}

/// Every offset in order, and whether those of the scheduler's clocks are among them; or the first field that this kernel lacks,
/// as `structure.field`.
pub fn resolve(btf: &Btf<'_>) -> Result<([u32; COUNT], bool), String> {
    let (mut offsets, mut clocks) = ([0; COUNT], true);
    for (n, (slot, f)) in offsets.iter_mut().zip(&FIELDS).enumerate() {
        match btf.offset(f.structure, f.path) {
            Some(offset) => *slot = offset,
            None if CLOCKS.contains(&n) => clocks = false,
            None => return Err(format!("{}.{}", f.structure, f.path)),
        }
    }
    Ok((offsets, clocks))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_missing_is_the_schedulers() {
        let of_clocks = |f: &Field| {
            matches!(f.structure, "cfs_rq" | "rq") || f.path.starts_with("se.") || f.path.starts_with("sched_info.")
        };
        let found: Vec<usize> = FIELDS.iter().enumerate().filter(|(_, f)| of_clocks(f)).map(|(n, _)| n).collect();
        assert_eq!(found, CLOCKS.collect::<Vec<_>>());
    }
}
