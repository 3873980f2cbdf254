//! What tells the requests of this run from all others, also from those of another run on the same machine.

use std::sync::OnceLock;

static MARK: OnceLock<String> = OnceLock::new();

/// The path of every request that is measured: it has our process id in it.
pub fn mark() -> &'static str {
    MARK.get_or_init(|| format!("/wirespan-bench-{}", std::process::id()))
}

/// Takes the mark of the process that started us; too late once [`mark`] was asked.
pub fn inherit(mark: &str) {
    MARK.get_or_init(|| mark.to_owned());
}
