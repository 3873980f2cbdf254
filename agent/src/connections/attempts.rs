//! Connections that are being opened. One that cannot be is a call that failed, though no byte of a request passed.
//!
//! An attempt is announced when it has failed, or when it is still under way at the next tick: most connections are open
//! by then, and of those nothing is told. What an attempt to reach the same by another way makes good is no failure:
//!
//! - The program tried another address family at the same port, and got through (`localhost` is `::1` first, then
//!   `127.0.0.1`).
//! - The program let go of the attempt because another one to the same port, of any family, had got through (the losers
//!   of *happy eyeballs*, RFC 8305).
//!
//! So a failure is told when no such attempt was begun for [`NEXT`], or when it failed, too, or after [`PATIENCE`].

use std::borrow::Cow;
use std::collections::VecDeque;
use std::sync::Arc;

use opentelemetry_semantic_conventions::attribute::ERROR_TYPE;
use rustc_hash::FxHashMap as HashMap;
use wirespan_common::{Endpoints, STATE_LET_GO, STATE_UNSENT, StateEvent};
use wirespan_links::{Connect, ConnectionInfo, ExchangeKey, Signal, StartedSignal, address};
use wirespan_protocols::exchange::{Exchange, KeyValue, Mark, Marks, SpanKind, Started, Status};
use wirespan_protocols::{GIVEN_UP, Role};
use wirespan_signals::Slim as _;

use crate::discovery::Process;
use crate::metrics::Counters;

/// How soon a program tries another way when one has failed, nanoseconds.
const NEXT: u64 = 50_000_000;
/// How long another way may take before the failure of the first is told in any case, nanoseconds.
const PATIENCE: u64 = 3_000_000_000;
/// Attempts that got through and are remembered, to tell the losers.
const MAX_OPENED: usize = 256;
/// Attempts under way that are looked at to see whether one may make a failure good.
const MAX_OTHERS: usize = 64;
/// Failures that wait for another way. Beyond, the oldest are told.
const MAX_FAILED: usize = 1024;

/// A connection that began to open.
struct Attempt {
    cookie: u64,
    connect: Connect,
    endpoints: Endpoints,
    /// Whose it is, if that process is traced.
    process: Option<Arc<Process>>,
    /// Its number, once it was announced.
    announced: Option<u64>,
    /// It is open, and no byte has passed.
    open: bool,
}

/// What decides whether one attempt stands in for another.
#[derive(Clone, Copy)]
struct Way {
    tgid: u32,
    port: u16,
    family: u8,
    begun: u64,
}

/// An attempt that got through, and when.
struct Opened {
    way: Way,
    at: u64,
}

/// An attempt that failed, and is not told yet.
struct Failed {
    way: Way,
    key: ExchangeKey,
    exchange: Box<Exchange>,
    /// The program let go of it.
    cancelled: bool,
}

impl Failed {
    /// Whether an attempt that got through `at` that time makes good for this one.
    fn is_made_good(&self, other: &Way, at: u64) -> bool {
        let same = other.tgid == self.way.tgid && other.port == self.way.port;
        let end = self.exchange.end;
        same && if self.cancelled {
            other.begun <= end && (self.way.begun..=end + NEXT).contains(&at)
        } else {
            other.family != self.way.family && (self.way.begun..=end + NEXT).contains(&other.begun)
        }
    }
}

/// All of them.
#[derive(Default)]
pub struct Attempts {
    by_cookie: HashMap<u64, Attempt>,
    /// Began since the last tick.
    fresh: Vec<u64>,
    opened: VecDeque<Opened>,
    failed: VecDeque<Failed>,
}

impl Attempts {
    /// A thread called `connect`. Told only if its process is traced.
    pub fn begin(
        &mut self,
        event: &StateEvent,
        process: Option<Arc<Process>>,
        connect: Connect,
        out: &mut Vec<Signal>,
    ) {
        if process.is_some() {
            self.fresh.push(event.cookie);
        }
        let attempt = Attempt {
            cookie: event.cookie,
            connect,
            endpoints: event.endpoints,
            process,
            announced: None,
            open: false,
        };
        // (Of one before on the same socket, the end was missed.)
        let before = self.by_cookie.insert(event.cookie, attempt).and_then(|a| a.announced);
        out.extend(before.map(|id| Signal::Dropped(key(id))));
    }

