//! What is known of how a process uses TLS.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering::Relaxed};

use crate::config::Tls;

/// Whether a process has a TLS library that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Library {
    /// None was found.
    #[default]
    Unknown,
    /// One that cannot be probed.
    Refused,
    /// What passes through it is read.
    Read,
}

/// Why what passes inside TLS on a connection is not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It is not to be (`--tls off`).
    Off,
    /// Its process has no TLS library that is known.
    LibraryUnknown,
    /// It has one that cannot be probed.
    LibraryRefused,
    /// Nothing of it passed through the process's library while that was watched.
    NothingSeen,
}

impl Why {
    /// As `wirespan.tls.reason` says it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::LibraryUnknown => "library_unknown",
            Self::LibraryRefused => "library_refused",
            Self::NothingSeen => "nothing_seen",
        }
    }
}

/// Of one process. Shared by the threads that find out.
#[derive(Debug, Default)]
pub struct Usage {
    wanted: Tls,
    library: AtomicU8,
    read: AtomicBool,
    unread: AtomicBool,
}

impl Usage {
    /// Of a process of which this is wanted.
    pub fn new(wanted: Tls) -> Self {
        Self { wanted, ..Self::default() }
    }

    /// Whether what it says inside is to be read.
    pub fn wanted(&self) -> Tls {
        self.wanted
    }

    /// Its files were looked at.
    pub fn set_library(&self, library: Library) {
        self.library.store(library as u8, Relaxed);
    }

    /// Plaintext of a session was read.
    pub fn was_read(&self) {
        self.read.store(true, Relaxed);
    }

    /// Something was said on a connection, and nothing of it was read.
    pub fn was_unread(&self) {
        self.unread.store(true, Relaxed);
    }

    /// Whether plaintext of any session was read.
    pub fn is_read(&self) -> bool {
        self.read.load(Relaxed)
    }

    /// Whether it is to be expected that nothing of its next connection is read either.
    pub fn is_opaque(&self) -> bool {
        self.unread.load(Relaxed) && !self.is_read() && self.library.load(Relaxed) != Library::Read as u8
    }

    /// Why nothing is read.
    pub fn why(&self) -> Why {
        match self.library.load(Relaxed) {
            _ if self.wanted == Tls::Off => Why::Off,
            library if library == Library::Read as u8 => Why::NothingSeen,
            library if library == Library::Refused as u8 => Why::LibraryRefused,
            _ if self.is_read() => Why::NothingSeen,
            _ => Why::LibraryUnknown,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_never_read_is_expected_to_go_on_so_and_what_was_is_not() {
        let usage = Usage::default();
        assert!(!usage.is_opaque());
        usage.was_unread();
        assert!(usage.is_opaque());
        usage.set_library(Library::Read);
        assert!(!usage.is_opaque());
        usage.set_library(Library::Unknown);
        usage.was_read();
        assert!(!usage.is_opaque());
    }

    #[test]
    fn the_reason_is_the_first_that_would_have_to_change() {
        let usage = Usage::default();
        assert_eq!([Usage::new(Tls::Off).why(), usage.why()], [Why::Off, Why::LibraryUnknown]);
        usage.set_library(Library::Refused);
        assert_eq!(usage.why(), Why::LibraryRefused);
        usage.set_library(Library::Read);
        assert_eq!(usage.why(), Why::NothingSeen);
    }
}
