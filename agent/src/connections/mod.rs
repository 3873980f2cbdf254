//! From records to exchanges: one connection per socket, found by its cookie.
//!
//! | file | what it is |
//! |---|---|
//! | `asking.rs` | sockets of whose end the kernel says nothing |
//! | `attempts.rs` | connections that are being opened, and those that cannot be |
//! | `stream.rs` | one direction: positions, operations ahead of their turn |
//! | `order.rs` | both directions in causal order |
//! | `detection.rs` | which protocol it is: a machine of three states |
//! | `reading.rs` | drives detection and the parser |
//! | `layer.rs` | what passes inside TLS on a connection |
//! | `sessions.rs` | which connection the plaintext of a TLS library belongs to |
//! | `opaque.rs` | a connection that is encrypted and not read inside |
//! | `stretches.rs` | when such connections are looked at |
//! | `emit.rs` | what a parser says, as signals |
//! | `connection.rs` | one socket's life |
//! | `undelivered.rs` | datagrams that cannot arrive |
//! | `unreached.rs` | Unix sockets that cannot be connected |
//! | `guard.rs` | a defect takes one connection, not the agent |
//!
//! Every byte has a position, so what is missing is known exactly and is told to the parser. The two directions of a
//! socket are brought into causal order: an operation that happened when the other direction stood at position *n* is
//! handed on when everything before *n* has been.

mod asking;
mod attempts;
mod connection;
mod detection;
mod emit;
mod guard;
mod layer;
mod opaque;
mod order;
mod reading;
mod sessions;
mod stream;
mod stretches;
#[cfg(test)]
mod tests;
mod undelivered;
mod unreached;

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use wirespan_common::{
    AF_UNIX, EGRESS, FLAG_DATAGRAM, FLAG_NONBLOCKING, FLAG_ONLY_THREAD, INGRESS, IoEvent, PathEvent, STATE_UNSENT,
    StateEvent, UnitId,
};
use wirespan_protocols::exchange::{Output, Reason, Unit};
use wirespan_protocols::rules::Rules;
use wirespan_protocols::{End, Role};
use wirespan_signals::Slim as _;

use asking::{ASK_FIRST, DATAGRAM_SILENCE, LostTimes};
use attempts::Attempts;
pub use connection::Descriptor;
use connection::{Connection, Seen};
use detection::Registry;
use emit::Origin;
use guard::guarded;
use reading::Context;
use sessions::Sessions;
use stretches::Stretches;
use undelivered::Undelivered;
pub use wirespan_links::{Connect, ConnectionInfo, ExchangeKey, Signal, StartedSignal};

use crate::config::Config;
use crate::discovery::Process;
use crate::memory::heaviest::Heaviest;
use crate::memory::{Account, Shares};
use crate::metrics::Counters;
use crate::tls::Why;

/// [`StateEvent::new`] where no state changed.
const UNCHANGED: u8 = 0;
const TCP_ESTABLISHED: u8 = 1;
/// State of a TCP socket that is being opened (include/net/tcp_states.h).
pub const TCP_SYN_SENT: u8 = 2;
const TCP_CLOSE: u8 = 7;
/// A request that has been under way for this long, nanoseconds, tells what it is called. (Less than what is shown.)
const LASTING: u64 = 4_000_000_000;
/// How often such requests are looked for, nanoseconds.
const NAME_EVERY: u64 = 500_000_000;
/// How much longer than an idle connection one is remembered on which a request is under way: a stream may live for
/// hours and say nothing. Should its end have been missed, it is forgotten after a day, by default.
const PATIENCE: u64 = 144;
/// What a socket takes that is asked after, bytes.
const OUTSTANDING: usize = 2 * size_of::<(u64, u64)>();
/// Connections looked at to find one to forget when there are too many.
const EVICTION_SAMPLE: usize = 32;
/// Sockets whose reading failed that are remembered; then they are forgotten, and may fail again.
const MAX_FAILED: usize = 1024;

