//! Suites and programs that are fetched: Debian packages without installing them, sources, Python environments.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::check::{World, write};
use super::process;

/// How long fetching or installing one thing may take.
const LIMIT: Duration = Duration::from_secs(300);
/// Marks what was fetched whole.
const STAMP: &str = ".complete";

/// A folder of the cache, which `fill` fills once.
pub fn cached(world: &World, name: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let folder = world.cache.join(name);
    if folder.join(STAMP).exists() {
        return Ok(folder);
    }
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    eprintln!("harmless:   fetching {name} into {}", folder.display());
    fill(&folder)?;
    write(&folder.join(STAMP), "")?;
    Ok(folder)
}

/// Runs a command that fetches, unpacks or installs.
pub fn fetch(command: &mut Command, folder: &Path) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    process::run(command, &folder.join("fetch.log"), LIMIT)?.well(&name)
}

/// apt-get as root, which may write into `folder`.
fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").args(["-o", "APT::Sandbox::User=root", "-qq"]);
    command
}

/// Unpacks a Debian package into `folder`, without installing it: nothing of the machine is changed.
pub fn unpack(package: &str, folder: &Path) -> Result<()> {
    let download = || fetch(apt().args(["download", package]).current_dir(folder), folder);
    if download().is_err() {
        fetch(apt().arg("update"), folder)?;
        download()?;
    }
    let file = only_file(folder, ".deb")?;
    fetch(Command::new("dpkg-deb").arg("-x").arg(&file).arg(folder), folder).map(drop)
}

/// Unpacks the upstream archive of a Debian source package into `folder`. apt gets a list of sources of its own, since a machine seldom has `deb-src`.
pub fn unpack_source(package: &str, folder: &Path) -> Result<()> {
    let lists = folder.join("lists");
    fs::create_dir_all(lists.join("partial"))?;
    let (codename, keys) = (codename()?, "/usr/share/keyrings/debian-archive-keyring.gpg");
    let list = folder.join("sources.list");
    write(&list, format!("deb-src [signed-by={keys}] http://deb.debian.org/debian {codename} main\n"))?;
    let ours = || {
        let mut command = apt();
        command.arg("-o").arg(format!("Dir::Etc::sourcelist={}", list.display()));
        command.args(["-o", "Dir::Etc::sourceparts=/dev/null", "-o"]);
        command.arg(format!("Dir::State::lists={}", lists.display())).current_dir(folder);
        command
    };
    fetch(ours().arg("update"), folder)?;
    fetch(ours().args(["source", "--download-only", package]), folder)?;
    let archive = only_file(folder, ".orig.tar.gz")?;
    fetch(Command::new("tar").args(["xzf"]).arg(archive).args(["--strip-components=1", "-C"]).arg(folder), folder)
        .map(drop)
}

fn codename() -> Result<String> {
    let text = fs::read_to_string("/etc/os-release").context("no /etc/os-release")?;
    let line = text.lines().find_map(|line| line.strip_prefix("VERSION_CODENAME="));
    Ok(line.context("this system has no code name: not Debian?")?.trim_matches('"').to_owned())
}

/// The only file whose name ends so.
pub fn only_file(folder: &Path, end: &str) -> Result<PathBuf> {
    let names = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut files = names.flatten().map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(end));
    files.next().with_context(|| format!("no file {end} in {}", folder.display()))
}

/// A program that the full form needs; `xtask` installs its package.
pub fn needed(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut folders = std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]);
    match folders.find(|folder| folder.join(program).is_file()) {
        Some(folder) => Ok(folder.join(program)),
        None => bail!("{program} is not there: `cargo xtask harmless` installs it, package {package}"),
    }
}
