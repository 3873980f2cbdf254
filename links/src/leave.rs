//! When a trace leaves: a group is handed on when all its spans are finished, nothing happened for the hold, and nothing
//! that may still be proven is waited for.

use wirespan_protocols::context::{SAMPLED, TraceContext};
use wirespan_protocols::exchange::SpanKind;

use super::court::SETTLED;
use super::live::{Group, GroupKey, SpanKey};
use super::messages::Sender;
use super::rules::{Stage, Until};
use super::{Counters, PIECE_AFTER, Traces, assemble, joins};
use wirespan_signals::Slim as _;
use wirespan_signals::{LogSpan, Trace};

/// For how long nothing may contradict a link that is not exact, after its trace fell silent, nanoseconds.
const CONFIRM: u64 = 500_000_000;
/// How long a link that depends on a thread's end, or on a sender's trace id, is waited for, nanoseconds.
pub const PENDING_CAP: u64 = 1_000_000_000;
/// The same of a link that depends on what a unit does next, which may take as long as a request.
const ANSWER_CAP: u64 = 30_000_000_000;
/// The same if the trace that waits is that of the request which is to be the parent, and only has to be confirmed.
const PARENT_CAP: u64 = 5_000_000_000;
/// About how many spans leave in one call of [`Traces::tick`].
const MANY_SPANS: u64 = 1024;
/// How often units are swept, in calls of [`Traces::tick`].
const SWEEP_EVERY: u32 = 512;

impl Traces {
    /// Hands on what is ready at `now`. Returns whether there is more: what leaves at one time is bounded.
    pub fn tick(&mut self, now: u64, out: &mut Vec<Trace>) -> bool {
        self.court.book.passes(now);
        self.release_expired(now);
        for call in self.court.book.loops.advance(now.saturating_sub(SETTLED)) {
            if self.spans.get(call).is_some_and(|s| s.pending.is_some()) {
                self.consider(call, Stage::Settled, now);
            }
        }
        while let Some((_, call)) = self.settling.pop_front_if(|(at, _)| *at <= now) {
            if self.spans.get(call).is_some_and(|s| s.pending.is_some_and(|p| p.until == Until::Settled)) {
                self.consider(call, Stage::Settled, now);
            }
        }
        // What is put back at the end has had its turn.
        let mut turns = self.due.len();
        let left = |counters: &Counters| counters.spans_finished.get() + counters.spans_unsampled.get();
        let enough = left(&self.counters) + MANY_SPANS;
        while turns > 0 && left(&self.counters) < enough {
            // When memory is scarce, what is finished leaves before its time.
            let hurried = self.is_pressed();
            let Some((at, key)) = self.due.pop_front_if(|(at, _)| hurried || *at <= now) else { break };
            turns -= 1;
            let Some(group) = self.groups.get(key) else { continue };
            if hurried && at > now && group.open == 0 && group.held == 0 {
                self.counters.spans_hurried.add(group.members.len() as u64);
                self.hand_on(key, now, out);
                continue;
            }
            let quiet = now.saturating_sub(group.last);
            if group.open > 0 || group.held > 0 || quiet < self.limits.hold {
                // Scheduled again when its last span finished, by what happened since, or when none is held any more.
                continue;
            }
            if group.pending > 0 && quiet < self.patience(group) {
                if quiet >= CONFIRM {
                    self.consider_members(key, Stage::Quiet, now);
                }
                // Perhaps it became part of another group, which has its own turn.
                if self.groups.contains_key(key) {
                    self.due.push_back((now + self.limits.hold, key));
                }
                continue;
            }
            if group.pending > 0 {
                self.consider_members(key, Stage::Late, now);
            }
            let Some(group) = self.groups.get(key) else { continue };
            if group.receives && self.awaits_sender(key, quiet) {
                self.due.push_back((now + self.limits.hold, key));
                continue;
            }
            self.hand_on(key, now, out);
        }
        let more = left(&self.counters) >= enough;
        while let Some((_, key)) = self.open.pop_front_if(|(at, _)| *at + PIECE_AFTER <= now) {
            let Some(group) = self.groups.get(key) else { continue };
            let quiet = now.saturating_sub(group.last);
            if group.held == 0 && group.members.len() as u32 > group.open && quiet >= self.limits.hold {
                self.hand_on(key, now, out);
            }
            if self.groups.contains_key(key) {
                self.let_records_of_group_go(key);
                self.open.push_back((now, key));
            }
        }
        self.counters.exchanges_open.set(self.by_exchange.len() as u64);
        self.list_open(now);
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(SWEEP_EVERY) {
            let spans = &self.spans;
            self.court.book.sweep(now, |span| spans.contains_key(span));
            self.slim();
        }
        more
    }

    /// Has the tables give back what a burst made them take.
    fn slim(&mut self) {
        self.by_exchange.slim();
        self.serving.slim();
        self.joins.slim();
        self.messages.slim();
        self.tasks.slim();
        self.says.slim();
        self.settling.slim();
        self.due.slim();
        self.open.slim();
    }

