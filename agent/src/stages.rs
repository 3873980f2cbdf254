//! Records in, signals out: discovery, selection and connections, put together. Knows no kernel: whoever has records can
//! drive it.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use wirespan_common::{
    ExecEvent, FactEvent, FactKind, IoEvent, MAX_EXEC_PAYLOAD, PlainEvent, SLEPT_ON_MANY, SLEPT_ON_OWN, SLEPT_ON_SET,
    STATE_UNSENT, SocketPositions, StateEvent, TaskEvent,
};
use wirespan_links::address;
use wirespan_links::facts::{At, Fact, Handle, Place, SleptOn, UnitKey};
use wirespan_protocols::Role;

use crate::bpf::Record;
use crate::bpf::probes::Probes;
use crate::config::Rule;
use crate::connections::{self, Connections, Signal, Verdict};
use crate::discovery::{ExecInfo, Process, Processes, Selection, routes};
use crate::inventory::{self, Inventory, Row};
use crate::losses::Lost;
use crate::memory::weight;
use crate::metrics::Counters;
use crate::overheard::{Heard, Overheard};
use crate::tls::{self, Libraries};
use crate::units::{Finder, Found, Units};
use wirespan_view::web::own::OwnServer;

/// Operations of a process that is not traced after which the kernel stops reporting it.
const IGNORE_AFTER: u32 = 32;

/// Processes that one [`Stages::survey`] looks at.
const SURVEYED: usize = 8;

/// What the kernel is asked for.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Nothing more of this socket.
    Mute(u64),
    /// As much as possible of each operation of this socket in these directions.
    Widen(u64, &'static [u8]),
    /// No more of each operation of this socket than tells that it is encrypted.
    Secure(u64),
    /// Nothing more of this process.
    Ignore(u32),
    /// Which unit of its runtime does something, from now on.
    Units(u32, Units),
    /// This process runs another program.
    ForgetUnits(u32),
    /// This process is probed at these places.
    Probe(u32, Vec<Probes>),
    /// Whatever process runs this file is probed at these places.
    ProbeFile(Probes),
    /// This process is probed no longer: it ended, or runs another program.
    Unprobe(u32),
}

/// Everything between the ring and the traces.
pub struct Stages {
    processes: Processes,
    selection: Arc<Selection>,
    connections: Connections,
    out: Vec<Signal>,
    /// So many signals of `out` were weighed, and together they are so many bytes.
    weighed: (usize, usize),
    wishes: Vec<Wish>,
    /// Operations of processes that are not traced, by process.
    left_out: FxHashMap<u32, u32>,
    /// The agent's own server.
    own: Option<OwnServer>,
    overheard: Overheard,
    /// Processes that were there when the agent began, and have done nothing yet.
    unsurveyed: Vec<u32>,
    /// Who finds out where units are.
    finder: Option<Finder>,
    /// Who finds TLS libraries.
    libraries: Option<Libraries>,
    counters: Arc<Counters>,
}

impl Stages {
    /// Nothing was seen yet. `own` is the agent's own server, if there is one: connections to it are left alone.
    pub fn new(
        processes: Processes,
        limits: connections::Limits,
        counters: Arc<Counters>,
        own: Option<OwnServer>,
    ) -> Self {
        let overheard = Overheard::new(&limits);
        Self {
            selection: Arc::clone(processes.selection()),
            processes,
            connections: Connections::new(limits, Arc::clone(&counters)),
            out: Vec::new(),
            weighed: (0, 0),
            wishes: Vec::new(),
            left_out: FxHashMap::default(),
            own,
            overheard,
            unsurveyed: Vec::new(),
            finder: None,
            libraries: None,
            counters,
        }
    }

    /// From now on units of runtimes are looked for; without it, threads are all that is known.
    pub fn find_units(&mut self, finder: Finder) {
        self.finder = Some(finder);
    }

