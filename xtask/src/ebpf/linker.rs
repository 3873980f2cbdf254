//! Finds or installs bpf-linker, which turns LLVM bitcode into a BPF object.
//!
//! Its LLVM must not be older than the compiler's. Where apt has LLVM 22, it is compiled against that; elsewhere the
//! project's own release, which carries its LLVM inside, is downloaded.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{apt, paths, shell};

const VERSION: &str = "0.13.0";
const LLVM_PACKAGE: &str = "llvm-22-dev";
const LLVM_PREFIX: &str = "/usr/lib/llvm-22";

/// The linker's path, after installing it if it was missing.
pub fn ensure() -> Result<PathBuf> {
    let root = paths::cache()?.join(format!("bpf-linker-{VERSION}"));
    let linker = root.join("bin/bpf-linker");
    if linker.is_file() {
        return Ok(linker);
    }
    if shell::has("apt-cache") && apt::offers(LLVM_PACKAGE) {
        compile(&root)?;
    } else {
        download(&root)?;
    }
    if !linker.is_file() {
        bail!("bpf-linker {VERSION} was installed, and yet {} is not there", linker.display());
    }
    Ok(linker)
}

fn compile(root: &Path) -> Result<()> {
    apt::ensure(&[LLVM_PACKAGE, "g++"], "compiling bpf-linker")?;
    shell::say(format!("compiling bpf-linker {VERSION} into {} (about a minute)", root.display()));
    let mut cargo = shell::host_cargo();
    cargo
        .args(["install", "bpf-linker", "--quiet", "--locked", "--version", VERSION])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(root)
        .env("LLVM_PREFIX", LLVM_PREFIX)
        // The workspace's own target folder would keep half a gigabyte that nobody needs again.
        .env_remove("CARGO_TARGET_DIR");
    shell::run(&mut cargo).with_context(|| format!("bpf-linker {VERSION} does not build against {LLVM_PREFIX}"))
}

fn download(root: &Path) -> Result<()> {
    let arch = std::env::consts::ARCH;
    let name = format!("bpf-linker-{arch}-unknown-linux-musl.tar.zst");
    let url = format!("https://github.com/aya-rs/bpf-linker/releases/download/v{VERSION}/{name}");
    apt::ensure(&["curl", "zstd"], "downloading bpf-linker")?;
    shell::say(format!("downloading {url}"));
    let folder = root.join("bin");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let archive = root.join(name);
    shell::run(Command::new("curl").args(["-fsSL", "--retry", "3", "-o"]).arg(&archive).arg(&url))
        .with_context(|| format!("bpf-linker {VERSION} cannot be downloaded, and apt has no {LLVM_PACKAGE}"))?;
    shell::run(Command::new("tar").arg("--zstd").arg("-xf").arg(&archive).arg("-C").arg(&folder))?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}
