//! `cargo xtask lint`: format, clippy for both sides, documentation, licences.

use anyhow::Result;

use crate::{ebpf, shell};

/// Runs every lint; the first that finds something ends it.
pub fn command() -> Result<()> {
    shell::say("format");
    shell::run(shell::host_cargo().args(["fmt", "--all", "--check"]))?;
    // All that runs in user space: the BPF programs are for another target.
    let host = ["--workspace", "--exclude", "wirespan-ebpf", "--locked"];
    shell::say("clippy");
    shell::run(shell::host_cargo().arg("clippy").args(host).args(["--all-targets", "--", "-D", "warnings"]))?;
    shell::say("documentation");
    shell::run(shell::host_cargo().arg("doc").args(host).arg("--no-deps").env("RUSTDOCFLAGS", "-D warnings"))?;
    ebpf::lint()?;
    if shell::has("cargo-deny") {
        shell::say("licences and sources of dependencies");
        shell::run(shell::host_cargo().args(["deny", "check", "licenses", "bans", "sources"]))?;
    } else {
        shell::say("licences and sources of dependencies are NOT checked: `cargo install cargo-deny` for that");
    }
    Ok(())
}
