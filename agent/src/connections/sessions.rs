//! Which connection the plaintext of a TLS library belongs to. Two facts tell it, and both are exact:
//!
//! - the session's *random*: the client chose 32 bytes and sent them in the clear, in its first message, which was seen on a
//!   socket of the same process, at the same end of the session;
//! - the *call*: while the library read or wrote, its thread moved a record of TLS through a socket.
//!
//! Where both are known they must agree, or the plaintext is nobody's. Two others are enough by themselves: the session's *own*
//! socket, where what encrypts says itself which that is (Go); and its *record*, if that was seen to pass on a socket (rustls: what
//! is written is told before that). Until one is known it waits, for a bounded time and in
//! bounded memory: a socket's record may come in later than what was decrypted of it. Nothing is ever tied by a guess.

use std::collections::VecDeque;
use std::sync::Arc;

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};
use wirespan_common::{FLAG_TLS_BROKEN, FLAG_TLS_EITHER, FLAG_TLS_SERVER, PlainEvent, TIE_CALLED, TIE_OWN, TIE_RECORD};
use wirespan_protocols::Role;

use super::connection::Connection;
use super::{Connections, Signal, Verdict};
use crate::discovery::Process;

/// How long plaintext waits for its connection, nanoseconds.
const PATIENCE: u64 = 1_000_000_000;
/// Bytes of plaintext that wait.
const MAX_HELD_BYTES: usize = 1 << 20;
/// Sessions whose connection is known, at most.
const MAX_SESSIONS: usize = 65_536;

/// A session in a process's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SessionKey {
    tgid: u32,
    /// When the kernel began to count.
    epoch: u32,
    /// Its address.
    address: u64,
}

impl SessionKey {
    fn of(event: &PlainEvent) -> Self {
        Self { tgid: event.unit.tgid, epoch: event.epoch, address: event.session }
    }
}

/// What is known of sessions.
#[derive(Debug, Default)]
pub struct Sessions {
    /// The sockets on which a client's hello with this random was seen.
    hellos: HashMap<[u8; 16], Vec<u64>>,
    /// The sockets of sessions.
    ties: HashMap<SessionKey, u64>,
    held: VecDeque<Held>,
    held_bytes: usize,
    /// Sockets that plaintext waits for which is theirs.
    awaited: HashSet<u64>,
    /// Processes that began a session since this was last asked.
    begun: Vec<u32>,
}

/// Plaintext whose connection is not known yet.
#[derive(Debug)]
struct Held {
    event: PlainEvent,
    bytes: Box<[u8]>,
    process: Arc<Process>,
    since: Option<u64>,
}

/// Whose plaintext it is.
#[derive(Debug, PartialEq, Eq)]
enum Whose {
    Socket(u64),
    Unknown,
    Conflict,
}

impl Sessions {
    /// Bytes of memory.
    pub fn weight(&self) -> usize {
        let tables = self.hellos.len() * 96 + self.ties.len() * 48 + self.awaited.len() * 16;
        tables + self.held_bytes + self.held.len() * size_of::<Held>()
    }

    /// A connection is gone.
    pub fn forget(&mut self, connection: &Connection) {
        if let Some(random) = connection.random()
            && let Some(sockets) = self.hellos.get_mut(&random)
        {
            sockets.retain(|cookie| *cookie != connection.cookie());
            if sockets.is_empty() {
                self.hellos.remove(&random);
            }
        }
        if let Some(key) = connection.session() {
            self.ties.remove(&key);
        }
    }

    fn hold(&mut self, held: Held) -> bool {
        let fits = self.held_bytes + held.bytes.len() <= MAX_HELD_BYTES;
        if fits {
            if held.event.tie != TIE_CALLED && held.event.cookie != 0 {
                self.awaited.insert(held.event.cookie);
            }
            self.held_bytes += held.bytes.len();
            self.held.push_back(held);
        }
        fits
    }
}

