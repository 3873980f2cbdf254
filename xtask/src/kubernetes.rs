//! Kubernetes' API server and Helm, built of their sources once: nobody packages the one, and the other is years old where it is.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{apt, paths, services, shell};

/// The version of the API server, as `tests/services/kubernetes/go.mod` pins it.
const VERSION: &str = "1.37.2";
/// Helm's package and version.
const HELM: &str = "helm.sh/helm/v3/cmd/helm@v3.22.0";

/// Where both are, for all clones.
pub fn folder() -> Result<PathBuf> {
    Ok(paths::cache()?.join(format!("kubernetes-{VERSION}")))
}

/// Builds what is missing, and installs what asks the server.
pub fn setup() -> Result<()> {
    if !shell::has("kubectl") {
        apt::ensure(&["kubernetes-client"], "cargo xtask kubernetes")?;
    }
    let folder = folder()?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let module = paths::workspace().join("tests/services/kubernetes");
    let (list, built) = (module.join("go.sum"), folder.join("built.sum"));
    let wanted = fs::read(&list).with_context(|| format!("cannot read {}", list.display()))?;
    if !folder.join("kube-apiserver").is_file() || !fs::read(&built).is_ok_and(|built| built == wanted) {
        shell::say(format!("building the API server of Kubernetes {VERSION} into {} (five minutes)", folder.display()));
        let mut build = go("-mod=readonly")?;
        build
            .current_dir(&module)
            .args(["build", "-ldflags", &linking(), "-o"])
            .arg(folder.join("kube-apiserver"))
            .arg(".");
        shell::run_aside(&mut build)?;
        fs::copy(&list, &built).with_context(|| format!("cannot write {}", built.display()))?;
    }
    if !folder.join("helm").is_file() {
        shell::say(format!("building {HELM} into {}", folder.display()));
        shell::run_aside(go("")?.args(["install", HELM]).env("GOBIN", &folder))?;
    }
    Ok(())
}

/// What the linker is told: no symbols, and the version, which the server knows by its linker alone.
fn linking() -> String {
    let version = "k8s.io/component-base/version";
    format!("-s -w -X {version}.gitVersion=v{VERSION} -X {version}.gitMajor=1 -X {version}.gitMinor=37")
}

fn go(flags: &str) -> Result<Command> {
    let mut go = Command::new(services::go()?);
    go.env("GOTOOLCHAIN", "local").env("GOFLAGS", flags).env("CGO_ENABLED", "0");
    Ok(go)
}
