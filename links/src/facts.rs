//! Facts: what happened, in terms of no runtime. `docs/links.md` says who makes which.
//!
//! They come in any order within [`SETTLED`](crate::court::SETTLED), so each carries its time.

use wirespan_common::{UNIT_GOROUTINE, UNIT_GREENLET, UNIT_LENT, UNIT_LOOP, UNIT_TASK, UNIT_VIRTUAL};
use wirespan_protocols::exchange::Unit;

use crate::live::SpanKey;

/// Names a unit: what runs one request at a time. A thread, or what a runtime runs on threads.
///
/// Its generation is the moment of its birth, which the book keeps: ids and addresses are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UnitKey {
    /// Process.
    pub tgid: u32,
    /// What `id` means; 0 is a thread.
    pub kind: u32,
    /// Thread id, or the runtime's own.
    pub id: u64,
}

impl UnitKey {
    /// The finest unit that an event names; `None` where no process stands behind it.
    pub fn of(unit: &Unit) -> Option<Self> {
        match (unit.tgid, unit.kind) {
            (0, _) => None,
            (tgid, 0 | UNIT_LOOP) => Some(Self::thread(tgid, unit.tid)),
            (tgid, kind) => Some(Self { tgid, kind, id: unit.id }),
        }
    }

    /// A thread.
    pub fn thread(tgid: u32, tid: u32) -> Self {
        Self { tgid, kind: 0, id: u64::from(tid) }
    }

    /// Whether it is a process's first thread.
    pub fn leads(self) -> bool {
        self.kind == 0 && self.id == u64::from(self.tgid)
    }

    /// Whether it is known by what it answers: others may read for it (a loop's callbacks), it may serve one connection or one
    /// request or none, and its id is used again.
    pub fn is_fed(self) -> bool {
        matches!(self.kind, UNIT_TASK | UNIT_LENT | UNIT_GREENLET)
    }

    /// Whether it is what a thread does in a context that a unit of another thread lent it: it works for that, and takes up
    /// nothing itself.
    pub fn is_lent(self) -> bool {
        self.kind == UNIT_LENT
    }

    /// Whether it reads for itself, like a thread, among many on one thread.
    pub fn is_greenlet(self) -> bool {
        self.kind == UNIT_GREENLET
    }

    /// Whether its number is never used again in its process.
    pub fn is_numbered(self) -> bool {
        self.kind == UNIT_GOROUTINE
    }

    /// Whether it is a virtual thread: its number is never used again in its process, and 0 if it could not be told.
    pub fn is_virtual(self) -> bool {
        self.kind == UNIT_VIRTUAL
    }

    /// Whether it was told which one it is.
    pub fn is_told(self) -> bool {
        !self.is_virtual() || self.id != 0
    }

    /// The unit as rules about threads see it: a unit that others read for is its loop's thread.
    pub fn on_thread(self, tid: u32) -> Self {
        if self.is_fed() { Self::thread(self.tgid, tid) } else { self }
    }

    /// Whether it is a thread, and nothing finer.
    pub fn is_thread(self) -> bool {
        self.kind == 0
    }
}

/// What a loop that numbers its pieces of work was at; noughts where there is none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Work {
    /// The piece that runs, 0 if none does.
    pub runs: u64,
    /// The one that set it going.
    pub by: u64,
    /// The newest number.
    pub newest: u64,
}

/// When something happened, and on which run of which thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct At {
    /// `CLOCK_BOOTTIME`, nanoseconds.
    pub time: u64,
    /// The thread, whatever ran on it.
    pub tid: u32,
    /// How often that thread had gone to sleep by then: between two equal values it ran on.
    pub switches: u32,
    /// What tells one run of the unit from another, 0 if nothing does. Of a thread: what it worked in, as its runtime names it
    /// (the context of a loop's callback). Of a unit whose id is used again: its number.
    pub mark: u64,
    /// The thread was the only one of its process.
    pub only: bool,
    /// What its loop was at.
    pub work: Work,
}

