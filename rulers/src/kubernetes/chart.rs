//! The Helm chart: what it says, what it refuses, and what becomes of it in a cluster.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use super::cluster::{Cluster, run, tool};

/// The oldest Kubernetes that the chart is for, and newer ones.
const VERSIONS: [&str; 3] = ["1.30.0", "1.36.0", "1.37.2"];
/// Values that the schema refuses.
const WRONG: [&str; 7] = [
    "otlp.endpoint=collector:4318",
    "tls=maybe",
    "logs=some",
    "exclude={namespaces:x}",
    "view.token=short",
    "capabilities={SYS_ADMIN}",
    "unheard=of",
];
/// What `logs` may be, and where the agent's configuration is made.
const LOGS: [&str; 4] = ["auto", "exceptions", "all", "off"];
const CONFIGURATION: &str = "templates/configmap.yaml";
/// What stands above the file.
const ABOVE: &str = "# One agent on every node: kubectl apply --filename deploy/kubernetes/wirespan.yaml\n\
    # Made of the chart deploy/helm/wirespan by cargo xtask kubernetes -- --render: change that. What is marked CHANGE is yours.\n";

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn chart() -> String {
    workspace().join("deploy/helm/wirespan").display().to_string()
}

fn file() -> PathBuf {
    workspace().join("deploy/kubernetes/wirespan.yaml")
}

fn helm(arguments: &[&str]) -> Result<Command> {
    let mut helm = Command::new(tool("helm")?);
    helm.args(arguments);
    Ok(helm)
}

/// The file as the chart makes it.
fn rendered() -> Result<String> {
    let token = "view.token=REPLACE-WITH-32-RANDOM-BYTES";
    let values = ["--set", "namespace.create=true", "--set", token, "--kube-version", VERSIONS[2]];
    let template = run(helm(&["template", "wirespan", &chart(), "--namespace", "wirespan"])?.args(values))?;
    Ok(format!("{ABOVE}{}", String::from_utf8(template.stdout)?))
}

/// Writes the file.
pub fn render() -> Result<()> {
    fs::write(file(), rendered()?).with_context(|| file().display().to_string())
}

/// The chart is right by itself, makes the file, and refuses what is wrong.
pub fn check() -> Result<()> {
    run(&mut helm(&["lint", "--strict", &chart()])?)?;
    for version in VERSIONS {
        run(&mut helm(&["template", "wirespan", &chart(), "--kube-version", version])?)?;
    }
    for wrong in WRONG {
        let refused =
            run(helm(&["template", "wirespan", &chart(), "--kube-version", VERSIONS[2]])?.args(["--set", wrong]));
        ensure!(refused.is_err(), "the schema takes {wrong}");
    }
    for logs in LOGS {
        let set = format!("logs={logs}");
        let values = ["--kube-version", VERSIONS[2], "--show-only", CONFIGURATION, "--set", &set];
        let made = run(helm(&["template", "wirespan", &chart()])?.args(values))?;
        let made = String::from_utf8(made.stdout)?.replace('"', "");
        ensure!(made.lines().any(|line| line == format!("    logs: {logs}")), "{set} does not reach the agent: {made}");
    }
    let written = fs::read_to_string(file())?;
    ensure!(
        written == rendered()?,
        "{} is not what the chart makes: cargo xtask kubernetes -- --render",
        file().display()
    );
    Ok(())
}

/// The chart is installed and upgraded, and so is the file; neither is privileged.
pub fn install(cluster: &Cluster) -> Result<()> {
    let configuration = cluster.configuration()?;
    let at = |arguments: &[&str]| -> Result<()> {
        run(helm(arguments)?.env("KUBECONFIG", &configuration).args(["--namespace", "helm"])).map(drop)
    };
    at(&["install", "wirespan", &chart(), "--create-namespace", "--set", "namespace.create=false"])?;
    let token = || cluster.kubectl(&["-n", "helm", "get", "secret", "wirespan-token", "-o", "jsonpath={.data.token}"]);
    let hash = "jsonpath={.spec.template.metadata.annotations.checksum/configuration}";
    let pods = || cluster.kubectl(&["-n", "helm", "get", "daemonset", "wirespan", "-o", hash]);
    let before = (token()?, pods()?);
    at(&["upgrade", "wirespan", &chart(), "--set", "log=debug", "--set", "kubernetes.labels={team}"])?;
    ensure!(token()? == before.0, "an upgrade makes another token");
    ensure!(pods()? != before.1, "another configuration makes no other pods");
    at(&["uninstall", "wirespan"])?;
    let apply = ["apply", "--filename", &file().display().to_string()];
    cluster.kubectl(&apply)?;
    // (What a Secret says as text is written anew each time.)
    let again = cluster.kubectl(&apply)?;
    let stable = again.lines().all(|line| line.ends_with("unchanged") || line.starts_with("secret/"));
    ensure!(stable, "the file is not stable: {again}");
    let may = |verb: &str, what: &str| {
        let account = "--as=system:serviceaccount:wirespan:wirespan";
        cluster.kubectl(&["auth", "can-i", verb, what, account, "--all-namespaces"]).is_ok()
    };
    ensure!(may("watch", "pods"), "the agent may not watch pods");
    for (verb, what) in
        [("get", "secrets"), ("list", "configmaps"), ("create", "pods"), ("patch", "pods"), ("list", "nodes")]
    {
        ensure!(!may(verb, what), "the agent may {verb} {what}");
    }
    Ok(())
}
