//! OpenSSL: `ssl3_read` and `ssl3_write_bytes`, which all reads and writes of all versions of TLS go through.
//!
//! They are not exported, but every exported method table (`TLS_method`) has their addresses. Its layout is one of two, and is
//! believed only if the functions behind it go on to the others of the same table. What a session is known by on the wire is
//! the client's random; where it is, the exported function says that gives it to applications.

use iced_x86::{Code, Instruction, OpKind, Register};
use wirespan_common::tls_place::{self, Session};

use super::Probe;
use super::places::{self, Enters};
use crate::flow::Function;
use crate::{Error, Image};

/// What is exported: the table, and two functions whose code says where a session has what.
const METHOD: &str = "TLS_method";
const RANDOM: &str = "SSL_get_client_random";
const SERVER: &str = "SSL_is_server";
/// Bytes of a function's beginning that are looked at.
const BEGINNING: usize = 64;
/// A field that lies further into a session is not what was looked for.
const MAX_OFFSET: u64 = 0xffff;

/// Offsets in `struct ssl_method_st`.
struct Layout {
    read: u64,
    read_bytes: u64,
    write_bytes: u64,
}

/// From 1.1.1 to 3.1, and since 3.2.
const LAYOUTS: [Layout; 2] = [
    Layout { read: 0x38, read_bytes: 0x68, write_bytes: 0x70 },
    Layout { read: 0x50, read_bytes: 0x80, write_bytes: 0x88 },
];

pub fn is_there(image: &Image<'_>) -> Result<bool, Error> {
    let exported = image.exported(&[METHOD, RANDOM])?;
    Ok(exported.contains_key(METHOD) && exported.contains_key(RANDOM))
}

/// The places of a file that has it.
pub fn probes(image: &mut Image<'_>) -> Result<Vec<Probe>, Error> {
    let exported = image.exported(&[METHOD, RANDOM, SERVER])?;
    let address = |name| exported.get(name).map(|(address, _)| *address);
    let (Some(method), Some(random)) = (address(METHOD), address(RANDOM)) else {
        return Err(Error::Missing("TLS library that is known"));
    };
    if image.runs_anywhere {
        image.read_relocations()?;
    }
    let session = session(image, random, address(SERVER))?;
    let table = table(&Function::read(image, method)?)?;
    for layout in &LAYOUTS {
        let Ok(read) = image.word(table.wrapping_add(layout.read)) else { continue };
        let Ok(function) = Function::read(image, read) else { continue };
        if function.instructions().any(|i| calls_through(i, layout.read_bytes)) {
            let write = image.word(table.wrapping_add(layout.write_bytes))?;
            let mut found = places_of(image, read, &function, 4, session)?;
            found.extend(places_of(image, write, &Function::read(image, write)?, 5, session)?);
            return Ok(found);
        }
    }
    Err(Error::Missing("function of OpenSSL that reads"))
}

/// The address that a function returns which does nothing else.
fn table(function: &Function) -> Result<u64, Error> {
    let answer = function.instructions().find_map(|i| match i.code() {
        Code::Lea_r64_m if i.op0_register() == Register::RAX && i.is_ip_rel_memory_operand() => {
            Some(i.ip_rel_memory_address())
        }
        Code::Mov_r32_imm32 if i.op0_register() == Register::EAX => Some(i.immediate(1)),
        _ => None,
    });
    answer.ok_or(Error::Missing("table of OpenSSL's methods"))
}

/// A call of the function whose address is at this offset of a table.
fn calls_through(instruction: &Instruction, offset: u64) -> bool {
    instruction.code() == Code::Call_rm64
        && instruction.op0_kind() == OpKind::Memory
        && instruction.memory_index() == Register::None
        && instruction.memory_displacement64() == offset
}

/// Where a session has what it is known by.
fn session(image: &Image<'_>, random: u64, server: Option<u64>) -> Result<Session, Error> {
    let function = Function::read(image, random)?;
    let (random, via) = random_of(&function).ok_or(Error::Missing("place of the client's random"))?;
    let server = server.and_then(|server| Function::read(image, server).ok()).and_then(|f| server_of(&f));
    Ok(Session { random, via, server: server.unwrap_or_default() })
}

/// A field, in bytes from the session, or from what a word of it leads to.
fn random_of(function: &Function) -> Option<(u16, u16)> {
    let mut via: Option<(Register, u64)> = None;
    for instruction in function.instructions() {
        let (base, offset) = (instruction.memory_base(), instruction.memory_displacement64());
        let plain = instruction.memory_index() == Register::None && (8..=MAX_OFFSET).contains(&offset);
        match instruction.code() {
            Code::Lea_r64_m if plain && base == Register::RDI => return Some((u16::try_from(offset).ok()?, 0)),
            Code::Lea_r64_m if plain && via.is_some_and(|(register, _)| register == base) => {
                return Some((u16::try_from(offset).ok()?, u16::try_from(via?.1).ok()?));
            }
            // OpenSSL 1.1.1 keeps it elsewhere.
            Code::Mov_r64_rm64 if plain && base == Register::RDI => via = Some((instruction.op0_register(), offset)),
            _ => {}
        }
    }
    None
}

/// `SSL_is_server`: the number that it returns.
fn server_of(function: &Function) -> Option<u16> {
    let load = function.instructions().find(|i| {
        i.code() == Code::Mov_r32_rm32
            && i.op0_register() == Register::EAX
            && i.op1_kind() == OpKind::Memory
            && i.memory_base() == Register::RDI
            && i.memory_displacement64() != 0
    });
    load.and_then(|i| u16::try_from(i.memory_displacement64()).ok()).filter(|offset| *offset <= 0xfff)
}

/// Where a function is entered and where it leaves.
fn places_of(
    image: &Image<'_>,
    address: u64,
    function: &Function,
    arguments: usize,
    session: Session,
) -> Result<Vec<Probe>, Error> {
    let code = image.bytes(address, BEGINNING)?;
    let enters = places::enters(&code, address, arguments).ok_or(Error::Missing("cheap place to see a call"))?;
    let leaves = places::leaves(function);
    if leaves.is_empty() {
        return Err(Error::Missing("cheap place to see a result"));
    }
    let probe = |address: u64, cookie: Option<u64>| {
        let offset = image.file_offset(address).ok_or(Error::Unreadable("a place"))?;
        Ok(Probe { offset, cookie: cookie.ok_or(Error::TooLarge("a place"))? })
    };
    let place = match enters {
        _ if arguments == 5 => tls_place::WRITES,
        Enters { moved: true, .. } => tls_place::READS_FIFTH,
        Enters { moved: false, .. } => tls_place::READS,
    };
    let first = probe(enters.address, tls_place::cookie(place, 0, enters.words, Session::default()));
    let others = leaves.iter().map(|leave| {
        let place = if leave.framed { tls_place::LEAVES_FRAMED } else { tls_place::LEAVES };
        probe(leave.address, tls_place::cookie(place, leave.register, leave.words, session))
    });
    std::iter::once(first).chain(others).collect()
}
