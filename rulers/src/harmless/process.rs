//! Commands with a deadline.

use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

/// How a command ended, and what it wrote.
pub struct Ended {
    /// `None` if it was ended because its time was over.
    pub status: Option<ExitStatus>,
    /// Standard output and standard error, in the order written.
    pub text: String,
}

impl Ended {
    /// An error that says what the command wrote last, unless it ended well.
    pub fn well(self, what: &str) -> Result<String> {
        match self.status {
            Some(status) if status.success() => Ok(self.text),
            Some(status) => bail!("{what} ended with {status}:\n{}", tail(&self.text)),
            None => bail!("{what} did not end in time:\n{}", tail(&self.text)),
        }
    }
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(15)..].join("\n")
}

/// Runs `command` with its output in `log`; ends it with all that it started when `limit` has passed.
pub fn run(command: &mut Command, log: &Path, limit: Duration) -> Result<Ended> {
    let file = File::create(log).with_context(|| format!("cannot write {}", log.display()))?;
    command.process_group(0).stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command.spawn().with_context(|| format!("cannot start {name}"))?;
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().with_context(|| format!("{name} is lost"))? {
            break Some(status);
        }
        if begun.elapsed() > limit {
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
            child.wait().with_context(|| format!("{name} is lost"))?;
            break None;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let bytes = std::fs::read(log).with_context(|| format!("cannot read {}", log.display()))?;
    Ok(Ended { status, text: String::from_utf8_lossy(&bytes).into_owned() })
}
