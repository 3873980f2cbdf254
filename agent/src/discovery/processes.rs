//! The table of processes.
//!
//! Invariants: an entry belongs to one life of one process id (exec, fork and exit replace or retire it, [`Processes::sweep`]
//! compares start times for the case that such an event was lost); a process is read from `/proc` at most once in its life, and only when somebody
//! asks for it; the table is bounded by the live processes, [`RECENT`] dead ones, and [`MAX`] in any case.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rustc_hash::FxHashMap as HashMap;
use wirespan_inspect::runtime::Kind;
use wirespan_signals::Slim as _;

use super::cgroup::{self, Cgroup};
use super::container::{Container, Containers};
use super::facts::{self, Exec, ExecInfo, Facts};
use super::host::HostInfo;
use super::naming::namesakes::Namesakes;
use super::naming::{self, Language, Program, Source};
use super::programs::Programs;
use super::resource::Resources;
use super::selection::{self, Choice, Reason, Selection};
use crate::config::{Config, TlsRules};
use crate::connections::Descriptor;
use crate::containers::Runtimes;
use crate::span::Resource;
use crate::tls::Usage;

/// The most entries; processes beyond it push others out, which are read from `/proc` again if they are asked for.
pub const MAX: usize = 131_072;

/// Processes remembered after their exit, because the close of their sockets is seen after it.
pub const RECENT: usize = 1_024;

/// Processes that one [`Processes::sweep`] looks at.
const SWEPT: usize = 256;

/// The most processes of a machine that are looked at without having done anything.
const MAX_PRESENT: usize = 8_192;

/// How many parents are asked when a process itself can no longer tell.
const GENERATIONS: u8 = 3;

/// One process. Whoever holds it keeps its name past its end.
#[derive(Debug)]
pub struct Process {
    /// Process id in the initial pid namespace.
    pub tgid: u32,
    /// What its spans say of it.
    pub resource: Arc<Resource>,
    /// What spans say that end after its pod, or its container's name, became known.
    later: OnceLock<Arc<Resource>>,
    /// When it began, nanoseconds since boot to a clock tick; `None` if it was gone before that could be read.
    pub start: Option<u64>,
    /// The process that forked it, when it was first looked at; 0 if unknown.
    pub parent: u32,
    /// Its program, and what that is written in.
    pub program: Arc<Program>,
    /// Whence the name of its service comes.
    pub named_by: Source,
    /// Its runtime may have units of its own that can be told apart: goroutines, tasks of asyncio, virtual threads.
    pub has_units: bool,
    choice: Choice,
    reason: Reason,
    /// How it uses TLS, as far as is known.
    pub tls: Arc<Usage>,
    /// A request of it was seen: one that it serves or makes.
    seen: Arc<AtomicBool>,
    left_alone: AtomicBool,
}

impl wirespan_links::Process for Process {
    fn tgid(&self) -> u32 {
        self.tgid
    }

    fn resource(&self) -> &Arc<Resource> {
        self.later.get().unwrap_or(&self.resource)
    }

    fn parent(&self) -> u32 {
        self.parent
    }

    fn start(&self) -> Option<u64> {
        self.start
    }

    fn is_traced(&self) -> bool {
        self.is_traced()
    }
}

impl Process {
    /// Why it is traced, or is not.
    pub fn reason(&self) -> Reason {
        if self.choice != Choice::Nothing && self.left_alone.load(Ordering::Relaxed) {
            return Reason::Exports;
        }
        self.reason
    }

    /// Whether any of its connections may be traced. Port rules decide further: [`Selection::connection_selected`].
    pub fn is_traced(&self) -> bool {
        self.choice != Choice::Nothing && !self.left_alone.load(Ordering::Relaxed)
    }

    /// Whether a request of it was ever seen.
    pub fn was_seen(&self) -> bool {
        self.seen.load(Ordering::Relaxed)
    }

    pub(super) fn choice(&self) -> Choice {
        self.choice
    }
}

