//! Execution units: what runs one request at a time inside a process (design.md §2 and §3). Threads so far.
//!
//! A thread proves a parent only while exactly one request is in flight on it. One that ever reads a second request
//! before the first is answered multiplexes, for good: an event loop, a proxy, a poller.
//!
//! Where a request is answered by another thread than read it, work wanders between threads (goroutines, tasks of an
//! async runtime, virtual threads): in that process no thread proves anything, for good.
//!
//! A thread that is created while its creator serves a request works for that request, if it does nothing else in its
//! life. Whether it is such a one-shot or the first member of a pool shows only when it ends, so its calls wait for that.

use rustc_hash::{FxHashMap as HashMap, FxHashSet as HashSet};

use wirespan_protocols::exchange::Unit;

use super::live::SpanKey;

/// Names a unit. Threads by process and thread id; finer units will add their own id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UnitKey {
    /// Process.
    pub tgid: u32,
    /// What `id` means; 0 is a thread.
    pub kind: u32,
    /// Thread id, or the runtime's own.
    pub id: u64,
}

impl UnitKey {
    /// The finest unit that an event names; `None` where no process stands behind it.
    pub fn of(unit: &Unit) -> Option<Self> {
        match (unit.tgid, unit.kind) {
            (0, _) => None,
            (tgid, 0) => Some(Self { tgid, kind: 0, id: u64::from(unit.tid) }),
            (tgid, kind) => Some(Self { tgid, kind, id: unit.id }),
        }
    }

    /// A thread.
    pub fn thread(tgid: u32, tid: u32) -> Self {
        Self { tgid, kind: 0, id: u64::from(tid) }
    }
}

/// Where a thread's work comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The request that its creator served.
    pub server: SpanKey,
    /// The creator, if it was itself created for that request: it must end too.
    via: Option<UnitKey>,
    /// Its whole process was created for that request.
    process: bool,
}

/// One unit.
#[derive(Debug, Default)]
struct UnitState {
    /// Requests read and not answered: the span, and its connection.
    in_flight: Vec<(SpanKey, u64)>,
    /// As many of `in_flight`, at its front, were read before records were lost: their answers may be among these.
    doubtful: usize,
    multiplexes: bool,
    origin: Option<Origin>,
    /// Spans that wait for this thread's end.
    waiting: Vec<SpanKey>,
}

impl UnitState {
    fn keep(&mut self, wanted: impl Fn(SpanKey) -> bool) {
        let doubtful = self.in_flight.iter().take(self.doubtful).filter(|(s, _)| wanted(*s)).count();
        self.in_flight.retain(|(s, _)| wanted(*s));
        self.doubtful = doubtful;
    }
}

/// What a unit's call hangs below.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// The one request in flight.
    Request(SpanKey),
    /// The request that the thread was created for, if it proves a one-shot.
    IfOneShot(SpanKey),
    /// Nothing.
    None,
}

/// All units that have something in flight or were created for a request.
#[derive(Debug, Default)]
pub struct Units {
    states: HashMap<UnitKey, UnitState>,
    /// Processes whose work wanders between threads.
    wandering: HashSet<u32>,
    /// Records are missing somewhere among those that come now.
    losing: bool,
}

impl Units {
    /// A unit read a request.
    pub fn read_request(&mut self, unit: UnitKey, span: SpanKey, connection: u64) {
        let state = self.states.entry(unit).or_default();
        // Who reads requests is a server, whatever it was created for.
        state.origin = None;
        // Requests pipelined on one connection are one reader's queue; they make no event loop.
        // Nor does one whose answer may only have been missed.
        state.multiplexes |= state.in_flight.iter().skip(state.doubtful).any(|(_, c)| *c != connection);
        if state.multiplexes {
            // Proves nothing any more, and may have thousands in flight.
            (state.in_flight, state.doubtful) = (Vec::new(), 0);
        } else {
            state.in_flight.push((span, connection));
            state.doubtful += usize::from(self.losing);
        }
    }

    /// `reader` read a request that `writer` answered.
    pub fn passed(&mut self, reader: UnitKey, writer: UnitKey) {
        if reader != writer && reader.kind == 0 {
            self.wandering.insert(reader.tgid);
        }
    }

    /// Records were lost among those from now on (`true`), or until now (`false`): what units seem to do is doubtful.
    ///
    /// A request in flight may have been answered, and the thread may serve one whose reading was missed: it proves
    /// nothing until it is seen to be answered. What was created for a request may have done other work.
    pub fn lost_records(&mut self, losing: bool) {
        self.losing = losing;
        self.states.retain(|_, state| {
            state.doubtful = state.in_flight.len();
            state.origin = None;
            state.waiting = Vec::new();
            state.multiplexes || state.doubtful > 0
        });
    }

    /// Whether the thread that runs a piece of work says nothing about the work.
    fn wanders(&self, unit: UnitKey) -> bool {
        unit.kind == 0 && self.wandering.contains(&unit.tgid)
    }