/// Bounds of the stage.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections tracked at a time.
    pub max_connections: usize,
    /// Bytes that one parser may hold.
    pub max_connection_buffer: usize,
    /// Bytes that all connections together may take.
    pub memory: Account,
    /// Nanoseconds after which a silent connection is forgotten.
    pub idle_timeout: u64,
    /// Keep query-string values.
    pub keep_query_values: bool,
    /// Keep the text of database queries and the arguments of commands.
    pub keep_query_text: bool,
    /// Attributes that people ask for.
    pub rules: Option<&'static Rules>,
}

impl Limits {
    /// As configured.
    pub fn of(config: &Config) -> Self {
        Self {
            max_connections: config.max_connections,
            max_connection_buffer: config.max_connection_buffer,
            memory: Account::new(Shares::of(config).connections),
            idle_timeout: config.idle_timeout.as_nanos() as u64,
            keep_query_values: config.keep_query_values,
            keep_query_text: config.keep_query_text,
            rules: (!config.attributes.is_empty()).then(|| Rules::new(config.attributes.clone())),
        }
    }
}

/// All connections.
pub struct Connections {
    /// Boxed: the table is sparse, and it doubles.
    by_cookie: HashMap<u64, Box<Connection>>,
    /// Cookies that need attention soon: held operations, closed sockets.
    restless: Vec<u64>,
    /// Sockets for datagrams, of whose end the kernel says nothing, and when to see whether they are silent.
    datagrams: VecDeque<(u64, u64)>,
    /// Sockets that began to connect and have not moved a byte.
    attempts: Attempts,
    /// Sockets of whose end the kernel says nothing and on which somebody waits for an answer: when to ask after them.
    outstanding: BTreeSet<(u64, u64)>,
    /// When records were lost that may have been datagrams.
    lost: LostTimes,
    /// UDP sockets whose datagrams cannot arrive.
    undelivered: Undelivered,
    /// Sessions of TLS, and whose plaintext is whose.
    sessions: Sessions,
    /// Connections that are not read inside, and when to look at them.
    stretches: Stretches,
    /// Sockets whose reading failed: muted, whatever is still on the ring of them.
    failed: HashSet<u64>,
    /// Protocols whose failure was said.
    said_failed: Vec<&'static str>,
    shared: Shared,
    next_id: u64,
    /// Bytes of all connections.
    bytes: usize,
    heaviest: Heaviest,
    last_sweep: u64,
    /// Requests that began before this moment and last have told their names.
    named: u64,
}

/// What every connection needs.
struct Shared {
    limits: Limits,
    counters: Arc<Counters>,
    outputs: Vec<Output>,
    registry: Registry,
}

impl Shared {
    fn context<'a>(&'a mut self, out: &'a mut Vec<Signal>) -> Context<'a> {
        let Self { limits, counters, outputs, registry } = self;
        Context { out, outputs, counters, limits, registry: *registry }
    }
}

/// What the caller must do after an operation.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing.
    Continue,
    /// Stop capturing this socket.
    Mute,
    /// The same for now ([`Connections::roused`]), but its end is to be told.
    Hush,
    /// Capture as much as possible of each of its operations in these directions.
    Widen(&'static [u8]),
    /// Capture no more of its operations than tells that they are encrypted.
    Secure,
}

impl Connections {
    /// No connections yet.
    pub fn new(limits: Limits, counters: Arc<Counters>) -> Self {
        guard::install();
        Self {
            by_cookie: HashMap::default(),
            restless: Vec::new(),
            datagrams: VecDeque::new(),
            undelivered: Undelivered::default(),
            attempts: Attempts::default(),
            outstanding: BTreeSet::new(),
            lost: LostTimes::default(),
            sessions: Sessions::default(),
            stretches: Stretches::default(),
            failed: HashSet::default(),
            said_failed: Vec::new(),
            shared: Shared { limits, counters, outputs: Vec::new(), registry: Registry::ALL },
            next_id: 1,
            bytes: 0,
            heaviest: Heaviest::default(),
            last_sweep: 0,
            named: 0,
        }
    }