/// One life of a process id.
#[derive(Debug, Default)]
struct Entry {
    /// The exec event; forked children share their parent's.
    exec: Option<Arc<Exec>>,
    /// This process was forked and has not called exec since.
    forked: bool,
    /// Time of the event that made this entry; a `/proc` entry that began later is somebody else.
    since: Option<u64>,
    /// Creator, zero if unknown.
    parent: u32,
    /// The parent as it was when it forked, if it was known.
    inherited: Option<Arc<Facts>>,
    exports_telemetry: bool,
    exited: bool,
    facts: Option<Arc<Facts>>,
    process: Option<Arc<Process>>,
}

/// All processes that were seen.
#[derive(Debug)]
pub struct Processes {
    proc_root: PathBuf,
    table: HashMap<u32, Entry>,
    exited: VecDeque<u32>,
    unswept: Vec<u32>,
    cgroups: HashMap<u64, Arc<Cgroup>>,
    containers: Containers,
    /// Who is asked about containers that no file names, if anybody is.
    runtimes: Option<Arc<Runtimes>>,
    programs: Programs,
    resources: Resources,
    namesakes: Namesakes,
    selection: Arc<Selection>,
    allow_duplicate_spans: bool,
    /// Of which of them what passes inside TLS is read.
    tls: TlsRules,
    unknown: Arc<Process>,
}

impl Processes {
    /// An empty table. `proc_root` is `/proc`, or a captured tree.
    pub fn new(config: &Config, proc_root: PathBuf, host: HostInfo) -> Self {
        let roots = roots(&proc_root);
        let resources = Resources::new(config, host, &roots);
        let nobody = Arc::new(resources.build(0, &Facts::default(), &Program::default(), ""));
        Self {
            table: HashMap::default(),
            exited: VecDeque::new(),
            unswept: Vec::new(),
            cgroups: HashMap::default(),
            containers: Containers::new(roots),
            runtimes: None,
            programs: Programs::default(),
            selection: Arc::new(Selection::new(config, std::process::id())),
            allow_duplicate_spans: config.allow_duplicate_spans,
            tls: config.tls.clone(),
            unknown: Arc::new(Process {
                tgid: 0,
                resource: nobody,
                later: OnceLock::new(),
                start: None,
                parent: 0,
                program: Arc::default(),
                named_by: Source::default(),
                has_units: false,
                choice: Choice::Nothing,
                reason: Reason::NotIncluded,
                tls: Arc::default(),
                seen: Arc::default(),
                left_alone: AtomicBool::new(true),
            }),
            namesakes: Namesakes::default(),
            resources,
            proc_root,
        }
    }

    /// A process replaced its program: what was known of this id is void, save whose child it is.
    pub fn on_exec(&mut self, event: &ExecInfo<'_>) {
        let before = self.table.remove(&event.tgid);
        let parent = match (&before, event.parent_tgid) {
            (Some(before), 0) => before.parent,
            (_, parent) => parent,
        };
        let entry = Entry {
            exec: Some(Arc::new(Exec::new(event))),
            since: Some(event.time),
            parent,
            inherited: before.filter(|before| !before.exited).and_then(|before| before.facts.or(before.inherited)),
            ..Entry::default()
        };
        self.insert(event.tgid, entry);
    }

    /// A process was created: it is what its parent is, until it calls exec. `time` is `CLOCK_BOOTTIME` nanoseconds.
    /// New threads of a process are no news and are ignored.
    pub fn on_fork(&mut self, child_tgid: u32, parent_tgid: u32, time: u64) {
        if child_tgid == parent_tgid {
            return;
        }
        let parent = self.table.get(&parent_tgid).filter(|parent| !parent.exited);
        let entry = Entry {
            exec: parent.and_then(|parent| parent.exec.clone()),
            forked: true,
            since: Some(time),
            parent: parent_tgid,
            // After an exec, what the parent inherited is about the program that it was before.
            inherited: parent.and_then(|parent| match &parent.facts {
                None if parent.forked => parent.inherited.clone(),
                facts => facts.clone(),
            }),
            exports_telemetry: parent.is_some_and(|parent| parent.exports_telemetry),
            ..Entry::default()
        };
        self.insert(child_tgid, entry);
    }

