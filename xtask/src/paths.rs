//! Where the workspace and its results are.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder of the workspace's `Cargo.toml`.
pub fn workspace() -> PathBuf {
    // Cargo sets the variable when it runs us; the constant serves a binary started by hand.
    let package = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let package = PathBuf::from(package);
    package.parent().map(Path::to_owned).unwrap_or(package)
}

/// The folder that holds everything built: `CARGO_TARGET_DIR`, or `target` in the workspace.
pub fn target() -> Result<PathBuf> {
    let folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from);
    std::path::absolute(&folder).with_context(|| format!("{} is no usable folder", folder.display()))
}

/// What outlives a `cargo clean` and is shared between clones, such as the BPF linker.
pub fn cache() -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("XDG_CACHE_HOME") {
        return Ok(PathBuf::from(folder).join("wirespan"));
    }
    let home = std::env::var_os("HOME").context("neither XDG_CACHE_HOME nor HOME is set: set one")?;
    Ok(PathBuf::from(home).join(".cache/wirespan"))
}

/// The agent as `cargo xtask build` leaves it.
pub fn agent() -> Result<PathBuf> {
    Ok(target()?.join("release/wirespan"))
}

/// The BPF object for `arch`, where `agent/build.rs` looks for this machine's.
pub fn ebpf_object(arch: &str) -> Result<PathBuf> {
    let folder = target()?.join("ebpf");
    Ok(if arch == std::env::consts::ARCH {
        folder.join("wirespan-ebpf")
    } else {
        folder.join(format!("wirespan-ebpf-{arch}"))
    })
}
