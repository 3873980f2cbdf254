//! Builds the package `wirespan-ebpf` into one BPF object per architecture.
//!
//! Plain cargo cannot: the target needs an unstable compiler, its own linker and a `core` of its own. See
//! `docs/decisions/001-bpf-build.md`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};

use crate::{paths, shell};

mod linker;
mod toolchain;

/// A machine on whose kernel the programs are to run.
///
/// BPF byte code is the same everywhere; what differs is where the kernel keeps a system call's arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Arch {
    /// Intel and AMD, 64 bits.
    #[value(name = "x86_64")]
    X86_64,
    /// Arm, 64 bits.
    Aarch64,
}

impl Arch {
    /// The name that `aya-ebpf` knows it by.
    fn name(self) -> &'static str {
        match self {
            Self::X86_64 => "x86_64",
            Self::Aarch64 => "aarch64",
        }
    }

    fn host() -> Self {
        if cfg!(target_arch = "aarch64") { Self::Aarch64 } else { Self::X86_64 }
    }
}

/// What `cargo xtask build-ebpf` takes.
#[derive(Args)]
pub struct Options {
    /// Build for this architecture instead of this machine's.
    #[arg(long)]
    arch: Option<Arch>,
}

/// `cargo xtask build-ebpf`.
pub fn command(options: &Options) -> Result<()> {
    let object = build(options.arch.unwrap_or(Arch::host()))?;
    println!("{}", object.display());
    Ok(())
}

/// Installs the compiler and the linker, if they are missing.
pub fn setup() -> Result<()> {
    let toolchain = toolchain::ensure()?;
    let linker = linker::ensure()?;
    shell::say(format!("the BPF toolchain is {toolchain} with {}", linker.display()));
    Ok(())
}

/// Builds this machine's object, unless it is there and newer than its sources.
pub fn build_host() -> Result<PathBuf> {
    build(Arch::host())
}

/// Clippy for every architecture, and the objects of those that are not this machine's.
pub fn lint() -> Result<()> {
    let toolchain = toolchain::ensure()?;
    toolchain.ensure_clippy()?;
    let linker = linker::ensure()?;
    for arch in [Arch::X86_64, Arch::Aarch64] {
        shell::say(format!("  for {}", arch.name()));
        let mut clippy = toolchain.clippy();
        options(&mut clippy, arch, &linker)?;
        shell::run(clippy.args(["--", "-D", "warnings"]))?;
        build(arch)?;
    }
    Ok(())
}

fn build(arch: Arch) -> Result<PathBuf> {
    let toolchain = toolchain::ensure()?;
    let linker = linker::ensure()?;
    let folder = folder(arch)?;
    if !folder.exists() {
        shell::say(format!("building the BPF programs for {} with {toolchain} (about half a minute)", arch.name()));
    }
    let mut cargo = toolchain.cargo();
    options(cargo.arg("build"), arch, &linker)?;
    shell::run(&mut cargo).context("the BPF programs do not build")?;
    publish(arch, &folder.join(toolchain::TARGET).join("release/wirespan-ebpf"))
}

/// A folder per architecture: switching must not rebuild everything.
fn folder(arch: Arch) -> Result<PathBuf> {
    Ok(paths::target()?.join("bpf").join(arch.name()))
}

/// What the linker, which makes the machine code, is told. Without the second, each run of noughts is a call of a `memset` that goes
/// byte by byte, on a hot path and with stack of its own.
const LINKER: &str = "-Clink-arg=--btf\x1f-Clink-arg=--disable-expand-memcpy-in-order";

/// What `cargo build` and `cargo clippy` must be told alike.
fn options(cargo: &mut Command, arch: Arch, linker: &Path) -> Result<()> {
    cargo
        .args(["--quiet", "--locked", "--release", "--package", "wirespan-ebpf", "--bins"])
        .args(["--target", toolchain::TARGET])
        .arg("--target-dir")
        .arg(folder(arch)?)
        .env("CARGO_TARGET_BPFEL_UNKNOWN_NONE_LINKER", linker)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            format!("--cfg=bpf_target_arch=\"{}\"\x1f-Cdebuginfo=2\x1f{LINKER}", arch.name()),
        );
    Ok(())
}

/// Puts the object where the agent's build looks for it, and leaves an equal one alone: a new time stamp would rebuild
/// the agent.
fn publish(arch: Arch, built: &Path) -> Result<PathBuf> {
    let object = paths::ebpf_object(arch.name())?;
    let bytes = fs::read(built).with_context(|| format!("cannot read {}", built.display()))?;
    if fs::read(&object).is_ok_and(|old| old == bytes) {
        return Ok(object);
    }
    if let Some(folder) = object.parent() {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    }
    fs::write(&object, bytes).with_context(|| format!("cannot write {}", object.display()))?;
    Ok(object)
}
