//! The linking state of each process: calls linked and not, and which rules are off.

use std::collections::BTreeMap;
use std::sync::Arc;

use rustc_hash::FxHashMap as HashMap;
use wirespan_signals::{Off, ProcessLinks, RuleState};

use crate::Clock;
use crate::book::Book;
use crate::book::units::Held;
use crate::process::Process;
use crate::rules::{Evidence, Missing, RULES, Strength};

/// Processes at a time; calls of more are counted in the sums alone.
const MAX_PROCESSES: usize = 4096;

#[derive(Debug)]
struct Tally {
    process: Arc<dyn Process>,
    exact: u64,
    inferred: BTreeMap<&'static str, u64>,
    missing: BTreeMap<&'static str, u64>,
}

/// All processes whose calls were judged.
#[derive(Debug, Default)]
pub struct States {
    tallies: HashMap<u32, Tally>,
}

impl States {
    /// A call hangs below its request.
    pub fn hangs(&mut self, process: &Arc<dyn Process>, evidence: Option<Evidence>) {
        let Some(tally) = self.tally(process) else { return };
        match evidence {
            None => tally.exact += 1,
            Some(evidence) => *tally.inferred.entry(evidence.name()).or_default() += 1,
        }
    }

    /// A call hangs below none.
    pub fn misses(&mut self, process: &Arc<dyn Process>, missing: Missing) {
        if let Some(tally) = self.tally(process) {
            *tally.missing.entry(missing.name()).or_default() += 1;
        }
    }

    fn tally(&mut self, process: &Arc<dyn Process>) -> Option<&mut Tally> {
        let tgid = process.tgid();
        if self.tallies.len() >= MAX_PROCESSES && !self.tallies.contains_key(&tgid) {
            return None;
        }
        let new =
            || Tally { process: Arc::clone(process), exact: 0, inferred: BTreeMap::new(), missing: BTreeMap::new() };
        Some(self.tallies.entry(tgid).or_insert_with(new))
    }

    /// A process is no more.
    pub fn gone(&mut self, tgid: u32) {
        self.tallies.remove(&tgid);
    }

    /// What is to be shown, by process id.
    pub fn list(&self, book: &Book, inferred: bool, clock: Clock) -> Vec<ProcessLinks> {
        let threads = book.units.threads_in_doubt();
        let mut list: Vec<ProcessLinks> = self
            .tallies
            .iter()
            .map(|(tgid, tally)| {
                let held = book.units.held(*tgid);
                let off = |name| match name {
                    "spawned_goroutine" => unseen(book, *tgid, clock),
                    name => off(name, &held, clock),
                };
                let rules = RULES.iter().filter(|rule| inferred || rule.strength == Strength::Exact);
                ProcessLinks {
                    pid: *tgid,
                    resource: Arc::clone(tally.process.resource()),
                    exact: tally.exact,
                    inferred: tally.inferred.iter().map(|(name, n)| (*name, *n)).collect(),
                    missing: tally.missing.iter().map(|(name, n)| (*name, *n)).collect(),
                    rules: rules
                        .map(|rule| RuleState {
                            name: rule.name,
                            exact: rule.strength == Strength::Exact,
                            off: off(rule.name),
                        })
                        .collect(),
                    threads_in_doubt: threads.get(tgid).copied().unwrap_or(0),
                }
            })
            .collect();
        list.sort_unstable_by_key(|process| process.pid);
        list
    }
}

/// Why it is not known who makes the goroutines of a process, if it could be.
fn unseen(book: &Book, tgid: u32, clock: Clock) -> Option<Off> {
    let (why, since) = book.births.off(tgid)?;
    Some(Off { why, since_unix_nano: Some(clock.unix(since)), passes: true })
}

/// What stands in a rule's way in a process.
fn off(rule: &str, held: &Held, clock: Clock) -> Option<Off> {
    let off = |why, since: Option<u64>, passes| Off { why, since_unix_nano: since.map(|s| clock.unix(s)), passes };
    let hands_on =
        held.hands_on.map(|_| off("requests are answered by other threads than read them", held.hands_on, true));
    let once =
        || held.handed_on.then(|| off("requests were once answered by other threads than read them", None, false));
    let unread = || held.unread.map(|_| off("it takes in what cannot be read", held.unread, false));
    let several =
        || held.several.map(|_| off("several requests at a time, or calls outside requests", held.several, true));
    let threads = || held.threads.then(|| off("it has several threads, and one may do another's work", None, false));
    let strays = || held.strays.then(|| off("it was seen to make a call outside a request", None, false));
    match rule {
        "own_thread" => hands_on.or_else(once).or_else(threads).or_else(strays),
        "one_shot" => hands_on.or_else(once),
        "same_thread" | "waiting_thread" => hands_on,
        "lone_request" => hands_on.or_else(unread).or_else(several),
        _ => None,
    }
}
