//! Servers of threads whose sockets do not block: Tomcat, WEBrick, Puma, Apache as a proxy. Each calls the next service from
//! the thread that answers.

use std::fs;
use std::process::Command;

use crate::program::Program;
use crate::scene::Scene;
use crate::services::{install, java};

/// One of them, running.
pub struct Workers {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Workers {
    /// Tomcat with the JDK's client and timeouts.
    pub fn tomcat(scene: &Scene, downstream: u16) -> Self {
        let (classes, class_path) = java::billing().unwrap_or_else(|e| panic!("Billing.java cannot be built: {e:#}"));
        let port = scene.port();
        let mut command = Command::new("java");
        command.current_dir(scene.dir()).args(["-XX:TieredStopAtLevel=1", "-Xmx96m", "-cp"]);
        command.arg(format!("{class_path}:{}", classes.display())).arg("Billing").arg(port.to_string());
        command.arg(format!("http://127.0.0.1:{downstream}")).arg(scene.dir());
        Self::start(scene, "tomcat", port, command)
    }

    /// WEBrick: a thread a connection.
    pub fn webrick(scene: &Scene, downstream: u16) -> Self {
        let (script, port) = (install("ledger.rb", scene.dir()), scene.port());
        let mut command = Command::new("ruby");
        command.current_dir(scene.dir()).env("DOWNSTREAM_PORT", downstream.to_string());
        command.arg(script).arg(port.to_string());
        Self::start(scene, "webrick", port, command)
    }

    /// Puma: a reactor, and a pool of threads.
    pub fn puma(scene: &Scene, downstream: u16) -> Self {
        install("ledger.rb", scene.dir());
        let (script, port) = (install("ledger.ru", scene.dir()), scene.port());
        let mut command = Command::new("puma");
        command.current_dir(scene.dir()).env("DOWNSTREAM_PORT", downstream.to_string());
        command.args(["-t", "16:16", "-b", &format!("tcp://127.0.0.1:{port}")]).arg(script);
        Self::start(scene, "puma", port, command)
    }

    /// Apache's threads, with mod_proxy: passes each request on to `downstream` under its own path.
    pub fn apache(scene: &Scene, downstream: u16) -> Self {
        let port = scene.port();
        let modules = ["mpm_event", "authz_core", "proxy", "proxy_http"];
        let modules = modules.map(|m| format!("LoadModule {m}_module /usr/lib/apache2/modules/mod_{m}.so\n")).concat();
        let dir = scene.dir().display();
        let configuration = format!(
            "{modules}ServerName localhost\nListen 127.0.0.1:{port}\nPidFile {dir}/apache.pid\nErrorLog {dir}/apache.log\n\
             Mutex pthread\nProxyPass / http://127.0.0.1:{downstream}/ timeout=5\n"
        );
        let path = scene.dir().join("apache.conf");
        fs::write(&path, configuration).expect("Apache's configuration");
        let mut command = Command::new("/usr/sbin/apache2");
        // One process, in the foreground.
        command.arg("-X").arg("-f").arg(&path);
        Self::start(scene, "apache", port, command)
    }

    fn start(scene: &Scene, name: &str, port: u16, mut command: Command) -> Self {
        command.env("OTEL_SERVICE_NAME", name);
        let program = Program::start(&format!("{name}-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }
}
