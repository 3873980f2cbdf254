//! Where nginx sends on connections: functions that it exports, so that modules can call them, stripped or not.

use crate::place::place;
use crate::{Error, Image};

/// What sends to a plain connection, and what to an encrypted one: the first argument is the connection.
pub const SENDS: [&str; 3] = ["ngx_linux_sendfile_chain", "ngx_writev_chain", "ngx_ssl_send_chain"];

/// Bytes of a function that are looked at.
const CODE: usize = 64;

/// Whether a file is nginx, or was made of it.
///
/// # Errors
/// If its symbols make no sense.
pub fn is_nginx(image: &Image<'_>) -> Result<bool, Error> {
    Ok(image.exported(&[SENDS[0]])?.contains_key(SENDS[0]))
}

/// Offsets in the file of where these functions are probed. Nothing if it is not nginx.
///
/// # Errors
/// If its symbols make no sense, or one of the functions has no place that the kernel emulates.
pub fn places(image: &Image<'_>) -> Result<Vec<u64>, Error> {
    let mut found: Vec<u64> = Vec::new();
    for (name, (address, size)) in image.exported(&SENDS)? {
        let code = image.bytes(address, CODE.min(size as usize))?;
        let place = place(&code).ok_or(Error::Missing(name))?;
        found.push(image.file_offset(address + place).ok_or(Error::Malformed("the symbols"))?);
    }
    found.sort_unstable();
    Ok(found)
}