    /// From now on TLS libraries are looked for; without it, what is encrypted is not read.
    pub fn find_libraries(&mut self, libraries: Libraries) {
        self.libraries = Some(libraries);
    }

    /// A TLS library is probed from now on.
    pub fn library_probed(&mut self, now: u64) {
        self.connections.library_probed(now);
    }

    /// Does what time demands; to be called every few milliseconds with `CLOCK_BOOTTIME` nanoseconds. `stands` tells how far the
    /// kernel has counted a Unix socket's bytes, by its cookie.
    pub fn tick(&mut self, now: u64, stands: impl Fn(u64) -> Option<SocketPositions>) {
        self.connections.tick(now, &mut self.out);
        self.overheard.tick(now);
        let processes = &self.processes;
        self.connections.ask(now, |descriptor| processes.holds(descriptor), stands, &mut self.out);
        let answers = self.finder.iter_mut().flat_map(|finder| finder.answers(now));
        self.wishes.extend(answers.map(|answer| match answer.found {
            Found::Units(units) => Wish::Units(answer.tgid, units),
            Found::Probes(probes) => Wish::Probe(answer.tgid, probes),
        }));
        for found in self.libraries.iter().flat_map(Libraries::found) {
            match found {
                tls::Found::Library(probes) => self.wishes.push(Wish::ProbeFile(probes)),
                tls::Found::Refused => self.counters.tls_refused.inc(),
            }
        }
    }

    /// Looks at the processes that are there, a few at each [`survey`](Self::survey): which are called alike, and which rules are
    /// about any.
    pub fn begin_survey(&mut self) {
        self.unsurveyed = self.processes.present();
    }

    /// Looks at a few more of them. Returns whether some are left.
    pub fn survey(&mut self) -> bool {
        let from = self.unsurveyed.len().saturating_sub(SURVEYED);
        for tgid in self.unsurveyed.drain(from..) {
            self.processes.get(tgid);
            if let Some(libraries) = &mut self.libraries {
                libraries.ask(tgid, 0);
            }
        }
        !self.unsurveyed.is_empty()
    }

