//! Where the units of traced programs' runtimes are, and what of such programs is probed: found on a thread of its own, because
//! a large program's types take a while to read, and handed to the kernel programs.
//!
//! A Go program's file is read once (`go`), and nginx's (`nginx`), and Node's (`node`); of a process, only where it was loaded. Of CPython it is
//! the process's memory that is read (`python`), again from time to time until asyncio is there; of a Java VM, too (`java`), until
//! it is ready. Until the answer is there, threads are all that is known.
//! Probes are asked for once a process was seen to serve something, and for no other.

mod go;
pub mod java;
mod nginx;
pub mod node;
pub mod python;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::Builder;

use wirespan_common::{JavaState, PythonState, RuntimeState};

use crate::bpf::probes::Probes;
use crate::discovery::programs::{self, ByFile};

/// Questions at a time. Beyond them a process is asked about again with its next operation.
const MAX_WAITING: usize = 256;
/// After this time a program is looked at again that has not loaded yet what has units, nanoseconds; twice that the next time.
const AGAIN: u64 = 250_000_000;
/// Up to this.
const SELDOM: u64 = 120_000_000_000;

/// What is asked of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// Where its units are.
    Units,
    /// What of it is probed.
    Probes,
    /// What of it is probed in addition, because other threads than its loop's make calls.
    Lent,
    /// What of it is probed in addition, so that it is known which of its units make others; and its units, with that.
    Births,
}

/// A process that is asked about.
#[derive(Debug)]
struct Question {
    tgid: u32,
    /// Which life of it: an answer about an earlier one is none.
    life: u64,
    dir: PathBuf,
    wanted: Wanted,
}

/// What was found of a process.
#[derive(Debug)]
pub struct Answer {
    /// The process.
    pub tgid: u32,
    /// What.
    pub found: Found,
}

/// What was found.
#[derive(Debug)]
pub enum Found {
    /// Where its units are: what the kernel programs need.
    Units(Units),
    /// What is to be probed; never nothing.
    Probes(Vec<Probes>),
    /// The same, with what the kernel programs need for that.
    Births(RuntimeState, Vec<Probes>),
}

/// Where units are, as the kernel programs need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Units {
    /// Goroutines, loops of Node.
    Known(RuntimeState),
    /// Tasks of asyncio.
    Python(PythonState),
    /// Virtual threads.
    Java(JavaState),
    /// What has them is not loaded yet.
    NotYet,
}

impl Units {
    /// Whether there are tasks: the loops' dictionary, or the threads' states, say which run.
    fn has_tasks(&self) -> bool {
        matches!(self, Self::Python(state) if state.running != 0 || state.running_task != 0)
    }
}

/// What was asked about a process.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// Which life of it.
    life: u64,
    /// When to ask again, if ever, and how long to wait then.
    again: Option<u64>,
    pause: u64,
    /// It was asked what is probed.
    probes: bool,
    /// It has tasks, and another thread may work for one.
    tasks: bool,
    /// It was asked what is probed in addition.
    lent: bool,
    /// It was asked what is probed so that births are told.
    births: bool,
    /// The thread that read a request last.
    reader: u32,
}

/// Whoever finds them.
#[derive(Debug)]
pub struct Finder {
    questions: SyncSender<Question>,
    answers: Receiver<(u64, Answer)>,
    proc_root: PathBuf,
    asked: HashMap<u32, Asked>,
    lives: u64,
    /// Whether any process is probed.
    probes: bool,
}

