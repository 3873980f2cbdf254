//! Probes: places in a traced program at which a kernel program runs. Whoever knows a runtime says where they are.
//!
//! | file | what it is |
//! |---|---|
//! | `kernel.rs` | the system calls |
//! | `load.rs` | the programs, loaded |
//! | `mod.rs` | the thread that attaches and detaches |
//!
//! A probe belongs to one process and one file, or to one file in whatever process runs it (libraries). The file is open, so what is attached to is what was read, in whatever mount
//! namespace it is and whatever has taken its place on disk; another process of the same file is not touched. Attaching
//! takes milliseconds and detaching up to a tenth of a second, so neither is done by the thread that reads the ring.
//!
//! All of the places that are asked for together are attached, or none. Where the kernel has links for many places at once they are one
//! link; else one each, and the number of all is bounded.

mod kernel;
pub mod load;

use std::collections::HashMap;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

pub use kernel::Kernel;

/// Links at a time, of all processes.
const MAX_LINKS: usize = 16_384;
/// Places in one process.
pub const MAX_PLACES: usize = 256;
/// Instead of a process's id: every process that runs a file, those that begin later, too.
pub const EVERY_PROCESS: u32 = 0;
/// Links that are taken off at a time: each waits for the kernel, and not for the others.
const AT_A_TIME: usize = 32;

/// Which kernel program runs at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Program {
    /// In functions of Go.
    Go,
    /// Where Go makes goroutines, and where they end.
    GoBirths,
    /// In functions of CPython.
    Python,
    /// In functions of Node.
    Node,
    /// In functions of nginx.
    Nginx,
    /// In functions of TLS libraries.
    Tls,
    /// In functions of Go's own TLS.
    GoTls,
    /// In functions of rustls.
    Rustls,
}

impl Program {
    /// All of them.
    pub const ALL: [Self; 8] =
        [Self::Go, Self::GoBirths, Self::Python, Self::Node, Self::Nginx, Self::Tls, Self::GoTls, Self::Rustls];

    /// Its name in the object.
    pub fn name(self) -> &'static str {
        match self {
            Self::Go => "wirespan_go",
            Self::GoBirths => "wirespan_go_births",
            Self::Python => "wirespan_python",
            Self::Node => "wirespan_node",
            Self::Nginx => "wirespan_nginx",
            Self::Tls => "wirespan_tls",
            Self::GoTls => "wirespan_go_tls",
            Self::Rustls => "wirespan_rustls",
        }
    }
}

/// One instruction of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where in the file it is. The kernel must emulate it: whoever chose it has looked.
    pub offset: u64,
    /// What the kernel program is told there.
    pub cookie: u64,
}

/// The places of one file.
#[derive(Clone, Debug)]
pub struct Probes {
    /// What runs there.
    pub program: Program,
    /// The file.
    pub file: Arc<File>,
    /// The places.
    pub places: Arc<[Place]>,
}

/// What became of an order to attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The process; [`EVERY_PROCESS`]: a file wherever it is run.
    pub tgid: u32,
    /// What runs there.
    pub program: Option<Program>,
    /// How many places are probed; or why none is.
    pub result: Result<usize, String>,
}

enum Order {
    Attach(u32, Vec<Probes>),
    Detach(u32, Option<Program>),
}

/// Attaches and detaches, on a thread of its own.
#[derive(Debug)]
pub struct Attacher {
    /// All places of a file are one link.
    pub together: bool,
    orders: Option<Sender<Order>>,
    outcomes: Receiver<Outcome>,
    thread: Option<JoinHandle<()>>,
}

impl Attacher {
    /// Starts the thread.
    ///
    /// # Errors
    /// If the system gives none.
    pub fn start(kernel: Kernel) -> std::io::Result<Self> {
        let (orders, taken) = channel();
        let (tell, outcomes) = channel();
        kernel::raise_file_limit();
        let together = kernel.is_together();
        let work = move || Attached { kernel, links: HashMap::new(), count: 0 }.run(&taken, &tell);
        let thread = Builder::new().name("wirespan-probe".into()).spawn(work)?;
        Ok(Self { together, orders: Some(orders), outcomes, thread: Some(thread) })
    }

