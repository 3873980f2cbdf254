//! Node: three programs, one event loop each.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use super::{Place, Prepared, Shape, Stack, Start, output, run};

/// One event loop handles everything.
const LIMITS: &str = "what is called after the answer by `fetch`, and what two requests wait for at once";

const NODE: Stack = Stack {
    name: "",
    title: "",
    mode: "",
    shapes: &Shape::USUAL,
    left_out: &[],
    serves: None,
    passes_through: false,
    cheap: true,
    limits: LIMITS,
    prepare: |_| anyhow::bail!("a program of its own for each stack"),
    start,
};

/// Every stack of this family.
pub const STACKS: &[Stack] = &[
    Stack {
        name: "express",
        title: "Express, axios with a keep-alive agent",
        prepare: |place| prepare(place, "express"),
        ..NODE
    },
    Stack {
        name: "node-http",
        title: "Node `http`, server and client, with a keep-alive agent",
        prepare: |place| prepare(place, "node-http"),
        ..NODE
    },
    Stack {
        name: "node-fetch",
        title: "Node `http`, client `fetch` (undici)",
        prepare: |place| prepare(place, "node-fetch"),
        ..NODE
    },
];

fn prepare(place: &Place, family: &str) -> Result<Prepared> {
    let sources = place.sources(family);
    let home = place.made_once(family, |folder| install(&sources, folder))?;
    let version = output(Command::new("node").arg("--version"))?.trim_start_matches('v').to_owned();
    let mut versions = vec![("Node".to_owned(), version)];
    versions.extend(packages(&sources)?);
    Ok(Prepared { program: PathBuf::from("node"), home, versions })
}

/// Copies the sources and installs next to them what the lock file names.
fn install(sources: &Path, folder: &Path) -> Result<()> {
    for entry in fs::read_dir(sources).with_context(|| sources.display().to_string())? {
        let from = entry?.path();
        let name = from.file_name().context("a file has a name")?;
        fs::copy(&from, folder.join(name)).with_context(|| from.display().to_string())?;
    }
    if !folder.join("package.json").is_file() {
        return Ok(());
    }
    let mut npm = Command::new("npm");
    npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    run(npm.current_dir(folder).stdin(Stdio::null()).stdout(std::io::stderr()))
}

/// The packages that the program itself names, with their exact versions.
fn packages(sources: &Path) -> Result<Vec<(String, String)>> {
    let file = sources.join("package.json");
    if !file.is_file() {
        return Ok(Vec::new());
    }
    let text = fs::read(&file).with_context(|| file.display().to_string())?;
    let json: serde_json::Value = serde_json::from_slice(&text).with_context(|| file.display().to_string())?;
    let named = json["dependencies"].as_object().into_iter().flatten();
    Ok(named.map(|(name, version)| (name.clone(), version.as_str().unwrap_or_default().to_owned())).collect())
}

fn start(prepared: &Prepared, _: &Start<'_>) -> Result<Command> {
    let mut command = Command::new(&prepared.program);
    command.arg(prepared.home.join("server.js"));
    Ok(command)
}
