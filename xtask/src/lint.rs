//! `cargo xtask lint`: format, clippy for both sides, documentation, licences.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::{ebpf, paths, shell};

/// The version of cargo-deny that is installed.
const DENY: &str = "0.20.2";

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
    let mut deny = shell::cargo(ensure_deny()?);
    shell::run(deny.current_dir(paths::workspace()).args(["--locked", "check", "licenses", "bans", "sources"]))
}

/// cargo-deny, compiled if it is not there.
fn ensure_deny() -> Result<PathBuf> {
    let root = paths::cache()?.join(format!("cargo-deny-{DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() {
        shell::say(format!("compiling cargo-deny {DENY} into {} (about two minutes)", root.display()));
        let mut cargo = shell::host_cargo();
        cargo.args([
            "install",
            "cargo-deny",
            "--quiet",
            "--locked",
            "--version",
            DENY,
            "--no-default-features",
            "--root",
        ]);
        // It runs for seconds: what it takes to compile counts.
        cargo.arg(&root).env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "1").env("CARGO_PROFILE_RELEASE_LTO", "off");
        shell::run(cargo.env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(program)
}