    /// A request was answered, or forgotten.
    pub fn answered(&mut self, unit: UnitKey, span: SpanKey) {
        let Some(state) = self.states.get_mut(&unit) else { return };
        state.keep(|s| s != span);
        if state.in_flight.is_empty() && !state.multiplexes && state.origin.is_none() && state.waiting.is_empty() {
            self.states.remove(&unit);
        }
    }

    /// What a call by `unit` hangs below.
    pub fn proof(&self, unit: UnitKey) -> Proof {
        match self.states.get(&unit) {
            None => Proof::None,
            Some(state) if state.multiplexes || state.doubtful > 0 || self.losing || self.wanders(unit) => Proof::None,
            Some(state) => match (state.in_flight.as_slice(), state.origin) {
                ([(span, _)], _) => Proof::Request(*span),
                ([], Some(origin)) => Proof::IfOneShot(origin.server),
                _ => Proof::None,
            },
        }
    }

    /// A span waits to see whether its thread is a one-shot.
    pub fn wait_for_end(&mut self, unit: UnitKey, span: SpanKey) {
        self.states.entry(unit).or_default().waiting.push(span);
    }

    /// `creator` created `task`.
    pub fn created(&mut self, creator: UnitKey, task: UnitKey) {
        // A thread id that comes back is another thread.
        self.states.remove(&task);
        if u64::from(task.tgid) == task.id {
            self.wandering.remove(&task.tgid);
        }
        let Some(state) = self.states.get(&creator) else { return };
        let new_process = u64::from(task.tgid) == task.id;
        let origin = match self.proof(creator) {
            Proof::Request(server) => Some(Origin { server, via: None, process: new_process }),
            Proof::IfOneShot(server) => {
                let process = new_process || state.origin.is_some_and(|o| o.process);
                Some(Origin { server, via: Some(creator), process })
            }
            Proof::None => None,
        };
        debug_assert!(origin.is_none() || !state.multiplexes);
        if origin.is_some() {
            self.states.insert(task, UnitState { origin, ..UnitState::default() });
        }
    }

    /// A thread ended, perhaps because its process did: that ends pooled threads too, so it proves nothing of threads in
    /// a process that existed before the request. Returns the spans that are now proven, each with the request that it hangs below.
    pub fn ended(&mut self, task: UnitKey, with_process: bool) -> Vec<(SpanKey, SpanKey)> {
        let wandered = self.wanders(task);
        if u64::from(task.tgid) == task.id {
            self.wandering.remove(&task.tgid);
        }
        let Some(state) = self.states.remove(&task) else { return Vec::new() };
        let Some(origin) = state.origin.filter(|o| !wandered && (o.process || !with_process)) else {
            return Vec::new();
        };
        // The creator's id may be another thread's by now.
        if let Some(creator) = origin.via
            && let Some(next) = self.states.get_mut(&creator)
            && next.origin.is_none_or(|o| o.server == origin.server)
        {
            next.waiting.extend(state.waiting);
            return Vec::new();
        }
        state.waiting.into_iter().map(|span| (span, origin.server)).collect()
    }

