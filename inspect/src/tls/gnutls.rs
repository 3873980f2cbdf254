//! GnuTLS 3: `gnutls_record_recv` and `gnutls_record_send2`, which the others of its API go through.
//!
//! Both are exported, and return the count. Where a session has the client's random, the exported function says that gives
//! it to applications.

use iced_x86::{Code, OpKind, Register};
use wirespan_common::tls_place::{self, Session};

use super::{Places, Probe};
use crate::flow::Function;
use crate::{Error, Image};

const READS: &str = "gnutls_record_recv";
const WRITES: &str = "gnutls_record_send2";
const RANDOM: &str = "gnutls_session_get_random";

pub fn is_there(image: &Image<'_>) -> Result<bool, Error> {
    let exported = image.exported(&[READS, WRITES, RANDOM])?;
    Ok(exported.len() == 3)
}

/// The places of a file that has it.
pub fn probes(image: &Image<'_>, places: Places) -> Result<Vec<Probe>, Error> {
    let exported = image.exported(&[READS, WRITES, RANDOM])?;
    let of = |name| exported.get(name).copied().ok_or(Error::Missing("TLS library that is known"));
    let session = session(&Function::read(image, of(RANDOM)?.0)?)?;
    let mut found = Vec::new();
    for (name, place) in [(READS, tls_place::READS_PLAIN), (WRITES, tls_place::WRITES_PLAIN)] {
        let (address, size) = of(name)?;
        found.push(super::entering(image, address, place, places)?);
        found.extend(super::leaving(image, &Function::read_all(image, address, size)?, session, places)?);
    }
    Ok(found)
}

/// What is put where the second argument points: the address of the client's random.
fn session(function: &Function) -> Result<Session, Error> {
    let stored = function
        .instructions()
        .find(|i| i.code() == Code::Mov_rm64_r64 && i.memory_base() == Register::RSI && i.memory_displacement64() == 0);
    let register = stored.map(|i| i.op1_register());
    let address = function.instructions().find(|i| {
        i.code() == Code::Lea_r64_m
            && i.op1_kind() == OpKind::Memory
            && Some(i.op0_register()) == register
            && i.memory_base() == Register::RDI
            && i.memory_index() == Register::None
    });
    let random = address.and_then(|i| u16::try_from(i.memory_displacement64()).ok()).filter(|offset| *offset != 0);
    random.map(|random| Session { random, via: 0, server: 0 }).ok_or(Error::Missing("place of the client's random"))
}
