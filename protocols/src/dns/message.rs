//! Messages (RFC 1035 §4), read strictly: what is not wholly a DNS message is none.

use std::borrow::Cow;

/// Length of a header.
const HEADER: usize = 12;
/// Longest name in wire form (RFC 1035 §2.3.4).
const MAX_NAME: usize = 255;
/// Longest label; longer lengths are pointers, or reserved (§4.1.4).
const MAX_LABEL: u8 = 63;
/// Most records of one message that are looked at. A message of 64 KiB has room for about 5000.
const MAX_RECORDS: u32 = 8192;
/// Opcode of a query. The others (NOTIFY, UPDATE) are not looked up by anybody.
const QUERY: u16 = 0;
/// Pseudo-record of EDNS (RFC 6891).
const OPT: u16 = 41;

/// A question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// As it was asked, without the last dot; `.` for the root.
    pub name: String,
    pub kind: u16,
    pub class: u16,
}

impl Question {
    /// Whether `other` asks the same: names are compared without regard to case (RFC 4343).
    pub(super) fn is(&self, other: &Self) -> bool {
        (self.kind, self.class) == (other.kind, other.class) && self.name.eq_ignore_ascii_case(&other.name)
    }

    /// A number for the query of this id that asks this: the id, and above it 48 bits of a hash (FNV-1a) of the question.
    pub(super) fn named(&self, id: u16) -> u64 {
        let words = [self.kind.to_be_bytes(), self.class.to_be_bytes()];
        let bytes = self.name.bytes().chain(words.into_iter().flatten());
        let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3));
        hash << 16 | u64::from(id)
    }
}

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Message {
    pub id: u16,
    pub response: bool,
    /// Not all of the answer fitted.
    pub truncated: bool,
    /// Four bits, without EDNS' extension.
    pub code: u16,
    /// Absent from some refusals.
    pub question: Option<Question>,
    /// Records in the answer section, as the header says.
    pub answers: u16,
    /// Their types, each once, in the order of appearance.
    pub kinds: Vec<u16>,
}

/// Reads a datagram, of which `cut` says that only the beginning is there. Strict enough that no other protocol's
/// datagrams pass: every count, label, pointer and length must be sound, and no byte may be left.
pub(super) fn read(bytes: &[u8], cut: bool) -> Option<Message> {
    let word = |at: usize| Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let (id, flags) = (word(0)?, word(2)?);
    let [questions, answers, authorities, additionals] = [word(4)?, word(6)?, word(8)?, word(10)?];
    let (response, reserved) = (flags & 0x8000 != 0, flags & 0x0040 != 0);
    let code = flags & 15;
    let asks = questions == 1 && answers == 0 && authorities == 0 && additionals <= 2 && code == 0;
    // An answer without its question only refuses.
    let answered = questions == 1 || (questions == 0 && answers == 0 && code != 0);
    if flags >> 11 & 15 != QUERY || reserved || !(if response { answered } else { asks }) {
        return None;
    }
    let (question, mut at) =
        if questions == 0 { (None, HEADER) } else { question(bytes).map(|(q, at)| (Some(q), at))? };
    if question.as_ref().is_some_and(|q| is_multicast(id, q)) {
        return None;
    }
    let mut message =
        Message { id, response, truncated: flags & 0x0200 != 0, code, question, answers, kinds: Vec::new() };
    let records = u32::from(answers) + u32::from(authorities) + u32::from(additionals);
    if records > MAX_RECORDS {
        return None;
    }
    for n in 0..records {
        let Some((kind, next)) = record(bytes, at) else { return cut.then_some(message) };
        // EDNS is announced in the additional section only.
        if n < u32::from(answers) && kind != OPT && !message.kinds.contains(&kind) && message.kinds.len() < 16 {
            message.kinds.push(kind);
        }
        at = next;
    }
    (cut || at == bytes.len()).then_some(message)
}

/// Multicast DNS (RFC 6762) has the same grammar, and neither ids nor callers.
fn is_multicast(id: u16, question: &Question) -> bool {
    let local = question.name.len() >= 6 && question.name.to_ascii_lowercase().ends_with(".local");
    id == 0 && local
}

/// The question behind the header, and where it ends.
fn question(bytes: &[u8]) -> Option<(Question, usize)> {
    let (name, at) = name(bytes, HEADER, true)?;
    let [k0, k1, c0, c1] = *bytes.get(at..at + 4)? else { return None };
    let (kind, class) = (u16::from_be_bytes([k0, k1]), u16::from_be_bytes([c0, c1]));
    // IN, CH, HS, NONE, ANY. mDNS would set the highest bit.
    let known = matches!(class, 1 | 3 | 4 | 254 | 255) && matches!(kind, 1..=261 | 32768..=32770);
    known.then_some((Question { name, kind, class }, at + 4))
}