    /// A process ended: its main thread did, others do not count. It can still be asked for until [`RECENT`] others have
    /// ended or its id is used again.
    pub fn on_exit(&mut self, tgid: u32) {
        let Some(entry) = self.table.get_mut(&tgid) else { return };
        if std::mem::replace(&mut entry.exited, true) {
            return;
        }
        self.exited.push_back(tgid);
        if self.exited.len() > RECENT
            && let Some(oldest) = self.exited.pop_front()
            && self.table.get(&oldest).is_some_and(|entry| entry.exited)
        {
            self.table.remove(&oldest);
        }
    }

    /// The process of this id. Cheap when it was asked for before; otherwise reads `/proc`. A process of which nothing
    /// can be learned has its id and the service name `unknown_service`.
    pub fn get(&mut self, tgid: u32) -> &Arc<Process> {
        if self.table.get(&tgid).is_none_or(|entry| entry.process.is_none()) {
            self.resolve(tgid);
        }
        self.table.get(&tgid).and_then(|entry| entry.process.as_ref()).unwrap_or(&self.unknown)
    }

    /// The rules, to decide about connections.
    pub fn selection(&self) -> &Arc<Selection> {
        &self.selection
    }

    /// Whether a process still holds a socket of whose end the kernel says nothing.
    pub fn holds(&self, descriptor: &mut Descriptor) -> bool {
        super::holders::holds(&self.proc_root, descriptor)
    }

    /// Entries in the table.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether no process was seen yet.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// This process sends telemetry itself. Unless duplicates are allowed, it and the children that it forks from now on
    /// are no longer traced, also for those who hold it already. Returns whether that is so.
    pub fn mark_exports_telemetry(&mut self, tgid: u32) -> bool {
        if self.allow_duplicate_spans {
            return false;
        }
        self.get(tgid);
        if let Some(entry) = self.table.get_mut(&tgid) {
            entry.exports_telemetry = true;
            if let Some(process) = &entry.process {
                process.left_alone.store(true, Ordering::Relaxed);
            }
        }
        true
    }

    /// A request of this process is seen: one that it serves or makes.
    pub fn note_request(&self, tgid: u32) {
        if let Some(process) = self.table.get(&tgid).and_then(|entry| entry.process.as_ref()) {
            process.seen.store(true, Ordering::Relaxed);
        }
    }

    /// This process answers requests on `port`. Returns whether a `service-name` rule about that port renamed it: then
    /// [`get`](Self::get) gives another `Process` from now on.
    pub fn on_server_port(&mut self, tgid: u32, port: u16) -> bool {
        if !self.resources.names_port(port) {
            return false;
        }
        self.get(tgid);
        let Some(entry) = self.table.get_mut(&tgid) else { return false };
        let (Some(facts), Some(process)) = (&entry.facts, &entry.process) else { return false };
        if facts.ports.contains(&port) {
            return false;
        }
        let mut facts = Facts::clone(facts);
        facts.ports.push(port);
        let anew = called(&self.resources, &self.namesakes, tgid, &facts, process);
        let renamed = anew.resource != process.resource;
        if renamed {
            entry.process = Some(Arc::new(anew));
        }
        entry.facts = Some(Arc::new(facts));
        renamed
    }

    /// Retires processes that ended, and forgets those whose id went to another, without an event that said so: for
    /// every minute or so. Looks at no more than `SWEPT` processes a call, going round, since each costs a small read.
    pub fn sweep(&mut self) {
        if self.unswept.is_empty() {
            self.table.slim();
            self.exited.slim();
            self.unswept = self.table.iter().filter(|(_, entry)| !entry.exited).map(|(tgid, _)| *tgid).collect();
        }
        for _ in 0..SWEPT {
            let Some(tgid) = self.unswept.pop() else { return };
            self.check(tgid);
        }
    }

    /// Compares a process with what has its id now.
    fn check(&mut self, tgid: u32) {
        let Some(entry) = self.table.get(&tgid).filter(|entry| !entry.exited) else { return };
        let began = entry.facts.as_ref().and_then(|facts| facts.start);
        let same = match (facts::start_time(&self.proc_root, tgid), began) {
            // Its last events may still be on their way.
            (None, _) => return self.on_exit(tgid),
            (Some(now), Some(then)) => now == then,
            (Some(now), None) => entry.since.is_none_or(|since| now <= since.saturating_add(facts::TICK)),
        };
        if !same {
            self.table.remove(&tgid);
        }
    }

