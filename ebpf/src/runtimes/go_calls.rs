//! What goroutines do for each other: who serves a request, who made a call that another writes, and which request the context
//! that it carries belongs to. `wirespan_common::go_place` says which place is which. (`go_births.rs`: who made whom.)
//!
//! A request is known by its context, that one's parent, which only requests of one connection derive from, and how far it is
//! from the context of the server: addresses alone are used again. Every context of Go's own begins with its parent, so the
//! request's is found by going up. What was noted of a request that is gone may be met on the way, where another context has got
//! its address, and another one that of its parent: of all that is met, the youngest is the request's. What is older was noted
//! before the memory was used again. User space is told the address, and when it was noted: nothing else is ever called so.
//!
//! That what is met is a request's context *now*, whether or not that was answered, is known by the server's: it lives as long as
//! that serves, and what derives from it at that distance are contexts of requests, each of which is noted when its handler begins.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_attach_cookie},
    programs::ProbeContext,
};
use wirespan_common::{FactEvent, FactKind, Note, NoteKey, RuntimeState, UNIT_GOROUTINE, go_place};

use super::{word, words};
use crate::{
    arch, facts,
    maps::{NOTES, RUNTIMES},
};

/// Contexts between a call's and its request's.
const DEPTH: usize = 16;
/// Contexts between a request's and its server's.
const ABOVE: u32 = 8;
/// Where a context that has a value has its address: four words behind that of its parent.
const VALUE: u64 = 40;

/// [`NoteKey::what`]: the context of a request. The handle is the address of its parent, and that of its server's context; the
/// unit is the server.
const CONTEXT: u32 = 1;
/// A connection of `net/http`'s client that is about to be written to.
const CONNECTION: u32 = 2;
/// A goroutine that opens a stream of gRPC.
const OPENS: u32 = 3;
/// The head of a stream of gRPC that is on its way to the goroutine that writes.
const HEAD: u32 = 4;
/// A goroutine that serves requests, or was made by one that does, or by one that was: then the unit is 1. Noted only where who
/// makes goroutines is told.
pub(super) const WORKS: u32 = 5;

/// Where a probe was hit.
pub(super) struct Here<'a> {
    pub tgid: u32,
    pub tid: u32,
    /// Address of the running goroutine, and its number.
    pub g: u64,
    pub id: u64,
    pub runtime: &'a RuntimeState,
    pub cookie: u64,
}

impl Here<'_> {
    /// The first offset in the cookie.
    #[inline(always)]
    pub fn a(&self) -> u64 {
        self.cookie >> 16 & 0xffff
    }

    /// The second.
    #[inline(always)]
    pub fn b(&self) -> u64 {
        self.cookie >> 32 & 0xffff
    }

    /// What something of this process is noted by.
    #[inline(always)]
    pub fn key(&self, what: u32, address: u64) -> NoteKey {
        NoteKey { tgid: self.tgid, what, address }
    }

    /// Number of the goroutine that made this one.
    #[inline(always)]
    fn maker(&self) -> u64 {
        word(self.g + self.runtime.parent as u64)
    }

    /// Tells a fact of goroutines.
    #[inline(always)]
    pub fn say(&self, what: FactKind, unit: u64, other: u64, handle: [u64; 2], stream: u64) {
        facts::tell(FactEvent {
            what: what as u8,
            tgid: self.tgid,
            tid: self.tid,
            unit_kind: UNIT_GOROUTINE,
            unit,
            other,
            a: handle[0],
            b: handle[1],
            cookie: stream,
            ..FactEvent::default()
        });
    }
}

/// What is known of the runtime of the process in which a probe was hit.
#[inline(always)]
pub(super) fn runtime(tgid: u32) -> Option<&'static RuntimeState> {
    // SAFETY: the agent writes each value before it attaches a probe to the process.
    unsafe { RUNTIMES.get(tgid) }.filter(|runtime| runtime.kind == UNIT_GOROUTINE)
}

/// A probe was hit.
#[inline(always)]
pub fn on_probe(ctx: &ProbeContext) {
    let Some(here) = here(ctx) else { return };
    let cookie = here.cookie;
    // SAFETY: the kernel hands every probe its registers.
    let argument = |n: usize| arch::go_argument(unsafe { &*ctx.regs }, n);
    match cookie as u8 {
        go_place::SERVES => serves(&here, word(argument(3) + here.a() + 8), argument(0)),
        go_place::ROUND_TRIP => makes(&here, CONNECTION, argument(0), word(argument(1) + here.a() + 8)),
        go_place::ROUND_TRIP_INDIRECT => {
            makes(&here, CONNECTION, argument(0), word(word(argument(1)) + here.a() + 8));
        }
        go_place::WRITES => {
            if let Some(note) = taken(here.key(CONNECTION, argument(0))) {
                here.say(FactKind::HandedOver, note.unit, here.id, note.handle, 0);
            }
        }
        go_place::STREAM_WRITES => {
            let handle = handle(&here, word(argument(0) + here.a() + 8));
            here.say(FactKind::HandedOver, here.maker(), here.id, handle, 0);
        }
        go_place::STREAM_SERVES => {
            let stream = word(word(word(argument(1))) + here.b()) as u32;
            here.say(FactKind::TakenUp, here.id, here.maker(), [0; 2], stream as u64);
            serves(&here, word(argument(2) + here.a() + 8), 0);
        }
        go_place::RPC_SERVES => {
            let stream = word(argument(3) + here.b()) as u32;
            here.say(FactKind::TakenUp, here.id, here.maker(), [0; 2], stream as u64);
            serves(&here, word(argument(3) + here.a() + 8), 0);
        }
        go_place::RPC_CALLS => makes(&here, OPENS, here.id, argument(2)),
        go_place::RPC_PUTS => {
            if let Some(note) = taken(here.key(OPENS, here.id)) {
                let _ = NOTES.insert(here.key(HEAD, argument(3)), note, 0);
            }
        }
        go_place::RPC_WRITES => {
            if let Some(note) = taken(here.key(HEAD, argument(1))) {
                let stream = word(argument(1) + here.a()) as u32;
                here.say(FactKind::HandedOverStream, note.unit, here.id, note.handle, stream as u64);
            }
        }
        _ => {}
    }
}