/// The type of the record at `at`, and where it ends.
fn record(bytes: &[u8], at: usize) -> Option<(u16, usize)> {
    let (_, at) = name(bytes, at, false)?;
    let [k0, k1, _, _, _, _, _, _, l0, l1] = *bytes.get(at..at + 10)? else { return None };
    let end = at + 10 + usize::from(u16::from_be_bytes([l0, l1]));
    (end <= bytes.len()).then_some((u16::from_be_bytes([k0, k1]), end))
}

/// The name at `at`, spelt out if `wanted`, and where it ends. Each pointer must point before the labels that it
/// continues, so there is no loop.
fn name(bytes: &[u8], at: usize, wanted: bool) -> Option<(String, usize)> {
    let (mut place, mut limit, mut end, mut len, mut text) = (at, at, None, 0, String::new());
    loop {
        match *bytes.get(place)? {
            0 => break,
            size @ 1..=MAX_LABEL => {
                let label = bytes.get(place + 1..place + 1 + usize::from(size))?;
                len += label.len() + 1;
                if len >= MAX_NAME {
                    return None;
                }
                if wanted {
                    spell(label, &mut text);
                }
                place += 1 + label.len();
            }
            high @ 0xc0.. => {
                let to = usize::from(high & 0x3f) << 8 | usize::from(*bytes.get(place + 1)?);
                if to >= limit || to < HEADER {
                    return None;
                }
                end.get_or_insert(place + 2);
                (place, limit) = (to, to);
            }
            _ => return None,
        }
    }
    if wanted && text.is_empty() {
        text.push('.');
    }
    Some((text, end.unwrap_or(place + 1)))
}

/// Appends a label. What is not printable, and a dot, is escaped as in zone files (RFC 1035 §5.1).
fn spell(label: &[u8], text: &mut String) {
    if !text.is_empty() {
        text.push('.');
    }
    for byte in label {
        match byte {
            b'.' | b'\\' => text.extend(['\\', char::from(*byte)]),
            0x21..=0x7e => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\{byte:03}")),
        }
    }
}

/// The name of a record type.
pub(super) fn kind_name(kind: u16) -> Cow<'static, str> {
    Cow::Borrowed(match kind {
        1 => "A",
        2 => "NS",
        5 => "CNAME",
        6 => "SOA",
        12 => "PTR",
        13 => "HINFO",
        15 => "MX",
        16 => "TXT",
        17 => "RP",
        24 => "SIG",
        25 => "KEY",
        28 => "AAAA",
        29 => "LOC",
        33 => "SRV",
        35 => "NAPTR",
        36 => "KX",
        37 => "CERT",
        39 => "DNAME",
        43 => "DS",
        44 => "SSHFP",
        45 => "IPSECKEY",
        46 => "RRSIG",
        47 => "NSEC",
        48 => "DNSKEY",
        50 => "NSEC3",
        51 => "NSEC3PARAM",
        52 => "TLSA",
        53 => "SMIMEA",
        59 => "CDS",
        60 => "CDNSKEY",
        61 => "OPENPGPKEY",
        62 => "CSYNC",
        63 => "ZONEMD",
        64 => "SVCB",
        65 => "HTTPS",
        99 => "SPF",
        249 => "TKEY",
        250 => "TSIG",
        251 => "IXFR",
        252 => "AXFR",
        255 => "ANY",
        256 => "URI",
        257 => "CAA",
        other => return format!("TYPE{other}").into(),
    })
}

/// The name of a class.
pub(super) fn class_name(class: u16) -> &'static str {
    match class {
        1 => "IN",
        3 => "CH",
        4 => "HS",
        254 => "NONE",
        _ => "ANY",
    }
}

/// The name of an answer code.
pub(super) fn code_name(code: u16) -> Cow<'static, str> {
    Cow::Borrowed(match code {
        0 => "NOERROR",
        1 => "FORMERR",
        2 => "SERVFAIL",
        3 => "NXDOMAIN",
        4 => "NOTIMP",
        5 => "REFUSED",
        6 => "YXDOMAIN",
        7 => "YXRRSET",
        8 => "NXRRSET",
        9 => "NOTAUTH",
        10 => "NOTZONE",
        other => return format!("RCODE{other}").into(),
    })
}
