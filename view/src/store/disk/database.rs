//! The file: an embedded database with the pieces and the resources by their numbers.
//!
//! Pieces are as they are in memory, each with a checksum of its own; resources are OTLP protobuf. A third table says that
//! the file is ours, and of which version.

use std::collections::HashSet;
use std::fs::{File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{
    Builder, Database, DatabaseError, ReadableDatabase as _, ReadableTable as _, StorageError, TableDefinition,
    TableError, TableHandle as _,
};

use super::log::Op;
use crate::store::unix_seconds;

const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("wirespan");
const PIECES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("pieces");
const RESOURCES: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("resources");
/// What [`ABOUT`] says.
const VERSION: (&str, u64) = ("version", 1);
/// How a file of this database begins.
const MAGIC: &[u8] = b"redb\x1a\x0a\xa9\x0d\x0a";
/// Memory for the file's pages: it is written once and read at the start.
const CACHE: usize = 16 << 20;
/// Bytes written in one transaction when everything is learned anew.
const BATCH: usize = 4 << 20;

/// Numbers with what is kept under them.
type Entries = Vec<(u64, Arc<[u8]>)>;

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DiskError {
    /// It is somebody else's.
    #[error("it is not a store of wirespan; name another file with --store, or remove this one")]
    Foreign,
    /// It is nothing that traces may be written to.
    #[error("{0}")]
    Unusable(&'static str),
    /// Of another version.
    #[error("another version of wirespan wrote it (format {0}); name another file with --store, or remove this one")]
    Version(u64),
    /// Another process has it open.
    #[error("another wirespan uses it; name another file with --store")]
    InUse,
    /// Its contents are damaged.
    #[error("it is damaged ({0})")]
    Damaged(String),
    /// The system refused.
    #[error("{0}")]
    Io(std::io::Error),
    /// An error before, after which the file has to be opened anew.
    #[error("{0}")]
    Other(String),
}

impl From<std::io::Error> for DiskError {
    fn from(error: std::io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<redb::Error> for DiskError {
    fn from(error: redb::Error) -> Self {
        match error {
            // A file that ends too early.
            redb::Error::Io(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => {
                Self::Damaged(error.to_string())
            }
            redb::Error::Io(error) => Self::Io(error),
            redb::Error::Corrupted(what) => Self::Damaged(what),
            redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => Self::InUse,
            redb::Error::RepairAborted => Self::Damaged("it cannot be repaired".to_owned()),
            redb::Error::UpgradeRequired(version) => Self::Version(version.into()),
            other => Self::Other(other.to_string()),
        }
    }
}

/// What becomes an error of ours.
macro_rules! from_redb {
    ($($error:ty),*) => {
        $(impl From<$error> for DiskError {
            fn from(error: $error) -> Self {
                redb::Error::from(error).into()
            }
        })*
    };
}

from_redb!(DatabaseError, StorageError, TableError, redb::TransactionError, redb::CommitError);

/// The open file.
pub struct Disk {
    database: Database,
    path: PathBuf,
}

impl Disk {
    /// Opens a file, or makes it. A damaged one is set aside under another name, and the log says so.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn open(path: &Path) -> Result<Self, DiskError> {
        let error = match Self::try_open(path) {
            Err(error @ DiskError::Damaged(_)) => error,
            other => return other,
        };
        let aside = set_aside(path)?;
        log::error!("{}: {error}: set aside as {}, and begun anew", path.display(), aside.display());
        Self::try_open(path)
    }

    /// Makes the file if it is missing, and private if it is not: while that is allowed. What is wrong is said when it is
    /// opened.
    pub fn prepare(path: &Path) {
        drop(open_private(path));
    }

    fn try_open(path: &Path) -> Result<Self, DiskError> {
        let file = open_private(path)?;
        check_magic(&file)?;
        // Reads and checks the whole file: what was altered since is found here and not later. It is this very file, and
        // not what may lie at its path by now.
        let open = || {
            let database = Builder::new()
                .set_cache_size(CACHE)
                .set_check_integrity_on_open(true)
                .create_with_backend(FileBackend::new(file)?)
                .map_err(DiskError::from)?;
            let disk = Self { database, path: path.to_owned() };
            disk.check_ours()?;
            Ok(disk)
        };
        guarded(open)
    }

    /// Marks a new file, and refuses one that is not ours.
    fn check_ours(&self) -> Result<(), DiskError> {
        let transaction = self.database.begin_read()?;
        let tables: Vec<String> = transaction.list_tables()?.map(|table| table.name().to_owned()).collect();
        if tables.is_empty() {
            return self.mark();
        }
        if !tables.iter().any(|name| name == ABOUT.name()) {
            return Err(DiskError::Foreign);
        }
        match transaction.open_table(ABOUT)?.get(VERSION.0)?.map(|version| version.value()) {
            Some(version) if version == VERSION.1 => Ok(()),
            other => Err(DiskError::Version(other.unwrap_or_default())),
        }
    }

    fn mark(&self) -> Result<(), DiskError> {
        let transaction = self.database.begin_write()?;
        transaction.open_table(ABOUT)?.insert(VERSION.0, VERSION.1)?;
        transaction.open_table(PIECES)?;
        transaction.open_table(RESOURCES)?;
        Ok(transaction.commit()?)
    }

    /// The numbers that the next piece and the next resource may have.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn next_numbers(&self) -> Result<(u64, u64), DiskError> {
        guarded(|| {
            let transaction = self.database.begin_read()?;
            let next = |table: TableDefinition<'_, u64, &'static [u8]>| -> Result<u64, DiskError> {
                Ok(transaction.open_table(table)?.last()?.map_or(0, |(number, _)| number.value() + 1))
            };
            Ok((next(PIECES)?, next(RESOURCES)?))
        })
    }

    /// Every resource.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn resources(&self) -> Result<Entries, DiskError> {
        self.read(RESOURCES, 0, usize::MAX)
    }

    /// Pieces from this number on, in order, about as many bytes of them as this.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn pieces(&self, from: u64, bytes: usize) -> Result<Entries, DiskError> {
        self.read(PIECES, from, bytes)
    }

    fn read(
        &self,
        table: TableDefinition<'_, u64, &'static [u8]>,
        from: u64,
        bytes: usize,
    ) -> Result<Entries, DiskError> {
        guarded(|| {
            let transaction = self.database.begin_read()?;
            let (mut entries, mut read) = (Vec::new(), 0);
            for entry in transaction.open_table(table)?.range(from..)? {
                let (number, value) = entry?;
                let value: Arc<[u8]> = value.value().into();
                read += value.len();
                entries.push((number.value(), value));
                if read >= bytes {
                    break;
                }
            }
            Ok(entries)
        })
    }

    /// Writes changes, all or none, and returns when they are on the disk.
    ///
    /// # Errors
    /// If they are not. The file has to be opened anew then.
    pub fn write(&self, ops: &[Op]) -> Result<(), DiskError> {
        guarded(|| {
            let transaction = self.database.begin_write()?;
            {
                let mut pieces = transaction.open_table(PIECES)?;
                let mut resources = transaction.open_table(RESOURCES)?;
                for op in ops {
                    match op {
                        Op::Add(piece) => drop(pieces.insert(piece.number, &*piece.bytes)?),
                        Op::Remove(number) => drop(pieces.remove(number)?),
                        Op::AddResource(number, encoded) => drop(resources.insert(number, &**encoded)?),
                        Op::RemoveResource(number) => drop(resources.remove(number)?),
                    }
                }
            }
            Ok(transaction.commit()?)
        })
    }

    /// Makes the file hold exactly what these operations add.
    ///
    /// # Errors
    /// If it does not. The file has to be opened anew then.
    pub fn replace(&self, all: &[Op]) -> Result<(), DiskError> {
        let (mut pieces, mut resources) = (self.numbers(PIECES)?, self.numbers(RESOURCES)?);
        let mut missing = Vec::new();
        for op in all {
            let known = match op {
                Op::Add(piece) => pieces.remove(&piece.number),
                Op::AddResource(number, _) => resources.remove(number),
                Op::Remove(_) | Op::RemoveResource(_) => true,
            };
            if !known {
                missing.push(op.clone());
            }
        }
        // First what goes: the disk may be full.
        let gone = pieces.into_iter().map(Op::Remove).chain(resources.into_iter().map(Op::RemoveResource));
        self.write(&gone.collect::<Vec<_>>())?;
        let mut rest = &missing[..];
        while !rest.is_empty() {
            let mut bytes = 0;
            let batch = rest.iter().take_while(|op| {
                let fits = bytes < BATCH;
                bytes += if let Op::Add(piece) = op { piece.bytes.len() } else { 0 };
                fits
            });
            let (now, later) = rest.split_at(batch.count());
            self.write(now)?;
            rest = later;
        }
        Ok(())
    }

    fn numbers(&self, table: TableDefinition<'_, u64, &'static [u8]>) -> Result<HashSet<u64>, DiskError> {
        guarded(|| {
            let transaction = self.database.begin_read()?;
            let mut numbers = HashSet::new();
            for entry in transaction.open_table(table)?.iter()? {
                numbers.insert(entry?.0.value());
            }
            Ok(numbers)
        })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A damaged file may make the database panic, in places that it does not check: that is damage, too.
fn guarded<T>(work: impl FnOnce() -> Result<T, DiskError>) -> Result<T, DiskError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(DiskError::Damaged("it makes no sense to the database".to_owned())))
}

/// Opens or makes a file that its owner alone may read: what requests say is nobody else's business. Whatever lies there
/// was perhaps put there by somebody else, so no link is followed, and nothing but a file of our own user is used.
fn open_private(path: &Path) -> Result<File, DiskError> {
    let options = |options: &mut OpenOptions| options.read(true).write(true).create(true).truncate(false).open(path);
    // A FIFO would wait for its other end.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = match options(OpenOptions::new().mode(0o600).custom_flags(flags)) {
        Err(error) if error.raw_os_error() == Some(libc::ELOOP) => {
            return Err(DiskError::Unusable(
                "it is a symbolic link, which is not followed; name the file itself with --store",
            ));
        }
        Err(error) if matches!(error.raw_os_error(), Some(libc::EISDIR | libc::ENXIO)) => {
            return Err(DiskError::Unusable(NO_FILE));
        }
        other => other?,
    };
    let about = file.metadata()?;
    if !about.file_type().is_file() {
        return Err(DiskError::Unusable(NO_FILE));
    }
    if about.uid() != rustix::process::geteuid().as_raw() {
        return Err(DiskError::Unusable("it belongs to another user; name another file with --store, or `chown` it"));
    }
    if about.mode() & 0o077 != 0 {
        log::warn!("{}: others could read what is stored: from now on its owner alone can (mode 0600)", path.display());
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

const NO_FILE: &str = "it is no regular file, but a directory, a FIFO or a device; name a file with --store";

/// Refuses to touch a file that no database wrote.
fn check_magic(mut file: &File) -> Result<(), DiskError> {
    let mut begin = Vec::new();
    file.by_ref().take(MAGIC.len() as u64).read_to_end(&mut begin)?;
    if begin.is_empty() || begin == MAGIC { Ok(()) } else { Err(DiskError::Foreign) }
}

fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let named = |at: u64| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".damaged-{at}"));
        PathBuf::from(name)
    };
    // An earlier one stays what it is.
    let aside = (unix_seconds()..).map(named).find(|aside| !aside.exists()).unwrap_or_else(|| named(0));
    std::fs::rename(path, &aside)?;
    Ok(aside)
}

#[cfg(test)]
mod tests;
