//! Socket semantics: one Python program a case, whose transcript must be the same.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use wirespan_tests::python;

use super::check::{Outcome, Run, Selection, World};
use super::process;

const FILES: &[(&str, &str)] = &[
    ("transcript.py", include_str!("programs/sockets/transcript.py")),
    ("streams.py", include_str!("programs/sockets/streams.py")),
    ("calls.py", include_str!("programs/sockets/calls.py")),
    ("datagrams.py", include_str!("programs/sockets/datagrams.py")),
    ("processes.py", include_str!("programs/sockets/processes.py")),
];
/// Every case waits 20 s at most for one thing.
const LIMIT: Duration = Duration::from_secs(90);

/// Every case; its transcript, and how it ended.
pub fn run(world: &World, selection: &Selection) -> Result<Run> {
    let folder = world.install("sockets", FILES)?;
    let log = folder.join("case.log");
    let names = process::run(program(&folder).arg("--list"), &log, LIMIT)?.well("the list of cases")?;
    let mut outcome = Outcome::new();
    for name in names.lines().filter(|name| selection.has(name)) {
        let mut command = program(&folder);
        command.arg(name);
        if world.short && name == "short_connections" {
            command.arg("2000");
        }
        let ended = process::run(&mut command, &log, LIMIT)?;
        if ended.text.contains("ModuleNotFoundError") {
            bail!("Python lacks what the cases need:\n{}", ended.text);
        }
        let end = ended.status.map_or("out of time".to_owned(), |status| status.to_string());
        outcome.insert(name.to_owned(), format!("{}{end}", ended.text));
    }
    Ok(Run { outcome, sound: Some("exit status: 0"), ..Run::default() })
}

fn program(folder: &Path) -> Command {
    let mut command = Command::new(python::system());
    command.arg("transcript.py").current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}