    /// Has a process probed, at these places too.
    pub fn attach(&self, tgid: u32, probes: Vec<Probes>) {
        self.order(Order::Attach(tgid, probes));
    }

    /// Takes a process's probes off: those of one program, or all.
    pub fn detach(&self, tgid: u32, program: Option<Program>) {
        self.order(Order::Detach(tgid, program));
    }

    fn order(&self, order: Order) {
        // It lives as long as this.
        let _ = self.orders.as_ref().map(|orders| orders.send(order));
    }

    /// Waits for what becomes of an order.
    pub fn outcome(&self, patience: Duration) -> Option<Outcome> {
        self.outcomes.recv_timeout(patience).ok()
    }

    /// What became of orders since this was last asked.
    pub fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        self.outcomes.try_iter()
    }
}

impl Drop for Attacher {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            log::error!("what attaches probes panicked");
        }
    }
}

/// What is attached.
struct Attached {
    kernel: Kernel,
    links: HashMap<u32, Vec<(Program, OwnedFd)>>,
    count: usize,
}

impl Attached {
    fn run(mut self, orders: &Receiver<Order>, tell: &Sender<Outcome>) {
        while let Ok(order) = orders.recv() {
            let mut ended = Vec::new();
            // What is to be taken off is taken off together.
            for order in std::iter::once(order).chain(orders.try_iter()) {
                match order {
                    Order::Attach(tgid, probes) => {
                        let result = self.attach(tgid, &probes);
                        // Nobody asks while the agent stops.
                        let program = probes.first().map(|probes| probes.program);
                        let _ = tell.send(Outcome { tgid, program, result });
                    }
                    Order::Detach(tgid, program) => ended.extend(self.take(tgid, program)),
                }
            }
            close(ended);
        }
        close(self.links.drain().flat_map(|(_, links)| links).map(|(_, link)| link).collect());
    }

    fn take(&mut self, tgid: u32, program: Option<Program>) -> Vec<OwnedFd> {
        let links = self.links.remove(&tgid).unwrap_or_default();
        let (taken, left): (Vec<_>, Vec<_>) =
            links.into_iter().partition(|(of, _)| program.is_none_or(|program| program == *of));
        if !left.is_empty() {
            self.links.insert(tgid, left);
        }
        self.count -= taken.len();
        taken.into_iter().map(|(_, link)| link).collect()
    }

    fn attach(&mut self, tgid: u32, probes: &[Probes]) -> Result<usize, String> {
        let mut links = Vec::new();
        let attached = probes.iter().try_for_each(|probes| {
            let left = MAX_LINKS.saturating_sub(self.count + links.len());
            let fits = left >= self.kernel.links_for(probes.places.len()) && probes.places.len() <= MAX_PLACES;
            if !fits {
                return Err("there are too many probes already".to_owned());
            }
            let mut more = Vec::new();
            let attached = self.kernel.attach(tgid, probes, &mut more).map_err(|error| error.to_string());
            links.extend(more.into_iter().map(|link| (probes.program, link)));
            attached
        });
        if let Err(error) = attached {
            close(links.into_iter().map(|(_, link)| link).collect());
            return Err(error);
        }
        self.count += links.len();
        self.links.entry(tgid).or_default().extend(links);
        Ok(probes.iter().map(|probes| probes.places.len()).sum())
    }
}

/// Closes links, many at a time.
fn close(links: Vec<OwnedFd>) {
    let share = links.len().div_ceil(AT_A_TIME).max(1);
    let mut links = links.into_iter();
    std::thread::scope(|scope| {
        loop {
            let some: Vec<OwnedFd> = links.by_ref().take(share).collect();
            if some.is_empty() {
                break;
            }
            // Without a thread they are closed here.
            let _ = Builder::new().name("wirespan-unprobe".into()).spawn_scoped(scope, move || drop(some));
        }
    });
}
