//! TLS libraries of programs: found and read on a thread of its own, each file once, and probed in whatever process runs it.
//!
//! A file is looked for where the system keeps its libraries, once; in every process that is there when the agent begins; where one
//! begins to run another program; and in each process that begins a session of TLS, again from time to time: it may load its
//! library later, or bring one of its own. Of the latter all code is looked through, for libraries that were linked into
//! something else: each file once.

mod files;
mod probed;
mod usage;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

use wirespan_inspect::tls::Places;

use crate::bpf::probes::Probes;
use crate::config::Tls;
use files::Files;
pub use probed::Probed;
pub use usage::{Library, Usage, Why};

/// Questions at a time. Beyond them a process is asked about again with its next session.
const MAX_WAITING: usize = 1024;
/// A process is looked at again that begins sessions, nanoseconds; after twice that the next time.
const AGAIN: u64 = 1_000_000_000;
/// Up to this.
const SELDOM: u64 = 120_000_000_000;

/// What of a process is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looks {
    /// The program that it has just begun to run.
    AtProgram,
    /// That, and what it has loaded; `true`: its files are looked through.
    AtAll(bool),
}

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// What of a file is to be probed; its number, which its probes say.
    Library(Probes, u8),
    /// A file has a library whose plaintext cannot be read. It was said why.
    Refused,
    /// A process was looked at.
    Process(u32, Library),
}

/// A process is to be looked at.
#[derive(Debug)]
struct Question {
    tgid: u32,
    /// Its directory below `/proc`.
    dir: PathBuf,
    looks: Looks,
    places: Places,
}

/// Whoever finds them.
#[derive(Debug)]
pub struct Libraries {
    questions: SyncSender<Question>,
    found: Receiver<Found>,
    proc_root: PathBuf,
    /// When a process is to be asked about again, and how long to wait then.
    asked: HashMap<u32, (u64, u64)>,
}

impl Libraries {
    /// Starts the thread, which ends when this is dropped. It looks at the system's own libraries at once, as far as `otherwise` says
    /// so.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(proc_root: PathBuf, otherwise: Tls) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel::<Question>(MAX_WAITING);
        let (tell, found) = sync_channel(MAX_WAITING);
        Builder::new().name("wirespan-tls".into()).spawn(move || {
            let mut files = Files::default();
            let tell = |found: Vec<Found>| found.into_iter().try_for_each(|found| tell.send(found));
            if otherwise != Tls::Off && tell(files.of_system(places(otherwise))).is_err() {
                return;
            }
            while let Ok(Question { tgid, dir, looks, places }) = asked.recv() {
                let found = match looks {
                    Looks::AtProgram => files.of_program(&dir, places),
                    Looks::AtAll(searches) => {
                        let (mut found, library) = files.of_process(&dir, searches, places);
                        found.push(Found::Process(tgid, library));
                        found
                    }
                };
                if tell(found).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, found, proc_root, asked: HashMap::default() })
    }

    /// Looks at a process that has done nothing yet: at what its files are called.
    pub fn survey(&mut self, tgid: u32, wanted: Tls) {
        // (One that is not looked at now is when it begins a session.)
        let _ = self.question(tgid, Looks::AtAll(false), wanted);
    }

    /// Looks at a process that begins a session, unless that was done lately.
    pub fn ask(&mut self, tgid: u32, wanted: Tls, now: u64) {
        let pause = match self.asked.get(&tgid) {
            Some((again, _)) if *again > now => return,
            Some((_, pause)) => (pause * 2).min(SELDOM),
            None => AGAIN,
        };
        if !matches!(self.question(tgid, Looks::AtAll(true), wanted), Err(TrySendError::Full(_))) {
            self.asked.insert(tgid, (now + pause, pause));
        }
    }

    /// A process begins to run another program, which may bring a library of its own: then its first session is read, too. (If
    /// there are too many, it is looked at when it begins one.)
    pub fn begins(&self, tgid: u32, wanted: Tls) {
        let _ = self.question(tgid, Looks::AtProgram, wanted);
    }

    fn question(&self, tgid: u32, looks: Looks, wanted: Tls) -> Result<(), TrySendError<Question>> {
        if wanted == Tls::Off {
            return Ok(());
        }
        let dir = self.proc_root.join(tgid.to_string());
        self.questions.try_send(Question { tgid, dir, looks, places: places(wanted) })
    }

    /// A process ended, or runs another program.
    pub fn forget(&mut self, tgid: u32) {
        self.asked.remove(&tgid);
    }

    /// What was found since this was last asked.
    pub fn found(&self) -> impl Iterator<Item = Found> {
        self.found.try_iter()
    }
}

/// Which places may be probed.
fn places(wanted: Tls) -> Places {
    if wanted == Tls::Force { Places::Any } else { Places::Cheap }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_begins_sessions_is_looked_at_again_and_ever_more_seldom() {
        let (questions, asked) = sync_channel(MAX_WAITING);
        let (_tell, found) = sync_channel(MAX_WAITING);
        let mut libraries = Libraries { questions, found, proc_root: "/proc".into(), asked: HashMap::default() };
        let mut times = Vec::new();
        for second in 0..20 {
            libraries.ask(7, Tls::Auto, second * AGAIN);
            if asked.try_recv().is_ok() {
                times.push(second);
            }
        }
        assert_eq!(times, [0, 1, 3, 7, 15]);
        libraries.forget(7);
        libraries.ask(7, Tls::Auto, 20 * AGAIN);
        let question = asked.try_recv().unwrap();
        assert_eq!((question.tgid, question.dir), (7, PathBuf::from("/proc/7")));
        libraries.begins(8, Tls::Force);
        let question = asked.try_recv().unwrap();
        assert_eq!((question.tgid, question.looks, question.places), (8, Looks::AtProgram, Places::Any));
        libraries.begins(9, Tls::Off);
        assert!(asked.try_recv().is_err());
    }
}
