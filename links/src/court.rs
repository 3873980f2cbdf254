//! The court: asks the rules of a call, the strongest first. Equals that claim it for two requests cancel each other.

use std::sync::Arc;

use wirespan_signals::ProcessLinks;

use crate::book::Book;
use crate::facts::Fact;
use crate::live::SpanKey;
use crate::process::Process;
use crate::rules::{Asked, Evidence, Missing, RULES, Rule, Stage, Strength, Until, Verdict};
use crate::state::States;
use crate::{Clock, Counters};

/// After this time all facts of a moment have come, in whatever order, nanoseconds. Operations are held for 50 ms at most
/// until those before them have come, and the ring is read every 10 ms.
pub const SETTLED: u64 = 100_000_000;

/// What becomes of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It hangs below this request; what that rests on, if it is not exact.
    Below(SpanKey, Option<Evidence>),
    /// It is to be asked again then. It may hang below this request.
    Wait(Option<SpanKey>, Until),
    /// It hangs below nothing.
    Root(Missing),
    /// It hangs below nothing, but may well be for this request, by what is not believed there.
    Beside(SpanKey, Evidence, Missing),
}

/// What rules suggest whose evidence is not believed.
#[derive(Clone, Copy, Default)]
enum Suggested {
    #[default]
    Nothing,
    One {
        request: SpanKey,
        evidence: Evidence,
        until: Option<Until>,
    },
    Several,
}

impl Suggested {
    /// One more.
    fn add(self, request: SpanKey, evidence: Evidence, until: Option<Until>) -> Self {
        match self {
            Self::Nothing => Self::One { request, evidence, until },
            Self::One { request: other, .. } if other == request => self,
            Self::One { .. } | Self::Several => Self::Several,
        }
    }
}

/// The book, and who reads it.
#[derive(Debug)]
pub struct Court {
    /// What the facts say.
    pub book: Book,
    states: States,
    inferred: bool,
    counters: Arc<Counters>,
}

/// What the rules of one strength say together.
enum Heard {
    Nothing,
    Claim(SpanKey, Option<Evidence>, Option<Until>),
    Waits(Until),
    Disagreement,
}

impl Court {
    /// An empty book. `inferred`: whether links that are not exact are made.
    pub fn new(inferred: bool, counters: Arc<Counters>) -> Self {
        Self { book: Book::default(), states: States::default(), inferred, counters }
    }

    /// Takes a fact in. Returns the calls that it may decide.
    pub fn hear(&mut self, fact: &Fact) -> Vec<SpanKey> {
        if let Fact::Ended { unit, .. } = fact
            && unit.leads()
        {
            self.states.gone(unit.tgid);
        }
        self.book.hear(fact)
    }

    /// How well calls find their requests, by process.
    pub(crate) fn list(&self, clock: Clock) -> Vec<ProcessLinks> {
        self.states.list(&self.book, self.inferred, clock)
    }

    /// A call hangs below a request, as was decided.
    pub fn hangs(&mut self, call: SpanKey, request: SpanKey, evidence: Option<Evidence>, process: &Arc<dyn Process>) {
        self.states.hangs(process, evidence);
        self.book.hangs(call, request);
        match evidence {
            None => self.counters.links_exact.inc(),
            Some(_) => self.counters.links_inferred.inc(),
        }
    }

    /// A call hangs below no request, as was decided.
    pub fn misses(&mut self, missing: Missing, process: &Arc<dyn Process>) {
        self.states.misses(process, missing);
        self.counters.links_missing.inc();
    }

