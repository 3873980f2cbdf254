//! Programs that speak TLS, with a certificate that the test makes for them.

use std::path::PathBuf;
use std::process::Command;

use crate::program::Program;
use crate::scene::Scene;
use crate::services::install;
use crate::services::nginx::{Nginx, Settings};
use crate::{python, wait};

/// A running HTTPS server.
pub struct Secure {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Secure {
    /// `python vault.py`: HTTPS on threads; each request asks `downstream`, if it is given.
    pub fn python(scene: &Scene, downstream: &str) -> Self {
        Self::script(scene, Command::new(python::bin("python")), "vault.py", downstream)
    }

    /// `python vault_async.py`: HTTPS on asyncio.
    pub fn asyncio(scene: &Scene) -> Self {
        Self::script(scene, Command::new(python::bin("python")), "vault_async.py", "")
    }

    /// `node safe.js`: each request asks `downstream`, if it is given.
    pub fn node(scene: &Scene, downstream: &str) -> Self {
        Self::script(scene, Command::new("node"), "safe.js", downstream)
    }

    /// granian, a server in Rust whose TLS is rustls with ring: each request asks `downstream`, if it is given, by a client whose
    /// TLS is rustls with AWS-LC. Its process is called `name`.
    pub fn granian(scene: &Scene, name: &str, downstream: &str) -> Self {
        certificate(scene);
        install("rusty.py", scene.dir());
        let port = scene.port();
        let mut command = Command::new(python::rust_bin("granian"));
        command.current_dir(scene.dir()).args(["--interface", "wsgi", "--no-ws", "--log-level", "warning"]);
        command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--blocking-threads", "16"]);
        command.args(["--ssl-certificate", "cert.pem", "--ssl-keyfile", "key.pem", "rusty:application"]);
        command.env("DOWNSTREAM", downstream).env("PYTHONDONTWRITEBYTECODE", "1").env("OTEL_SERVICE_NAME", name);
        let program = Program::start(name, scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// nginx with one worker; `server` are lines of its only server, beside those about TLS.
    pub fn nginx(scene: &Scene, server: &str) -> Nginx {
        certificate(scene);
        let dir = scene.dir().display();
        let http = format!(
            "ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem; ssl_protocols TLSv1.2 TLSv1.3; \
             proxy_ssl_protocols TLSv1.2 TLSv1.3; proxy_ssl_name localhost;"
        );
        Nginx::start_secure(scene, &Settings { workers: 1, http: &http, server })
    }

    /// A URL on it, by name.
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port)
    }

    /// A script with a port and, perhaps, a downstream.
    pub fn script(scene: &Scene, mut command: Command, name: &str, downstream: &str) -> Self {
        certificate(scene);
        let script = install(name, scene.dir());
        let port = scene.port();
        command.current_dir(scene.dir()).arg(script).args([&port.to_string(), downstream]);
        command.env("DOWNSTREAM", downstream).env("PYTHONDONTWRITEBYTECODE", "1");
        let program = Program::start(&format!("{name}-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }
}

/// Makes `cert.pem` and `key.pem` in the test's directory, for `localhost`.
pub fn certificate(scene: &Scene) {
    if scene.dir().join("cert.pem").exists() {
        return;
    }
    let mut command = Command::new("openssl");
    command.current_dir(scene.dir()).args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    command.args(["-nodes", "-days", "2", "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost"]);
    command.args(["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"]);
    let output = command.output().expect("openssl is installed");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// `tls_crowd.py`: many clients that check every answer.
pub fn crowd(scene: &Scene, url: &str, clients: usize, each: usize, mode: &str) {
    run(scene, "tls_crowd.py", &[url, &clients.to_string(), &each.to_string(), mode]);
}

/// Runs a script of `tests/services` to its end, beside the certificate.
pub fn run(scene: &Scene, name: &str, arguments: &[&str]) {
    run_by(scene, python::bin("python"), name, arguments);
}

/// The same, by this Python.
pub fn run_by(scene: &Scene, python: PathBuf, name: &str, arguments: &[&str]) {
    let script = install(name, scene.dir());
    let mut command = Command::new(python);
    let output = command.current_dir(scene.dir()).arg(script).args(arguments).output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until the agent has probed what one of these processes runs, which has a TLS library in it, and all else that it has found.
pub fn until_programs_are_read(scene: &mut Scene, pids: &[u32]) {
    let said = wait::until_true(crate::scene::ARRIVAL, || {
        let log = scene.agent().log();
        let found = |pid: &u32| log.contains(&format!("/proc/{pid}/exe: what programs read and write"));
        pids.iter().any(found) && all_are_read(&log)
    });
    assert!(said, "the program's TLS was not found:\n{}", scene.agent().log());
}

/// Waits until the agent has probed a TLS library.
pub fn until_read(scene: &mut Scene) {
    until_reads(scene, 1);
}

/// Waits until the agent has probed every TLS library that it has found, and there is one.
pub fn until_all_are_read(scene: &mut Scene) {
    let all = wait::until_true(crate::scene::ARRIVAL, || all_are_read(&scene.agent().log()));
    assert!(all, "not all TLS libraries are read:\n{}", scene.agent().log());
}

/// Whether the agent has said of every library that it found, and of one at least, what became of it.
fn all_are_read(log: &str) -> bool {
    let count = |text: &str| log.matches(text).count();
    let done = count("a TLS library is read from now on") + count("a TLS library cannot be probed");
    done > 0 && count("what programs read and write with this TLS library") == done
}

/// Waits until the agent has probed so many.
pub fn until_reads(scene: &mut Scene, wanted: usize) {
    let said = |scene: &mut Scene| scene.agent().log().matches("a TLS library is read from now on").count();
    let enough = wait::until_true(crate::scene::ARRIVAL, || said(scene) >= wanted);
    assert!(enough, "only {} TLS libraries were found", said(scene));
}
