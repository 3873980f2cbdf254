//! TLS libraries: the instructions at which plaintext can be read, and what their sessions are known by on the wire.
//!
//! | file | what it is |
//! |---|---|
//! | `openssl.rs` | OpenSSL 1.1.1 and 3, wherever its functions are exported |
//! | `places.rs` | where a function is entered, and where it leaves |
//!
//! Every place is one that the kernel emulates. A function that has none where it is entered, or none where it leaves, is not
//! probed.

mod openssl;
mod places;

use crate::{Error, Image};

pub use crate::go::Probe;

/// What is to be probed of a file that has a TLS library.
///
/// # Errors
/// [`Error::Missing`] if it has none that is known; else why its plaintext cannot be read.
pub fn probes(image: &mut Image<'_>) -> Result<Vec<Probe>, Error> {
    openssl::probes(image)
}

/// Whether a file has a TLS library that is known.
///
/// # Errors
/// If its symbols make no sense.
pub fn is_library(image: &Image<'_>) -> Result<bool, Error> {
    openssl::is_there(image)
}
