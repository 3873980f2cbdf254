//! urllib3's tests: a client against servers of its own, plain and TLS, proxies, time-outs, broken answers.

use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use wirespan_tests::python;

use super::{outcomes, some_passed};
use crate::harmless::check::{Run, Selection, World};
use crate::harmless::{packages, process};

/// The version whose tests are run.
const URLLIB3: &str = "urllib3==2.2.3";
/// What its tests need, in the versions of its own list; newer Flask does not go with this Quart.
const NEEDS: &[&str] = &[
    "pytest==8.0.2",
    "pytest-timeout==2.1.0",
    "pytest-socket==0.7.0",
    "trustme==1.2.0",
    "cryptography==43.0.1",
    "pyOpenSSL==24.2.1",
    "idna==3.7",
    "PySocks==1.7.1",
    "h2==4.1.0",
    "Quart==0.19.4",
    "quart-trio==0.11.1",
    "trio==0.26.2",
    "Flask==3.0.3",
    "Werkzeug==3.0.4",
    "hypercorn==0.17.3",
    "httpx==0.25.2",
];
/// The tests that make connections.
const TESTS: &[&str] =
    &["test/with_dummyserver", "test/test_ssltransport.py", "test/test_wait.py", "test/contrib/test_socks.py"];
/// Files that are left out, and why.
const LEFT_OUT: &[(&str, &str)] = &[(
    "test/with_dummyserver/test_proxy_poolmanager.py",
    "its proxy needs a fork of hypercorn that is not on PyPI: half of its tests fail by themselves",
)];
/// How long all may take.
const LIMIT: Duration = Duration::from_secs(400);

/// The whole suite, or the tests that differed.
pub fn run(world: &World, selection: &Selection) -> Result<Run> {
    let suite = packages::cached(world, "urllib3-2.2.3", |folder| {
        packages::fetch(Command::new(python::system()).args(["-m", "venv"]).arg(folder.join("venv")), folder)?;
        let pip = || {
            let mut command = Command::new(folder.join("venv/bin/python"));
            command.args(["-m", "pip", "-q", "--disable-pip-version-check", "--no-input"]).current_dir(folder);
            command
        };
        packages::fetch(pip().args(["download", "--no-deps", "--no-binary", "urllib3", URLLIB3]), folder)?;
        packages::fetch(pip().args(["install", URLLIB3]).args(NEEDS), folder)?;
        let archive = packages::only_file(folder, ".tar.gz")?;
        packages::fetch(
            Command::new("tar").arg("xzf").arg(archive).arg("--strip-components=1").current_dir(folder),
            folder,
        )
        .map(drop)
    })?;
    let folder = world.install("urllib3", &[("outcomes.py", include_str!("../programs/outcomes.py"))])?;
    let output = folder.join("outcomes");
    let mut command = Command::new(suite.join("venv/bin/python"));
    command.current_dir(&suite).env("PYTHONPATH", &folder).env("OUTCOMES", &output).env("PYTHONDONTWRITEBYTECODE", "1");
    command.args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "outcomes", "--tb=short", "--timeout=60"]);
    command.args(LEFT_OUT.iter().map(|(file, _)| format!("--ignore={file}")));
    if selection.0.is_empty() {
        command.args(TESTS);
    } else {
        command.args(&selection.0);
    }
    let ended = process::run(&mut command, &folder.join("pytest.log"), LIMIT)?;
    let outcome = outcomes(&output)?;
    some_passed(&outcome, selection, &ended.text)?;
    Ok(Run { outcome, left_out: LEFT_OUT.iter().map(|(name, why)| format!("`{name}`: {why}")).collect(), sound: None })
}
