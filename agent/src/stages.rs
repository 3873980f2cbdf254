//! Records in, signals out: discovery, selection and connections, put together. Knows no kernel: whoever has records can
//! drive it. (`stages/facts.rs`: what is told of units; `stages/births.rs`: and whether it is told which make others;
//! `stages/unnamed.rs`: of sockets that have no number yet.)

mod births;
mod facts;
mod unnamed;

use std::net::SocketAddr;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use wirespan_common::{
    AF_INET, AF_INET6, AF_UNIX, EGRESS, Endpoints, ExecEvent, FactEvent, IoEvent, LogPlaces, MAX_EXEC_PAYLOAD,
    PlainEvent, STATE_UNSENT, SocketPositions, StateEvent, TaskEvent,
};
use wirespan_links::address;
use wirespan_links::facts::{Fact, UnitKey};
use wirespan_protocols::Role;

use crate::bpf::Record;
use crate::bpf::probes::{Probes, Program};
use crate::config::{Rule, Tls};
use crate::connections::{self, Connections, Signal, Verdict};
use crate::containers::socket;
use crate::discovery::{ExecInfo, Process, Processes, Selection, routes};
use crate::export::otlp;
use crate::inventory::{self, Inventory, Row};
use crate::lines::{Lines, Written};
use crate::losses::{Losing, Lost};
use crate::memory::weight;
use crate::metrics::Counters;
use crate::overheard::{Heard, Overheard};
use crate::tls::{self, Libraries, Probed};
use crate::units::{Answer, Finder, Found, Units};
use unnamed::Unnamed;
use wirespan_view::web::own::OwnServer;

/// Operations of a process that is not traced after which the kernel stops reporting it.
const IGNORE_AFTER: u32 = 32;

/// There is room at once for so many signals, if as many came before.
const AS_MANY: usize = 256;
/// Processes that one [`Stages::survey`] looks at.
const SURVEYED: usize = 8;

/// What the kernel is asked for.
#[derive(Clone, Debug)]
pub enum Wish {
    /// Nothing more of this socket.
    Mute(u64),
    /// The same for now, but its end.
    Hush(u64),
    /// Its operations again.
    Rouse(u64),
    /// As much as possible of each operation of this socket in these directions.
    Widen(u64, &'static [u8]),
    /// No more of each operation of this socket than tells that it is encrypted.
    Secure(u64),
    /// What this process says inside TLS is not to be copied.
    LeaveTls(u32),
    /// Nothing more of this process.
    Ignore(u32),
    /// This process after all.
    Heed(u32),
    /// Which unit of its runtime does something, from now on.
    Units(u32, Units),
    /// This process runs another program.
    ForgetUnits(u32),
    /// This process is probed at these places.
    Probe(u32, Vec<Probes>),
    /// Whatever process runs this file is probed at these places.
    ProbeFile(Probes),
    /// What this process writes at these places, from now on.
    Logs(u32, LogPlaces),
    /// This process is probed no longer, or not by this program: it ended, or runs another program.
    Unprobe(u32, Option<Program>),
}

/// Everything between the ring and the traces.
pub struct Stages {
    processes: Processes,
    selection: Arc<Selection>,
    connections: Connections,
    out: Vec<Signal>,
    /// So many signals of `out` were weighed, and together they are so many bytes.
    weighed: (usize, usize),
    losing: Losing,
    wishes: Vec<Wish>,
    /// Operations of processes that are not traced, by process.
    left_out: FxHashMap<u32, u32>,
    /// The agent's own server.
    own: Option<OwnServer>,
    overheard: Overheard,
    /// What was told of sockets that have no number yet.
    unnamed: Unnamed,
    /// Processes that were there when the agent began, and have done nothing yet.
    unsurveyed: Vec<u32>,
    /// Who finds out where units are.
    finder: Option<Finder>,
    /// Who finds TLS libraries.
    libraries: Option<Libraries>,
    /// Who reads what programs write where their lines go.
    lines: Option<Lines>,
    /// Since when what passes through them is seen.
    probed: Probed,
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
            losing: Losing::default(),
            wishes: Vec::new(),
            left_out: FxHashMap::default(),
            own,
            overheard,
            unnamed: Unnamed::default(),
            unsurveyed: Vec::new(),
            finder: None,
            libraries: None,
            lines: None,
            probed: Probed::default(),
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