impl At {
    /// Of an operation. What a unit had written, to be sent later by something else, it did then.
    pub fn of(time: u64, unit: &Unit) -> Self {
        let at = Self { time, tid: unit.tid, switches: unit.switches, only: unit.only, ..Self::default() };
        match unit.kind {
            UNIT_LOOP => Self { work: Work { runs: unit.id, by: unit.parent, newest: unit.since }, ..at },
            kind => {
                let mark = if kind == 0 { unit.id } else { unit.parent };
                Self { mark, time: if unit.since == 0 { time } else { unit.since }, ..at }
            }
        }
    }

    /// Whether the thread has not gone to sleep since `earlier`.
    pub fn ran_on_from(self, earlier: At) -> bool {
        (self.tid, self.switches) == (earlier.tid, earlier.switches) && self.time >= earlier.time
    }
}

/// Where a call is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A connection, by its socket's cookie.
    Connection(u64),
    /// A stream of a connection.
    Stream(u64, u64),
    /// Whatever a unit sends next.
    Unit(UnitKey),
    /// What a unit sends next on its stream with this number: it writes for one connection.
    StreamOf(UnitKey, u64),
}

impl Place {
    /// The socket's cookie, if that is known.
    pub fn cookie(self) -> Option<u64> {
        match self {
            Self::Connection(cookie) | Self::Stream(cookie, _) => Some(cookie),
            Self::Unit(_) | Self::StreamOf(..) => None,
        }
    }
}

/// What a runtime knows a request by: two words that are unlikely to be used again while it is in flight. The same handle on
/// two requests in flight names neither.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Handle(pub u64, pub u64);

/// What a thread went to sleep on, as far as calls are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SleptOn {
    /// Exactly the connection that it sent on last.
    Own,
    /// Several descriptors, in a wait that names them: an event loop's.
    Many,
    /// A set of descriptors that stays, by what identifies it in its process.
    Set(u64),
}

/// What set a piece of a loop's work going.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// Bytes, or a connection, came in.
    Arrival,
    /// A timer.
    Timer,
    /// Something was left to be done.
    Immediate,
    /// A connection was accepted.
    Accepted,
    /// A connection that was being opened is there, or cannot be had.
    Connected,
    /// Another thread had finished something.
    WakeUp,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq)]
