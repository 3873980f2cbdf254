//! rustls, linked into a program, stripped or not, with whatever library does its cryptography (ring, AWS-LC): TLS 1.3.
//!
//! What encrypts one direction of a session is behind a table of functions, as everything is in Rust whose kind is known only at
//! run time. The last function of that table says how long a record will be: 17 bytes longer than what is in it, and nothing else
//! of a program is so short and does that. Whatever makes such a session's half has a table, too, in which the next function makes
//! the half that decrypts, and so names that one's table.
//!
//! Of the two functions, one puts the kind of what it encrypts behind it, in a buffer whose address stands on the stack; the
//! other looks, as soon as it has decrypted a record and found it sound, whether that is longer than any may be. What is in
//! which register and place there is read from their code; the kernel program believes it of no record whose length and
//! kind are not where they must be.

use std::collections::BTreeSet;

use iced_x86::{Code, Instruction, OpKind, Register};
use wirespan_common::rustls_place;

use super::places::{self, writes};
use super::{Places, Probe, probe, scan};
use crate::code::is_emulated;
use crate::flow::Function;
use crate::{Error, Image};

/// `lea rax,[rsi+17]; ret`.
const LONGER: [u8; 5] = [0x48, 0x8d, 0x46, 0x11, 0xc3];
/// A table of functions: how to drop a value, its size, its alignment, and the functions of what it can do.
const SIZE: u64 = 8;
const ALIGNMENT: u64 = 16;
const FIRST: u64 = 24;
const SECOND: u64 = 32;
/// Sizes that halves of sessions have: a key schedule, at least by its address, and twelve bytes.
const SIZES: std::ops::RangeInclusive<u64> = 24..=0xffff;
/// Of a record, with its kind (RFC 8446, section 5.2).
const MAX_INSIDE: u64 = 16384 + 1;
/// Instructions in front of one that are looked at, and behind one.
const MAX_BEFORE: usize = 8;
const MAX_BEHIND: usize = 96;
/// Bytes of a function.
const MAX_FUNCTION: u64 = 16 << 10;
/// Halves, and makers of them, that are looked at.
const MAX_FOUND: usize = 16;

/// The places of a file; `None` if it has no such library.
///
/// # Errors
/// Why what passes through one that is there cannot be read.
pub fn probes(image: &mut Image<'_>, may: Places) -> Result<Option<Vec<Probe>>, Error> {
    let longer = scan::code(image, &LONGER)?;
    if longer.is_empty() {
        return Ok(None);
    }
    if image.runs_anywhere {
        image.read_relocations()?;
    }
    let mut tables = BTreeSet::new();
    for function in longer.into_iter().take(MAX_FOUND) {
        let slots = scan::words(image, function)?;
        tables.extend(slots.into_iter().filter_map(|slot| slot.checked_sub(SECOND)).filter(|t| is_table(image, *t)));
    }
    let mut found = BTreeSet::new();
    for table in tables.into_iter().take(MAX_FOUND) {
        if let Some(decrypts) = counterpart(image, table)? {
            found.insert((image.word(table + FIRST)?, decrypts));
        }
    }
    if found.is_empty() {
        return Ok(None);
    }
    let mut places = Vec::new();
    for (encrypt, decrypt) in found {
        places.extend(encrypting(image, encrypt, may)?);
        places.extend(decrypting(image, decrypt, may)?);
    }
    places.sort_unstable_by_key(|place| place.offset);
    places.dedup();
    Ok(Some(places))
}

/// Whether a table of functions of something like half a session stands here.
fn is_table(image: &Image<'_>, at: u64) -> bool {
    let word = |offset: u64| at.checked_add(offset).and_then(|at| image.word(at).ok());
    let drop = word(0).is_some_and(|drop| drop == 0 || is_code(image, drop));
    let alignment = word(ALIGNMENT).is_some_and(|align| align.is_power_of_two() && (8..=64).contains(&align));
    drop && alignment
        && word(SIZE).is_some_and(|size| SIZES.contains(&size))
        && word(FIRST).is_some_and(|first| is_code(image, first))
}

fn is_code(image: &Image<'_>, address: u64) -> bool {
    scan::code_sections(image).any(|section| (section.address..section.end()).contains(&address))
}

/// The function that decrypts what the other end encrypts as this table's does.
fn counterpart(image: &Image<'_>, table: u64) -> Result<Option<u64>, Error> {
    let mut makers = BTreeSet::new();
    for reference in scan::references(image, &[table])? {
        makers.extend(image.function_of(reference));
    }
    // (What gives it something more on the way is what the table has.)
    for maker in makers.clone().into_iter().take(MAX_FOUND) {
        let jumps = scan::jumps(image, maker)?;
        makers.extend(jumps.into_iter().filter_map(|jump| image.function_of(jump)));
    }
    let mut found = BTreeSet::new();
    for maker in makers.into_iter().take(MAX_FOUND) {
        for slot in scan::words(image, maker)? {
            let Some(next) = slot.checked_add(8).and_then(|next| image.word(next).ok()) else { continue };
            if is_code(image, next)
                && let Ok(function) = Function::read(image, next)
            {
                let named =
                    function.instructions().filter(|i| i.code() == Code::Lea_r64_m && i.is_ip_rel_memory_operand());
                let tables =
                    named.map(Instruction::ip_rel_memory_address).filter(|at| *at != table && is_table(image, *at));
                found.extend(tables.filter_map(|at| image.word(at + FIRST).ok()));
            }
        }
    }
    Ok(found.pop_first().filter(|_| found.is_empty()))
}