    /// One socket operation by a traced process.
    pub fn operation(
        &mut self,
        event: &IoEvent,
        bytes: &[u8],
        process: &Arc<Process>,
        out: &mut Vec<Signal>,
    ) -> Verdict {
        if !self.failed.is_empty() && self.failed.contains(&event.cookie) {
            return Verdict::Mute;
        }
        self.forget_other_epoch(event, out);
        if !self.by_cookie.contains_key(&event.cookie) && !self.admit(event, process, out) {
            return Verdict::Continue;
        }
        let Some(seen) = self.work(event.cookie, out, |c, cx| c.take_in(event, bytes, process, cx)) else {
            return Verdict::Mute;
        };
        let verdict = self.seen(event.cookie, event.time, seen, out);
        self.socket_seen(event.cookie, out);
        self.make_room(event.time, out);
        if let Some(why) = self.undelivered.of(event) {
            self.work(event.cookie, out, |connection, cx| connection.undeliverable(why, event.time, cx));
        }
        if event.result == 0 && event.endpoints.peer_cookie != 0 {
            self.peer_finished(event, out);
        }
        verdict
    }

    /// Does what an operation demands, and says what the caller must do.
    fn seen(&mut self, cookie: u64, time: u64, seen: Seen, out: &mut Vec<Signal>) -> Verdict {
        if seen.newly_outstanding {
            self.outstanding.insert((time + ASK_FIRST, cookie));
        }
        if seen.newly_restless {
            self.restless.push(cookie);
        }
        if seen.newly_opaque {
            self.stretches.begins(cookie, time);
        }
        if let Some(random) = seen.begun {
            self.session_begun(cookie, random, out);
        }
        if seen.muted {
            self.forget(cookie, time, out);
            return Verdict::Mute;
        }
        match seen.widens {
            _ if seen.quiet => Verdict::Hush,
            _ if seen.secures => Verdict::Secure,
            [] => Verdict::Continue,
            directions => Verdict::Widen(directions),
        }
    }

