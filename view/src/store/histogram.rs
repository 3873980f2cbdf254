//! Durations of which there are few kinds, in as little memory: the counts of those buckets that have any.

use wirespan_delivery::latency::{Latencies, bucket};

/// Bucket and count, in order of the buckets.
#[derive(Clone, Debug, Default)]
pub struct Histogram(Vec<(u16, u32)>);

impl Histogram {
    /// Counts one, nanoseconds.
    pub fn record(&mut self, nanos: u64) {
        let bucket = bucket(nanos) as u16;
        match self.0.binary_search_by_key(&bucket, |(bucket, _)| *bucket) {
            Ok(at) => self.0[at].1 = self.0[at].1.saturating_add(1),
            Err(at) => self.0.insert(at, (bucket, 1)),
        }
    }

    /// Adds everything to `sum`.
    pub fn add_to(&self, sum: &mut Latencies) {
        self.0.iter().for_each(|(bucket, count)| sum.add_bucket(usize::from(*bucket), *count));
    }

    /// Memory beyond the structure itself.
    pub fn bytes(&self) -> usize {
        self.0.capacity() * size_of::<(u16, u32)>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_together_have_the_quantiles_of_all_that_was_counted() {
        let (mut one, mut other) = (Histogram::default(), Histogram::default());
        (1..=50).for_each(|ms| one.record(ms * 1_000_000));
        (51..=100).for_each(|ms| other.record(ms * 1_000_000));
        let mut sum = Latencies::default();
        one.add_to(&mut sum);
        other.add_to(&mut sum);
        for (part, ms) in [(0.5, 50.0), (0.95, 95.0), (0.99, 99.0)] {
            let off = sum.quantile(part) as f64 / 1e6 / ms;
            assert!((0.95..1.05).contains(&off), "{part}: {}", sum.quantile(part));
        }
    }
}
