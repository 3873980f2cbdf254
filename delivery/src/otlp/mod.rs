//! Spans as OTLP protobuf, and back; records of logs as OTLP protobuf.
//!
//! | module | what it is |
//! |---|---|
//! | [`batch`] | the body of one export request, gathered span by span |
//! | [`logs`] | the same of records of logs |
//! | [`encode`] | spans and resources, field by field |
//! | [`wire`] | protobuf's wire format |
//! | [`decode`] | the way back |

pub mod batch;
pub mod decode;
pub mod encode;
pub mod logs;
pub mod wire;

use wirespan_signals::Span;

use crate::gather::Body as _;

/// An `ExportTraceServiceRequest` of these spans, encoded.
pub fn request(spans: &[Span]) -> Vec<u8> {
    let mut gathering = batch::Gathering::default();
    spans.iter().for_each(|span| gathering.push(span));
    gathering.take()
}

#[cfg(test)]
mod tests;
