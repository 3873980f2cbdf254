//! Where plaintext passes in Go's `crypto/tls`: where `(*Conn).Read` copies it to who reads, and where a record is made of what is
//! written. And how a session's descriptor is found: the offsets that the kernel program believes are looked at here, and a
//! program in which one is another is left alone.

use iced_x86::{Code, Instruction, OpKind, Register};
use wirespan_common::go_tls_place as place;

use super::types::{Offsets, Wanted};
use super::{Module, Probe};
use crate::flow::Function;
use crate::image::{Image, Machine};
use crate::{Error, code};

const READ: &str = "crypto/tls.(*Conn).Read";
const WRITE: &str = "crypto/tls.(*Conn).writeRecordLocked";
const COPY: &str = "runtime.memmove";
/// Bytes of a function's beginning that are looked at.
const BEGINNING: u64 = 256;
/// From the frame pointer up to a function's first argument: the frame pointer before, and where the function returns to.
const FIRST_ARGUMENT: u64 = 16;
/// Of structures with private fields; that of an address has none.
const PACKAGES: [&str; 6] = ["crypto/tls", "net", "net", "net", "internal/poll", ""];
/// `Conn`, of what is encrypted, and what is below it.
const TLS: usize = 0;
const TCP: usize = 1;
const PLAIN: usize = 2;
const DESCRIPTOR: usize = 3;
const FD: usize = 4;
const ADDRESS: usize = 5;
const STRUCTURES: [Wanted<'static>; 6] = [
    ("tls.Conn", &["conn"]),
    ("net.TCPConn", &["conn"]),
    ("net.conn", &["fd"]),
    ("net.netFD", &["pfd", "laddr", "raddr"]),
    ("poll.FD", &["Sysfd"]),
    ("net.TCPAddr", &["Port"]),
];

/// What is to be probed of a program; `None` if it has no TLS of Go's.
///
/// # Errors
/// Why its plaintext cannot be read.
pub fn tls(image: &Image<'_>, module: &Module) -> Result<Option<Vec<Probe>>, Error> {
    let functions = module.functions(image, |name| [READ, WRITE, COPY].contains(&name))?;
    let find = |name: &str| functions.iter().find(|function| function.name == name);
    let Some(read) = find(READ) else { return Ok(None) };
    if image.machine != Machine::X86_64 {
        return Err(Error::Missing("known place of plaintext on this processor"));
    }
    let write = find(WRITE).ok_or(Error::Missing("function of Go's TLS that writes"))?;
    let copy = find(COPY).ok_or(Error::Missing("function of Go that copies"))?;
    let reads = copies(&Function::read(image, read.address)?, copy.address)?;
    let len = write.end.saturating_sub(write.address).min(BEGINNING) as usize;
    let writes = code::emulated(&image.bytes(write.address, len)?)
        .and_then(|offset| write.address.checked_add(offset))
        .ok_or(Error::Missing("cheap place to see a write"))?;
    let (address, plain, tls) = layout(image, module)?;
    let probe = |address_of: u64, which: u8| {
        let offset = image.file_offset(address_of).ok_or(Error::Unreadable("a place"))?;
        Ok(Probe { offset, cookie: place::cookie(which, address, plain, tls) })
    };
    Ok(Some(vec![probe(reads, place::READS)?, probe(writes, place::WRITES)?]))
}

/// The only place at which the function copies something, if its first argument has its place on the stack by then.
fn copies(function: &Function, copy: u64) -> Result<u64, Error> {
    const WHAT: Error = Error::Missing("place where Go's TLS hands over what it has read");
    let is_call = |i: &&Instruction| i.is_call_near() && i.near_branch_target() == copy;
    let mut calls = function.instructions().filter(is_call).map(Instruction::ip);
    let (Some(call), None) = (calls.next(), calls.next()) else { return Err(WHAT) };
    if keeps_first_argument(function) { Ok(call) } else { Err(WHAT) }
}

/// Whether a function puts its first argument where the caller left room for it, before it calls another.
fn keeps_first_argument(function: &Function) -> bool {
    let mut frame = None;
    for instruction in function.instructions().take_while(|i| !i.is_call_near()) {
        match instruction.code() {
            Code::Sub_rm64_imm8 | Code::Sub_rm64_imm32 if instruction.op0_register() == Register::RSP => {
                // (Behind `push rbp; mov rbp,rsp`.)
                frame = frame.or(Some(instruction.immediate(1)));
            }
            Code::Mov_rm64_r64
                if instruction.op0_kind() == OpKind::Memory
                    && instruction.op1_register() == Register::RAX
                    && instruction.memory_base() == Register::RSP
                    && instruction.memory_index() == Register::None =>
            {
                return frame.and_then(|size: u64| size.checked_add(FIRST_ARGUMENT))
                    == Some(instruction.memory_displacement64());
            }
            _ => {}
        }
    }
    false
}

/// Where a descriptor has its addresses, in words; the hashes of a TCP connection's type and of one of TLS.
fn layout(image: &Image<'_>, module: &Module) -> Result<(u8, u32, u32), Error> {
    const WHAT: Error = Error::Missing("layout of Go's connections that is known");
    let mut found: [Vec<(u64, Offsets)>; 6] = Default::default();
    module.each(image, &STRUCTURES, |slot, at, offsets| {
        if module.package(image, at).unwrap_or_default() == PACKAGES[slot] {
            found[slot].push((at, offsets));
        }
    })?;
    let offset = |structure: usize, field: usize| match &found[structure][..] {
        [(_, offsets)] => offsets.get(field).copied().flatten(),
        _ => None,
    };
    let first = [(TLS, 0), (TCP, 0), (PLAIN, 0), (DESCRIPTOR, 0)];
    let known = first.iter().all(|(structure, field)| offset(*structure, *field) == Some(0))
        && offset(FD, 0) == Some(16)
        && offset(ADDRESS, 0) == Some(24);
    let (Some(local), Some(peer)) = (offset(DESCRIPTOR, 1), offset(DESCRIPTOR, 2)) else { return Err(WHAT) };
    if !known || local % 8 != 0 || peer != local + 16 {
        return Err(WHAT);
    }
    let hash = |structure: usize| {
        let (at, _) = found[structure].first()?;
        module.hash_of_pointer(image, *at)
    };
    match (u8::try_from(local / 8), hash(TCP), hash(TLS)) {
        (Ok(address), Some(plain), Some(tls)) if plain & place::HASH != tls & place::HASH => Ok((address, plain, tls)),
        _ => Err(WHAT),
    }
}
