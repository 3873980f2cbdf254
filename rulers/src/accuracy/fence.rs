//! Keeps other people's traffic away from the agent: what we start is in a control group of its own, which the agent is told
//! to include. Rules about ports alone would do for the result, but then the agent must look at every connection of the
//! machine, and on a busy one its ring overflows with what it does not want.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use tokio::signal::unix::{SignalKind, signal};
use wirespan_tests::wait;

/// What a shell reports of a program that was interrupted.
const INTERRUPTED: i32 = 130;
/// How long processes may take to end when they are killed.
const KILL: Duration = Duration::from_secs(5);

/// A control group, or, where none can be made, the ports.
pub struct Fence {
    group: Option<PathBuf>,
    ports: Vec<u16>,
}

impl Fence {
    /// A fence around processes that are about to start, which use `ports`.
    pub fn new(ports: &[u16]) -> Self {
        let group = own_group().filter(|group| fs::create_dir(group).is_ok() || group.is_dir());
        if group.is_none() {
            eprintln!("no control group can be made here: the agent looks at all connections of this machine");
        }
        Self { group, ports: ports.to_vec() }
    }

    /// What the agent is to include.
    pub fn rules(&self) -> Vec<String> {
        match self.group.as_ref().and_then(|group| group.file_name()) {
            Some(name) => vec![format!("cgroup:*/{}", name.to_string_lossy())],
            None => self.ports.iter().map(|port| format!("port:{port}")).collect(),
        }
    }

    /// The same command, inside.
    pub fn enter(&self, command: &Command) -> Command {
        let Some(group) = &self.group else { return copy(command, Command::new(command.get_program())) };
        let mut inside = Command::new("/bin/sh");
        inside
            .args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(group.join("cgroup.procs"))
            .arg(command.get_program());
        copy(command, inside)
    }
}

impl Drop for Fence {
    fn drop(&mut self) {
        if let Some(group) = &self.group {
            // Fails while somebody is in it, and then the next run of the same number uses it.
            let _ = fs::remove_dir(group);
        }
    }
}

/// When this program is interrupted or terminated, ends all that it started inside a fence before it ends itself.
///
/// # Errors
///
/// When signals cannot be caught.
pub fn end_all_with_us() -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut terminated = {
        let _within = runtime.enter();
        signal(SignalKind::terminate())?
    };
    std::thread::spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                _ = terminated.recv() => {}
                _ = tokio::signal::ctrl_c() => {}
            }
        });
        if let Some(group) = own_group() {
            // Not there when nothing runs.
            let _ = fs::write(group.join("cgroup.kill"), "1");
            wait::until_true(KILL, || fs::remove_dir(&group).is_ok() || !group.exists());
        }
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

/// The control group of this process's fences.
fn own_group() -> Option<PathBuf> {
    unified().map(|root| root.join(format!("wirespan-accuracy-{}", std::process::id())))
}

/// Arguments, environment and directory of a command, on another.
fn copy(from: &Command, mut to: Command) -> Command {
    to.args(from.get_args());
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
    if let Some(dir) = from.get_current_dir() {
        to.current_dir(dir);
    }
    to
}

/// Where the unified hierarchy is mounted.
fn unified() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let fields = mounts.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    fields.filter(|fields| fields.get(2) == Some(&"cgroup2")).find_map(|fields| Some(PathBuf::from(fields.get(1)?)))
}
