//! Rules: from what the book says of a call to the request that it was made for. One file each, one line in [`RULES`].
//!
//! A rule is a function. It reads no clock, knows no program's name, and remembers nothing: asked twice of the same book, it
//! says the same. What it is not sure of yet it claims with what must be waited for; it is asked again then.

mod after_answer;
mod answer;
mod answering_thread;
mod answering_unit;
mod async_id;
mod child_unit;
mod first_answer;
mod handle;
pub mod lone_request;
mod one_shot;
mod own_thread;
mod own_unit;
mod pool_thread;
mod relayed;
mod resolved;
mod same_greenlet;
mod same_thread;
mod spawned_goroutine;
mod turn;
mod virtual_thread;
pub mod waiting_thread;

use crate::book::{Book, CallNote, Maker};
use crate::facts::UnitKey;
use crate::live::SpanKey;

/// All rules. Those of one strength that claim a call for two requests cancel each other; of those that agree, the first
/// gives its evidence.
pub const RULES: &[Rule] = &[
    Rule { name: "handle", strength: Strength::Exact, judge: handle::judge },
    Rule { name: "relayed", strength: Strength::Exact, judge: relayed::judge },
    Rule { name: "own_unit", strength: Strength::Exact, judge: own_unit::judge },
    Rule { name: "answering_unit", strength: Strength::Exact, judge: answering_unit::judge },
    Rule { name: "own_thread", strength: Strength::Exact, judge: own_thread::judge },
    Rule {
        name: "virtual_thread",
        strength: Strength::Inferred(Evidence::VirtualThread),
        judge: virtual_thread::judge,
    },
    Rule { name: "first_answer", strength: Strength::Inferred(Evidence::FirstAnswer), judge: first_answer::judge },
    Rule { name: "child_unit", strength: Strength::Inferred(Evidence::ChildUnit), judge: child_unit::judge },
    Rule { name: "resolved", strength: Strength::Inferred(Evidence::Resolved), judge: resolved::judge },
    Rule { name: "after_answer", strength: Strength::Inferred(Evidence::AfterAnswer), judge: after_answer::judge },
    Rule {
        name: "spawned_goroutine",
        strength: Strength::Inferred(Evidence::SpawnedGoroutine),
        judge: spawned_goroutine::judge,
    },
    Rule { name: "async_id", strength: Strength::Inferred(Evidence::AsyncId), judge: async_id::judge },
    Rule { name: "turn", strength: Strength::Inferred(Evidence::Turn), judge: turn::judge },
    Rule { name: "answer", strength: Strength::Inferred(Evidence::Answer), judge: answer::judge },
    Rule { name: "lone_request", strength: Strength::Inferred(Evidence::LoneRequest), judge: lone_request::judge },
    Rule {
        name: "waiting_thread",
        strength: Strength::Inferred(Evidence::WaitingThread),
        judge: waiting_thread::judge,
    },
    Rule { name: "same_thread", strength: Strength::Inferred(Evidence::SameThread), judge: same_thread::judge },
    Rule { name: "pool_thread", strength: Strength::Inferred(Evidence::PoolThread), judge: pool_thread::judge },
    Rule {
        name: "answering_thread",
        strength: Strength::Inferred(Evidence::AnsweringThread),
        judge: answering_thread::judge,
    },
    Rule { name: "same_greenlet", strength: Strength::Inferred(Evidence::SameGreenlet), judge: same_greenlet::judge },
    Rule { name: "one_shot", strength: Strength::Inferred(Evidence::OneShot), judge: one_shot::judge },
];

/// How certain a rule's claims are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strength {
    /// The facts can have no other cause.
    Exact,
    /// They could, and had not in all that was measured. The link says what it rests on.
    Inferred(Evidence),
}

/// What a link rests on that is not exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evidence {
    /// The only request in flight in a process that never did anything outside one; and either no other came before, or the
    /// thread ran on from reading for it to the call.
    LoneRequest,
    /// The only request in flight on a thread that blocks when it waits for a response.
    WaitingThread,
    /// The unit's first answer, as far as was seen, is to this request, which had been read before the call.
    FirstAnswer,
    /// The unit was made by one that answers this request, answers nothing itself, and ended.
    ChildUnit,
    /// The unit gave its result to one that waited for it, and answers this request.
    Resolved,
    /// The unit had answered this request, and nothing else until it ended.
    AfterAnswer,
    /// The unit was made by one that served this request, and was through when that was answered, as all that its place in the
    /// program makes.
    SpawnedGoroutine,
    /// The only request in flight on the thread, which waited for it and answers it itself; other threads there may hand it
    /// work.
    SameThread,
    /// The virtual thread had read this request, and no other, and answers it itself; none there reads requests of several connections.
    VirtualThread,
    /// The thread had read this request last, and answers it next; threads there that read requests answer no others.
    PoolThread,
    /// The thread answers this request next, which another had read; threads there that answer were never seen to call when they
    /// had nothing to answer.
    AnsweringThread,
    /// The greenlet read this request, and nothing else, and answers it itself; others there may hand it work.
    SameGreenlet,
    /// Numbers of a loop's work, given earlier, lead from the call to work that was about this request.
    AsyncId,
    /// The loop's work that the call was made in was about this request, which was answered with what the call got.
    Turn,
    /// This request alone was answered with what the call got.
    Answer,
    /// The request that the thread was made for: it ended soon, and did nothing else that was seen.
    OneShot,
    /// The thread told the result of a task that a worker took, and is not known to have done anything else since it can
    /// have begun it.
    TaskResult,
}

