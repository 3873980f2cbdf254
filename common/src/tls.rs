//! What passes through TLS libraries: where they are probed, what is kept of their sessions and calls, and the record.

use crate::UnitId;

/// What the place of a probe in a TLS library means: its cookie.
///
/// | bits | |
/// |---|---|
/// | 0–3 | which place |
/// | 4–7 | leaving: with which results ([`NEGATIVE`](tls_place::NEGATIVE) and so on); with others the function goes on |
/// | 8–11 | leaving: the register with the result, as x86-64 numbers them |
/// | 12–23 | from the stack pointer, or the frame pointer, up to where the function returns to, in words |
/// | 24–31 | entering: the library, as whoever attaches the probe numbers them |
/// | 24–39 | leaving: in the session, or in what `VIA` leads to, the client's random |
/// | 40–51 | leaving: in the session, the address of what has the random; 0: the session itself |
/// | 52–63 | leaving: in the session, whether it is the server's; 0 if that is not known. [`LEAVES_COUNTED`](tls_place::LEAVES_COUNTED):
///   from the stack pointer up to the count, in words |
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

    /// Entered with session, buffer and length: `int (s, buffer, length)`, which returns the count.
    pub const READS_PLAIN: u8 = 6;
    /// The same.
    pub const WRITES_PLAIN: u8 = 7;
    /// It leaves, and the count is on its stack.
    pub const LEAVES_COUNTED: u8 = 8;

    /// Results with which a function leaves at a place.
    pub const NEGATIVE: u8 = 1;
    /// Nothing.
    pub const ZERO: u8 = 2;
    /// Success.
    pub const POSITIVE: u8 = 4;
    /// All of them.
    pub const ANY: u8 = NEGATIVE | ZERO | POSITIVE;

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
        let low = place as u64 | (ANY as u64) << 4 | (register as u64) << 8 | (words as u64) << 12;
        Some(low | (random as u64) << 24 | (via as u64) << 40 | (server as u64) << 52)
    }

    /// The same of a place at which a function leaves with some results only.
    #[must_use]
    pub const fn leaves_with(cookie: u64, results: u8) -> u64 {
        cookie & !0xf0 | ((results & ANY) as u64) << 4
    }

    /// The same of a place, if a function is entered there, in the library of this number.
    #[must_use]
    pub const fn in_library(cookie: u64, library: u8) -> u64 {
        match cookie as u8 & 0xf {
            LEAVES | LEAVES_FRAMED | LEAVES_COUNTED => cookie,
            _ => cookie | (library as u64) << 24,
        }
    }

    /// The library, where a function is entered.
    #[must_use]
    pub const fn library(cookie: u64) -> u8 {
        (cookie >> 24) as u8
    }
}

/// What the place of a probe in Go's `crypto/tls` means: its cookie.
///
/// | bits | |
/// |---|---|
/// | 0–3 | which place |
/// | 4–11 | in what Go knows of a descriptor, the address of this end's address, in words; the other end's follows it |
/// | 12–19 | the program, as whoever attaches the probe numbers them |
/// | 20–41 | the kind of a TCP connection: the lower bits of what Go calls its type's hash |
/// | 42–63 | the kind of a connection of TLS |
pub mod go_tls_place {
    /// `(*Conn).Read` copies to who reads: the first register is to where, the second from where, the third how much. The
    /// session is the first argument, in its place above the frame pointer.
    pub const READS: u8 = 1;
    /// `(*Conn).writeRecordLocked`: a session, what kind of record, its bytes and how many.
    pub const WRITES: u8 = 2;
    /// Of a type's hash so much is compared.
    pub const HASH: u32 = 0x3f_ffff;

    /// A probe's cookie.
    #[must_use]
    pub const fn cookie(place: u8, address: u8, plain: u32, tls: u32) -> u64 {
        (place & 0xf) as u64 | (address as u64) << 4 | ((plain & HASH) as u64) << 20 | ((tls & HASH) as u64) << 42
    }

    /// The same, in the program of this number.
    #[must_use]
    pub const fn in_program(cookie: u64, program: u8) -> u64 {
        cookie | (program as u64) << 12
    }

    /// Which place.
    #[must_use]
    pub const fn place(cookie: u64) -> u8 {
        cookie as u8 & 0xf
    }

    /// Where the address is, in bytes.
    #[must_use]
    pub const fn address(cookie: u64) -> u64 {
        (cookie >> 4 & 0xff) * 8
    }

    /// The program.
    #[must_use]
    pub const fn program(cookie: u64) -> u8 {
        (cookie >> 12) as u8
    }

    /// The hashes of a TCP connection's type, and of one of TLS.
    #[must_use]
    pub const fn hashes(cookie: u64) -> (u64, u64) {
        (cookie >> 20 & HASH as u64, cookie >> 42)
    }
}

/// What the place of a probe in rustls means: its cookie.
///
/// | bits | |
/// |---|---|
/// | 0–3 | which place |
/// | 4–11 | a register, as x86-64 numbers them; or from the stack pointer up to a word, in words |
/// | 12–19 | the file, as whoever attaches the probe numbers them |
pub mod rustls_place {
    /// A record is to be made: `encrypt(result, self, message, number)`.
    pub const ENCRYPTS: u8 = 1;
    /// It is made, but for that it is not encrypted yet: its address stands on the stack, and how long it is behind that.
    pub const MADE: u8 = 2;
    /// A record is to be opened: `decrypt(result, self, message, number)`.
    pub const DECRYPTS: u8 = 3;
    /// It is, and is sound: a register says how much is in it.
    pub const OPENED: u8 = 4;

