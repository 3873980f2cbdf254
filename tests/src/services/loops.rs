//! Programs on event loops of Python: `tests/services/hops.py` under the servers that people run it with.

use std::path::{Path, PathBuf};
use std::process::Command;

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
}

impl Server {
    fn is_gunicorn(self) -> bool {
        matches!(self, Self::Gunicorn | Self::GunicornUvloop)
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
    /// Starts it, with one process, calling `downstream` (a URL without a path).
    pub fn start(scene: &Scene, server: Server, downstream: &str) -> Self {
        install("hops.py", scene.dir());
        let port = scene.port();
        let mut command = Command::new(bin(if server.is_gunicorn() { "gunicorn" } else { "uvicorn" }));
        command.current_dir(scene.dir()).env("PYTHONDONTWRITEBYTECODE", "1").env("DOWNSTREAM", downstream);
        match server {
            Server::Uvicorn | Server::Httptools => {
                let http = if matches!(server, Server::Uvicorn) { "h11" } else { "httptools" };
                command.args(["--port", &port.to_string(), "--loop", "asyncio", "--http", http, "--no-access-log"]);
            }
            Server::Uvloop => {
                command.args(["--port", &port.to_string(), "--no-access-log"]);
            }
            Server::GunicornUvloop => {
                command.args([
                    "--bind",
                    &format!("127.0.0.1:{port}"),
                    "--worker-class",
                    "uvicorn.workers.UvicornWorker",
                ]);
            }
            Server::Gunicorn => {
                command.args(["--bind", &format!("127.0.0.1:{port}"), "--worker-class", "asgi_worker.Worker"]);
                std::fs::write(scene.dir().join("asgi_worker.py"), WORKER).expect("a module");
            }
        }
        command.arg("hops:app");
        let program = Program::start(&format!("{server:?}-{port}").to_lowercase(), scene.dir(), &mut command);
        Self { program: program.listens_on(port), port }
    }
}

/// A worker on asyncio's own loop.
const WORKER: &str = "from uvicorn.workers import UvicornWorker\n\n\n\
                      class Worker(UvicornWorker):\n    CONFIG_KWARGS = {'loop': 'asyncio'}\n";

/// A program of the environment.
fn bin(name: &str) -> PathBuf {
    let dir = target_dir().join("test-services/venv-async");
    python::ensure_venv_of(Path::new(REQUIREMENTS), &dir)
        .unwrap_or_else(|e| panic!("the Python environment cannot be made: {e:#}"));
    dir.join("bin").join(name)
}