    /// Does some work on a connection, and notes what it holds by then. `None` if there is none of this cookie, or no
    /// longer: a panic costs it its life.
    fn work<R>(
        &mut self,
        cookie: u64,
        out: &mut Vec<Signal>,
        work: impl FnOnce(&mut Connection, &mut Context<'_>) -> R,
    ) -> Option<R> {
        let connection = self.by_cookie.get_mut(&cookie)?;
        let mut cx = self.shared.context(out);
        let done = guarded(|| {
            let done = work(connection, &mut cx);
            (done, connection.bytes())
        });
        match done {
            Ok((done, bytes)) => {
                let before = std::mem::replace(&mut connection.counted, bytes);
                self.bytes = self.bytes + bytes - before;
                self.heaviest.changed(cookie, before, bytes);
                Some(done)
            }
            Err(place) => {
                let connection = self.by_cookie.remove(&cookie)?;
                self.uncount(&connection);
                self.fail(connection, &place, out);
                None
            }
        }
    }

    /// A connection is gone, and what it held.
    fn uncount(&mut self, connection: &Connection) {
        self.sessions.forget(connection);
        self.bytes -= connection.counted;
        self.heaviest.changed(connection.cookie(), connection.counted, 0);
    }

    /// Forgets connections while all together take too much memory: those with most first, and if none has much, the
    /// idlest.
    fn make_room(&mut self, now: u64, out: &mut Vec<Signal>) {
        self.tell_memory();
        while self.shared.limits.memory.is_over() {
            let Some(cookie) = self.heaviest.any().or_else(|| self.idlest()) else { return };
            self.shared.counters.connections_evicted.inc();
            self.shared.counters.connections_evicted_for_memory.inc();
            self.forget(cookie, now, out);
            self.tell_memory();
        }
    }

    /// Tells the account what all connections take, and what is remembered beside them.
    fn tell_memory(&self) {
        let others = self.attempts.weight()
            + self.outstanding.len() * OUTSTANDING
            + self.datagrams.len() * size_of::<(u64, u64)>()
            + self.sessions.weight()
            + self.stretches.weight();
        self.shared.limits.memory.set(self.bytes + others);
    }

    /// One that was silent for longer than most.
    fn idlest(&self) -> Option<u64> {
        let sample = self.by_cookie.values().take(EVICTION_SAMPLE);
        sample.min_by_key(|c| c.last_seen()).map(|c| c.cookie())
    }

    /// The reading of a connection panicked: it is gone, and so are its requests that have no end.
    fn fail(&mut self, connection: Box<Connection>, place: &str, out: &mut Vec<Signal>) {
        self.shared.outputs.clear();
        self.shared.counters.connections_failed.inc();
        out.push(Signal::Failed { connection: connection.id() });
        if self.failed.len() >= MAX_FAILED {
            self.failed.clear();
        }
        self.failed.insert(connection.cookie());
        let protocol = connection.protocol().unwrap_or("unknown");
        self.shared.counters.dropped(protocol, Reason::Failed, u64::from(connection.in_flight()));
        if !self.said_failed.contains(&protocol) {
            self.said_failed.push(protocol);
            log::error!(
                "a connection of protocol {protocol} could not be read, which is a defect: its socket is muted, and nothing else is \
                 touched (said once a protocol; counter connections_failed): {place}"
            );
        }
        // Should even this panic, nothing is to be said any more.
        let _ = guarded(|| drop(connection));
    }

    /// A Unix socket's other end was closed, of which the kernel says nothing on that end: it will send no more.
    fn peer_finished(&mut self, event: &IoEvent, out: &mut Vec<Signal>) {
        self.work(event.endpoints.peer_cookie, out, |peer, cx| {
            peer.read_by_other_end(event.rx_position, event.time, cx);
        });
    }

    /// A TCP connection is being opened, finished by this side, or was closed.
    /// `process`: who opens it, if it is to be traced.
    pub fn state(&mut self, event: &StateEvent, process: Option<Arc<Process>>, out: &mut Vec<Signal>) {
        match event.new {
            UNCHANGED => return self.undeliverable(event, out),
            _ if event.flags & STATE_UNSENT != 0 => {
                let Self { attempts, next_id, shared, .. } = self;
                return attempts.failed_at_once(event, process, next_id, &shared.counters, out);
            }
            TCP_SYN_SENT if self.attempts.len() < self.shared.limits.max_connections => {
                let connect = Connect { time: event.time, unit: unit_of(&event.unit) };
                return self.attempts.begin(event, process, connect, out);
            }
            TCP_SYN_SENT => return,
            TCP_ESTABLISHED => return self.attempts.opened(event, &self.shared.counters, out),
            TCP_CLOSE => {
                self.attempts.closed(event, &mut self.next_id, &self.shared.counters, out);
                self.failed.remove(&event.cookie);
            }
            _ => {}
        }
        let newly_restless = self.work(event.cookie, out, |connection, cx| {
            connection.changed(event, cx);
            connection.is_waiting() && !std::mem::replace(&mut connection.restless, true)
        });
        if newly_restless == Some(true) {
            self.restless.push(event.cookie);
        }
    }

    /// A Unix socket could not be connected.
    pub fn unreached(&mut self, event: &PathEvent, process: Arc<Process>, out: &mut Vec<Signal>) {
        self.next_id += unreached::tell(event, process, self.next_id, &self.shared.counters, out);
    }

    /// What was sent from a UDP socket cannot arrive.
    fn undeliverable(&mut self, event: &StateEvent, out: &mut Vec<Signal>) {
        let why = attempts::reason(event.error, false);
        let told = self.work(event.cookie, out, |connection, cx| connection.undeliverable(why, event.time, cx));
        if told != Some(true) {
            self.undelivered.note(event, why);
        }
    }

    /// Whether this is the socket of a connection that is read.
    pub fn knows(&self, cookie: u64) -> bool {
        self.by_cookie.contains_key(&cookie)
    }

    /// Every connection: its process, what is spoken on it if that is known, and why it is not read inside if that is so.
    pub fn census(&self) -> impl Iterator<Item = (u32, Option<(&'static str, Role)>, Option<Why>)> {
        let why = |c: &Connection| c.is_opaque().then(|| c.process().tls.why());
        self.by_cookie.values().map(move |c| (c.process().tgid, c.spoken(), why(c)))
    }

    /// Forgets every connection of a process that is left alone from now on.
    pub fn leave_alone(&mut self, tgid: u32, now: u64, out: &mut Vec<Signal>) {
        let cookies: Vec<u64> =
            self.by_cookie.values().filter(|c| c.process().tgid == tgid).map(|c| c.cookie()).collect();
        for cookie in cookies {
            self.forget(cookie, now, out);
        }
    }

    /// Does what time demands; to be called every few milliseconds with `CLOCK_BOOTTIME` nanoseconds.
    pub fn tick(&mut self, now: u64, out: &mut Vec<Signal>) {
        let restless = std::mem::take(&mut self.restless);
        for cookie in restless {
            self.settle(cookie, now, out);
        }
        self.attempts.tick(now, &mut self.next_id, out);
        self.close_silent_datagrams(now, out);
        self.give_up_plaintext(now);
        self.end_stretches(now, out);
        self.name_lasting(now, out);
        if now.saturating_sub(self.last_sweep) > self.shared.limits.idle_timeout / 8 {
            self.last_sweep = now;
            self.sweep(now, out);
        }
        self.shared.counters.connections_open.set(self.by_cookie.len() as u64);
        // (Also when nothing is said any more: what has ended holds nothing.)
        self.tell_memory();
    }

    /// Tells what those requests are called that have by now been under way for a while: each once, when it has.
    fn name_lasting(&mut self, now: u64, out: &mut Vec<Signal>) {
        let before = now.saturating_sub(LASTING);
        if before.saturating_sub(self.named) < NAME_EVERY {
            return;
        }
        let began = std::mem::replace(&mut self.named, before)..before;
        let mut failed = Vec::new();
        for connection in self.by_cookie.values().filter(|c| c.in_flight() > 0) {
            if let Err(place) = guarded(|| connection.under_way(&began, out)) {
                failed.push((connection.cookie(), place));
            }
        }
        for (cookie, place) in failed {
            if let Some(connection) = self.by_cookie.remove(&cookie) {
                self.uncount(&connection);
                self.fail(connection, &place, out);
            }
        }
    }

    /// Ends every connection: the agent stops.
    pub fn finish(&mut self, now: u64, out: &mut Vec<Signal>) {
        self.attempts.finish(out);
        let cookies: Vec<u64> = self.by_cookie.keys().copied().collect();
        for cookie in cookies {
            self.settle(cookie, u64::MAX, out);
            self.forget(cookie, now, out);
        }
    }

    /// Releases what waited long enough, and removes the connection if it is over.
    fn settle(&mut self, cookie: u64, now: u64, out: &mut Vec<Signal>) {
        let settled = self.work(cookie, out, |connection, cx| {
            connection.release(now, cx);
            connection.restless = connection.is_waiting();
            (connection.is_over(now), connection.restless)
        });
        match settled {
            Some((true, _)) => self.remove(cookie, End::Closed, now, out),
            Some((false, true)) => self.restless.push(cookie),
            _ => {}
        }
    }

    fn remove(&mut self, cookie: u64, end: End, now: u64, out: &mut Vec<Signal>) {
        let Some(mut connection) = self.by_cookie.remove(&cookie) else { return };
        self.uncount(&connection);
        let mut cx = self.shared.context(out);
        if let Err(place) = guarded(|| connection.finish(end, now, &mut cx)) {
            self.fail(connection, &place, out);
        }
    }

    /// Removes a connection that is still open: its requests have no known end, so they are no errors.
    fn forget(&mut self, cookie: u64, now: u64, out: &mut Vec<Signal>) {
        self.remove(cookie, End::Unwatched, now, out);
    }

    /// A Unix socket whose bytes the kernel counts anew is another stream.
    fn forget_other_epoch(&mut self, event: &IoEvent, out: &mut Vec<Signal>) {
        if event.endpoints.family == AF_UNIX
            && self.by_cookie.get(&event.cookie).is_some_and(|c| c.epoch != event.epoch)
        {
            self.forget(event.cookie, event.time, out);
        }
    }

    /// Starts to track a socket; false for the end of one that was never seen.
    fn admit(&mut self, event: &IoEvent, process: &Arc<Process>, out: &mut Vec<Signal>) -> bool {
        if event.result <= 0 {
            return false;
        }
        if self.by_cookie.len() >= self.shared.limits.max_connections
            && let Some(cookie) = self.idlest()
        {
            self.shared.counters.connections_evicted.inc();
            self.forget(cookie, event.time, out);
        }
        let mut origin = Origin::new(self.next_id, event.cookie, event.endpoints, process.clone());
        origin.connect = self.attempts.used(event.cookie, out);
        let connection = Connection::new(origin, event.epoch, event.time);
        self.next_id += 1;
        self.shared.counters.connections.inc();
        self.by_cookie.insert(event.cookie, Box::new(connection));
        if event.flags & FLAG_DATAGRAM != 0 {
            self.datagrams.push_back((event.time + DATAGRAM_SILENCE, event.cookie));
        }
        true
    }

    fn sweep(&mut self, now: u64, out: &mut Vec<Signal>) {
        let idle = self.shared.limits.idle_timeout;
        // (Of what is not read the hello will not come again, without which it is not told.)
        let may_rest = |c: &Connection| c.in_flight() > 0 || c.is_opaque();
        let patience = |c: &Connection| if may_rest(c) { idle.saturating_mul(PATIENCE) } else { idle };
        let silent: Vec<u64> = self
            .by_cookie
            .values()
            .filter(|c| now.saturating_sub(c.last_seen()) > patience(c))
            .map(|c| c.cookie())
            .collect();
        for cookie in silent {
            self.shared.counters.connections_evicted.inc();
            self.forget(cookie, now, out);
        }
        self.attempts.sweep(now, idle, out);
        self.by_cookie.slim();
        self.datagrams.slim();
        self.stretches.slim();
        self.failed.slim();
        self.heaviest.slim();
    }
}

/// A record's unit.
pub fn unit_of(unit: &UnitId) -> Unit {
    let UnitId { tgid, tid, kind, switches, id, parent, since } = *unit;
    Unit { tgid, tid, kind, id, parent, switches, since, ..Unit::default() }
}

/// The same, with what a record's flags say of it.
fn unit_at(unit: &UnitId, flags: u8) -> Unit {
    Unit { nonblocking: flags & FLAG_NONBLOCKING != 0, only: flags & FLAG_ONLY_THREAD != 0, ..unit_of(unit) }
}

const _: () = assert!(INGRESS == 0 && EGRESS == 1, "directions index the streams");
const _: () = assert!(wirespan_common::UNIT_LOOP == wirespan_protocols::exchange::LOOP, "one number for one kind");
const _: () = assert!(
    1 << wirespan_common::CLOCK_SHIFT == wirespan_protocols::exchange::CLOCK,
    "one unit of the scheduler's clocks"
);