    /// All processes that are there now, with their connections.
    pub fn list(&mut self, inventory: &Inventory) -> Vec<Row> {
        for tgid in self.processes.present() {
            self.processes.get(tgid);
        }
        let mut connections = inventory::by_process(self.connections.census());
        let rows = self.processes.known().filter(|process| process.tgid != 0).map(|process| {
            crate::inventory::row(
                inventory,
                process,
                &self.selection,
                connections.remove(&process.tgid).unwrap_or_default(),
            )
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.sort_by_key(|row| row.pid);
        rows
    }

    /// Rules of which nothing was seen that they are about.
    pub fn idle_rules(&self) -> Vec<(String, Rule)> {
        self.selection.idle_rules()
    }

    /// What a process is called.
    pub fn name_of(&mut self, tgid: u32) -> String {
        self.processes.get(tgid).resource.service_name().to_owned()
    }

    /// Looks for processes that ended unseen.
    pub fn sweep(&mut self) {
        self.processes.sweep();
    }

    /// Ends every connection: the agent stops.
    pub fn finish(&mut self, now: u64) {
        self.connections.finish(now, &mut self.out);
    }

    /// Records are missing since the signals were last taken, `now` being later. Where among them is not known: whatever they
    /// suggest about threads is no proof.
    pub fn records_lost(&mut self, lost: &Lost, now: u64) {
        let whose: Vec<Option<u32>> = match lost {
            Lost::Anybodys => vec![None],
            Lost::Of(processes) => processes.iter().copied().map(Some).collect(),
        };
        if whose.is_empty() {
            return;
        }
        whose.iter().for_each(|of| self.connections.records_lost(*of, now));
        let told = |losing| whose.iter().map(move |of| Signal::Fact(Fact::Lost { of: *of, losing }));
        self.out.splice(0..0, told(true));
        self.out.extend(told(false));
    }

    /// What happened since they were last taken, in order, and the bytes of all that.
    pub fn take_signals(&mut self) -> (Vec<Signal>, usize) {
        let bytes = self.signal_bytes();
        self.weighed = (0, 0);
        (std::mem::take(&mut self.out), bytes)
    }

    /// Bytes of the signals that wait to be taken.
    pub fn signal_bytes(&mut self) -> usize {
        let (weighed, bytes) = self.weighed;
        let new: usize = self.out[weighed..].iter().map(weight::signal).sum();
        self.weighed = (self.out.len(), bytes + new);
        bytes + new
    }

    /// What the kernel is asked for since this was last asked.
    pub fn wishes(&mut self) -> std::vec::Drain<'_, Wish> {
        self.wishes.drain(..)
    }

    /// Takes in a record.
    pub fn record(&mut self, record: Record<'_>) {
        match record {
            Record::Io(event, bytes) => self.operation(&event, bytes),
            Record::Plain(event, bytes) => self.plaintext(&event, bytes),
            Record::State(mut event) => {
                let process = self.opener(&event);
                if process.is_some() && event.flags & STATE_UNSENT != 0 {
                    let to = address(&event.endpoints, event.endpoints.peer);
                    event.error = routes::why_unreachable(event.unit.tgid, to);
                }
                self.connections.state(&event, process, &mut self.out);
                self.overheard.state(&event);
            }
            Record::Path(event) => {
                let process = self.processes.get(event.unit.tgid);
                if process.is_traced() && self.selection.connection_selected(process, 0, 0) {
                    let process = Arc::clone(process);
                    self.connections.unreached(&event, process, &mut self.out);
                }
            }
            Record::Fork(event) => self.fork(&event),
            Record::Exit(event) => {
                if event.tid == event.tgid {
                    self.processes.on_exit(event.tgid);
                    self.left_out.remove(&event.tgid);
                    self.forget_units(event.tgid);
                }
                self.out.push(Signal::Fact(Fact::Ended {
                    unit: UnitKey::thread(event.tgid, event.tid),
                    with_process: event.with_process != 0,
                    time: event.time,
                }));
            }
            Record::Fact(event) => self.out.extend(fact(&event).map(Signal::Fact)),
            Record::Exec(event, args, env) => self.exec(&event, args, env),
        }
    }

    /// Who opens a connection, if it is to be traced.
    fn opener(&mut self, event: &StateEvent) -> Option<Arc<Process>> {
        if event.new != connections::TCP_SYN_SENT && event.flags & STATE_UNSENT == 0 {
            return None;
        }
        let (tgid, ends) = (event.unit.tgid, &event.endpoints);
        let process = self.processes.get(tgid);
        let own = self.own.as_ref().is_some_and(|server| server.is_peer(ends, tgid));
        let selected = self.selection.connection_selected(process, ends.local_port, ends.peer_port);
        (process.is_traced() && selected && !own).then(|| Arc::clone(process))
    }

    fn operation(&mut self, event: &IoEvent, bytes: &[u8]) {
        let process = self.processes.get(event.unit.tgid);
        let ends = &event.endpoints;
        if !process.is_traced() {
            return self.leave_out(event.unit.tgid);
        }
        let own = |server: &OwnServer| server.is_peer(ends, event.unit.tgid);
        if self.own.as_ref().is_some_and(own) {
            return self.wishes.push(Wish::Mute(event.cookie));
        }
        let process = Arc::clone(process);
        // A connection that a reset has ended has given its port back, and its program goes on with it.
        let known = || ends.local_port == 0 && self.connections.knows(event.cookie);
        if !self.selection.connection_selected(&process, ends.local_port, ends.peer_port) && !known() {
            return self.overhear(event, bytes, &process);
        }
        if process.has_units
            && event.unit.kind == 0
            && let Some(finder) = &mut self.finder
        {
            finder.ask(event.unit.tgid, event.time);
        }
        let from = self.out.len();
        let verdict = self.connections.operation(event, bytes, &process, &mut self.out);
        self.act(event.cookie, verdict);
        for at in from..self.out.len() {
            self.learn(at, event.time);
        }
        if let Some(libraries) = &mut self.libraries {
            for tgid in self.connections.take_begun() {
                libraries.ask(tgid, event.time);
            }
        }
    }

    /// Plaintext passed through a TLS library. (Whether its connection is to be traced was decided when that was seen.)
    fn plaintext(&mut self, event: &PlainEvent, bytes: &[u8]) {
        let process = self.processes.get(event.unit.tgid);
        if !process.is_traced() {
            return self.leave_out(event.unit.tgid);
        }
        let process = Arc::clone(process);
        let from = self.out.len();
        if let Some((cookie, verdict)) = self.connections.plaintext(event, bytes, &process, &mut self.out) {
            self.act(cookie, verdict);
        }
        for at in from..self.out.len() {
            self.learn(at, event.time);
        }
    }

    /// Asks the kernel for what is to be done about a socket.
    fn act(&mut self, cookie: u64, verdict: Verdict) {
        match verdict {
            Verdict::Continue => {}
            Verdict::Mute => self.wishes.push(Wish::Mute(cookie)),
            Verdict::Widen(directions) => self.wishes.push(Wish::Widen(cookie, directions)),
            Verdict::Secure => self.wishes.push(Wish::Secure(cookie)),
        }
    }

    /// An operation of a process that is not traced. The kernel is told only after some of them: a wrapper such as `sudo`
    /// may by now have become the program that is.
    fn leave_out(&mut self, tgid: u32) {
        let operations = self.left_out.entry(tgid).or_default();
        *operations += 1;
        if *operations == IGNORE_AFTER {
            self.wishes.push(Wish::Ignore(tgid));
        }
    }

    /// What a signal says about its process.
    fn learn(&mut self, at: usize, now: u64) {
        match &mut self.out[at] {
            Signal::Started(started) if started.connection.role == Role::Server => {
                let (tgid, reader) = (started.process.tgid(), started.started.request.first.unit.tid);
                if self.processes.on_server_port(tgid, started.connection.endpoints.local_port) {
                    started.process = self.processes.get(tgid).clone();
                }
                if let Some(finder) = &mut self.finder {
                    finder.ask_for_probes(tgid, reader);
                }
            }
            Signal::Started(started) if started.started.request.first.unit.kind == 0 => {
                if let Some(finder) = &mut self.finder {
                    finder.ask_for_lent(started.process.tgid(), started.started.request.first.unit.tid);
                }
            }
            Signal::ExportsTelemetry { tgid } => {
                let tgid = *tgid;
                self.exports_telemetry(tgid, now);
            }
            _ => {}
        }
    }

    fn exports_telemetry(&mut self, tgid: u32, now: u64) {
        if self.processes.mark_exports_telemetry(tgid) {
            log::info!("process {tgid} exports its own telemetry: left alone (--allow-duplicate-spans traces it)");
            self.wishes.push(Wish::Ignore(tgid));
            self.connections.leave_alone(tgid, now, &mut self.out);
            self.overheard.leave_alone(tgid, now);
        }
    }

    /// An operation of a connection that is not to be traced, of a process of which others are: it may be the one by which the
    /// process exports telemetry.
    fn overhear(&mut self, event: &IoEvent, bytes: &[u8], process: &Arc<Process>) {
        let heard = match self.selection.connection_watched(process) {
            true => self.overheard.operation(event, bytes, process),
            false => Heard::Nothing,
        };
        match heard {
            Heard::Unsure => {}
            Heard::Telemetry => self.exports_telemetry(event.unit.tgid, event.time),
            Heard::Nothing => self.wishes.push(Wish::Mute(event.cookie)),
        }
    }

    /// A process ended, or runs another program.
    fn forget_units(&mut self, tgid: u32) {
        if let Some(libraries) = &mut self.libraries {
            libraries.forget(tgid);
        }
        if self.finder.as_mut().is_some_and(|finder| finder.forget(tgid)) {
            self.wishes.push(Wish::Unprobe(tgid));
        }
    }

    fn fork(&mut self, event: &TaskEvent) {
        if event.tid == event.tgid {
            self.processes.on_fork(event.tgid, event.parent_tgid, event.time);
        }
        self.out.push(Signal::Fact(Fact::Born {
            unit: UnitKey::thread(event.tgid, event.tid),
            of: Some(UnitKey::thread(event.parent_tgid, event.parent_tid)),
            site: 0,
            mark: 0,
            time: event.time,
        }));
    }

    fn exec(&mut self, event: &ExecEvent, args: &[u8], env: &[u8]) {
        self.left_out.remove(&event.tgid);
        self.forget_units(event.tgid);
        if self.finder.is_some() {
            // The kernel forgot it; an answer about the program before may have come since.
            self.wishes.push(Wish::ForgetUnits(event.tgid));
        }
        self.processes.on_exec(&ExecInfo {
            tgid: event.tgid,
            parent_tgid: event.parent_tgid,
            uid: event.uid,
            cgroup_id: event.cgroup_id,
            time: event.time,
            comm: &event.comm,
            args,
            env,
            args_truncated: args.len() >= MAX_EXEC_PAYLOAD / 4,
            env_truncated: env.len() >= MAX_EXEC_PAYLOAD * 3 / 4,
            file: &event.file,
        });
    }
}

/// What the kernel says, in the terms of links; `None` if it makes no sense.
fn fact(event: &FactEvent) -> Option<Fact> {
    let is = |what: FactKind| event.what == what as u8;
    if is(FactKind::Slept) {
        return slept(event);
    }
    let (tgid, kind, time, mark) = (event.tgid, event.unit_kind, event.time, event.a);
    let (thread, of_kind) = (UnitKey::thread(tgid, event.tid), |id: u64| UnitKey { tgid, kind, id });
    let (unit, mut other) = (of_kind(event.unit), of_kind(event.other));
    if event.other_kind != 0 {
        other.kind = event.other_kind.into();
    }
    let handle = (event.b != 0).then_some(Handle(event.a, event.b));
    if is(FactKind::Born) {
        let of = if event.other == 0 { thread } else { other };
        return Some(Fact::Born { unit, of: Some(of), site: 0, mark, time });
    } else if is(FactKind::Ended) {
        return Some(Fact::Ended { unit, with_process: false, time });
    } else if is(FactKind::Woke) {
        return Some(Fact::Woke { unit, by: thread, at: At { time, tid: event.tid, switches: 0, mark, only: false } });
    } else if is(FactKind::HandedOver) {
        return Some(Fact::HandedOver { by: unit, to: Place::Unit(other), handle, time });
    } else if is(FactKind::HandedOverStream) {
        return Some(Fact::HandedOver { by: unit, to: Place::StreamOf(other, event.cookie), handle, time });
    } else if is(FactKind::Relayed) {
        return Some(Fact::Relayed { by: thread, to: event.cookie, of: event.a, time });
    } else if is(FactKind::Named) {
        return handle.map(|handle| Fact::Named { unit, handle, time });
    } else if is(FactKind::TakenUp) {
        return Some(Fact::TakenUp { by: unit, from: other, stream: event.cookie, time });
    }
    None
}

fn slept(event: &FactEvent) -> Option<Fact> {
    let on = match event.a {
        SLEPT_ON_OWN => SleptOn::Own,
        SLEPT_ON_MANY => SleptOn::Many,
        SLEPT_ON_SET => SleptOn::Set(event.b),
        _ => return None,
    };
    let thread = UnitKey::thread(event.tgid, event.tid);
    Some(Fact::Slept { thread, on, cookie: event.cookie, time: event.time })
}
