//! Puts what the agent embeds where it can: the BPF object that `cargo xtask build` made (`$OUT_DIR/wirespan-ebpf`).
//!
//! The object is `$EBPF_OBJECT` (for packagers) or `ebpf/wirespan-ebpf` in the target folder. Without it the agent still
//! compiles, so that editors, clippy and unit tests need no BPF toolchain; the file is then empty, and the agent says at
//! run time what to do.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

fn main() {
    if let Err(message) = embed() {
        println!("cargo::error={message}");
        process::exit(1);
    }
}

fn embed() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=EBPF_OBJECT");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo set no OUT_DIR")?);
    let bytes = match env::var_os("EBPF_OBJECT") {
        Some(chosen) => {
            let chosen = PathBuf::from(chosen);
            println!("cargo::rerun-if-changed={}", chosen.display());
            fs::read(&chosen).map_err(|error| format!("EBPF_OBJECT={} cannot be read: {error}", chosen.display()))?
        }
        None => default_object(&out)?,
    };
    let copy = out.join("wirespan-ebpf");
    fs::write(&copy, bytes).map_err(|error| format!("{} cannot be written: {error}", copy.display()))
}

/// The object that xtask left, or nothing when there is none.
fn default_object(out: &Path) -> Result<Vec<u8>, String> {
    // OUT_DIR is some folders below the target folder: how many, cargo does not promise.
    let candidates: Vec<PathBuf> = out.ancestors().skip(3).take(4).map(|dir| dir.join("ebpf/wirespan-ebpf")).collect();
    if let Some(object) = candidates.iter().find(|object| object.is_file()) {
        println!("cargo::rerun-if-changed={}", object.display());
        return fs::read(object).map_err(|error| format!("{} cannot be read: {error}", object.display()));
    }
    // A missing file counts as changed, so the next build looks again.
    for candidate in &candidates {
        println!("cargo::rerun-if-changed={}", candidate.display());
    }
    println!("cargo::warning=wirespan is built without its BPF programs: run `cargo xtask build`");
    Ok(Vec::new())
}
