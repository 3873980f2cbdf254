//! The JDK's `HttpServer` on a fixed thread pool, packed as `payments.jar`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::agent::target_dir;
use crate::program::Program;
use crate::scene::Scene;

/// The program's source.
const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/Payments.java");

/// `java -jar payments.jar`.
pub struct Java {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Java {
    /// Each request calls `downstream` (a URL without a path), if it is given, from the thread that answers.
    pub fn payments(scene: &Scene, downstream: &str) -> Self {
        let jar = jar().unwrap_or_else(|e| panic!("payments.jar cannot be built: {e:#}"));
        let port = scene.port();
        let mut command = Command::new("java");
        command.current_dir(scene.dir()).args(["-XX:TieredStopAtLevel=1", "-Xmx64m", "-jar"]).arg(jar);
        command.arg(port.to_string());
        if !downstream.is_empty() {
            command.arg(downstream);
        }
        let program = Program::start(&format!("java-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// A URL on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// The archive, built when the source is newer.
fn jar() -> anyhow::Result<PathBuf> {
    let home = target_dir().join("test-services/java");
    fs::create_dir_all(&home)?;
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    let jar = home.join("payments.jar");
    let age = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    if age(&jar) <= age(Path::new(SOURCE)) {
        run(Command::new("javac").arg("-d").arg(&home).arg(SOURCE))?;
        run(Command::new("jar").arg("cfe").arg(&jar).args(["Payments", "-C"]).arg(&home).arg("Payments.class"))?;
    }
    Ok(jar)
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
