//! Files of traced programs, read so that nothing in them can harm: they belong to strangers.
//!
//! A path is resolved inside the process's own root (`openat2`, `RESOLVE_IN_ROOT`), so that a link of a container leads to
//! the container's file and not to ours. Only regular files are opened, for a device or a pipe may do something when it is. At most so
//! many bytes are read. And a file system may answer never: so all of it is done by a thread of its own, which is waited for
//! [`PATIENCE`] at most, and while it hangs, there are no files.

use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, fstat, open, openat2, stat};

/// How long a file is waited for. A name must not depend on how busy the machine is, so this is much more than it takes.
const PATIENCE: Duration = Duration::from_millis(300);

type Job = Box<dyn FnOnce() + Send>;

/// A thread that touches files. Who asks takes turns, so there is at most one job that is waited for: if there is no room for
/// it beside the one that the thread does, that hangs.
struct Worker(Mutex<SyncSender<Job>>);

static FILES: LazyLock<Worker> = LazyLock::new(Worker::start);

impl Worker {
    fn start() -> Self {
        let (ask, asked) = sync_channel::<Job>(1);
        let work = move || asked.into_iter().for_each(|job| job());
        if let Err(error) = std::thread::Builder::new().name("wirespan-files".into()).spawn(work) {
            log::warn!("no thread to read files of programs, which are named by their command lines alone: {error}");
        }
        Self(Mutex::new(ask))
    }

    /// What `job` finds, if it does so in time.
    fn in_time<T: Send + 'static>(&self, job: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
        let (tell, told) = sync_channel(1);
        let job = Box::new(move || drop(tell.send(job())));
        let turn = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        turn.try_send(job).ok()?;
        told.recv_timeout(PATIENCE).ok().flatten()
    }
}

/// What `job` finds, if it does so in time.
pub(super) fn in_time<T: Send + 'static>(job: impl FnOnce() -> Option<T> + Send + 'static) -> Option<T> {
    FILES.in_time(job)
}

/// The text of a file of at most `limit` bytes, by its absolute path below `root`.
pub(super) fn text(root: &Path, path: &Path, limit: u64) -> Option<String> {
    let (root, path) = (root.to_owned(), path.to_owned());
    in_time(move || {
        let file = regular(&inside(&root, &path)?)?;
        let length = file.metadata().ok()?.len();
        if length > limit {
            return None;
        }
        String::from_utf8(at(&file, 0, length as usize)?).ok()
    })
}

/// Whether there is such a regular file, and whether it begins so.
pub(super) fn begins_with(root: &Path, path: &Path, bytes: &'static [u8]) -> Option<bool> {
    let (root, path) = (root.to_owned(), path.to_owned());
    in_time(move || Some(at(&regular(&inside(&root, &path)?)?, 0, bytes.len())? == bytes))
}

/// What a file is called when all links are followed, as the process sees it.
pub(super) fn real(root: &Path, path: &Path) -> Option<PathBuf> {
    let (root, path) = (root.to_owned(), path.to_owned());
    in_time(move || {
        let name = |fd: &OwnedFd| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).ok();
        let below = open(&root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?;
        let found = name(&inside(&root, &path)?)?;
        Some(Path::new("/").join(found.strip_prefix(name(&below)?).ok()?))
    })
}

/// A file as it is now: another release of it has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    /// Bytes.
    pub length: u64,
    /// When it was written: seconds, nanoseconds.
    pub modified: (i64, i64),
}

/// What a file is like now.
pub(super) fn print(root: &Path, path: &Path) -> Option<Print> {
    let (root, path) = (root.to_owned(), path.to_owned());
    in_time(move || {
        let stat = fstat(inside(&root, &path)?).ok()?;
        Some(Print { length: stat.st_size as u64, modified: (stat.st_mtime, stat.st_mtime_nsec as i64) })
    })
}

/// Whether two folders are one.
pub(super) fn is_same_folder(one: &Path, other: &Path) -> Option<bool> {
    let (one, other) = (one.to_owned(), other.to_owned());
    in_time(move || {
        let id = |path: &Path| stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino));
        Some(id(&one)? == id(&other)?)
    })
}

/// What `read` makes of a file that is named by an absolute path of our own: a process's executable below `/proc`.
pub(super) fn read<T: Send + 'static>(path: &Path, read: fn(&File) -> Option<T>) -> Option<T> {
    let path = path.to_owned();
    in_time(move || read(&regular(&open(&path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()?)?))
}

/// A part of a file, or as much of it as there is.
pub(super) fn at(file: &File, from: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut have = 0;
    while have < length {
        match file.read_at(&mut bytes[have..], from.saturating_add(have as u64)) {
            Ok(0) => break,
            Ok(more) => have += more,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
    bytes.truncate(have);
    Some(bytes)
}

fn inside(root: &Path, path: &Path) -> Option<OwnedFd> {
    let root = open(root, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    openat2(root, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve).ok()
}

/// Opens what was only named so far, if it is a regular file.
fn regular(named: &OwnedFd) -> Option<File> {
    if FileType::from_raw_mode(fstat(named).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    let again = format!("/proc/self/fd/{}", named.as_raw_fd());
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    Some(File::from(open(again, flags, Mode::empty()).ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_lead_to_files_of_the_same_root() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("etc")).unwrap();
        std::fs::write(dir.path().join("secret"), "ours").unwrap();
        std::fs::write(root.join("secret"), "theirs").unwrap();
        symlink("/secret", root.join("etc/link")).unwrap();
        symlink("../../../secret", root.join("etc/up")).unwrap();
        symlink("/proc/self/exe", root.join("etc/magic")).unwrap();
        for link in ["/etc/link", "/etc/up", "/secret"] {
            assert_eq!(text(&root, Path::new(link), 100).as_deref(), Some("theirs"), "{link}");
            assert_eq!(real(&root, Path::new(link)), Some("/secret".into()), "{link}");
        }
        assert_eq!(text(&root, Path::new("/etc/magic"), 100), None);
        assert_eq!(begins_with(&root, Path::new("/secret"), b"the"), Some(true));
        assert_eq!(begins_with(&root, Path::new("/secret"), b"#!"), Some(false));
        assert_eq!(begins_with(&root, Path::new("/none"), b"#!"), None);
    }

    #[test]
    fn what_is_no_small_regular_file_is_not_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("large"), "x".repeat(101)).unwrap();
        std::fs::write(dir.path().join("bytes"), [0xff, 0xfe]).unwrap();
        std::fs::create_dir(dir.path().join("folder")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        let fifo = dir.path().join("fifo");
        rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
        for name in ["large", "bytes", "folder", "loop", "fifo", "none"] {
            assert_eq!(text(dir.path(), &Path::new("/").join(name), 100), None, "{name}");
        }
    }

    #[test]
    fn who_hangs_is_not_waited_for() {
        let (go_on, wait) = sync_channel::<()>(0);
        let (worker, began) = (Worker::start(), std::time::Instant::now());
        assert_eq!(worker.in_time(move || wait.recv().ok()), None);
        for _ in 0..100 {
            assert_eq!(worker.in_time(|| Some(1)), None);
        }
        assert!(began.elapsed() < 20 * PATIENCE, "{:?}", began.elapsed());
        drop(go_on);
        let again = || {
            (0..1000).find_map(|_| {
                std::thread::sleep(Duration::from_millis(1));
                worker.in_time(|| Some(2))
            })
        };
        assert_eq!(again(), Some(2));
    }
}
