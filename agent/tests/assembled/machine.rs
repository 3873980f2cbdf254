//! A machine whose processes, threads and sockets are numbers: what is done on it becomes records as the kernel would
//! report them, late, twice or never if the input says so.

use wirespan_agent::bpf::Record;
use wirespan_agent::losses::Lost;
use wirespan_common::{
    AF_INET, AF_UNIX, EGRESS, Endpoints, ExecEvent, FLAG_DATAGRAM, FLAG_NONBLOCKING, INGRESS, IoEvent, Kind,
    MAX_EXEC_FILE, STATE_LET_GO, StateEvent, TaskEvent, UnitId,
};

use crate::captures::{self, Capture};
use crate::choices::Choices;

/// Connections at a time.
const PAIRS: usize = 4;
/// Ids of processes begin here, beyond all real ones.
const FIRST_PROCESS: u32 = 0x7000_0000;
const TCP_SYN_SENT: u8 = 2;
const TCP_FIN_WAIT1: u8 = 4;
const TCP_CLOSE: u8 = 7;

/// A record that is not borrowed.
#[derive(Clone)]
pub enum Owned {
    Io(IoEvent, Vec<u8>),
    State(StateEvent),
    Fork(TaskEvent),
    Exit(TaskEvent),
    Exec(Box<ExecEvent>, Vec<u8>, Vec<u8>),
}

impl Owned {
    pub fn record(&self) -> Record<'_> {
        match self {
            Self::Io(event, bytes) => Record::Io(*event, bytes),
            Self::State(event) => Record::State(*event),
            Self::Fork(event) => Record::Fork(*event),
            Self::Exit(event) => Record::Exit(*event),
            Self::Exec(event, args, env) => Record::Exec(**event, args, env),
        }
    }
}

/// One end of a connection.
#[derive(Clone, Copy)]
struct End {
    cookie: u64,
    tgid: u32,
    endpoints: Endpoints,
    tx: u64,
    rx: u64,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Family {
    Tcp,
    Unix,
    Udp,
}

/// Both ends of a connection, and what is said on it.
#[derive(Clone, Copy)]
struct Pair {
    family: Family,
    ends: [End; 2],
    epoch: u32,
    capture: usize,
    /// How far the capture was said.
    said: usize,
}

/// What becomes of the records of an operation.
#[derive(Clone, Copy)]
struct Fate(u8);

impl Fate {
    fn lost(self, end: usize) -> bool {
        self.0 & (1 << end) != 0
    }

    fn delay(self, end: usize) -> u32 {
        u32::from(self.0 >> (2 + 2 * end) & 3)
    }

    fn nonblocking(self) -> bool {
        self.0 & 0x40 != 0
    }

    fn twice(self) -> bool {
        self.0 & 0x80 != 0
    }
}

/// The machine.
pub struct Machine {
    pairs: [Pair; PAIRS],
    cookies: u64,
    now: u64,
    step: u32,
    capture_bytes: usize,
    /// Records on their way, and at which step they arrive.
    pending: Vec<(u32, Owned)>,
    /// The kernel lost a record since this was last asked.
    lost: bool,
}

impl Machine {
    /// A machine with connections that are older than the agent.
    pub fn new(capture_bytes: usize) -> Self {
        let blank = End { cookie: 0, tgid: 0, endpoints: Endpoints::default(), tx: 0, rx: 0 };
        let pair = Pair { family: Family::Tcp, ends: [blank; 2], epoch: 0, capture: 0, said: 0 };
        let mut machine = Self {
            pairs: [pair; PAIRS],
            cookies: 0,
            now: 1_000_000_000,
            step: 0,
            capture_bytes,
            pending: Vec::new(),
            lost: false,
        };
        (0..PAIRS).for_each(|pair| machine.open(pair, pair as u8 * 17, 0));
        machine
    }

    pub fn now(&self) -> u64 {
        self.now
    }

    pub fn lost(&mut self) -> Lost {
        if std::mem::take(&mut self.lost) { Lost::Anybodys } else { Lost::Of(Vec::new()) }
    }

