//! What containers are called, asked of their runtimes where no file says it and a socket is given.
//!
//! | module | what it is |
//! |---|---|
//! | [`socket`] | one question, whose answer has an end in bytes and in time |
//! | `cri` | the messages of Kubernetes' interface to runtimes that are read |
//!
//! Nothing waits for it: a process is called what it would be called without, and called anew when there is an answer; spans
//! that are still open then get the name, too. A container is asked about once.

mod cri;
pub mod socket;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustc_hash::{FxHashMap, FxHashSet};
use tokio::sync::Notify;
use tokio::time::sleep;

use crate::config::ContainerSocket;
use crate::discovery::container::Container;
use crate::export::otlp::backoff::Backoff;
use crate::metrics::Counters;

/// The most containers remembered; beyond it, all are forgotten and asked about again.
const MAX: usize = 4096;
/// Containers that are waited for at one time.
const MAX_ASKED: usize = 1024;
/// Between two questions: fifty a second, whatever happens on the machine.
const PACE: Duration = Duration::from_millis(20);
/// How often a container is asked about that one runtime does not know while another cannot be asked.
const TRIES: u8 = 5;

/// What runtimes said, and what they are to be asked.
#[derive(Debug, Default)]
pub struct Runtimes {
    state: Mutex<State>,
    asks: Notify,
    /// Whether something was learned; looked at every few milliseconds.
    any: AtomicBool,
}

#[derive(Debug, Default)]
struct State {
    /// By id; `None` as long as nothing is known, and where nothing is to be known.
    known: FxHashMap<Box<str>, Option<Arc<Container>>>,
    queue: VecDeque<(Box<str>, u8)>,
    learned: FxHashMap<Box<str>, Arc<Container>>,
}

impl Runtimes {
    /// The container of this id. What is not known yet is asked for.
    pub fn get(&self, id: &str) -> Option<Arc<Container>> {
        let mut state = self.lock();
        if let Some(known) = state.known.get(id) {
            return known.clone();
        }
        if state.queue.len() >= MAX_ASKED || !is_asked_about(id) {
            return None;
        }
        if state.known.len() >= MAX {
            state.known.clear();
        }
        state.known.insert(id.into(), None);
        state.queue.push_back((id.into(), 0));
        self.asks.notify_one();
        None
    }

    /// What was learned since this was last asked.
    pub fn take_learned(&self) -> FxHashMap<Box<str>, Arc<Container>> {
        if !self.any.swap(false, Ordering::Acquire) {
            return FxHashMap::default();
        }
        std::mem::take(&mut self.lock().learned)
    }

    async fn next(&self) -> (Box<str>, u8) {
        loop {
            let next = self.lock().queue.pop_front();
            match next {
                Some(next) => return next,
                None => self.asks.notified().await,
            }
        }
    }

    /// A runtime has said what a container is called.
    pub(crate) fn named(&self, id: Box<str>, container: Container) {
        let container = Arc::new(container);
        let mut state = self.lock();
        if state.known.len() >= MAX && !state.known.contains_key(&id) {
            state.known.clear();
        }
        state.known.insert(id.clone(), Some(Arc::clone(&container)));
        // (Whoever does not take what was learned does not fill memory with it.)
        if state.learned.len() < MAX {
            state.learned.insert(id, container);
        }
        self.any.store(true, Ordering::Release);
    }

    /// It is asked about again, in its turn.
    fn again(&self, id: Box<str>, tries: u8) {
        let mut state = self.lock();
        if tries >= TRIES {
            // Another process of it begins anew.
            state.known.remove(&id);
        } else {
            state.queue.push_back((id, tries));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ids that runtimes give. (It becomes a part of a path, so nothing else may.)
fn is_asked_about(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

/// Asks these sockets for as long as the runtime runs. `roots` are where the machine's files are, the first one wins.
pub async fn follow(
    runtimes: Arc<Runtimes>,
    sockets: Vec<ContainerSocket>,
    roots: Vec<PathBuf>,
    counters: Arc<Counters>,
) {
    let mut asker = Asker { sockets, roots, counters, said: FxHashSet::default() };
    let mut backoff = Backoff::default();
    loop {
        let (id, tries) = runtimes.next().await;
        match asker.ask(&id).await {
            Outcome::Named(container) => {
                backoff.reset();
                runtimes.named(id, container);
            }
            Outcome::Unknown => backoff.reset(),
            Outcome::PartlyAsked => runtimes.again(id, tries + 1),
            Outcome::NotAsked => {
                runtimes.again(id, tries);
                sleep(backoff.next(false)).await;
            }
        }
        sleep(PACE).await;
    }
}

/// What came of a question.
enum Outcome {
    Named(Container),
    /// No runtime knows it, or none has a name for it.
    Unknown,
    /// Those that could be asked do not know it.
    PartlyAsked,
    /// None could be asked.
    NotAsked,
}

struct Asker {
    sockets: Vec<ContainerSocket>,
    roots: Vec<PathBuf>,
    counters: Arc<Counters>,
    /// Sockets of which was said that they cannot be asked, so that nothing is said twice.
    said: FxHashSet<PathBuf>,
}

impl Asker {
    async fn ask(&mut self, id: &str) -> Outcome {
        let mut failed = 0;
        for socket in &self.sockets {
            self.counters.container_questions.inc();
            match socket::ask(socket, &self.roots, id).await {
                Ok(answer) => {
                    if self.said.remove(&socket.path) {
                        log::info!("containers' names are asked at {} again", socket.path.display());
                    }
                    if let Some(container) = answer {
                        return Outcome::Named(container);
                    }
                }
                Err(error) => {
                    failed += 1;
                    self.counters.container_troubles.inc();
                    if self.said.insert(socket.path.clone()) {
                        let path = socket.path.display();
                        log::warn!(
                            "containers' names cannot be asked at {path} for now, everything else goes on: {error}"
                        );
                    }
                }
            }
        }
        match failed {
            0 => Outcome::Unknown,
            all if all == self.sockets.len() => Outcome::NotAsked,
            _ => Outcome::PartlyAsked,
        }
    }
}

#[cfg(test)]
mod tests;
