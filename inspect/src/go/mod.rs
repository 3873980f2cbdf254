//! Go programs, stripped ones too: what the runtime needs itself stays in the file.
//!
//! | file | what it is |
//! |---|---|
//! | `build.rs` | the version that built it, its package and module |
//! | `module.rs` | where the module's parts are |
//! | `functions.rs` | functions and their addresses, from `.gopclntab` |
//! | `types.rs` | structures and their fields, from the runtime's type data |
//! | `unit.rs` | where the running goroutine's number is |
//! | `probes.rs` | where goroutines do things for each other |
//! | `births.rs` | where they are made, and end |
//! | `tls.rs` | where plaintext passes in `crypto/tls` |
//!
//! No offset comes from a table of versions: each is what this binary says of itself.

mod births;
mod build;
mod functions;
mod module;
mod probes;
mod tls;
mod types;
mod unit;

pub use build::{Build, build};
pub use functions::Function;
pub use module::Module;
pub use probes::{Probe, Probed, probes};
pub use tls::tls;
pub use unit::{Goroutines, goroutines};

use crate::Image;

/// Whether Go made this program.
pub fn is_go(image: &Image<'_>) -> bool {
    image.section(".go.buildinfo").is_some() || module::table(image).is_some()
}
