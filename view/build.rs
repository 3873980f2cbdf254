//! Makes a table of the page's files for the server to embed (`$OUT_DIR/assets.rs`).

use std::path::{Path, PathBuf};
use std::{env, fs, process};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Err(message) = list_assets() {
        println!("cargo::error={message}");
        process::exit(1);
    }
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