    /// A thread called `connect`, and there was no way to the peer: `event.error`. Told only if its process is traced.
    pub fn failed_at_once(
        &mut self,
        event: &StateEvent,
        process: Option<Arc<Process>>,
        next_id: &mut u64,
        counters: &Counters,
        out: &mut Vec<Signal>,
    ) {
        let connect = Connect { time: event.time, unit: super::unit_of(&event.unit) };
        self.begin(event, process, connect, out);
        self.closed(event, next_id, counters, out);
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.by_cookie.len()
    }

    /// Bytes of memory held, about.
    pub fn weight(&self) -> usize {
        2 * self.by_cookie.len() * size_of::<(u64, Attempt)>()
            + self.opened.len() * size_of::<Opened>()
            + self.failed.len() * (size_of::<Failed>() + size_of::<Exchange>() + 256)
    }

    /// The connection is open.
    pub fn opened(&mut self, event: &StateEvent, counters: &Counters, out: &mut Vec<Signal>) {
        let Some(attempt) = self.by_cookie.get_mut(&event.cookie) else { return };
        attempt.open = true;
        if let Some(id) = attempt.announced.take() {
            out.push(Signal::Dropped(key(id)));
        }
        let Some(way) = attempt.way() else { return };
        let before = self.failed.len();
        self.failed.retain(|failed| {
            let good = failed.is_made_good(&way, event.time);
            if good {
                out.push(Signal::Dropped(failed.key));
            }
            !good
        });
        counters.connects_made_good.add((before - self.failed.len()) as u64);
        if self.opened.len() == MAX_OPENED {
            self.opened.pop_front();
        }
        self.opened.push_back(Opened { way, at: event.time });
    }

    /// The first bytes passed: how the connection was opened. (That it was may have been missed.)
    pub fn used(&mut self, cookie: u64, out: &mut Vec<Signal>) -> Option<Connect> {
        let attempt = self.by_cookie.remove(&cookie)?;
        out.extend(attempt.announced.map(|id| Signal::Dropped(key(id))));
        Some(attempt.connect)
    }

    /// The socket is closed; perhaps its connection was never open.
    pub fn closed(&mut self, event: &StateEvent, next_id: &mut u64, counters: &Counters, out: &mut Vec<Signal>) {
        let Some(mut attempt) = self.by_cookie.remove(&event.cookie).filter(|a| !a.open) else { return };
        let Some(way) = attempt.way() else { return };
        attempt.announce(next_id, out);
        let Some(id) = attempt.announced else { return };
        counters.connects_failed.inc();
        let cancelled = event.error == 0 && event.flags & (STATE_LET_GO | STATE_UNSENT) == STATE_LET_GO;
        let exchange = Box::new(attempt.failure(reason(event.error, cancelled), event.time));
        let failed = Failed { way, key: key(id), exchange, cancelled };
        if self.opened.iter().any(|o| failed.is_made_good(&o.way, o.at)) {
            counters.connects_made_good.inc();
            return out.push(Signal::Dropped(failed.key));
        }
        if self.failed.len() == MAX_FAILED {
            out.extend(self.failed.pop_front().map(Failed::told));
        }
        self.failed.push_back(failed);
    }

    /// Does what time demands.
    pub fn tick(&mut self, now: u64, next_id: &mut u64, out: &mut Vec<Signal>) {
        for cookie in std::mem::take(&mut self.fresh) {
            if let Some(attempt) = self.by_cookie.get_mut(&cookie).filter(|a| !a.open) {
                attempt.announce(next_id, out);
            }
        }
        if !self.failed.is_empty() {
            self.tell(now, out);
        }
        while self.opened.pop_front_if(|o| now.saturating_sub(o.at) > PATIENCE).is_some() {}
    }

    /// Tells the failures that no other attempt can make good any more.
    fn tell(&mut self, now: u64, out: &mut Vec<Signal>) {
        let under_way = self.by_cookie.values().filter(|a| !a.open).filter_map(Attempt::way);
        let others: Vec<Way> = under_way.take(MAX_OTHERS).collect();
        let waits = |failed: &Failed| {
            let end = failed.exchange.end;
            let age = now.saturating_sub(end);
            age < NEXT || (age < PATIENCE && others.iter().any(|way| failed.is_made_good(way, end)))
        };
        let (wait, told): (Vec<_>, Vec<_>) = self.failed.drain(..).partition(waits);
        self.failed.extend(wait);
        out.extend(told.into_iter().map(Failed::told));
    }

