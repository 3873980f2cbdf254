//! Programs that speak TLS, with a certificate that the test makes for them.

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

    fn script(scene: &Scene, mut command: Command, name: &str, downstream: &str) -> Self {
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
    let script = install("tls_crowd.py", scene.dir());
    let mut command = Command::new(python::bin("python"));
    command.current_dir(scene.dir()).arg(script).args([url, &clients.to_string(), &each.to_string(), mode]);
    let output = command.output().expect("python");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// Waits until the agent has probed a TLS library.
pub fn until_read(scene: &mut Scene) {
    let said =
        wait::until_true(crate::scene::ARRIVAL, || scene.agent().log().contains("a TLS library is read from now on"));
    assert!(said, "no TLS library was found");
}
