//! A piece of a trace as it is kept, in memory and on disk alike: spans as OTLP protobuf, compressed.
//!
//! ```text
//! version 1 │ CRC-32 of what follows │ trace id 16 │ n │ n resource numbers │ length of the spans │ spans, LZ4
//! ```
//!
//! Numbers are varints, save the checksum (little endian). Spans name their resource by its place among the numbers. LZ4
//! begins with a dictionary of what most spans say, so that a trace of a few spans becomes small too. Version and
//! dictionary belong together: another dictionary is another version.

use std::collections::HashMap;
use std::sync::Arc;

use lz4_flex::block::{compress_into_with_dict, compress_with_dict, get_maximum_output_size};
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::trace::v1 as otlp;
use prost::Message as _;
use prost::encoding::{decode_varint, encode_varint};

use wirespan_delivery::otlp::decode::Maker;
use wirespan_delivery::otlp::{decode, encode};
use wirespan_signals::{Resource, Span};

const VERSION: u8 = 1;
const CHECKSUM: std::ops::Range<usize> = 1..5;
const BODY: usize = 5;
const TRACE_ID: std::ops::Range<usize> = 5..21;
/// More than any piece has; a damaged length must not take the memory.
const MAX_PLAIN: u64 = 1 << 30;
/// Bytes of memory that are kept for the next piece.
const KEPT: usize = 64 << 10;

/// What spans say again and again. The most frequent stands last, where LZ4 finds it soonest.
const DICTIONARY: &[u8] = include_bytes!("dictionary.txt");

/// Why bytes are no piece.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum PieceError {
    /// Another version of this program wrote it.
    #[error("it has format {0}, which this version does not know")]
    Version(u8),
    /// The bytes are not those that were written.
    #[error("its checksum is wrong")]
    Damaged,
    /// The checksum is right and the contents make no sense.
    #[error("its contents make no sense")]
    Nonsense,
}

/// What was encoded, and how long it was before it was compressed.
pub struct Encoded {
    /// The piece.
    pub bytes: Arc<[u8]>,
    /// Bytes of its spans as protobuf.
    pub plain: usize,
}

/// Encodes pieces, one after the other: they are made in memory that it keeps.
#[derive(Debug, Default)]
pub struct Encoder {
    plain: Vec<u8>,
    piece: Vec<u8>,
}

impl Encoder {
    /// Encodes spans of one trace. `places` says for each where its resource is in `numbers`.
    pub fn encode(&mut self, trace_id: &[u8; 16], spans: &[Span], places: &[usize], numbers: &[u64]) -> Encoded {
        let Self { plain, piece } = self;
        plain.clear();
        for (span, place) in spans.iter().zip(places) {
            encode::placed_span(plain, *place, span);
        }
        piece.clear();
        piece.push(VERSION);
        piece.extend_from_slice(&[0; 4]);
        piece.extend_from_slice(trace_id);
        encode_varint(numbers.len() as u64, piece);
        numbers.iter().for_each(|number| encode_varint(*number, piece));
        encode_varint(plain.len() as u64, piece);
        let head = piece.len();
        piece.resize(head + get_maximum_output_size(plain.len()), 0);
        match compress_into_with_dict(plain, &mut piece[head..], DICTIONARY) {
            Ok(packed) => piece.truncate(head + packed),
            // (It has the room that it says it needs.)
            Err(_) => {
                piece.truncate(head);
                piece.extend_from_slice(&compress_with_dict(plain, DICTIONARY));
            }
        }
        let checksum = crc32fast::hash(&piece[BODY..]).to_le_bytes();
        piece[CHECKSUM].copy_from_slice(&checksum);
        let encoded = Encoded { bytes: piece.as_slice().into(), plain: plain.len() };
        // (Few are large, and for those it is not worth it.)
        plain.shrink_to(KEPT);
        piece.shrink_to(KEPT);
        encoded
    }
}

/// The trace that a piece belongs to, and the numbers of its resources.
pub struct Head<'a> {
    /// Trace id.
    pub trace_id: [u8; 16],
    /// Numbers of its resources.
    pub numbers: Vec<u64>,
    rest: &'a [u8],
}

/// Checks a piece and reads its beginning.
///
/// # Errors
/// If these are not the bytes that were written.
pub fn open(piece: &[u8]) -> Result<Head<'_>, PieceError> {
    match piece.first() {
        None => return Err(PieceError::Damaged),
        Some(&VERSION) => {}
        Some(version) => return Err(PieceError::Version(*version)),
    }
    let trace_id = piece.get(TRACE_ID).and_then(|id| id.try_into().ok()).ok_or(PieceError::Damaged)?;
    if crc32fast::hash(&piece[BODY..]).to_le_bytes() != piece[CHECKSUM] {
        return Err(PieceError::Damaged);
    }
    let mut rest = &piece[TRACE_ID.end..];
    let count = decode_varint(&mut rest).map_err(|_| PieceError::Nonsense)?;
    if count > rest.len() as u64 {
        return Err(PieceError::Nonsense);
    }
    let numbers = (0..count).map(|_| decode_varint(&mut rest)).collect::<Result<_, _>>();
    Ok(Head { trace_id, numbers: numbers.map_err(|_| PieceError::Nonsense)?, rest })
}

/// Who made the spans of a trace: each once, however many pieces and spans say the same.
#[derive(Default)]
pub struct Makers(HashMap<Vec<u8>, Maker>);

impl Makers {
    fn of(&mut self, scope: Vec<u8>) -> Option<Maker> {
        if let Some(known) = self.0.get(&scope) {
            return Some(known.clone());
        }
        let maker = decode::made_by(InstrumentationScope::decode(&*scope).ok()?);
        self.0.insert(scope, maker.clone());
        Some(maker)
    }
}