    /// Does what is chosen, and gives the records that arrive.
    pub fn step(&mut self, choices: &mut Choices<'_>) -> Vec<Owned> {
        self.step += 1;
        let what = choices.byte();
        let pair = usize::from(what >> 4) % PAIRS;
        match what & 15 {
            0..=5 => (0..=what & 15).for_each(|_| self.go_on(pair, Fate(0))),
            6 => {
                let fate = Fate(choices.byte());
                self.go_on(pair, fate);
            }
            7 => self.begin(pair, choices),
            8 => self.altered(pair, choices),
            9 => self.literal(pair, choices),
            10 => self.uncaptured(pair, choices),
            11 => self.ended(pair, choices),
            12 => self.now += 1 << (choices.byte() % 38),
            13 => self.task(pair, choices),
            14 => {
                let (kind, unit) = (choices.byte(), choices.byte());
                self.open(pair, kind, unit);
            }
            _ => self.glued(pair, choices),
        }
        self.arrived()
    }

    /// What is still on its way.
    pub fn rest(&mut self) -> Vec<Owned> {
        self.step += 8;
        self.arrived()
    }

    fn arrived(&mut self) -> Vec<Owned> {
        let step = self.step;
        self.pending.extract_if(.., |(due, _)| *due <= step).map(|(_, record)| record).collect()
    }

    fn later(&mut self, delay: u32, record: Owned) {
        self.pending.push((self.step + delay, record));
    }

    fn tick(&mut self) -> u64 {
        self.now += 1000;
        self.now
    }

    /// A new connection takes the place of this one.
    fn open(&mut self, pair: usize, kind: u8, unit: u8) {
        self.cookies += 2;
        let (client, server) = (self.cookies, self.cookies + 1);
        let family = [Family::Tcp, Family::Tcp, Family::Unix, Family::Udp][usize::from(kind & 3)];
        let [a, b] = if family == Family::Unix {
            let ends = |peer_cookie| Endpoints { family: AF_UNIX, peer_cookie, ..Endpoints::default() };
            [ends(server), ends(client)]
        } else {
            let port = self.cookies as u16 % 20_000;
            let ends = |local_port, peer_port| {
                let mut ends = Endpoints { family: AF_INET, local_port, peer_port, ..Endpoints::default() };
                ends.local[..4].copy_from_slice(&[10, 0, 0, 1]);
                ends.peer[..4].copy_from_slice(&[10, 0, 0, 1]);
                ends
            };
            [ends(40_000 + port, 80 + u16::from(kind >> 4)), ends(80 + u16::from(kind >> 4), 40_000 + port)]
        };
        let (tx, rx) = match family {
            Family::Unix => (0, 0),
            _ if kind & 4 == 0 => (7, 0x8000_0000),
            _ => (0xffff_ff00, 0xffff_fff0),
        };
        let process = |n: u8| FIRST_PROCESS + u32::from(n % 6);
        let end = |cookie, n, endpoints, tx, rx| End { cookie, tgid: process(n), endpoints, tx, rx };
        let ends = [end(client, unit, a, tx, rx), end(server, unit.wrapping_add(1), b, rx, tx)];
        let epoch = if family == Family::Unix { 1 + u32::from(unit) } else { 0 };
        let capture = self.pairs[pair].capture;
        self.pairs[pair] = Pair { family, ends, epoch, capture, said: 0 };
        if family == Family::Tcp && kind & 8 != 0 {
            self.state(pair, 0, TCP_SYN_SENT);
        }
    }

    /// Says more of the capture.
    fn go_on(&mut self, pair: usize, fate: Fate) {
        let Pair { capture, said, .. } = self.pairs[pair];
        let Capture { operations, .. } = &captures::all()[capture];
        let Some((to_server, bytes)) = operations.get(said) else { return };
        self.pairs[pair].said += 1;
        self.say(pair, *to_server, bytes, bytes.len(), fate);
    }