/// `None` on the runtime's own stacks, which are no goroutine's.
#[inline(always)]
pub(super) fn here(ctx: &ProbeContext) -> Option<Here<'static>> {
    let id = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((id >> 32) as u32, id as u32);
    let runtime = runtime(tgid)?;
    // SAFETY: the kernel hands every probe its registers.
    let g = arch::go_unit(unsafe { &*ctx.regs });
    let number = word(g + runtime.id as u64);
    // SAFETY: the context of this program.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    (number != 0).then_some(Here { tgid, tid, g, id: number, runtime, cookie })
}

/// The goroutine serves a request with this context, for a server if that is known.
#[inline(always)]
fn serves(here: &Here<'_>, context: u64, server: u64) {
    if here.runtime.births != 0 {
        works(here);
    }
    let parent = if context == 0 { 0 } else { word(context + 8) };
    if parent == 0 {
        return;
    }
    let (tid, above) = if server == 0 { (0, 0) } else { above(context, server) };
    let note = Note { unit: server, handle: [parent, above], time: facts::now(), tid, told: 0 };
    let key = here.key(CONTEXT, context);
    if NOTES.insert(key, note, 0).is_err() {
        let _ = NOTES.remove(key);
    }
    here.say(FactKind::Named, here.id, 0, [context, note.time], (above != 0) as u64);
}

/// What the goroutine makes is told from now on.
#[inline(always)]
fn works(here: &Here<'_>) {
    let key = here.key(WORKS, here.id);
    // SAFETY: only looked at.
    if unsafe { NOTES.get(key) }.is_none() {
        let _ = NOTES.insert(key, Note::default(), 0);
    }
}

/// The nearest context above a request's that has its server as its value: how far up, and its address; noughts if there is none.
#[inline(always)]
fn above(context: u64, server: u64) -> (u32, u64) {
    let mut at = word(context + 8);
    for steps in 1..=ABOVE {
        if at == 0 {
            break;
        }
        // (From its parent on to its value.)
        let [parent, .., value] = words::<5>(at + 8);
        if value == server {
            return (steps, at);
        }
        at = parent;
    }
    (0, 0)
}

/// Whether what was noted of a context is so still: it is as far from the server's.
#[inline(always)]
fn is_so_still(context: u64, note: &Note) -> bool {
    let mut at = context;
    for steps in 0..ABOVE {
        if steps == note.tid {
            break;
        }
        at = word(at + 8);
    }
    note.tid == 0 || (at == note.handle[1] && word(at + VALUE) == note.unit)
}

/// The goroutine made a call with this context, that others write.
#[inline(always)]
fn makes(here: &Here<'_>, what: u32, address: u64, context: u64) {
    let note = Note { unit: here.id, handle: handle(here, context), ..Note::default() };
    let _ = NOTES.insert(here.key(what, address), note, 0);
}

/// What was noted, which is used once.
#[inline(always)]
pub(super) fn taken(key: NoteKey) -> Option<Note> {
    // SAFETY: copied at once; whoever may write it meanwhile waits for this goroutine.
    let note = unsafe { NOTES.get(key) }.copied()?;
    let _ = NOTES.remove(key);
    Some(note)
}

/// The handle of the request that a context derives from; zeroes if it derives from none that is known.
///
/// It is looked no further than the context of a server that the youngest so far is a request of: what is above that is as old as
/// the server.
#[inline(always)]
fn handle(here: &Here<'_>, context: u64) -> [u64; 2] {
    let (mut at, mut found, mut noted) = (context, 0, Note::default());
    let mut below = 0;
    for _ in 0..DEPTH {
        if at == 0 {
            break;
        }
        if found != 0 && below == noted.tid && at == noted.handle[1] && word(at + VALUE) == noted.unit {
            return [found, noted.time];
        }
        let parent = word(at + 8);
        // SAFETY: copied at once.
        if let Some(note) = unsafe { NOTES.get(here.key(CONTEXT, at)) }.copied()
            && note.handle[0] == parent
            && note.time > noted.time
        {
            (found, noted, below) = (at, note, 0);
        }
        at = parent;
        below += 1;
    }
    if found != 0 && is_so_still(found, &noted) { [found, noted.time] } else { [0; 2] }
}