    /// From now on exceptions are looked for in what programs write.
    pub fn read_lines(&mut self, lines: Lines) {
        self.lines = Some(lines);
    }

    /// The first of the TLS libraries that were to be probed is, from now on; `None`: it cannot be.
    pub fn library_probed(&mut self, now: Option<u64>) {
        self.probed.attached(now);
    }

    /// Does what time demands; to be called every few milliseconds with `CLOCK_BOOTTIME` nanoseconds. `stands` tells how far the
    /// kernel has counted a Unix socket's bytes, by its cookie.
    pub fn tick(&mut self, now: u64, stands: impl Fn(u64) -> Option<SocketPositions>) {
        self.connections.tick(now, &mut self.out);
        self.wishes.extend(self.connections.roused().map(Wish::Rouse));
        self.overheard.tick(now);
        let (in_pods, in_containers) = (self.processes.follow_pods(), self.processes.follow_containers());
        for tgid in in_pods.into_iter().chain(in_containers) {
            self.left_out.remove(&tgid);
            self.wishes.push(Wish::Heed(tgid));
        }
        let processes = &self.processes;
        self.connections.ask(now, |descriptor| processes.holds(descriptor), stands, &mut self.out);
        if let Some(lines) = &mut self.lines
            && let Some((tgid, places)) = lines.tick(now, &mut self.out)
        {
            self.wishes.push(Wish::Logs(tgid, places));
        }
        for Answer { tgid, found } in self.finder.iter_mut().flat_map(|finder| finder.answers(now)) {
            match found {
                Found::Units(units) => self.wishes.push(Wish::Units(tgid, units)),
                Found::Probes(probes) => self.wishes.push(Wish::Probe(tgid, probes)),
                Found::Births(state, probes) => {
                    self.wishes.extend([Wish::Units(tgid, Units::Known(state)), Wish::Probe(tgid, probes)]);
                }
            }
        }
        for found in self.libraries.iter().flat_map(Libraries::found) {
            match found {
                tls::Found::Library(probes, number) => {
                    self.probed.found(number);
                    self.wishes.push(Wish::ProbeFile(probes));
                }
                tls::Found::Refused => self.counters.tls_refused.inc(),
                tls::Found::Process(tgid, library) => self.processes.get(tgid).tls.set_library(library),
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
            let traced = self.processes.get(tgid).is_traced();
            if let Some(lines) = self.lines.as_mut().filter(|_| traced) {
                lines.places().ask(tgid);
            }
            let tls = self.processes.get(tgid).tls.wanted();
            if let Some(libraries) = &mut self.libraries {
                libraries.survey(tgid, tls);
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
        if let Some(lines) = &mut self.lines {
            lines.finish(&mut self.out);
        }
        self.connections.finish(now, &mut self.out);
    }

    /// Records are missing since the signals were last taken, `now` being later. Where among them is not known: whatever they
    /// suggest about threads is no proof. `read_all`: what waited on the ring was read to its end ([`Losing`]).
    pub fn records_lost(&mut self, lost: &Lost, now: u64, read_all: bool) {
        let [whose, over] = self.losing.tell(lost, read_all);
        whose.iter().for_each(|of| self.connections.records_lost(*of, now));
        let told = |of: Vec<Option<u32>>, losing| of.into_iter().map(move |of| Signal::Fact(Fact::Lost { of, losing }));
        self.out.splice(0..0, told(whose, true));
        self.out.extend(told(over, false));
    }

    /// What happened since they were last taken, in order, and the bytes of all that.
    pub fn take_signals(&mut self) -> (Vec<Signal>, usize) {
        let bytes = self.signal_bytes();
        self.weighed = (0, 0);
        // (What comes next is about as much. A list that grows to that is moved again and again.)
        let next = Vec::with_capacity(self.out.len().min(AS_MANY));
        (std::mem::replace(&mut self.out, next), bytes)
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
            Record::Lines(event, bytes) => self.written(event.unit.tgid, &Written::of(&event, bytes)),
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
            Record::Fact(event) => {
                let told = self.unnamed.told(event);
                self.told(told);
            }
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
        if self.own.as_ref().is_some_and(own) || is_own_export(ends) {
            return self.wishes.push(Wish::Mute(event.cookie));
        }
        let process = Arc::clone(process);
        if ends.family == AF_UNIX && event.direction == EGRESS {
            let written = Written::to_socket(event, bytes);
            if self.is_log(event.unit.tgid, written.place) {
                return self.written(event.unit.tgid, &written);
            }
        }
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
        let told = self.unnamed.sent(event);
        self.told(told);
        let from = self.out.len();
        let verdict = self.connections.operation(event, bytes, &process, &mut self.out);
        self.act(event.cookie, verdict);
        for at in from..self.out.len() {
            self.learn(at, event.time);
        }
        if let Some(libraries) = &mut self.libraries {
            for tgid in self.connections.take_begun() {
                libraries.ask(tgid, self.processes.get(tgid).tls.wanted(), event.time);
            }
        }
    }

    /// Something is told of a unit, if it makes sense.
    fn told(&mut self, event: Option<FactEvent>) {
        self.out.extend(event.and_then(|event| facts::fact(&event)).map(Signal::Fact));
    }

    /// Whether a place is where a process's lines go: of a socket, journald or a container's runtime.
    fn is_log(&mut self, tgid: u32, place: u64) -> bool {
        self.lines.as_mut().is_some_and(|lines| lines.places().knows(tgid, place))
    }

    /// Something was written to where a process's lines go.
    fn written(&mut self, tgid: u32, written: &Written<'_>) {
        let process = self.processes.get(tgid);
        if let Some(lines) = self.lines.as_mut().filter(|_| process.is_traced()) {
            lines.written(written, process, &mut self.out);
        }
    }

    /// Plaintext passed through a TLS library. (Whether its connection is to be traced was decided when that was seen.)
    fn plaintext(&mut self, event: &PlainEvent, bytes: &[u8]) {
        let process = self.processes.get(event.unit.tgid);
        if !process.is_traced() {
            return self.leave_out(event.unit.tgid);
        }
        if process.tls.wanted() == Tls::Off {
            return self.wishes.push(Wish::LeaveTls(event.unit.tgid));
        }
        let process = Arc::clone(process);
        let from = self.out.len();
        let since = self.probed.since(event.library);
        if let Some((cookie, verdict)) = self.connections.plaintext(event, bytes, &process, since, &mut self.out) {
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
            Verdict::Hush => self.wishes.push(Wish::Hush(cookie)),
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
        if let Signal::Started(started) = &self.out[at] {
            self.processes.note_request(started.process.tgid());
        }
        match &mut self.out[at] {
            Signal::Started(started) if started.connection.role == Role::Server => {
                let (tgid, reader) = (started.process.tgid(), started.started.request.first.unit.tid);
                if self.processes.on_server_port(tgid, started.connection.endpoints.local_port) {
                    started.process = self.processes.get(tgid).clone();
                }
                if let Some(lines) = &mut self.lines {
                    lines.places().ask(tgid);
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
        if let Some(lines) = &mut self.lines {
            lines.forget(tgid, &mut self.out);
        }
        if self.finder.as_mut().is_some_and(|finder| finder.forget(tgid)) {
            self.wishes.push(Wish::Unprobe(tgid, None));
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
        if let Some(libraries) = &self.libraries
            && self.processes.get(event.tgid).is_traced()
        {
            libraries.begins(event.tgid, self.processes.get(event.tgid).tls.wanted());
        }
    }
}

/// Whether the agent itself is at the other end, with what it exports or asks: whoever takes that is not told to have been asked.
fn is_own_export(ends: &Endpoints) -> bool {
    if ends.family == AF_UNIX {
        return socket::is_ours(ends.peer_cookie);
    }
    let end = |of, port| SocketAddr::new(address(ends, of), port);
    matches!(ends.family, AF_INET | AF_INET6)
        && otlp::own::is_ours(end(ends.local, ends.local_port), end(ends.peer, ends.peer_port))
}
