//! What a program's file says of its runtime: read once a file, and cached by what tells that it is the same.
//!
//! Only headers and names are read here, some kilobytes, because whoever asks is waiting; and by the thread that touches files
//! of strangers (`files`), whose file system may answer never. What takes longer is asked for of
//! [`crate::units`].

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use rustc_hash::FxHashMap as HashMap;
use wirespan_inspect::runtime::{self, Runtime};
use wirespan_inspect::{Error, Image};

use super::files;

/// Files remembered.
const MAX_FILES: usize = 1024;

/// A file as it was: another one, or another content, has another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileKey {
    device: u64,
    inode: u64,
    modified: (i64, i64),
    size: u64,
}

/// The file that a process runs, also if it has another root, or the file is deleted by now. `dir` is its directory below
/// `/proc`.
///
/// # Errors
/// If it is gone, or is no regular file.
pub fn open(dir: &Path) -> std::io::Result<(File, FileKey)> {
    open_file(&dir.join("exe"))
}

/// A file by its path.
///
/// # Errors
/// If it is gone, or is no regular file.
pub fn open_file(path: &Path) -> std::io::Result<(File, FileKey)> {
    // What is no regular file might wait for somebody when it is opened.
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::ErrorKind::InvalidInput.into());
    }
    let file = File::open(path)?;
    let meta = file.metadata()?;
    let modified = (meta.mtime(), meta.mtime_nsec());
    Ok((file, FileKey { device: meta.dev(), inode: meta.ino(), modified, size: meta.len() }))
}

/// What is known of files, each of which is read once.
#[derive(Debug)]
pub struct ByFile<T>(HashMap<FileKey, T>);

impl<T> Default for ByFile<T> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

impl<T> ByFile<T> {
    /// What is known of a file, if it was read.
    pub fn get(&self, key: FileKey) -> Option<&T> {
        self.0.get(&key)
    }

    /// What is known of a file, which is read if it was not.
    pub fn or_read(&mut self, key: FileKey, read: impl FnOnce() -> T) -> &T {
        if self.0.len() >= MAX_FILES {
            self.0.clear();
        }
        self.0.entry(key).or_insert_with(read)
    }
}

/// All files that were asked about.
#[derive(Debug, Default)]
pub struct Programs {
    known: ByFile<Option<Arc<Runtime>>>,
}

impl Programs {
    /// The runtime in the file that a process runs, if it says one.
    pub fn runtime(&mut self, dir: &Path) -> Option<Arc<Runtime>> {
        let exe = dir.join("exe");
        let (file, key) = files::in_time({
            let exe = exe.clone();
            move || open_file(&exe).ok()
        })?;
        if let Some(known) = self.known.get(key) {
            return known.clone();
        }
        let found = files::in_time(move || Some(of(&file, &exe)))?.map(Arc::new);
        self.known.or_read(key, || found).clone()
    }
}

fn of(file: &File, exe: &Path) -> Option<Runtime> {
    match Image::parse(file) {
        Ok(image) => runtime::of(&image),
        Err(Error::NotElf) => None,
        Err(error) => {
            log::debug!("{}: what it is made with is not known: {error}", exe.display());
            None
        }
    }
}
