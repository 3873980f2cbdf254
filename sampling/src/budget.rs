//! So many traces a second of each service, whatever comes: what is frequent is thinned out, what is rare stays.
//!
//! The budget of a service is divided among the kinds of its traces (an operation, told apart by whether it went well, failed
//! or was slow for that operation): each may have the same, and what one does not need the others have. So what comes less
//! often than its part is kept whole. How likely a trace is to be kept depends on those before it, and never on itself, and
//! that is written down with it: counts that are made of what was kept are right on average.

use rustc_hash::FxHashMap;
use wirespan_signals::Span;

use crate::threshold::Threshold;

/// How much the last second counts in a rate.
const NEWEST: f64 = 0.1;
/// What comes more seldom than this in a second is forgotten.
const FORGOTTEN: f64 = 1e-4;
/// Operations of a service that are told apart.
const MAX_OPERATIONS: usize = 256;
/// Services that are told apart.
const MAX_SERVICES: usize = 1024;
/// What all others are called.
const OTHERS: &str = "";
const SECOND: u64 = 1_000_000_000;
/// Traces of an operation before one can be slow for it.
const KNOWN_AFTER: u32 = 50;
/// Slow is what takes more than twice as long as all but one of so many.
const SLOW_ONE_OF: f64 = 20.0;
/// How fast the limit between slow and not follows, in binary orders of magnitude.
const FOLLOWS: f64 = 0.25;

/// What each service may have.
#[derive(Debug)]
pub(crate) struct Budget {
    per_second: f64,
    services: FxHashMap<Box<str>, Service>,
}

#[derive(Debug, Default)]
struct Service {
    operations: FxHashMap<Box<str>, Operation>,
    /// What a kind may have in a second.
    level: f64,
    /// The second that is being counted, and how many were.
    second: u64,
    seconds: u32,
}

#[derive(Debug, Default)]
struct Operation {
    /// Went well, slow, failed.
    kinds: [Kind; 3],
    slow: Slow,
}

#[derive(Clone, Copy, Debug, Default)]
struct Kind {
    /// In this second.
    count: f64,
    /// In a second.
    rate: f64,
}

impl Budget {
    pub(crate) fn new(per_second: u32) -> Self {
        Self { per_second: f64::from(per_second), services: FxHashMap::default() }
    }

    /// By which threshold a trace is kept that begins with `root`.
    pub(crate) fn threshold(&mut self, root: &Span, failed: bool, now: u64) -> Threshold {
        let mut name = root.resource.service_name();
        if !self.services.contains_key(name) && self.services.len() >= MAX_SERVICES {
            let idle = |service: &Service| service.second + 60 < now / SECOND;
            self.services.retain(|_, service| !idle(service));
            if self.services.len() >= MAX_SERVICES {
                name = OTHERS;
            }
        }
        if !self.services.contains_key(name) {
            let service = Service { level: self.per_second, second: now / SECOND, ..Service::default() };
            self.services.insert(name.into(), service);
        }
        let Some(service) = self.services.get_mut(name) else { return Threshold::ALWAYS };
        service.turn(now / SECOND, self.per_second);
        Threshold::of(service.probability(root, failed))
    }
}

impl Service {
    /// A second is over, or several: what was counted becomes rates, and the budget is divided anew.
    fn turn(&mut self, now: u64, budget: f64) {
        let passed = now.saturating_sub(self.second);
        if passed == 0 {
            return;
        }
        self.second = now;
        self.seconds = self.seconds.saturating_add(1);
        // (At first, an average of all seconds.)
        let newest = NEWEST.max(1.0 / f64::from(self.seconds));
        let idle = (1.0 - NEWEST).powf((passed - 1) as f64);
        for kind in self.operations.values_mut().flat_map(|operation| &mut operation.kinds) {
            kind.rate = (kind.rate * (1.0 - newest) + kind.count * newest) * idle;
            kind.count = 0.0;
        }
        self.operations.retain(|_, operation| operation.kinds.iter().any(|kind| kind.rate > FORGOTTEN));
        let kinds = self.operations.values().flat_map(|operation| operation.kinds);
        self.level = level(kinds.map(|kind| kind.rate).filter(|rate| *rate > 0.0).collect(), budget);
    }

    fn probability(&mut self, root: &Span, failed: bool) -> f64 {
        let mut name = root.name.as_ref();
        if !self.operations.contains_key(name) {
            if self.operations.len() >= MAX_OPERATIONS {
                name = OTHERS;
            }
            self.operations.entry(name.into()).or_default();
        }
        let Some(operation) = self.operations.get_mut(name) else { return 1.0 };
        let slow = operation.slow.learn(root.end_unix_nano.saturating_sub(root.start_unix_nano));
        let kind = &mut operation.kinds[if failed { 2 } else { usize::from(slow) }];
        // The first of a second tells nothing of how many will follow.
        let expected = if kind.count < 1.0 { kind.rate } else { kind.rate.max(kind.count + 1.0) };
        kind.count += 1.0;
        if expected <= self.level { 1.0 } else { self.level / expected }
    }
}

