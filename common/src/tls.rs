//! What passes through TLS libraries: where they are probed, what is kept of their sessions and calls, and the record.

use crate::UnitId;

/// What the place of a probe in a TLS library means: its cookie.
///
/// | bits | |
/// |---|---|
/// | 0–7 | which place |
/// | 8–11 | leaving: the register with the result, as x86-64 numbers them |
/// | 12–23 | from the stack pointer, or the frame pointer, up to where the function returns to, in words |
/// | 24–39 | leaving: in the session, or in what `VIA` leads to, the client's random |
/// | 40–51 | leaving: in the session, the address of what has the random; 0: the session itself |
/// | 52–63 | leaving: in the session, whether it is the server's; 0 if that is not known |
pub mod tls_place {
    /// Entered with session, buffer, length, and where to put the count: `int (s, buffer, length, *count)`.
    pub const READS: u8 = 1;
    /// The same, with the last of them in the fifth register already.
    pub const READS_FIFTH: u8 = 2;
    /// `int (s, type, buffer, length, *count)`.
    pub const WRITES: u8 = 3;
    /// The function that was entered leaves.
    pub const LEAVES: u8 = 4;
    /// The same, and the words are counted from the frame pointer.
    pub const LEAVES_FRAMED: u8 = 5;

    /// What is known where a function leaves.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Session {
        /// Offset of the client's random.
        pub random: u16,
        /// Offset of the address of what has it; 0: the session itself.
        pub via: u16,
        /// Offset of whether this is the server; 0 if that is not known.
        pub server: u16,
    }

    /// A probe's cookie. `None` if something is larger than what there is room for.
    #[must_use]
    pub const fn cookie(place: u8, register: u8, words: u16, session: Session) -> Option<u64> {
        let Session { random, via, server } = session;
        if register > 15 || words > 0xfff || via > 0xfff || server > 0xfff {
            return None;
        }
        let low = place as u64 | (register as u64) << 8 | (words as u64) << 12;
        Some(low | (random as u64) << 24 | (via as u64) << 40 | (server as u64) << 52)
    }
}

/// Keys of the `TLS_STREAMS` map: a session of a TLS library, by its address, which is used again once it is gone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsKey {
    /// Process.
    pub tgid: u32,
    /// Always zero.
    pub reserved: u32,
    /// Address of the session.
    pub session: u64,
}

/// Values of the `TLS_STREAMS` map.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsStream {
    /// The beginning of the client's random: another one is another session.
    pub random: u64,
    /// Socket that was read or written during a call; 0 if none was.
    pub cookie: u64,
    /// Bytes of plaintext sent in this epoch.
    pub tx: u64,
    /// Bytes of plaintext received in this epoch.
    pub rx: u64,
    /// When counting began, as a stamp that differs for each start.
    pub epoch: u32,
    /// 1 if the last read did not wait; 2 if of a call was not seen what became of it.
    pub flags: u32,
}

/// Values of the `TLS_CALLS` map, by process and thread as the kernel gives them: a call into a TLS library that has not
/// returned.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsCall {
    /// Address of the session.
    pub session: u64,
    /// Address of the plaintext.
    pub buffer: u64,
    /// Bytes of it, at most.
    pub size: u64,
    /// Address of how many there are, once the call has returned.
    pub count: u64,
    /// Address of the address that the call returns to.
    pub slot: u64,
    /// The socket that was read or written since, whose bytes were a record of TLS; 0 if none was.
    pub cookie: u64,
    /// [`INGRESS`](crate::INGRESS) or [`EGRESS`](crate::EGRESS).
    pub direction: u32,
    /// 1 if that was read without waiting; 2 if there were several sockets.
    pub flags: u32,
}

/// Plaintext that passed through a TLS library.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct PlainEvent {
    /// [`Kind::Plain`](crate::Kind::Plain).
    pub kind: u8,
    /// [`INGRESS`](crate::INGRESS) or [`EGRESS`](crate::EGRESS).
    pub direction: u8,
    /// `FLAG_*`.
    pub flags: u8,
    /// Always zero.
    pub reserved: u8,
    /// Bytes that follow this header.
    pub captured: u32,
    /// Bytes of plaintext.
    pub len: u32,
    /// As [`TlsStream::epoch`].
    pub epoch: u32,
    /// `CLOCK_BOOTTIME` after the call, nanoseconds.
    pub time: u64,
    /// As [`TlsStream::cookie`].
    pub cookie: u64,
    /// Address of the session.
    pub session: u64,
    /// Plaintext sent in this epoch, this included.
    pub tx: u64,
    /// Plaintext received in this epoch, this included.
    pub rx: u64,
    /// The beginning of the client's random.
    pub random: [u8; 16],
    /// Who did it.
    pub unit: UnitId,
}

/// The most bytes of plaintext that one [`PlainEvent`] carries.
pub const MAX_PLAIN: usize = 16383;

const _: () = {
    assert!(size_of::<TlsKey>() == 16);
    assert!(size_of::<TlsStream>() == 40);
    assert!(size_of::<TlsCall>() == 56);
    assert!(size_of::<PlainEvent>() == 112);
};