    /// From now on, finished spans that nobody keeps can be had too, for who only counts them: of traces that are not
    /// recorded, and of those that vanish because there are too many.
    pub fn tell_unrecorded(&mut self) {
        self.unrecorded.get_or_insert_default();
    }

    /// From now on, traces are handed on of which the request says that they are not recorded, and are recorded.
    pub fn record_unsampled(&mut self) {
        self.records_all = true;
    }

    /// Those that came since this was last asked; to be asked after each call of [`Traces::tick`] and [`Traces::finish`].
    pub fn take_unrecorded(&mut self) -> Vec<Trace> {
        self.unrecorded.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Hands on everything that is finished: the agent stops. Returns how many requests in flight are dropped with that.
    pub fn finish(&mut self, out: &mut Vec<Trace>) -> usize {
        let now = self.groups.values().map(|group| group.last).max().unwrap_or_default();
        // What is known by now decides whose the last calls were.
        let groups: Vec<GroupKey> = self.groups.keys().collect();
        for group in groups {
            if self.groups.contains_key(group) {
                self.consider_members(group, Stage::Late, now);
            }
        }
        let groups: Vec<GroupKey> = self.groups.keys().collect();
        for group in groups {
            self.hand_on(group, now, out);
        }
        self.spans.len()
    }

    /// How long a group waits for links to or from it that may still be proven.
    fn patience(&self, group: &Group) -> u64 {
        let awaits = |span: &SpanKey| {
            let pending = self.spans.get(*span).and_then(|s| s.pending);
            pending.is_some_and(|p| match p.until {
                Until::Unit(unit) => unit.is_fed(),
                until => until == Until::Over,
            })
        };
        if group.members.iter().any(awaits) {
            return ANSWER_CAP;
        }
        let mut below = group.members.iter().filter_map(|span| self.court.book.request(*span)).flat_map(|r| &r.calls);
        if below.any(awaits) { PARENT_CAP } else { PENDING_CAP }
    }

    /// Too many spans are being built, or too many bytes: the oldest groups vanish.
    pub(super) fn make_room(&mut self, now: u64) {
        loop {
            let heavy = self.bytes() > self.limits.max_bytes;
            if !heavy && self.spans.len() <= self.limits.max_spans {
                return;
            }
            let Some(spans) = self.evict_oldest() else { return };
            self.counters.spans_evicted.add(spans);
            if heavy {
                self.counters.spans_evicted_for_memory.add(spans);
            }
            ::log::debug!("too many spans, or bytes of spans, in flight at {now}");
        }
    }

    /// The number of spans that went, if there were any.
    fn evict_oldest(&mut self) -> Option<u64> {
        loop {
            let (_, key) = self.open.pop_front()?;
            let Some(mut group) = self.groups.remove(key) else { continue };
            let spans = group.members.len() as u64;
            self.tell_evicted(&mut group);
            group.members.into_iter().for_each(|span| self.forget(span));
            return Some(spans);
        }
    }

    /// What is known of a trace that vanishes is told, though nobody keeps it.
    fn tell_evicted(&mut self, group: &mut Group) {
        let Some(unrecorded) = &self.unrecorded else { return };
        let waiting: usize = unrecorded.iter().map(|trace| trace.spans.len()).sum();
        if waiting as u64 >= MANY_SPANS {
            let finished = |member: &&SpanKey| self.spans.get(**member).is_some_and(|span| span.exchange.is_some());
            let untold = group.members.iter().filter(finished).count();
            return self.counters.spans_untold.add(untold as u64);
        }
        let mut trace = assemble::assemble(&mut self.spans, group, &self.court.book, self.clock);
        self.tell_said(trace.as_mut());
        if let (Some(unrecorded), Some(trace)) = (&mut self.unrecorded, trace) {
            unrecorded.push(Trace { spans: trace.spans });
        }
    }

    pub(super) fn forget(&mut self, key: SpanKey) {
        let Some(exchange) = self.spans.get(key).map(|s| s.key) else { return };
        self.no_longer_under_way(&exchange);
        let Some(span) = self.spans.remove(key) else { return };
        self.span_bytes -= span.weight;
        if !span.met {
            self.joins.forget(joins::keys(&span.connection, &span.request.first), span.connection.role, key);
        }
        // It never became a span.
        for said in span.said {
            self.says.leaves(said, None, self.clock);
        }
        self.court.book.forget(key);
        self.forget_said(key, span.request.first.time);
    }

    /// Whether a member receives a message whose sender's trace id is not decided. A sender that may be a task's is waited
    /// for until that is known, for then it may get another.
    fn awaits_sender(&self, group: GroupKey, quiet: u64) -> bool {
        self.groups[group].members.iter().filter_map(|m| self.sender_of(*m)).any(|sender| {
            let Sender::Live(span) = sender else { return false };
            let Some(senders) = self.spans.get(span).map(|s| s.group).filter(|g| *g != group) else { return false };
            quiet < PENDING_CAP || self.groups[senders].held > 0
        })
    }

    /// The sender of the message that a finished span received.
    fn sender_of(&self, span: SpanKey) -> Option<Sender> {
        let live = self.spans.get(span).filter(|s| s.kind != SpanKind::Producer && s.exchange.is_some())?;
        self.messages.sender(live.message.as_ref()?)
    }

    /// Gives receivers of messages their links. A sender's trace that is still being built gets its id now.
    fn link_receivers(&mut self, group: GroupKey, now: u64) {
        for member in self.groups[group].members.clone() {
            // Whose call the sender is decides which trace that is.
            if let Some(Sender::Live(sender)) = self.sender_of(member)
                && self.spans.get(sender).is_some_and(|s| s.pending.is_some())
            {
                self.consider(sender, Stage::Late, now);
            }
            let (trace_id, span_id) = match self.sender_of(member) {
                Some(Sender::Sent(trace_id, span_id)) => (trace_id, span_id),
                Some(Sender::Live(sender)) if self.spans.contains_key(sender) => {
                    let group = &mut self.groups[self.spans[sender].group];
                    let trace_id = assemble::fix_root(&self.spans, group, sender).trace_id;
                    (trace_id, self.spans[sender].span_id)
                }
                _ => continue,
            };
            let link = TraceContext { trace_id, span_id, flags: 0, trace_state: "".into() };
            self.spans[member].links.push(link);
        }
    }

    /// Turns the finished spans of a group into a trace.
    fn hand_on(&mut self, key: GroupKey, now: u64, out: &mut Vec<Trace>) {
        if self.groups.get(key).is_some_and(|g| g.receives) {
            self.link_receivers(key, now);
        }
        let Some(mut group) = self.groups.remove(key) else { return };
        if let [only] = group.members.as_slice()
            && let Some(span) = self.spans.get_mut(*only)
            && !self.repeats.tells(span)
        {
            self.counters.connects_left_out.inc();
            return self.forget(*only);
        }
        let mut trace = assemble::assemble(&mut self.spans, &mut group, &self.court.book, self.clock);
        self.tell_said(trace.as_mut());
        assemble::hang_anew(&mut self.spans, &group.members);
        let mut open = Vec::new();
        for member in std::mem::take(&mut group.members) {
            let Some(span) = self.spans.get(member) else { continue };
            if let Some(message) = span.message.as_ref().filter(|_| span.sent || span.dropped) {
                let root = group.root.as_ref().filter(|r| span.sent && r.sampled);
                self.messages.leaves(message, member, root.map(|r| (r.trace_id, span.span_id)));
            }
            if let Some(root) = group.root.as_ref().filter(|_| span.sent && span.kind == SpanKind::Consumer) {
                self.tasks.left(member, root, span.span_id);
            }
            if let Some(missing) = span.missing_link().filter(|_| span.sent) {
                self.court.misses(missing, &span.process);
            }
            if span.exchange.is_none() && !span.dropped && self.by_exchange.contains_key(&span.key) {
                open.push(member);
            } else {
                self.forget(member);
            }
        }
        if !open.is_empty() {
            group.members = open;
            let again = self.groups.insert(group);
            for member in &self.groups[again].members {
                self.spans[*member].group = again;
            }
            self.watch(self.groups[again].last, again);
        }
        match trace {
            Some(mut trace) if trace.sampled || self.records_all => {
                if !trace.sampled {
                    trace.spans.iter_mut().for_each(|span| span.flags |= SAMPLED);
                }
                self.counters.spans_finished.add(trace.spans.len() as u64);
                out.push(Trace { spans: trace.spans });
            }
            Some(trace) => {
                self.counters.spans_unsampled.add(trace.spans.len() as u64);
                if let Some(unrecorded) = &mut self.unrecorded {
                    unrecorded.push(Trace { spans: trace.spans });
                }
            }
            None => {}
        }
    }

    /// What was said for spans that leave now leaves too.
    fn tell_said(&mut self, trace: Option<&mut assemble::Assembled>) {
        let said = trace.map(|trace| std::mem::take(&mut trace.said)).unwrap_or_default();
        for (said, span) in said {
            let flags = span.flags | u8::from(self.records_all);
            self.says.leaves(said, Some(LogSpan { flags, ..span }), self.clock);
        }
    }

    /// Has the court decide on the calls that wait in a quiet group, and on those that wait for a request in it.
    fn consider_members(&mut self, group: GroupKey, stage: Stage, now: u64) {
        for span in self.groups[group].members.clone() {
            let below = self.court.book.request(span).map(|request| request.calls.clone()).unwrap_or_default();
            for call in below.into_iter().chain([span]) {
                if self.spans.get(call).is_some_and(|s| s.pending.is_some()) {
                    self.consider(call, stage, now);
                }
            }
        }
    }
}
