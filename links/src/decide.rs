//! Has the court decide on calls, and does what it decides; a call that is not decided yet keeps its trace, and that of the request
//! that it may be for.

use wirespan_protocols::context::TraceContext;

use super::court::{Decision, SETTLED};
use super::live::{Parent, Pending, SpanKey};
use super::rules::{Evidence, Missing, Stage, Until};
use super::{Traces, assemble};

impl Traces {
    /// Has the court decide on a call, as far as it can.
    pub(super) fn consider(&mut self, call: SpanKey, stage: Stage, now: u64) {
        self.court.book.passes(now);
        let Some(live) = self.spans.get(call) else { return };
        let before = live.pending;
        if let Some(Until::Unit(unit)) = before.filter(|_| stage == Stage::Late).map(|pending| pending.until) {
            self.court.book.lives.gave_up(unit, live.request.first.time);
        }
        match self.court.ask(call, stage, |request| self.fits(request, call)) {
            Decision::Wait(request, until) => {
                let pending = Pending { request, until };
                if before != Some(pending) {
                    self.settle_pending(call, now);
                    self.wait(call, pending, now);
                }
            }
            Decision::Below(request, evidence) if self.says.knows(call) => {
                self.settle_pending(call, now);
                self.said_for(call, request, evidence, now);
            }
            // What suggests it may be on its way out of a task, or below another call, which is not decided yet.
            Decision::Beside(request, ..) if stage < Stage::Late && self.is_top_pending(request) => {}
            Decision::Root(_) | Decision::Beside(..) if self.says.knows(call) => {
                self.court.book.stays_root(call);
                self.settle_pending(call, now);
                self.remove_said(call);
            }
            Decision::Below(request, evidence) => {
                self.hang(call, request, evidence, now);
                self.settle_pending(call, now);
            }
            Decision::Beside(request, evidence, missing) => {
                self.suggest(call, request, evidence);
                self.court.book.stays_root(call);
                self.stays_root(call, missing);
                self.settle_pending(call, now);
            }
            Decision::Root(missing) => {
                self.court.book.stays_root(call);
                self.stays_root(call, missing);
                self.settle_pending(call, now);
            }
        }
    }

    fn hang(&mut self, call: SpanKey, request: SpanKey, evidence: Option<Evidence>, now: u64) {
        self.adopt(call, request, false, now);
        if self.spans[call].parent == Parent::Live(request) {
            self.spans[call].evidence = evidence;
            self.court.hangs(call, request, evidence, &self.spans[call].process);
        }
    }

    /// A call hangs below no request. Where its process serves none, nothing is missing.
    fn stays_root(&mut self, call: SpanKey, missing: Missing) {
        if self.court.book.serves(self.spans[call].process.tgid()) {
            self.spans[call].missing = Some(missing);
        }
    }

    /// Whether it is not decided yet what the uppermost span above this one hangs below.
    fn is_top_pending(&self, span: SpanKey) -> bool {
        self.spans.contains_key(span) && self.spans[assemble::root_of(&self.spans, span)].pending.is_some()
    }

    /// A call that hangs below nothing gets a link to the request that it may well be for. The trace of that, which is quiet, gets
    /// its id now.
    fn suggest(&mut self, call: SpanKey, request: SpanKey, evidence: Evidence) {
        let Some(above) = self.spans.get(request) else { return };
        let (key, span_id) = (above.group, above.span_id);
        if key == self.spans[call].group || self.is_top_pending(request) || self.groups[key].held > 0 {
            return;
        }
        let root = assemble::fix_root(&self.spans, &mut self.groups[key], request);
        let to = TraceContext { trace_id: root.trace_id, span_id, flags: 0, trace_state: "".into() };
        self.spans[call].likely = Some((to, evidence));
        self.counters.links_suggested.inc();
    }

    fn wait(&mut self, call: SpanKey, pending: Pending, now: u64) {
        self.spans[call].pending = Some(pending);
        for span in [Some(call), pending.request].into_iter().flatten() {
            let group = self.spans[span].group;
            self.groups[group].pending += 1;
        }
        if let Some(request) = pending.request {
            self.court.book.may_hang(call, request);
        }
        if pending.until == Until::Settled {
            self.settling.push_back((now + SETTLED, call));
        }
    }

    /// Whether nothing that the two spans say themselves contradicts that the call was made for `request`.
    fn fits(&self, request: SpanKey, key: SpanKey) -> Result<(), Missing> {
        let (Some(above), call) = (self.spans.get(request), &self.spans[key]) else {
            return Err(Missing::NoRequest);
        };
        let read = above.request.first.time;
        // News of an operation can be late: the call may have been made before this request was read.
        if call.request.first.time < read {
            return Err(Missing::Earlier);
        }
        // A connection that was being opened before the request was read was opened for something else: a call that
        // an event loop started for an earlier request and sends now.
        // (What a runtime hands over goes out on whatever connection is free, whoever had it opened.)
        let connection = &call.connection;
        let earlier = connection.first && connection.connect.is_some_and(|c| c.time < read);
        if earlier && self.court.book.is_threads_own(key) {
            return Err(Missing::Earlier);
        }
        // The request says itself which trace it belongs to.
        match &call.context {
            Some(context) if self.trace_of(request) != Some(context.trace_id) => Err(Missing::OtherTrace),
            _ => Ok(()),
        }
    }

    /// The trace id of a span, as far as it is certain.
    pub(super) fn trace_of(&self, span: SpanKey) -> Option<[u8; 16]> {
        let mut at = self.spans.get(span)?;
        loop {
            match at.parent {
                Parent::Live(parent) => at = self.spans.get(parent)?,
                Parent::Sent(_) => return self.groups.get(at.group)?.root.as_ref().map(|r| r.trace_id),
                Parent::None => return at.context.as_ref().map(|c| c.trace_id),
            }
        }
    }

    /// A call waits no longer.
    pub(super) fn settle_pending(&mut self, span: SpanKey, now: u64) {
        let Some(awaited) = self.spans.get_mut(span).and_then(|s| s.pending.take()) else { return };
        for waiting in [Some(span), awaited.request].into_iter().flatten() {
            if let Some(group) = self.spans.get(waiting).map(|s| s.group)
                && let Some(group) = self.groups.get_mut(group)
            {
                group.pending = group.pending.saturating_sub(1);
            }
        }
        let group = self.spans[span].group;
        self.schedule(group, now);
    }
}
