//! Where the units of traced programs' runtimes are: found on a thread of its own, because a large program's types take a
//! while to read, and handed to the kernel programs.
//!
//! A Go program's file is read once; of a process, only where it was loaded. Of CPython it is the process's memory that is read
//! ([`python`]), again from time to time until asyncio is there. Until the answer is there, threads are all that is known.

mod python;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

use wirespan_common::{PythonState, RuntimeState, UNIT_GOROUTINE};
use wirespan_inspect::go::{self, Goroutines, Module};
use wirespan_inspect::{Error, Image};

use crate::discovery::programs::{self, FileKey};

/// Questions at a time. Beyond them a process is asked about again with its next operation.
const MAX_WAITING: usize = 256;
/// Files remembered.
const MAX_FILES: usize = 1024;
/// `AT_ENTRY` of the auxiliary vector (include/uapi/linux/auxvec.h): where the program was entered.
const AT_ENTRY: u64 = 9;
/// After this time a program is looked at again that has not loaded yet what has units, nanoseconds; twice that the next time.
const AGAIN: u64 = 250_000_000;
/// Up to this.
const SELDOM: u64 = 120_000_000_000;

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
    pub units: Units,
}

/// Where units are, as the kernel programs need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Goroutines.
    Go(RuntimeState),
    /// Tasks of asyncio.
    Python(PythonState),
    /// What has them is not loaded yet.
    NotYet,
}

/// What was asked about a process.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Which life of it.
    life: u64,
    /// When to ask again, if ever, and how long to wait then.
    again: Option<u64>,
    pause: u64,
}

/// Whoever finds them.
#[derive(Debug)]
pub struct Finder {
    questions: SyncSender<Question>,
    answers: Receiver<(u64, Answer)>,
    proc_root: PathBuf,
    asked: HashMap<u32, Asked>,
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
                let Some(units) = files.units(&question) else { continue };
                if tell.send((question.life, Answer { tgid: question.tgid, units })).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers, proc_root, asked: HashMap::default(), lives: 0 })
    }

    /// Asks for the units of a process, once in its life, or from time to time until they are there. `now` only grows.
    pub fn ask(&mut self, tgid: u32, now: u64) {
        let asked = match self.asked.get(&tgid) {
            Some(asked) if asked.again.is_some_and(|again| again <= now) => Asked { again: None, ..*asked },
            Some(_) => return,
            None => {
                self.lives += 1;
                Asked { life: self.lives, again: None, pause: AGAIN }
            }
        };
        let question = Question { tgid, life: asked.life, dir: self.proc_root.join(tgid.to_string()) };
        match self.questions.try_send(question) {
            Err(TrySendError::Full(_)) => {}
            // Without the thread there is nobody to ask again.
            Ok(()) | Err(TrySendError::Disconnected(_)) => drop(self.asked.insert(tgid, asked)),
        }
    }

    /// A process ended, or runs another program.
    pub fn forget(&mut self, tgid: u32) {
        self.asked.remove(&tgid);
    }

    /// What was found since this was last asked.
    pub fn answers(&mut self, now: u64) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (life, answer) in self.answers.try_iter() {
            let Some(asked) = self.asked.get_mut(&answer.tgid).filter(|asked| asked.life == life) else { continue };
            if answer.units == Units::NotYet {
                asked.again = Some(now + asked.pause);
                asked.pause = (asked.pause * 2).min(SELDOM);
            } else {
                answers.push(answer);
            }
        }
        answers
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
    interpreters: python::Interpreters,
}

impl Files {
    fn units(&mut self, question: &Question) -> Option<Units> {
        let (file, key) = programs::open(&question.dir).ok()?;
        // Its file is known at once, if it is Go's: most that are asked about are one or the other.
        match self.interpreters.units(question.tgid, &question.dir) {
            None => self.goroutines(question, &file, key).map(Units::Go),
            Some(units) => units,
        }
    }

    fn goroutines(&mut self, question: &Question, file: &std::fs::File, key: FileKey) -> Option<RuntimeState> {
        if self.known.len() >= MAX_FILES {
            self.known.clear();
        }
        let known = *self.known.entry(key).or_insert_with(|| match read(file) {
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
        let answer = Answer { tgid: 7, units: Units::Go(RuntimeState::default()) };
        finder.ask(7, 0);
        tell.send((1, answer)).unwrap();
        assert_eq!(finder.answers(0), [answer]);
        tell.send((1, answer)).unwrap();
        finder.forget(7);
        assert_eq!(finder.answers(0), []);
        finder.ask(7, 0);
        tell.send((1, answer)).unwrap();
        tell.send((2, answer)).unwrap();
        assert_eq!(finder.answers(0), [answer]);
    }

    #[test]
    fn what_is_not_loaded_yet_is_asked_for_again_and_ever_more_seldom() {
        let (questions, asked) = sync_channel(MAX_WAITING);
        let (tell, answers) = sync_channel(MAX_WAITING);
        let mut finder = Finder { questions, answers, proc_root: "/proc".into(), asked: HashMap::default(), lives: 0 };
        let mut times = Vec::new();
        for now in (0..100).map(|n| n * AGAIN) {
            finder.ask(7, now);
            if asked.try_recv().is_ok() {
                times.push(now / AGAIN);
                tell.send((1, Answer { tgid: 7, units: Units::NotYet })).unwrap();
                assert_eq!(finder.answers(now), []);
            }
        }
        assert_eq!(times, [0, 1, 3, 7, 15, 31, 63]);
    }

    #[test]
    fn a_program_that_is_not_gos_has_no_units() {
        let question = Question { tgid: 7, life: 1, dir: "/proc/self".into() };
        assert_eq!(Files::default().units(&question), None);
    }
}
