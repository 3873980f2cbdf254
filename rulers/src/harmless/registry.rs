//! Every check there is.

use super::check::{Check, Kind};
use super::{sockets, transfers};

/// In the order in which they run.
static CHECKS: &[Check] = &[
    Check {
        name: "sockets",
        what: "socket semantics: transcripts of programs of ours, one case each",
        short: true,
        kind: Kind::Paired(sockets::run),
    },
    Check {
        name: "transfers",
        what: "files through nginx, Python and curl: sendfile, splice, chunked, TLS, keep-alive, uploads; SHA-256",
        short: true,
        kind: Kind::Paired(transfers::run),
    },
];

/// The checks of a form, or those among all whose names contain one of `only`.
pub fn chosen(short: bool, only: &[String]) -> Vec<&'static Check> {
    let named = |check: &Check| only.iter().any(|name| check.name.contains(name.as_str()));
    CHECKS.iter().filter(|check| if only.is_empty() { !short || check.short } else { named(check) }).collect()
}
