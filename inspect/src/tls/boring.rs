//! BoringSSL and what descends from it, linked into a program, with symbols or without: `SSL_read` and `SSL_write`.
//!
//! Where a function fails it says so with the name of its file and a number for the reason; which reasons a function has
//! tells it from all others of the file. Which field has what of the connection's state is read from its code.

use std::collections::BTreeMap;

use iced_x86::{Code, Instruction, OpKind, Register};
use wirespan_common::tls_place::{self, Session};

use super::places::{copies, writes};
use super::returns::{depth, returns};
use super::{Places, Probe, entering, leaving, probe, scan};
use crate::flow::Function;
use crate::{Error, Image};

/// The file that both functions are in, of BoringSSL and of AWS-LC.
const FILE: &[u8] = b"ssl/ssl_lib.cc";
/// Reasons (`ssl.h`): the function must not be called here; a length makes no sense; the handshake failed; there is none.
const SHOULD_NOT: u64 = 66;
const BAD_LENGTH: u64 = 111;
const HANDSHAKE_FAILED: u64 = 215;
const UNINITIALIZED: u64 = 226;
/// Instructions around the name of the file in which the reason is.
const NEAR: usize = 7;
/// Functions that are looked at.
const MAX_FUNCTIONS: usize = 512;
/// From the handshake's function to the state, in a session; in the state, the client's random: behind two numbers of
/// records and the server's.
const STATE: u64 = 8;
const RANDOM: u16 = 8 + 8 + 32;
/// A field that lies further into a session is not what was looked for.
const MAX_OFFSET: u64 = 0xfff;
/// Instructions behind the call that writes among which is a place.
const MAX_BEHIND: usize = 6;

/// A function that fails in that file.
struct Candidate {
    address: u64,
    function: Function,
    reasons: Vec<u64>,
}

impl Candidate {
    fn fails_with(&self, reasons: &[u64]) -> bool {
        reasons.iter().all(|reason| self.reasons.contains(reason))
    }

    fn calls(&self, address: u64) -> bool {
        self.function.instructions().any(|i| i.is_call_near() && i.near_branch_target() == address)
    }

    /// Whether it changes anything but its own variables.
    fn changes_memory(&self) -> bool {
        self.function.instructions().any(|i| {
            i.op0_kind() == OpKind::Memory
                && matches!(i.code(), Code::Mov_rm64_r64 | Code::Add_rm64_r64 | Code::Movups_xmmm128_xmm)
                && i.memory_base() != Register::RSP
        })
    }
}

/// The texts that show that it is there; none if it is not.
pub fn signs(image: &Image<'_>) -> Result<Vec<u64>, Error> {
    scan::texts(image, FILE)
}

/// The places of a file that has it.
pub fn probes(image: &Image<'_>, signs: &[u64], places: Places) -> Result<Vec<Probe>, Error> {
    let candidates = candidates(image, signs)?;
    let one = |is: &dyn Fn(&Candidate) -> bool| {
        let mut fitting = candidates.iter().filter(|candidate| is(candidate));
        fitting.next().filter(|_| fitting.next().is_none())
    };
    let write = one(&|c| c.fails_with(&[BAD_LENGTH, HANDSHAKE_FAILED, UNINITIALIZED]))
        .ok_or(Error::Missing("function of BoringSSL that writes"))?;
    let reads = |c: &Candidate| c.fails_with(&[HANDSHAKE_FAILED, UNINITIALIZED]) && c.address != write.address;
    let inner = one(&reads).ok_or(Error::Missing("function of BoringSSL that reads records"))?;
    let session = session(&write.function)?;
    let looks = |c: &Candidate| c.reasons == [SHOULD_NOT] && c.calls(inner.address);
    let read = match one(&|c| looks(c) && c.changes_memory()) {
        Some(read) => read,
        None => &around(image, one(&looks).map(|peek| peek.address), session)?,
    };
    let mut found = vec![entering(image, read.address, tls_place::READS_PLAIN, places)?];
    found.extend(leaving(image, &read.function, session, places)?);
    found.push(entering(image, write.address, tls_place::WRITES_PLAIN, places)?);
    let written = written(image, &write.function, session)?;
    found.extend(
        failures(image, &write.function, session)?.into_iter().filter(|failed| failed.offset != written.offset),
    );
    found.push(written);
    Ok(found)
}

/// `SSL_read`, where it calls `SSL_peek` and takes away what that has shown: that is the first that it calls, and the only time.
fn around(image: &Image<'_>, peek: Option<u64>, session: Session) -> Result<Candidate, Error> {
    let missing = Error::Missing("function of BoringSSL that reads");
    let peek = peek.ok_or(missing)?;
    let mut found = Vec::new();
    for call in scan::calls(image, peek)? {
        let Some(address) = image.function_of(call) else { continue };
        let Ok(function) = Function::read(image, address) else { continue };
        let calls: Vec<u64> =
            function.instructions().filter(|i| i.is_call_near()).map(Instruction::near_branch_target).collect();
        let only = calls.first() == Some(&peek) && calls.iter().filter(|called| **called == peek).count() == 1;
        let candidate = Candidate { address, function, reasons: Vec::new() };
        if only && candidate.changes_memory() && loads(&candidate.function, u64::from(session.via)) {
            found.push(candidate);
        }
    }
    let first = found.pop().ok_or(missing)?;
    if found.is_empty() { Ok(first) } else { Err(missing) }
}

