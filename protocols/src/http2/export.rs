//! Calls whose name is not known, as on a connection that is older than the agent: whether spans are exported by them, as
//! their first messages say.

use crate::grpc;

/// Bytes of a message that are looked at. What describes the exporter comes first.
const MAX_BYTES: usize = 8 * 1024;
/// Calls that are looked at: an exporter's connection may carry metrics and logs before spans.
const MAX_CALLS: u8 = 16;
/// What stands before a message: its flags, its length.
const PREFIX: usize = 5;

/// The call that is looked at.
#[derive(Debug, Default)]
pub(super) struct Suspect {
    stream: u32,
    bytes: Vec<u8>,
    calls: u8,
}

impl Suspect {
    /// Bytes held.
    pub(super) fn bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Bytes of a request whose path is not known; true once they show that it exports spans.
    pub(super) fn shows(&mut self, stream: u32, content: &[u8]) -> bool {
        if stream != self.stream {
            if self.calls >= MAX_CALLS {
                self.bytes = Vec::new();
                return false;
            }
            self.calls += 1;
            self.stream = stream;
            self.bytes.clear();
        }
        let room = MAX_BYTES - self.bytes.len();
        if room == 0 {
            return false;
        }
        self.bytes.extend_from_slice(&content[..content.len().min(room)]);
        // (What is compressed says nothing.)
        self.bytes.first() == Some(&0) && self.bytes.get(PREFIX..).is_some_and(grpc::exports_spans)
    }

    /// A part of a request was missed.
    pub(super) fn miss(&mut self, stream: u32) {
        if stream == self.stream {
            // Nothing that follows is looked at.
            self.bytes.resize(MAX_BYTES, 0xff);
        }
    }
}