impl Connections {
    /// Processes that began a session of TLS since this was last asked.
    pub fn take_begun(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.sessions.begun)
    }

    /// Plaintext that a traced process read or wrote; what passes through the same library is seen `since` a moment, if that is
    /// known. Returns its socket and what is to be done about that.
    pub fn plaintext(
        &mut self,
        event: &PlainEvent,
        bytes: &[u8],
        process: &Arc<Process>,
        since: Option<u64>,
        out: &mut Vec<Signal>,
    ) -> Option<(u64, Verdict)> {
        if event.tie == TIE_RECORD && event.len == 0 {
            self.record_passed(event, out);
            return None;
        }
        self.shared.counters.tls_plaintexts.inc();
        match self.whose(event) {
            Whose::Socket(cookie) => {
                self.socket_seen(cookie, out);
                Some((cookie, self.read_plaintext(cookie, event, bytes, process, since, out)))
            }
            Whose::Conflict => {
                self.shared.counters.tls_conflicts.inc();
                None
            }
            Whose::Unknown => {
                if !self.sessions.hold(Held { event: *event, bytes: bytes.into(), process: process.clone(), since }) {
                    self.shared.counters.tls_untied.inc();
                }
                None
            }
        }
    }

    fn whose(&mut self, event: &PlainEvent) -> Whose {
        if event.tie != TIE_CALLED {
            return self.owner(event);
        }
        let key = SessionKey::of(event);
        let tied = self.sessions.ties.get(&key).copied().filter(|cookie| self.by_cookie.contains_key(cookie));
        if let Some(cookie) = tied {
            let agrees = event.cookie == 0 || event.cookie == cookie;
            return if agrees { Whose::Socket(cookie) } else { Whose::Conflict };
        }
        let named = self.named(event);
        let whose = match (&named[..], event.cookie) {
            ([one], 0) => Whose::Socket(*one),
            (_, 0) => Whose::Unknown,
            ([], called) => self.called(event, called),
            (several, called) if several.contains(&called) => Whose::Socket(called),
            _ => Whose::Conflict,
        };
        if let Whose::Socket(cookie) = whose {
            if self.sessions.ties.len() >= MAX_SESSIONS {
                self.sessions.ties.clear();
            }
            self.sessions.ties.insert(key, cookie);
            self.shared.counters.tls_tied.inc();
        }
        whose
    }

    /// The socket that the session says it is on. (What is said by something that the program has made is believed if that socket
    /// is one of TLS.)
    fn owner(&self, event: &PlainEvent) -> Whose {
        match self.by_cookie.get(&event.cookie) {
            Some(connection)
                if connection.process().tgid == event.unit.tgid
                    && (event.tie == TIE_OWN || connection.is_encrypted()) =>
            {
                if connection.session() != Some(SessionKey::of(event)) {
                    self.shared.counters.tls_tied.inc();
                }
                Whose::Socket(event.cookie)
            }
            _ => Whose::Unknown,
        }
    }

    /// Sockets of the same process on which the session's hello was seen, at this end of it if that is known.
    fn named(&self, event: &PlainEvent) -> Vec<u64> {
        let role = match event.flags & (FLAG_TLS_SERVER | FLAG_TLS_EITHER) {
            0 => Some(Role::Client),
            FLAG_TLS_SERVER => Some(Role::Server),
            _ => None,
        };
        let fits = |cookie: &&u64| {
            self.by_cookie.get(cookie).is_some_and(|connection| {
                let hello = connection.hello_role();
                connection.process().tgid == event.unit.tgid && hello.is_some() && (role.is_none() || role == hello)
            })
        };
        self.sessions.hellos.get(&event.random).into_iter().flatten().filter(fits).copied().collect()
    }

    /// A socket that was used during a call, on which no hello of this session was seen: one whose hello came before the agent.
    fn called(&self, event: &PlainEvent, cookie: u64) -> Whose {
        match self.by_cookie.get(&cookie) {
            Some(connection) if connection.process().tgid != event.unit.tgid => Whose::Unknown,
            Some(connection) if connection.random().is_some() => Whose::Conflict,
            Some(_) => Whose::Socket(cookie),
            None => Whose::Unknown,
        }
    }

    fn read_plaintext(
        &mut self,
        cookie: u64,
        event: &PlainEvent,
        bytes: &[u8],
        process: &Arc<Process>,
        since: Option<u64>,
        out: &mut Vec<Signal>,
    ) -> Verdict {
        let key = SessionKey::of(event);
        let whole =
            move |c: &Connection| event.flags & FLAG_TLS_BROKEN == 0 && since.is_some_and(|since| c.began() > since);
        let seen = self.work(cookie, out, |connection, cx| {
            let whole = whole(connection);
            connection.plaintext(key, event, bytes, process, whole, cx)
        });
        let verdict = match seen {
            Some(seen) => self.seen(cookie, event.time, seen, out),
            None => Verdict::Mute,
        };
        self.make_room(event.time, out);
        verdict
    }

    /// A client's hello was seen on a connection: what waited for it is read.
    pub(super) fn session_begun(&mut self, cookie: u64, random: [u8; 16], out: &mut Vec<Signal>) {
        let Some(connection) = self.by_cookie.get(&cookie) else { return };
        self.sessions.begun.push(connection.process().tgid);
        let sockets = self.sessions.hellos.entry(random).or_default();
        if sockets.contains(&cookie) {
            return;
        }
        sockets.push(cookie);
        self.read_held(|held| held.tie == TIE_CALLED && held.random == random, out);
    }

    /// An operation was seen on a socket: what waited for it is read.
    pub(super) fn socket_seen(&mut self, cookie: u64, out: &mut Vec<Signal>) {
        if self.sessions.awaited.remove(&cookie) {
            self.read_held(|held| held.tie != TIE_CALLED && held.cookie == cookie, out);
        }
    }

    /// A record passed on a socket: what was told under the address of what made it, was on that socket.
    fn record_passed(&mut self, event: &PlainEvent, out: &mut Vec<Signal>) {
        let (made_by, epoch) = event.random.split_at(8);
        let is = |held: &&mut Held| {
            let PlainEvent { tie, cookie, session, unit, .. } = &held.event;
            (*tie, *cookie, unit.tgid) == (TIE_RECORD, 0, event.unit.tgid)
                && session.to_ne_bytes() == *made_by
                && u64::from(held.event.epoch).to_ne_bytes() == *epoch
        };
        for held in self.sessions.held.iter_mut().filter(is) {
            let told = &mut held.event;
            (told.cookie, told.session, told.epoch) = (event.cookie, event.session, event.epoch);
            (told.tx, told.rx) = (told.tx.saturating_add(event.tx), event.rx);
        }
        self.read_held(|held| held.tie == TIE_RECORD && held.cookie == event.cookie, out);
    }

    /// Reads what waited, as far as it is known by now whose it is.
    fn read_held(&mut self, wanted: impl Fn(&PlainEvent) -> bool, out: &mut Vec<Signal>) {
        if !self.sessions.held.iter().any(|held| wanted(&held.event)) {
            return;
        }
        let held = std::mem::take(&mut self.sessions.held);
        self.sessions.held_bytes = 0;
        for held in held {
            match if wanted(&held.event) { self.whose(&held.event) } else { Whose::Unknown } {
                Whose::Socket(cookie) => {
                    // What is to be done about the socket is said again with what comes next.
                    self.read_plaintext(cookie, &held.event, &held.bytes, &held.process, held.since, out);
                }
                Whose::Conflict => self.shared.counters.tls_conflicts.inc(),
                Whose::Unknown => _ = self.sessions.hold(held),
            }
        }
    }

    /// Gives up plaintext that has waited for too long.
    pub(super) fn give_up_plaintext(&mut self, now: u64) {
        let waited = |held: &mut Held| now.saturating_sub(held.event.time) >= PATIENCE;
        while let Some(held) = self.sessions.held.pop_front_if(waited) {
            self.sessions.held_bytes -= held.bytes.len();
            self.shared.counters.tls_untied.inc();
        }
        if self.sessions.held.is_empty() {
            self.sessions.awaited.clear();
        }
    }
}
