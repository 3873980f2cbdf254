//! A check, what it gives, and the world it runs in.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use tempfile::TempDir;

/// What each test of a check said, by the test's name: `passed`, a hash, a whole transcript. Nothing in it may differ between two
/// runs of a program that nobody disturbs.
pub type Outcome = BTreeMap<String, String>;

/// One thing that is run without and with the agent.
pub struct Check {
    /// Its name, for `--only`.
    pub name: &'static str,
    /// What it runs, in a sentence.
    pub what: &'static str,
    /// Whether the short form has it.
    pub short: bool,
    /// How it runs.
    pub kind: Kind,
}

/// How a check runs.
pub enum Kind {
    /// The same run without and with the agent gives the same outcome.
    Paired(fn(&World, &Selection) -> Result<Run>),
    /// A run that starts and torments agents itself, and says what failed.
    Chaos(fn(&World) -> Result<Ordeal>),
}

/// Tests to run again; none means all.
#[derive(Default)]
pub struct Selection(pub Vec<String>);

impl Selection {
    /// Whether `test` is to be run.
    pub fn has(&self, test: &str) -> bool {
        self.0.is_empty() || self.0.iter().any(|name| name == test)
    }
}

/// What a paired run gives.
#[derive(Default)]
pub struct Run {
    /// What each test said.
    pub outcome: Outcome,
    /// What was left out, and why; told once.
    pub left_out: Vec<String>,
    /// What every result must contain without the agent: what is wrong by itself would otherwise pass as equal on both sides. Suites
    /// of others may have tests that fail on this machine.
    pub sound: Option<&'static str>,
}

impl Run {
    /// An error that names the results that are not sound.
    pub fn ensure_sound(&self) -> Result<()> {
        let Some(text) = self.sound else { return Ok(()) };
        let unsound: Vec<_> = self.outcome.iter().filter(|(_, said)| !said.contains(text)).collect();
        anyhow::ensure!(unsound.is_empty(), "{} results are wrong without the agent: {unsound:?}", unsound.len());
        Ok(())
    }
}

/// What a chaos run gives.
#[derive(Default)]
pub struct Ordeal {
    /// Requests made, all checked.
    pub requests: u64,
    /// What failed; empty is what is hoped for.
    pub harms: Vec<String>,
    /// Measurements: name and value with unit.
    pub figures: Vec<(String, String)>,
}

/// Where checks run.
pub struct World {
    /// The short form.
    pub short: bool,
    /// The agent under test.
    pub binary: PathBuf,
    /// What is fetched once: suites, Python environments.
    pub cache: PathBuf,
    /// Where the table and the JSON go.
    pub results: PathBuf,
    /// The directory of this run, which every user may enter.
    dir: TempDir,
}

impl World {
    /// A world with a directory of its own.
    pub fn new(short: bool) -> Result<Self> {
        let dir = tempfile::Builder::new().prefix("wirespan-harmless-").tempdir().context("no temporary directory")?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        let target = target()?;
        let binary = std::env::var_os("WIRESPAN_BIN").map_or_else(|| target.join("release/wirespan"), PathBuf::from);
        anyhow::ensure!(binary.is_file(), "{} is not there: run `cargo xtask build`", binary.display());
        let results = target.join("harmless");
        let cache = results.join("cache");
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        Ok(Self { short, binary, cache, results, dir })
    }

    /// A directory of this run, made if it is not there.
    pub fn folder(&self, name: &str) -> Result<PathBuf> {
        let folder = self.dir.path().join(name);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(folder)
    }

    /// Writes programs of ours into a directory of this run.
    pub fn install(&self, name: &str, files: &[(&str, &str)]) -> Result<PathBuf> {
        let folder = self.folder(name)?;
        for (file, text) in files {
            write(&folder.join(file), text)?;
        }
        Ok(folder)
    }
}

/// Writes a file, with its path in the error.
pub fn write(path: &Path, text: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Cargo's target directory, in which this program lies: `<target>/<profile>/wirespan-rulers`.
fn target() -> Result<PathBuf> {
    let exe = std::env::current_exe().context("the path of this program")?;
    let target = exe.ancestors().nth(2).context("this program lies in no target directory")?;
    Ok(target.to_owned())
}
