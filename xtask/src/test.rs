//! `cargo xtask test`: every test there is, and how many passed.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use clap::Args;

use crate::failures::Failures;
use crate::{bench, build, paths, rulers, services, shell, vm};

/// What `cargo xtask test` takes. All parts run unless some are named.
#[derive(Args)]
pub struct Options {
    /// Unit and integration tests of each crate; they need no privilege.
    #[arg(long)]
    unit: bool,
    /// Real services under the real agent on this kernel, as root.
    #[arg(long)]
    e2e: bool,
    /// One real exchange on each kernel of the matrix.
    #[arg(long)]
    vm: bool,
    /// The short forms of accuracy, harmless, memory, losses and bench, as root.
    #[arg(long)]
    rulers: bool,
    /// Only end-to-end and unit tests whose name contains this.
    filter: Option<String>,
}

/// Runs the parts asked for, all of them to their end, and prints the sum as the last line.
pub fn command(options: &Options) -> Result<ExitCode> {
    let all = !(options.unit || options.e2e || options.vm || options.rulers);
    let (mut sum, mut times, mut failures) = (Sum::default(), Times::default(), Failures::default());
    // The agent's crate embeds the object: built first, its tests see the one that is going to run. Meanwhile the services come,
    // mostly from elsewhere. (Before the unit tests: those of what reads programs and libraries read these too, and in CI insist
    // on them.)
    let agent = times.of("the agent and services", || {
        thread::scope(|scope| {
            let services = (all || options.e2e || options.rulers).then(|| scope.spawn(services::setup));
            let agent = build::build();
            match services.map(thread::ScopedJoinHandle::join) {
                Some(Ok(set_up)) => set_up.and(agent),
                Some(Err(_)) => bail!("what sets the services up is broken"),
                None => agent,
            }
        })
    })?;
    if all || options.unit {
        shell::say("unit and integration tests");
        sum.add(times.of("unit tests", || unit(options, &mut failures))?);
    }
    if all || options.e2e {
        shell::say("end-to-end tests with real services on this kernel");
        sum.add(times.of("end-to-end tests", || end_to_end(options, &agent, &mut failures))?);
    }
    if all || options.vm {
        shell::say("the kernel matrix");
        let outcome = times.of("kernels", || vm::test(&vm::MATRIX))?;
        sum.add(Sum { passed: outcome.passed, failed: outcome.failed, ignored: 0 });
        failures.append(outcome.failures);
    }
    if all || options.rulers {
        let (passed, failed) = times.of("rulers", || rulers::gate(&agent, &mut failures))?;
        sum.add(Sum { passed, failed, ignored: 0 });
        let measured = times.of("bench", || bench::short(&agent));
        if let Err(error) = &measured {
            shell::say(format!("{error:#}"));
            failures.add("bench", &format!("{error:#}"));
        }
        sum.add(Sum { passed: usize::from(measured.is_ok()), failed: usize::from(measured.is_err()), ignored: 0 });
    }
    times.say();
    print!("{}", failures.summary());
    println!("\n{} passed, {} failed, {} ignored", sum.passed, sum.failed, sum.ignored);
    Ok(if sum.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn unit(options: &Options, failures: &mut Failures) -> Result<Sum> {
    let mut sum = cargo_test(shell::host_cargo().args(["test", "--locked", "--no-fail-fast"]), options, &[], failures)?;
    let rulers = ["test", "--locked", "--no-fail-fast", "--package", "wirespan-rulers", "--bins", "--lib"];
    sum.add(cargo_test(shell::host_cargo().args(rulers), options, &[], failures)?);
    Ok(sum)
}

fn end_to_end(options: &Options, agent: &Path, failures: &mut Failures) -> Result<Sum> {
    let mut cargo = shell::host_cargo();
    cargo.args(["test", "--locked", "--no-fail-fast", "--package", "wirespan-tests"]).env("WIRESPAN_BIN", agent);
    with_system_path(&mut cargo);
    if !shell::is_root() {
        // Built as us, run as root.
        let runner = format!("CARGO_TARGET_{}_UNKNOWN_LINUX_GNU_RUNNER", std::env::consts::ARCH.to_uppercase());
        cargo.env(runner, "sudo --preserve-env --preserve-env=PATH,WIRESPAN_BIN --");
    }
    // The agent sees the whole machine: one test at a time.
    cargo_test(&mut cargo, options, &["--test-threads=1"], failures)
}

/// How long each part took, for whoever waits for all of them.
#[derive(Default)]
struct Times(Vec<(&'static str, Duration)>);

impl Times {
    fn of<T>(&mut self, part: &'static str, run: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let result = run();
        self.0.push((part, begun.elapsed()));
        result
    }

    fn say(&self) {
        let parts: Vec<String> = self.0.iter().map(|(part, took)| format!("{part} {} s", took.as_secs())).collect();
        shell::say(format!("it took: {}", parts.join(", ")));
    }
}

/// Some services are where an ordinary user's `PATH` does not look.
fn with_system_path(command: &mut Command) {
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{path}:/usr/sbin:/sbin"));
}

/// Counted tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Sum {
    passed: usize,
    failed: usize,
    ignored: usize,
}

impl Sum {
    fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.ignored += other.ignored;
    }

    /// Reads libtest's closing line: `test result: ok. 3 passed; 0 failed; 1 ignored; …`.
    fn parse(line: &str) -> Option<Self> {
        let counts = line.strip_prefix("test result: ")?.split_once(". ")?.1;
        let count = |word: &str| {
            let field = counts.split("; ").find_map(|field| field.trim().strip_suffix(word))?;
            field.trim().parse().ok()
        };
        Some(Self { passed: count("passed")?, failed: count("failed")?, ignored: count("ignored")? })
    }
}

/// Runs `cargo test`, shows what it prints, counts, and keeps what failed.
fn cargo_test(cargo: &mut Command, options: &Options, arguments: &[&str], failures: &mut Failures) -> Result<Sum> {
    // Without a filter cargo runs documentation tests too.
    cargo.arg("--").args(&options.filter).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped());
    cargo.current_dir(paths::workspace());
    let mut child = cargo.spawn().with_context(|| format!("cannot start `{}`", shell::show(cargo)))?;
    let mut sum = Sum::default();
    let stdout = child.stdout.take().context("cargo has no standard output")?;
    for line in BufReader::new(stdout).lines() {
        let line = line.context("cargo's output is not text")?;
        println!("{line}");
        failures.hear(&line);
        if let Some(more) = Sum::parse(&line) {
            sum.add(more);
        }
    }
    let status = child.wait().context("cargo is lost")?;
    if !status.success() && sum.failed == 0 {
        // A crate that does not compile, or a test program that died: nothing was counted, and nothing passed.
        shell::say(format!("`{}` failed: {status}", shell::show(cargo)));
        failures.add(shell::show(cargo), &status.to_string());
        sum.failed = 1;
    }
    Ok(sum)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closing_line_of_a_test_program_is_counted() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s";
        assert_eq!(Sum::parse(line), Some(Sum { passed: 3, failed: 2, ignored: 1 }));
        assert_eq!(Sum::parse("test result_is_parsed ... ok"), None);
    }
}
