//! Reads the kernel's own type description, `/sys/kernel/btf/vmlinux`, as far as finding a field's offset needs it.
//!
//! Rust programs for BPF get no CO-RE relocations, so the offsets are looked up here and handed over as constants
//! (docs/decisions/004-kernel-types.md). Format: Documentation/bpf/btf.rst of the kernel.

use std::collections::HashMap;

/// What is wrong with a BTF image.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    /// The header or a record runs past the end, or has an unknown kind.
    #[error("the kernel's BTF is malformed at byte {0}")]
    Malformed(usize),
}

const MAGIC: u16 = 0xeb9f;
const HEADER: usize = 24;
const KIND_STRUCT: u32 = 4;
const KIND_UNION: u32 = 5;
const KIND_TYPEDEF: u32 = 8;
const MEMBER: usize = 12;
/// How deep anonymous members are followed.
const DEPTH: usize = 8;

/// An indexed BTF image: structures and unions by name and id, and which typedefs exist.
pub struct Btf<'a> {
    strings: &'a [u8],
    /// Struct or union by type id: its members' bytes, and whether offsets carry a bit-field size.
    by_id: HashMap<u32, (&'a [u8], bool)>,
    by_name: HashMap<&'a str, u32>,
    typedefs: Vec<&'a str>,
}

impl<'a> Btf<'a> {
    /// Indexes a little-endian image.
    ///
    /// `wanted` limits the index to the structures that will be asked for and to anonymous ones, which keeps it small.
    pub fn parse(data: &'a [u8], wanted: impl Fn(&str) -> bool) -> Result<Self, BtfError> {
        let word = |at: usize| read_u32(data, at).ok_or(BtfError::Malformed(at));
        if word(0)? & 0xffff != u32::from(MAGIC) {
            return Err(BtfError::Malformed(0));
        }
        let base = word(4)? as usize;
        let types = base + word(8)? as usize..base + word(8)? as usize + word(12)? as usize;
        let strings_at = base + word(16)? as usize;
        let strings = data.get(strings_at..).ok_or(BtfError::Malformed(strings_at))?;
        let mut btf = Self { strings, by_id: HashMap::new(), by_name: HashMap::new(), typedefs: Vec::new() };
        let (mut at, mut id) = (types.start.max(HEADER), 1u32);
        while at < types.end {
            let (name, info) = (word(at)?, word(at + 4)?);
            let (count, kind, flag) = ((info & 0xffff) as usize, (info >> 24) & 0x1f, info >> 31 == 1);
            let size = record_size(kind, count).ok_or(BtfError::Malformed(at))?;
            let body = data.get(at + 12..at + size).ok_or(BtfError::Malformed(at))?;
            let name = btf.string(name);
            match kind {
                KIND_STRUCT | KIND_UNION if name.is_empty() || wanted(name) => {
                    btf.by_id.insert(id, (body, flag));
                    if !name.is_empty() {
                        btf.by_name.entry(name).or_insert(id);
                    }
                }
                KIND_TYPEDEF if name.starts_with("btf_trace_") => btf.typedefs.push(name),
                _ => {}
            }
            at += size;
            id += 1;
        }
        Ok(btf)
    }

    /// Byte offset of `field` (a path with dots) in `structure`; anonymous members are looked into.
    pub fn offset(&self, structure: &str, field: &str) -> Option<u32> {
        let mut id = *self.by_name.get(structure)?;
        let mut bits = 0;
        for part in field.split('.') {
            let (offset, member) = self.member(id, part, DEPTH)?;
            bits += offset;
            id = member;
        }
        Some(bits / 8)
    }

    /// Whether programs can attach to a tracepoint with typed arguments.
    pub fn has_tracepoint(&self, name: &str) -> bool {
        self.typedefs.iter().any(|t| t.strip_prefix("btf_trace_") == Some(name))
    }

    /// Bit offset and type of a member.
    fn member(&self, id: u32, field: &str, depth: usize) -> Option<(u32, u32)> {
        let (body, bit_fields) = self.by_id.get(&id)?;
        for member in body.chunks_exact(MEMBER) {
            let (name, kind, offset) = (read_u32(member, 0)?, read_u32(member, 4)?, read_u32(member, 8)?);
            let offset = if *bit_fields { offset & 0x00ff_ffff } else { offset };
            let name = self.string(name);
            if name == field {
                return Some((offset, kind));
            }
            if name.is_empty()
                && depth > 0
                && let Some((inner, kind)) = self.member(kind, field, depth - 1)
            {
                return Some((offset + inner, kind));
            }
        }
        None
    }

    fn string(&self, at: u32) -> &'a str {
        let bytes = self.strings.get(at as usize..).unwrap_or_default();
        let end = bytes.iter().position(|b| *b == 0).unwrap_or(0);
        std::str::from_utf8(&bytes[..end]).unwrap_or_default()
    }
}

/// Bytes of a type record with its trailer, by kind.
fn record_size(kind: u32, count: usize) -> Option<usize> {
    Some(
        12 + match kind {
            1 | 14 | 17 => 4,                                 // int, var, decl_tag
            2 | 7 | 8 | 9 | 10 | 11 | 12 | 16 | 18 => 0,      // ptr, fwd, typedef, qualifiers, func, float, type_tag
            3 => 12,                                          // array
            KIND_STRUCT | KIND_UNION | 15 | 19 => count * 12, // members, datasec, enum64
            6 | 13 => count * 8,                              // enum, func_proto
            _ => return None,
        },
    )
}

fn read_u32(data: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(at..at + 4)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kernel() -> Vec<u8> {
        std::fs::read("/sys/kernel/btf/vmlinux").expect("the machine's kernel carries BTF")
    }

    #[test]
    fn a_field_in_an_anonymous_union_of_an_embedded_structure_is_found() {
        let image = kernel();
        let btf = Btf::parse(&image, |n| n == "sock_common").unwrap();
        // include/net/sock.h: skc_addrpair is the first member, so daddr stands at 0 and rcv_saddr behind it.
        assert_eq!(btf.offset("sock_common", "skc_daddr"), Some(0));
        assert_eq!(btf.offset("sock_common", "skc_rcv_saddr"), Some(4));
        assert_eq!(btf.offset("sock_common", "no_such_field"), None);
    }

    #[test]
    fn every_truncation_of_an_image_is_an_error_or_an_index_and_never_a_panic() {
        let image = kernel();
        for len in (0..4096).chain((4096..image.len()).step_by(image.len() / 16)) {
            let _ = Btf::parse(&image[..len], |_| true);
        }
    }
}