impl Finder {
    /// Starts the thread. It ends when this is dropped. `probes`: whether it is ever asked what is probed.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(proc_root: PathBuf, probes: bool) -> std::io::Result<Self> {
        let (questions, asked) = sync_channel::<Question>(MAX_WAITING);
        let (tell, answers) = sync_channel(MAX_WAITING);
        Builder::new().name("wirespan-inspect".into()).spawn(move || {
            let mut files = Files::default();
            while let Ok(question) = asked.recv() {
                let Some(found) = files.find(&question) else { continue };
                if tell.send((question.life, Answer { tgid: question.tgid, found })).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { questions, answers, proc_root, asked: HashMap::default(), lives: 0, probes })
    }

    /// Asks for the units of a process, once in its life, or from time to time until they are there. `now` only grows.
    pub fn ask(&mut self, tgid: u32, now: u64) {
        let asked = match self.asked.get(&tgid) {
            Some(asked) if asked.again.is_some_and(|again| again <= now) => Asked { again: None, ..*asked },
            Some(_) => return,
            None => {
                self.lives += 1;
                Asked {
                    life: self.lives,
                    again: None,
                    pause: AGAIN,
                    probes: false,
                    tasks: false,
                    lent: false,
                    births: false,
                    reader: 0,
                }
            }
        };
        if self.send(tgid, asked.life, Wanted::Units) {
            self.asked.insert(tgid, asked);
        }
    }

    /// Asks for what is probed of a process, whose units were asked for, once in its life: it serves something, which `reader`
    /// read.
    pub fn ask_for_probes(&mut self, tgid: u32, reader: u32) {
        self.asked.entry(tgid).and_modify(|asked| asked.reader = reader);
        let wanted = |asked: &Asked| self.probes && !asked.probes && asked.again.is_none();
        let Some(asked) = self.asked.get(&tgid).copied().filter(wanted) else { return };
        if self.send(tgid, asked.life, Wanted::Probes) {
            self.asked.insert(tgid, Asked { probes: true, ..asked });
        }
    }

    /// Asks for what is probed in addition, once in a process's life: `caller` is a thread that made a call while no task ran on
    /// it. If it is not the one that reads requests, it may work for a task.
    pub fn ask_for_lent(&mut self, tgid: u32, caller: u32) {
        let wanted =
            |asked: &Asked| self.probes && asked.tasks && asked.probes && !asked.lent && asked.reader != caller;
        let Some(asked) = self.asked.get(&tgid).copied().filter(wanted) else { return };
        if self.send(tgid, asked.life, Wanted::Lent) {
            self.asked.insert(tgid, Asked { lent: true, ..asked });
        }
    }

    /// Asks for what is probed so that it is known which units of a process make others, which is probed already.
    pub fn ask_for_births(&mut self, tgid: u32) {
        let wanted = |asked: &Asked| asked.probes && !asked.births;
        let Some(asked) = self.asked.get(&tgid).copied().filter(wanted) else { return };
        if self.send(tgid, asked.life, Wanted::Births) {
            self.asked.insert(tgid, Asked { births: true, ..asked });
        }
    }

    /// That is not to be told any longer. Returns whether it may be probed for it.
    pub fn leave_births(&mut self, tgid: u32) -> bool {
        let Some(asked) = self.asked.get(&tgid).copied().filter(|asked| asked.births) else { return false };
        self.asked.insert(tgid, Asked { births: false, ..asked });
        // (If there is no room for the question, what is noted of each birth is noted in vain.)
        self.send(tgid, asked.life, Wanted::Units);
        true
    }

    /// Whether it need not be asked again.
    fn send(&self, tgid: u32, life: u64, wanted: Wanted) -> bool {
        let question = Question { tgid, life, dir: self.proc_root.join(tgid.to_string()), wanted };
        // Without the thread there is nobody to ask again.
        !matches!(self.questions.try_send(question), Err(TrySendError::Full(_)))
    }

    /// A process ended, or runs another program. Returns whether it may be probed.
    pub fn forget(&mut self, tgid: u32) -> bool {
        self.asked.remove(&tgid).is_some_and(|asked| asked.probes)
    }

    /// What was found since this was last asked.
    pub fn answers(&mut self, now: u64) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (life, answer) in self.answers.try_iter() {
            let Some(asked) = self.asked.get_mut(&answer.tgid).filter(|asked| asked.life == life) else { continue };
            if matches!(answer.found, Found::Units(Units::NotYet)) {
                asked.again = Some(now + asked.pause);
                (asked.pause, asked.probes) = ((asked.pause * 2).min(SELDOM), false);
            } else {
                asked.tasks |= matches!(&answer.found, Found::Units(units) if units.has_tasks());
                answers.push(answer);
            }
        }
        answers
    }
}