impl Evidence {
    /// As the attribute `wirespan.link.evidence` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::LoneRequest => "lone_request",
            Self::WaitingThread => "waiting_thread",
            Self::FirstAnswer => "first_answer",
            Self::ChildUnit => "child_unit",
            Self::Resolved => "resolved",
            Self::AfterAnswer => "after_answer",
            Self::SpawnedGoroutine => "spawned_goroutine",
            Self::SameThread => "same_thread",
            Self::VirtualThread => "virtual_thread",
            Self::PoolThread => "pool_thread",
            Self::AnsweringThread => "answering_thread",
            Self::SameGreenlet => "same_greenlet",
            Self::AsyncId => "async_id",
            Self::Turn => "turn",
            Self::Answer => "answer",
            Self::OneShot => "one_shot",
            Self::TaskResult => "task_result",
        }
    }
}

/// A rule.
pub struct Rule {
    /// Its name: that of its file.
    pub name: &'static str,
    /// How certain its claims are.
    pub strength: Strength,
    /// Asks it of a call.
    pub judge: fn(&Asked<'_>) -> Verdict,
}

/// A call that a rule is asked of.
pub struct Asked<'a> {
    /// What is known of the call.
    pub call: &'a CallNote,
    /// Everything else that is known.
    pub book: &'a Book,
    /// What has come since.
    pub stage: Stage,
}

impl Asked<'_> {
    /// Whether whoever wrote the call made it.
    pub fn is_writers_own(&self) -> bool {
        matches!(self.book.maker(self.call), Maker::Unit(made) if made.by == self.call.writer && made.relays.is_none())
    }

    /// The thread that made the call, and when, if it is one of a process in which requests are answered by other threads than
    /// read them, or ever were.
    pub fn pools_thread(&self) -> Option<(UnitKey, u64)> {
        match self.book.maker(self.call) {
            Maker::Unit(made) if made.by.is_thread() && made.relays.is_none() && made.handle.is_none() => {
                self.book.units.held(made.by.tgid).handed_on.then_some((made.by, made.time))
            }
            _ => None,
        }
    }

    /// The unit that made the call, if it is one that others read for, and that may answer.
    pub fn fed_maker(&self) -> Option<UnitKey> {
        self.fed_or_lent_maker().filter(|unit| !unit.is_lent())
    }

    /// The same, or if it is lent to one.
    pub fn fed_or_lent_maker(&self) -> Option<UnitKey> {
        match self.book.maker(self.call) {
            Maker::Unit(made) if made.by.is_fed() => Some(made.by),
            _ => None,
        }
    }
}

/// How long ago a call was made, by what has come since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Just now.
    Made,
    /// All facts of its moment have come.
    Settled,
    /// Nothing has happened to its trace, or the request's, for half a second.
    Quiet,
    /// It is not waited for any longer.
    Late,
}

impl Stage {
    /// Whether this has come.
    pub fn has(self, until: Until) -> bool {
        match until {
            Until::Settled => self >= Self::Settled,
            Until::Quiet => self >= Self::Quiet,
            Until::Unit(_) | Until::Over => false,
        }
    }
}

/// What a rule says of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It has nothing to say of such calls.
    Silent,
    /// The call has no parent as far as it can see, for this reason.
    Refuses(Missing),
    /// It will know when this has come.
    Waits(Until),
    /// The call was made for this request, if nothing contradicts until then.
    Claims(SpanKey, Until),
    /// The same, if what it rests on were believed here, which it is not, for this reason: it is no parent.
    Suggests(SpanKey, Until, Missing),
}

/// What must have come before a claim stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// All facts of the call's moment have come, in whatever order.
    Settled,
    /// Nothing happened to the call's trace, or the request's, for half a second.
    Quiet,
    /// Something that decides it happened to a unit: it ended, or answered.
    Unit(UnitKey),
    /// The request that it may be for is over, and what was done for it has been seen.
    Over,
}

/// Why a call has no parent, as the attribute `wirespan.link.missing` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Missing {
    /// Its maker serves nothing, as far as is seen.
    NoRequest,
    /// Its maker has several requests in flight, or is known for that.
    SeveralRequests,
    /// Requests of its process are answered by other threads than read them.
    HandsOn,
    /// Something contradicted, or nothing spoke for it.
    Unconfirmed,
    /// It was begun before the request was read.
    Earlier,
    /// It names another trace itself.
    OtherTrace,
    /// Its thread may have been made for a request, and did not end in time.
    NoEnd,
    /// It was claimed for two requests.
    Disagreement,
    /// Records were missing.
    LostRecords,
    /// It went to where calls are handed over, and who made it was not seen.
    Unseen,
}

impl Missing {
    /// How many there are.
    pub const COUNT: usize = 10;

    /// As the attribute says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoRequest => "no_request",
            Self::SeveralRequests => "several_requests",
            Self::HandsOn => "hands_on",
            Self::Unconfirmed => "unconfirmed",
            Self::Earlier => "earlier",
            Self::OtherTrace => "other_trace",
            Self::NoEnd => "no_end",
            Self::Disagreement => "disagreement",
            Self::LostRecords => "lost_records",
            Self::Unseen => "unseen",
        }
    }
}