    /// Chooses what is said, from its beginning or from somewhere, on a connection as it needs one or not.
    fn begin(&mut self, pair: usize, choices: &mut Choices<'_>) {
        let all = captures::all();
        let capture = usize::from(choices.byte()) % all.len();
        let from = usize::from(choices.byte());
        if all[capture].datagrams && from & 1 == 0 {
            self.open(pair, 3, from as u8);
        }
        let said = if from < 128 { 0 } else { from % all[capture].operations.len() };
        (self.pairs[pair].capture, self.pairs[pair].said) = (capture, said);
    }

    /// A part of some operation of a capture, some of its bytes changed, either way.
    fn altered(&mut self, pair: usize, choices: &mut Choices<'_>) {
        let all = captures::all();
        let capture = &all[usize::from(choices.byte()) % all.len()];
        let (to_server, bytes) = &capture.operations[choices.word() % capture.operations.len()];
        let mut bytes = bytes[choices.part(bytes.len())].to_vec();
        let how = choices.byte();
        for _ in 0..how & 3 {
            let at = choices.word();
            let value = choices.byte();
            let len = bytes.len().max(1);
            if let Some(byte) = bytes.get_mut(at % len) {
                *byte = value;
            }
        }
        let fate = Fate(if how & 4 != 0 { choices.byte() } else { 0 });
        self.say(pair, *to_server != (how & 8 != 0), &bytes, bytes.len(), fate);
    }

    /// Several operations of a capture in one.
    fn glued(&mut self, pair: usize, choices: &mut Choices<'_>) {
        let Pair { capture, said, .. } = self.pairs[pair];
        let operations = &captures::all()[capture].operations[said.min(captures::all()[capture].operations.len())..];
        let Some((to_server, _)) = operations.first() else { return };
        let most = usize::from(choices.byte()) % 8 + 1;
        let glued: Vec<&[u8]> = operations.iter().take_while(|o| o.0 == *to_server).take(most).map(|o| &*o.1).collect();
        self.pairs[pair].said += glued.len();
        let bytes = glued.concat();
        let cut = choices.part(bytes.len());
        for part in [&bytes[..cut.start], &bytes[cut.start..cut.end], &bytes[cut.end..]] {
            self.say(pair, *to_server, part, part.len(), Fate(0));
        }
    }

    /// Bytes that the input holds itself.
    fn literal(&mut self, pair: usize, choices: &mut Choices<'_>) {
        let how = choices.byte();
        let bytes = choices.bytes(usize::from(how >> 1));
        self.say(pair, how & 1 == 0, bytes, bytes.len(), Fate(0));
    }

    /// An operation of which less was captured than moved.
    fn uncaptured(&mut self, pair: usize, choices: &mut Choices<'_>) {
        let how = choices.byte();
        let captured = choices.bytes(usize::from(how >> 4));
        let moved = captured.len() + choices.word() * usize::from(how & 8);
        self.say(pair, how & 1 == 0, captured, moved, Fate(how & 6));
    }

    /// An end says that it is over, or breaks.
    fn ended(&mut self, pair: usize, choices: &mut Choices<'_>) {
        let how = choices.byte();
        let end = usize::from(how & 1);
        match how >> 1 & 3 {
            0 => self.io(pair, end, INGRESS, 0, &[], Fate(0)),
            1 => self.io(pair, end, if how & 8 == 0 { INGRESS } else { EGRESS }, -104, &[], Fate(0)),
            2 => self.state(pair, end, TCP_FIN_WAIT1),
            _ => self.state(pair, end, TCP_CLOSE),
        }
    }

