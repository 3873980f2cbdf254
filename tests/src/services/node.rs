//! Node's `http` module, as server and client.

use std::process::Command;

use crate::curl;
use crate::node_modules;
use crate::program::Program;
use crate::scene::Scene;
use crate::services::install;
use crate::wait;

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

    /// `node later.js`: `/leave/N` answers at once and calls `downstream` 100 ms later; `/hold/N` answers after 300 ms
    /// and calls nobody.
    pub fn later(scene: &Scene, downstream: &str) -> Self {
        let port = scene.port();
        let program = spawn(scene, "later.js", &[&port.to_string(), downstream], port).listens_on(port);
        Self { program, port }
    }

    /// `node hops.js` as a service of the server's name (`http`, `express`, `fastify`, `nest`): each request calls `downstream`
    /// (a URL without a path).
    pub fn hops(scene: &Scene, server: &str, downstream: &str) -> Self {
        Self::named(scene, "hops.js", server, &[server, downstream], &[])
    }

    /// `node hops.js` as a service `leaf`: each request is answered after some milliseconds.
    pub fn leaf(scene: &Scene) -> Self {
        Self::named(scene, "hops.js", "leaf", &["http"], &[])
    }

    /// `node stores.js`: each request asks one of the stores, whose addresses the variables name.
    pub fn stores(scene: &Scene, has: &[(&str, String)]) -> Self {
        Self::named(scene, "stores.js", "stores", &[], has)
    }

    fn named(scene: &Scene, script: &str, service: &str, arguments: &[&str], has: &[(&str, String)]) -> Self {
        install(script, scene.dir());
        let port = scene.port();
        let mut command = Command::new("node");
        command.current_dir(scene.dir()).arg(script).arg(port.to_string()).args(arguments);
        command.env("NODE_PATH", node_modules::folder()).env("OTEL_SERVICE_NAME", service);
        command.envs(has.iter().map(|(name, value)| (name, value)));
        let program = Program::start(&format!("{service}-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// `node sdk_stock.js`: OpenTelemetry's SDK, exporting JSON to `endpoint`. Each request calls `downstream`, if it is
    /// given.
    pub fn sdk_stock(scene: &Scene, endpoint: &str, downstream: &str) -> Self {
        let port = scene.port();
        let script = install("sdk_stock.js", scene.dir());
        let mut command = Command::new("node");
        command.current_dir(scene.dir()).arg(script).args([&port.to_string(), downstream]);
        command.env("NODE_PATH", node_modules::folder()).env("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint);
        let program = Program::start(&format!("sdk_stock.js-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// `node stock.js`: a gRPC server.
    pub fn stock(scene: &Scene) -> Self {
        let port = scene.port();
        let program = spawn(scene, "stock.js", &[&port.to_string()], port).listens_on(port);
        Self { program, port }
    }

    /// Runs `stock.js` as the client of a gRPC server on `port`, to its end.
    pub fn call_stock(scene: &Scene, port: u16, calls: &[&str]) {
        let script = install("stock.js", scene.dir());
        let mut command = Command::new("node");
        command.env("NODE_PATH", node_modules::folder()).arg(script).arg(port.to_string()).args(calls);
        let status = command.status().expect("node is installed");
        assert!(status.success(), "stock.js {calls:?} ended with {status}");
    }

    /// Starts `stock.js` as the client of a gRPC server on `port`, which ends by itself.
    pub fn start_stock_client(scene: &Scene, port: u16, calls: &[&str]) -> Program {
        let server = port.to_string();
        spawn(scene, "stock.js", &[&[&server[..]], calls].concat(), port)
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

    /// `node faults.js` in a network namespace of its own, where `port` leads to it by translation of the address
    /// (`nft`), as a published port leads to a container. Reach it by [`Node::curl`].
    pub fn faults_behind_translation(scene: &Scene) -> Self {
        install("faults.js", scene.dir());
        let (port, inside) = (scene.port(), scene.port());
        let script = format!(
            "set -e; ip link set lo up; nft add table ip nat
            nft add chain ip nat output '{{ type nat hook output priority -100; }}'
            nft add rule ip nat output tcp dport {port} dnat to 127.0.0.2:{inside}
            exec node faults.js {inside} 127.0.0.2"
        );
        let mut command = Command::new("unshare");
        command.current_dir(scene.dir()).args(["--net", "sh", "-c", &script]);
        let url = format!("http://127.0.0.1:{port}/");
        let answers = |program: &Program| curl::run_in(inside_of(program), &[&url]).code == 200;
        let program = Program::start("translated", scene.dir(), &mut command).ready("answer", answers);
        Self { program, port }
    }

    /// `node faults.js` in a network namespace of its own, on all its `addresses`, and behind a Service's address, which is
    /// translated to the first of them as kube-proxy does it. Reach it by [`Node::curl`].
    pub fn faults_behind_service(scene: &Scene, service: &str, addresses: &[&str]) -> Self {
        install("faults.js", scene.dir());
        let port = scene.port();
        let own: String = addresses.iter().map(|ip| format!("ip address add {ip}/32 dev lo; ")).collect();
        let first = addresses[0];
        let script = format!(
            "set -e; ip link set lo up; {own} ip route add local {service}/32 dev lo
            nft add table ip nat
            nft add chain ip nat output '{{ type nat hook output priority -100; }}'
            nft add rule ip nat output ip daddr {service} tcp dport {port} dnat to {first}:{port}
            exec node faults.js {port} 0.0.0.0"
        );
        let mut command = Command::new("unshare");
        command.current_dir(scene.dir()).args(["--net", "sh", "-c", &script]);
        let url = format!("http://127.0.0.1:{port}/");
        let answers = |program: &Program| curl::run_in(inside_of(program), &[&url]).code == 200;
        let program = Program::start("service", scene.dir(), &mut command).ready("answer", answers);
        Self { program, port }
    }

    /// A command that leads to a curl in this program's network namespace.
    pub fn curl(&self) -> Command {
        inside_of(&self.program)
    }

    /// Makes calls of `shop.v1.Stock` by gRPC-Web, and waits for their end.
    pub fn call_stock_web(scene: &Scene, port: u16, calls: &[&str]) {
        let server = port.to_string();
        let mut program = spawn(scene, "stock_web.js", &[&[&server[..]], calls].concat(), port);
        assert!(program.wait(wait::PATIENCE).is_some_and(|status| status.success()), "{}", program.log());
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

fn inside_of(program: &Program) -> Command {
    let mut command = Command::new("nsenter");
    command.args(["--net", "--target", &program.pid().to_string(), "curl"]);
    command
}

fn spawn(scene: &Scene, script: &str, arguments: &[&str], port: u16) -> Program {
    install(script, scene.dir());
    start(scene, script, arguments, port)
}

fn start(scene: &Scene, script: &str, arguments: &[&str], port: u16) -> Program {
    let mut command = Command::new("node");
    command.current_dir(scene.dir()).arg(script).args(arguments);
    if script.starts_with("stock") {
        command.env("NODE_PATH", node_modules::folder());
    }
    Program::start(&format!("{script}-{port}"), scene.dir(), &mut command)
}
