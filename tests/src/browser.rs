//! The agent's page in Debian's Chromium: programs of `tests/browser`, which Node runs and Playwright drives.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::node_modules;
use crate::program::Program;
use crate::scene::Scene;

/// How long one of the programs may take.
const DEADLINE: Duration = Duration::from_secs(240);

/// Where the programs are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("browser")
}

/// A command that runs one of them against the page at `page`.
pub fn command(script: &str, page: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(folder().join(script)).env("PAGE", page).env("NODE_PATH", node_modules::folder());
    command
}

/// Runs one to its end, and prints what it measured; every test in it must pass.
pub fn run(scene: &Scene, script: &str, page: &str, environment: &[(&str, &str)]) {
    let mut command = command(script, page);
    command.envs(environment.iter().copied());
    let mut program = Program::start(script, scene.dir(), &mut command);
    let status = program.wait(DEADLINE);
    assert!(status.is_some_and(|status| status.success()), "{script} ended with {status:?}:\n{}", program.log());
    println!("{}", program.log());
}
