//! Spans, as they come, into the body of one request.

use wirespan_signals::Span;

/// Spans in one format, encoded as they come and let go then, so that what waits costs its encoded size only.
pub trait Body: Send {
    /// Adds a span.
    fn push(&mut self, span: &Span);

    /// Size of what is inside.
    fn bytes(&self) -> usize;

    /// The body of a request, leaving nothing behind.
    fn take(&mut self) -> Vec<u8>;
}

/// A request under construction.
pub struct Gathered {
    body: Box<dyn Body>,
    spans: usize,
    weight: usize,
}

impl Gathered {
    /// Nothing yet.
    pub fn new(body: Box<dyn Body>) -> Self {
        Self { body, spans: 0, weight: 0 }
    }

    /// Adds a span.
    pub fn push(&mut self, span: &Span) {
        self.body.push(span);
        self.spans += 1;
    }

    /// What the queue counts for a trace whose spans come.
    pub fn weigh(&mut self, bytes: usize) {
        self.weight += bytes;
    }

    /// What the queue counts for all that is inside.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Spans inside.
    pub fn spans(&self) -> usize {
        self.spans
    }

    /// Size of what is inside.
    pub fn bytes(&self) -> usize {
        self.body.bytes()
    }

    /// The body of the request, leaving nothing behind.
    pub fn take(&mut self) -> Vec<u8> {
        (self.spans, self.weight) = (0, 0);
        self.body.take()
    }
}
