//! Where stacks find their sources and keep what is made of them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

/// The folders that a stack's `prepare` works with.
pub struct Place {
    programs: PathBuf,
    made: PathBuf,
}

impl Place {
    /// Sources of this workspace; what is made of them goes below `<target>/accuracy-stacks`.
    pub fn new(target: &Path) -> Self {
        let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("programs");
        Self { programs, made: target.join("accuracy-stacks") }
    }

    /// The sources of a family, `rulers/programs/<family>`.
    pub fn sources(&self, family: &str) -> PathBuf {
        self.programs.join(family)
    }

    /// A folder for what is made and needs no stamp.
    pub fn made(&self, name: &str) -> PathBuf {
        self.made.join(name)
    }

    /// Makes something of a family's sources once: calls `make` with the folder for it, unless that folder was made of the
    /// very same files (names and contents). Returns the folder.
    ///
    /// # Errors
    ///
    /// When `make` fails, or a folder cannot be written.
    pub fn made_once(&self, family: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let folder = self.made.join(family);
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let lock = File::create(self.made.join(format!("{family}.lock")))?;
        lock.lock()?;
        let (stamp, wanted) = (self.made.join(format!("{family}.stamp")), contents(&self.sources(family))?);
        if fs::read(&stamp).is_ok_and(|found| found == wanted) {
            return Ok(folder);
        }
        eprintln!("preparing {family} in {} (once)", folder.display());
        make(&folder).with_context(|| format!("preparing {family}"))?;
        fs::write(stamp, wanted)?;
        Ok(folder)
    }
}

/// Names and contents of all files below `folder`, in a fixed order.
fn contents(folder: &Path) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut entries: Vec<_> = fs::read_dir(folder).with_context(|| folder.display().to_string())?.flatten().collect();
    entries.sort_by_key(fs::DirEntry::path);
    for entry in entries {
        all.extend_from_slice(entry.path().as_os_str().as_encoded_bytes());
        all.push(0);
        if entry.path().is_dir() {
            all.extend(contents(&entry.path())?);
        } else {
            all.extend(fs::read(entry.path())?);
        }
    }
    Ok(all)
}

/// Runs a command to its end.
///
/// # Errors
///
/// When it cannot be started or fails.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// What a command prints, e.g. its version, without white space around it.
///
/// # Errors
///
/// When it cannot be started or fails.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    ensure!(output.status.success(), "{command:?} ended with {}", output.status);
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}
