//! Content headers (AMQP 0-9-1 §2.3.5.2): the size of a message's body and its properties.

use super::reader::{Field, Reader};
use crate::celery;
use crate::context::Carrier;

/// What matters of a content header.
pub(super) struct Properties<'a> {
    pub body_size: u64,
    pub content_type: &'a [u8],
    pub correlation_id: &'a [u8],
    pub message_id: &'a [u8],
    pub carrier: Carrier<'a>,
    pub task: celery::Headers<'a>,
    /// Nothing is missing: an id that is not here is not in the message.
    pub whole: bool,
}

impl<'a> Properties<'a> {
    /// Reads a header frame's payload, as far as it is here. `None` if not even the size of the body is.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let mut reader = Reader::new(payload);
        let (_class, _weight) = (reader.u16()?, reader.u16()?);
        let mut properties = Self {
            body_size: reader.u64()?,
            content_type: b"",
            correlation_id: b"",
            message_id: b"",
            carrier: Carrier::default(),
            task: celery::Headers::default(),
            whole: false,
        };
        properties.whole = properties.list(reader).is_some();
        Some(properties)
    }

    /// Reads the properties that the flags announce, in the order of the flags.
    fn list(&mut self, mut reader: Reader<'a>) -> Option<()> {
        let flags = reader.u16()?;
        // A second word of flags has no meaning yet: what follows cannot be told.
        let has = |bit: u32| flags & 1 << bit != 0;
        if has(0) {
            return None;
        }
        if has(15) {
            self.content_type = reader.short()?;
        }
        if has(14) {
            let _content_encoding = reader.short()?;
        }
        if has(13) {
            reader.table(|name, field| self.header(name, field))?;
        }
        for octet in [12, 11] {
            if has(octet) {
                let _delivery_mode_or_priority = reader.u8()?;
            }
        }
        if has(10) {
            self.correlation_id = reader.short()?;
        }
        for text in [9, 8] {
            if has(text) {
                let _reply_to_or_expiration = reader.short()?;
            }
        }
        if has(7) {
            self.message_id = reader.short()?;
        }
        Some(())
    }

    fn header(&mut self, name: &'a [u8], field: Field<'a>) {
        let Ok(name) = std::str::from_utf8(name) else { return };
        if let Field::Text(value) = field
            && self.carrier.offer(name, value)
        {
            return;
        }
        let value = match field {
            Field::Text(text) => celery::Value::Text(String::from_utf8_lossy(text)),
            Field::Int(number) => celery::Value::Int(number),
            Field::True => celery::Value::True,
            Field::Void | Field::Other => celery::Value::Other,
        };
        self.task.offer(name, value);
    }
}
