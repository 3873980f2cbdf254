//! TLS libraries: the instructions at which plaintext can be read, and what their sessions are known by on the wire.
//!
//! | file | what it is |
//! |---|---|
//! | `openssl.rs` | OpenSSL 1.1.1 and 3 where its functions are exported, and 3 where it has no symbols |
//! | `boring.rs` | BoringSSL and AWS-LC, linked into a program, stripped or not |
//! | `gnutls.rs` | GnuTLS, shared |
//! | `rustls.rs` | rustls, linked into a program, stripped or not |
//! | `places.rs` | where a function is entered, and where it leaves |
//! | `returns.rs` | where it is known what a function will return |
//! | `scan.rs` | a program without symbols, searched |
//!
//! Every place is one that the kernel emulates. A function that has none where it is entered, or none where it leaves, is not
//! probed, unless any place may be.

mod boring;
mod gnutls;
mod openssl;
mod places;
mod returns;
pub mod rustls;
mod scan;

use wirespan_common::tls_place::{self, Session};

use crate::flow::Function;
use crate::{Error, Image};

pub use crate::go::Probe;
pub(crate) use places::writes;

/// Which places may be probed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Places {
    /// Those at which the kernel emulates the instruction.
    Cheap,
    /// If there is none such, others, at which it goes through it step by step.
    Any,
}

/// What is to be probed of a file that has a TLS library.
///
/// # Errors
/// [`Error::Missing`] if it has none that is known; else why its plaintext cannot be read.
pub fn probes(image: &mut Image<'_>, places: Places) -> Result<Vec<Probe>, Error> {
    if gnutls::is_there(image)? { gnutls::probes(image, places) } else { openssl::probes(image, places) }
}

/// Whether a file has a TLS library that is known.
///
/// # Errors
/// If its symbols make no sense.
pub fn is_library(image: &Image<'_>) -> Result<bool, Error> {
    Ok(openssl::is_there(image)? || gnutls::is_there(image)?)
}

/// What is to be probed of a file that has a TLS library of which it says nothing: all of the file is looked through. `None` if
/// there is none.
///
/// # Errors
/// Why the plaintext of a library that is there cannot be read.
pub fn hidden(image: &mut Image<'_>, places: Places) -> Result<Option<Vec<Probe>>, Error> {
    if image.machine != crate::image::Machine::X86_64 {
        return Ok(None);
    }
    let signs = boring::signs(image)?;
    if signs.is_empty() { openssl::hidden(image, places) } else { boring::probes(image, &signs, places).map(Some) }
}

/// A place of a function, and what is told there.
fn probe(image: &Image<'_>, address: u64, cookie: Option<u64>) -> Result<Probe, Error> {
    let offset = image.file_offset(address).ok_or(Error::Unreadable("a place"))?;
    Ok(Probe { offset, cookie: cookie.ok_or(Error::TooLarge("a place"))? })
}

/// Where a function is entered with a session, a buffer and a length.
fn entering(image: &Image<'_>, address: u64, place: u8, places: Places) -> Result<Probe, Error> {
    let enters = places::enters_at(image, address, 3, places)?;
    probe(image, enters.address, tls_place::cookie(place, 0, enters.words, Session::default()))
}

/// Where a function leaves that returns the count.
fn leaving(image: &Image<'_>, function: &Function, session: Session, places: Places) -> Result<Vec<Probe>, Error> {
    let mut leaves = returns::returns(function);
    let leaves_well = |leave: &returns::Returns| leave.results & tls_place::POSITIVE != 0;
    if places == Places::Any && !leaves.iter().any(leaves_well) {
        leaves = returns::ends(function);
    }
    if !leaves.iter().any(leaves_well) {
        return Err(Error::Missing("cheap place to see a result"));
    }
    leaves.iter().map(|leave| probe(image, leave.address, leave.cookie(session, leave.results))).collect()
}