    /// A thread or a process begins, ends, or becomes another program.
    fn task(&mut self, pair: usize, choices: &mut Choices<'_>) {
        let how = choices.byte();
        let (tgid, time) = (self.pairs[pair].ends[usize::from(how & 1)].tgid, self.tick());
        let tid = tgid + 0x1000 * u32::from(how >> 4 & 3);
        let event = |kind: Kind, with_process| TaskEvent {
            kind: kind as u8,
            with_process,
            reserved: [0; 6],
            time,
            tgid,
            tid,
            parent_tgid: tgid,
            parent_tid: tgid,
        };
        let record = match how >> 1 & 7 {
            0..=2 => Owned::Fork(event(Kind::Fork, 0)),
            3 => Owned::Fork(TaskEvent { parent_tgid: FIRST_PROCESS, ..event(Kind::Fork, 0) }),
            4 | 5 => Owned::Exit(event(Kind::Exit, 0)),
            6 => Owned::Exit(event(Kind::Exit, 1)),
            _ => {
                let (args, env) = (choices.bytes(usize::from(how >> 4)).to_vec(), choices.bytes(8).to_vec());
                let mut file = [0; MAX_EXEC_FILE];
                file[..args.len().min(MAX_EXEC_FILE)].copy_from_slice(&args[..args.len().min(MAX_EXEC_FILE)]);
                let event = ExecEvent {
                    file,
                    kind: Kind::Exec as u8,
                    reserved: [0; 3],
                    uid: 0,
                    time,
                    tgid,
                    parent_tgid: 0,
                    cgroup_id: 0,
                    comm: *b"program\0\0\0\0\0\0\0\0\0",
                    args_len: args.len() as u32,
                    env_len: env.len() as u32,
                };
                Owned::Exec(Box::new(event), args, env)
            }
        };
        self.later(0, record);
    }

    /// Bytes go from one end to the other.
    fn say(&mut self, pair: usize, to_server: bool, bytes: &[u8], moved: usize, fate: Fate) {
        let (from, to) = if to_server { (0, 1) } else { (1, 0) };
        let captured = &bytes[..bytes.len().min(self.capture_bytes)];
        if moved == 0 {
            return;
        }
        self.pairs[pair].ends[from].tx += moved as u64;
        self.io(pair, from, EGRESS, moved as i32, captured, fate);
        self.pairs[pair].ends[to].rx += moved as u64;
        self.io(pair, to, INGRESS, moved as i32, captured, fate);
    }

    fn io(&mut self, pair: usize, end: usize, direction: u8, result: i32, captured: &[u8], fate: Fate) {
        let time = self.tick();
        if fate.lost(end) {
            self.lost = true;
            return;
        }
        let Pair { family, ends, epoch, .. } = self.pairs[pair];
        let End { cookie, tgid, endpoints, tx, rx } = ends[end];
        let raw = |position: u64| if family == Family::Unix { position } else { position & 0xffff_ffff };
        let reads = direction == INGRESS && fate.nonblocking();
        let event = IoEvent {
            kind: Kind::Io as u8,
            direction,
            flags: if family == Family::Udp { FLAG_DATAGRAM } else { 0 } | if reads { FLAG_NONBLOCKING } else { 0 },
            reserved: 0,
            captured: captured.len() as u32,
            result,
            epoch,
            time,
            cookie,
            tx_position: raw(tx),
            rx_position: raw(rx),
            unit: UnitId { tgid, tid: tgid + 0x1000 * (pair as u32 & 1), ..UnitId::default() },
            endpoints,
            inode: 0,
            fd: 0,
            ran: 0,
            queued: 0,
            reserved2: 0,
        };
        let record = Owned::Io(event, captured.to_vec());
        if fate.twice() {
            self.later(fate.delay(end) + 1, record.clone());
        }
        self.later(fate.delay(end), record);
    }

    fn state(&mut self, pair: usize, end: usize, new: u8) {
        let time = self.tick();
        let End { cookie, tgid, endpoints, tx, rx } = self.pairs[pair].ends[end];
        let unit = UnitId { tgid, tid: tgid, ..UnitId::default() };
        let event = StateEvent {
            kind: Kind::State as u8,
            old: 1,
            new,
            flags: if new == TCP_CLOSE { STATE_LET_GO } else { 0 },
            error: 0,
            time,
            cookie,
            tx_position: tx & 0xffff_ffff,
            rx_position: rx & 0xffff_ffff,
            unit,
            endpoints,
        };
        self.later(0, Owned::State(event));
    }
}
