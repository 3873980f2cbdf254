//! Runs commands, and says which.
//!
//! What a person should know goes to standard error, so that the output of the commands themselves stays usable.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// Tells the person in front of the terminal what happens now.
pub fn say(message: impl AsRef<str>) {
    eprintln!("xtask: {}", message.as_ref());
}

/// A command as one would type it, for messages.
pub fn show(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

/// Runs `command` to its end with our standard streams; an exit status other than 0 is an error.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.status().with_context(|| format!("cannot start `{}`", show(command)))?;
    if !status.success() {
        bail!("`{}` failed: {status}", show(command));
    }
    Ok(())
}

/// As [`run`], with all output on standard error and no input: for tools whose chatter is no result of ours.
pub fn run_aside(command: &mut Command) -> Result<()> {
    let stderr = std::io::stderr().as_fd().try_clone_to_owned().context("standard error is closed")?;
    run(command.stdin(Stdio::null()).stdout(stderr))
}

/// Runs `command` to its end and returns its standard output; an exit status other than 0 is an error that quotes
/// what the command said.
pub fn read(command: &mut Command) -> Result<String> {
    let output = capture(command)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{}` failed: {}\n{}", show(command), output.status, said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Runs `command` to its end and returns all that it wrote, whatever its exit status.
pub fn capture(command: &mut Command) -> Result<Output> {
    command.stdin(Stdio::null()).output().with_context(|| format!("cannot start `{}`", show(command)))
}

/// Whether `program` is an executable file in `PATH`.
pub fn has(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

/// Whether this process may do everything.
pub fn is_root() -> bool {
    // The owner of /proc/self is the effective user.
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

/// A command that runs `program` as root, through sudo when we are not.
pub fn as_root(program: impl AsRef<std::ffi::OsStr>) -> Command {
    if is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("sudo");
    command.arg("--preserve-env=PATH,HOME,CARGO_TARGET_DIR").arg("--").arg(program);
    command
}

/// A command that runs `cargo` free of what the `cargo run` around us set for ourselves.
///
/// Variables such as `CARGO_MANIFEST_DIR`, `RUSTUP_TOOLCHAIN` and `LD_LIBRARY_PATH` would otherwise choose another
/// toolchain for the inner build, or make it start afresh.
pub fn cargo(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let ours = ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_ENCODED_"];
        let also = ["CARGO", "RUSTC", "RUSTDOC", "RUSTFLAGS", "RUSTUP_TOOLCHAIN", "LD_LIBRARY_PATH", "OUT_DIR"];
        if ours.iter().any(|prefix| name.starts_with(prefix)) || also.contains(&name.as_ref()) {
            command.env_remove(name.as_ref());
        }
    }
    command.current_dir(crate::paths::workspace());
    command
}

/// The cargo that started us, for building what runs on this machine.
pub fn host_cargo() -> Command {
    let program = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = cargo(program);
    // `cargo` of a rustup toolchain finds its rustc through PATH, where a rustup proxy reads this.
    for name in ["RUSTUP_TOOLCHAIN", "RUSTFLAGS"] {
        if let Some(value) = std::env::var_os(name) {
            command.env(name, value);
        }
    }
    command
}