pub enum Fact {
    /// A unit took in a request's first byte.
    Read {
        /// The request.
        request: SpanKey,
        /// Who.
        unit: UnitKey,
        /// The agent's number of its connection.
        connection: u64,
        /// The cookie of its connection's socket, 0 if unknown.
        cookie: u64,
        /// When.
        at: At,
        /// The read would have waited for it.
        waited: bool,
        /// The requests of its connection are answered one after the other: streams of HTTP/2 are not.
        queued: bool,
    },
    /// A request came on a stream of its connection.
    CameOn {
        /// The request.
        request: SpanKey,
        /// Who took in its first byte: a runtime's unit.
        reader: UnitKey,
        /// Who made that unit, if it is known.
        reader_of: Option<UnitKey>,
        /// The stream's number.
        stream: u64,
        /// When.
        time: u64,
    },
    /// A unit sent a call's first byte.
    Called {
        /// The call.
        call: SpanKey,
        /// Who wrote it.
        unit: UnitKey,
        /// Where to.
        place: Place,
        /// When.
        at: At,
        /// Its connection was being opened for it since then.
        opened: Option<At>,
    },
    /// A unit took in the last byte of the response to a call.
    Responded {
        /// The call.
        call: SpanKey,
        /// Who took in the first byte, and who the last.
        units: [Option<UnitKey>; 2],
        /// When it took in the first and the last.
        at: [At; 2],
        /// It waited for it.
        waited: bool,
        /// What was asked of whom: of two calls that are alike the same. 0 where no loop numbers its work.
        operation: u64,
    },
    /// A request is over.
    Over {
        /// The request.
        request: SpanKey,
        /// The unit that sent the first byte of the answer, and when its last was sent; `None`: there was no answer.
        answered: Option<(Option<UnitKey>, At)>,
        /// When its last byte had been taken in, if that is known.
        read: Option<At>,
    },
    /// A unit was made.
    Born {
        /// Which.
        unit: UnitKey,
        /// By whom, if by a unit.
        of: Option<UnitKey>,
        /// The place in the program that made it, 0 if unknown.
        site: u64,
        /// [`At::mark`] of whoever made it.
        mark: u64,
        /// When, `CLOCK_BOOTTIME` nanoseconds.
        time: u64,
    },
    /// A unit is gone.
    Ended {
        /// Which.
        unit: UnitKey,
        /// Its process is, and it with that.
        with_process: bool,
        /// When.
        time: u64,
    },
    /// A call is on its way: whoever writes what goes there next, this unit made it.
    HandedOver {
        /// Who made the call.
        by: UnitKey,
        /// Where it goes.
        to: Place,
        /// The handle that it carries.
        handle: Option<Handle>,
        /// When.
        time: u64,
    },
    /// A unit is about to send on a connection what is a call made for the request that another connection has under way.
    Relayed {
        /// Who sends.
        by: UnitKey,
        /// Where, by its socket's cookie.
        to: u64,
        /// For whose request, by its socket's cookie.
        of: u64,
        /// When.
        time: u64,
    },
    /// A unit serves, from now on, a request of a connection with streams that another took in.
    TakenUp {
        /// Who serves it.
        by: UnitKey,
        /// Who took it in, or made whoever did. It has one connection in its life.
        from: UnitKey,
        /// The stream's number.
        stream: u64,
        /// When.
        time: u64,
    },
    /// The request that a unit serves carries a handle.
    Named {
        /// Which unit.
        unit: UnitKey,
        /// Its handle.
        handle: Handle,
        /// What carries it, carries it after the request was answered as well.
        lasts: bool,
        /// When.
        time: u64,
    },
    /// A piece of a loop's work began.
    Turn {
        /// On which thread.
        thread: UnitKey,
        /// By what.
        cause: Cause,
        /// The socket that it is about, 0 if none.
        cookie: u64,
        /// The newest number of a piece of work by then.
        newest: u64,
        /// When.
        time: u64,
    },
    /// A thread went to sleep, or was found asleep.
    Slept {
        /// Which.
        thread: UnitKey,
        /// On what.
        on: SleptOn,
        /// Cookie of the socket that it sent on last; 0 if none.
        cookie: u64,
        /// When.
        time: u64,
    },
    /// A unit made another runnable.
    Woke {
        /// The sleeper.
        unit: UnitKey,
        /// Who woke it.
        by: UnitKey,
        /// When, and what that worked in.
        at: At,
    },
    /// A unit completed what another waits for.
    Resolved {
        /// Who waits.
        unit: UnitKey,
        /// Who completed it.
        by: UnitKey,
        /// When.
        time: u64,
    },
    /// Records are missing from now on, or no more.
    Lost {
        /// Of this process alone, if that is known.
        of: Option<u32>,
        /// From now on.
        losing: bool,
    },
    /// From now on it is told of a process which of its units hand calls over; or which of them make others.
    Watched {
        /// Which.
        tgid: u32,
        /// Which make others.
        births: bool,
        /// Since when.
        time: u64,
    },
    /// A process takes in bytes, without waiting for them, that nobody can read.
    Unread {
        /// Which.
        tgid: u32,
    },
}

impl Fact {
    /// When it happened, if it says so.
    pub fn time(&self) -> Option<u64> {
        match *self {
            Self::Read { at, .. }
            | Self::Called { at, .. }
            | Self::Responded { at: [_, at], .. }
            | Self::Woke { at, .. } => Some(at.time),
            Self::Over { answered, .. } => answered.map(|(_, at)| at.time),
            Self::Born { time, .. }
            | Self::Ended { time, .. }
            | Self::HandedOver { time, .. }
            | Self::Relayed { time, .. }
            | Self::CameOn { time, .. }
            | Self::TakenUp { time, .. }
            | Self::Named { time, .. }
            | Self::Turn { time, .. }
            | Self::Slept { time, .. }
            | Self::Watched { time, .. }
            | Self::Resolved { time, .. } => Some(time),
            Self::Lost { .. } | Self::Unread { .. } => None,
        }
    }
}
