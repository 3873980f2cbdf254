//! How well the calls of each process find the requests that they were made for, and what stands in the way.

use std::sync::{Arc, Mutex, PoisonError};

use crate::Resource;

/// One process.
#[derive(Clone, Debug, PartialEq)]
pub struct ProcessLinks {
    /// Its id in the initial pid namespace.
    pub pid: u32,
    /// What it is called.
    pub resource: Arc<Resource>,
    /// Calls that hang below their request, proven.
    pub exact: u64,
    /// Calls that do as far as could be inferred, by evidence (`wirespan.link.evidence`).
    pub inferred: Vec<(&'static str, u64)>,
    /// Calls that hang below none, by reason (`wirespan.link.missing`).
    pub missing: Vec<(&'static str, u64)>,
    /// The rules that threads' calls are judged by.
    pub rules: Vec<RuleState>,
    /// Threads that are known to do several things at a time now.
    pub threads_in_doubt: usize,
}

/// Whether a rule is asked in a process.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleState {
    /// Its name.
    pub name: &'static str,
    /// Its links are exact.
    pub exact: bool,
    /// Why it is off, if it is.
    pub off: Option<Off>,
}

/// Why a rule is off.
#[derive(Clone, Debug, PartialEq)]
pub struct Off {
    /// What was seen, in a few words.
    pub why: &'static str,
    /// Since when, Unix time, nanoseconds, if that is known.
    pub since_unix_nano: Option<u64>,
    /// Whether the rule comes back when the process shows otherwise for long enough.
    pub passes: bool,
}

/// The newest list, shared: the linking stage writes it once a second.
#[derive(Debug, Default)]
pub struct Linking(Mutex<Arc<Vec<ProcessLinks>>>);

impl Linking {
    /// The processes of which calls were judged, by id.
    pub fn get(&self) -> Arc<Vec<ProcessLinks>> {
        Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// One of them.
    pub fn of(&self, pid: u32) -> Option<ProcessLinks> {
        let list = self.get();
        list.binary_search_by_key(&pid, |process| process.pid).ok().map(|index| list[index].clone())
    }

    /// Replaces the list, which is in order of ids.
    pub fn set(&self, list: Vec<ProcessLinks>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(list);
    }
}
