//! A control plane without controllers: etcd and the real API server, with authorities and tokens of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use serde_json::Value;
use wirespan_tests::program::Program;
use wirespan_tests::wait;

/// How long the API server may take until it answers.
const START: Duration = Duration::from_secs(120);
/// The token of who may do everything.
const ADMIN: &str = "ruler-of-the-cluster";

/// Both servers, running.
pub struct Cluster {
    dir: PathBuf,
    /// The API server's port.
    pub port: u16,
    /// etcd's ports.
    pub stores: [u16; 2],
    api: Program,
    _etcd: Program,
}

/// A program that `cargo xtask kubernetes` built.
pub fn tool(name: &str) -> Result<PathBuf> {
    let folder =
        std::env::var_os("WIRESPAN_KUBERNETES").context("WIRESPAN_KUBERNETES: run `cargo xtask kubernetes`")?;
    let program = PathBuf::from(folder).join(name);
    ensure!(program.is_file(), "{} is not there: run `cargo xtask kubernetes`", program.display());
    Ok(program)
}

/// Runs a command to its end, which must be a good one.
pub fn run(command: &mut Command) -> Result<Output> {
    let output = command.output().with_context(|| format!("{command:?}"))?;
    let said = [&*output.stdout, &*output.stderr].concat();
    ensure!(output.status.success(), "{command:?} ended with {}: {}", output.status, String::from_utf8_lossy(&said));
    Ok(output)
}

impl Cluster {
    /// Starts both below `dir`, and waits until they answer.
    pub fn start(dir: &Path) -> Result<Self> {
        let dir = dir.join("cluster");
        fs::create_dir_all(&dir)?;
        authorities(&dir)?;
        let (port, stores) = (wait::free_port(), [wait::free_port(), wait::free_port()]);
        let [clients, peers] = stores.map(url);
        let mut etcd = Command::new("etcd");
        etcd.current_dir(&dir).args(["--data-dir", "etcd", "--unsafe-no-fsync", "--logger", "zap"]);
        etcd.args(["--listen-client-urls", &clients, "--advertise-client-urls", &clients]);
        etcd.args(["--listen-peer-urls", &peers, "--initial-advertise-peer-urls", &peers]);
        etcd.arg(format!("--initial-cluster=default={peers}"));
        let store = Program::try_start("etcd", &dir, &mut etcd)?;
        let api = Program::try_start("kube-apiserver", &dir, server(&dir, port, &clients)?.current_dir(&dir))?;
        let mut cluster = Self { dir, port, stores, api, _etcd: store };
        let ready =
            wait::until_true(START, || !cluster.api.is_running() || cluster.ask("GET", "/readyz", None).is_ok());
        ensure!(ready && cluster.api.is_running(), "the API server does not answer: {}", cluster.api.log());
        Ok(cluster)
    }

    /// Kills the API server, and starts it again after a while.
    pub fn restart(&mut self, away: Duration) -> Result<()> {
        self.api.signal(Signal::KILL);
        ensure!(self.api.wait(START).is_some(), "nothing survives SIGKILL");
        std::thread::sleep(away);
        let mut command = server(&self.dir, self.port, &url(self.stores[0]))?;
        self.api = Program::try_start("kube-apiserver", &self.dir, command.current_dir(&self.dir))?;
        let ready = wait::until_true(START, || self.ask("GET", "/readyz", None).is_ok());
        ensure!(ready, "the API server does not come back: {}", self.api.log());
        Ok(())
    }

    /// The API server answers nothing for a while.
    pub fn stop_for(&self, away: Duration) {
        self.api.signal(Signal::STOP);
        std::thread::sleep(away);
        self.api.signal(Signal::CONT);
    }

    /// A file of its own folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Asks the API as who may do everything.
    pub fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value> {
        let url = format!("https://127.0.0.1:{}{path}", self.port);
        let kind = if method == "PATCH" { "application/merge-patch+json" } else { "application/json" };
        let mut curl = Command::new("curl");
        curl.args(["-q", "-sS", "--fail-with-body", "--noproxy", "*", "--max-time", "20", "--request", method]);
        curl.arg("--cacert").arg(self.file("ca.crt")).args(["--header", &format!("Authorization: Bearer {ADMIN}")]);
        curl.args(["--header", &format!("Content-Type: {kind}")]).stdin(Stdio::null());
        if let Some(body) = body {
            curl.args(["--data", &body.to_string()]);
        }
        let output = run(curl.arg(url))?;
        Ok(serde_json::from_slice(&output.stdout).unwrap_or_default())
    }

    /// `kubectl` as who may do everything.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let mut kubectl = Command::new("kubectl");
        kubectl.env("KUBECONFIG", self.configuration()?).args(arguments);
        Ok(String::from_utf8_lossy(&run(&mut kubectl)?.stdout).into_owned())
    }

    /// A file by which `kubectl` and `helm` find the server.
    pub fn configuration(&self) -> Result<PathBuf> {
        let file = self.file("kubeconfig");
        let (authority, port) = (self.file("ca.crt"), self.port);
        let text = format!(
            "apiVersion: v1\nkind: Config\ncurrent-context: it\nclusters: [{{name: it, cluster: {{server: \"https://127.0.0.1:{port}\", \
             certificate-authority: \"{}\"}}}}]\nusers: [{{name: it, user: {{token: {ADMIN}}}}}]\n\
             contexts: [{{name: it, context: {{cluster: it, user: it}}}}]\n",
            authority.display()
        );
        fs::write(&file, text)?;
        Ok(file)
    }
}

fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}")
}

/// The API server's command.
fn server(dir: &Path, port: u16, store: &str) -> Result<Command> {
    let mut server = Command::new(tool("kube-apiserver")?);
    server.args(["--bind-address=127.0.0.1", "--endpoint-reconciler-type=none", "--authorization-mode=RBAC"]);
    server.args(["--service-cluster-ip-range=10.96.0.0/16", "--allow-privileged=true"]);
    // Pods are made without the controller that gives namespaces their accounts.
    server.arg("--disable-admission-plugins=ServiceAccount");
    server.args([format!("--secure-port={port}"), format!("--etcd-servers={store}")]);
    let file = |flag: &str, name: &str| format!("--{flag}={}", dir.join(name).display());
    server.args([file("tls-cert-file", "tls.crt"), file("tls-private-key-file", "tls.key")]);
    server.args([file("token-auth-file", "tokens.csv"), file("service-account-key-file", "account.key")]);
    server.args([file("service-account-signing-key-file", "account.key")]);
    server.arg("--service-account-issuer=https://kubernetes.default.svc");
    Ok(server)
}

/// An authority, the server's certificate, the key of service accounts, and the token of who may do everything.
fn authorities(dir: &Path) -> Result<()> {
    fs::write(dir.join("names"), "subjectAltName=IP:127.0.0.1,DNS:localhost\n")?;
    fs::write(dir.join("tokens.csv"), format!("{ADMIN},admin,1,system:masters\n"))?;
    let openssl = |arguments: &str| run(Command::new("openssl").current_dir(dir).args(arguments.split(' '))).map(drop);
    openssl("req -x509 -newkey rsa:2048 -nodes -days 2 -keyout ca.key -out ca.crt -subj /CN=authority")?;
    openssl("req -newkey rsa:2048 -nodes -keyout tls.key -out tls.csr -subj /CN=kube-apiserver")?;
    openssl("x509 -req -in tls.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 -out tls.crt -extfile names")?;
    openssl("genrsa -out account.key 2048")
}