    /// A probe's cookie.
    #[must_use]
    pub const fn cookie(place: u8, at: u8) -> u64 {
        (place & 0xf) as u64 | (at as u64) << 4
    }

    /// The same, in the file of this number.
    #[must_use]
    pub const fn in_file(cookie: u64, file: u8) -> u64 {
        cookie | (file as u64) << 12
    }

    /// Which place.
    #[must_use]
    pub const fn place(cookie: u64) -> u8 {
        cookie as u8 & 0xf
    }

    /// The register, or the words.
    #[must_use]
    pub const fn at(cookie: u64) -> u64 {
        cookie >> 4 & 0xff
    }

    /// The file.
    #[must_use]
    pub const fn file(cookie: u64) -> u8 {
        (cookie >> 12) as u8
    }
}

/// Keys of the `TLS_STREAMS` map: a session of a TLS library, by its address, which is used again once it is gone.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TlsKey {
    /// Process.
    pub tgid: u32,
    /// `KEY_*`: what `session` is.
    pub kind: u32,
    /// As `kind` says.
    pub session: u64,
}

/// [`TlsKey::kind`]: the address of a session.
pub const KEY_SESSION: u32 = 0;
/// [`TlsKey::kind`]: the cookie of the socket that a session is on.
pub const KEY_SOCKET: u32 = 1;
/// [`TlsKey::kind`]: the address of what encrypts, or decrypts, one direction of a session. Its value has in `random` what is
/// next.
pub const KEY_HALF: u32 = 2;
/// [`TlsKey::kind`]: the address of a record that was made and not sent. Its value has in `random` the address of what
/// encrypted it, and in `tx` its length.
pub const KEY_MADE: u32 = 3;
/// [`TlsKey::kind`]: what stands in a record that was received and not opened. Its value has in `random` what stands in front of
/// that.
pub const KEY_RECEIVED: u32 = 4;

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
    /// 1 if the last read did not wait; 2 if of a call was not seen what became of it; 4 and 8: what is sent, and what is
    /// received, is known to be this socket's; 16: something was written that the socket was not given during the call.
    pub flags: u32,
}

/// In a key of the `TLS_CALLS` map: the thread has begun another call within this one. (No process has so high a number.)
pub const OUTER_CALL: u64 = 1 << 63;

/// Values of the `TLS_CALLS` map, by process and thread as the kernel gives them: a call into a TLS library that has not
/// returned. One within which another runs has [`OUTER_CALL`] in its key.
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
    /// That address.
    pub back: u64,
    /// The socket that was read or written since, whose bytes were a record of TLS; 0 if none was.
    pub cookie: u64,
    /// [`INGRESS`](crate::INGRESS) or [`EGRESS`](crate::EGRESS).
    pub direction: u8,
    /// The library.
    pub library: u8,
    /// Always zero.
    pub reserved: u16,
    /// 1 if that was read without waiting; 2 if there were several sockets; 4 if the thread is in another call, within which
    /// this one runs; 8 if what was moved first was not the beginning of a record.
    pub flags: u32,
    /// Where in the socket's stream what was moved first begins.
    pub wire: u32,
    /// If that was one record, and no more and no less: how many bytes it has behind its header. Otherwise 0.
    pub record: u32,
    /// Bytes that were moved in all.
    pub moved: u32,
    /// Always zero.
    pub reserved2: u32,
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
    /// How `cookie` is known: `TIE_*`.
    pub tie: u8,
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
    /// As [`TlsKey::session`].
    pub session: u64,
    /// Plaintext sent in this epoch, this included.
    pub tx: u64,
    /// Plaintext received in this epoch, this included.
    pub rx: u64,
    /// The beginning of the client's random; zeroes if only the socket tells which session it is. With [`TIE_RECORD`] and no bytes:
    /// what was told without a socket, under this address and epoch (in words), is this socket's.
    pub random: [u8; 16],
    /// The library that it passed through, or the program that brings its own, as the probes number them.
    pub library: u32,
    /// As [`IoEvent::ran`](crate::IoEvent::ran).
    pub ran: u32,
    /// As [`IoEvent::queued`](crate::IoEvent::queued).
    pub queued: u32,
    /// Where in the stream of the socket's connection the record begins that the plaintext begins with; 0 if that is not proven.
    pub wire: u32,
    /// Who did it.
    pub unit: UnitId,
}

/// [`PlainEvent::tie`]: the socket was read or written during the call.
pub const TIE_CALLED: u8 = 0;
/// [`PlainEvent::tie`]: the session says that it is on this socket.
pub const TIE_OWN: u8 = 1;
/// [`PlainEvent::tie`]: the session is on something that says so of itself.
pub const TIE_WRAPPED: u8 = 2;

/// [`PlainEvent::tie`]: its record was seen to pass on the socket, which is 0 as long as it was not.
pub const TIE_RECORD: u8 = 3;

/// The most bytes of plaintext that one [`PlainEvent`] carries.
pub const MAX_PLAIN: usize = 16383;

const _: () = {
    assert!(size_of::<TlsKey>() == 16);
    assert!(size_of::<TlsStream>() == 40);
    assert!(size_of::<TlsCall>() == 80);
    assert!(size_of::<PlainEvent>() == 128);
};
