//! Real programs as shipped, each on a port of its own with a generated configuration.

pub mod brokers;
pub mod celery;
pub mod clients;
pub mod databases;
pub mod failing;
pub mod gunicorn;
pub mod java;
pub mod loops;
pub mod nginx;
pub mod node;
pub mod php;
pub mod python;
pub mod tls;
pub mod tls_proxies;
pub mod uwsgi;
pub mod workers;

use std::fs;
use std::path::{Path, PathBuf};

/// Copies a program of `tests/services` into the test's directory, so that what surrounds it here (a `package.json`,
/// byte-code caches) has no part in the test.
pub fn install(name: &str, dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("services").join(name);
    let target = dir.join(name);
    if !target.exists() {
        fs::copy(&source, &target).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
    }
    target
}
