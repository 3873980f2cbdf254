//! PHP: its built-in server, and php-fpm for use behind nginx.

use std::fs;
use std::path::{Path, PathBuf};
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

/// `php -S` with these options, each request by this script.
pub(super) fn built_in(port: u16, options: &[&str], script: &Path) -> Command {
    let mut command = Command::new("php");
    command.arg("-n").args(options).args(["-S", &format!("127.0.0.1:{port}")]).arg(script);
    command
}

/// php-fpm, which speaks FastCGI.
pub struct Fpm {
    /// The process.
    pub program: Program,
    /// Where nginx finds it.
    pub at: String,
    /// Where it listens, if that is a port.
    pub port: Option<u16>,
    /// The script that every request runs.
    script: PathBuf,
}

/// Where php-fpm listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listens {
    /// On a socket in the test's directory.
    Unix,
    /// On a port.
    Tcp,
}

impl Fpm {
    /// So many workers; each request calls `downstream`, if it is given.
    pub fn start(scene: &Scene, downstream: &str, listens: Listens, workers: usize) -> Self {
        let script = install("gateway.php", scene.dir());
        let socket = scene.dir().join("fpm.sock");
        let port = (listens == Listens::Tcp).then(|| scene.port());
        let listen = port.map_or(socket.display().to_string(), |port| format!("127.0.0.1:{port}"));
        let configuration = format!(
            "[global]\nerror_log = /dev/stderr\ndaemonize = no\n[www]\nuser = root\ngroup = root\nlisten = {listen}\n\
             listen.backlog = 1024\npm = static\npm.max_children = {workers}\nclear_env = no\n"
        );
        let path = scene.dir().join("fpm.conf");
        fs::write(&path, configuration).expect("php-fpm's configuration");
        let mut command = Command::new(installed());
        command
            .env("DOWNSTREAM", downstream)
            .env("OTEL_SERVICE_NAME", SERVICE)
            .args(["-n", "-R", "-F", "-d", "extension=posix", "-d", "display_errors=0", "-y"])
            .arg(&path);
        let program = Program::start("php-fpm", scene.dir(), &mut command);
        let program = match port {
            Some(port) => program.listens_on(port),
            None => program.listens_at(&socket),
        };
        let at = if port.is_some() { listen } else { format!("unix:{listen}") };
        Self { program, at, port, script }
    }

    /// What nginx passes all requests on by.
    pub fn location(&self) -> String {
        let Self { at, script, .. } = self;
        format!(
            "location / {{ fastcgi_pass {at}; include /etc/nginx/fastcgi_params; fastcgi_param SCRIPT_FILENAME {}; }}",
            script.display()
        )
    }
}

/// Debian names the program after PHP's version.
fn installed() -> PathBuf {
    let found = fs::read_dir("/usr/sbin").into_iter().flatten().flatten().map(|entry| entry.path());
    let is_fpm = |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("php-fpm"));
    found.filter(is_fpm).max().expect("php-fpm is installed")
}
