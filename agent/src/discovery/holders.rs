//! Whether a program still holds a socket: what the kernel tells of a Unix or UDP socket's end, which is nothing, has to be
//! asked for.
//!
//! One `readlink` where the program names the socket as it did; else its descriptors are looked through, for it may have
//! another one for it. What cannot be told counts as held.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::connections::Descriptor;

/// Most descriptors of a process that are looked through.
const MAX_DESCRIPTORS: usize = 4096;

/// Whether the process holds the socket still. Corrects the descriptor if it has another one for it.
pub fn holds(proc_root: &Path, descriptor: &mut Descriptor) -> bool {
    let folder = proc_root.join(format!("{}/fd", descriptor.tgid));
    let socket = format!("socket:[{}]", descriptor.inode);
    let is_it = |path: &Path| std::fs::read_link(path).is_ok_and(|to| to.as_os_str().as_bytes() == socket.as_bytes());
    if is_it(&folder.join(descriptor.fd.to_string())) {
        return true;
    }
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        // Its process is gone, or may not be looked at.
        Err(error) => return error.kind() != std::io::ErrorKind::NotFound,
    };
    let mut looked_at = 0;
    for entry in entries.flatten() {
        looked_at += 1;
        if looked_at > MAX_DESCRIPTORS {
            return true;
        }
        if is_it(&entry.path()) {
            descriptor.fd = entry.file_name().to_str().and_then(|fd| fd.parse().ok()).unwrap_or(descriptor.fd);
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::MetadataExt;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_socket_is_held_until_its_last_descriptor_is_closed() {
        let proc_root = Path::new("/proc");
        let (socket, _peer) = UnixStream::pair().unwrap();
        let fd = socket.as_raw_fd() as u32;
        let inode = std::fs::metadata(format!("/proc/self/fd/{fd}")).unwrap().ino();
        let mut descriptor = Descriptor { tgid: std::process::id(), fd, inode };
        assert!(holds(proc_root, &mut descriptor));
        let other = socket.try_clone().unwrap();
        drop(socket);
        assert!(holds(proc_root, &mut descriptor), "by another descriptor");
        assert_eq!(descriptor.fd, other.as_raw_fd() as u32);
        drop(other);
        assert!(!holds(proc_root, &mut descriptor));
    }

    #[test]
    fn a_process_that_is_gone_holds_nothing() {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        assert!(!holds(Path::new("/proc"), &mut Descriptor { tgid: child.id(), fd: 0, inode: 1 }));
    }
}