    /// Forgets what refers to spans that are gone.
    pub fn retain(&mut self, alive: impl Fn(SpanKey) -> bool) {
        self.states.retain(|_, state| {
            state.keep(&alive);
            state.waiting.retain(|s| alive(*s));
            if state.origin.is_some_and(|o| !alive(o.server)) {
                state.origin = None;
            }
            state.multiplexes || !state.in_flight.is_empty() || state.origin.is_some() || !state.waiting.is_empty()
        });
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.states.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slotmap::SlotMap;

    fn spans() -> [SpanKey; 3] {
        let mut map: SlotMap<SpanKey, ()> = SlotMap::with_key();
        [(); 3].map(|()| map.insert(()))
    }

    const A: UnitKey = UnitKey { tgid: 1, kind: 0, id: 1 };
    const B: UnitKey = UnitKey { tgid: 1, kind: 0, id: 2 };
    const C: UnitKey = UnitKey { tgid: 1, kind: 0, id: 3 };

    #[test]
    fn a_call_hangs_below_the_one_request_in_flight_and_below_none_after_its_answer() {
        let [s, ..] = spans();
        let mut units = Units::default();
        assert_eq!(units.proof(A), Proof::None);
        units.read_request(A, s, 1);
        assert_eq!(units.proof(A), Proof::Request(s));
        assert_eq!(units.proof(B), Proof::None);
        units.answered(A, s);
        assert_eq!(units.proof(A), Proof::None);
        assert_eq!(units.len(), 0);
    }

    #[test]
    fn a_thread_that_read_a_second_request_before_answering_proves_nothing_any_more() {
        let [s, t, u] = spans();
        let mut units = Units::default();
        units.read_request(A, s, 1);
        units.read_request(A, t, 2);
        assert_eq!(units.proof(A), Proof::None);
        units.answered(A, s);
        units.answered(A, t);
        units.read_request(A, u, 3);
        assert_eq!(units.proof(A), Proof::None);
    }

    #[test]
    fn pipelined_requests_of_one_connection_prove_nothing_while_they_overlap_but_make_no_event_loop() {
        let [s, t, u] = spans();
        let mut units = Units::default();
        units.read_request(A, s, 1);
        units.read_request(A, t, 1);
        assert_eq!(units.proof(A), Proof::None);
        units.answered(A, s);
        units.answered(A, t);
        units.read_request(A, u, 1);
        assert_eq!(units.proof(A), Proof::Request(u));
    }

    #[test]
    fn calls_of_a_thread_created_for_a_request_are_proven_when_it_ends() {
        let [s, call, _] = spans();
        let mut units = Units::default();
        units.read_request(A, s, 1);
        units.created(A, B);
        assert_eq!(units.proof(B), Proof::IfOneShot(s));
        units.wait_for_end(B, call);
        assert_eq!(units.ended(B, false), [(call, s)]);
    }

    #[test]
    fn the_end_of_a_process_does_not_make_its_pooled_threads_one_shots() {
        let [s, call, other] = spans();
        let child = UnitKey::thread(7, 7);
        let mut units = Units::default();
        units.read_request(A, s, 1);
        units.created(A, B);
        units.created(A, child);
        units.wait_for_end(B, call);
        units.wait_for_end(child, other);
        assert_eq!(units.ended(B, true), []);
        assert_eq!(units.ended(child, true), [(other, s)]);
    }

    #[test]
    fn a_thread_created_by_such_a_thread_waits_for_its_creator_too() {
        let [s, call, _] = spans();
        let mut units = Units::default();
        units.read_request(A, s, 1);
        units.created(A, B);
        units.created(B, C);
        units.wait_for_end(C, call);
        assert_eq!(units.ended(C, false), []);
        assert_eq!(units.ended(B, false), [(call, s)]);
    }

    #[test]
    fn a_thread_created_by_an_idle_or_multiplexing_creator_belongs_to_nothing() {
        let [s, t, _] = spans();
        let mut units = Units::default();
        units.created(A, B);
        assert_eq!(units.proof(B), Proof::None);
        units.read_request(A, s, 1);
        units.read_request(A, t, 2);
        units.created(A, C);
        assert_eq!(units.proof(C), Proof::None);
    }

    #[test]
    fn threads_prove_nothing_where_a_request_was_answered_by_another_than_read_it() {
        let [s, call, _] = spans();
        let elsewhere = UnitKey::thread(2, 9);
        let mut units = Units::default();
        units.read_request(A, s, 1);
        units.read_request(elsewhere, s, 2);
        units.created(A, C);
        units.wait_for_end(C, call);
        units.passed(A, A);
        assert_eq!(units.proof(A), Proof::Request(s));
        units.passed(B, C);
        assert_eq!(units.proof(A), Proof::None);
        assert_eq!(units.ended(C, false), []);
        assert_eq!(units.proof(elsewhere), Proof::Request(s));
    }

    #[test]
    fn after_a_loss_a_thread_proves_nothing_until_what_it_had_in_flight_is_over() {
        let [s, t, u] = spans();
        let mut units = Units::default();
        units.read_request(A, s, 1);
        units.created(A, B);
        units.lost_records(true);
        units.read_request(C, t, 2);
        assert_eq!((units.proof(A), units.proof(B), units.proof(C)), (Proof::None, Proof::None, Proof::None));
        units.lost_records(false);
        assert_eq!((units.proof(A), units.proof(B), units.proof(C)), (Proof::None, Proof::None, Proof::None));
        // The answer to the first was missed, which makes no event loop.
        units.read_request(A, u, 3);
        assert_eq!(units.proof(A), Proof::None);
        units.answered(A, s);
        assert_eq!(units.proof(A), Proof::Request(u));
        units.read_request(A, t, 4);
        units.answered(A, t);
        assert_eq!(units.proof(A), Proof::None);
    }

    #[test]
    fn an_event_loop_is_known_without_a_list_of_what_it_has_in_flight() {
        let [s, t, u] = spans();
        let mut units = Units::default();
        for (connection, span) in [s, t, u].into_iter().enumerate() {
            units.read_request(A, span, connection as u64);
        }
        assert!(units.states[&A].multiplexes && units.states[&A].in_flight.is_empty());
    }

    #[test]
    fn a_thread_id_that_comes_back_is_another_thread() {
        let [s, t, u] = spans();
        let mut units = Units::default();
        units.read_request(B, s, 1);
        units.read_request(B, t, 2);
        units.created(A, B);
        units.read_request(B, u, 3);
        assert_eq!(units.proof(B), Proof::Request(u));
    }
}