#[derive(Default)]
struct Files {
    known: ByFile<Option<go::Known>>,
    servers: ByFile<Option<nginx::Known>>,
    nodes: node::Nodes,
    interpreters: python::Interpreters,
    machines: java::Machines,
}

impl Files {
    fn find(&mut self, question: &Question) -> Option<Found> {
        match self.interpreters.find(question.tgid, &question.dir, question.wanted) {
            python::Told::NoInterpreter => self.find_in_machine(question),
            python::Told::Unknown(_) => None,
            python::Told::NotYet => Some(Found::Units(Units::NotYet)),
            python::Told::Found(found) => Some(found),
        }
    }

    fn find_in_machine(&mut self, question: &Question) -> Option<Found> {
        match self.machines.find(question.tgid, &question.dir) {
            java::Told::NoMachine => self.find_in_program(question),
            java::Told::Nothing(_) => None,
            java::Told::NotYet => Some(Found::Units(Units::NotYet)),
            // (Nothing of it is probed.)
            java::Told::Found(state) => (question.wanted == Wanted::Units).then_some(Found::Units(Units::Java(state))),
        }
    }

    fn find_in_program(&mut self, question: &Question) -> Option<Found> {
        if let Some(node) = self.nodes.find(question.tgid, &question.dir) {
            return node.found(question.wanted);
        }
        let (file, key) = programs::open(&question.dir).ok()?;
        if let Some(server) = self.servers.or_read(key, || nginx::Known::said(question.tgid, &file)) {
            let probes = (question.wanted == Wanted::Probes).then(|| server.probes(file));
            return probes.filter(|probes| !probes.is_empty()).map(Found::Probes);
        }
        let known = self.known.or_read(key, || go::Known::said(question.tgid, &file)).as_ref()?;
        match question.wanted {
            Wanted::Units => known.state(&question.dir, false).map(|state| Found::Units(Units::Known(state))),
            Wanted::Births => {
                let probes = Some(known.births(file)).filter(|probes| !probes.is_empty())?;
                known.state(&question.dir, true).map(|state| Found::Births(state, probes))
            }
            Wanted::Probes => Some(known.probes(file)).filter(|probes| !probes.is_empty()).map(Found::Probes),
            Wanted::Lent => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finder(questions: SyncSender<Question>, answers: Receiver<(u64, Answer)>) -> Finder {
        Finder { questions, answers, proc_root: "/proc".into(), asked: HashMap::default(), lives: 0, probes: true }
    }

    #[test]
    fn an_answer_about_an_earlier_life_of_a_process_is_none() {
        let (questions, _asked) = sync_channel(MAX_WAITING);
        let (tell, answers) = sync_channel(MAX_WAITING);
        let mut finder = finder(questions, answers);
        let answer = || Answer { tgid: 7, found: Found::Units(Units::Known(RuntimeState::default())) };
        finder.ask(7, 0);
        tell.send((1, answer())).unwrap();
        assert_eq!(finder.answers(0).len(), 1);
        tell.send((1, answer())).unwrap();
        finder.forget(7);
        assert_eq!(finder.answers(0).len(), 0);
        finder.ask(7, 0);
        tell.send((1, answer())).unwrap();
        tell.send((2, answer())).unwrap();
        assert_eq!(finder.answers(0).len(), 1);
    }

    #[test]
    fn probes_are_asked_for_once_and_of_processes_whose_units_were_asked_for() {
        let (questions, asked) = sync_channel(MAX_WAITING);
        let (_tell, answers) = sync_channel(MAX_WAITING);
        let mut finder = finder(questions, answers);
        finder.ask_for_probes(7, 7);
        assert_eq!(asked.try_iter().count(), 0);
        finder.ask(7, 0);
        finder.probes = false;
        finder.ask_for_probes(7, 7);
        finder.probes = true;
        finder.ask_for_probes(7, 7);
        finder.ask_for_probes(7, 7);
        assert_eq!(asked.try_iter().map(|q| q.wanted).collect::<Vec<_>>(), [Wanted::Units, Wanted::Probes]);
        assert!(finder.forget(7), "it may be probed");
        assert!(!finder.forget(7));
    }

    #[test]
    fn what_other_threads_do_is_asked_for_once_where_there_are_tasks_and_they_are_not_the_loops() {
        let (questions, asked) = sync_channel(MAX_WAITING);
        let (tell, answers) = sync_channel(MAX_WAITING);
        let mut finder = finder(questions, answers);
        finder.ask(7, 0);
        finder.ask_for_probes(7, 70);
        finder.ask_for_lent(7, 71);
        assert!(asked.try_iter().all(|q| q.wanted != Wanted::Lent), "it has no tasks that are known of");
        tell.send((
            1,
            Answer {
                tgid: 7,
                found: Found::Units(Units::Python(PythonState { running: 1, ..PythonState::default() })),
            },
        ))
        .unwrap();
        assert_eq!(finder.answers(0).len(), 1);
        finder.ask_for_lent(7, 70);
        assert!(asked.try_recv().is_err(), "that is the loop's thread");
        finder.ask_for_lent(7, 71);
        finder.ask_for_lent(7, 72);
        assert_eq!(asked.try_iter().map(|q| q.wanted).collect::<Vec<_>>(), [Wanted::Lent]);
    }

    #[test]
    fn births_are_asked_for_of_what_is_probed_and_again_when_they_were_left() {
        let (questions, asked) = sync_channel(MAX_WAITING);
        let (_tell, answers) = sync_channel(MAX_WAITING);
        let mut finder = finder(questions, answers);
        finder.ask(7, 0);
        finder.ask_for_births(7);
        assert!(!finder.leave_births(7));
        finder.ask_for_probes(7, 7);
        let wanted = || asked.try_iter().map(|question| question.wanted).collect::<Vec<_>>();
        assert_eq!(wanted(), [Wanted::Units, Wanted::Probes]);
        for _ in 0..2 {
            finder.ask_for_births(7);
            finder.ask_for_births(7);
            assert_eq!(wanted(), [Wanted::Births]);
            assert!(finder.leave_births(7) && !finder.leave_births(7));
            assert_eq!(wanted(), [Wanted::Units], "nothing is noted of births any more");
        }
    }

    #[test]
    fn what_is_not_loaded_yet_is_asked_for_again_and_ever_more_seldom() {
        let (questions, asked) = sync_channel(MAX_WAITING);
        let (tell, answers) = sync_channel(MAX_WAITING);
        let mut finder = finder(questions, answers);
        let mut times = Vec::new();
        for now in (0..100).map(|n| n * AGAIN) {
            finder.ask(7, now);
            if asked.try_recv().is_ok() {
                times.push(now / AGAIN);
                tell.send((1, Answer { tgid: 7, found: Found::Units(Units::NotYet) })).unwrap();
                assert_eq!(finder.answers(now).len(), 0);
                finder.ask_for_probes(7, 7);
                assert!(asked.try_recv().is_err(), "there is nothing to be probed yet");
            }
        }
        assert_eq!(times, [0, 1, 3, 7, 15, 31, 63]);
    }

    #[test]
    fn a_program_that_is_not_gos_has_no_units() {
        for wanted in [Wanted::Units, Wanted::Probes] {
            let question = Question { tgid: 7, life: 1, dir: "/proc/self".into(), wanted };
            assert!(Files::default().find(&question).is_none());
        }
    }
}
