//! A copy of the traces in a file, which outlives the agent however it ends.
//!
//! | module | what it is |
//! |---|---|
//! | [`log`] | what the file has to learn |
//! | `database` | the file |
//!
//! A thread of its own writes twice a second what came and went since. Memory is what counts: nobody waits for the disk,
//! and what goes wrong there is said once, counted, and tried again; the file then learns everything anew. It holds what
//! memory holds and no more, so it is bounded by the same limits.

mod database;
pub mod log;

use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};
use std::time::{Duration, Instant};

use ::log::{error, info, warn};
use opentelemetry_proto::tonic::resource::v1::Resource as OtlpResource;
use prost::Message as _;

use super::memory::Memory;
use crate::Counters;
use database::{Disk, DiskError};
use log::Op;
use wirespan_delivery::otlp::decode;
use wirespan_delivery::vital::Vital;

/// How often the file learns what is new: half of what a kill may cost.
const PACE: Duration = Duration::from_millis(500);
/// How long to wait after an error.
const RETRY: Duration = Duration::from_secs(10);
/// Bytes read from the file at a time, between which others may use the memory.
const CHUNK: usize = 256 << 10;

/// The thread that keeps the file.
pub struct Keeper {
    /// Dropped to end it.
    stop: SyncSender<()>,
    done: Receiver<()>,
}

impl Keeper {
    /// Opens the file, brings its traces back into memory, and keeps it up to date. No new trace must be taken in before
    /// what comes back with it has been received from; old ones may still be on their way then.
    ///
    /// # Errors
    /// If the system gives no thread. What is wrong with the file is no error: the log says it.
    pub fn start(
        path: &Path,
        memory: Arc<RwLock<Memory>>,
        counters: Arc<Counters>,
    ) -> std::io::Result<(Self, Receiver<()>)> {
        Disk::prepare(path);
        let (stop, stopped) = mpsc::sync_channel(0);
        let (ready_in, ready) = mpsc::sync_channel(1);
        let (done_in, done) = mpsc::sync_channel(1);
        let work = Work { path: path.to_owned(), memory, counters, disk: None };
        std::thread::Builder::new().name("store-disk".to_owned()).spawn(move || {
            let _vital = Vital::of("the store's disk");
            work.run(&stopped, &ready_in);
            let _ = done_in.send(());
        })?;
        Ok((Self { stop, done }, ready))
    }

    /// Writes what is left, and waits for it until `deadline`.
    pub fn finish(self, deadline: Instant) {
        drop(self.stop);
        if self.done.recv_timeout(deadline.saturating_duration_since(Instant::now())).is_err() {
            warn!("the disk did not take the last traces in time");
        }
    }
}

struct Work {
    path: PathBuf,
    memory: Arc<RwLock<Memory>>,
    counters: Arc<Counters>,
    /// `None` while the file cannot be used.
    disk: Option<Disk>,
}

impl Work {
    fn run(mut self, stop: &Receiver<()>, ready: &SyncSender<()>) {
        match self.begin(ready) {
            Ok(disk) => self.disk = Some(disk),
            Err(error) => self.broken(&error),
        }
        let _ = ready.try_send(());
        loop {
            let pause = if self.disk.is_some() { PACE } else { RETRY };
            let ended = stop.recv_timeout(pause) == Err(RecvTimeoutError::Disconnected);
            if self.disk.is_some() {
                self.write();
            } else if !ended {
                self.begin_anew();
            }
            if ended {
                return;
            }
        }
    }

    fn memory(&self) -> RwLockWriteGuard<'_, Memory> {
        self.memory.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The first time: what the file has comes into memory.
    fn begin(&self, ready: &SyncSender<()>) -> Result<Disk, DiskError> {
        let disk = Disk::open(&self.path)?;
        let (piece, resource) = disk.next_numbers()?;
        self.memory().number_from(piece, resource);
        // Numbers of what comes from here on are new.
        let _ = ready.send(());
        self.bring_back(&disk)?;
        Ok(disk)
    }

    fn bring_back(&self, disk: &Disk) -> Result<(), DiskError> {
        let begun = Instant::now();
        for (number, encoded) in disk.resources()? {
            // Of a resource that makes no sense the pieces make none either.
            if let Ok(resource) = OtlpResource::decode(&*encoded) {
                self.memory().restore_resource(&Arc::new(decode::resource(resource)), number);
            }
        }
        let (mut from, mut damaged, mut brought) = (0, Vec::new(), 0_u64);
        loop {
            let pieces = disk.pieces(from, CHUNK)?;
            let Some((last, _)) = pieces.last() else { break };
            from = last + 1;
            let mut memory = self.memory();
            for (number, bytes) in pieces {
                // A piece that is new since is in memory already.
                match memory.restore(number, bytes) {
                    Ok(inserted) => brought += u64::from(inserted.refused == 0),
                    Err(_) => damaged.push(Op::Remove(number)),
                }
            }
        }
        self.memory().forget_unused_resources();
        if !damaged.is_empty() {
            warn!("{}: {} pieces of traces are damaged, and dropped", self.path.display(), damaged.len());
            disk.write(&damaged)?;
        }
        if brought > 0 {
            info!("{}: {brought} pieces of traces brought back in {:.1?}", self.path.display(), begun.elapsed());
        }
        Ok(())
    }

    /// Writes what came and went.
    fn write(&mut self) {
        let Some(disk) = &self.disk else { return };
        let ops = self.memory().log.take();
        let written = match &ops {
            Some(ops) if ops.is_empty() => return,
            Some(ops) => disk.write(ops),
            None => disk.replace(&self.everything()),
        };
        if let Err(error) = written {
            self.broken(&error);
        }
    }

    /// After an error: the file learns everything that memory has.
    fn begin_anew(&mut self) {
        let disk = Disk::open(&self.path).and_then(|disk| {
            disk.replace(&self.everything())?;
            Ok(disk)
        });
        match disk {
            Ok(disk) => {
                info!("{}: traces are written again", disk.path().display());
                self.disk = Some(disk);
            }
            Err(_) => {
                self.counters.store_disk_errors.inc();
                self.memory().log.end();
            }
        }
    }

    /// Everything, and from here on the log has what comes.
    fn everything(&self) -> Vec<Op> {
        let mut memory = self.memory();
        memory.log.begin();
        let resources =
            memory.resources.encoded().into_iter().map(|(number, encoded)| Op::AddResource(number, encoded));
        resources.chain(memory.pieces().into_iter().map(Op::Add)).collect()
    }

    fn broken(&mut self, error: &DiskError) {
        self.disk = None;
        self.memory().log.end();
        self.counters.store_disk_errors.inc();
        error!(
            "{}: {error}; traces are kept in memory only, and the file is tried again every {} s",
            self.path.display(),
            RETRY.as_secs()
        );
    }
}
