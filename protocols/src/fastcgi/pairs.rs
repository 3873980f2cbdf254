//! Names and values (FastCGI 1.0 §3.4).

/// Reads a length: one byte, or four of which the first has its highest bit set.
fn length<'a>(bytes: &mut &'a [u8]) -> Option<usize> {
    let first = *bytes.first()?;
    let (len, rest): (usize, &'a [u8]) = if first < 0x80 {
        (usize::from(first), &bytes[1..])
    } else {
        let (four, rest) = bytes.split_first_chunk::<4>()?;
        ((u32::from_be_bytes(*four) & 0x7fff_ffff) as usize, rest)
    };
    *bytes = rest;
    Some(len)
}

/// The pairs that `bytes` begin with, as far as they are whole.
pub(super) fn each<'a>(mut bytes: &'a [u8], mut tell: impl FnMut(&'a [u8], &'a [u8])) {
    loop {
        let mut rest = bytes;
        let (Some(name), Some(value)) = (length(&mut rest), length(&mut rest)) else { return };
        let Some((name, rest)) = rest.split_at_checked(name) else { return };
        let Some((value, rest)) = rest.split_at_checked(value) else { return };
        tell(name, value);
        bytes = rest;
    }
}
