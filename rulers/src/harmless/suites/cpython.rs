//! CPython's own tests of sockets, TLS, asyncio, HTTP and selectors, run by Debian's Python.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};
use wirespan_tests::python;

use super::{outcomes, some_passed};
use crate::harmless::check::{Outcome, Run, Selection, World};
use crate::harmless::{packages, process};

/// Modules, and whether the short form has them.
const MODULES: &[(&str, bool)] =
    &[("test_selectors", true), ("test_socket", true), ("test_httplib", false), ("test_ssl", false)];
/// A check of its own, since it takes as long as all others.
const ASYNCIO: &[(&str, bool)] = &[("test_asyncio", false)];
/// Beginnings of names of tests that are left out, and why.
const LEFT_OUT: [(&str, &str); 2] = [
    ("test.test_socket.ThreadedVSOCKSocketStreamTest", "waits for ever where the machine's vsock has no loopback"),
    ("test.test_httplib.BasicTest.test_large_content_length", "asks for 2 GB of memory at once"),
];
/// How long one module may take.
const LIMIT: Duration = Duration::from_secs(600);

/// Selectors, sockets, HTTP and TLS.
pub fn run(world: &World, selection: &Selection) -> Result<Run> {
    modules(world, selection, MODULES)
}

/// asyncio.
pub fn run_asyncio(world: &World, selection: &Selection) -> Result<Run> {
    modules(world, selection, ASYNCIO)
}

/// Every module, in a process of its own.
fn modules(world: &World, selection: &Selection, modules: &[(&str, bool)]) -> Result<Run> {
    let suite = suite(world)?;
    let folder = world.install("cpython", &[("unittests.py", include_str!("../programs/unittests.py"))])?;
    let mut all = Outcome::new();
    for &(module, short) in modules {
        let prefix = format!("test.{module}.");
        let wanted: Vec<&String> = selection.0.iter().filter(|name| name.contains(&prefix)).collect();
        if (world.short && !short) || (wanted.is_empty() && !selection.0.is_empty()) {
            continue;
        }
        let output = folder.join(format!("{module}.outcomes"));
        let mut command = Command::new(python::system());
        command.current_dir(&folder).env("PYTHONPATH", &suite).env("PYTHONDONTWRITEBYTECODE", "1");
        command.env("LEFT_OUT", left_out_names()).arg("unittests.py").arg(&output).arg(format!("test.{module}"));
        command.args(wanted);
        let ended = process::run(&mut command, &folder.join(format!("{module}.log")), LIMIT)?;
        let outcome = outcomes(&output).with_context(|| ended.text.clone())?;
        some_passed(&outcome, selection, &ended.text)?;
        let end = if ended.status.is_some() { "passed" } else { "failed" };
        all.insert(format!("{prefix} ended in time"), end.to_owned());
        all.extend(outcome);
    }
    let left_out = LEFT_OUT.iter().map(|(name, why)| format!("`{name}*`: {why}"));
    Ok(Run { outcome: all, left_out: left_out.collect(), sound: None })
}

fn left_out_names() -> String {
    LEFT_OUT.map(|(name, _)| name).join(" ")
}

/// A folder with the package `test` of Debian's Python. The tests come from a package of their own, which is unpacked, not installed.
fn suite(world: &World) -> Result<PathBuf> {
    let version = version(world)?;
    packages::cached(world, &format!("cpython-{version}"), |folder| {
        let package = folder.join("package");
        fs::create_dir_all(&package)?;
        packages::unpack(&format!("libpython{version}-testsuite"), &package)?;
        let (tests, rest) = (format!("usr/lib/python{version}/test"), format!("/usr/lib/python{version}/test/."));
        copy(&package.join(tests), folder, folder)?;
        // What the tests share is part of the standard library, and of its version.
        copy(Path::new(&rest), &folder.join("test"), folder)
    })
}

fn copy(from: &Path, to: &Path, folder: &Path) -> Result<()> {
    packages::fetch(Command::new("cp").arg("-r").arg(from).arg(to), folder).map(drop)
}

fn version(world: &World) -> Result<String> {
    let mut command = Command::new(python::system());
    command.args(["-c", "import sys; print('%d.%d' % sys.version_info[:2])"]);
    let log = world.folder("cpython")?.join("version.log");
    Ok(process::run(&mut command, &log, LIMIT)?.well("Python")?.trim().to_owned())
}
