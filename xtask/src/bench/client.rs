//! Many connections: held open together, or made one after the other.
//!
//! They are the business of a process of its own, because it needs a higher limit of open files than we have.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};

use super::server::{self, ADDRESSES};
use super::sink::MARK;
use crate::shell;

/// What to do with the connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// Open all, make one request on each, keep them until standard input ends.
    Hold,
    /// Open one, make a request, close it, and again.
    Churn,
}

/// Arguments of the hidden `bench-client` command.
#[derive(Args)]
pub struct Options {
    #[arg(value_enum)]
    task: Task,
    address: SocketAddr,
    count: u32,
}

/// A client at work.
pub struct Client(Child);

/// Starts the client; returns when its requests are made and, for [`Task::Hold`], its connections are open.
pub fn spawn(task: Task, address: SocketAddr, count: u32) -> Result<Client> {
    let me = std::env::current_exe().context("this program has no path")?;
    let task = task.to_possible_value().context("a task without a name")?;
    let mut command = Command::new("prlimit");
    // The soft limit alone: only CAP_SYS_RESOURCE may touch the hard one.
    command.arg(format!("--nofile={}:", count.min(10_000) + 1000)).arg(me).arg("bench-client").arg(task.get_name());
    command.arg(address.to_string()).arg(count.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().with_context(|| format!("cannot start `{}`", shell::show(&command)))?;
    let mut line = String::new();
    if let Some(stdout) = &mut child.stdout {
        BufReader::new(stdout).read_line(&mut line).context("the client says nothing")?;
    }
    if line.trim() != "done" {
        let _ = child.kill();
        bail!("`{}` failed: {}", shell::show(&command), child.wait().context("the client is lost")?);
    }
    Ok(Client(child))
}

impl Client {
    /// Closes its connections and waits for its end.
    pub fn finish(mut self) -> Result<()> {
        drop(self.0.stdin.take());
        let status = self.0.wait().context("the client is lost")?;
        if status.success() { Ok(()) } else { bail!("the client failed: {status}") }
    }
}

/// The hidden `bench-client` command.
pub fn command(options: &Options) -> Result<()> {
    let held = match options.task {
        Task::Hold => hold(options.address, options.count)?,
        Task::Churn => {
            churn(options.address, options.count)?;
            Vec::new()
        }
    };
    println!("done");
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).context("standard input is broken")?;
    drop(held);
    Ok(())
}

/// The server's `n`th address.
fn address(first: SocketAddr, n: u32) -> SocketAddr {
    let last = 1 + u8::try_from(n % u32::from(ADDRESSES)).unwrap_or_default();
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(127, 0, 0, last)), first.port())
}

fn hold(first: SocketAddr, count: u32) -> Result<Vec<TcpStream>> {
    let mut held = Vec::new();
    for n in 0..count {
        let mut stream = TcpStream::connect(address(first, n)).with_context(|| format!("connection {n}"))?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        write!(stream, "GET {MARK} HTTP/1.1\r\nHost: bench\r\n\r\n")?;
        let mut response = [0; 1024];
        let length = stream.read(&mut response).with_context(|| format!("response {n}"))?;
        if !response[..length].starts_with(b"HTTP/1.1 200") {
            bail!("connection {n} was not answered as expected");
        }
        held.push(stream);
    }
    Ok(held)
}

fn churn(first: SocketAddr, count: u32) -> Result<()> {
    const THREADS: u32 = 2;
    let work = |thread: u32| {
        let mut mine = (0..count).filter(|n| n % THREADS == thread);
        mine.try_for_each(|n| server::get(address(first, n / THREADS), MARK).map(drop))
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|thread| scope.spawn(move || work(thread))).collect();
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a client thread panicked")))
    })
}
