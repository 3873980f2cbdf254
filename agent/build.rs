//! Puts what the agent embeds where it can: the BPF object that `cargo xtask build` made (`$OUT_DIR/wirespan-ebpf`), and a
//! table of the local view's files (`$OUT_DIR/assets.rs`).
//!
//! The object is `$EBPF_OBJECT` (for packagers) or `ebpf/wirespan-ebpf` in the target folder. Without it the agent still
//! compiles, so that editors, clippy and unit tests need no BPF toolchain; the file is then empty, and the agent says at
//! run time what to do.

use std::path::{Path, PathBuf};
use std::{env, fs, process};

fn main() {
    if let Err(message) = embed().and_then(|()| list_assets()) {
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

/// Media types of the files that are served; any other file in `web/` is for those who work on it.
const MEDIA_TYPES: [(&str, &str); 6] = [
    ("html", "text/html; charset=utf-8"),
    ("css", "text/css; charset=utf-8"),
    ("js", "text/javascript; charset=utf-8"),
    ("svg", "image/svg+xml"),
    ("png", "image/png"),
    ("webmanifest", "application/manifest+json"),
];

/// Writes a slice of (path below `web/`, media type, contents).
fn list_assets() -> Result<(), String> {
    let web = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").ok_or("cargo set no CARGO_MANIFEST_DIR")?).join("web");
    println!("cargo::rerun-if-changed={}", web.display());
    let mut files = Vec::new();
    collect(&web, &mut files).map_err(|error| format!("{} cannot be read: {error}", web.display()))?;
    files.sort();
    let mut table = String::from("&[\n");
    for file in &files {
        let extension = file.extension().and_then(|extension| extension.to_str());
        let Some((_, media)) = MEDIA_TYPES.iter().find(|(known, _)| Some(*known) == extension) else { continue };
        let name = file.strip_prefix(&web).map_err(|error| error.to_string())?;
        table.push_str(&format!("    ({:?}, {media:?}, include_bytes!({:?})),\n", name.display().to_string(), file));
    }
    table.push_str("]\n");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("cargo set no OUT_DIR")?).join("assets.rs");
    fs::write(&out, table).map_err(|error| format!("{} cannot be written: {error}", out.display()))
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => collect(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}
