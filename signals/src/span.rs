//! What leaves the agent: finished spans, grouped by trace, each with the resource (process) that it belongs to.

use std::borrow::Cow;
use std::sync::Arc;

pub use wirespan_protocols::exchange::{KeyValue, SpanKind, Status, Value};

fn find<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    match find(attributes, key)? {
        Value::Str(text) => Some(text),
        _ => None,
    }
}

/// A process, as OpenTelemetry describes it: shared by all its spans.
#[derive(Debug, Default, PartialEq)]
pub struct Resource {
    /// Resource attributes, `service.name` among them.
    pub attributes: Vec<KeyValue>,
}

impl Resource {
    /// The value of a text attribute.
    pub fn get(&self, key: &str) -> Option<&str> {
        text(&self.attributes, key)
    }

    /// `service.name`, or `unknown_service` as the specification names a missing one.
    pub fn service_name(&self) -> &str {
        self.get("service.name").unwrap_or("unknown_service")
    }
}

/// A link to a span of the same or of another trace.
#[derive(Clone, Debug, PartialEq)]
pub struct Link {
    /// Trace of the linked span.
    pub trace_id: [u8; 16],
    /// The linked span.
    pub span_id: [u8; 8],
    /// `tracestate` of the linked span, possibly empty.
    pub trace_state: Box<str>,
    /// Attributes of the link.
    pub attributes: Vec<KeyValue>,
}

/// Something that happened at one moment of a span.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanEvent {
    /// Unix time, nanoseconds.
    pub time_unix_nano: u64,
    /// Name.
    pub name: Cow<'static, str>,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
}

/// Who made a span that came in over OTLP: the instrumentation scope, shared by its spans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scope {
    /// Name of the library that made the span, possibly empty.
    pub name: Box<str>,
    /// Its version, possibly empty.
    pub version: Box<str>,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
    /// URL of the semantic conventions that the spans keep to, possibly empty.
    pub schema_url: Box<str>,
}

/// What the names of our own scopes begin with; the protocol follows.
pub const SCOPE_PREFIX: &str = "wirespan/";

/// A finished span.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Never all zero.
    pub trace_id: [u8; 16],
    /// Never all zero.
    pub span_id: [u8; 8],
    /// All zero for a root.
    pub parent_span_id: [u8; 8],
    /// `tracestate` received with the context, possibly empty.
    pub trace_state: Box<str>,
    /// W3C trace flags (bit 0: sampled).
    pub flags: u8,
    /// The parent was stated by the request itself and belongs to another process that this agent may not see.
    pub parent_is_remote: bool,
    /// Name, low cardinality.
    pub name: Cow<'static, str>,
    /// Kind.
    pub kind: SpanKind,
    /// Unix time, nanoseconds.
    pub start_unix_nano: u64,
    /// Unix time, nanoseconds, never before the start.
    pub end_unix_nano: u64,
    /// Attributes.
    pub attributes: Vec<KeyValue>,
    /// Status.
    pub status: Status,
    /// Events.
    pub events: Vec<SpanEvent>,
    /// Links.
    pub links: Vec<Link>,
    /// The process.
    pub resource: Arc<Resource>,
    /// The instrumentation scope's name suffix: the protocol, as in the registry (`http`). Empty on a span that an
    /// application made.
    pub protocol: &'static str,
    /// Which instrumentation made it, if it came in over OTLP; ours otherwise.
    pub scope: Option<Arc<Scope>>,
}

impl Span {
    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<&Value> {
        find(&self.attributes, key)
    }

    /// The value of a text attribute.
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.attributes, key)
    }

    /// The value of an attribute that is a whole number.
    pub fn number(&self, key: &str) -> Option<i64> {
        match self.attribute(key)? {
            Value::Int(number) => Some(*number),
            _ => None,
        }
    }

    /// Name of the instrumentation scope: `wirespan/http`, or what the application's own instrumentation says.
    pub fn scope_name(&self) -> Cow<'_, str> {
        match &self.scope {
            Some(scope) => Cow::Borrowed(&scope.name),
            None => Cow::Owned(format!("{SCOPE_PREFIX}{}", self.protocol)),
        }
    }

    /// Whether it failed.
    pub fn is_error(&self) -> bool {
        matches!(self.status, Status::Error(_))
    }
}

/// Spans of one trace that finished together; parents come before their children. A trace that lives longer than the
/// hold arrives in several pieces.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    /// At least one.
    pub spans: Vec<Span>,
}

/// A kind as text, JSON and the API spell it.
pub fn kind(kind: SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}

/// Lower-case hexadecimal digits, of an id for one.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |nibble: u8| char::from(DIGITS[usize::from(nibble)]);
    bytes.iter().flat_map(|b| [digit(b >> 4), digit(b & 15)]).collect()
}
