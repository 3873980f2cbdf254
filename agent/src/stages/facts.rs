//! What the kernel programs tell of units, in the terms of links.

use wirespan_common::{
    FactEvent, FactKind, SLEPT_ON_MANY, SLEPT_ON_OWN, SLEPT_ON_SET, TURN_ACCEPTED, TURN_ARRIVAL, TURN_CONNECTED,
    TURN_IMMEDIATE, TURN_TIMER, TURN_WOKEN,
};
use wirespan_links::facts::{At, Cause, Fact, Handle, Place, SleptOn, UnitKey};

/// What the kernel says; `None` if it makes no sense.
pub(super) fn fact(event: &FactEvent) -> Option<Fact> {
    let is = |what: FactKind| event.what == what as u8;
    if is(FactKind::Slept) {
        return slept(event);
    }
    let (tgid, kind, time, mark) = (event.tgid, event.unit_kind, event.time, event.a);
    let (thread, of_kind) = (UnitKey::thread(tgid, event.tid), |id: u64| UnitKey { tgid, kind, id });
    let (unit, mut other) = (of_kind(event.unit), of_kind(event.other));
    if event.other_kind != 0 {
        other.kind = event.other_kind.into();
    }
    let handle = (event.b != 0).then_some(Handle(event.a, event.b));
    if is(FactKind::Born) {
        let of = if event.other == 0 { thread } else { other };
        return Some(Fact::Born { unit, of: Some(of), site: event.b, mark, time });
    } else if is(FactKind::Ended) {
        return Some(Fact::Ended { unit, with_process: false, time });
    } else if is(FactKind::Woke) {
        return Some(Fact::Woke { unit, by: thread, at: At { time, tid: event.tid, mark, ..At::default() } });
    } else if is(FactKind::Resolved) {
        let by = if event.other == 0 { UnitKey::thread(tgid, event.a as u32) } else { other };
        return Some(Fact::Resolved { unit, by, time });
    } else if is(FactKind::Job) {
        return Some(Fact::Turn { thread, cause: Cause::Immediate, cookie: 0, newest: 0, time });
    } else if is(FactKind::HandedOver) {
        return Some(Fact::HandedOver { by: unit, to: Place::Unit(other), handle, time });
    } else if is(FactKind::HandedOverStream) {
        return Some(Fact::HandedOver { by: unit, to: Place::StreamOf(other, event.cookie), handle, time });
    } else if is(FactKind::Relayed) {
        return Some(Fact::Relayed { by: thread, to: event.cookie, of: event.a, time });
    } else if is(FactKind::Turn) {
        let cause = cause(event.b)?;
        return Some(Fact::Turn { thread, cause, cookie: event.cookie, newest: event.a, time });
    } else if is(FactKind::Named) {
        return handle.map(|handle| Fact::Named { unit, handle, lasts: event.cookie != 0, time });
    } else if is(FactKind::TakenUp) {
        return Some(Fact::TakenUp { by: unit, from: other, stream: event.cookie, time });
    }
    None
}

fn cause(said: u64) -> Option<Cause> {
    Some(match said {
        TURN_ARRIVAL => Cause::Arrival,
        TURN_TIMER => Cause::Timer,
        TURN_IMMEDIATE => Cause::Immediate,
        TURN_ACCEPTED => Cause::Accepted,
        TURN_CONNECTED => Cause::Connected,
        TURN_WOKEN => Cause::WakeUp,
        _ => return None,
    })
}

fn slept(event: &FactEvent) -> Option<Fact> {
    let on = match event.a {
        SLEPT_ON_OWN => SleptOn::Own,
        SLEPT_ON_MANY => SleptOn::Many,
        SLEPT_ON_SET => SleptOn::Set(event.b),
        _ => return None,
    };
    let thread = UnitKey::thread(event.tgid, event.tid);
    Some(Fact::Slept { thread, on, cookie: event.cookie, time: event.time })
}