impl Head<'_> {
    /// Bytes of its spans before they were compressed.
    ///
    /// # Errors
    /// If the contents make no sense.
    pub fn plain(&self) -> Result<usize, PieceError> {
        let mut packed = self.rest;
        let length = decode_varint(&mut packed).map_err(|_| PieceError::Nonsense)?;
        usize::try_from(length).ok().filter(|_| length <= MAX_PLAIN).ok_or(PieceError::Nonsense)
    }

    /// The spans; `resource` knows the resources by their numbers.
    ///
    /// # Errors
    /// If the contents make no sense, or a resource is not known.
    pub fn spans(
        &self,
        makers: &mut Makers,
        resource: impl Fn(u64) -> Option<Arc<Resource>>,
    ) -> Result<Vec<Span>, PieceError> {
        let mut packed = self.rest;
        let length = decode_varint(&mut packed).map_err(|_| PieceError::Nonsense)?;
        if length > MAX_PLAIN {
            return Err(PieceError::Nonsense);
        }
        let plain = lz4_flex::block::decompress_with_dict(packed, length as usize, DICTIONARY);
        let message = Spans::decode(&plain.map_err(|_| PieceError::Nonsense)?[..]).map_err(|_| PieceError::Nonsense)?;
        let resources: Option<Vec<_>> = self.numbers.iter().map(|number| resource(*number)).collect();
        let resources = resources.ok_or(PieceError::Nonsense)?;
        let mut one = |placed: PlacedSpan| {
            let resource = resources.get(usize::try_from(placed.resource).ok()?)?;
            decode::span(placed.span?, makers.of(placed.scope)?, Arc::clone(resource))
        };
        let spans: Option<Vec<Span>> = message.spans.into_iter().map(&mut one).collect();
        spans.ok_or(PieceError::Nonsense)
    }
}

#[derive(prost::Message)]
struct Spans {
    #[prost(message, repeated, tag = "1")]
    spans: Vec<PlacedSpan>,
}

#[derive(prost::Message)]
struct PlacedSpan {
    #[prost(uint64, tag = "1")]
    resource: u64,
    /// An `InstrumentationScope`, whose bytes tell scopes apart before any is read.
    #[prost(bytes = "vec", tag = "2")]
    scope: Vec<u8>,
    #[prost(message, optional, tag = "3")]
    span: Option<otlp::Span>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use wirespan_delivery::testing::{full_span, resource, span};
    use wirespan_signals::{KeyValue, Scope, Status, Value};

    fn again(spans: &[Span]) -> Result<Vec<Span>, PieceError> {
        let piece = Encoder::default().encode(&spans[0].trace_id, spans, &vec![0; spans.len()], &[5]);
        let head = open(&piece.bytes)?;
        assert_eq!(head.plain(), Ok(piece.plain));
        assert_eq!((head.trace_id, &head.numbers[..]), (spans[0].trace_id, &[5][..]));
        head.spans(&mut Makers::default(), |number| (number == 5).then(|| Arc::clone(&spans[0].resource)))
    }

    #[test]
    fn spans_come_back_as_they_were() {
        let nested = KeyValue { key: "m".into(), value: Value::Map(vec![KeyValue::int("i", 1)]) };
        let list = KeyValue { key: "l".into(), value: Value::List(vec![Value::Int(1), Value::Bytes(vec![0, 255])]) };
        let scope = Scope { name: "flask".into(), version: "1".into(), ..Scope::default() };
        let foreign = Span {
            protocol: "",
            scope: Some(Arc::new(scope)),
            status: Status::Ok,
            attributes: vec![nested, list, KeyValue { key: "e".into(), value: Value::Empty }],
            ..full_span()
        };
        let spans = [full_span(), foreign, span("GET /")];
        assert_eq!(again(&spans).unwrap(), spans.map(|s| Span { resource: resource("full"), ..s }));
    }

    #[test]
    fn what_was_encoded_before_leaves_nothing_behind() {
        let long: Vec<Span> = (0..300).map(|_| full_span()).collect();
        let (mut encoder, short) = (Encoder::default(), [span("GET /")]);
        let mut encode = |spans: &[Span]| encoder.encode(&spans[0].trace_id, spans, &vec![0; spans.len()], &[5]).bytes;
        let (first, large) = (encode(&short), encode(&long));
        assert!(large.len() > first.len());
        assert_eq!(encode(&short), first);
    }

    #[test]
    fn no_damage_passes_for_a_piece() {
        let spans = [full_span(), span("b")];
        let piece = Encoder::default().encode(&spans[0].trace_id, &spans, &[0, 0], &[0]).bytes;
        for at in 0..piece.len() {
            let mut damaged = piece.to_vec();
            damaged[at] ^= 0x10;
            assert!(open(&damaged).is_err(), "byte {at}");
            assert!(open(&piece[..at]).is_err(), "the first {at} bytes");
        }
    }

    #[test]
    fn a_trace_takes_less_than_half_of_its_protobuf() {
        let spans: Vec<Span> = (0..4)
            .map(|i| Span {
                attributes: vec![
                    KeyValue::str("http.request.method", "GET"),
                    KeyValue::int("http.response.status_code", 200),
                    KeyValue::str("url.path", format!("/orders/{i}")),
                    KeyValue::str("server.address", "127.0.0.1"),
                    KeyValue::int("network.peer.port", 40_000 + i),
                ],
                ..span("GET /orders/{id}")
            })
            .collect();
        let Encoded { bytes, plain } = Encoder::default().encode(&[1; 16], &spans, &[0; 4], &[0]);
        assert!(bytes.len() * 2 < plain, "{} of {plain}", bytes.len());
    }
}
