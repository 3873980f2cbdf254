//! A secret in a place where programs put secrets never gets out, whatever it is and however little is known.

mod commands;
mod sql;
mod urls;
#[path = "../databases/wire.rs"]
#[expect(dead_code, reason = "shared with the tests of databases")]
mod wire;

use proptest::prelude::*;

/// Something that occurs nowhere else: letters and digits, as tokens are made of.
fn secret() -> impl Strategy<Value = String> {
    "kq[a-z]{2,4}[0-9]{4,6}[a-z0-9]{2,12}"
}

/// Fails if `told` contains the secret, whatever its case.
fn assert_hidden(secret: &str, told: &impl std::fmt::Debug, what: &str) {
    let told = format!("{told:?}");
    assert!(!told.to_lowercase().contains(secret), "{secret} of {what}\ngot out: {told}");
}
