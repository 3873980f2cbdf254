//! Which processes there are, as the agent sees them: what `wirespan ps` and the API show.
//!
//! The list is made by the thread that knows, when somebody asks, and by nobody otherwise.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use wirespan_signals::{Linking, ProcessLinks};

/// One process.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Row {
    /// Its id.
    pub pid: u32,
    /// The process that created it, 0 if unknown.
    pub parent_pid: u32,
    /// Its service.
    pub name: String,
    /// Whence the name comes.
    pub named_by: String,
    /// Its executable.
    pub executable: String,
    /// What its program is written in, as `telemetry.sdk.language` spells it, if that shows.
    pub language: Option<String>,
    /// The language's version, if that shows.
    pub language_version: Option<String>,
    /// Whether any of its connections may be traced.
    pub traced: bool,
    /// Which rule says so, or why not.
    pub reason: String,
    /// Its open connections.
    pub connections: Vec<Connections>,
    /// Whether a request was seen that it served or made.
    #[serde(default)]
    pub seen: bool,
    /// What became of its calls; `None` if none was judged.
    pub linking: Option<Links>,
}

/// Connections of a process that are alike.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct Connections {
    /// The protocol, `None` if it is not known.
    pub protocol: Option<String>,
    /// `client` or `server`, `None` if it is not known.
    pub role: Option<String>,
    /// It is encrypted and not read, for this reason.
    #[serde(default)]
    pub unread: Option<String>,
    /// How many are open.
    pub open: u32,
}

/// What became of the calls of a process. `/api/v1/linking` says more.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct Links {
    /// How many were judged.
    pub calls: u64,
    /// How many hang below the request that they were made for.
    pub linked: u64,
    /// Rules that are off in this process, and why.
    pub off: Vec<String>,
}

impl Links {
    fn of(process: &ProcessLinks) -> Self {
        let sum = |counts: &[(&str, u64)]| counts.iter().map(|(_, count)| count).sum::<u64>();
        let linked = process.exact + sum(&process.inferred);
        let off = process.rules.iter().filter_map(|rule| Some(format!("{}: {}", rule.name, rule.off.as_ref()?.why)));
        Self { calls: linked + sum(&process.missing), linked, off: off.collect() }
    }
}

/// The list, shared.
#[derive(Debug, Default)]
pub struct Inventory {
    wanted: AtomicBool,
    list: Mutex<Arc<Vec<Row>>>,
    linking: Arc<Linking>,
}

impl Inventory {
    /// An empty list. `linking` knows what became of calls.
    pub fn new(linking: Arc<Linking>) -> Self {
        Self { linking, ..Self::default() }
    }

    /// The newest list, which is not the one to come after [`ask`](Self::ask).
    pub fn get(&self) -> Arc<Vec<Row>> {
        Arc::clone(&lock(&self.list))
    }

    /// Asks for a new one.
    pub fn ask(&self) {
        self.wanted.store(true, Ordering::Relaxed);
    }

    /// Whether somebody asked since this was last looked at.
    pub fn take_wish(&self) -> bool {
        self.wanted.swap(false, Ordering::Relaxed)
    }

    /// Puts a new list in its place.
    pub fn set(&self, rows: Vec<Row>) {
        *lock(&self.list) = Arc::new(rows);
    }

    /// What became of the calls of a process, if any were judged.
    pub fn links(&self, tgid: u32) -> Option<Links> {
        self.linking.of(tgid).map(|links| Links::of(&links)).filter(|links| links.calls > 0)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
