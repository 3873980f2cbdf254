//! Jaeger's own format (<https://www.jaegertracing.io/docs/1.76/client-libraries/#propagation-format>): `uber-trace-id`.

use std::borrow::Cow;

use super::{TraceContext, hex, hex64};

const SAMPLED: u8 = 1;
const DEBUG: u8 = 2;

/// `{trace}:{span}:{parent}:{flags}`, ids of variable length, colons possibly percent-encoded.
pub(super) fn parse(header: &str) -> Option<TraceContext> {
    let header = match header.contains('%') {
        true => Cow::Owned(header.replace("%3A", ":").replace("%3a", ":")),
        false => Cow::Borrowed(header),
    };
    let mut fields = header.split(':');
    let (trace, span) = (hex(fields.next()?, 32)?, hex64(fields.next()?)?);
    // The parent is deprecated and ignored, but its place is kept.
    let (_parent, flags) = (fields.next()?, hex(fields.next()?, 2)? as u8);
    if fields.next().is_some() {
        return None;
    }
    TraceContext::new(trace, span, flags & (SAMPLED | DEBUG) != 0)
}
