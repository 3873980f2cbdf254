//! gunicorn with Flask applications: `shop:app`, `stack:app`, `desk:app`.

use std::path::PathBuf;
use std::process::Command;

use crate::program::Program;
use crate::python;
use crate::scene::Scene;
use crate::services::install;

/// How gunicorn runs its handlers.
#[derive(Clone, Copy, Debug)]
pub enum Worker {
    /// One process, one request at a time.
    Sync,
    /// One process, a pool of threads.
    Threads(usize),
}

/// A running gunicorn.
pub struct Gunicorn {
    /// The process.
    pub program: Program,
    /// Where it listens; 0 on a Unix socket.
    pub port: u16,
}

impl Gunicorn {
    /// On a port, calling `downstream` (a URL without a path, or nothing).
    pub fn start(scene: &Scene, worker: Worker, downstream: &str) -> Self {
        Self::start_at(scene, worker, |_| downstream.to_owned())
    }

    /// Like [`Gunicorn::start`], for a `downstream` that depends on its own port.
    pub fn start_at(scene: &Scene, worker: Worker, downstream: impl Fn(u16) -> String) -> Self {
        let port = scene.port();
        let bind = format!("127.0.0.1:{port}");
        let program = spawn(scene, worker, &bind, &downstream(port), port).listens_on(port);
        Self { program, port }
    }

    /// The application `stack:app` with one worker, told by variables where what it stands on listens.
    pub fn stack(scene: &Scene, environment: &[(&str, u16)]) -> Self {
        let port = scene.port();
        install("stack.py", scene.dir());
        install("tasks.py", scene.dir());
        let mut command = command(scene, Worker::Sync, &format!("127.0.0.1:{port}"));
        command.envs(environment.iter().map(|(name, port)| (name, port.to_string()))).arg("stack:app");
        let program = Program::start(&format!("gunicorn-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// An application whose files are there already, on this port.
    pub fn application(scene: &Scene, name: &str, worker: Worker, port: u16, environment: &[(&str, String)]) -> Self {
        let mut command = command(scene, worker, &format!("127.0.0.1:{port}"));
        command.envs(environment.iter().map(|(name, value)| (name, value))).arg(name);
        let program = Program::start(&format!("gunicorn-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// On a Unix socket; also gives its path.
    pub fn at_unix_socket(scene: &Scene, worker: Worker) -> (Self, PathBuf) {
        let path = scene.dir().join("shop.sock");
        let program = spawn(scene, worker, &format!("unix:{}", path.display()), "", 0).listens_at(&path);
        (Self { program, port: 0 }, path)
    }

    /// A URL on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn spawn(scene: &Scene, worker: Worker, bind: &str, downstream: &str, port: u16) -> Program {
    install("shop.py", scene.dir());
    let mut command = command(scene, worker, bind);
    command.env("DOWNSTREAM", downstream).arg("shop:app");
    Program::start(&format!("gunicorn-{port}"), scene.dir(), &mut command)
}

fn command(scene: &Scene, worker: Worker, bind: &str) -> Command {
    let mut command = Command::new(python::bin("gunicorn"));
    command.current_dir(scene.dir()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["--bind", bind, "--workers", "1", "--timeout", "60", "--no-control-socket"]);
    match worker {
        Worker::Sync => command.args(["--worker-class", "sync"]),
        Worker::Threads(n) => command.args(["--worker-class", "gthread", "--threads", &n.to_string()]),
    };
    command
}
