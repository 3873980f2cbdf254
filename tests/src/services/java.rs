//! Java: the JDK's `HttpServer` on a fixed thread pool, packed as `payments.jar`, and grpc-java on Netty.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};

use crate::agent::target_dir;
use crate::program::Program;
use crate::python;
use crate::scene::Scene;
use crate::services::tls;

/// The programs' sources.
const PAYMENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/Payments.java");
const RELAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/Relay.java");
const STOCK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/Stock.java");
const FAILING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/Failing.java");
const VIRTUAL: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/Virtual.java");
const SEALED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/Sealed.java");
const BILLING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/services/Billing.java");
/// What a server on Tomcat needs.
const TOMCAT: [&str; 2] = ["tomcat10-embed-core", "jakarta-annotation-api"];
/// Where Debian keeps libraries, and which of them grpc-java needs.
const LIBRARIES: &str = "/usr/share/java";
const GRPC: [&str; 20] = [
    "grpc-api",
    "grpc-context",
    "grpc-core",
    "grpc-netty",
    "grpc-stub",
    "guava",
    "jsr305",
    "netty-buffer",
    "netty-codec",
    "netty-codec-http",
    "netty-codec-http2",
    "netty-codec-socks",
    "netty-common",
    "netty-handler",
    "netty-handler-proxy",
    "netty-resolver",
    "netty-transport",
    "netty-transport-native-epoll",
    "netty-transport-native-unix-common",
    "perfmark-api",
];

/// A running Java program.
pub struct Java {
    /// The process.
    pub program: Program,
    /// Where it listens.
    pub port: u16,
}

