//! Which runtime a program brings with it, and its version, by what the file says of itself.

use crate::{Image, go, nginx, node};

/// A runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Go.
    Go,
    /// Rust.
    Rust,
    /// CPython.
    CPython,
    /// CRuby.
    Ruby,
    /// Node.
    Node,
    /// nginx: no runtime of a language, but a program that does many requests' work on one thread.
    Nginx,
}

impl Kind {
    /// Value of `process.runtime.name`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Rust => "rust",
            Self::CPython => "cpython",
            Self::Ruby => "ruby",
            Self::Node => "nodejs",
            Self::Nginx => "nginx",
        }
    }
}

/// A runtime and its version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// Which.
    pub kind: Kind,
    /// Its version as the runtime itself would say it (`3.11.2`, `go1.26.3`), if the file says it.
    pub version: Option<String>,
    /// Of a Go program: what its linker wrote.
    pub build: Option<go::Build>,
}

/// Bytes of compilers' marks that are looked at.
const MAX_COMMENT: u64 = 4096;

/// The runtime in a file: an executable, or a library that is one (`libpython3.11.so.1.0`, `libruby-3.1.so.3.1`). Reads
/// headers and names, and no more. `None` for what is not known.
pub fn of(image: &Image<'_>) -> Option<Runtime> {
    if go::is_go(image) {
        // As Go's own `runtime.Version` says it.
        let build = go::build(image).ok();
        let version = build.as_ref().map(|build| format!("go{}", build.version));
        return Some(Runtime { kind: Kind::Go, version, build });
    }
    let names = ["Py_Version", "Py_GetVersion", "ruby_version", nginx::SENDS[0], node::IMMEDIATES];
    let exported = image.exported(&names).unwrap_or_default();
    if exported.contains_key("Py_Version") || exported.contains_key("Py_GetVersion") {
        let version = exported.get("Py_Version").and_then(|(at, _)| python_version(image, *at));
        return Some(Runtime { kind: Kind::CPython, version, build: None });
    }
    if let Some((at, size)) = exported.get("ruby_version") {
        return Some(Runtime { kind: Kind::Ruby, version: text(image, *at, *size), build: None });
    }
    if exported.contains_key(node::IMMEDIATES) {
        return Some(Runtime { kind: Kind::Node, version: None, build: None });
    }
    if exported.contains_key(nginx::SENDS[0]) {
        return Some(Runtime { kind: Kind::Nginx, version: None, build: None });
    }
    rust_version(image).map(|version| Runtime { kind: Kind::Rust, version: Some(version), build: None })
}

/// `Py_Version`, since 3.11: major, minor, micro and level, a byte each (`patchlevel.h`).
fn python_version(image: &Image<'_>, at: u64) -> Option<String> {
    let [_, micro, minor, major, ..] = image.word(at).ok()?.to_le_bytes();
    (major == 3).then(|| format!("{major}.{minor}.{micro}"))
}

/// A short text of digits and dots that ends with a NUL.
fn text(image: &Image<'_>, at: u64, size: u64) -> Option<String> {
    let bytes = image.bytes(at, size.clamp(1, 32) as usize).ok()?;
    let text = std::str::from_utf8(bytes.split(|b| *b == 0).next()?).ok()?;
    let fits =
        text.starts_with(|c: char| c.is_ascii_digit()) && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.');
    fits.then(|| text.to_string())
}

/// What rustc leaves among the compilers' marks: `rustc version 1.95.0 (…)`.
fn rust_version(image: &Image<'_>) -> Option<String> {
    let section = image.section(".comment")?;
    let bytes = image.file_bytes(section.offset, section.size.min(MAX_COMMENT) as usize).ok()?;
    bytes.split(|b| *b == 0).find_map(|mark| {
        let mark = std::str::from_utf8(mark).ok()?.strip_prefix("rustc version ")?;
        let version = mark.split_whitespace().next()?;
        version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_string())
    })
}
