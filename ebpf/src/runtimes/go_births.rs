//! Who made a goroutine, where in the program, and that one is gone. Told of those that descend from one that serves requests,
//! and only in processes in which that explains calls.

use aya_ebpf::{
    EbpfContext as _,
    helpers::{bpf_get_current_pid_tgid, generated::bpf_get_attach_cookie},
    programs::ProbeContext,
};
use wirespan_common::{FactKind, Note, NoteKey, go_place};

use super::go_calls::{Here, WORKS, here, runtime, taken};
use super::word;
use crate::{arch, maps::NOTES};

/// A probe was hit.
#[inline(always)]
pub fn on_probe(ctx: &ProbeContext) {
    // SAFETY: the context of this program.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    match cookie as u8 {
        go_place::MADE => made(ctx, cookie),
        go_place::ENDS => ends(ctx),
        _ => {}
    }
}

/// A goroutine is gone.
#[inline(always)]
fn ends(ctx: &ProbeContext) {
    let Some(here) = here(ctx) else { return };
    if taken(here.key(WORKS, here.id)).is_some_and(|note| note.unit == 1) {
        here.say(FactKind::Ended, here.id, 0, [0; 2], 0);
    }
}

/// A goroutine was made. It is told of if whoever made it works for a request.
#[inline(always)]
fn made(ctx: &ProbeContext, cookie: u64) {
    let id = bpf_get_current_pid_tgid();
    let (tgid, tid) = ((id >> 32) as u32, id as u32);
    let Some(runtime) = runtime(tgid) else { return };
    // SAFETY: the kernel hands every probe its registers.
    let regs = unsafe { &*ctx.regs };
    let g = arch::register(regs, cookie >> 48);
    // (Most are made by ones that work for nobody: asked first.)
    let parent = word(g + runtime.parent as u64);
    // SAFETY: only looked at.
    if parent == 0 || unsafe { NOTES.get(NoteKey { tgid, what: WORKS, address: parent }) }.is_none() {
        return;
    }
    let (number, start) = (word(g + runtime.id as u64), word(g + runtime.start as u64));
    // (One that reads for the one that made it is that one.)
    if number == 0 || start == runtime.helpers[0] || start == runtime.helpers[1] {
        return;
    }
    let here = Here { tgid, tid, g, id: number, runtime, cookie };
    let _ = NOTES.insert(here.key(WORKS, number), Note { unit: 1, ..Note::default() }, 0);
    // What runs on the runtime's own stack does so for the one that makes it.
    let maker = word(word(arch::go_unit(regs) + runtime.thread as u64) + runtime.current as u64);
    here.say(FactKind::Born, number, parent, [0, site(word(g + here.b()), word(maker + here.a()))], 0);
}

/// What a place is called at which goroutines are made: by the `go` statement, and by who called the function that has it, for
/// libraries have one for all who use them. `frame` is that of whoever makes the goroutine, in the runtime.
#[inline(always)]
fn site(statement: u64, frame: u64) -> u64 {
    let its = word(frame);
    if word(its + 8) != statement {
        return statement;
    }
    statement ^ word(word(its) + 8).rotate_left(32)
}
