//! Python programs: the standard library's server, and those of `tests/services` that run on PyPI packages.

use std::path::Path;
use std::process::Command;

use crate::program::Program;
use crate::python;
use crate::scene::Scene;
use crate::services::install;

/// A running Python program.
pub struct Python {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Python {
    /// `python3 -m http.server` in `<dir>/files`.
    pub fn http_server(scene: &Scene) -> Self {
        let files = scene.dir().join("files");
        std::fs::create_dir_all(&files).expect("a directory to serve");
        std::fs::write(files.join("hello.txt"), "hello\n").expect("a file to serve");
        let port = scene.port();
        let mut command = Command::new(python::system());
        command.current_dir(files).args(["-u", "-m", "http.server", &port.to_string(), "--bind", "127.0.0.1"]);
        let program = Program::start(&format!("http.server-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// `python catalog.py`: aiohttp, each request calls `downstream`.
    pub fn catalog(scene: &Scene, downstream: &str) -> Self {
        Self::script(scene, "catalog.py", &[("DOWNSTREAM", downstream)])
    }

    /// `python tables.py`: aiohttp, each request asks PostgreSQL.
    pub fn tables(scene: &Scene, postgres: u16) -> Self {
        let script = install("tables.py", scene.dir());
        let port = scene.port();
        let mut command = Command::new(python::bin("python"));
        command.current_dir(scene.dir()).arg(script).args([port.to_string(), postgres.to_string()]);
        let program = Program::start(&format!("tables-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// `python splicer.py`: sends the files of the test's directory by `splice`.
    pub fn splicer(scene: &Scene) -> Self {
        Self::script(scene, "splicer.py", &[])
    }

    /// `python passer.py`: accepts in one process, answers in another.
    pub fn passer(scene: &Scene) -> Self {
        Self::script(scene, "passer.py", &[])
    }

    /// `python patient.py`: answers late, or with events without end.
    pub fn patient(scene: &Scene) -> Self {
        Self::script(scene, "patient.py", &[])
    }

    /// The same on a Unix socket in the test's directory.
    pub fn patient_at(scene: &Scene, socket: &Path) -> Program {
        let script = install("patient.py", scene.dir());
        let mut command = Command::new(python::bin("python"));
        command.current_dir(scene.dir()).arg(script).arg(socket);
        Program::start("patient.py-unix", scene.dir(), &mut command).listens_at(socket)
    }

    /// `python two_logs.py`: prints exceptions to two files.
    pub fn two_logs(scene: &Scene) -> Self {
        Self::script(scene, "two_logs.py", &[])
    }

    /// `python spender.py`: answers with where the time of each request went, and may call `downstream`.
    pub fn spender(scene: &Scene, downstream: &str) -> Self {
        Self::script(scene, "spender.py", &[("DOWNSTREAM", downstream)])
    }

    /// `python restless.py`: answers, and makes tasks without end.
    pub fn restless(scene: &Scene) -> Self {
        Self::script(scene, "restless.py", &[])
    }

    /// `python chat.py`: a WebSocket server.
    pub fn chat(scene: &Scene) -> Self {
        Self::script(scene, "chat.py", &[])
    }

    /// `python instrumented.py`: Flask with OpenTelemetry's SDK, exporting to `endpoint`.
    pub fn instrumented(scene: &Scene, endpoint: &str) -> Self {
        Self::script(scene, "instrumented.py", &[("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)])
    }

    /// `python sdk_shop.py`: Flask and requests with OpenTelemetry's SDK, exporting to `endpoint` by `protocol`. Each
    /// request of `/order/N` calls `downstream`, if it is given.
    pub fn sdk_shop(scene: &Scene, endpoint: &str, protocol: &str, downstream: &str) -> Self {
        let to = ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        Self::script(scene, "sdk_shop.py", &[to, ("PROTOCOL", protocol), ("DOWNSTREAM", downstream)])
    }

    /// `python stock.py`: a gRPC server with a pool of threads.
    pub fn stock(scene: &Scene) -> Self {
        Self::script(scene, "stock.py", &[])
    }

    /// The same on asyncio.
    pub fn stock_async(scene: &Scene) -> Self {
        Self::script(scene, "stock.py", &[("ASYNC", "1")])
    }

    /// `python teller.py`: a gRPC server with a pool of threads, each call calls `downstream`.
    pub fn teller(scene: &Scene, downstream: &str) -> Self {
        Self::script(scene, "teller.py", &[("DOWNSTREAM", downstream)])
    }

    /// The same on asyncio.
    pub fn teller_async(scene: &Scene, downstream: &str) -> Self {
        Self::script(scene, "teller.py", &[("DOWNSTREAM", downstream), ("ASYNC", "1")])
    }

    /// `proxy`: a forward proxy that understands CONNECT.
    pub fn proxy(scene: &Scene) -> Self {
        let port = scene.port();
        let mut command = Command::new(python::bin("proxy"));
        command.current_dir(scene.dir());
        let data = scene.dir().join("proxy");
        command.args(["--hostname", "127.0.0.1", "--port", &port.to_string(), "--num-workers", "1"]);
        command.args(["--num-acceptors", "1", "--log-level", "w", "--data-dir"]).arg(data);
        let program = Program::start(&format!("proxy-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// `hypercorn spoken:app`: HTTP/2 on asyncio, in one process.
    pub fn hypercorn(scene: &Scene) -> Self {
        install("spoken.py", scene.dir());
        let port = scene.port();
        let mut command = Command::new(python::bin("hypercorn"));
        command.current_dir(scene.dir()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.args(["--bind", &format!("127.0.0.1:{port}"), "--workers", "0", "spoken:app"]);
        let program = Program::start(&format!("hypercorn-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// A Celery worker with one child process for the tasks of `tasks.py`, on the Redis at `redis`.
    pub fn celery_worker(scene: &Scene, redis: u16) -> Self {
        install("tasks.py", scene.dir());
        let mut command = Command::new(python::bin("celery"));
        command.current_dir(scene.dir()).env("REDIS", redis.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.args(["-A", "tasks", "worker", "--pool", "prefork"]);
        command.args(["--concurrency", "1", "--loglevel", "INFO"]);
        command.args(["--without-gossip", "--without-mingle", "--without-heartbeat"]);
        let is_ready = |program: &Program| program.log().contains(" ready.");
        let program = Program::start("celery", scene.dir(), &mut command).ready("take tasks", is_ready);
        Self { program, port: redis }
    }

    /// Runs a script of `tests/services` to its end.
    pub fn run(scene: &Scene, name: &str, arguments: &[&str]) {
        Self::run_with(scene, name, arguments, &[]);
    }

    /// Runs a script of `tests/services` with more environment variables to its end.
    pub fn run_with(scene: &Scene, name: &str, arguments: &[&str], environment: &[(&str, &str)]) {
        let script = install(name, scene.dir());
        let mut command = Command::new(python::bin("python"));
        command.arg(script).args(arguments).envs(environment.iter().copied());
        let status = command.status().expect("python");
        assert!(status.success(), "{name} {arguments:?} ended with {status}");
    }

    /// Starts a script of `tests/services` that ends by itself, in the test's directory.
    pub fn start(scene: &Scene, name: &str, arguments: &[&str]) -> Program {
        Self::start_with(scene, name, arguments, &[])
    }

    /// Starts a script of `tests/services` that ends by itself, with more environment variables, in the test's directory.
    pub fn start_with(scene: &Scene, name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Program {
        let script = install(name, scene.dir());
        let mut command = Command::new(python::bin("python"));
        command.current_dir(scene.dir()).arg(script).args(arguments).envs(environment.iter().copied());
        Program::start(name, scene.dir(), &mut command)
    }

    /// A URL on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn script(scene: &Scene, name: &str, environment: &[(&str, &str)]) -> Self {
        install(name, scene.dir());
        let port = scene.port();
        let mut command = Command::new(python::bin("python"));
        command.current_dir(scene.dir()).env("PORT", port.to_string()).env("PYTHONDONTWRITEBYTECODE", "1");
        command.envs(environment.iter().copied()).args([name, &port.to_string()]);
        let program = Program::start(&format!("{name}-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }
}
