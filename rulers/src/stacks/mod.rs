//! The stacks that the accuracy ruler runs: real servers and clients, unmodified but for their handler.
//!
//! What every program must do is in `rulers/programs/README.md`. A stack is one line in [`all`]; a family of stacks (one
//! language, mostly) is one file here and one folder in `rulers/programs/`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;

mod cpp;
mod go;
mod hard;
mod java;
mod nginx;
mod node;
mod php;
mod place;
mod pypi;
mod python;
mod ruby;
mod rust;

pub use place::{Place, output, run};

/// What hop `h` does before it answers, see `rulers/programs/README.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// One call.
    Chain,
    /// Three calls, one after the other.
    Sequence,
    /// Three calls at once.
    Parallel,
    /// A call that fails, and another.
    Retry,
    /// Answers, and calls afterwards.
    Forget,
    /// One call through a client with two connections.
    Pool,
    /// One call, made by one of two long-lived workers behind a queue.
    Queue,
    /// Waits, then calls.
    Timer,
    /// One calls, and those that come meanwhile take what it got.
    Shared,
    /// Waits for one of two permits, then calls.
    Semaphore,
    /// One in ten fetches what the others wait for; then each calls.
    Token,
    /// Requests of ten milliseconds are asked for together, by the timer of the first.
    Timed,
    /// The fourth asks for all; who waits for long asks for itself.
    Sized,
    /// Waits for another, then calls.
    Barrier,
    /// Has something refreshed that others find stale as well, nobody's call, and calls.
    Refresh,
    /// Calls, and has something fetched ahead.
    Prefetch,
    /// Has a pool call that grows as needed and shrinks at once.
    Shrinking,
    /// Has a pool call that begins to be when it is needed first, and stays.
    Lazy,
    /// Answers; the server's own pool calls after.
    After,
    /// Hands itself on: another thread of the server's pool calls, and answers.
    Other,
    /// Half of them as `Other`, half as `After`: a thread that read a request does another's work, and may answer in the end.
    Handon,
    /// A call that blocks an event loop.
    Blocking,
    /// All of them in one process.
    Mix,
}

/// A family's program, ready to start.
#[derive(Clone, Debug)]
pub struct Prepared {
    /// The executable (`python` of the virtual environment, the compiled program, `node`, …).
    pub program: PathBuf,
    /// The folder of the sources, or of what was made of them.
    pub home: PathBuf,
    /// What the report names, e.g. `("Python", "3.11.2")`.
    pub versions: Vec<(String, String)>,
}

/// One instance that is to be started. `PORT`, `NEXT` and `STACK_MODE` are set by the runner, as is a process group.
#[derive(Clone, Debug)]
pub struct Start<'a> {
    /// Where it listens, on 127.0.0.1.
    pub port: u16,
    /// The port of what it calls, on 127.0.0.1.
    pub next: u16,
    /// [`Stack::mode`].
    pub mode: &'static str,
    /// An empty directory of this instance, for generated configuration.
    pub dir: &'a Path,
}

/// One stack.
pub struct Stack {
    /// How the table and `--stack` call it: lower case, e.g. `flask-gunicorn-sync`.
    pub name: &'static str,
    /// What runs, in words, for the documentation.
    pub title: &'static str,
    /// The variant, given to the program as `STACK_MODE`.
    pub mode: &'static str,
    /// What it can express.
    pub shapes: &'static [Shape],
    /// What it cannot express, with the reason. Every shape is in one of the two lists.
    pub left_out: &'static [(Shape, &'static str)],
    /// Requests that one instance handles at one time; `None` for as many as come.
    pub serves: Option<u32>,
    /// A proxy: its call carries the same path as the request, and the program behind it is always the leaf.
    pub passes_through: bool,
    /// Starts fast and costs little: part of `--short`.
    pub cheap: bool,
    /// What cannot be linked today and why, for the documentation; empty when nothing.
    pub limits: &'static str,
    /// Installs and compiles what is missing, once; a stamp of its sources says whether it still fits.
    pub prepare: fn(&Place) -> Result<Prepared>,
    /// The command that runs one instance in the foreground.
    pub start: fn(&Prepared, &Start<'_>) -> Result<Command>,
}

/// Every stack, in the order of the report.
pub fn all() -> Vec<&'static Stack> {
    let families = [
        python::STACKS,
        node::STACKS,
        go::STACKS,
        java::STACKS,
        ruby::STACKS,
        rust::STACKS,
        php::STACKS,
        cpp::STACKS,
        nginx::STACKS,
        hard::STACKS,
    ];
    families.into_iter().flatten().collect()
}

impl Shape {
    /// Shapes of most programs, in the order of the report.
    pub const USUAL: [Self; 8] =
        [Self::Chain, Self::Sequence, Self::Parallel, Self::Retry, Self::Forget, Self::Pool, Self::Queue, Self::Timer];

    /// Those that are hard to tell apart from what they are not: other stacks do these.
    pub const HARD: [Self; 15] = [
        Self::Shared,
        Self::Semaphore,
        Self::Token,
        Self::Timed,
        Self::Sized,
        Self::Barrier,
        Self::Refresh,
        Self::Prefetch,
        Self::Shrinking,
        Self::Lazy,
        Self::After,
        Self::Other,
        Self::Handon,
        Self::Blocking,
        Self::Mix,
    ];

    /// As `?shape=` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Chain => "chain",
            Self::Sequence => "sequence",
            Self::Parallel => "parallel",
            Self::Retry => "retry",
            Self::Forget => "forget",
            Self::Pool => "pool",
            Self::Queue => "queue",
            Self::Timer => "timer",
            Self::Shared => "shared",
            Self::Semaphore => "semaphore",
            Self::Token => "token",
            Self::Timed => "timed",
            Self::Sized => "sized",
            Self::Barrier => "barrier",
            Self::Refresh => "refresh",
            Self::Prefetch => "prefetch",
            Self::Shrinking => "shrinking",
            Self::Lazy => "lazy",
            Self::After => "after",
            Self::Other => "other",
            Self::Handon => "handon",
            Self::Blocking => "blocking",
            Self::Mix => "mix",
        }
    }

    /// How many calls a hop of this shape makes at least.
    pub fn calls(self) -> u32 {
        match self {
            Self::Chain | Self::Forget | Self::Pool | Self::Queue | Self::Timer => 1,
            Self::Shared | Self::Timed | Self::Sized | Self::Mix => 0,
            Self::Semaphore | Self::Token | Self::Barrier | Self::Refresh | Self::Shrinking => 1,
            Self::Lazy | Self::After | Self::Other | Self::Handon | Self::Blocking => 1,
            Self::Retry | Self::Prefetch => 2,
            Self::Sequence | Self::Parallel => 3,
        }
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
