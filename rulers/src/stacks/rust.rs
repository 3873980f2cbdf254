//! Rust: axum and reqwest on tokio. A workspace of its own, so that its dependencies are not ours.

use std::process::{Command, Stdio};

use anyhow::Result;

use super::{Place, Prepared, Shape, Stack, Start, output, run};

/// Every stack of this family.
pub const STACKS: &[Stack] = &[Stack {
    name: "rust-axum",
    title: "Rust: axum, reqwest, tokio with many threads",
    mode: "",
    shapes: &Shape::USUAL,
    left_out: &[],
    serves: None,
    passes_through: false,
    cheap: true,
    limits: "tasks wander between threads, and each connection of the client is driven by a task of its own",
    prepare,
    start,
}];

fn prepare(place: &Place) -> Result<Prepared> {
    let manifest = place.sources("rust").join("Cargo.toml");
    let home = place.made_once("rust", |folder| {
        let mut cargo = cargo();
        cargo.args(["build", "--quiet", "--release", "--locked", "--manifest-path"]).arg(&manifest);
        run(cargo.arg("--target-dir").arg(folder).stdin(Stdio::null()).stdout(std::io::stderr()))
    })?;
    // `rustc 1.95.0 (f2d3ce0bd 2026-03-21)`
    let version = output(Command::new("rustc").arg("--version"))?;
    let version = version.split_whitespace().nth(1).unwrap_or(&version).to_owned();
    Ok(Prepared { program: home.join("release/hops"), home, versions: vec![("Rust".into(), version)] })
}

/// Cargo, free of what the cargo around us set for another package.
fn cargo() -> Command {
    let mut command = Command::new("cargo");
    for (name, _) in std::env::vars_os() {
        let foreign = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_ENCODED_"];
        let text = name.to_string_lossy();
        if foreign.iter().any(|prefix| text.starts_with(prefix)) || text == "RUSTFLAGS" {
            command.env_remove(&name);
        }
    }
    command
}

fn start(prepared: &Prepared, _: &Start<'_>) -> Result<Command> {
    Ok(Command::new(&prepared.program))
}
