//! A program under load: its process, its folder, and its first answer.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::cpu;
use crate::{paths, shell};

const START: Duration = Duration::from_secs(30);

/// A running server; dropping it ends it.
pub struct Server {
    child: Child,
    folder: PathBuf,
    /// Its first address.
    pub address: SocketAddr,
}

impl Server {
    /// Starts `command`, and waits until `answers` is content.
    pub fn start(mut command: Command, place: Place, answers: impl Fn(SocketAddr) -> Result<()>) -> Result<Self> {
        let log = place.folder.join("log");
        let out = fs::File::create(&log).with_context(|| format!("cannot create {}", log.display()))?;
        command.stdin(Stdio::null()).stdout(out.try_clone().context("no second handle of the log")?).stderr(out);
        let child = command.spawn().with_context(|| format!("cannot start `{}`", shell::show(&command)))?;
        let mut server = Self { child, folder: place.folder, address: place.address };
        let deadline = Instant::now() + START;
        while let Err(error) = answers(server.address) {
            if Instant::now() > deadline || server.child.try_wait().context("the server is lost")?.is_some() {
                let said = fs::read_to_string(&log).unwrap_or_default();
                bail!("`{}` does not answer ({error:#}): {said}", shell::show(&command));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// Seconds of processor time that its processes used so far.
    pub fn cpu(&self) -> Result<f64> {
        cpu::of_tree(self.child.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Not SIGKILL: some have children of their own to stop.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Where a server is going to live: a folder of its own, and a free port.
pub struct Place {
    pub folder: PathBuf,
    pub address: SocketAddr,
}

impl Place {
    /// Makes an empty folder and finds a port.
    pub fn new(name: &str) -> Result<Self> {
        let folder: PathBuf = paths::target()?.join("bench").join(format!("{name}-{}", std::process::id()));
        // It is there only if a run was killed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let listener = TcpListener::bind("127.0.0.1:0").context("no free port")?;
        Ok(Self { folder, address: listener.local_addr().context("a listener without an address")? })
    }

    /// Writes a file into the folder.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> Result<PathBuf> {
        let file = self.folder.join(name);
        let parent = file.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(parent).with_context(|| format!("cannot create {}", parent.display()))?;
        fs::write(&file, content).with_context(|| format!("cannot write {}", file.display()))?;
        Ok(file)
    }
}

/// One request on a connection of its own; returns the response with its head.
pub fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    if !response.starts_with("HTTP/1.1 200") {
        bail!("{address}{path} answers {}", response.lines().next().unwrap_or_default());
    }
    Ok(response)
}
