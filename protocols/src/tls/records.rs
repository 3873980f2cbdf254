//! The first message of one direction, out of the records that carry it.

use super::{HANDSHAKE, HEADER, record_length};

/// Bytes of a message, at most: a hello with keys for quantum computers and a ticket takes 2 to 4 KiB.
const MAX_MESSAGE: usize = 32 << 10;

/// What is there of the first message of a direction.
#[derive(Debug, Default)]
pub struct Handshake {
    head: Vec<u8>,
    /// Bytes of the present record that have not come.
    left: usize,
    message: Vec<u8>,
    done: bool,
}

impl Handshake {
    /// Takes more bytes. Returns the message when it is whole, without its type and length.
    pub fn take(&mut self, mut bytes: &[u8]) -> Option<Vec<u8>> {
        while !self.done && !bytes.is_empty() {
            if self.left == 0 {
                let (head, rest) = bytes.split_at(bytes.len().min(HEADER - self.head.len()));
                self.head.extend_from_slice(head);
                bytes = rest;
                if self.head.len() == HEADER {
                    match record_length(&self.head).filter(|_| self.head[0] == HANDSHAKE) {
                        Some(length) => self.left = length,
                        None => self.give_up(),
                    }
                    self.head.clear();
                }
                continue;
            }
            let (body, rest) = bytes.split_at(bytes.len().min(self.left));
            self.left -= body.len();
            self.message.extend_from_slice(body);
            bytes = rest;
            if let Some(whole) = self.whole() {
                return Some(whole);
            }
        }
        None
    }

    fn whole(&mut self) -> Option<Vec<u8>> {
        let [_, high, middle, low, ..] = self.message[..] else { return None };
        let length = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
        if length > MAX_MESSAGE {
            self.give_up();
            return None;
        }
        let message = self.message.get(4..4 + length)?.to_vec();
        self.give_up();
        Some(message)
    }

    /// Nothing more is of interest.
    pub fn give_up(&mut self) {
        *self = Self { done: true, ..Self::default() };
    }

    /// Bytes held.
    pub fn buffered(&self) -> usize {
        self.message.capacity() + self.head.capacity()
    }
}
