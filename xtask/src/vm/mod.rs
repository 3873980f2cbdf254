//! `cargo xtask vm`: the kernel matrix.
//!
//! Debian's kernels boot in an emulated machine (no hardware virtualisation is needed), with this machine's own root
//! file system as theirs: read-only, under an overlay that is forgotten at the end. A guest therefore has every program
//! that the host has, and can harm nothing. Emulation is about twenty times slower than the machine itself.
//!
//! | module | what it does |
//! |---|---|
//! | [`kernel`] | finds, downloads and unpacks a kernel package |
//! | [`initramfs`] | the first file system, from which the guest mounts the real one |
//! | [`machine`] | boots a kernel, runs one command, returns its output and exit status |
//! | [`smoke`] | the test that every kernel of the matrix must pass |

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;

use crate::failures::Failures;
use crate::{apt, shell};

mod initramfs;
mod kernel;
mod machine;
mod smoke;

/// The kernels of the matrix: the oldest and the newest that Debian 12 packages, on either side of the typed socket
/// tracepoints of Linux 6.3.
pub const MATRIX: [&str; 2] = ["6.1", "6.12"];

/// What `cargo xtask vm` takes.
#[derive(Args)]
pub struct Options {
    /// The kernel, such as 6.1; the whole matrix unless given.
    #[arg(long)]
    kernel: Vec<String>,
    /// Memory of the guest, in MiB.
    #[arg(long, default_value_t = 3072)]
    memory: u32,
    /// Seconds after which the guest is stopped.
    #[arg(long, default_value_t = 900)]
    timeout: u64,
    /// Show what the guest's kernel says.
    #[arg(long)]
    verbose: bool,
    /// A folder that the guest may write to; everything else that it writes is lost.
    #[arg(long)]
    share: Option<PathBuf>,
    /// The command to run in the guest instead of the test.
    #[arg(last = true)]
    command: Vec<String>,
}

/// Installs what booting a guest needs.
pub fn setup() -> Result<()> {
    let packages = ["qemu-system-x86", "qemu-system-common", "busybox-static", "kmod", "xz-utils"];
    apt::ensure(&packages, "the kernel matrix")
}

/// `cargo xtask vm`. The exit status is the command's own, if one is given.
pub fn command(options: &Options) -> Result<ExitCode> {
    if options.command.is_empty() {
        let kernels: Vec<&str> = options.kernel.iter().map(String::as_str).collect();
        let outcome = test(if kernels.is_empty() { &MATRIX } else { &kernels })?;
        println!("{} passed, {} failed", outcome.passed, outcome.failed);
        return Ok(if outcome.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    setup()?;
    let version = options.kernel.first().map_or(MATRIX[1], String::as_str);
    let job = machine::Job {
        command: options.command.clone(),
        memory: options.memory,
        timeout: Duration::from_secs(options.timeout),
        share: options.share.clone(),
        verbose: options.verbose,
        echo: true,
    };
    let end = machine::run(&kernel::ensure(version)?, &job)?;
    Ok(ExitCode::from(end.status))
}

/// How many kernels of the matrix did what they should.
#[derive(Default)]
pub struct Outcome {
    pub passed: usize,
    pub failed: usize,
    /// Which, and why.
    pub failures: Failures,
}

/// Runs the test on each kernel, and says what came of it.
pub fn test(kernels: &[&str]) -> Result<Outcome> {
    setup()?;
    let agent = crate::build::build()?;
    let mut outcome = Outcome::default();
    for version in kernels {
        shell::say(format!("booting Linux {version} (emulated: this takes a minute or two)"));
        let kernel = kernel::ensure(version).with_context(|| format!("no Linux {version} to boot"))?;
        match smoke::run(&kernel, &agent) {
            Ok(summary) => {
                println!("test vm::linux_{version} ... ok ({summary})");
                outcome.passed += 1;
            }
            Err(error) => {
                println!("test vm::linux_{version} ... FAILED\n{error:#}");
                // (The cause stands last, behind what the guest said.)
                outcome.failures.add(format!("vm::linux_{version}"), &error.root_cause().to_string());
                outcome.failed += 1;
            }
        }
    }
    Ok(outcome)
}
