//! What goroutines do for each other: who serves a request, who made a call that another writes, and which request the context
//! that it carries belongs to. `wirespan_common::go_place` says which place is which.
//!
//! A request is known by its context and that one's parent, which only requests of one connection derive from: addresses alone
//! are used again. Every context of Go's own begins with its parent, so the request's is found by going up. What was noted of a
//! request that is gone may be met on the way, where another context has got its address, and another one that of its parent:
//! of all that is met, the youngest is the request's. What is older was noted before the memory was used again.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_attach_cookie},
    programs::ProbeContext,
};
use wirespan_common::{FactEvent, FactKind, Note, NoteKey, RuntimeState, UNIT_GOROUTINE, go_place};

use super::word;
use crate::{
    arch, facts,
    maps::{NOTES, RUNTIMES},
};

/// Contexts between a call's and its request's.
const DEPTH: usize = 16;

/// [`NoteKey::what`]: the context of a request.
const CONTEXT: u32 = 1;
/// A connection of `net/http`'s client that is about to be written to.
const CONNECTION: u32 = 2;
/// A goroutine that opens a stream of gRPC.
const OPENS: u32 = 3;
/// The head of a stream of gRPC that is on its way to the goroutine that writes.
const HEAD: u32 = 4;

/// Where a probe was hit.
struct Here {
    tgid: u32,
    tid: u32,
    /// Address of the running goroutine, and its number.
    g: u64,
    id: u64,
    /// Offset of its maker's number.
    parent: u64,
    cookie: u64,
}

impl Here {
    /// The offsets in the cookie.
    #[inline(always)]
    fn a(&self) -> u64 {
        self.cookie >> 16 & 0xffff
    }

    #[inline(always)]
    fn b(&self) -> u64 {
        self.cookie >> 32 & 0xffff
    }

    #[inline(always)]
    fn key(&self, what: u32, address: u64) -> NoteKey {
        NoteKey { tgid: self.tgid, what, address }
    }

    /// Number of the goroutine that made this one.
    #[inline(always)]
    fn maker(&self) -> u64 {
        word(self.g + self.parent)
    }

    #[inline(always)]
    fn say(&self, what: FactKind, unit: u64, other: u64, handle: [u64; 2], stream: u64) {
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

/// A probe was hit.
#[inline(always)]
pub fn on_probe(ctx: &ProbeContext) {
    let id = bpf_get_current_pid_tgid();
    let tgid = (id >> 32) as u32;
    // SAFETY: the agent writes each value before it attaches a probe to the process.
    let Some(runtime) = (unsafe { RUNTIMES.get(tgid) }) else { return };
    if runtime.kind != UNIT_GOROUTINE {
        return;
    }
    // SAFETY: the context of this program.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let Some(here) = here(ctx, id, runtime, cookie) else { return };
    // SAFETY: the kernel hands every probe its registers.
    let argument = |n: usize| arch::go_argument(unsafe { &*ctx.regs }, n);
    match cookie as u8 {
        go_place::SERVES => serves(&here, word(argument(3) + here.a() + 8)),
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
            serves(&here, word(argument(2) + here.a() + 8));
        }
        go_place::RPC_SERVES => {
            let stream = word(argument(3) + here.b()) as u32;
            here.say(FactKind::TakenUp, here.id, here.maker(), [0; 2], stream as u64);
            serves(&here, word(argument(3) + here.a() + 8));
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
fn here(ctx: &ProbeContext, id: u64, runtime: &RuntimeState, cookie: u64) -> Option<Here> {
    // SAFETY: the kernel hands every probe its registers.
    let g = arch::go_unit(unsafe { &*ctx.regs });
    let number = word(g + runtime.id as u64);
    let (tgid, tid) = ((id >> 32) as u32, id as u32);
    (number != 0).then_some(Here { tgid, tid, g, id: number, parent: runtime.parent as u64, cookie })
}

/// The goroutine serves a request with this context.
#[inline(always)]
fn serves(here: &Here, context: u64) {
    let parent = if context == 0 { 0 } else { word(context + 8) };
    if parent == 0 {
        return;
    }
    let note = Note { handle: [context, parent], time: facts::now(), ..Note::default() };
    let _ = NOTES.insert(here.key(CONTEXT, context), note, 0);
    here.say(FactKind::Named, here.id, 0, [context, parent], 0);
}

/// The goroutine made a call with this context, that others write.
#[inline(always)]
fn makes(here: &Here, what: u32, address: u64, context: u64) {
    let note = Note { unit: here.id, handle: handle(here, context), ..Note::default() };
    let _ = NOTES.insert(here.key(what, address), note, 0);
}

/// What was noted, which is used once.
#[inline(always)]
fn taken(key: NoteKey) -> Option<Note> {
    // SAFETY: copied at once; whoever may write it meanwhile waits for this goroutine.
    let note = unsafe { NOTES.get(key) }.copied()?;
    let _ = NOTES.remove(key);
    Some(note)
}

/// The handle of the request that a context derives from; zeroes if it derives from none that is known.
#[inline(always)]
fn handle(here: &Here, context: u64) -> [u64; 2] {
    let (mut at, mut found, mut noted) = (context, [0; 2], 0);
    for _ in 0..DEPTH {
        if at == 0 {
            break;
        }
        let parent = word(at + 8);
        // SAFETY: copied at once.
        if let Some(note) = unsafe { NOTES.get(here.key(CONTEXT, at)) }.copied()
            && note.handle == [at, parent]
            && note.time > noted
        {
            (found, noted) = (note.handle, note.time);
        }
        at = parent;
    }
    found
}
