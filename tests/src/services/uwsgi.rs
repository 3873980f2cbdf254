//! uWSGI, which answers nginx by a protocol of its own.

use std::process::Command;

use crate::program::Program;
use crate::scene::Scene;
use crate::services::install;

/// What the process is told to be called.
pub const SERVICE: &str = "parlour";

/// Two processes with one thread each.
pub struct Uwsgi {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Uwsgi {
    /// Each request calls `downstream`. `protocol` is `uwsgi` or `scgi`.
    pub fn start(scene: &Scene, protocol: &str, downstream: &str) -> Self {
        let port = scene.port();
        let script = install("gateway_application.py", scene.dir());
        let mut command = Command::new("uwsgi");
        command.env("DOWNSTREAM", downstream).env("OTEL_SERVICE_NAME", SERVICE);
        command
            .args(["--plugins", "python3", "--master", "--die-on-term", "--processes", "2", "--wsgi-file"])
            .arg(script);
        command.args([&format!("--{protocol}-socket"), &format!("127.0.0.1:{port}")]);
        let program = Program::start(&format!("{protocol}-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }
}
