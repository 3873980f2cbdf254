//! Requests by the connection that they came on.

use std::collections::VecDeque;

use rustc_hash::FxHashMap as HashMap;
use wirespan_signals::Slim as _;

use crate::live::SpanKey;

/// All that are here.
#[derive(Debug, Default)]
pub struct Connections {
    /// By the socket's cookie; `None` where several may be under way at once.
    came: HashMap<u64, Option<VecDeque<SpanKey>>>,
    of: HashMap<SpanKey, u64>,
}

impl Connections {
    /// A request came. `queued`: its connection answers them one after the other.
    pub fn came(&mut self, cookie: u64, request: SpanKey, queued: bool) {
        if cookie == 0 {
            return;
        }
        let came = self.came.entry(cookie).or_insert_with(|| Some(VecDeque::new()));
        match came {
            Some(came) if queued => came.push_back(request),
            came => *came = None,
        }
        self.of.insert(request, cookie);
    }

    /// Those of a connection, in the order in which they were told; `None` where one cannot be told from another.
    pub fn requests(&self, cookie: u64) -> Option<impl Iterator<Item = SpanKey>> {
        let came = self.came.get(&cookie);
        let is_told_apart = came.is_none_or(Option::is_some);
        is_told_apart.then(|| came.into_iter().flatten().flatten().copied())
    }

    /// A request's span is gone.
    pub fn forget(&mut self, request: SpanKey) {
        let Some(cookie) = self.of.remove(&request) else { return };
        if let Some(Some(came)) = self.came.get_mut(&cookie) {
            // (Most go in the order in which they came, and a busy connection has many that went not long ago.)
            if came.pop_front_if(|first| *first == request).is_none() {
                came.retain(|other| *other != request);
            }
        }
        if self.came.get(&cookie).is_some_and(|came| came.as_ref().is_none_or(VecDeque::is_empty)) {
            self.came.remove(&cookie);
        }
    }

    /// Gives room back that is not needed.
    pub fn slim(&mut self) {
        self.came.slim();
        self.of.slim();
    }
}
