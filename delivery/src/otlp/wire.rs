//! The few forms of protobuf's wire format that spans need, appended to a buffer.
//!
//! Source: <https://protobuf.dev/programming-guides/encoding/>.

const VARINT: u32 = 0;
const FIXED64: u32 = 1;
const LENGTH: u32 = 2;
const FIXED32: u32 = 5;

/// A number of any size.
fn varint(buffer: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        buffer.push(value as u8 | 0x80);
        value >>= 7;
    }
    buffer.push(value as u8);
}

fn key(buffer: &mut Vec<u8>, field: u32, form: u32) {
    varint(buffer, u64::from(field << 3 | form));
}

/// A field of an integer, boolean or enumerated type.
pub fn integer(buffer: &mut Vec<u8>, field: u32, value: u64) {
    key(buffer, field, VARINT);
    varint(buffer, value);
}

/// A `fixed64` or `double` field.
pub fn fixed64(buffer: &mut Vec<u8>, field: u32, value: u64) {
    key(buffer, field, FIXED64);
    buffer.extend_from_slice(&value.to_le_bytes());
}

/// A `fixed32` field.
pub fn fixed32(buffer: &mut Vec<u8>, field: u32, value: u32) {
    key(buffer, field, FIXED32);
    buffer.extend_from_slice(&value.to_le_bytes());
}

/// A `bytes` or `string` field.
pub fn bytes(buffer: &mut Vec<u8>, field: u32, value: &[u8]) {
    key(buffer, field, LENGTH);
    varint(buffer, value.len() as u64);
    buffer.extend_from_slice(value);
}

/// A `string` field, left out if empty, as proto3 does.
pub fn text(buffer: &mut Vec<u8>, field: u32, value: &str) {
    if !value.is_empty() {
        bytes(buffer, field, value.as_bytes());
    }
}

/// A message field, whose contents `write` appends.
///
/// The length stands before the contents but is known after them. One byte is kept for it, enough for most; longer
/// contents are moved up by what is missing, which costs less than measuring everything first.
pub fn message(buffer: &mut Vec<u8>, field: u32, write: impl FnOnce(&mut Vec<u8>)) {
    key(buffer, field, LENGTH);
    let start = buffer.len() + 1;
    buffer.push(0);
    write(buffer);
    let length = buffer.len() - start;
    if length < 0x80 {
        buffer[start - 1] = length as u8;
        return;
    }
    let digits = length.ilog2() as usize / 7 + 1;
    buffer.resize(buffer.len() + digits - 1, 0);
    buffer.copy_within(start..start + length, start + digits - 1);
    for (digit, byte) in buffer[start - 1..start - 1 + digits].iter_mut().enumerate() {
        let more = if digit + 1 < digits { 0x80 } else { 0 };
        *byte = (length >> (7 * digit)) as u8 & 0x7f | more;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_s_length_is_a_minimal_varint_at_every_size() {
        for length in [0, 1, 127, 128, 129, 16383, 16384, 2_097_151, 2_097_152] {
            let contents: Vec<u8> = (0..length).map(|i: usize| i as u8).collect();
            let (mut nested, mut plain) = (vec![9], vec![9]);
            message(&mut nested, 5, |b| b.extend_from_slice(&contents));
            bytes(&mut plain, 5, &contents);
            assert!(nested == plain, "length {length}");
        }
    }

    #[test]
    fn numbers_are_varints() {
        let mut buffer = Vec::new();
        integer(&mut buffer, 1, 150);
        integer(&mut buffer, 2, u64::MAX);
        assert_eq!(buffer, [8, 0x96, 1, 16, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1]);
    }
}
