//! Recognises OTLP over gRPC in a client's HTTP/2 bytes, so that an application which exports its own spans is left
//! alone. It does not read HTTP/2 any further than that.

/// The client's connection preface (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Length, type, flags, stream (RFC 9113 §4.1).
const FRAME_HEADER: usize = 9;
/// Largest payload that a peer must accept unasked (RFC 9113 §4.2); no client's request head comes near it.
const MAX_FRAME: usize = 16 * 1024;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;

/// `:path` of an export, as an HPACK string literal (RFC 7541 §5.2): length, bytes.
const PLAIN: &[u8] = b"\x3b/opentelemetry.proto.collector.trace.v1.TraceService/Export";
/// The same, Huffman-coded; `huffman_code_is_right` derives it.
const HUFFMAN: &[u8] = &[
    0xaa, 0x60, 0xf5, 0x96, 0xa4, 0x96, 0x82, 0xd2, 0x54, 0xd9, 0xe9, 0x7a, 0xec, 0x3a, 0x4e, 0xb9, 0x0f, 0x45, 0x05,
    0x22, 0x4f, 0x62, 0xe9, 0xb0, 0x64, 0x2a, 0xfd, 0xc2, 0xbe, 0xfb, 0x06, 0x42, 0xee, 0x2d, 0x9d, 0xcc, 0x42, 0xb1,
    0x83, 0xcd, 0x67, 0xb1, 0x3f,
];

/// Whether `bytes`, sent from a client's first byte on or from the start of a frame, open an OTLP trace export.
///
/// The path stands in the bytes only the first time: later requests on the connection refer to it by an index.
pub fn is_otlp_grpc_export(bytes: &[u8]) -> bool {
    let mut rest = bytes.strip_prefix(PREFACE).unwrap_or(bytes);
    while let Some((header, after)) = rest.split_at_checked(FRAME_HEADER) {
        let length = usize::from(header[0]) << 16 | usize::from(header[1]) << 8 | usize::from(header[2]);
        if length > MAX_FRAME || header[3] > CONTINUATION {
            return false;
        }
        let (payload, next) = after.split_at(length.min(after.len()));
        if matches!(header[3], HEADERS | CONTINUATION) && (contains(payload, PLAIN) || contains(payload, HUFFMAN)) {
            return true;
        }
        rest = next;
    }
    false
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATH: &[u8] = b"/opentelemetry.proto.collector.trace.v1.TraceService/Export";

    /// Code and length of the characters in [`PATH`] (RFC 7541, appendix B).
    fn code(byte: u8) -> (u32, u32) {
        match byte {
            b'a' => (0x3, 5),
            b'c' => (0x4, 5),
            b'e' => (0x5, 5),
            b'i' => (0x6, 5),
            b'o' => (0x7, 5),
            b's' => (0x8, 5),
            b't' => (0x9, 5),
            b'1' => (0x1, 5),
            b'.' => (0x17, 6),
            b'/' => (0x18, 6),
            b'l' => (0x28, 6),
            b'm' => (0x29, 6),
            b'n' => (0x2a, 6),
            b'p' => (0x2b, 6),
            b'r' => (0x2c, 6),
            b'E' => (0x60, 7),
            b'S' => (0x6e, 7),
            b'T' => (0x6f, 7),
            b'v' => (0x77, 7),
            b'x' => (0x79, 7),
            b'y' => (0x7a, 7),
            other => panic!("{} is not in the path", other as char),
        }
    }

    fn huffman(text: &[u8]) -> Vec<u8> {
        let mut bits: String =
            text.iter().map(|b| code(*b)).map(|(c, n)| format!("{c:0n$b}", n = n as usize)).collect();
        while !bits.len().is_multiple_of(8) {
            bits.push('1');
        }
        bits.as_bytes().chunks(8).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 2).unwrap()).collect()
    }

    fn request(path: &[u8]) -> Vec<u8> {
        let mut bytes = PREFACE.to_vec();
        bytes.extend([0, 0, 0, 4, 0, 0, 0, 0, 0]);
        bytes.extend([0, 0, 4, 8, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]);
        bytes.extend([0, 0, path.len() as u8 + 2, 1, 4, 0, 0, 0, 1, 0x83, 0x44]);
        bytes.extend(path);
        bytes
    }

    #[test]
    fn huffman_code_is_right() {
        let coded = huffman(PATH);
        assert_eq!(HUFFMAN, [&[0x80 | coded.len() as u8], coded.as_slice()].concat(), "{coded:#04x?}");
        assert_eq!(PLAIN, [&[PATH.len() as u8], PATH].concat());
    }

    #[test]
    fn both_spellings_are_recognised_with_and_without_preface() {
        for path in [PLAIN, HUFFMAN] {
            let bytes = request(path);
            assert!(is_otlp_grpc_export(&bytes));
            assert!(is_otlp_grpc_export(&bytes[PREFACE.len()..]));
        }
    }

    /// The first bytes of Node's http2 client (v20.20.2), calling a plain socket.
    #[test]
    fn a_real_client_is_recognised() {
        let hex = include_bytes!("../captures/http2/node-otlp-export.hex").trim_ascii();
        let digit = |b: u8| (b as char).to_digit(16).unwrap() as u8;
        let bytes: Vec<u8> = hex.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
        assert!(is_otlp_grpc_export(&bytes));
    }

    #[test]
    fn other_paths_and_bodies_that_mention_it_are_not() {
        assert!(!is_otlp_grpc_export(&request(b"\x05/x.Y/")));
        let mut body = request(b"\x05/x.Y/");
        body.extend([0, 0, PLAIN.len() as u8, 0, 0, 0, 0, 0, 1]);
        body.extend(PLAIN);
        assert!(!is_otlp_grpc_export(&body));
        assert!(!is_otlp_grpc_export(PLAIN));
        assert!(!is_otlp_grpc_export(b""));
        assert!(!is_otlp_grpc_export(&[0xff; 100]));
    }

    #[test]
    fn no_cut_makes_it_panic_or_lie() {
        let bytes = request(HUFFMAN);
        for cut in 0..bytes.len() {
            assert!(!is_otlp_grpc_export(&bytes[..cut]));
        }
    }
}