/// Where a record is to be made, and where it is, but for its encryption.
fn encrypting(image: &Image<'_>, address: u64, may: Places) -> Result<[Probe; 2], Error> {
    const WHAT: Error = Error::Missing("place where rustls makes a record");
    let function = whole(image, address)?;
    let mut stores = function.instructions().filter_map(|store| Some((store, buffer_of(&function, store)?)));
    let (store, word) = stores.next().filter(|_| stores.next().is_none()).ok_or(WHAT)?;
    let mut at = store.next_ip();
    for _ in 0..MAX_BEHIND {
        let next = function.at(at).ok_or(WHAT)?;
        if is_emulated(next) {
            return Ok([
                entering(image, address, rustls_place::ENCRYPTS, may)?,
                placed(image, next, rustls_place::MADE, word)?,
            ]);
        }
        if next.flow_control() != iced_x86::FlowControl::Next || writes(next, Register::RSP) {
            return Err(WHAT);
        }
        at = next.next_ip();
    }
    Err(WHAT)
}

/// A function with what only a table leads to.
fn whole(image: &Image<'_>, address: u64) -> Result<Function, Error> {
    let end = image.function_end(address);
    Function::read_all(image, address, end.saturating_sub(address).min(MAX_FUNCTION))
}

/// Where on the stack, in words, the address of a buffer is behind whose bytes an instruction puts one more.
fn buffer_of(function: &Function, store: &Instruction) -> Option<u8> {
    let base = store.memory_base();
    let puts = store.code() == Code::Mov_rm8_r8
        && store.op0_kind() == OpKind::Memory
        && store.memory_index() != Register::None
        && store.memory_index_scale() == 1
        && store.memory_displacement64() == 0
        && base.is_gpr64();
    let mut at = store.ip();
    for _ in 0..MAX_BEFORE {
        let before = function.before(at).filter(|_| puts)?;
        if writes(before, base) {
            let loads = before.code() == Code::Mov_r64_rm64
                && before.op1_kind() == OpKind::Memory
                && before.memory_base() == Register::RSP
                && before.memory_index() == Register::None;
            let up = before.memory_displacement64();
            return u8::try_from(up / 8).ok().filter(|_| loads && up.is_multiple_of(8));
        }
        at = before.ip();
    }
    None
}

/// Where a record is to be opened, and where it is and is sound.
fn decrypting(image: &Image<'_>, address: u64, may: Places) -> Result<[Probe; 2], Error> {
    const WHAT: Error = Error::Missing("place where rustls has opened a record");
    let function = whole(image, address)?;
    let mut all: Vec<_> = measures(&function).map(|(at, register)| (*at, register)).collect();
    if all.is_empty() {
        // (Or it has that done.)
        for call in function.instructions().filter(|i| i.is_call_near()).take(MAX_FOUND) {
            let Ok(called) = Function::read(image, call.near_branch_target()) else { continue };
            all.extend(measures(&called).map(|(at, register)| (*at, register)));
        }
    }
    let [(at, register)] = all[..] else { return Err(WHAT) };
    let register = u8::try_from(register.number()).map_err(|_| WHAT)?;
    Ok([entering(image, address, rustls_place::DECRYPTS, may)?, placed(image, &at, rustls_place::OPENED, register)?])
}

/// Branches that depend on whether what is in a register is longer than what may be in a record.
fn measures(function: &Function) -> impl Iterator<Item = (&Instruction, Register)> {
    function.instructions().filter_map(|compares| {
        let measures = compares.code() == Code::Cmp_rm64_imm32
            && compares.op0_kind() == OpKind::Register
            && compares.immediate(1) == MAX_INSIDE;
        let next = function.at(compares.next_ip()).filter(|next| measures && next.is_jcc_short_or_near())?;
        Some((next, compares.op0_register()))
    })
}

fn entering(image: &Image<'_>, address: u64, place: u8, may: Places) -> Result<Probe, Error> {
    let enters = places::enters_at(image, address, 4, may)?;
    if enters.moved {
        return Err(Error::Missing("cheap place to see a call"));
    }
    probe(image, enters.address, Some(rustls_place::cookie(place, 0)))
}

fn placed(image: &Image<'_>, at: &Instruction, place: u8, what: u8) -> Result<Probe, Error> {
    probe(image, at.ip(), Some(rustls_place::cookie(place, what)))
}
