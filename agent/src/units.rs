//! Where the units of traced programs' runtimes are: found on a thread of its own, because a large program's types take a
//! while to read, and handed to the kernel programs.
//!
//! A file is read once; of a process, only where it was loaded. Until the answer is there, its threads are all that is known.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

use wirespan_common::{RuntimeState, UNIT_GOROUTINE};
use wirespan_inspect::go::{self, Goroutines, Module};
use wirespan_inspect::{Error, Image};

use crate::discovery::programs::{self, FileKey};

/// Questions at a time. Beyond them a process is asked about again with its next operation.
const MAX_WAITING: usize = 256;
/// Files remembered.
const MAX_FILES: usize = 1024;
/// `AT_ENTRY` of the auxiliary vector (include/uapi/linux/auxvec.h): where the program was entered.
const AT_ENTRY: u64 = 9;

/// A process that is asked about.
#[derive(Debug)]
struct Question {
    tgid: u32,
    /// Which life of it: an answer about an earlier one is none.
    life: u64,
    dir: PathBuf,
}

/// Where a process's units are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The process.
    pub tgid: u32,
    /// What the kernel programs need.
    pub state: RuntimeState,
}

/// Whoever finds them.
#[derive(Debug)]
pub struct Finder {
    questions: SyncSender<Question>,
    answers: Receiver<(u64, Answer)>,
    proc_root: PathBuf,
    asked: HashMap<u32, u64>,
    lives: u64,
}

impl Finder {
    /// Starts the thread. It ends when this is dropped.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(proc_root: PathBuf) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel::<Question>(MAX_WAITING);
        let (tell, answers) = sync_channel(MAX_WAITING);
        Builder::new().name("wirespan-inspect".into()).spawn(move || {
            let mut files = Files::default();
            while let Ok(question) = asked.recv() {
                let Some(state) = files.state(&question) else { continue };
                if tell.send((question.life, Answer { tgid: question.tgid, state })).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers, proc_root, asked: HashMap::default(), lives: 0 })
    }

    /// Asks for the units of a process, once in its life.
    pub fn ask(&mut self, tgid: u32) {
        if self.asked.contains_key(&tgid) {
            return;
        }
        self.lives += 1;
        let question = Question { tgid, life: self.lives, dir: self.proc_root.join(tgid.to_string()) };
        match self.questions.try_send(question) {
            Err(TrySendError::Full(_)) => {}
            // Without the thread there is nobody to ask again.
            Ok(()) | Err(TrySendError::Disconnected(_)) => drop(self.asked.insert(tgid, self.lives)),
        }
    }

    /// A process ended, or runs another program.
    pub fn forget(&mut self, tgid: u32) {
        self.asked.remove(&tgid);
    }

    /// What was found since this was last asked.
    pub fn answers(&mut self) -> impl Iterator<Item = Answer> {
        let asked = &self.asked;
        self.answers.try_iter().filter(|(life, answer)| asked.get(&answer.tgid) == Some(life)).map(|(_, answer)| answer)
    }
}

/// What is known of a file.
#[derive(Clone, Copy, Debug)]
struct Known {
    units: Goroutines,
    /// Where the program is entered, if it runs anywhere.
    entry: Option<u64>,
}

#[derive(Default)]
struct Files {
    known: HashMap<FileKey, Option<Known>>,
}

impl Files {
    fn state(&mut self, question: &Question) -> Option<RuntimeState> {
        let (file, key) = programs::open(&question.dir).ok()?;
        if self.known.len() >= MAX_FILES {
            self.known.clear();
        }
        let known = *self.known.entry(key).or_insert_with(|| match read(&file) {
            Ok(known) => Some(known),
            Err(error) => {
                let tgid = question.tgid;
                log::info!(
                    "process {tgid}: its goroutines cannot be told apart, so fewer of its calls are linked: {error}"
                );
                None
            }
        });
        let Known { units, entry } = known?;
        let loaded = match entry {
            Some(entry) => entered(&question.dir)?.wrapping_sub(entry),
            None => 0,
        };
        let helper = |address: u64| if address == 0 { 0 } else { address.wrapping_add(loaded) };
        Some(RuntimeState {
            kind: UNIT_GOROUTINE,
            below_thread: units.below_thread,
            id: units.id,
            parent: units.parent,
            start: units.start,
            thread: units.thread,
            current: units.current,
            reserved: 0,
            helpers: units.helpers.map(helper),
        })
    }
}

fn read(file: &std::fs::File) -> Result<Known, Error> {
    let mut image = Image::parse(file)?;
    let entry = image.runs_anywhere.then_some(image.entry);
    if entry.is_some() {
        image.read_relocations()?;
    }
    let module = Module::find(&image)?;
    Ok(Known { units: go::goroutines(&image, &module)?, entry })
}

/// Where a process entered its program, as the kernel told it.
fn entered(dir: &Path) -> Option<u64> {
    let vector = std::fs::read(dir.join("auxv")).ok()?;
    let word = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
    vector.chunks_exact(16).find(|pair| word(&pair[..8]) == Some(AT_ENTRY)).and_then(|pair| word(&pair[8..]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entry_is_read_from_the_auxiliary_vector() {
        let entry = entered("/proc/self".as_ref()).unwrap();
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let range = |line: &str| {
            let (from, to) = line.split(' ').next()?.split_once('-')?;
            Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
        };
        let line = maps.lines().find(|line| range(line).is_some_and(|(from, to)| (from..to).contains(&entry))).unwrap();
        let exe = std::env::current_exe().unwrap();
        assert!(line.ends_with(exe.to_str().unwrap()), "{line}");
    }

    #[test]
    fn an_answer_about_an_earlier_life_of_a_process_is_none() {
        let (questions, _asked) = sync_channel(MAX_WAITING);
        let (tell, answers) = sync_channel(MAX_WAITING);
        let mut finder = Finder { questions, answers, proc_root: "/proc".into(), asked: HashMap::default(), lives: 0 };
        let answer = Answer { tgid: 7, state: RuntimeState::default() };
        finder.ask(7);
        tell.send((1, answer)).unwrap();
        assert_eq!(finder.answers().collect::<Vec<_>>(), [answer]);
        tell.send((1, answer)).unwrap();
        finder.forget(7);
        assert_eq!(finder.answers().count(), 0);
        finder.ask(7);
        tell.send((1, answer)).unwrap();
        tell.send((2, answer)).unwrap();
        assert_eq!(finder.answers().count(), 1);
    }

    #[test]
    fn a_program_that_is_not_gos_has_no_units() {
        let question = Question { tgid: 7, life: 1, dir: "/proc/self".into() };
        assert_eq!(Files::default().state(&question), None);
    }
}
