//! Requests by the connection that they came on.

use rustc_hash::FxHashMap as HashMap;
use wirespan_signals::Slim as _;

use crate::live::SpanKey;

/// All that are here.
#[derive(Debug, Default)]
pub struct Connections {
    /// By the socket's cookie; `None` where several may be under way at once.
    came: HashMap<u64, Option<Vec<SpanKey>>>,
    of: HashMap<SpanKey, u64>,
}

impl Connections {
    /// A request came. `queued`: its connection answers them one after the other.
    pub fn came(&mut self, cookie: u64, request: SpanKey, queued: bool) {
        if cookie == 0 {
            return;
        }
        let came = self.came.entry(cookie).or_insert_with(|| Some(Vec::new()));
        match came {
            Some(came) if queued => came.push(request),
            came => *came = None,
        }
        self.of.insert(request, cookie);
    }

    /// Those of a connection, in the order in which they were told; `None` where one cannot be told from another.
    pub fn requests(&self, cookie: u64) -> Option<&[SpanKey]> {
        self.came.get(&cookie).map_or(Some(&[]), |came| came.as_deref())
    }

    /// A request's span is gone.
    pub fn forget(&mut self, request: SpanKey) {
        let Some(cookie) = self.of.remove(&request) else { return };
        if let Some(Some(came)) = self.came.get_mut(&cookie) {
            came.retain(|other| *other != request);
        }
        if self.came.get(&cookie).is_some_and(|came| came.as_ref().is_none_or(Vec::is_empty)) {
            self.came.remove(&cookie);
        }
    }

    /// Gives room back that is not needed.
    pub fn slim(&mut self) {
        self.came.slim();
        self.of.slim();
    }
}
