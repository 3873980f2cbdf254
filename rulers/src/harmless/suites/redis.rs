//! Redis's own tests in Tcl, of Debian's source package, against Debian's binaries; both are unpacked, not installed.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result};

use super::{note, some_passed, unnumbered};
use crate::harmless::check::{Outcome, Run, Selection, World};
use crate::harmless::{packages, process};

/// The files of tests that are about connections; those about data structures, persistence and memory say nothing about sockets.
const UNITS: &[&str] = &[
    "unit/auth",
    "unit/protocol",
    "unit/keyspace",
    "unit/scan",
    "unit/info",
    "unit/type/string",
    "unit/multi",
    "unit/quit",
    "unit/pubsub",
    "unit/pubsubshard",
    "unit/tracking",
    "unit/introspection",
    "unit/limits",
    "unit/pause",
    "unit/networking",
    "unit/querybuf",
    "unit/replybufsize",
    "integration/replication-2",
    "integration/redis-cli",
    "integration/redis-benchmark",
];
/// How long all may take.
const LIMIT: Duration = Duration::from_secs(500);

/// All units, or the tests that differed.
pub fn run(world: &World, selection: &Selection) -> Result<Run> {
    packages::needed("tclsh", "tcl")?;
    let suite = suite(world)?;
    let mut command = Command::new("tclsh");
    command.current_dir(&suite).args(["tests/test_helper.tcl", "--clients", "1", "--no-latency"]);
    UNITS.iter().for_each(|unit| {
        command.args(["--single", unit]);
    });
    selection.0.iter().for_each(|test| {
        command.args(["--only", unnumbered(test)]);
    });
    let ended = process::run(&mut command, &world.folder("redis")?.join("suite.log"), LIMIT)?;
    let outcome = outcomes(&ended.text);
    some_passed(&outcome, selection, &ended.text)?;
    Ok(Run {
        outcome,
        left_out: vec![
            "units about data structures, persistence, scripts and memory: nothing about sockets".to_owned(),
        ],
        sound: None,
    })
}

fn suite(world: &World) -> Result<PathBuf> {
    packages::cached(world, "redis", |folder| {
        packages::unpack_source("redis", folder)?;
        let package = folder.join("package");
        fs::create_dir_all(&package)?;
        packages::unpack("redis-tools", &package)?;
        for name in ["redis-cli", "redis-benchmark", "redis-check-aof", "redis-check-rdb"] {
            link(&package.join("usr/bin").join(name), &folder.join("src").join(name))?;
        }
        // One program under several names.
        link(&package.join("usr/bin/redis-check-rdb"), &folder.join("src/redis-server"))
    })
}

fn link(to: &Path, from: &Path) -> Result<()> {
    symlink(to, from).with_context(|| format!("cannot make {}", from.display()))
}

/// Lines such as `[ok]: a test (3 ms)`, with colours.
fn outcomes(text: &str) -> Outcome {
    let mut outcome = Outcome::new();
    for line in text.lines().map(plain) {
        let words = [
            ("[ok]: ", "passed"),
            ("[err]: ", "failed"),
            ("[exception]: ", "error"),
            ("[ignore]: ", "skipped"),
            ("[skip]: ", "skipped"),
        ];
        for (mark, said) in words {
            if let Some(test) = line.strip_prefix(mark) {
                note(&mut outcome, name(test), said);
            }
        }
    }
    outcome
}

/// Without the time it took, and without where it failed.
fn name(test: &str) -> &str {
    let test = test.split(" in tests/").next().unwrap_or(test);
    match test.rsplit_once(" (") {
        Some((name, time)) if time.ends_with(" ms)") => name,
        _ => test,
    }
}

/// Without the terminal's colours (ECMA-48 SGR).
fn plain(line: &str) -> String {
    let mut pieces = line.split("\u{1b}[");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| text + piece.split_once('m').map_or("", |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_with_colours_is_a_test() {
        let text = "[\u{1b}[0;32;49mok\u{1b}[0m]: A (b) test (3 ms)\n[\u{1b}[0;31;49merr\u{1b}[0m]: C in tests/unit/d.tcl\n[ready]: 1";
        let found = outcomes(text);
        assert_eq!(found["A (b) test"], "passed");
        assert_eq!(found["C"], "failed");
        assert_eq!(found.len(), 2);
    }
}
