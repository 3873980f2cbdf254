//! PHP: its built-in server, and php-fpm for use behind nginx.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::program::Program;
use crate::scene::Scene;
use crate::services::install;

/// What the process is told to be called.
pub const SERVICE: &str = "legacy";

/// `php -S`, one process with one thread.
pub struct Php {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Php {
    /// Each request calls `downstream` (a URL without a path), if it is given.
    pub fn start(scene: &Scene, downstream: &str) -> Self {
        let port = scene.port();
        install("legacy.php", scene.dir());
        let mut command = Command::new("php");
        command.current_dir(scene.dir()).env("DOWNSTREAM", downstream).env("OTEL_SERVICE_NAME", SERVICE);
        command.args(["-n", "-S", &format!("127.0.0.1:{port}"), "legacy.php"]);
        let program = Program::start(&format!("php-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// A URL on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// php-fpm on a Unix socket, which speaks FastCGI and thus makes no HTTP span as a server.
pub struct Fpm {
    /// The process.
    pub program: Program,
    /// Its socket.
    pub socket: PathBuf,
    /// The script that every request runs.
    pub script: PathBuf,
}

impl Fpm {
    /// Two workers; each request calls `downstream`.
    pub fn start(scene: &Scene, downstream: &str) -> Self {
        let script = install("legacy.php", scene.dir());
        let socket = scene.dir().join("fpm.sock");
        let configuration = format!(
            "[global]\nerror_log = /dev/stderr\ndaemonize = no\n[www]\nuser = root\ngroup = root\nlisten = {}\n\
             pm = static\npm.max_children = 2\nclear_env = no\n",
            socket.display()
        );
        let path = scene.dir().join("fpm.conf");
        fs::write(&path, configuration).expect("php-fpm's configuration");
        let mut command = Command::new(installed());
        command
            .env("DOWNSTREAM", downstream)
            .env("OTEL_SERVICE_NAME", SERVICE)
            .args(["-n", "-R", "-F", "-y"])
            .arg(&path);
        let program = Program::start("php-fpm", scene.dir(), &mut command).listens_at(&socket);
        Self { program, socket, script }
    }
}

/// Debian names the program after PHP's version.
fn installed() -> PathBuf {
    let found = fs::read_dir("/usr/sbin").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_fpm = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"));
    found.filter(is_fpm).max().expect("php-fpm is installed")
}