    fn insert(&mut self, tgid: u32, entry: Entry) {
        if self.table.len() >= MAX && !self.table.contains_key(&tgid) {
            let surplus = self.table.len().saturating_sub(MAX - MAX / 8);
            let victims: Vec<u32> = self.table.keys().copied().take(surplus).collect();
            victims.iter().for_each(|victim| drop(self.table.remove(victim)));
        }
        self.table.insert(tgid, entry);
    }

    fn resolve(&mut self, tgid: u32) {
        let facts = self.facts(tgid, GENERATIONS);
        let facts = facts.unwrap_or_default();
        let program = Arc::new(naming::program(&facts));
        let (choice, reason) = self.selection.choose(tgid, &facts);
        let tls = self.tls.of(|rule| selection::matches(rule, tgid, &facts));
        let Some(entry) = self.table.get_mut(&tgid) else { return };
        let process = Process {
            tgid,
            resource: Arc::default(),
            later: OnceLock::new(),
            start: facts.start,
            parent: facts.parent,
            program: Arc::clone(&program),
            named_by: Source::default(),
            choice,
            reason,
            has_units: matches!(program.language, Some(Language::Python | Language::Nodejs | Language::Java))
                || facts
                    .runtime
                    .as_ref()
                    .is_some_and(|runtime| matches!(runtime.kind, Kind::Go | Kind::CPython | Kind::Node | Kind::Nginx)),
            tls: Arc::new(Usage::new(tls)),
            seen: Arc::default(),
            left_alone: AtomicBool::new(entry.exports_telemetry && !self.allow_duplicate_spans),
        };
        let contested = program.home.as_ref().is_some_and(|home| self.namesakes.note(&program.name, home));
        entry.process = Some(Arc::new(called(&self.resources, &self.namesakes, tgid, &facts, &process)));
        entry.facts = Some(facts);
        if contested {
            self.call_anew(&program.name);
        }
    }

    /// Calls every program of this name what it is called now that there is another.
    fn call_anew(&mut self, name: &str) {
        for (tgid, entry) in &mut self.table {
            if let (Some(process), Some(facts)) = (&entry.process, &entry.facts)
                && process.program.name == name
            {
                let anew = called(&self.resources, &self.namesakes, *tgid, facts, process);
                if anew.resource != process.resource {
                    entry.process = Some(Arc::new(anew));
                }
            }
        }
    }

    /// The processes that are there now, those of the kernel left out; for [`get`](Self::get) to look at.
    pub fn present(&self) -> Vec<u32> {
        let Ok(entries) = std::fs::read_dir(&self.proc_root) else { return Vec::new() };
        let ids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        // A thread of the kernel has no executable.
        ids.filter(|id: &u32| std::fs::read_link(self.proc_root.join(id.to_string()).join("exe")).is_ok())
            .take(MAX_PRESENT)
            .collect()
    }

    /// Every process that was looked at and lives.
    pub fn known(&self) -> impl Iterator<Item = &Arc<Process>> {
        self.table.values().filter(|entry| !entry.exited).filter_map(|entry| entry.process.as_ref())
    }

    /// What is known of a process, learned now if it is not known yet. `None` when there is nothing to know.
    fn facts(&mut self, tgid: u32, generations: u8) -> Option<Arc<Facts>> {
        if let Some(facts) = self.table.get(&tgid).and_then(|entry| entry.facts.clone()) {
            return Some(facts);
        }
        if !self.table.contains_key(&tgid) {
            self.insert(tgid, Entry::default());
        }
        let mut facts = self.learn(tgid, generations)?;
        if let Some(id) = facts.cgroup.container_id.as_deref() {
            let named = |name: &String| Arc::new(Container::named(name));
            facts.container = self
                .containers
                .get(id, facts.cgroup.user())
                .or_else(|| facts.cgroup.container_name.as_ref().map(named))
                .or_else(|| self.runtimes.as_ref()?.get(id));
        }
        facts.pod = self.resources.cluster.as_ref().and_then(|cluster| cluster.find(&facts.cgroup));
        if self.resources.names_ports() {
            facts.ports = facts::listening_ports(&facts);
        }
        if facts.runtime.is_none() {
            facts.runtime = facts.dir.as_ref().and_then(|dir| self.programs.runtime(dir));
        }
        let facts = Arc::new(facts);
        self.table.get_mut(&tgid)?.facts = Some(facts.clone());
        Some(facts)
    }

