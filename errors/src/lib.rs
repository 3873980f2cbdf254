//! What programs print: records of what they log, and exceptions with their stack traces, out of bytes that they write.
//!
//! Pure: bytes in, records and exceptions out. Each line is looked at once, and what is held is bounded.
//!
//! | file | what it is |
//! |---|---|
//! | `reader.rs` | what one unit writes to one place, in any number of pieces, into lines; which of it is its own |
//! | `waiting.rs` | records, until it is known whether they begin an exception, and whose they are |
//! | `record/` | what a record says: its severity, its message, what else it names |
//! | `machine.rs` | lines into exceptions: a frame opens one, its language's grammar says what goes on with it |
//! | `exception.rs` | one that was found |
//! | `text.rs` | words, names and places in lines |
//! | `python.rs`, `jvm.rs`, `node.rs`, `dotnet.rs`, `go.rs`, `ruby.rs`, `php.rs`, `rust.rs` | one grammar each |
//! | `json.rs` | lines of JSON that carry a stack trace |
//!
//! A word like `Error` opens nothing: only a frame does, or what nobody but a runtime says (`Traceback (most recent call last):`).
#![forbid(unsafe_code)]

mod dotnet;
mod exception;
mod go;
mod json;
mod jvm;
mod machine;
mod node;
mod php;
mod python;
mod reader;
mod record;
mod ruby;
mod rust;
mod text;
mod waiting;

pub use exception::{Exception, Language, Line, What};
pub use reader::{Found, Reader};
pub use record::{Context, Field, MAX_FIELDS, Record, Severity};

/// The longest line that is looked at, bytes; what is behind is passed over. (A line of JSON has a whole stack trace.)
pub const MAX_LINE: usize = 64 * 1024;
/// Bytes of an exception that are kept.
pub const MAX_EXCEPTION: usize = 64 * 1024;