/// What each may have so that all together have `budget`: those with less than that keep what they have.
fn level(mut rates: Vec<f64>, budget: f64) -> f64 {
    rates.sort_by(f64::total_cmp);
    let mut left = budget;
    for (n, rate) in rates.iter().enumerate() {
        let part = left / (rates.len() - n) as f64;
        if *rate > part {
            return part;
        }
        left -= rate;
    }
    // All fit. Whatever is new may have what is left, and no kind less than the budget divided by all.
    left.max(budget / (rates.len() + 1) as f64)
}

/// How long an operation takes, save the slowest, as a power of two: an estimate that follows.
#[derive(Clone, Copy, Debug, Default)]
struct Slow {
    limit: f64,
    seen: u32,
}

impl Slow {
    /// Whether this is slow.
    fn learn(&mut self, nanos: u64) -> bool {
        let magnitude = (nanos.max(1) as f64).log2();
        if self.seen == 0 {
            self.limit = magnitude;
        }
        let above = magnitude > self.limit;
        let slow = magnitude > self.limit + 1.0 && self.seen >= KNOWN_AFTER;
        self.limit += if above { FOLLOWS } else { -FOLLOWS / SLOW_ONE_OF };
        self.seen = self.seen.saturating_add(1);
        slow
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::threshold::randomness;
    use wirespan_delivery::testing::span_of;

    #[test]
    fn what_one_does_not_need_the_others_have() {
        assert_eq!(level(vec![1.0, 100.0, 200.0], 21.0), 10.0);
        assert_eq!(level(vec![100.0, 100.0], 10.0), 5.0);
        assert!(level(vec![1.0, 2.0], 10.0) >= 7.0);
        assert_eq!(level(vec![], 10.0), 10.0);
    }

    /// How many of each kind came, were kept, and are reckoned from those kept.
    #[derive(Clone, Copy, Debug, Default)]
    struct Told {
        came: u32,
        kept: u32,
        reckoned: f64,
    }

    #[test]
    fn a_flood_is_thinned_out_the_rare_stays_and_counts_can_be_rebuilt() {
        let mut budget = Budget::new(50);
        let mut random = fastrand::Rng::with_seed(1);
        let mut told = [Told::default(); 3];
        let seconds = 200u64;
        // 5000 a second of one, 2 a second that fail, one in five seconds of another.
        for n in 0..seconds * 5000 {
            let now = n * SECOND / 5000 + SECOND;
            let kind = if n % 25_000 == 77 { 2 } else { usize::from(n % 2500 == 3) };
            let root = span_of("shop", if kind == 2 { "GET /rare" } else { "GET /often" });
            let threshold = budget.threshold(&root, kind == 1, now);
            let id = random.u128(1..).to_be_bytes();
            told[kind].came += 1;
            if threshold.keeps(randomness(&id, "")) {
                told[kind].kept += 1;
                told[kind].reckoned += 1.0 / threshold.probability();
            }
        }
        let [often, failed, rare] = told;
        assert_eq!((failed.kept, rare.kept), (failed.came, rare.came), "{told:?}");
        let kept = f64::from(often.kept) / seconds as f64;
        assert!((35.0..60.0).contains(&kept), "{kept} a second of a budget of 50");
        let off = often.reckoned / f64::from(often.came) - 1.0;
        assert!(off.abs() < 0.02, "{off}");
    }

    #[test]
    fn what_is_slow_for_its_operation_is_a_kind_of_its_own() {
        let mut budget = Budget::new(10);
        let mut slow = 0;
        for n in 0..20_000u64 {
            let mut root = span_of("shop", "GET /");
            let millis = if n % 500 == 499 { 900 } else { 10 + n % 5 };
            root.end_unix_nano = root.start_unix_nano + millis * 1_000_000;
            let threshold = budget.threshold(&root, false, n * SECOND / 1000 + SECOND);
            slow += u32::from(n >= 5000 && millis == 900 && threshold == Threshold::ALWAYS);
        }
        assert_eq!(slow, 30, "two a second are less than half of ten");
    }

    #[test]
    fn names_without_end_do_not_grow_without_end() {
        let mut budget = Budget::new(10);
        for n in 0..10_000u64 {
            budget.threshold(&span_of("shop", &format!("GET /{n}")), false, SECOND);
            budget.threshold(&span_of(&format!("service-{n}"), "GET /"), false, SECOND);
        }
        assert!(budget.services.len() <= MAX_SERVICES + 1);
        assert!(budget.services["shop"].operations.len() <= MAX_OPERATIONS + 1);
    }
}
