//! The guest's first file system: busybox, the modules that reach the host's files, and `init`.
//!
//! Format: cpio "newc", Linux `Documentation/driver-api/early-userspace/buffer-format.rst`.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::shell;

const INIT: &str = include_str!("init.sh");
const BUSYBOX: &str = "/bin/busybox";

/// What must be loaded before the host's files can be seen. Dependencies come by themselves.
const MODULES: [&str; 6] = ["virtio_pci", "virtio_console", "virtio_rng", "overlay", "9p", "9pnet_virtio"];

/// Whether `archive` was made with another `init` than ours.
pub fn is_outdated(archive: &Path) -> Result<bool> {
    let bytes = fs::read(archive).with_context(|| format!("cannot read {}", archive.display()))?;
    Ok(!bytes.windows(INIT.len()).any(|window| window == INIT.as_bytes()))
}

/// Copies [`MODULES`] and what they depend on, out of `release` (`lib/modules/VERSION`) into `folder`, decompressed; the
/// file `order` lists them as they must be loaded.
pub fn collect_modules(release: &Path, folder: &Path) -> Result<()> {
    let index = release.join("modules.dep");
    let index = fs::read_to_string(&index).with_context(|| format!("cannot read {}", index.display()))?;
    fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let mut order = Vec::new();
    for module in MODULES {
        for file in with_dependencies(&index, module) {
            if !order.contains(&file) {
                order.push(file);
            }
        }
    }
    let mut names = String::new();
    for file in order {
        let name = stem(&file);
        let copy = folder.join(&name);
        let from = release.join(&file);
        let bytes = if file.ends_with(".xz") {
            shell::capture(Command::new("xz").arg("-dc").arg(&from))?.stdout
        } else {
            fs::read(&from).with_context(|| format!("cannot read {}", from.display()))?
        };
        fs::write(&copy, bytes).with_context(|| format!("cannot write {}", copy.display()))?;
        names.push_str(&name);
        names.push('\n');
    }
    fs::write(folder.join("order"), names).context("cannot write the order of the modules")
}

/// The files to load for `module`, dependencies first; none if it is built into the kernel.
fn with_dependencies(index: &str, module: &str) -> Vec<String> {
    let wanted = |file: &str| stem(file).trim_end_matches(".ko").replace('-', "_") == module;
    let line = index.lines().filter_map(|line| line.split_once(':')).find(|(file, _)| wanted(file));
    // modules.dep lists all dependencies, the deepest last.
    let Some((file, needs)) = line else { return Vec::new() };
    needs.split_whitespace().rev().chain([file]).map(str::to_owned).collect()
}

fn stem(file: &str) -> String {
    let name = file.rsplit('/').next().unwrap_or(file);
    name.trim_end_matches(".xz").to_owned()
}

/// Writes the archive.
pub fn write(path: &Path, modules: &Path) -> Result<()> {
    let mut archive = Archive::default();
    for folder in ["bin", "dev", "proc", "sys", "lower", "upper", "root", "modules"] {
        archive.folder(folder);
    }
    archive.file("init", 0o755, INIT.as_bytes());
    let busybox = fs::read(BUSYBOX).with_context(|| format!("cannot read {BUSYBOX}"))?;
    archive.file("bin/busybox", 0o755, &busybox);
    for file in sorted(modules)? {
        let Some(name) = file.file_name() else { continue };
        let bytes = fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?;
        archive.file(&format!("modules/{}", name.to_string_lossy()), 0o644, &bytes);
    }
    let mut out = fs::File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
    out.write_all(&archive.finish()).with_context(|| format!("cannot write {}", path.display()))
}

fn sorted(folder: &Path) -> Result<BTreeSet<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let files: BTreeSet<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    if files.is_empty() {
        bail!("{} holds no modules: remove its parent folder and try again", folder.display());
    }
    Ok(files)
}

/// A cpio archive in the making.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn folder(&mut self, name: &str) {
        self.entry(name, 0o040_755, &[]);
    }

    fn file(&mut self, name: &str, permissions: u32, content: &[u8]) {
        self.entry(name, 0o100_000 | permissions, content);
    }

    fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, &[]);
        self.bytes
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entries += 1;
        // ino, mode, uid, gid, nlink, mtime, filesize, devmajor, devminor, rdevmajor, rdevminor, namesize, check.
        let name_size = name.len() + 1;
        let fields = [self.entries as usize, mode as usize, 0, 0, 1, 0, content.len(), 0, 0, 0, 0, name_size, 0];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes.extend_from_slice(format!("{field:08x}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend_from_slice(content);
        self.align();
    }

    /// Names and contents begin at multiples of four.
    fn align(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_are_loaded_before_what_needs_them() {
        let index = "kernel/fs/9p/9p.ko.xz: kernel/net/9p/9pnet.ko.xz kernel/fs/netfs/netfs.ko.xz\n\
                     kernel/drivers/char/hw_random/virtio-rng.ko: \n";
        let files = with_dependencies(index, "9p");
        assert_eq!(files, ["kernel/fs/netfs/netfs.ko.xz", "kernel/net/9p/9pnet.ko.xz", "kernel/fs/9p/9p.ko.xz"]);
        assert_eq!(with_dependencies(index, "virtio_rng").len(), 1);
        assert!(with_dependencies(index, "overlay").is_empty());
    }

    #[test]
    fn an_archive_is_aligned_and_ends_with_its_trailer() {
        let mut archive = Archive::default();
        archive.file("a", 0o644, b"12345");
        let bytes = archive.finish();
        assert!(bytes.len().is_multiple_of(4));
        assert!(bytes.starts_with(b"070701"));
        assert!(bytes.windows(10).any(|window| window == b"TRAILER!!!"));
    }
}
