//! `cargo xtask lint`: format, clippy for both sides, documentation, licences.

use std::process::Command;

use anyhow::{Result, bail};

use crate::{ebpf, shell};

/// All that runs in user space: the BPF programs are for another target.
const HOST: [&str; 4] = ["--workspace", "--exclude", "wirespan-ebpf", "--locked"];

/// Runs every lint, whatever the others find.
pub fn command() -> Result<()> {
    let mut found = Vec::new();
    let mut lint = |name: &'static str, run: &dyn Fn() -> Result<()>| {
        shell::say(name);
        if let Err(error) = run() {
            shell::say(format!("{error:#}"));
            found.push(name);
        }
    };
    lint("format", &|| shell::run(cargo("fmt").args(["--all", "--check"])));
    lint("clippy", &|| shell::run(cargo("clippy").args(HOST).args(["--all-targets", "--", "-D", "warnings"])));
    lint("documentation", &|| shell::run(cargo("doc").args(HOST).arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings")));
    lint("clippy for the BPF programs", &ebpf::lint);
    lint("licences and sources of dependencies", &licences);
    if !found.is_empty() {
        bail!("not clean: {}", found.join(", "));
    }
    Ok(())
}

fn cargo(verb: &str) -> Command {
    let mut command = shell::host_cargo();
    command.arg(verb);
    command
}

fn licences() -> Result<()> {
    if shell::has("cargo-deny") {
        return shell::run(cargo("deny").args(["check", "licenses", "bans", "sources"]));
    }
    // Compiling it takes longer than everything else together.
    shell::say("cargo-deny is not installed, so these are NOT checked: `cargo install cargo-deny --locked`");
    Ok(())
}
