//! Whether a message is an export of spans (`ExportTraceServiceRequest` of
//! <https://github.com/open-telemetry/opentelemetry-proto>), where the call's name is not known.
//!
//! Metrics and logs are exported in messages of the same outer form. A span is told by its fields: an id of 16 bytes and one
//! of eight, then its beginning and its end as fixed words, in which no metric and no log record has anything like them.

/// Fields of a message that are looked at, at most.
const MAX_FIELDS: usize = 64;

/// One field of a message of Protocol Buffers.
struct Field<'a> {
    number: u64,
    wire: u64,
    /// Of one with a length: what is here of it.
    content: &'a [u8],
    len: u64,
}

const FIXED: u64 = 1;
const LENGTH: u64 = 2;

fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (at, byte) in bytes.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

/// The first field, and what stands behind it, as far as it is here.
fn field(bytes: &[u8]) -> Option<(Field<'_>, &[u8])> {
    let (tag, rest) = varint(bytes)?;
    let (number, wire) = (tag >> 3, tag & 7);
    let (len, rest) = match wire {
        0 => {
            let (_, rest) = varint(rest)?;
            (0, rest)
        }
        FIXED => (8, rest),
        LENGTH => varint(rest)?,
        5 => (4, rest),
        _ => return None,
    };
    let (content, rest) = rest.split_at(usize::try_from(len).unwrap_or(usize::MAX).min(rest.len()));
    Some((Field { number, wire, content, len }, rest))
}

/// What is here of the first field of this number, which has a length.
fn inside(mut bytes: &[u8], number: u64) -> Option<&[u8]> {
    for _ in 0..MAX_FIELDS {
        let (field, rest) = field(bytes)?;
        if field.number == number {
            return (field.wire == LENGTH).then_some(field.content);
        }
        bytes = rest;
    }
    None
}

/// Whether these first bytes of a message can only be those of an export of spans.
pub(crate) fn exports_spans(message: &[u8]) -> bool {
    let of_scope = inside(message, 1).and_then(|of_resource| inside(of_resource, 2));
    of_scope.and_then(|of_scope| inside(of_scope, 2)).is_some_and(is_span)
}

fn is_span(mut bytes: &[u8]) -> bool {
    let mut seen = [false; 4];
    for at in 0..MAX_FIELDS {
        let Some((field, rest)) = field(bytes) else { break };
        let fits = |number: u64, wire: u64, len: u64| (field.number, field.wire, field.len) == (number, wire, len);
        let as_expected = match at {
            0 => fits(1, LENGTH, 16),
            1 => fits(2, LENGTH, 8),
            _ => true,
        };
        if !as_expected {
            return false;
        }
        seen = [seen[0] || at == 0, seen[1] || at == 1, seen[2] || fits(7, FIXED, 8), seen[3] || fits(8, FIXED, 8)];
        bytes = rest;
    }
    seen == [true; 4]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: u8, content: &[u8]) -> Vec<u8> {
        let len = content.len();
        let len = if len < 128 { vec![len as u8] } else { vec![len as u8 & 0x7f | 0x80, (len >> 7) as u8] };
        [&[number << 3 | 2][..], &len, content].concat()
    }

    fn export(record: &[u8]) -> Vec<u8> {
        let resource = of(1, &of(1, &[of(1, b"service.name"), of(2, &of(1, &[b'x'; 300]))].concat()));
        of(1, &[resource, of(2, &[of(1, &of(1, b"scope")), of(2, record)].concat())].concat())
    }

    fn time(number: u8) -> Vec<u8> {
        [&[number << 3 | 1][..], &[7; 8]].concat()
    }

    #[test]
    fn spans_are_told_from_metrics_and_logs() {
        let span = [of(1, &[9; 16]), of(2, &[8; 8]), of(5, b"GET"), vec![6 << 3, 3], time(7), time(8)].concat();
        assert!(exports_spans(&export(&span)));
        let metric = [of(1, &[b'm'; 16]), of(2, &[b'd'; 8]), of(3, b"ms"), of(7, &[8 << 3, 1])].concat();
        assert!(!exports_spans(&export(&metric)));
        let log = [time(1), vec![2 << 3, 9], of(5, &of(1, b"said")), time(11)].concat();
        assert!(!exports_spans(&export(&log)));
        for len in 0..export(&span).len() - time(8).len() {
            assert!(!exports_spans(&export(&span)[..len]), "{len} bytes prove nothing yet");
        }
    }

    #[test]
    fn hostile_bytes_are_no_export() {
        for bytes in
            [&[0xff; 64][..], &[0x0a; 64], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], &[]]
        {
            assert!(!exports_spans(bytes));
        }
    }
}
