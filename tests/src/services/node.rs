//! Node's `http` module, as server and client.

use std::process::Command;

use crate::program::Program;
use crate::scene::Scene;
use crate::services::install;

/// A running Node program.
pub struct Node {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Node {
    /// `node orders.js`: each request calls `downstream` (a URL without a path), if it is given.
    pub fn orders(scene: &Scene, downstream: &str) -> Self {
        let port = scene.port();
        let program = spawn(scene, "orders.js", &[&port.to_string(), downstream], port).listens_on(port);
        Self { program, port }
    }

    /// `node faults.js`: answers of every kind.
    pub fn faults(scene: &Scene) -> Self {
        let port = scene.port();
        let program = spawn(scene, "faults.js", &[&port.to_string()], port).listens_on(port);
        Self { program, port }
    }

    /// `node faults.js` on an address of its own, such as `::1` or `::`.
    pub fn faults_on(scene: &Scene, address: &str) -> Self {
        let port = scene.port();
        let program = spawn(scene, "faults.js", &[&port.to_string(), address], port).listens_on_v6(port);
        Self { program, port }
    }

    /// A script that is in the test's directory already, started with a port.
    pub fn script(scene: &Scene, name: &str) -> Self {
        let port = scene.port();
        let program = start(scene, name, &[&port.to_string()], port).listens_on(port);
        Self { program, port }
    }

    /// A URL on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

fn spawn(scene: &Scene, script: &str, arguments: &[&str], port: u16) -> Program {
    install(script, scene.dir());
    start(scene, script, arguments, port)
}

fn start(scene: &Scene, script: &str, arguments: &[&str], port: u16) -> Program {
    let mut command = Command::new("node");
    command.current_dir(scene.dir()).arg(script).args(arguments);
    Program::start(&format!("{script}-{port}"), scene.dir(), &mut command)
}
