//! `cargo xtask fuzz`: hostile bytes for the parsers, hostile lines for what looks for exceptions, hostile files for what reads programs, and hostile records for the
//! assembled pipeline, for as long as one likes.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{apt, paths, shell};

const VERSION: &str = "0.13.2";
/// Where fuzz targets are.
const FOLDERS: [&str; 4] = ["agent/fuzz", "errors/fuzz", "inspect/fuzz", "protocols/fuzz"];

/// What `cargo xtask fuzz` takes.
#[derive(Args)]
pub struct Options {
    /// Seconds for each target.
    #[arg(default_value_t = 60)]
    seconds: u32,
    /// Only this target: `assembled` of `agent/fuzz`, `lines` of `errors/fuzz`, `binaries` or `libraries` of `inspect/fuzz`, `parsers` or `hpack` of `protocols/fuzz`.
    #[arg(long)]
    target: Option<String>,
}

/// Runs one target after the other; the first input that breaks something ends it and is kept by cargo-fuzz.
pub fn command(options: &Options) -> Result<()> {
    let program = ensure()?;
    let mut known = Vec::new();
    for folder in FOLDERS.map(|folder| paths::workspace().join(folder)) {
        let list = shell::read(&mut fuzz(&program, "list", &folder))?;
        for target in list.lines() {
            known.push(target.to_owned());
            if options.target.as_deref().is_none_or(|wanted| wanted == target) {
                run(&program, &folder, target, options.seconds)?;
            }
        }
    }
    match &options.target {
        Some(target) if !known.contains(target) => bail!("no target {target}; there are {}", known.join(", ")),
        _ => Ok(()),
    }
}

fn run(program: &Path, folder: &Path, target: &str, seconds: u32) -> Result<()> {
    shell::say(format!("fuzzing {target} for {seconds} s"));
    let mut run = fuzz(program, "run", folder);
    // No sanitizer: the code that reads strangers' bytes forbids unsafe code, and is several times faster without.
    run.args(["--sanitizer", "none", target]);
    // What is found goes to the first folder, and what is committed is read besides.
    let (found, committed) = (folder.join("found").join(target), folder.join("corpus").join(target));
    for corpus in [&found, &committed] {
        std::fs::create_dir_all(corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
    }
    run.args([&found, &committed]);
    run.args(["--", &format!("-max_total_time={seconds}"), "-timeout=10", "-print_final_stats=1"]);
    shell::run(&mut run).with_context(|| format!("{target} found an input that breaks it"))
}

fn fuzz(program: &Path, verb: &str, folder: &Path) -> Command {
    let mut command = shell::cargo(program);
    command.args(["fuzz", verb, "--fuzz-dir"]).arg(folder);
    // The instrumentation is unstable, and the stable compiler at hand has it.
    command.env("RUSTC_BOOTSTRAP", "1");
    command
}

fn ensure() -> Result<PathBuf> {
    let root = paths::cache()?.join(format!("cargo-fuzz-{VERSION}"));
    let program = root.join("bin/cargo-fuzz");
    if !program.is_file() {
        apt::ensure(&["g++"], "compiling libFuzzer")?;
        shell::say(format!("compiling cargo-fuzz {VERSION} into {} (about half a minute)", root.display()));
        let mut cargo: Command = shell::host_cargo();
        cargo.args(["install", "cargo-fuzz", "--quiet", "--locked", "--version", VERSION, "--root"]).arg(&root);
        shell::run(cargo.env_remove("CARGO_TARGET_DIR"))?;
    }
    Ok(program)
}
