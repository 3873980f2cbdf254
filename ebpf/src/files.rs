//! What is behind a file descriptor: for programs that are not told. Only checked reads.

use aya_ebpf::helpers::generated::bpf_get_current_task;

use wirespan_common::INODE_IDENTITY;

use crate::kernel::{self, Memory, Probed};

const S_IFMT: u16 = 0o170_000;
const S_IFSOCK: u16 = 0o140_000;

/// The `struct file` behind a descriptor of `task`; `None` if it can have none.
#[inline(always)]
pub fn file_of(task: *const u8, fd: u64) -> Option<*const u8> {
    let files: *const u8 = Probed::load(task, kernel::task_files());
    let table: *const u8 = Probed::load(files, kernel::files_fdt());
    if fd >= Probed::load::<u32>(table, kernel::fdt_max_fds()) as u64 {
        return None;
    }
    let slots: *const u8 = Probed::load(table, kernel::fdt_fd());
    Some(Probed::load(slots, fd as usize * size_of::<usize>()))
}

/// The `struct sock` behind a file descriptor of the current process, its inode number, and the file's flags.
#[inline(always)]
pub fn socket_of(fd: u64) -> Option<(*const u8, u64, u32)> {
    // SAFETY: the helper has no preconditions; the pointer is only read through checked reads.
    let file = file_of(unsafe { bpf_get_current_task() } as *const u8, fd)?;
    let inode: *const u8 = Probed::load(file, kernel::file_inode());
    if Probed::load::<u16>(inode, kernel::inode_mode()) & S_IFMT != S_IFSOCK {
        return None;
    }
    let socket: *const u8 = Probed::load(file, kernel::file_private_data());
    let sk: *const u8 = Probed::load(socket, kernel::socket_sk());
    (!sk.is_null()).then(|| (sk, Probed::load(inode, kernel::inode_number()), Probed::load(file, kernel::file_flags())))
}

/// What identifies the socket behind a descriptor of the current process; 0 if there is none.
#[inline(always)]
pub fn identity_of(fd: u32) -> u64 {
    match socket_of(fd as u64) {
        Some((sk, inode, _)) => identity(sk, inode),
        None => 0,
    }
}

/// The socket's cookie, which this kind of program cannot ask the kernel to create; else its inode number.
#[inline(always)]
pub fn identity(sk: *const u8, inode: u64) -> u64 {
    match Probed::load(sk, kernel::skc_cookie()) {
        0 if inode == 0 => 0,
        0 => INODE_IDENTITY | inode,
        cookie => cookie,
    }
}
