//! Our own clients and servers, each in a process of its own: they need a higher limit of open files than we have, and
//! their processor time is not ours.
//!
//! | module | what it does |
//! |---|---|
//! | [`connections`] | connections held open together, or made one after the other |
//! | [`pace`] | requests at a fixed rate, and how long they took |
//! | [`serve`] | a server that costs next to nothing, to be started by the hundred |
//!
//! A client says `done` or `ready` in a line, and ends when its standard input does.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Child, ChildStdout, Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};

use super::mark::{inherit, mark};
use crate::shell;

mod connections;
pub mod pace;
mod serve;

/// Arguments of the hidden `bench-client` command.
#[derive(Args)]
pub struct Options {
    /// Path of the requests.
    #[arg(long)]
    mark: String,
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Open all, make one request on each, keep them until standard input ends.
    Hold { address: SocketAddr, count: u32 },
    /// Open one, make a request, close it, and again.
    Churn { address: SocketAddr, count: u32 },
    /// Make requests at a fixed rate.
    Pace(pace::Options),
    /// Answer every request.
    Serve,
}

/// The hidden `bench-client` command.
pub fn command(options: &Options) -> Result<()> {
    inherit(&options.mark);
    match &options.task {
        Task::Hold { address, count } => {
            let held = connections::hold(*address, *count)?;
            println!("done");
            until_input_ends()?;
            drop(held);
            Ok(())
        }
        Task::Churn { address, count } => {
            connections::churn(*address, *count)?;
            println!("done");
            until_input_ends()
        }
        Task::Pace(options) => pace::command(options),
        Task::Serve => serve::command(),
    }
}

fn until_input_ends() -> Result<()> {
    std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).map(drop).context("standard input is broken")
}

/// A client at work.
pub struct Client {
    child: Child,
    output: BufReader<ChildStdout>,
    shown: String,
}

impl Client {
    /// Opens `count` connections to `address` and makes one request on each; returns when that is done.
    pub fn hold(address: SocketAddr, count: u32) -> Result<Self> {
        Self::spawn_done(&["hold".into(), address.to_string(), count.to_string()], count)
    }

    /// As [`hold`](Self::hold), one connection after the other.
    pub fn churn(address: SocketAddr, count: u32) -> Result<Self> {
        Self::spawn_done(&["churn".into(), address.to_string(), count.to_string()], 0)
    }

    /// A server; returns it and where it listens.
    pub fn serve() -> Result<(Self, SocketAddr)> {
        let mut client = Self::spawn(&["serve".into()], 0, &[])?;
        let address = client.line()?;
        let address = address.parse().with_context(|| format!("the server says `{address}`"))?;
        Ok((client, address))
    }

    fn spawn_done(arguments: &[String], files: u32) -> Result<Self> {
        let mut client = Self::spawn(arguments, files, &[])?;
        match client.line()?.as_str() {
            "done" => Ok(client),
            other => bail!("`{}` says `{other}`", client.shown),
        }
    }

    /// Starts this program again, by way of `prefix`, as a client that may open `files` sockets.
    fn spawn(arguments: &[String], files: u32, prefix: &[String]) -> Result<Self> {
        let me = std::env::current_exe().context("this program has no path")?;
        let mut words = prefix.iter().map(String::as_str).chain(["prlimit"]);
        let mut command = Command::new(words.next().unwrap_or("prlimit"));
        command.args(words);
        // The soft limit alone: only CAP_SYS_RESOURCE may touch the hard one.
        command.arg(format!("--nofile={}:", files.min(10_000) + 1000)).arg(me).args(["bench-client", "--mark", mark()]);
        command.args(arguments);
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let shown = shell::show(&command);
        let mut child = command.spawn().with_context(|| format!("cannot start `{shown}`"))?;
        let output = BufReader::new(child.stdout.take().context("the client has no standard output")?);
        Ok(Self { child, output, shown })
    }

    /// The next line that the client writes.
    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        self.output.read_line(&mut line).context("the client says nothing")?;
        if line.is_empty() {
            bail!("`{}` failed: {}", self.shown, self.child.wait().context("the client is lost")?);
        }
        Ok(line.trim().to_owned())
    }

    fn tell(&mut self, word: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().context("the client has no standard input")?;
        writeln!(input, "{word}").context("the client does not listen")
    }

    /// Closes its connections and waits for its end.
    pub fn finish(mut self) -> Result<()> {
        drop(self.child.stdin.take());
        let status = self.child.wait().context("the client is lost")?;
        if status.success() { Ok(()) } else { bail!("`{}` failed: {status}", self.shown) }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        // Gone already after `finish`.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
