//! Debian's kernel packages, unpacked for booting and never installed.

use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use super::initramfs;
use crate::{apt, paths, shell};

/// A kernel that is ready to boot.
pub struct Kernel {
    /// The bootable image.
    pub image: PathBuf,
    /// The first file system.
    pub initramfs: PathBuf,
}

/// The newest packaged kernel of a series such as `6.1`, downloaded at the first call.
pub fn ensure(series: &str) -> Result<Kernel> {
    let package = newest(series)?;
    let folder = paths::target()?.join("vm").join(&package);
    let kernel = Kernel { image: folder.join("vmlinuz"), initramfs: folder.join("initramfs") };
    if !kernel.image.is_file() {
        unpack(&package, &folder, &kernel)?;
    }
    if !kernel.initramfs.is_file() || initramfs::is_outdated(&kernel.initramfs)? {
        initramfs::write(&kernel.initramfs, &folder.join("modules"))?;
    }
    Ok(kernel)
}

/// The name of the newest package of a series; what was downloaded before does when apt knows none.
fn newest(series: &str) -> Result<String> {
    let prefix = format!("linux-image-{series}.");
    let offered = || -> Result<Vec<String>> {
        let names = shell::read(Command::new("apt-cache").args(["pkgnames", &prefix]))?;
        Ok(names.lines().filter(|name| is_plain(name, &prefix)).map(str::to_owned).collect())
    };
    let mut names = offered()?;
    if names.is_empty() {
        apt::refresh();
        names = offered()?;
    }
    let newest = names.into_iter().max_by(|a, b| compare(a, b));
    newest.with_context(|| format!("apt offers no {prefix}*-amd64 here: add Debian 12's sources to it"))
}

/// Whether `name` is the ordinary signed kernel: no cloud or real-time variant, no debug symbols.
fn is_plain(name: &str, prefix: &str) -> bool {
    let version = name.strip_prefix(prefix).and_then(|rest| rest.strip_suffix("-amd64"));
    version.is_some_and(|version| !version.contains(|c: char| c.is_ascii_alphabetic()) || is_backport(version))
}

/// `117+deb12`: the only letters are those of the release.
fn is_backport(version: &str) -> bool {
    version.split_once("+deb").is_some_and(|(patch, release)| {
        let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit());
        digits(patch) && digits(release)
    })
}

/// Compares two names number by number: `6.1.0-9` comes before `6.1.0-10`.
fn compare(a: &str, b: &str) -> Ordering {
    let numbers = |name: &str| -> Vec<u64> {
        name.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
    };
    numbers(a).cmp(&numbers(b))
}

/// Keeps the image and the modules that the first file system needs, of the 400 MB that the package holds.
fn unpack(package: &str, folder: &Path, kernel: &Kernel) -> Result<()> {
    let whole = folder.join("package");
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(&whole).with_context(|| format!("cannot create {}", whole.display()))?;
    shell::say(format!("downloading {package} into {}", folder.display()));
    apt::download(package, folder)?;
    let archive = find(folder, |name| name.ends_with(".deb"))?;
    shell::run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&whole))?;

    let library = if whole.join("usr/lib/modules").is_dir() { whole.join("usr") } else { whole.clone() };
    let release = find(&library.join("lib/modules"), |_| true)?;
    let Some(name) = release.file_name() else { bail!("{package} holds no modules") };
    // The package leaves the index of modules to its installation script.
    shell::run(Command::new(admin("depmod")).arg("-b").arg(&library).arg(name))?;
    initramfs::collect_modules(&release, &folder.join("modules"))?;

    let image = find(&whole.join("boot"), |name| name.starts_with("vmlinuz-"))?;
    fs::rename(&image, &kernel.image).with_context(|| format!("cannot move {}", image.display()))?;
    fs::remove_dir_all(&whole).with_context(|| format!("cannot remove {}", whole.display()))?;
    fs::remove_file(&archive).with_context(|| format!("cannot remove {}", archive.display()))
}

/// An administrator's program, which an ordinary user's `PATH` may lack.
fn admin(program: &str) -> PathBuf {
    let folders = ["/usr/sbin", "/sbin"].iter().map(|folder| Path::new(folder).join(program));
    folders.into_iter().find(|path| path.is_file()).unwrap_or_else(|| program.into())
}

fn find(folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<PathBuf> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let found = entries.flatten().find(|entry| wanted(&entry.file_name().to_string_lossy()));
    Ok(found.with_context(|| format!("{} does not hold what it should", folder.display()))?.path())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ordinary_kernels_are_taken() {
        let taken = ["linux-image-6.1.0-50-amd64", "linux-image-6.1.0-9-amd64"];
        let left = ["linux-image-6.1.0-50-cloud-amd64", "linux-image-6.1.0-50-amd64-dbg", "linux-image-6.12.1-amd64"];
        assert!(taken.iter().all(|name| is_plain(name, "linux-image-6.1.")));
        assert!(!left.iter().any(|name| is_plain(name, "linux-image-6.1.")));
        assert!(is_plain("linux-image-6.12.117+deb12-amd64", "linux-image-6.12."));
        assert!(!is_plain("linux-image-6.12.117+deb12-rt-amd64", "linux-image-6.12."));
    }

    #[test]
    fn versions_compare_as_numbers() {
        assert_eq!(compare("linux-image-6.1.0-9-amd64", "linux-image-6.1.0-10-amd64"), Ordering::Less);
    }
}
