//! Programs that fail with exceptions, each as its platform prints them: `/w/N` fails, saying `n=N`; `/fine/N` does not, and logs `fine n=N` with
//! a secret.

use std::process::Command;

use super::gunicorn::{Gunicorn, Worker};
use super::{clients, install, java, loops, php};
use crate::program::Program;
use crate::scene::Scene;

/// What runs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Platform {
    /// Flask under gunicorn, a thread a request.
    Flask,
    /// FastAPI under uvicorn, a task a request.
    FastApi,
    /// Node's `http`.
    Node,
    /// Go's `net/http`, which answers nothing to a request whose handler panics.
    Go,
    /// The JDK's `HttpServer` on a pool of threads.
    Java,
    /// PHP's built-in server.
    Php,
}

/// A running program.
pub struct Failing {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Failing {
    /// Starts it; what it prints goes to a file.
    pub fn start(scene: &Scene, platform: Platform) -> Self {
        install("failing.py", scene.dir());
        if platform == Platform::Flask {
            let port = scene.port();
            let Gunicorn { program, port } =
                Gunicorn::application(scene, "failing:wsgi", Worker::Threads(32), port, &[]);
            return Self { program, port };
        }
        let port = scene.port();
        let text = port.to_string();
        let mut command = match platform {
            Platform::Go => {
                return Self { program: clients::start(scene, "failing.go", &[&text]).listens_on(port), port };
            }
            Platform::FastApi => {
                let mut command = loops::uvicorn(scene);
                command.args(["--port", &text, "--loop", "asyncio", "--no-access-log", "failing:asgi"]);
                command
            }
            Platform::Node => {
                let mut command = Command::new("node");
                command.arg(install("failing.js", scene.dir())).arg(&text);
                command
            }
            Platform::Java => java::failing(&text),
            Platform::Php => {
                let script = install("failing.php", scene.dir());
                php::built_in(port, &["-d", "log_errors=1", "-d", "display_errors=0", "-d", "html_errors=0"], &script)
            }
            Platform::Flask => unreachable!("it was started"),
        };
        let program = Program::start(&format!("failing-{port}"), scene.dir(), command.current_dir(scene.dir()));
        Self { program: program.listens_on(port), port }
    }
}