impl Java {
    /// Each request calls `downstream` (a URL without a path), if it is given, from the thread that answers.
    pub fn payments(scene: &Scene, downstream: &str) -> Self {
        let jar = jar().unwrap_or_else(|e| panic!("payments.jar cannot be built: {e:#}"));
        let port = scene.port();
        let mut command = Command::new("java");
        command.current_dir(scene.dir()).args(["-XX:TieredStopAtLevel=1", "-Xmx64m", "-jar"]).arg(jar);
        command.arg(port.to_string());
        if !downstream.is_empty() {
            command.arg(downstream);
        }
        let program = Program::start(&format!("java-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// Calls `downstream` from the thread that reads the request, or from another thread that answers it, or after the answer:
    /// of the same pool, or of another one of `helpers`.
    pub fn relay(scene: &Scene, downstream: &str, helpers: bool) -> Self {
        let folder = compiled("relay", RELAY, "").unwrap_or_else(|e| panic!("Relay.java cannot be built: {e:#}"));
        let port = scene.port();
        let mut command = Command::new("java");
        command.current_dir(scene.dir()).args(["-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp"]).arg(folder).arg("Relay");
        command.args([&port.to_string(), downstream]).args(helpers.then_some("helpers"));
        let program = Program::start(&format!("relay-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// Calls `downstream` twice for each request, by the virtual thread that serves it; on a Java of this version.
    pub fn virtuals(scene: &Scene, version: u32, downstream: &str) -> Self {
        let folder = compiled("virtual", VIRTUAL, "").unwrap_or_else(|e| panic!("Virtual.java cannot be built: {e:#}"));
        let port = scene.port();
        let mut command = Command::new(python::java(version));
        command.current_dir(scene.dir()).args(["-XX:TieredStopAtLevel=1", "-Xmx64m"]);
        command.arg("-cp").arg(folder).args(["Virtual", &port.to_string(), downstream]);
        let program = Program::start(&format!("virtual-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// HTTPS by the JDK's own TLS.
    pub fn sealed(scene: &Scene) -> Self {
        let folder = compiled("sealed", SEALED, "").unwrap_or_else(|e| panic!("Sealed.java cannot be built: {e:#}"));
        tls::certificate(scene);
        let mut store = Command::new("openssl");
        store.current_dir(scene.dir()).args(["pkcs12", "-export", "-in", "cert.pem", "-inkey", "key.pem"]);
        store.args(["-out", "sealed.p12", "-passout", "pass:sealed"]);
        run(&mut store).unwrap_or_else(|e| panic!("{e:#}"));
        let port = scene.port();
        let mut command = Command::new("java");
        command.current_dir(scene.dir()).args(["-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp"]).arg(folder).arg("Sealed");
        let program = Program::start("sealed", scene.dir(), command.arg(port.to_string())).listens_on(port);
        Self { program, port }
    }

    /// A gRPC server: the service `shop.v1.Stock`.
    pub fn stock(scene: &Scene) -> Self {
        let port = scene.port();
        let mut command = stock(scene);
        command.args(["serve", &port.to_string()]);
        let program = Program::start(&format!("stock-{port}"), scene.dir(), &mut command).listens_on(port);
        Self { program, port }
    }

    /// Makes calls of `shop.v1.Stock`, and waits for their end.
    pub fn call_stock(scene: &Scene, port: u16, calls: &[&str]) {
        let output = stock(scene).args(["call", &port.to_string()]).args(calls).output().expect("java is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// Starts a client that makes calls of `shop.v1.Stock`, and ends by itself.
    pub fn start_stock_client(scene: &Scene, port: u16, calls: &[&str]) -> Program {
        Program::start("stock-client", scene.dir(), stock(scene).args(["call", &port.to_string()]).args(calls))
    }

    /// A URL on it.
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

/// `java Stock`, without arguments.
fn stock(scene: &Scene) -> Command {
    let class_path = class_path(&GRPC);
    let classes = compiled("stock", STOCK, &class_path);
    let classes = classes.unwrap_or_else(|e| panic!("Stock.java cannot be built: {e:#}"));
    let mut command = Command::new("java");
    command.current_dir(scene.dir()).args(["-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp"]);
    command.arg(format!("{class_path}:{}", classes.display())).arg("Stock");
    command
}

/// Archives that Debian has.
fn class_path(names: &[&str]) -> String {
    names.iter().map(|name| format!("{LIBRARIES}/{name}.jar")).collect::<Vec<_>>().join(":")
}

/// `java Failing PORT`.
pub(super) fn failing(port: &str) -> Command {
    let folder = compiled("failing", FAILING, "").unwrap_or_else(|e| panic!("Failing.java cannot be built: {e:#}"));
    let mut command = Command::new("java");
    command.args(["-XX:TieredStopAtLevel=1", "-Xmx64m", "-cp"]).arg(folder).args(["Failing", port]);
    command
}

/// Where built programs lie, and a lock that holds until they do.
fn home() -> anyhow::Result<(PathBuf, File)> {
    let home = target_dir().join("test-services/java");
    fs::create_dir_all(&home)?;
    let lock = File::create(home.join("lock"))?;
    lock.lock()?;
    Ok((home, lock))
}

/// The archive, built when the source is newer.
fn jar() -> anyhow::Result<PathBuf> {
    let (home, _lock) = home()?;
    let jar = home.join("payments.jar");
    if is_older(&jar, PAYMENTS) {
        run(Command::new("javac").arg("-d").arg(&home).arg(PAYMENTS))?;
        run(Command::new("jar").arg("cfe").arg(&jar).args(["Payments", "-C"]).arg(&home).arg("Payments.class"))?;
    }
    Ok(jar)
}

/// The folder of this name with the classes of a source, which needs these archives; compiled when the source is newer.
fn compiled(folder: &str, source: &str, class_path: &str) -> anyhow::Result<PathBuf> {
    let (home, _lock) = home()?;
    let folder = home.join(folder);
    let class = Path::new(source).with_extension("class");
    if is_older(&folder.join(class.file_name().context("a source has a name")?), source) {
        run(Command::new("javac").args(["-cp", class_path]).arg("-d").arg(&folder).arg(source))?;
    }
    Ok(folder)
}

/// The folder of the classes of a server on Tomcat, and what else they need.
pub(super) fn billing() -> anyhow::Result<(PathBuf, String)> {
    let class_path = tomcat();
    Ok((compiled("billing", BILLING, &class_path)?, class_path))
}

/// The archives of Tomcat, as a class path.
pub fn tomcat() -> String {
    class_path(&TOMCAT)
}

fn is_older(built: &Path, source: &str) -> bool {
    let age = |path: &Path| fs::metadata(path).and_then(|m| m.modified()).ok();
    age(built) <= age(Path::new(source))
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("{command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
