//! Programs: where is what in a binary, and which runtime it brings with it.
//!
//! | module | what it is |
//! |---|---|
//! | [`source`] | bytes, wherever they are |
//! | [`image`] | an ELF file: sections, segments, build id, dynamic symbols, memory as it will be when loaded |
//! | [`window`] | memory of an image, read from front to back |
//! | [`code`] | the first instruction of a function that the kernel emulates under a uprobe |
//! | [`flow`] | all instructions of a function |
//! | [`tls`] | TLS libraries: where plaintext passes |
//! | [`go`] | Go: version, functions and structures, of stripped programs too |
//! | [`python`] | CPython: where a running interpreter keeps the task that runs |
//! | [`jvm`] | HotSpot: where a running Java VM says which virtual thread a thread carries |
//! | [`runtime`] | which runtime a program brings, and its version |
//!
//! **Pure on bytes.** Nothing here opens a file, knows a process or reads a clock. The files are strangers': whatever they
//! hold, a function answers or returns an [`Error`]; it reads a bounded number of bytes, and never panics. What is not
//! understood is an error too, and never a guess: an offset is used to read another program's memory.
#![forbid(unsafe_code)]

pub mod code;
pub mod flow;
pub mod go;
pub mod image;
pub mod jvm;
pub mod nginx;
pub mod node;
pub mod place;
pub mod python;
pub mod runtime;
pub mod source;
pub mod tls;
pub mod window;

pub use image::Image;
pub use source::Source;

/// Why something is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Another kind of file, or of machine.
    #[error("it is no 64-bit little-endian ELF file for x86-64 or arm64")]
    NotElf,
    /// The bytes are not there, or cannot be read.
    #[error("{0} lies outside the file, or cannot be read")]
    Unreadable(&'static str),
    /// The bytes make no sense.
    #[error("{0} makes no sense")]
    Malformed(&'static str),
    /// It is larger than anything that was ever seen.
    #[error("{0} is too large")]
    TooLarge(&'static str),
    /// The file lacks it.
    #[error("there is no {0}")]
    Missing(&'static str),
}
