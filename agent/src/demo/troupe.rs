//! The processes of the shop: started, watched, ended.

use std::fs;
use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};
use tempfile::TempDir;

use super::plan::{Language, Role, cast, command_line, is_installed};

/// How long a part may take until it listens.
const START: Duration = Duration::from_secs(5);
/// How long it may take to end.
const END: Duration = Duration::from_millis(700);
/// How often it is looked whether it does.
const TICK: Duration = Duration::from_millis(10);

/// Every process that the demo started. Dropping it ends them all.
pub struct Troupe {
    parts: Vec<Running>,
    /// Where the scripts are.
    folder: TempDir,
}

struct Running {
    role: Role,
    language: Option<Language>,
    port: u16,
    child: Child,
}

impl Troupe {
    /// Starts every part but the customer, on free ports of the loopback address.
    ///
    /// # Errors
    /// If there is no room for files, or no free port, or this very program cannot be started.
    pub fn start() -> io::Result<Self> {
        let folder = tempfile::Builder::new().prefix("wirespan-demo-").tempdir()?;
        // The parts may run as another user.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755))?;
        let mut troupe = Self { parts: Vec::new(), folder };
        for (role, language) in cast(is_installed).into_iter().filter(|(role, _)| *role != Role::Customer) {
            let port = free_port()?;
            let part = match troupe.spawn(role, language, port) {
                Err(_) if language.is_some() => troupe.spawn(role, None, port)?,
                other => other?,
            };
            troupe.parts.push(part);
        }
        Ok(troupe)
    }

    /// Waits until every part listens. A language that does not work here is replaced by this program.
    ///
    /// # Errors
    /// If even that does not listen in time.
    pub fn ready(&mut self) -> io::Result<()> {
        for at in 0..self.parts.len() {
            if self.parts[at].listens() {
                continue;
            }
            let (role, port) = (self.parts[at].role, self.parts[at].port);
            self.parts[at].end();
            log::warn!("{} does not work with {}: this program plays it", role.name(), self.parts[at].language());
            self.parts[at] = self.spawn(role, None, port)?;
            if !self.parts[at].listens() {
                return Err(io::Error::other(format!("the demo's {} does not listen on port {port}", role.name())));
            }
        }
        Ok(())
    }

    /// Starts the traffic.
    ///
    /// # Errors
    /// If this program cannot be started.
    pub fn open(&mut self) -> io::Result<()> {
        let customer = self.spawn(Role::Customer, None, self.port(Role::Shop))?;
        self.parts.push(customer);
        Ok(())
    }

    /// Every port of the shop.
    pub fn ports(&self) -> Vec<u16> {
        self.parts.iter().map(|part| part.port).collect()
    }

    /// Where the shop listens.
    pub fn port(&self, role: Role) -> u16 {
        self.parts.iter().find(|part| part.role == role).map_or(0, |part| part.port)
    }

    /// Who plays what, for people.
    pub fn describe(&self) -> String {
        let part = |part: &Running| format!("{} ({}, port {})", part.role.name(), part.language(), part.port);
        self.parts.iter().rev().map(part).collect::<Vec<_>>().join(", ")
    }

    fn spawn(&self, role: Role, language: Option<Language>, port: u16) -> io::Result<Running> {
        let script = match language {
            Some(language) => {
                let script = self.folder.path().join(language.file);
                fs::write(&script, language.source)?;
                fs::set_permissions(&script, fs::Permissions::from_mode(0o644))?;
                script
            }
            None => self.folder.path().to_owned(),
        };
        let others: Vec<u16> = match role {
            Role::Shop => [Role::Stock, Role::Prices, Role::Payments].map(|role| self.port(role)).to_vec(),
            _ => Vec::new(),
        };
        let (program, arguments) = command_line(role, language, &script, port, &others);
        let child = command(&program, self.folder.path()).args(arguments).envs(variables(role)).spawn()?;
        Ok(Running { role, language, port, child })
    }
}

/// What names the service, and tells PHP what it is.
fn variables(role: Role) -> [(&'static str, &'static str); 2] {
    [("OTEL_SERVICE_NAME", role.name()), ("ROLE", role.name())]
}

/// A command that ends when we do, in a group of its own, as the user who called `sudo`.
fn command(program: &std::ffi::OsStr, folder: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(folder).process_group(0).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if let Some((user, group)) = caller() {
        command.uid(user).gid(group);
    }
    // SAFETY: between fork and exec only one system call is made, which allocates nothing and takes no lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
    command
}

/// The user who called `sudo`, if it was not root.
pub fn caller() -> Option<(u32, u32)> {
    let number = |name| std::env::var(name).ok()?.parse::<u32>().ok().filter(|id| *id > 0);
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    Some((number("SUDO_UID")?, number("SUDO_GID")?))
}

/// A port that nobody used a moment ago.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

impl Running {
    fn language(&self) -> &'static str {
        self.language.map_or("wirespan", |language| language.program)
    }

    /// Waits until it listens; false if it ends or takes too long.
    fn listens(&mut self) -> bool {
        let deadline = Instant::now() + START;
        while Instant::now() < deadline && matches!(self.child.try_wait(), Ok(None)) {
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                return true;
            }
            std::thread::sleep(TICK);
        }
        false
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ = kill_process_group(group, signal);
        }
    }

    fn has_ended(&mut self) -> bool {
        !matches!(self.child.try_wait(), Ok(None))
    }

    fn end(&mut self) {
        self.signal(Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Troupe {
    fn drop(&mut self) {
        self.parts.iter().for_each(|part| part.signal(Signal::TERM));
        let deadline = Instant::now() + END;
        while Instant::now() < deadline && !self.parts.iter_mut().all(Running::has_ended) {
            std::thread::sleep(TICK);
        }
        for part in &mut self.parts {
            if !part.has_ended() {
                part.end();
            }
        }
    }
}
