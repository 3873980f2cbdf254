//! Durations by their number: percentiles in little memory, however many there are.

/// Buckets for each power of two: a percentile is wrong by at most 1/32.
const FINE: u64 = 32;

/// How often each duration occurred, to within 3 %.
#[derive(Clone, Debug, Default)]
pub struct Latencies {
    /// Grows up to 1 920 buckets.
    counts: Vec<u32>,
    total: u64,
}

impl Latencies {
    /// Counts one duration, nanoseconds.
    pub fn add(&mut self, nanos: u64) {
        self.add_bucket(bucket(nanos), 1);
    }

    /// Counts what stands in a bucket.
    pub fn add_bucket(&mut self, bucket: usize, count: u32) {
        if bucket >= self.counts.len() {
            self.counts.resize(bucket + 1, 0);
        }
        self.counts[bucket] = self.counts[bucket].saturating_add(count);
        self.total += u64::from(count);
    }

    /// Counts everything that another counted.
    pub fn add_all(&mut self, other: &Self) {
        other.counts.iter().enumerate().filter(|(_, count)| **count > 0).for_each(|(at, n)| self.add_bucket(at, *n));
    }

    /// The duration that `part` (0 to 1) of all do not exceed, nanoseconds; 0 if there is none.
    pub fn quantile(&self, part: f64) -> u64 {
        let wanted = ((self.total as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.counts.iter().enumerate() {
            seen += u64::from(*count);
            if seen >= wanted {
                return middle(bucket as u64);
            }
        }
        0
    }
}

/// Small durations have a bucket each; beyond, the five bits after the highest decide.
pub fn bucket(nanos: u64) -> usize {
    if nanos < FINE {
        return nanos as usize;
    }
    let shift = u64::from(nanos.ilog2() - FINE.ilog2());
    ((shift + 1) * FINE + (nanos >> shift) - FINE) as usize
}

/// What a bucket stands for.
fn middle(bucket: u64) -> u64 {
    if bucket < FINE {
        return bucket;
    }
    let shift = bucket / FINE - 1;
    let low = (FINE + bucket % FINE) << shift;
    low + (1 << shift) / 2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_remembered_to_within_three_percent() {
        let mut nanos = 1_u64;
        while nanos < u64::MAX / 3 {
            let mut one = Latencies::default();
            one.add(nanos);
            let back = one.quantile(0.5);
            assert!(back.abs_diff(nanos) as f64 <= nanos as f64 / 32.0, "{nanos} became {back}");
            nanos += nanos / 4 + 1;
        }
        let mut longest = Latencies::default();
        longest.add(u64::MAX);
        assert!(longest.counts.len() <= 1920);
    }

    #[test]
    fn quantiles_are_those_of_the_sorted_list() {
        let mut all = Latencies::default();
        (1..=1000).for_each(|ms| all.add(ms * 1_000_000));
        for (part, ms) in [(0.5, 500.0), (0.95, 950.0), (0.99, 990.0), (1.0, 1000.0), (0.0, 1.0)] {
            let found = all.quantile(part) as f64 / 1e6;
            assert!((found - ms).abs() <= ms / 32.0, "{part}: {found}");
        }
        assert_eq!(Latencies::default().quantile(0.5), 0);
    }
}
