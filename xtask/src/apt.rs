//! Installs Debian and Ubuntu packages that are missing.

use std::process::Command;
use std::sync::{Mutex, Once, PoisonError};

use anyhow::{Context, Result, bail};

use crate::shell;

/// Another apt may be at work (unattended upgrades, for one): waits for it so many seconds.
const PATIENCE: &str = "DPkg::Lock::Timeout=600";
/// So that no two of ours meet.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Installs those of `packages` that are missing, and says that `why` is the reason.
pub fn ensure(packages: &[&str], why: &str) -> Result<()> {
    let _only = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let missing = missing(packages)?;
    if missing.is_empty() {
        return Ok(());
    }
    if !shell::is_root() && !shell::has("sudo") {
        bail!("{why} needs the packages {}: install them as root, there is no sudo here", missing.join(" "));
    }
    shell::say(format!("installing with apt-get, for {why}: {}", missing.join(" ")));
    if install(&missing).is_err() {
        refresh();
        install(&missing).with_context(|| format!("{why} needs the packages {}", missing.join(" ")))?;
    }
    Ok(())
}

/// Whether apt knows where to get `package`.
pub fn offers(package: &str) -> bool {
    let known = || {
        shell::read(Command::new("apt-cache").args(["policy", package]).env("LC_ALL", "C"))
            .is_ok_and(|text| text.contains("Candidate:") && !text.contains("Candidate: (none)"))
    };
    if known() {
        return true;
    }
    // The lists of a fresh container image are empty.
    refresh();
    known()
}

/// Downloads `package` into `folder` without installing it.
pub fn download(package: &str, folder: &std::path::Path) -> Result<()> {
    let fetch = || {
        let mut command = Command::new("apt-get");
        // As root, apt would drop to a user that may not write here, and warn.
        command.args(["-o", "APT::Sandbox::User=root", "-qq", "download", package]).current_dir(folder);
        shell::run(&mut command)
    };
    if fetch().is_err() {
        refresh();
        fetch()?;
    }
    Ok(())
}

/// Those of `packages` that dpkg does not list as installed.
fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    if !shell::has("dpkg-query") {
        bail!("this machine has no dpkg: install by hand what provides {}", packages.join(" "));
    }
    let mut query = Command::new("dpkg-query");
    query.args(["-W", "-f", "${db:Status-Status} ${Package}\n"]).args(packages);
    // The exit status is 1 as soon as one package is unknown; what it prints is right all the same.
    let output = shell::capture(&mut query)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let installed: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    Ok(packages.iter().copied().filter(|package| !installed.contains(package)).collect())
}

fn install(packages: &[&str]) -> Result<()> {
    let mut command = shell::as_root("env");
    command.args(["DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-qq", "-y", "--no-install-recommends"]);
    // Output of a package's own scripts is kept from standard output, which may be a report.
    command.args(["-o", "Dpkg::Use-Pty=0", "-o", PATIENCE]).args(packages);
    shell::run_aside(&mut command)
}

/// Refreshes the package lists, once in the life of this process.
pub fn refresh() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        shell::say("refreshing the package lists with apt-get update");
        if let Err(error) = shell::run_aside(shell::as_root("apt-get").args(["update", "-qq", "-o", PATIENCE])) {
            shell::say(format!("{error:#}; going on with the lists at hand"));
        }
    });
}
