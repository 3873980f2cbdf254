//! TLS libraries of programs: found and read on a thread of its own, each file once, and probed in whatever process runs it.
//!
//! A file is looked for where the system keeps its libraries, once; in every process that is there when the agent begins; and in
//! each process that begins a session of TLS, again from time to time: it may load its library later, or bring one of its own.

mod files;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

use crate::bpf::probes::Probes;
use files::Files;

/// Questions at a time. Beyond them a process is asked about again with its next session.
const MAX_WAITING: usize = 1024;
/// A process is looked at again that begins sessions, nanoseconds; after twice that the next time.
const AGAIN: u64 = 1_000_000_000;
/// Up to this.
const SELDOM: u64 = 120_000_000_000;

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// What of a file is to be probed.
    Library(Probes),
    /// A file has a library whose plaintext cannot be read. It was said why.
    Refused,
}

/// Whoever finds them.
#[derive(Debug)]
pub struct Libraries {
    questions: SyncSender<PathBuf>,
    found: Receiver<Found>,
    proc_root: PathBuf,
    /// When a process is to be asked about again, and how long to wait then.
    asked: HashMap<u32, (u64, u64)>,
}

impl Libraries {
    /// Starts the thread, which ends when this is dropped. It looks at the system's own libraries at once.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(proc_root: PathBuf) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel::<PathBuf>(MAX_WAITING);
        let (tell, found) = sync_channel(MAX_WAITING);
        Builder::new().name("wirespan-tls".into()).spawn(move || {
            let mut files = Files::default();
            let tell = |found: Vec<Found>| found.into_iter().try_for_each(|found| tell.send(found));
            if tell(files.of_system()).is_err() {
                return;
            }
            while let Ok(dir) = asked.recv() {
                if tell(files.of_process(&dir)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, found, proc_root, asked: HashMap::default() })
    }

    /// Looks at a process, unless it was looked at lately.
    pub fn ask(&mut self, tgid: u32, now: u64) {
        let pause = match self.asked.get(&tgid) {
            Some((again, _)) if *again > now => return,
            Some((_, pause)) => (pause * 2).min(SELDOM),
            None => AGAIN,
        };
        let dir = self.proc_root.join(tgid.to_string());
        if !matches!(self.questions.try_send(dir), Err(TrySendError::Full(_))) {
            self.asked.insert(tgid, (now + pause, pause));
        }
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
            libraries.ask(7, second * AGAIN);
            if asked.try_recv().is_ok() {
                times.push(second);
            }
        }
        assert_eq!(times, [0, 1, 3, 7, 15]);
        libraries.forget(7);
        libraries.ask(7, 20 * AGAIN);
        assert_eq!(asked.try_recv().unwrap(), PathBuf::from("/proc/7"));
    }
}