    fn learn(&mut self, tgid: u32, generations: u8) -> Option<Facts> {
        let entry = self.table.get(&tgid)?;
        let (exec, forked, inherited) = (entry.exec.clone(), entry.forked, entry.inherited.clone());
        let (parent, since) = (entry.parent, entry.since);
        let alive = facts::read(&self.proc_root, tgid, since);
        let is_alive = alive.is_some();
        let mut facts = match (alive, &exec) {
            (Some(mut facts), exec) => {
                if let Some(exec) = exec {
                    facts.correct_by(exec);
                    // A forked child may have been moved since.
                    self.remember_cgroup(if forked { 0 } else { exec.cgroup_id }, &facts.cgroup);
                }
                facts
            }
            (None, Some(exec)) => Facts::of_exec(exec),
            (None, None) if forked => Facts::default(),
            (None, None) => return None,
        };
        if !is_alive {
            facts.parent = parent;
            facts.cgroup = exec.as_ref().map(|exec| self.cgroup_of(exec.cgroup_id)).unwrap_or_default();
        }
        // (One that has ended and was not waited for yet has all but an executable.) The files of a container are others.
        if !facts.exe_is_real
            && let Some(root) = self.proc_root.parent().filter(|_| facts.cgroup.container_id.is_none())
        {
            facts.find_executable(root);
        }
        if generations > 0 && (forked || !is_alive || facts.env.is_wiped()) {
            let ancestor = match inherited {
                Some(inherited) => Some(inherited),
                None if facts.parent > 1 => self.facts(facts.parent, generations - 1),
                None => None,
            };
            if let Some(ancestor) = ancestor {
                match (&exec, forked) {
                    // The program is known from its exec; only the place may be the parent's.
                    (Some(_), _) => facts.inherit_place(&ancestor),
                    (None, true) => facts.inherit(&ancestor),
                    (None, false) => facts.inherit_environment(&ancestor),
                }
            }
        }
        (!facts.exe.is_empty()).then_some(facts)
    }

    /// The control group of this id, for a process that can no longer be asked; empty if it is gone, too.
    fn cgroup_of(&mut self, id: u64) -> Arc<Cgroup> {
        if let Some(known) = self.cgroups.get(&id) {
            return known.clone();
        }
        let root = self.proc_root.parent().filter(|_| id != 0);
        let found = Arc::new(root.and_then(|root| cgroup::find(root, id)).unwrap_or_default());
        self.remember_cgroup(id, &found);
        found
    }

    fn remember_cgroup(&mut self, id: u64, cgroup: &Arc<Cgroup>) {
        if id == 0 {
            return;
        }
        if self.cgroups.len() >= 4096 {
            self.cgroups.clear();
        }
        self.cgroups.insert(id, cgroup.clone());
    }
}

/// Where the machine's files are, the first one wins: with the host's pid namespace, process 1 shows the host's even to an agent
/// that runs in a container.
pub fn roots(proc_root: &Path) -> Vec<PathBuf> {
    std::iter::once(proc_root.join("1/root")).chain(proc_root.parent().map(PathBuf::from)).collect()
}

/// A process under the name that it has now.
fn called(resources: &Resources, namesakes: &Namesakes, tgid: u32, facts: &Facts, process: &Process) -> Process {
    let program = &process.program;
    let (mut name, named_by) = resources.name(tgid, facts, program);
    if named_by == program.source
        && let Some(home) = &program.home
    {
        name = namesakes.call(&name, home);
    }
    Process {
        tgid,
        resource: Arc::new(resources.build(tgid, facts, program, &name)),
        later: OnceLock::new(),
        start: process.start,
        parent: process.parent,
        has_units: process.has_units,
        program: Arc::clone(program),
        named_by,
        choice: process.choice,
        reason: process.reason,
        tls: Arc::clone(&process.tls),
        seen: Arc::clone(&process.seen),
        left_alone: AtomicBool::new(process.left_alone.load(Ordering::Relaxed)),
    }
}

mod pods;

#[cfg(test)]
mod tests;
