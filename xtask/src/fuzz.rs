//! `cargo xtask fuzz`: hostile bytes for the protocol parsers, for as long as one likes.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::{apt, paths, shell};

const VERSION: &str = "0.13.2";

/// What `cargo xtask fuzz` takes.
#[derive(Args)]
pub struct Options {
    /// Seconds for each target.
    #[arg(default_value_t = 60)]
    seconds: u32,
    /// Only this target of `protocols/fuzz`.
    #[arg(long)]
    target: Option<String>,
}

/// Runs one target after the other; the first input that breaks a parser ends it and is kept by cargo-fuzz.
pub fn command(options: &Options) -> Result<()> {
    let folder = paths::workspace().join("protocols/fuzz");
    if !folder.join("Cargo.toml").is_file() {
        bail!("{} holds no fuzz targets", folder.display());
    }
    let program = ensure()?;
    let fuzz = |verb: &str| {
        let mut command = shell::cargo(&program);
        command.args(["fuzz", verb, "--fuzz-dir"]).arg(&folder);
        // The instrumentation is unstable, and the stable compiler at hand has it.
        command.env("RUSTC_BOOTSTRAP", "1");
        command
    };
    let list = shell::read(&mut fuzz("list"))?;
    let targets: Vec<&str> = match &options.target {
        Some(target) => vec![target],
        None => list.lines().collect(),
    };
    for target in targets {
        shell::say(format!("fuzzing {target} for {} s", options.seconds));
        // No sanitizer: the parsers forbid unsafe code, and are several times faster without.
        let mut run = fuzz("run");
        run.args(["--sanitizer", "none", target, "--", &format!("-max_total_time={}", options.seconds)]);
        shell::run(&mut run).with_context(|| format!("{target} found an input that breaks it"))?;
    }
    Ok(())
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