/// Functions with a reference to the file's name, and their reasons.
fn candidates(image: &Image<'_>, signs: &[u64]) -> Result<Vec<Candidate>, Error> {
    let mut of: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    for reference in scan::references(image, signs)? {
        let Some(address) = image.function_of(reference) else { continue };
        of.entry(address).or_default().push(reference);
    }
    if of.len() > MAX_FUNCTIONS {
        return Err(Error::TooLarge("the number of functions"));
    }
    let read = |(address, references): (u64, Vec<u64>)| {
        let function = Function::read(image, address).ok()?;
        let reasons = reasons(&function, &references);
        Some(Candidate { address, function, reasons })
    };
    Ok(of.into_iter().filter_map(read).collect())
}

/// The numbers that are given as a third argument beside a reference.
fn reasons(function: &Function, references: &[u64]) -> Vec<u64> {
    let all: Vec<&Instruction> = function.instructions().collect();
    let mut found = Vec::new();
    for (at, _) in all.iter().enumerate().filter(|(_, i)| references.contains(&i.ip())) {
        let near = &all[at.saturating_sub(NEAR)..(at + NEAR).min(all.len())];
        let reason = |i: &&&Instruction| i.code() == Code::Mov_r32_imm32 && i.op0_register() == Register::EDX;
        found.extend(near.iter().filter(reason).map(|i| i.immediate(1)));
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Where a session has its state: behind its handshake's function, without which it fails as not initialized.
fn session(write: &Function) -> Result<Session, Error> {
    let is_absent = |i: &&Instruction| {
        i.code() == Code::Cmp_rm64_imm8
            && i.op0_kind() == OpKind::Memory
            && i.immediate(1) == 0
            && i.memory_index() == Register::None
            && i.memory_base() != Register::RSP
    };
    let fields = write.instructions().filter(is_absent).map(|i| i.memory_displacement64() + STATE);
    let via = fields.filter(|offset| *offset <= MAX_OFFSET).find(|offset| loads(write, *offset));
    let via = via.and_then(|offset| u16::try_from(offset).ok()).ok_or(Error::Missing("state of a session"))?;
    Ok(Session { random: RANDOM, via, server: 0 })
}

/// Whether a function loads a field with this offset.
fn loads(function: &Function, offset: u64) -> bool {
    function.instructions().any(|i| {
        i.code() == Code::Mov_r64_rm64
            && i.op1_kind() == OpKind::Memory
            && i.memory_index() == Register::None
            && i.memory_displacement64() == offset
    })
}

/// Places at which the function that writes leaves without having written.
fn failures(image: &Image<'_>, write: &Function, session: Session) -> Result<Vec<Probe>, Error> {
    let failed = tls_place::NEGATIVE | tls_place::ZERO;
    let all = returns(write).into_iter().filter(|leave| leave.results & failed != 0);
    all.map(|leave| probe(image, leave.address, leave.cookie(session, failed))).collect()
}

/// Where the function that writes has written: behind its only call by the session's table of methods, which puts the count
/// on the stack.
fn written(image: &Image<'_>, write: &Function, session: Session) -> Result<Probe, Error> {
    let missing = Error::Missing("cheap place to see what was written");
    let mut calls = write.instructions().filter(|i| i.code() == Code::Call_rm64 && i.op0_kind() == OpKind::Memory);
    let call = calls.next().filter(|_| calls.next().is_none()).ok_or(missing)?;
    let count = count_of(write, call.ip()).ok_or(missing)?;
    let mut at = call.next_ip();
    for _ in 0..MAX_BEHIND {
        let next = write.at(at).ok_or(missing)?;
        if crate::code::is_emulated(next) {
            let depth = depth(write, next.ip()).ok_or(missing)?;
            let counted = Session { server: count, ..session };
            let cookie = tls_place::cookie(tls_place::LEAVES_COUNTED, 0, depth, counted);
            return probe(image, next.ip(), cookie);
        }
        if next.flow_control() != iced_x86::FlowControl::Next
            || writes(next, Register::RAX)
            || writes(next, Register::RSP)
        {
            return Err(missing);
        }
        at = next.next_ip();
    }
    Err(missing)
}

/// How far up the stack, in words, an instruction has something point.
fn on_stack(points: &Instruction) -> Option<u16> {
    let up = points.memory_displacement64();
    let on_stack = points.memory_base() == Register::RSP && points.memory_index() == Register::None;
    u16::try_from(up / 8).ok().filter(|words| on_stack && up.is_multiple_of(8) && *words > 0)
}

/// In front of a call: how far up the stack, in words, its third argument points.
fn count_of(write: &Function, call: u64) -> Option<u16> {
    let mut at = call;
    for _ in 0..NEAR {
        let before = write.before(at)?;
        if before.code() == Code::Lea_r64_m && before.op0_register() == Register::RDX {
            return on_stack(before);
        }
        if let Some((Register::RDX, from)) = copies(before) {
            // In front of a loop, perhaps; there is one such instruction.
            let mut made = write.instructions().filter(|i| i.code() == Code::Lea_r64_m && i.op0_register() == from);
            return made.next().filter(|_| made.next().is_none()).and_then(on_stack);
        }
        if before.flow_control() != iced_x86::FlowControl::Next || writes(before, Register::RSP) {
            return None;
        }
        at = before.ip();
    }
    None
}