    /// Asks the rules of a call. `fits` tells whether nothing outside the book contradicts that it was made for a request.
    pub fn ask(&self, call: SpanKey, stage: Stage, fits: impl Fn(SpanKey) -> Result<(), Missing>) -> Decision {
        let Some(note) = self.book.call(call) else { return Decision::Root(Missing::NoRequest) };
        let asked = Asked { call: note, book: &self.book, stage };
        let (mut missing, mut suggested) = (None, Suggested::default());
        // What is exact may yet be told; what is inferred says meanwhile whose trace had better wait.
        let mut awaits = None;
        for exact in [true, false] {
            if !exact && !self.inferred {
                break;
            }
            let rules = RULES.iter().filter(|rule| (rule.strength == Strength::Exact) == exact);
            match hear(rules, &asked, &fits, (&mut missing, &mut suggested)) {
                Heard::Nothing => {}
                Heard::Claim(request, _, None) if awaits.is_some() && !self.is_over(request, stage) => {
                    return Decision::Wait(Some(request), awaits.unwrap_or(Until::Quiet));
                }
                Heard::Claim(request, evidence, None) => return Decision::Below(request, evidence),
                Heard::Claim(request, _, Some(until)) if stage < Stage::Late => {
                    return Decision::Wait(Some(request), awaits.unwrap_or(until));
                }
                Heard::Waits(until) if stage < Stage::Late => awaits = awaits.or(Some(until)),
                Heard::Claim(_, _, Some(Until::Unit(_))) => missing = missing.or(Some(Missing::NoEnd)),
                Heard::Claim(..) | Heard::Waits(_) => missing = missing.or(Some(Missing::Unconfirmed)),
                // More may be told of that moment.
                Heard::Disagreement if stage == Stage::Made => return Decision::Wait(None, Until::Settled),
                Heard::Disagreement => {
                    self.counters.links_disagreed.inc();
                    return Decision::Root(Missing::Disagreement);
                }
            }
        }
        let missing = missing.unwrap_or(note.missing);
        match (awaits, suggested) {
            (Some(until), _) => Decision::Wait(None, until),
            (None, Suggested::One { request, until: Some(until), .. }) if stage < Stage::Late => {
                Decision::Wait(Some(request), until)
            }
            (None, Suggested::One { request, evidence, until: None }) => Decision::Beside(request, evidence, missing),
            _ => Decision::Root(missing),
        }
    }

    /// Whether a request is over, and its trace has been quiet.
    fn is_over(&self, request: SpanKey, stage: Stage) -> bool {
        stage >= Stage::Quiet && self.book.is_over(request)
    }
}

fn hear<'a>(
    rules: impl Iterator<Item = &'a Rule>,
    asked: &Asked<'_>,
    fits: impl Fn(SpanKey) -> Result<(), Missing>,
    (missing, suggested): (&mut Option<Missing>, &mut Suggested),
) -> Heard {
    let mut heard = Heard::Nothing;
    for rule in rules {
        match (rule.judge)(asked) {
            Verdict::Silent => {}
            Verdict::Refuses(reason) => *missing = missing.or(Some(reason)),
            Verdict::Waits(until) => {
                if matches!(heard, Heard::Nothing) {
                    heard = Heard::Waits(until);
                }
            }
            Verdict::Suggests(request, until, reason) => {
                *missing = missing.or(Some(reason));
                if let (Strength::Inferred(evidence), Ok(())) = (rule.strength, fits(request)) {
                    let until = Some(until).filter(|until| !asked.stage.has(*until));
                    *suggested = suggested.add(request, evidence, until);
                }
            }
            Verdict::Claims(request, until) => {
                if let Err(reason) = fits(request) {
                    *missing = Some(reason);
                    continue;
                }
                let evidence = match rule.strength {
                    Strength::Exact => None,
                    Strength::Inferred(evidence) => Some(evidence),
                };
                let until = Some(until).filter(|until| !asked.stage.has(*until));
                heard = match heard {
                    Heard::Nothing | Heard::Waits(_) => Heard::Claim(request, evidence, until),
                    Heard::Claim(other, first, waits) if other == request => {
                        Heard::Claim(other, first, waits.or(until))
                    }
                    Heard::Claim(..) | Heard::Disagreement => Heard::Disagreement,
                };
            }
        }
    }
    heard
}

#[cfg(test)]
mod loops;
#[cfg(test)]
mod pools;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod replay;
#[cfg(test)]
mod spawned;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod virtuals;
#[cfg(test)]
mod workers;
