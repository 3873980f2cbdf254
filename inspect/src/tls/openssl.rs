//! OpenSSL: `ssl3_read` and `ssl3_write_bytes`, which all reads and writes of all versions of TLS go through.
//!
//! They are not exported, but every exported method table (`TLS_method`) has their addresses. Its layout is one of two, and is
//! believed only if the functions behind it go on to the others of the same table. What a session is known by on the wire is
//! the client's random; where it is, the exported function says that gives it to applications.

use iced_x86::{Code, Instruction, OpKind, Register};
use wirespan_common::tls_place::{self, Session};

use super::places::{Enters, copies, ends, enters_at, leaves};
use super::{Places, Probe, probe, scan};
use crate::flow::Function;
use crate::{Error, Image};

/// What is exported: the table, and two functions whose code says where a session has what.
const METHOD: &str = "TLS_method";
const RANDOM: &str = "SSL_get_client_random";
const SERVER: &str = "SSL_is_server";
/// Where none is: the file that writes records, the function that does, and the one that makes a client's hello.
const FILE: &[u8] = b"record/rec_layer_s3.c";
const WRITES: &[u8] = b"ssl3_write_bytes";
const HELLO: &[u8] = b"tls_construct_client_hello";
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
pub fn probes(image: &mut Image<'_>, places: Places) -> Result<Vec<Probe>, Error> {
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
    let found = LAYOUTS.iter().find_map(|layout| by_table(image, table, layout, session, places));
    found.ok_or(Error::Missing("function of OpenSSL that reads"))?
}

/// The places, if the table has this layout.
fn by_table(
    image: &Image<'_>,
    table: u64,
    layout: &Layout,
    session: Session,
    places: Places,
) -> Option<Result<Vec<Probe>, Error>> {
    let read = image.word(table.wrapping_add(layout.read)).ok()?;
    let function = Function::read(image, read).ok()?;
    function.instructions().any(|i| calls_through(i, layout.read_bytes)).then(|| {
        let write = image.word(table.wrapping_add(layout.write_bytes))?;
        let mut found = places_of(image, (read, &function), 4, session, places)?;
        found.extend(places_of(image, (write, &Function::read(image, write)?), 5, session, places)?);
        Ok(found)
    })
}

/// The places of a file into which it is linked, and which has no symbols. `None` if it is not there.
///
/// A function that can fail says its own name: so the one that writes is found, and by its address the tables of methods that
/// have it; and the one that makes a client's hello, which says where the random is that goes into it.
pub fn hidden(image: &mut Image<'_>, places: Places) -> Result<Option<Vec<Probe>>, Error> {
    let files = scan::texts(image, FILE)?;
    let writes = named(image, WRITES)?;
    if files.is_empty() || writes.is_empty() {
        return Ok(None);
    }
    if image.runs_anywhere {
        image.read_relocations()?;
    }
    let hello = named(image, HELLO)?.into_iter().find_map(|hello| filled(&Function::read(image, hello).ok()?));
    let random = hello.ok_or(Error::Missing("place of the client's random"))?;
    let session = Session { random, via: 0, server: 0 };
    for write in writes {
        for place in scan::words(image, write)? {
            let tried =
                |layout: &Layout| by_table(image, place.wrapping_sub(layout.write_bytes), layout, session, places);
            if let Some(found) = LAYOUTS.iter().find_map(tried) {
                return found.map(Some);
            }
        }
    }
    Err(Error::Missing("table of OpenSSL's methods"))
}

/// Functions that say that they are called so.
fn named(image: &Image<'_>, name: &[u8]) -> Result<Vec<u64>, Error> {
    let references = scan::references(image, &scan::whole_texts(image, name)?)?;
    let mut found: Vec<u64> = references.into_iter().filter_map(|at| image.function_of(at)).collect();
    found.dedup();
    Ok(found)
}

/// Which field of its first argument the function that makes a hello fills: what is given to another as 32 bytes. (The session's
/// name has as many, and lies further on.)
fn filled(hello: &Function) -> Option<u16> {
    let of_32 = |i: &&Instruction| {
        i.code() == Code::Mov_r32_imm32
            && i.immediate(1) == 32
            && matches!(i.op0_register(), Register::EDX | Register::ECX)
    };
    let given = |i: &Instruction| {
        let next = hello.at(i.next_ip())?;
        copies(next).filter(|(to, _)| matches!(to, Register::RSI | Register::RDX)).map(|(_, from)| from)
    };
    let registers: Vec<Register> = hello.instructions().filter(of_32).filter_map(given).collect();
    let fields = hello.instructions().filter(|i| {
        i.code() == Code::Lea_r64_m
            && registers.contains(&i.op0_register())
            && i.memory_index() == Register::None
            && !matches!(i.memory_base(), Register::RSP | Register::RIP | Register::None)
    });
    fields.filter_map(|i| u16::try_from(i.memory_displacement64()).ok()).filter(|offset| *offset >= 8).min()
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
    (address, function): (u64, &Function),
    arguments: usize,
    session: Session,
    places: Places,
) -> Result<Vec<Probe>, Error> {
    let enters = enters_at(image, address, arguments, places)?;
    let mut leaves = leaves(function);
    if places == Places::Any && leaves.is_empty() {
        leaves = ends(function);
    }
    if leaves.is_empty() {
        return Err(Error::Missing("cheap place to see a result"));
    }
    let place = match enters {
        _ if arguments == 5 => tls_place::WRITES,
        Enters { moved: true, .. } => tls_place::READS_FIFTH,
        Enters { moved: false, .. } => tls_place::READS,
    };
    let first = probe(image, enters.address, tls_place::cookie(place, 0, enters.words, Session::default()));
    let others = leaves.iter().map(|leave| {
        let place = if leave.framed { tls_place::LEAVES_FRAMED } else { tls_place::LEAVES };
        let cookie = tls_place::cookie(place, leave.register, leave.words, session);
        probe(image, leave.address, cookie.map(|cookie| tls_place::leaves_with(cookie, leave.results)))
    });
    std::iter::once(first).chain(others).collect()
}