    /// Forgets those that are too old.
    pub fn sweep(&mut self, now: u64, idle: u64, out: &mut Vec<Signal>) {
        self.by_cookie.retain(|_, attempt| {
            let keep = now.saturating_sub(attempt.connect.time) < idle;
            if let Some(id) = attempt.announced.filter(|_| !keep) {
                out.push(Signal::Dropped(key(id)));
            }
            keep
        });
        self.by_cookie.slim();
        self.opened.slim();
        self.failed.slim();
    }

    /// Tells what is known: the agent stops.
    pub fn finish(&mut self, out: &mut Vec<Signal>) {
        out.extend(self.failed.drain(..).map(Failed::told));
        out.extend(self.by_cookie.drain().filter_map(|(_, a)| a.announced).map(|id| Signal::Dropped(key(id))));
    }
}

impl Failed {
    fn told(self) -> Signal {
        let weight = self.exchange.weight();
        Signal::Finished(self.key, self.exchange, weight)
    }
}

impl Attempt {
    fn way(&self) -> Option<Way> {
        let Endpoints { peer_port, family, .. } = self.endpoints;
        let tgid = self.process.as_ref()?.tgid;
        Some(Way { tgid, port: peer_port, family, begun: self.connect.time })
    }

    /// Tells that it is under way, once.
    fn announce(&mut self, next_id: &mut u64, out: &mut Vec<Signal>) {
        let Some(process) = self.process.clone().filter(|_| self.announced.is_none()) else { return };
        let id = *next_id;
        *next_id += 1;
        self.announced = Some(id);
        out.push(announced(id, "tcp", process, (self.cookie, self.endpoints), self.connect));
        out.push(Signal::UnderWay(key(id), self.name()));
    }

    /// `connect` and whereto.
    fn name(&self) -> Cow<'static, str> {
        let peer = std::net::SocketAddr::new(address(&self.endpoints, self.endpoints.peer), self.endpoints.peer_port);
        format!("connect {peer}").into()
    }

    fn failure(&self, reason: &'static str, end: u64) -> Exchange {
        failed(self.name(), self.connect, end, vec![KeyValue::str(ERROR_TYPE, reason)])
    }
}

/// What tells that a connection is being opened, which is a call by itself until its first byte has passed.
pub(super) fn announced(
    id: u64,
    protocol: &'static str,
    process: Arc<Process>,
    (cookie, endpoints): (u64, Endpoints),
    connect: Connect,
) -> Signal {
    Signal::Started(Box::new(StartedSignal {
        key: key(id),
        protocol,
        started: Started::call(0, marks(connect), SpanKind::Client, None, false),
        process,
        connection: ConnectionInfo {
            cookie,
            endpoints,
            role: Role::Client,
            connect: Some(connect),
            streams: false,
            datagrams: false,
            opening: true,
            opaque: false,
            inside: None,
            first: true,
        },
    }))
}

/// What became of one that could not be opened.
pub(super) fn failed(name: Cow<'static, str>, connect: Connect, end: u64, attributes: Vec<KeyValue>) -> Exchange {
    let (request, status) = (marks(connect), Status::Error("".into()));
    Exchange { id: 0, name, request, response: None, end, status, attributes, events: Vec::new() }
}

fn marks(connect: Connect) -> Marks {
    let mark = Mark { time: connect.time, unit: connect.unit, ..Mark::default() };
    Marks { first: mark, last: mark }
}

pub(super) fn key(id: u64) -> ExchangeKey {
    ExchangeKey { connection: id, parser: 0, id: 0 }
}

/// `error.type` of an attempt that the kernel ended with an `errno`, or its program (include/uapi/asm-generic/errno.h).
pub(super) fn reason(error: u32, cancelled: bool) -> &'static str {
    match error {
        _ if cancelled => GIVEN_UP,
        1 | 13 => "permission_denied",
        101 => "network_unreachable",
        104 => "connection_reset",
        110 => "timeout",
        111 => "connection_refused",
        112 | 113 => "host_unreachable",
        _ => "_OTHER",
    }
}
