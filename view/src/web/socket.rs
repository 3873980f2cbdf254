//! The Unix socket on which the agent can always be asked: its owner alone may.
//!
//! A socket file outlives a killed agent, so one may lie there already. Whether another agent lives behind it is told by
//! a lock on a file beside it, which the kernel gives back however an agent ends; and, should another program listen
//! there, by whether it answers. The new socket is made under another name, made private, and renamed into place: at no
//! moment may others connect, or is there nothing to connect to.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{Error, ErrorKind, Result};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _,
};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A socket that listens, with the file that stands for it.
pub struct Socket {
    /// Does not block.
    pub listener: UnixListener,
    /// Its file.
    pub file: SocketFile,
}

/// The file of a socket. It is removed when this is dropped, if it is still this one.
pub struct SocketFile {
    path: PathBuf,
    inode: u64,
    /// Held as long as the agent lives.
    _lock: File,
}

impl Socket {
    /// Listens on `path`. Its directory is made, for the owner alone, if it is missing.
    ///
    /// # Errors
    /// If another agent or program has it, or the system refuses.
    pub fn bind(path: &Path) -> Result<Self> {
        let named = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        prepare_directory(path)?;
        let lock = lock(&named(".lock"))?;
        check_place(path)?;
        let new = named(".new");
        let _ = std::fs::remove_file(&new);
        let listener = UnixListener::bind(&new)?;
        std::fs::set_permissions(&new, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let inode = std::fs::symlink_metadata(&new)?.ino();
        std::fs::rename(&new, path)?;
        Ok(Self { listener, file: SocketFile { path: path.to_owned(), inode, _lock: lock } })
    }
}

impl SocketFile {
    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|there| there.ino() == self.inode) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn other(sentence: impl Into<String>) -> Error {
    Error::other(sentence.into())
}

/// Makes the directory, or looks whether others could put something else into it.
fn prepare_directory(path: &Path) -> Result<()> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match DirBuilder::new().mode(0o700).create(directory) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    let about = std::fs::metadata(directory)?;
    let sticky = about.mode() & 0o1000 != 0;
    if !about.is_dir() {
        return Err(Error::from(ErrorKind::NotADirectory));
    }
    if about.mode() & 0o022 != 0 && !sticky {
        let directory = directory.display();
        return Err(other(format!(
            "others may write to {directory}: choose a directory of your own, or `chmod go-w {directory}`"
        )));
    }
    Ok(())
}

/// Takes the lock, which whoever lives behind the socket has.
fn lock(path: &Path) -> Result<File> {
    let no_follow = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file =
        OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).custom_flags(no_follow).open(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(other("another wirespan listens there")),
        Err(std::fs::TryLockError::Error(error)) => Err(error),
    }
}

/// Looks at what lies there: a socket that nobody listens on may be replaced, anything else not.
fn check_place(path: &Path) -> Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(there) if !there.file_type().is_socket() => Err(other("something else than a socket lies there")),
        Ok(_) => match UnixStream::connect(path) {
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(other("another program listens there")),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(path: &Path) -> String {
        Socket::bind(path).err().expect("it cannot be had").to_string()
    }

    #[test]
    fn a_socket_is_the_owner_s_alone_and_goes_with_its_agent() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run/wirespan.sock");
        let socket = Socket::bind(&path).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        UnixStream::connect(&path).unwrap();
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_live_socket_is_not_stolen_and_a_stale_one_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s.sock");
        let first = Socket::bind(&path).unwrap();
        assert_eq!(problem(&path), "another wirespan listens there");
        UnixStream::connect(&path).unwrap();
        drop(first);
        // What a killed agent leaves behind.
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let second = Socket::bind(&path).unwrap();
        UnixStream::connect(&path).unwrap();
        drop(second);
        let _foreign = UnixListener::bind(&path).unwrap();
        assert_eq!(problem(&path), "another program listens there");
    }

    #[test]
    fn what_is_no_socket_stays_and_no_link_is_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, "mine").unwrap();
        assert!(problem(&path).contains("something else"));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        let link = dir.path().join("link");
        std::os::unix::fs::symlink(dir.path().join("nowhere"), &link).unwrap();
        assert!(problem(&link).contains("something else"));
    }

    #[test]
    fn a_directory_that_others_may_write_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let open = dir.path().join("open");
        std::fs::create_dir(&open).unwrap();
        std::fs::set_permissions(&open, Permissions::from_mode(0o777)).unwrap();
        assert!(problem(&open.join("s.sock")).contains("chmod go-w"));
    }
}
